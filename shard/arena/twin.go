package arena

import "fmt"

// A twin is where a second set of blocks is made beside an arena that is in use, by other goroutines and without that
// one's holder: what it has made then becomes the arena's as a whole (Absorb).

// NewTwin returns an empty arena whose blocks have the same owner as those of the arena with that number. Until Absorb
// nobody but the twin may free one of them: Space doesn't know it.
func (s *Space) NewTwin(owner uint8) *Arena {
	return &Arena{space: s, base: s.base, meta: s.pool.meta, owner: owner, evac: evacuation{class: -1}}
}

// Absorb takes all blocks and slabs of a twin, which is empty then. It takes time proportional to the number of the
// twin's partly filled slabs.
func (a *Arena) Absorb(twin *Arena) {
	if twin.owner != a.owner || twin.space != a.space || twin.taken != 0 || twin.Owed() || twin.evac.count != 0 {
		panic("BUG: arena: Absorb of what is no twin")
	}
	twin.Trim()
	for class := range twin.partial {
		first := twin.partial[class]
		if first == 0 {
			continue
		}
		last := first
		for a.at(last).next != 0 {
			last = a.at(last).next
		}
		if old := a.partial[class]; old != 0 {
			a.at(last).next, a.at(old).prev = old, last
		}
		a.partial[class], twin.partial[class] = first, 0
	}
	a.used, a.slabs = a.used+twin.used, a.slabs+twin.slabs
	twin.used, twin.slabs = 0, 0
}

// Limit has the space use no more than so many bytes of its reservation; for tests of what happens then.
func (s *Space) Limit(bytes int64) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.pool.ceiling = min(uint32(bytes>>slabShift), s.pool.limit)
}

// Room makes sure that blocks of bytes in sum, and any one of that size, can be allocated, for a job that must not end
// the process if they can't be: it maps what is lacking. Others who allocate meanwhile may take some of it, so ask for
// more than is needed. Safe for concurrent use.
func (s *Space) Room(bytes int64) error {
	n := uint32(min((bytes+slabSize-1)>>slabShift, int64(s.pool.limit)))
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.find(n) != 0 {
		return nil
	}
	if err := s.grow(n); err != nil {
		return fmt.Errorf("not enough memory: %w", err)
	}
	return nil
}
