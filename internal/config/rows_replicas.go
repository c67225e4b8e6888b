package config

import "math"

// replicaRows: what concerns the replicas that follow this server.
var replicaRows = []row{{
	name: "repl-diskless-sync", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.DisklessSync = s.n == 1 },
}, {
	name: "repl-diskless-sync-delay", kind: integer, standard: "5", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.DisklessSyncDelaySeconds = s.n },
}, {
	name: "repl-diskless-sync-max-replicas", kind: integer, standard: "0", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.DisklessSyncMaxReplicas = s.n },
}, {
	name: "repl-ping-replica-period", aliases: []string{"repl-ping-slave-period"}, kind: integer, standard: "10",
	min: 1, max: math.MaxInt32,
	store: func(v *Values, s setting) { v.PingReplicaSeconds = s.n },
}, {
	name: "repl-timeout", kind: integer, standard: "60", min: 1, max: math.MaxInt32,
	store: func(v *Values, s setting) { v.ReplTimeoutSeconds = s.n },
}, {
	name: "repl-disable-tcp-nodelay", kind: boolean, standard: "no",
	store: func(v *Values, s setting) { v.ReplDelaysTCP = s.n == 1 },
}, {
	name: "repl-backlog-size", kind: memory, standard: "1mb", min: 1, max: math.MaxInt64,
	store: func(v *Values, s setting) { v.BacklogBytes = s.n },
}, {
	name: "repl-flows", kind: integer, standard: "-1", min: -1, max: 64,
	store: func(v *Values, s setting) { v.ReplFlows = int(s.n) },
}, {
	name: "repl-compression", kind: enum, standard: "no", words: []string{"no", "lz4"},
	store: func(v *Values, s setting) { v.ReplLZ4 = s.n == 1 },
}, {
	name: "repl-spool-limit", kind: memory, standard: "4gb", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.SpoolBytes = s.n },
}, {
	name: "repl-backlog-ttl", kind: integer, standard: "3600", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.BacklogTTLSeconds = s.n },
}, {
	name: "min-replicas-to-write", aliases: []string{"min-slaves-to-write"}, kind: integer, standard: "0",
	max:   math.MaxInt32,
	store: func(v *Values, s setting) { v.MinReplicas = s.n },
}, {
	name: "min-replicas-max-lag", aliases: []string{"min-slaves-max-lag"}, kind: integer, standard: "10",
	max:   math.MaxInt32,
	store: func(v *Values, s setting) { v.MinReplicasLagSeconds = s.n },
}}
