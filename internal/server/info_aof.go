package server

// appendOnly are the fields of the append-only file; of them those that Redis doesn't have come last.
func (t *infoText) appendOnly() {
	a := &t.srv.aof
	w, f := a.writer.Load(), a.rewrites.figures()
	t.line("aof_enabled:%d", btoi(t.srv.cfg.Values().AppendOnly))
	t.line("aof_rewrite_in_progress:%d", btoi(f.running))
	t.line("aof_rewrite_scheduled:%d", btoi(f.scheduled))
	t.line("aof_last_rewrite_time_sec:%d", f.lastSeconds)
	t.line("aof_current_rewrite_time_sec:%d", f.currentSeconds)
	t.line("aof_last_bgrewrite_status:%s", statusWord(f.failed))
	t.line("aof_rewrites:%d", f.begun)
	t.line("aof_rewrites_consecutive_failures:%d", f.failures)
	t.line("aof_last_write_status:%s", statusWord(a.refusal.Load() != nil))
	t.line("aof_last_cow_size:%d", f.lastCopied)
	t.line("module_fork_in_progress:0")
	t.line("module_fork_last_cow_size:0")
	if w == nil {
		return
	}
	st := w.Stats()
	t.line("aof_current_size:%d", st.CurrentBytes)
	t.line("aof_base_size:%d", st.BaseBytes)
	t.line("aof_pending_rewrite:%d", btoi(f.scheduled))
	t.line("aof_buffer_length:%d", st.BufferBytes)
	t.line("aof_pending_bio_fsync:%d", btoi(st.Syncing))
	t.line("aof_delayed_fsync:%d", st.DelayedSyncs)
	g := t.srv.gate.figures()
	unsyncedMs := int64(0)
	if since := w.UnsyncedSinceNs(); since != 0 {
		unsyncedMs = max(t.srv.set.Clock.NowNs()-since, 0) / 1e6
	}
	t.line("aof_fsyncs:%d", st.Syncs)
	t.line("aof_lsn:%d", t.srv.set.Log.LSN())
	t.line("aof_written_lsn:%d", w.WrittenLSN())
	t.line("aof_synced_lsn:%d", w.SyncedLSN())
	t.line("aof_unsynced_msec:%d", unsyncedMs)
	t.line("aof_replies_await_writes:%d", btoi(!t.srv.inRing()))
	t.line("aof_replies_held_bytes:%d", g.heldBytes)
	t.line("aof_gated_for_age:%d", g.lateRuns)
	t.line("aof_gated_for_age_msec:%d", g.lateNs/1e6)
	h := a.rewriter.Load().Manifest().History()
	t.line("aof_history_files:%d", h.Files)
	t.line("aof_oldest_restorable_time:%d", h.OldestMs/1000)
	t.line("aof_oldest_restorable_lsn:%d", h.OldestLSN)
	t.line("aof_log_memory:%d", t.srv.set.Log.MemoryBytes())
}
