package config

import "math"

// followRows: how the server follows a primary.
var followRows = []row{{
	name: "replicaof", aliases: []string{"slaveof"}, kind: list, standard: `""`, immutable: true, dropDefault: true,
	check: checkReplicaof,
	store: func(v *Values, s setting) {
		v.PrimaryHost, v.PrimaryPort = "", 0
		if len(s.words) == 2 {
			port, _ := parseInt(s.words[1]) // checked
			v.PrimaryHost, v.PrimaryPort = s.words[0], int(port)
		}
	},
}, {
	name: "masterauth", kind: text, standard: `""`, sensitive: true, dropEmpty: true,
	store: func(v *Values, s setting) { v.PrimaryAuth = s.text },
}, {
	name: "bind-source-addr", kind: text, standard: `""`, dropEmpty: true,
	store: func(v *Values, s setting) { v.BindSource = s.text },
}, {
	name: "masteruser", kind: text, standard: `""`, sensitive: true, dropEmpty: true,
	store: func(v *Values, s setting) { v.PrimaryUser = s.text },
}, {
	name: "replica-serve-stale-data", aliases: []string{"slave-serve-stale-data"}, kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.ReplicaServeStale = s.n == 1 },
}, {
	name: "replica-read-only", aliases: []string{"slave-read-only"}, kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.ReplicaReadOnly = s.n == 1 },
}, {
	name: "replica-ignore-maxmemory", aliases: []string{"slave-ignore-maxmemory"}, kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.ReplicaIgnoreMaxMemory = s.n == 1 },
}, {
	name: "repl-diskless-load", kind: enum, standard: "swapdb",
	words: []string{"disabled", "on-empty-db", "swapdb", "flush-before-load"}, // by the numbers of DisklessLoad
	newer: 1,
	store: func(v *Values, s setting) { v.DisklessLoad = DisklessLoad(s.n) },
}, {
	name: "replica-lazy-flush", aliases: []string{"slave-lazy-flush"}, kind: boolean, standard: "no",
	inert: freesLazily,
}, {
	name: "replica-priority", aliases: []string{"slave-priority"}, kind: integer, standard: "100", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.ReplicaPriority = s.n },
}, {
	name: "replica-announced", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.ReplicaAnnounced = s.n == 1 },
}, {
	name: "replica-announce-ip", aliases: []string{"slave-announce-ip"}, kind: text, standard: `""`, dropEmpty: true,
	store: func(v *Values, s setting) { v.ReplicaAnnounceIP = s.text },
}, {
	name: "replica-announce-port", aliases: []string{"slave-announce-port"}, kind: integer, standard: "0",
	max:   math.MaxUint16,
	store: func(v *Values, s setting) { v.ReplicaAnnouncePort = int(s.n) },
}}

// DisklessLoad is how a replica receives everything anew.
type DisklessLoad int32

// The values of repl-diskless-load.
const (
	LoadDisabled    DisklessLoad = iota // into a file, which is loaded then
	LoadOnEmptyDB                       // from the socket if there is no data, else by file
	LoadSwapDB                          // from the socket, beside the old data
	LoadFlushBefore                     // from the socket, after the old data was removed
)

// checkReplicaof refuses what is no host and port.
func checkReplicaof(s setting) error {
	if len(s.words) == 0 {
		return nil
	}
	if len(s.words) != 2 {
		return reason("wrong number of arguments")
	}
	if port, ok := parseInt(s.words[1]); !ok || port < 0 || port > math.MaxUint16 {
		return reason("Invalid master port")
	}
	return nil
}
