package arena

import (
	"math"

	"golang.org/x/sys/unix"
)

// What the background goroutine does for a space: give idle memory back, ask for huge pages, and make memory
// resident before a shard needs it. All of it works on runs that are taken out of the pool meanwhile, with the
// mutex free during system calls.

const (
	idleEpochs      = 2    // calls of Release that a free run of a region or more must have lain idle
	idleEpochsShort = 10   // the same for a shorter run: releasing it breaks a huge page
	idleShare       = 32   // of the slabs in use, one in so many may lie free and resident in short runs
	sweepRuns       = 1024 // runs looked at in one call
	sweepBreath     = 128  // runs looked at without letting others have the mutex
	releaseAtOnce   = 32 << 20
	lowSlabs        = regionSlabs / 2
)

// Release gives free memory back to the system, about budget bytes of it, and returns how many bytes it gave.
// Call it regularly (a few times a second) from the space's background goroutine: a run is released when it was
// free through the last calls, so memory that comes and goes stays. Arenas may allocate meanwhile; what is
// being released is out of their sight. Each call may also turn a few regions that were touched in small pages
// into huge ones.
func (s *Space) Release(budget int) int {
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	p.taken = [2]uint32{0, p.taken[0]}
	released := 0
	if p.residentFree() > 0 {
		released = s.sweep(budget, sweepRuns, false)
	}
	for range collapseRegions {
		s.collapse()
	}
	return released
}

// Purge gives all free memory back to the system at once, however lately it was freed, and returns how many bytes
// it gave. It takes some 0.1 ms a megabyte, in system calls outside the mutex. Arenas keep a spare slab each, which
// Trim gives back before.
func (s *Space) Purge() int {
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.sweep(math.MaxInt, int(p.frontier), true)
}

// sweep goes through the runs in the order of their addresses, where it stopped last time, and releases the free
// ones that have lain idle, or all of them. It stops after so many looks or bytes. The mutex is held, but for
// system calls and now and then.
func (s *Space) sweep(budget, looks int, all bool) (released int) {
	p := &s.pool
	for ; looks > 0 && released < budget && p.residentFree() > 0; looks-- {
		if looks%sweepBreath == 0 {
			p.mu.Unlock()
			p.mu.Lock()
		}
		if p.sweepAt >= p.frontier {
			p.sweepAt, p.scanned = 0, 0
		}
		slab := p.sweepAt
		head := p.at(slab)
		if head.state == stateFree && head.resident > 0 && (all || s.idle(slab)) {
			limit := uint32((min(budget-released, releaseAtOnce) + slabSize - 1) / slabSize)
			n := s.releaseRun(slab, limit)
			if released += n; n > 0 {
				continue // the run may have more, and others have joined it
			}
		}
		p.sweepAt, p.scanned = slab+p.at(slab).runSlabs, 0
	}
	return released
}

// idle reports whether the free run at slab should be released.
func (s *Space) idle(slab uint32) bool {
	p := &s.pool
	head := p.at(slab)
	last := slab+head.runSlabs == p.frontier
	idle := uint32(idleEpochs)
	if head.runSlabs < regionSlabs {
		idle = idleEpochsShort
		if used := int64(p.frontier) - 1 - p.freed; !last && p.residentFree() <= used/idleShare {
			return false
		}
	}
	ahead := last && head.runSlabs <= 2*regionSlabs && int64(p.frontier)*slabSize >= s.aheadFrom
	return p.epoch-head.freedAt > idle && !ahead
}

// releaseRun releases up to limit neighbouring slabs of the free run at slab, the first that are resident, and
// returns their bytes; 0 if the system refuses.
func (s *Space) releaseRun(slab, limit uint32) int {
	p := &s.pool
	head := p.at(slab)
	end, freedAt := slab+head.runSlabs, head.freedAt
	first := max(slab, p.scanned)
	for first < end && p.at(first).touched == 0 {
		first++
	}
	if first >= end {
		panic("BUG: arena: a free run has fewer resident slabs than it was said to")
	}
	n := uint32(0)
	for n < limit && first+n < end && p.at(first+n).touched != 0 {
		n++
	}
	p.cut(slab, first, n, 0, n)
	p.scanned = first
	lo, hi := first&^(regionSlabs-1), (first+n+regionSlabs-1)&^(regionSlabs-1)
	refuse := false
	for region := lo; region < hi; region += regionSlabs {
		if m := p.at(region); m.huge != hugeRefused {
			m.huge, refuse = hugeRefused, true
		}
	}
	p.mu.Unlock()
	if refuse { // before: the system must not fill up what is being released
		madvise(s.Pointer(Ref(lo)<<refShift), uintptr(hi-lo)*slabSize, unix.MADV_NOHUGEPAGE)
	}
	ok := madvise(s.Pointer(Ref(first)<<refShift), uintptr(n)*slabSize, unix.MADV_DONTNEED)
	p.mu.Lock()
	left := n
	if ok {
		left = 0
		for i := first; i < first+n; i++ {
			p.at(i).touched = 0
		}
		p.touched -= int64(n)
	}
	undisturbed := p.sweepAt == slab && p.scanned == first
	p.give(first, n, freedAt, left)
	if undisturbed && left == 0 && p.sweepAt == slab {
		p.scanned = first + n
	}
	return int(n-left) * slabSize
}

// cut takes n slabs from first on out of the free run that begins at slab, leaving what lies before and behind
// free. So many of the slabs before and of the n are resident.
func (p *pool) cut(slab, first, n, before, within uint32) {
	head := p.at(slab)
	end, freedAt, resident := slab+head.runSlabs, head.freedAt, head.resident
	p.unlink(slab)
	if first > slab {
		p.at(slab).freedAt = freedAt
		p.link(slab, first-slab, before)
	}
	if first+n < end {
		p.at(first + n).freedAt = freedAt
		p.link(first+n, end-first-n, resident-before-within)
	}
	p.mark(first, n)
}

// collapseRegions is how many regions one call of Release turns into huge pages, collapseLook how many it looks at
// for each.
const (
	collapseRegions = 3
	collapseLook    = 4096
)

// collapse asks for a huge page in one region that was touched in small pages and is in use as a whole. Copying it
// takes 0.3 to 3 ms of this goroutine's time, during which who touches the region waits: it is done once a region.
func (s *Space) collapse() {
	p := &s.pool
	if s.noCollapse || int64(p.frontier)*slabSize < collapseFrom {
		return
	}
	regions := p.frontier / regionSlabs
	for range min(regions, collapseLook) {
		region := s.nextCollapse % regions
		s.nextCollapse = region + 1
		head := p.at(region * regionSlabs)
		if head.huge == hugeAsked || !p.inUse(max(region*regionSlabs, 1), (region+1)*regionSlabs) {
			continue
		}
		head.huge = hugeAsked
		s.collapsed++
		p.mu.Unlock()
		at := s.Pointer(Ref(region*regionSlabs) << refShift)
		madvise(at, regionSize, unix.MADV_HUGEPAGE)
		s.noCollapse = !madvise(at, regionSize, unix.MADV_COLLAPSE) // before Linux 6.1, or no huge page to be had
		p.mu.Lock()
		return
	}
}

func (p *pool) inUse(slab, end uint32) bool {
	for ; slab < end; slab++ {
		if p.at(slab).touched == 0 {
			return false
		}
	}
	return true
}

// Low is rung when the background goroutine should call Prepare.
func (s *Space) Low() <-chan struct{} { return s.low }

// Prepare makes up to a region of the slabs that will be handed out next resident, mapping a new region if
// there is none: the system's clearing of a huge page is not for who holds a baton. Call it from the goroutine
// that calls Release.
func (s *Space) Prepare() {
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.residentFree() < lowSlabs && !p.noPopulate {
		s.prepare(p.find(1))
	}
}

// PrepareBytes makes slabs resident until as many bytes of them are free, as huge pages where whole regions are free,
// for a job that is going to fill them: a load. Others who allocate meanwhile may take some. Safe for concurrent use;
// no baton may be held.
func (s *Space) PrepareBytes(free int64) {
	want := (free + slabSize - 1) >> slabShift
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.residentFree() < want && !p.noPopulate {
		slab := p.find(1)
		if slab != 0 && p.at(slab).resident == p.at(slab).runSlabs {
			slab = p.lastFree()
		}
		if !s.prepare(slab) {
			return
		}
	}
}

// lastFree returns the free run at the frontier, 0 if there is none, or nothing in it that isn't resident.
func (p *pool) lastFree() uint32 {
	last := p.at(p.frontier - 1)
	if slab := p.frontier - last.runSlabs; last.state == stateFree && p.at(slab).resident < last.runSlabs {
		return slab
	}
	return 0
}

// prepare makes up to a region of the free run at slab resident, the first that isn't, or of a new one if that is 0. It
// reports whether it did. The mutex is held, but for system calls.
func (s *Space) prepare(slab uint32) bool {
	p := &s.pool
	if slab == 0 {
		if s.growRegion() != nil {
			return false // who needs the memory will say so
		}
		slab = p.lastFree()
	}
	end := slab + p.at(slab).runSlabs
	freedAt := p.epoch
	first := slab
	for first < end && p.at(first).touched != 0 {
		first++
	}
	end = min(end, (first+regionSlabs)&^(regionSlabs-1))
	if first >= end {
		return false
	}
	n := end - first
	resident := uint32(0)
	for i := first; i < end; i++ {
		resident += uint32(p.at(i).touched)
	}
	p.cut(slab, first, n, first-slab, resident)
	whole := n == regionSlabs && first%regionSlabs == 0
	if whole {
		p.at(first).huge = hugeAsked
	}
	p.mu.Unlock()
	if whole {
		madvise(s.Pointer(Ref(first)<<refShift), regionSize, unix.MADV_HUGEPAGE)
	}
	ok := madvise(s.Pointer(Ref(first)<<refShift), uintptr(n)*slabSize, unix.MADV_POPULATE_WRITE)
	p.mu.Lock()
	if ok {
		for i := first; i < end; i++ {
			p.at(i).touched = 1
		}
		p.touched += int64(n - resident)
		resident = n
	} else {
		p.noPopulate = true // before Linux 5.14; without memory the next touch will tell
	}
	p.give(first, n, freedAt, resident)
	return ok
}
