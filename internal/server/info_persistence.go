package server

import (
	"fulmen/persist/snapshot"
)

// saveFigures are what INFO and the console say about saving.
type saveFigures struct {
	current            *snapshot.Progress // nil: no save is under way
	last               snapshot.Progress  // of the last one
	changes            int64              // since the last good save
	lastSaveMs         int64
	failed             bool
	scheduled          bool
	begun              int64
	lastSeconds        int64
	currentSeconds     int64 // -1: no save is under way
	cutWaitNs          int64 // of the last cut: how long the batons were waited for
	heldBack           int64 // how often writers had to wait
	loadedKeys, expiry int64 // of the last load: keys, and those that had expired
}

// figures returns what is true now; dirty are the changes since the start.
func (v *saves) figures(dirty int64) saveFigures {
	sync, syncSeconds := v.srv.replication.syncProgress()
	v.mu.Lock()
	defer v.mu.Unlock()
	f := saveFigures{
		last: v.last, changes: max(dirty-v.saved, 0), lastSaveMs: v.lastMs, failed: v.failed, scheduled: v.scheduled,
		begun: v.begun, heldBack: v.heldBack, cutWaitNs: v.last.WaitNs, lastSeconds: v.lastSeconds,
		current: sync, currentSeconds: syncSeconds,
		loadedKeys: v.srv.loading.keys.Load(), expiry: v.srv.loading.expired.Load(),
	}
	if v.run != nil {
		p := v.run.save.Progress()
		f.current = &p
		f.heldBack += p.Waits
		f.cutWaitNs = p.WaitNs
		f.currentSeconds = (v.srv.set.Clock.NowMs() - v.run.beganMs) / 1000
	}
	return f
}

// cutFigures are the number of cuts and how long the last one took.
func (v *saves) cutFigures() (n, lastNs int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cuts, v.lastCutNs
}

// statusWord is Redis's word for whether something went well.
func statusWord(failed bool) string {
	if failed {
		return "err"
	}
	return "ok"
}

// resetStats follows CONFIG RESETSTAT.
func (v *saves) resetStats() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begun, v.cuts, v.lastCutNs, v.heldBack = 0, 0, 0, 0
}

// percentSaved is how much of a save is done.
func percentSaved(p *snapshot.Progress) float64 {
	return 100 * float64(p.Saved) / float64(max(p.Keys, 1))
}

// persistence tells of saves and loads. There is no fork: what copy-on-write is in Redis is here what writers copied
// before they changed something that was still to be saved.
func (t *infoText) persistence() {
	f := t.srv.saves.figures(t.figures().Dirty)
	var now snapshot.Progress
	if f.current != nil {
		now = *f.current
	} else if p := t.srv.aof.rewrites.figures().progress; p != nil {
		now = *p // current_… are of a rewrite, too
	}
	load, beside := t.srv.loading.underWay()
	t.line("loading:%d", btoi(load != nil && !beside))
	t.line("async_loading:%d", btoi(beside))
	t.line("current_cow_peak:%d", now.CopiedBytes)
	t.line("current_cow_size:%d", now.CopiedBytes)
	t.line("current_cow_size_age:0")
	t.line("current_fork_perc:%.2f", percentSaved(&now))
	t.line("current_save_keys_processed:%d", now.Saved)
	t.line("current_save_keys_total:%d", now.Keys)
	t.line("rdb_changes_since_last_save:%d", f.changes)
	t.line("rdb_bgsave_in_progress:%d", btoi(f.current != nil))
	t.line("rdb_last_save_time:%d", f.lastSaveMs/1000)
	t.line("rdb_last_bgsave_status:%s", statusWord(f.failed))
	t.line("rdb_last_bgsave_time_sec:%d", f.lastSeconds)
	t.line("rdb_current_bgsave_time_sec:%d", f.currentSeconds)
	t.line("rdb_saves:%d", f.begun)
	t.line("rdb_last_cow_size:%d", f.last.CopiedBytes)
	t.line("rdb_last_load_keys_expired:%d", f.expiry)
	t.line("rdb_last_load_keys_loaded:%d", f.loadedKeys)
	t.line("rdb_bgsave_scheduled:%d", btoi(f.scheduled))
	t.line("rdb_last_cut_wait_usec:%d", f.cutWaitNs/1000)
	t.line("rdb_current_save_bytes:%d", now.Bytes)
	t.line("rdb_last_save_bytes:%d", f.last.Bytes)
	t.line("rdb_last_save_keys:%d", f.last.Saved)
	t.line("rdb_last_save_msec:%d", f.last.ElapsedNs/1e6)
	t.line("rdb_buffer_bytes:%d", now.BufferBytes)
	t.line("rdb_last_buffer_peak:%d", f.last.BufferBytes)
	t.line("rdb_writers_held_back:%d", f.heldBack)
	t.appendOnly()
	if load != nil {
		t.loading(load)
	}
}

// loading are the fields that are there during a load only.
func (t *infoText) loading(u *loadUnderWay) {
	t.line("loading_start_time:%d", u.startMs/1000)
	t.line("loading_total_bytes:%d", u.totalBytes())
	t.line("loading_rdb_used_mem:%d", u.progress.SavedMemory.Load())
	t.line("loading_loaded_bytes:%d", u.readBytes())
	t.line("loading_loaded_perc:%.2f", u.percent())
	t.line("loading_eta_seconds:%d", u.etaSeconds(t.nowMs/1000-u.startMs/1000))
}
