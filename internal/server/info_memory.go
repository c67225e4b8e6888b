package server

import "fmt"

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

// ratio of a part to a whole that may be nothing.
func ratio(a, b int64) float64 { return float64(a) / float64(max(b, 1)) }

func (t *infoText) memory() {
	srv := t.srv
	used, rss := srv.usedMemory()+srv.shadowBytes(), residentBytes(srv.files)
	peak := max(srv.peakMemory.Load(), used)
	srv.peakMemory.Store(peak)
	clients := srv.clientBytes()
	overhead := srv.startBytes + clients + max(srv.indexBytes()-srv.startIndexBytes, 0)
	values := max(used-overhead, 0)
	total, limit := totalMemory(), srv.cfg.Values().MaxMemoryBytes
	t.line("used_memory:%d", used)
	t.line("used_memory_human:%s", human(used))
	t.line("used_memory_rss:%d", rss)
	t.line("used_memory_rss_human:%s", human(rss))
	t.line("used_memory_peak:%d", peak)
	t.line("used_memory_peak_human:%s", human(peak))
	t.line("used_memory_peak_perc:%.2f%%", 100*ratio(used, peak))
	t.line("used_memory_overhead:%d", overhead)
	t.line("used_memory_startup:%d", srv.startBytes)
	t.line("used_memory_dataset:%d", values)
	t.line("used_memory_dataset_perc:%.2f%%", 100*ratio(values, used-srv.startBytes))
	arena := srv.space.Stats()
	t.line("allocator_allocated:%d", srv.datasetBytes())
	t.line("allocator_active:%d", arena.UsedBytes)
	t.line("allocator_resident:%d", arena.ResidentBytes)
	t.line("total_system_memory:%d", total)
	t.line("total_system_memory_human:%s", human(total))
	t.scriptMemory()
	t.line("maxmemory:%d", limit)
	t.line("maxmemory_human:%s", human(limit))
	t.line("maxmemory_policy:%s", srv.memory.Load().eviction)
	t.line("allocator_frag_ratio:%.2f", ratio(arena.UsedBytes, srv.datasetBytes()))
	t.line("allocator_frag_bytes:%d", arena.UsedBytes-srv.datasetBytes())
	t.line("allocator_rss_ratio:%.2f", ratio(arena.ResidentBytes, arena.UsedBytes))
	t.line("allocator_rss_bytes:%d", arena.ResidentBytes-arena.UsedBytes)
	t.line("rss_overhead_ratio:%.2f", ratio(rss, arena.ResidentBytes))
	t.line("rss_overhead_bytes:%d", rss-arena.ResidentBytes)
	t.line("mem_fragmentation_ratio:%.2f", ratio(rss, used))
	t.line("mem_fragmentation_bytes:%d", rss-used)
	t.line("mem_not_counted_for_evict:0")
	backlog, slow := srv.replication.memory()
	t.line("mem_replication_backlog:%d", backlog)
	t.line("mem_total_replication_buffers:%d", backlog+slow)
	t.line("mem_clients_slaves:%d", slow)
	t.line("mem_clients_normal:%d", clients)
	t.line("mem_cluster_links:0")
	t.line("mem_aof_buffer:%d", srv.aof.unwrittenBytes())
	t.line("mem_allocator:fulmen-arena")
	t.line("active_defrag_running:%d", srv.defrag.running())
	f := t.figures()
	t.line("lazyfree_pending_objects:%d", f.lazyPending)
	t.line("lazyfreed_objects:%d", f.LazyFreed)
}

// scriptMemory is what scripts and functions occupy. Lua states run both.
func (t *infoText) scriptMemory() {
	v := &t.srv.scripts
	states, cache := v.bytesOfStates(), v.bytes.Load()
	t.line("used_memory_lua:%d", states)
	t.line("used_memory_vm_eval:%d", states)
	t.line("used_memory_lua_human:%s", human(states))
	t.line("used_memory_scripts_eval:%d", cache)
	t.line("number_of_cached_scripts:%d", v.count.Load())
	set := t.srv.functions.set.Load()
	libraries := int64(set.Bytes())
	t.line("number_of_functions:%d", set.FunctionCount())
	t.line("number_of_libraries:%d", set.Len())
	t.line("used_memory_vm_functions:0")
	t.line("used_memory_vm_total:%d", states)
	t.line("used_memory_vm_total_human:%s", human(states))
	t.line("used_memory_functions:%d", libraries)
	t.line("used_memory_scripts:%d", cache+libraries)
	t.line("used_memory_scripts_human:%s", human(cache+libraries))
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
			n += s.DB(id).PublishedCounts().IndexBytes
		}
	}
	return n
}

func (srv *Server) clientBytes() int64 { return srv.clientMemory.Load() }

// usedMemory is what counts against maxmemory: the shards' slabs and the clients' buffers.
func (srv *Server) usedMemory() int64 { return srv.datasetBytes() + srv.clientBytes() }
