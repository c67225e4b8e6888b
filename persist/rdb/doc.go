// Package rdb reads and writes Redis's file format for snapshots, and the payloads of DUMP and RESTORE, which hold one
// value each in the same form.
//
// It is a codec: it knows no keyspace, no file names and no policy. A Reader gives a file's parts as events and hands
// a value, element by element, to a Builder; what becomes of it is the builder's. Versions 1 to 12 are read, all
// that Redis 2.8 to 8 write; 10 is written, and 12 where fields of hashes have expiries.
//
// # Format
//
// A file, without any alignment:
//
//	"REDIS" <version: 4 decimal digits>
//	parts, each begun by one byte, an opcode or a value's type (format.go)
//	<opcode EOF> <CRC-64 of everything before: 8 bytes, little-endian; from version 5 on; 0 means not computed>
//
// The parts:
//
//	AUX          <key: string> <value: string>          facts about the file, such as redis-ver, ctime, repl-id
//	SELECTDB     <db: length>                           the database of the keys that follow
//	RESIZEDB     <keys: length> <expiring: length>      how many they are: a hint
//	SLOT_INFO    <slot: length> <keys> <expiring>       likewise, for a slot of a cluster
//	FUNCTION2    <code of a library: string>
//	FUNCTION     <name> <engine> <1: length, description | 0> <code>     of release candidates of 7.0 only
//	MODULE_AUX   <module: length> <UINT: length> <when: length> <module data>
//	[EXPIRETIME <Unix time in s: 4 bytes> | EXPIRETIME_MS <in ms: 8 bytes>]
//	[IDLE <seconds: length> | FREQ <1 byte>]
//	<type: 1 byte> <key: string> <value>
//
// Numbers of a fixed size are little-endian. (Before version 9 times in ms and binary scores were in the byte order of
// the machine that wrote them: big-endian machines' files of that age are not understood, as everywhere.)
//
// Length, an unsigned number; its first byte's high two bits say how it is written:
//
//	00nnnnnn                      6 bits
//	01nnnnnn nnnnnnnn             14 bits, big-endian
//	10000000 <4 bytes>            32 bits, big-endian
//	10000001 <8 bytes>            64 bits, big-endian
//	11tttttt                      no length: a string of the special form t follows
//
// String:
//
//	<length> <bytes>
//	11000000 <int8>  11000001 <int16>  11000010 <int32>       the decimal text of the number
//	11000011 <compressed: length> <length> <LZF data>         package lzf
//
// Values by type ("n ×" is a length and then as many):
//
//	STRING              string
//	LIST, SET           n × string
//	ZSET                n × (string, score as text: 1 byte length, text; 253 NaN, 254 +inf, 255 -inf)
//	ZSET_2              n × (string, score: 8 bytes, IEEE 754)
//	HASH                n × (string, string)
//	HASH_METADATA       <base: 8 bytes, Unix time in ms> n × (ttl: length, field: string, value: string);
//	                    the field expires at base + ttl - 1, and never if ttl is 0
//	HASH_METADATA_PRE   n × (expiry: length, absolute in ms, or 0; field; value)
//	HASH_ZIPMAP         string that holds a zipmap (zipmap.go)
//	*_ZIPLIST           string that holds a ziplist (ziplist.go); zset: member, score; hash: field, value
//	SET_INTSET          string that holds an intset (intset.go)
//	*_LISTPACK          string that holds a listpack (listpack.go), elements likewise
//	HASH_LISTPACK_EX    <base: 8 bytes> string that holds a listpack of field, value, expiry (absolute in ms, or 0)
//	HASH_LISTPACK_EX_PRE  the same without the base
//	LIST_QUICKLIST      n × string that holds a ziplist
//	LIST_QUICKLIST_2    n × (container: length; string): 1 the string is an element, 2 it holds a listpack
//	MODULE_2            <module: length> <module data>
//	STREAM_LISTPACKS*   see stream.go
//
// Module data is a sequence of <code: length> <datum> that ends with code 0 (module.go).
//
// A DUMP payload is <type> <value> <version: 2 bytes> <CRC-64 of everything before: 8 bytes>, and here 0 is no
// exception.
//
// # Ownership
//
// A Reader and a Writer serve one goroutine at a time. What a Reader hands out, in an Event or to a Builder, is its
// own buffer: valid until the next call of the Reader, or until the Builder's method returns.
//
// # Invariants
//
//  1. Nothing that is read is trusted. Memory is taken for bytes that have arrived, never for a length that was read:
//     a Reader holds at most a fixed multiple of the longest string that is really there.
//  2. Whatever the input, the outcome is events and values that obey the format, or an error that says where it does
//     not. Containers are checked down to their last byte whenever a value is decoded. What needs a view of the
//     whole value (members that occur twice) is the Builder's to refuse.
//  3. What is written is read back the same, and by the redis-server of the version it is written for.
package rdb
