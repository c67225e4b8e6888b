package server

import (
	"fmt"
	"runtime/debug"
	"strings"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func memoryRow() *command.Row {
	sub := func(name, complexity, summary string, run func(*Session) error, tips ...string) *command.Row {
		return &command.Row{Info: command.Info{
			Name: name, Arity: 2, Group: "server", Since: "4.0.0", Summary: summary, Complexity: complexity, Tips: tips,
		}, RunSession: onSession(run)}
	}
	const slow = "Depends on how much memory is allocated, could be slow"
	all := []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}
	help := sub("help", "O(1)", "Show helpful text about the different subcommands", cmdMemoryHelp)
	help.Flags = command.Loading | command.Stale
	usage := sub("usage", "O(N) where N is the number of samples.", "Estimate the memory usage of a key",
		cmdMemoryUsage)
	usage.Arity, usage.Flags = -3, command.ReadOnly
	usage.Keys = []command.KeySpec{{First: 2, Step: 1, Flags: command.KeyRO}}
	usage.Args = "key count:integer=SAMPLES?"
	return &command.Row{
		Info: command.Info{
			Name: "memory", Arity: -2, Group: "server", Since: "4.0.0",
			Summary: "A container for memory diagnostics commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*command.Row{
			sub("doctor", "O(1)", "Outputs memory problems report", cmdMemoryDoctor, all...),
			help,
			sub("malloc-stats", slow, "Show allocator internal stats", cmdMemoryMallocStats, all...),
			sub("purge", slow, "Ask the allocator to release memory", cmdMemoryPurge, "request_policy:all_shards",
				"response_policy:all_succeeded"),
			sub("stats", "O(1)", "Show memory usage details", cmdMemoryStats, all...),
			usage,
		},
	}
}

// memoryReport is what the memory of the process is used for.
type memoryReport struct {
	used, peak, rss        int64
	index, values, clients int64
	keys                   int64
	allocated              int64 // blocks in use
	active                 int64 // slabs that hold them
	resident               int64 // slabs that the process has touched
	clientCount            int64
}

func (srv *Server) memoryReport() (r memoryReport) {
	r.used, r.rss = srv.usedMemory(), residentBytes(srv.files)
	srv.notePeak(r.used)
	r.peak = srv.peakMemory.Load()
	for _, s := range srv.set.Shards {
		for id := range srv.set.Databases() {
			c := s.DB(id).PublishedCounts()
			r.index += c.IndexBytes
			r.keys += c.Keys
		}
	}
	space := srv.space.Stats()
	r.allocated, r.active, r.resident = srv.datasetBytes(), space.UsedBytes, space.ResidentBytes
	r.values = r.allocated - r.index
	r.clients, r.clientCount = srv.clientBytes(), int64(len(srv.clients.all()))
	return r
}

// MEMORY USAGE key [SAMPLES count]
//
// The figure is exact: the entry's block, what hangs on it, and the entry's share of the index. Nothing is sampled.
func cmdMemoryUsage(s *Session) error {
	c := s.c
	for a := c.ArgsFrom(3); a.More(); {
		if !a.Option("samples") || !a.More() {
			return resp.ErrSyntax
		}
		n, ok := resp.ParseInt(a.Bytes())
		if !ok {
			return resp.ErrNotInteger
		}
		if n < 0 {
			return resp.ErrSyntax
		}
	}
	k := &c.Keys[0]
	if n, ok := k.Shard.DB(s.db).UsageBytes(k.Key); ok {
		c.Int(n)
	} else {
		c.Null()
	}
	return nil
}

// MEMORY STATS
func cmdMemoryStats(s *Session) error {
	srv, c := s.srv, s.c
	r := srv.memoryReport()
	var dbs []int
	for id := range srv.set.Databases() {
		for _, sh := range srv.set.Shards {
			if sh.DB(id).PublishedCounts().Keys > 0 {
				dbs = append(dbs, id)
				break
			}
		}
	}
	integer := func(name string, n int64) {
		c.BulkString(name)
		c.Int(n)
	}
	double := func(name string, f float64) {
		c.BulkString(name)
		c.Out = resp.AppendDouble(c.Out, c.Proto, f)
	}
	c.Map(27 + len(dbs))
	integer("peak.allocated", r.peak)
	integer("total.allocated", r.used)
	integer("startup.allocated", 0)
	backlog, slow := srv.replication.memory()
	integer("replication.backlog", backlog)
	integer("clients.slaves", slow)
	integer("clients.normal", r.clients)
	integer("cluster.links", 0)
	integer("aof.buffer", srv.aof.unwrittenBytes())
	integer("lua.caches", srv.scripts.bytes.Load()+srv.scripts.bytesOfStates())
	integer("functions.caches", int64(srv.functions.set.Load().Bytes()))
	for _, id := range dbs {
		index := int64(0)
		for _, sh := range srv.set.Shards {
			index += sh.DB(id).PublishedCounts().IndexBytes
		}
		c.BulkString(fmt.Sprintf("db.%d", id))
		c.Map(3)
		integer("overhead.hashtable.main", index)
		integer("overhead.hashtable.expires", 0) // there is no such table: an expiry lies in the key's entry
		integer("overhead.hashtable.slot-to-keys", 0)
	}
	integer("overhead.total", r.clients+r.index)
	integer("keys.count", r.keys)
	integer("keys.bytes-per-key", r.values/max(r.keys, 1))
	integer("dataset.bytes", r.values)
	double("dataset.percentage", 100*ratio(r.values, r.used))
	double("peak.percentage", 100*ratio(r.used, r.peak))
	integer("allocator.allocated", r.allocated)
	integer("allocator.active", r.active)
	integer("allocator.resident", r.resident)
	double("allocator-fragmentation.ratio", ratio(r.active, r.allocated))
	integer("allocator-fragmentation.bytes", r.active-r.allocated)
	double("allocator-rss.ratio", ratio(r.resident, r.active))
	integer("allocator-rss.bytes", r.resident-r.active)
	double("rss-overhead.ratio", ratio(r.rss, r.resident))
	integer("rss-overhead.bytes", r.rss-r.resident)
	double("fragmentation", ratio(r.rss, r.used))
	integer("fragmentation.bytes", r.rss-r.used)
	return nil
}

// MEMORY PURGE
//
// No baton is held; the connections of the same loop wait.
func cmdMemoryPurge(s *Session) error {
	s.srv.space.Purge()
	debug.FreeOSMemory()
	s.c.OK()
	return nil
}

// MEMORY MALLOC-STATS
func cmdMemoryMallocStats(s *Session) error {
	var b strings.Builder
	space := s.srv.space.Stats()
	fmt.Fprintf(&b, "space: %d bytes reserved, %d mapped, %d resident, %d in free slabs, %d in slabs of shards\n",
		space.ReservedBytes, space.MappedBytes, space.ResidentBytes, space.FreeBytes, space.UsedBytes)
	for _, sh := range s.srv.set.Shards {
		fmt.Fprintf(&b, "shard %d: %d bytes in use\n", sh.ID, sh.PublishedBytes())
	}
	gc := readGC()
	fmt.Fprintf(&b, "go heap: %d bytes, %.6f s of collection\n", gc.heapBytes, gc.cpuSeconds)
	s.c.Verbatim("txt", b.String())
	return nil
}

// memoryHelp is the text of MEMORY HELP but for what Help adds.
const memoryHelp = `DOCTOR
    Return memory problems reports.
MALLOC-STATS
    Return internal statistics report from the memory allocator.
PURGE
    Attempt to purge dirty pages for reclamation by the allocator.
STATS
    Return information about the memory usage of the server.
USAGE <key> [SAMPLES <count>]
    Return memory in bytes used by <key> and its value. Nested values are
    sampled up to <count> times (default: 5, 0 means sample all).
`

// MEMORY HELP
func cmdMemoryHelp(s *Session) error {
	s.c.Help(memoryHelp)
	return nil
}

// MEMORY DOCTOR
func cmdMemoryDoctor(s *Session) error {
	r := s.srv.memoryReport()
	s.c.Verbatim("txt", r.diagnose())
	return nil
}

// What the doctor says of a server that is well, and of one that is too small to tell. Tools look for these words.
const (
	doctorWell = "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on " +
		"this base.\n"
	doctorEmpty = "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used " +
		"in these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I " +
		"will be back to our programming as soon as I finished rebooting.\n"
	doctorHead = "Sam, I detected a few issues in this Fulmen instance memory implants:\n\n"
	doctorTail = "I'm here to keep you safe, Sam. I want to help you.\n"

	doctorLeast  = 5 << 20  // bytes in use from which there is something to say
	doctorMargin = 10 << 20 // bytes lost from which it matters
)

// diagnose looks at what Redis's doctor looks at, with its thresholds; the advice is for this allocator.
func (r *memoryReport) diagnose() string {
	if r.used < doctorLeast {
		return doctorEmpty
	}
	var found []string
	if ratio(r.peak, r.used) > 1.5 {
		found = append(found, "Peak memory: In the past this instance used more than 150% the memory that is "+
			"currently using. Memory that is not in use is given back to the system in the background, whole slabs "+
			"at a time. MEMORY PURGE does it at once.")
	}
	if ratio(r.rss, r.used) > 1.4 && r.rss-r.used > doctorMargin {
		found = append(found, "High total RSS: This instance has a memory fragmentation and RSS overhead greater "+
			"than 1.4 (this means that the Resident Set Size of the process is much larger than the sum of what it "+
			"uses). This problem is usually due either to a large peak memory (check if there is a peak memory "+
			"entry above in the report) or to many deletions that left slabs partly filled.")
	}
	if ratio(r.active, r.allocated) > 1.1 && r.active-r.allocated > doctorMargin {
		found = append(found, "High allocator fragmentation: The slabs of this instance are filled to less than "+
			"1/1.1. This is usually due to many deletions, or to values that changed their sizes; new values fill "+
			"them again.")
	}
	if ratio(r.resident, r.active) > 1.1 && r.resident-r.active > doctorMargin {
		found = append(found, "High allocator RSS overhead: The process holds more than 1.1 times the slabs that "+
			"are in use. This problem is usually due to a large peak memory (check if there is a peak memory entry "+
			"above in the report); MEMORY PURGE gives them back.")
	}
	if ratio(r.rss, r.resident) > 1.1 && r.rss-r.resident > doctorMargin {
		found = append(found, "High process RSS overhead: More than 1.1 times the data's resident memory is "+
			"resident: buffers of clients and the log of changes. See INFO memory and MEMORY MALLOC-STATS.")
	}
	if r.clientCount > 0 && r.clients/r.clientCount > 200<<10 {
		found = append(found, "Big client buffers: The clients' buffers in this instance are greater than 200K per "+
			"client (on average). Clients may not read their replies fast enough, or send very large sequences of "+
			"commands. CLIENT LIST shows which.")
	}
	if len(found) == 0 {
		return doctorWell
	}
	return doctorHead + " * " + strings.Join(found, "\n\n * ") + "\n\n" + doctorTail
}
