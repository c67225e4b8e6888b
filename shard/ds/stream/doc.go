// Package stream has the IDs of a stream's entries, and how entries are packed into nodes.
//
// It stands alone: it knows bytes, not where they lie. A node is a listpack of Redis (package internal/listpack) with
// up to some hundred entries, as Redis has them in memory, in its files and on the wire, so that nothing is ever
// converted.
//
// # Format
//
// A node's ID, which is kept beside it, is that of its first entry, its fields are those of that entry too. Elements of
// the listpack:
//
//	<entries> <entries marked as deleted> <fields: n> <field> × n <0>
//	for each entry: <flags> <ms above the node's ID> <seq above the node's ID>
//	    if flags has 2: <value> × n                       the fields are the node's
//	    else:           <fields: m> (<field> <value>) × m
//	    <elements of the entry, without this one>         for going backwards
//
// Flag 1 marks an entry as deleted. Where most of a node is deleted it stays as it is; once all is, the node goes.
//
// # Invariants
//
//  1. IDs of entries that are there ascend from the node's own on. What is deleted may have higher ones than what comes
//     behind it.
//  2. Counts, flags and numbers of fields are numbers in the shortest form that they have.
package stream
