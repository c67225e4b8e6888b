package arena

import "golang.org/x/sys/unix"

// What the background goroutine does for a space: give idle memory back, ask for huge pages, and make memory
// resident before a shard needs it. All of it works on runs that are taken out of the pool meanwhile, with the
// mutex free during system calls.

const (
	idleEpochs      = 2  // calls of Release that a free run of a region or more must have lain idle
	idleEpochsShort = 10 // the same for a shorter run: releasing it breaks a huge page
	releaseRuns     = 64 // free runs looked at in one call and bin
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
	released := 0
	for bin := binCount - 1; bin >= 0 && released < budget; bin-- {
		slab := p.bins[bin]
		for i := 0; i < releaseRuns && slab != 0; i++ {
			next := p.at(slab).next
			if n := s.releaseRun(slab, uint32((budget-released+slabSize-1)/slabSize)); n > 0 {
				released += n
				break // the lists have changed while the mutex was free; the rest of the bin is the next call's
			}
			slab = next
		}
	}
	for range collapseRegions {
		s.collapse()
	}
	return released
}

// releaseRun releases at most limit slabs of the free run at slab, if it has been idle for long enough, and
// returns the bytes that were resident.
func (s *Space) releaseRun(slab, limit uint32) int {
	p := &s.pool
	head := p.at(slab)
	end, freedAt := slab+head.runSlabs, head.freedAt
	idle := uint32(idleEpochs)
	if head.runSlabs < regionSlabs {
		idle = idleEpochsShort
	}
	ahead := end == p.frontier && head.runSlabs <= 2*regionSlabs && int64(p.frontier)*slabSize >= s.aheadFrom
	if p.epoch-freedAt <= idle || ahead {
		return 0
	}
	first := slab
	for first < end && p.at(first).touched == 0 {
		first++
	}
	if first == end {
		return 0
	}
	n := min(end-first, limit)
	p.cut(slab, first, n)
	p.mu.Unlock()
	ok := madvise(s.Pointer(Ref(first)<<refShift), uintptr(n)*slabSize, unix.MADV_DONTNEED)
	// Whole regions come back in small pages, unless they are prepared.
	lo, hi := (first+regionSlabs-1)&^(regionSlabs-1), (first+n)&^(regionSlabs-1)
	if ok && lo < hi {
		madvise(s.Pointer(Ref(lo)<<refShift), uintptr(hi-lo)*slabSize, unix.MADV_NOHUGEPAGE)
	}
	p.mu.Lock()
	for region := lo; ok && region < hi; region += regionSlabs {
		p.at(region).huge = 0
	}
	count := 0
	for i := first; ok && i < first+n; i++ {
		count += int(p.at(i).touched)
		p.at(i).touched = 0
	}
	p.touched -= int64(count)
	p.give(first, n, freedAt)
	return count * slabSize
}

// cut takes n slabs from first on out of the free run that begins at slab, leaving what lies before and behind
// free.
func (p *pool) cut(slab, first, n uint32) {
	head := p.at(slab)
	end, freedAt := slab+head.runSlabs, head.freedAt
	p.unlink(slab)
	if first > slab {
		p.at(slab).freedAt = freedAt
		p.link(slab, first-slab)
	}
	if first+n < end {
		p.at(first + n).freedAt = freedAt
		p.link(first+n, end-first-n)
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
		if head.huge != 0 || !p.inUse(max(region*regionSlabs, 1), (region+1)*regionSlabs) {
			continue
		}
		head.huge = 1
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
	if p.residentFree() >= lowSlabs || p.noPopulate {
		return
	}
	slab := p.find(1)
	if slab == 0 {
		if s.grow(1) != nil {
			return // who needs the memory will say so
		}
		slab = p.find(1)
	}
	end := slab + p.at(slab).runSlabs
	freedAt := p.epoch
	first := slab
	for first < end && p.at(first).touched != 0 {
		first++
	}
	end = min(end, (first+regionSlabs)&^(regionSlabs-1))
	if first >= end {
		return
	}
	n := end - first
	p.cut(slab, first, n)
	whole := n == regionSlabs && first%regionSlabs == 0
	if whole {
		p.at(first).huge = 1
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
		p.touched += int64(n)
	} else {
		p.noPopulate = true // before Linux 5.14; without memory the next touch will tell
	}
	p.give(first, n, freedAt)
}
