package config

import (
	"math"
	"slices"
)

// laterRows: parameters of Redis whose effect is not built yet. Each stands at a default that is true today (or that
// describes how a missing part would behave) and accepts nothing else; whoever builds the part moves the row up, takes
// `later` out and adds a field to Values. A row that needs a value of its own beyond its text needs `store` only then.
var laterRows = slices.Concat(persistenceRows, replicationRows, evictionRows, observationRows, otherLater)

var persistenceRows = []row{
	{name: "rdb-del-sync-files", kind: boolean, standard: "no", inert: "files of full syncs are always removed"},
}

var replicationRows = []row{
	{name: "socket-mark-id", kind: integer, standard: "0", max: math.MaxUint32, immutable: true,
		later: "marks of packets"},
}

var evictionRows = []row{
	{name: "active-expire-effort", kind: integer, standard: "1", min: 1, max: 10, later: "a choice of efforts"},
}

var observationRows = []row{
	{name: "acllog-max-len", kind: integer, standard: "128", max: math.MaxInt64, later: "access control"},
	{name: "aclfile", kind: text, standard: `""`, immutable: true, later: "access control"},
	{name: "acl-pubsub-default", kind: enum, words: []string{"allchannels", "resetchannels"},
		standard: "resetchannels", later: "access control"},
	{name: "syslog-enabled", kind: boolean, standard: "no", immutable: true, later: "logging to syslog"},
}

var otherLater = []row{
	{name: "cluster-enabled", kind: boolean, standard: "no", immutable: true, later: "cluster mode"},
	{name: "tls-port", kind: integer, standard: "0", max: math.MaxUint16, later: "TLS"},
	{name: "supervised", kind: enum, words: []string{"upstart", "systemd", "auto", "no"}, standard: "no",
		immutable: true, later: "service notification"},
	{name: "oom-score-adj", kind: enum, words: []string{"no", "yes", "relative", "absolute"}, standard: "no",
		later: "control of the OOM score"},
	{name: "oom-score-adj-values", kind: list, standard: "0 200 800", min: 3, max: 3, check: checkOOMScores,
		later: "control of the OOM score"},
	{name: "proc-title-template", kind: text, standard: `"{title} {listen-addr} {server-mode}"`,
		later: "a process title"},
	{name: "server_cpulist", kind: text, standard: `""`, immutable: true, dropEmpty: true, later: "CPU affinity"},
	{name: "bio_cpulist", kind: text, standard: `""`, immutable: true, dropEmpty: true, later: "CPU affinity"},
}

// inertRows tune what this server does not have; the reason is given in the notice.
var inertRows = []row{
	{name: "propagation-error-behavior", kind: enum, words: []string{"ignore", "panic", "panic-on-replicas"},
		standard: "ignore", inert: "errors of a stream are logged and counted"},
	{name: "replica-ignore-disk-write-errors", kind: boolean, standard: "no",
		inert: "a replica goes on whatever its disk does"},
	{name: "aof-disable-auto-gc", kind: boolean, standard: "no",
		inert: "how long history is kept aof-history-retain-bytes says"},
	{name: "crash-log-enabled", kind: boolean, standard: "yes", inert: noReport},
	{name: "crash-memcheck-enabled", kind: boolean, standard: "yes", inert: noReport},
	{name: "use-exit-on-panic", kind: boolean, standard: "no", hidden: true, inert: noReport},
	{name: "watchdog-period", kind: integer, standard: "0", max: math.MaxInt32, hidden: true,
		inert: "there is no software watchdog"},
	{name: "ignore-warnings", kind: text, standard: `""`, inert: "the kernel's faults that it is about do no harm"},
	{name: "lazyfree-lazy-eviction", kind: boolean, standard: "yes", inert: freesLazily},
	{name: "lazyfree-lazy-expire", kind: boolean, standard: "yes", inert: freesLazily},
	{name: "lazyfree-lazy-server-del", kind: boolean, standard: "yes", inert: freesLazily},
	{name: "lazyfree-lazy-user-del", kind: boolean, standard: "yes", inert: freesLazily},
	{name: "sanitize-dump-payload", kind: enum, words: []string{"no", "yes", "clients"}, standard: "no",
		inert: "payloads are always looked through"},
	{name: "list-compress-depth", kind: integer, standard: "0", max: math.MaxInt32,
		inert: "lists are not compressed"},
	{name: "dynamic-hz", kind: boolean, standard: "yes", inert: "background work follows what is due, not hz"},
	{name: "activerehashing", kind: boolean, standard: "no", inert: "the index grows a segment at a time"},
	{name: "jemalloc-bg-thread", kind: boolean, standard: "no", inert: "memory is not managed by jemalloc"},
	{name: "disable-thp", kind: boolean, standard: "no", immutable: true,
		inert: "nothing forks, so huge pages cost no latency"},
	{name: "io-threads-do-reads", kind: boolean, standard: "yes", immutable: true, inert: "event loops always read"},
	{name: "always-show-logo", kind: boolean, standard: "no", immutable: true, inert: "there is no logo"},
	{name: "set-proc-title", kind: boolean, standard: "no", immutable: true, inert: "the process keeps its title"},
}

const (
	freesLazily = "large values are always freed in slices"
	noReport    = "the Go runtime reports a crash"
)

func checkOOMScores(s setting) error {
	for _, w := range s.words {
		if n, ok := parseInt(w); !ok || n < -2000 || n > 2000 {
			return reason("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
		}
	}
	return nil
}
