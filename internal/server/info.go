package server

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// infoText builds INFO; all batons are held.
type infoText struct {
	strings.Builder
	srv   *Server
	nowMs int64
}

func (t *infoText) line(format string, args ...any) {
	fmt.Fprintf(&t.Builder, format, args...)
	t.WriteString("\r\n")
}

// infoSections are the sections of INFO in order; extra ones are not part of the default.
var infoSections = [...]struct {
	name  string
	extra bool
	write func(t *infoText)
}{
	{"server", false, (*infoText).server},
	{"clients", false, (*infoText).clients},
	{"memory", false, (*infoText).memory},
	{"persistence", false, (*infoText).persistence},
	{"stats", false, (*infoText).stats},
	{"replication", false, (*infoText).replication},
	{"cpu", false, (*infoText).cpu},
	{"modules", false, (*infoText).modules},
	{"commandstats", true, (*infoText).commandStats},
	{"errorstats", false, (*infoText).errorStats},
	{"cluster", false, (*infoText).cluster},
	{"keyspace", false, (*infoText).keyspace},
	{"fulmen", false, (*infoText).fulmen},
}

// INFO [section [section ...]]
func cmdInfo(s *Session) error {
	wanted := map[string]bool{}
	for _, a := range s.c.Args[1:] {
		wanted[strings.ToLower(string(a))] = true
	}
	all := wanted["all"] || wanted["everything"]
	standard := len(wanted) == 0 || wanted["default"]
	t := &infoText{srv: s.srv, nowMs: s.c.NowMs}
	for _, sec := range infoSections {
		if !all && !wanted[sec.name] && !(standard && !sec.extra) {
			continue
		}
		if t.Len() > 0 {
			t.WriteString("\r\n")
		}
		title := strings.ToUpper(sec.name[:1]) + sec.name[1:]
		if sec.name == "cpu" {
			title = "CPU"
		}
		t.line("# %s", title)
		sec.write(t)
	}
	s.c.Verbatim("txt", t.String())
	return nil
}

func (t *infoText) server() {
	srv, v := t.srv, t.srv.cfg.Values()
	var uts unix.Utsname
	name := runtime.GOOS
	if unix.Uname(&uts) == nil {
		name = unix.ByteSliceToString(uts.Sysname[:]) + " " + unix.ByteSliceToString(uts.Release[:]) + " " +
			unix.ByteSliceToString(uts.Machine[:])
	}
	exe, err := os.Executable()
	if err != nil {
		exe = ""
	}
	up := (t.nowMs - srv.startMs) / 1000
	t.line("redis_version:%s", RedisVersion)
	t.line("fulmen_version:%s", Version)
	t.line("redis_git_sha1:00000000")
	t.line("redis_git_dirty:0")
	t.line("redis_build_id:0")
	t.line("redis_mode:standalone")
	t.line("os:%s", name)
	t.line("arch_bits:%d", 32<<(^uint(0)>>63))
	t.line("monotonic_clock:Go runtime")
	t.line("multiplexing_api:epoll")
	t.line("atomicvar_api:sync/atomic")
	t.line("go_version:%s", runtime.Version())
	t.line("process_id:%d", os.Getpid())
	t.line("process_supervised:no")
	t.line("run_id:%s", srv.runID)
	t.line("tcp_port:%d", v.Port)
	t.line("server_time_usec:%d", srv.set.Clock.NowUs())
	t.line("uptime_in_seconds:%d", up)
	t.line("uptime_in_days:%d", up/86400)
	t.line("hz:%d", v.Hz)
	t.line("configured_hz:%d", v.Hz)
	t.line("lru_clock:%d", t.nowMs/1000&(1<<24-1))
	t.line("executable:%s", exe)
	t.line("config_file:%s", srv.cfg.File())
	t.line("io_threads_active:%d", btoi(len(srv.loops) > 1))
}

func (t *infoText) clients() {
	var maxIn, maxOut int64
	all := t.srv.clients.all()
	for _, s := range all {
		maxIn = max(maxIn, s.queryBytes.Load())
		maxOut = max(maxOut, s.outBytes.Load())
	}
	t.line("connected_clients:%d", len(all))
	t.line("cluster_connections:0")
	t.line("maxclients:%d", t.srv.cfg.Values().MaxClients)
	t.line("client_recent_max_input_buffer:%d", maxIn)
	t.line("client_recent_max_output_buffer:%d", maxOut)
	t.line("blocked_clients:0")
	t.line("tracking_clients:0")
	t.line("clients_in_timeout_table:0")
}

// human words bytes as Redis does.
func human(n int64) string {
	f := float64(n)
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%dB", n)
	case n < 1<<20:
		return fmt.Sprintf("%.2fK", f/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.2fM", f/(1<<20))
	case n < 1<<40:
		return fmt.Sprintf("%.2fG", f/(1<<30))
	}
	return fmt.Sprintf("%.2fT", f/(1<<40))
}

func (t *infoText) memory() {
	srv := t.srv
	used, rss := srv.usedMemory(), residentBytes(srv.files)
	peak := max(srv.peakMemory.Load(), used)
	srv.peakMemory.Store(peak)
	dataset, clients := srv.datasetBytes(), srv.clientBytes()
	total := totalMemory()
	limit := srv.cfg.Values().MaxMemoryBytes
	t.line("used_memory:%d", used)
	t.line("used_memory_human:%s", human(used))
	t.line("used_memory_rss:%d", rss)
	t.line("used_memory_rss_human:%s", human(rss))
	t.line("used_memory_peak:%d", peak)
	t.line("used_memory_peak_human:%s", human(peak))
	t.line("used_memory_peak_perc:%.2f%%", 100*float64(used)/float64(max(peak, 1)))
	t.line("used_memory_overhead:%d", clients+srv.indexBytes())
	t.line("used_memory_startup:0")
	t.line("used_memory_dataset:%d", dataset-srv.indexBytes())
	t.line("used_memory_dataset_perc:%.2f%%", 100*float64(dataset-srv.indexBytes())/float64(max(used, 1)))
	t.line("total_system_memory:%d", total)
	t.line("total_system_memory_human:%s", human(total))
	t.line("maxmemory:%d", limit)
	t.line("maxmemory_human:%s", human(limit))
	t.line("maxmemory_policy:noeviction")
	t.line("mem_fragmentation_ratio:%.2f", float64(rss)/float64(max(used, 1)))
	t.line("mem_fragmentation_bytes:%d", rss-used)
	t.line("mem_clients_normal:%d", clients)
	t.line("mem_clients_slaves:0")
	t.line("mem_replication_backlog:0")
	t.line("mem_aof_buffer:0")
	t.line("mem_allocator:fulmen-arena")
	t.line("active_defrag_running:0")
	pending := 0
	for _, s := range srv.set.Shards {
		pending += s.LazyPending()
	}
	t.line("lazyfree_pending_objects:%d", pending)
}

func (t *infoText) persistence() {
	var dirty int64
	for _, s := range t.srv.set.Shards {
		dirty += s.Stats.Dirty
	}
	t.line("loading:0")
	t.line("async_loading:0")
	t.line("rdb_changes_since_last_save:%d", dirty)
	t.line("rdb_bgsave_in_progress:0")
	t.line("rdb_last_save_time:%d", t.srv.startMs/1000)
	t.line("aof_enabled:0")
	t.line("aof_rewrite_in_progress:0")
}

func (t *infoText) stats() {
	srv := t.srv
	totals := srv.reactor.Totals()
	var hits, misses, expired, lazy, timeouts, freed, cycleNs int64
	for _, s := range srv.set.Shards {
		hits += s.Stats.Hits
		misses += s.Stats.Misses
		expired += s.Stats.ExpiredKeys
		lazy += s.Stats.ExpiredLazily
		timeouts += s.Stats.ExpireTimeouts
		freed += s.Stats.LazyFreed
		cycleNs += s.Stats.ExpireCycleNs
	}
	var errorReplies int64
	for _, n := range srv.errorCodes() {
		errorReplies += n
	}
	t.line("total_connections_received:%d", totals.Accepted)
	t.line("total_commands_processed:%d", srv.commandsProcessed())
	t.line("instantaneous_ops_per_sec:%d", srv.sampler.ops.average.Load())
	t.line("total_net_input_bytes:%d", totals.NetInputBytes)
	t.line("total_net_output_bytes:%d", totals.NetOutputBytes)
	t.line("instantaneous_input_kbps:%.2f", float64(srv.sampler.in.average.Load())/1024)
	t.line("instantaneous_output_kbps:%.2f", float64(srv.sampler.out.average.Load())/1024)
	t.line("rejected_connections:%d", totals.Refused)
	t.line("sync_full:0")
	t.line("sync_partial_ok:0")
	t.line("sync_partial_err:0")
	t.line("expired_keys:%d", expired)
	t.line("expired_stale_perc:0.00")
	t.line("expired_time_cap_reached_count:%d", timeouts)
	t.line("expire_cycle_cpu_milliseconds:%d", cycleNs/1e6)
	t.line("evicted_keys:0")
	t.line("evicted_clients:0")
	t.line("keyspace_hits:%d", hits)
	t.line("keyspace_misses:%d", misses)
	t.line("pubsub_channels:0")
	t.line("pubsub_patterns:0")
	t.line("latest_fork_usec:0")
	t.line("total_forks:0")
	t.line("lazyfreed_objects:%d", freed)
	t.line("total_error_replies:%d", errorReplies)
	t.line("client_query_buffer_limit_disconnections:%d", totals.QueryLimitHits)
	t.line("client_output_buffer_limit_disconnections:%d", totals.OutputLimitHits)
}

func (t *infoText) replication() {
	t.line("role:master")
	t.line("connected_slaves:0")
	t.line("master_failover_state:no-failover")
	t.line("master_replid:%s", t.srv.runID)
	t.line("master_replid2:%s", strings.Repeat("0", 40))
	t.line("master_repl_offset:%d", t.srv.set.Log.LSN())
	t.line("second_repl_offset:-1")
	t.line("repl_backlog_active:0")
	t.line("repl_backlog_size:0")
	t.line("repl_backlog_first_byte_offset:0")
	t.line("repl_backlog_histlen:0")
}

func (t *infoText) cpu() {
	var self, children syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		t.srv.log.Warn("getrusage: " + err.Error())
	}
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children); err != nil {
		t.srv.log.Warn("getrusage: " + err.Error())
	}
	t.line("used_cpu_sys:%d.%06d", self.Stime.Sec, self.Stime.Usec)
	t.line("used_cpu_user:%d.%06d", self.Utime.Sec, self.Utime.Usec)
	t.line("used_cpu_sys_children:%d.%06d", children.Stime.Sec, children.Stime.Usec)
	t.line("used_cpu_user_children:%d.%06d", children.Utime.Sec, children.Utime.Usec)
}

func (t *infoText) modules() {}

func (t *infoText) commandStats() {
	for _, row := range t.srv.table.All() {
		st := t.srv.rowTotals(row.Index)
		if st.Calls+st.Rejected == 0 {
			continue
		}
		us := st.Ns / 1000
		per := 0.0
		if st.Calls > 0 {
			per = float64(st.Ns) / 1000 / float64(st.Calls)
		}
		t.line("cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			row.FullName, st.Calls, us, per, st.Rejected, st.Failed)
	}
}

func (t *infoText) errorStats() {
	codes := t.srv.errorCodes()
	names := make([]string, 0, len(codes))
	for code := range codes {
		names = append(names, code)
	}
	slices.Sort(names)
	for _, code := range names {
		t.line("errorstat_%s:count=%d", code, codes[code])
	}
}

func (t *infoText) cluster() { t.line("cluster_enabled:0") }

func (t *infoText) keyspace() {
	for id := range t.srv.set.Databases() {
		keys, expires := 0, 0
		for _, s := range t.srv.set.Shards {
			keys += s.DB(id).Len()
			expires += s.DB(id).Expires()
		}
		if keys > 0 {
			t.line("db%d:keys=%d,expires=%d,avg_ttl=0", id, keys, expires)
		}
	}
}

func (t *infoText) fulmen() {
	srv := t.srv
	var drained int64
	var longest int64
	for _, s := range srv.set.Shards {
		drained += s.Stats.Drained
		longest = max(longest, s.Holds().MaxNs)
	}
	gc := readGC()
	t.line("shards:%d", len(srv.set.Shards))
	t.line("event_loops:%d", len(srv.loops))
	t.line("io_engine:epoll")
	t.line("tasks_served_from_inboxes:%d", drained)
	t.line("longest_hold_usec:%d", longest/1000)
	t.line("log_lsn:%d", srv.set.Log.LSN())
	t.line("log_memory_bytes:%d", srv.set.Log.MemoryBytes())
	t.line("arena_bytes:%d", srv.datasetBytes())
	t.line("index_bytes:%d", srv.indexBytes())
	t.line("go_heap_bytes:%d", gc.heapBytes)
	t.line("gc_cpu_seconds:%.6f", gc.cpuSeconds)
}

// gcFigures are what the collector costs.
type gcFigures struct {
	heapBytes  int64
	cpuSeconds float64 // collector, idle-time work excluded
}

func readGC() gcFigures {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
	}
	metrics.Read(samples)
	return gcFigures{
		heapBytes:  int64(samples[0].Value.Uint64()),
		cpuSeconds: samples[1].Value.Float64() - samples[2].Value.Float64(),
	}
}

// datasetBytes is what keys, values and indexes occupy. All batons are held, or the figure is a moment old.
func (srv *Server) datasetBytes() (n int64) {
	for _, s := range srv.set.Shards {
		n += s.PublishedBytes()
	}
	return n
}

func (srv *Server) indexBytes() (n int64) {
	for _, s := range srv.set.Shards {
		for id := range srv.set.Databases() {
			n += s.DB(id).Index().SizeBytes()
		}
	}
	return n
}

func (srv *Server) clientBytes() int64 { return srv.clientMemory.Load() }

// usedMemory is what counts against maxmemory: the shards' slabs and the clients' buffers.
func (srv *Server) usedMemory() int64 { return srv.datasetBytes() + srv.clientBytes() }
