package server

import (
	"sync/atomic"

	"fulmen/internal/config"
	"fulmen/shard"
)

// Active defragmentation runs on the shards' home loops, in slices like other background work. As in Redis its share
// of a loop's time depends on how much memory is wasted: active-defrag-cycle-min percent of it from
// active-defrag-threshold-lower percent of waste on, active-defrag-cycle-max from -threshold-upper on, in between in
// proportion. A shard whose last pass left nothing to gain is asked for nothing.

// defragBurstNs is how much of a loop's time that was not used for defragmentation is made up for.
const defragBurstNs = 10_000_000

// defragmenter is what the server knows of it. Atomic.
type defragmenter struct {
	percent atomic.Int64 // of a loop's time; 0 = nothing to do. Written by the sampler.
	passes  atomic.Int64 // shards with a pass under way
	sinceNs atomic.Int64 // when passes was last 0
	totalNs atomic.Int64 // for how long it was not 0, before sinceNs
}

// defragPercent returns the share of a loop's time that is spent if so many bytes are held for so many in use; 0 if it
// isn't worth it.
func defragPercent(v *config.Values, held, used int64) int64 {
	waste := held - used
	if !v.ActiveDefrag || waste < v.DefragIgnoreBytes || used <= 0 || waste*100 < used*v.DefragLowerPercent {
		return 0
	}
	least, most := v.DefragCycleMin, v.DefragCycleMax
	percent := most
	if span := v.DefragUpperPercent - v.DefragLowerPercent; span > 0 {
		over := min(waste*100/used-v.DefragLowerPercent, span)
		percent = least + (most-least)*over/span
	}
	return min(max(percent, least), max(most, least))
}

// sample decides how much is to be done. A running pass is never slowed down.
func (d *defragmenter) sample(srv *Server) {
	v := srv.cfg.Values()
	var held, used int64
	for _, s := range srv.set.Shards {
		held += s.HeldBytes()
		used += s.PublishedBytes()
	}
	percent := defragPercent(v, held, used)
	if v.ActiveDefrag && d.passes.Load() > 0 {
		percent = max(percent, min(d.percent.Load(), max(v.DefragCycleMin, v.DefragCycleMax)), v.DefragCycleMin)
	}
	d.percent.Store(percent)
}

// running is what INFO calls active_defrag_running: the percentage while a pass is under way.
func (d *defragmenter) running() int64 {
	if d.passes.Load() == 0 {
		return 0
	}
	return d.percent.Load()
}

// times returns for how long passes have been under way, all in all and until now, in nanoseconds.
func (d *defragmenter) times(nowNs int64) (totalNs, currentNs int64) {
	if d.passes.Load() > 0 {
		currentNs = max(nowNs-d.sinceNs.Load(), 0)
	}
	return d.totalNs.Load() + currentNs, currentNs
}

// reset has the times begin now.
func (d *defragmenter) reset(nowNs int64) {
	d.totalNs.Store(0)
	d.sinceNs.Store(nowNs)
}

// began and ended keep the times of a shard's pass.
func (d *defragmenter) began(nowNs int64) {
	if d.passes.Add(1) == 1 {
		d.sinceNs.Store(nowNs)
	}
}

func (d *defragmenter) ended(nowNs int64) {
	if d.passes.Add(-1) == 0 {
		d.totalNs.Add(max(nowNs-d.sinceNs.Load(), 0))
	}
}

// defragInBackground works on one of the loop's shards for a slice, and tells whether it should be called again soon.
func (l *loop) defragInBackground() (more bool) {
	d, now := &l.srv.defrag, l.worker.NowNs
	percent := d.percent.Load()
	elapsed := min(now-l.defragAtNs, defragBurstNs)
	l.defragAtNs = now
	if l.srv.saver.Overdrawn() {
		return false
	}
	if percent == 0 && d.passes.Load() == 0 {
		l.defragNs = 0
		return false
	}
	if percent == 0 { // switched off in the middle of a pass, which has to be wound up
		percent = 1
	}
	if l.defragNs = min(l.defragNs+elapsed*percent/100, defragBurstNs*percent/100); l.defragNs <= 0 {
		return false
	}
	for range l.home {
		s := l.home[l.nextDefrag%len(l.home)].s
		if s.Fragmented() {
			if busy := l.defragSlice(s); busy {
				return l.defragNs > 0
			}
		}
		l.nextDefrag = (l.nextDefrag + 1) % len(l.home)
	}
	return false
}

// defragSlice works on one shard for a slice and tells whether work is left.
func (l *loop) defragSlice(s *shard.Shard) (busy bool) {
	if !s.Acquire(&l.worker) {
		return false // its holder is working: next tick
	}
	srv := l.srv
	v, before := srv.cfg.Values(), s.Defragmenting()
	began := l.worker.NowNs
	for busy = true; busy && l.worker.NowNs < began+sliceNs; {
		if v.ActiveDefrag {
			busy = !s.DefragSome(sliceBudget, int(v.DefragMaxScanFields))
		} else {
			busy = !s.EndDefrag(sliceBudget)
		}
		l.worker.NowNs = srv.set.Clock.NowNs()
	}
	l.defragNs -= min(l.worker.NowNs-began, 2*sliceNs) // in what is beyond it the thread was not running
	s.Ran("defragmentation", l.worker.NowNs-began)
	switch after := s.Defragmenting(); {
	case after && !before:
		srv.defrag.began(began)
	case before && !after:
		srv.defrag.ended(l.worker.NowNs)
	}
	s.Release(&l.worker)
	return busy
}
