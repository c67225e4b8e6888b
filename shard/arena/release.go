package arena

import "golang.org/x/sys/unix"

const (
	idleEpochs     = 2  // calls of Release that a free run must have lain idle
	releaseRuns    = 64 // free runs looked at in one call and bin
	collapseRegion = smallSpace / regionSize
)

// Release gives free memory back to the system, about budget bytes of it, and returns how many bytes it gave. Call it
// regularly from a background goroutine, one at a time: a run is released when it was free through the last two
// calls, so memory that comes and goes stays. Arenas may allocate meanwhile; what is being released is out of their sight.
//
// It also asks once for huge pages where the space began without them, when the space has outgrown that.
func (s *Space) Release(budget int) int {
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	released := 0
	for bin := binCount - 1; bin >= 0 && released < budget; bin-- {
		slab := p.bins[bin]
		for i := 0; i < releaseRuns && slab != 0 && released < budget; i++ {
			head := p.at(slab)
			next := head.next
			if p.epoch-head.freedAt > idleEpochs {
				n := s.releaseRun(slab, uint32((budget-released+slabSize-1)/slabSize))
				if released += n; n > 0 {
					break // the lists have changed while the mutex was free; the rest of the bin is the next call's
				}
			}
			slab = next
		}
	}
	s.collapse()
	return released
}

// releaseRun releases the free run at slab, at most limit slabs of it, and returns the bytes that may have been resident.
// The mutex is held on entry and return, and free during the system call.
func (s *Space) releaseRun(slab, limit uint32) int {
	p := &s.pool
	head := p.at(slab)
	n, freedAt := head.runSlabs, head.freedAt
	first := slab
	for first < slab+n && p.at(first).touched == 0 {
		first++
	}
	if first == slab+n {
		return 0
	}
	n = min(slab+n-first, limit)
	p.cut(slab, first, n)
	p.mu.Unlock()
	ok := madvise(s.Pointer(Ref(first)<<refShift), uintptr(n)*slabSize, unix.MADV_DONTNEED)
	p.mu.Lock()
	count := 0
	for i := first; ok && i < first+n; i++ {
		if m := p.at(i); m.touched != 0 {
			m.touched = 0
			count++
		}
	}
	p.touched -= int64(count)
	p.give(first, n, freedAt)
	return count * slabSize
}

// cut takes the n slabs from first on out of the free run that begins at slab, leaving what lies before and behind free.
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

// collapse asks for huge pages in one of the regions that were mapped while the space was small. Copying a region takes
// a few hundred microseconds, during which who touches it waits; so it is done once, one region a call, and only when
// the space has grown to twice that size. The mutex is held on entry and return, and free during the system call.
func (s *Space) collapse() {
	p := &s.pool
	if s.collapsed >= collapseRegion || int64(p.frontier)*slabSize < 2*smallSpace {
		return
	}
	region := s.collapsed
	s.collapsed++
	p.mu.Unlock()
	at := s.Pointer(Ref(region*regionSlabs) << refShift)
	madvise(at, regionSize, unix.MADV_HUGEPAGE)
	if !madvise(at, regionSize, unix.MADV_COLLAPSE) {
		s.collapsed = collapseRegion // kernel before 6.1, or no huge page to be had: khugepaged may get to it
	}
	p.mu.Lock()
}
