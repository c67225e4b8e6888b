package server

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"syscall"

	"fulmen/internal/config"
	"fulmen/internal/pubsub"
	"fulmen/shard"
)

func (t *infoText) stats() {
	srv := t.srv
	totals := srv.reactor.Totals()
	t.line("total_connections_received:%d", totals.Accepted)
	t.line("total_commands_processed:%d", srv.commandsProcessed())
	t.line("instantaneous_ops_per_sec:%d", srv.sampler.ops.average.Load())
	t.line("total_net_input_bytes:%d", totals.NetInputBytes)
	t.line("total_net_output_bytes:%d", totals.NetOutputBytes)
	t.line("total_net_repl_input_bytes:%d", srv.upstream.netInput.Load())
	t.line("total_net_repl_output_bytes:0")
	t.line("instantaneous_input_kbps:%.2f", float64(srv.sampler.in.average.Load())/1024)
	t.line("instantaneous_output_kbps:%.2f", float64(srv.sampler.out.average.Load())/1024)
	t.line("instantaneous_input_repl_kbps:0.00")
	t.line("instantaneous_output_repl_kbps:0.00")
	t.line("rejected_connections:%d", totals.Refused)
	t.line("sync_full:%d", t.srv.replication.fullSyncs.Load())
	t.line("sync_partial_ok:%d", t.srv.replication.partialSyncs.Load())
	t.line("sync_partial_err:%d", t.srv.replication.refusedPartials.Load())
	t.keyspaceStats()
	t.line("pubsub_channels:%d", srv.channels.Count(pubsub.Channel))
	t.line("pubsub_patterns:%d", srv.channels.Count(pubsub.Pattern))
	t.line("pubsubshard_channels:%d", srv.channels.Count(pubsub.ShardChannel))
	cuts, lastNs := srv.saves.cutFigures()
	t.line("latest_fork_usec:%d", lastNs/1000)
	t.line("total_forks:%d", cuts)
	t.line("migrate_cached_sockets:%d", t.srv.migrator.cached())
	t.line("slave_expires_tracked_keys:0")
	t.defragStats()
	keys, items := srv.set.TrackedKeys()
	t.line("tracking_total_keys:%d", keys)
	t.line("tracking_total_items:%d", items)
	t.line("tracking_total_prefixes:%d", len(listOf(&srv.trackers.prefixes)))
	t.line("unexpected_error_replies:%d", srv.upstream.errors.Load())
	var errorReplies int64
	for _, n := range srv.errorCodes() {
		errorReplies += n
	}
	t.line("total_error_replies:%d", errorReplies)
	t.line("dump_payload_sanitizations:0")
	threaded := int64(btoi(len(srv.loops) > 1)) // each loop is a thread of its own
	t.line("total_reads_processed:%d", totals.Reads)
	t.line("total_writes_processed:%d", totals.Writes)
	t.line("io_threaded_reads_processed:%d", threaded*totals.Reads)
	t.line("io_threaded_writes_processed:%d", threaded*totals.Writes)
	t.line("client_query_buffer_limit_disconnections:%d", totals.QueryLimitHits)
	t.line("client_output_buffer_limit_disconnections:%d", totals.OutputLimitHits)
	t.line("reply_buffer_shrinks:0")
	t.line("reply_buffer_expands:0")
}

// defragStats are those of active defragmentation; times in milliseconds.
func (t *infoText) defragStats() {
	f := t.figures()
	total, current := t.srv.defrag.times(t.srv.set.Clock.NowNs())
	t.line("active_defrag_hits:%d", f.DefragHits)
	t.line("active_defrag_misses:%d", f.DefragMisses)
	t.line("active_defrag_key_hits:%d", f.DefragKeyHits)
	t.line("active_defrag_key_misses:%d", f.DefragKeyMisses)
	t.line("total_active_defrag_time:%d", total/1e6)
	t.line("current_active_defrag_time:%d", current/1e6)
}

// keyspaceStats are the statistics that the shards count.
func (t *infoText) keyspaceStats() {
	f := t.figures()
	t.line("expired_keys:%d", f.ExpiredKeys)
	t.line("expired_subkeys:%d", f.ExpiredFields)
	t.line("expired_stale_perc:%.2f", float64(f.StalePPM)/1e4)
	t.line("expired_time_cap_reached_count:%d", f.ExpireTimeouts)
	t.line("expire_cycle_cpu_milliseconds:%d", f.ExpireCycleNs/1e6)
	t.line("evicted_keys:%d", f.EvictedKeys)
	t.line("evicted_clients:%d", t.srv.clientEvictor.evicted.Load())
	total, current := t.srv.evict.exceededTimes(t.srv.set.Clock.NowNs())
	t.line("total_eviction_exceeded_time:%d", total/1e6)
	t.line("current_eviction_exceeded_time:%d", current/1e6)
	t.line("keyspace_hits:%d", f.Hits)
	t.line("keyspace_misses:%d", f.Misses)
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
	system, user := mainThreadCPU(t.srv.files)
	t.line("used_cpu_sys_main_thread:%.6f", system)
	t.line("used_cpu_user_main_thread:%.6f", user)
}

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
		c := t.databaseCounts(id)
		if c.Keys > 0 {
			t.line("db%d:keys=%d,expires=%d,avg_ttl=%d,subexpiry=%d", id, c.Keys, c.Expires, averageTTL(c, t.nowMs),
				c.FieldExpires)
		}
	}
}

// databaseCounts sums a database's figures over the shards.
func (t *infoText) databaseCounts(id int) (sum shard.Counts) {
	for _, sh := range t.srv.set.Shards {
		c := sh.DB(id).Counts(t.s.holds(sh))
		sum.Keys += c.Keys
		sum.Expires += c.Expires
		sum.FieldExpires += c.FieldExpires
		sum.ExpireSumMs += c.ExpireSumMs
		sum.IndexBytes += c.IndexBytes
	}
	return sum
}

// averageTTL returns the milliseconds that keys with an expiry have left on average.
func averageTTL(c shard.Counts, nowMs int64) int64 {
	return max(c.ExpireSumMs-c.Expires*nowMs, 0) / max(c.Expires, 1)
}

// latencyStats are percentiles of the durations of commands, in microseconds.
func (t *infoText) latencyStats() {
	v := t.srv.cfg.Values()
	if !v.LatencyTracking {
		return
	}
	for _, row := range t.srv.table.All() {
		if t.srv.rowTotals(row.Index).Calls == 0 {
			continue
		}
		d := t.srv.durations(row)
		if d.Total == 0 {
			continue
		}
		fmt.Fprintf(&t.Builder, "latency_percentiles_usec_%s:", row.FullName)
		for i, percent := range v.LatencyPercentiles {
			if i > 0 {
				t.WriteByte(',')
			}
			fmt.Fprintf(&t.Builder, "p%s=%.3f", config.PercentileText(percent),
				float64(d.Percentile(percent))/1000)
		}
		t.WriteString("\r\n")
	}
}

func (t *infoText) fulmen() {
	srv := t.srv
	var longest int64
	for _, s := range srv.set.Shards {
		longest = max(longest, s.Holds().MaxNs)
	}
	gc := readGC()
	t.line("shards:%d", len(srv.set.Shards))
	t.line("event_loops:%d", len(srv.loops))
	t.line("processors:%d", runtime.GOMAXPROCS(0))
	t.line("io_engine:epoll")
	t.line("tasks_served_from_inboxes:%d", t.figures().Drained)
	t.line("longest_hold_usec:%d", longest/1000)
	t.line("log_lsn:%d", srv.set.Log.LSN())
	t.line("log_memory_bytes:%d", srv.set.Log.MemoryBytes())
	t.line("replicas_reading_files:%d", srv.replication.onDisk())
	t.line("repl_spool_bytes:%d", srv.replication.spools.Bytes())
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
