package arena

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// DefaultReserve is the address space in bytes that NewSpace reserves when it is given 0: half of a Ref's
	// reach.
	DefaultReserve = 4 << 40
	minReserve     = 1 << 30

	// Ages of a space, in bytes. A small one does without huge pages: a server of a thousand keys has a few partly
	// filled slabs a shard and must not pay 2 MiB for each touch. From fastFrom on the next region is made resident
	// ahead of its use, as a huge page, while the space grows fast: by growsFast slabs from one call of Release to
	// the next but one. From aheadFrom on, when a region of slack no longer counts, it always is. Beyond
	// collapseFrom, regions that are in use as a whole and came in small pages get huge ones afterwards, which costs
	// ten times what it costs ahead. Nobody ever touches a huge page first while holding a baton: with memory
	// fragmented that takes the kernel 0.4 to 4 ms (measured), and what is touched before it could be prepared comes
	// in small pages.
	fastFrom     = 16 << 20
	collapseFrom = 32 << 20
	aheadFrom    = 256 << 20
	growsFast    = regionSlabs / 2
)

// Ref is the address of a block: its distance from the Space's base in units of 8 bytes. 0 means none; it is
// below 2^40.
type Ref uint64

// Space is a reservation of address space and the pool of its slabs. It is safe for concurrent use.
type Space struct {
	base unsafe.Pointer // aligned to regionSize; immutable

	// immutable after NewSpace
	raw      unsafe.Pointer // what mmap returned
	rawBytes uintptr

	// a constant, but smaller in tests; immutable
	aheadFrom int64

	low chan struct{} // of length 1: rung when resident free slabs run out

	// the background goroutine's
	nextCollapse uint32 // the region that collapse looks at next
	collapsed    int    // regions that it asked a huge page for
	noCollapse   bool   // the kernel doesn't know it

	arenas [256]atomic.Pointer[Arena] // by owner: where Free gives another arena's blocks back

	pool pool
}

// Stats are a Space's figures, all in bytes.
type Stats struct {
	ReservedBytes int64 // address space
	MappedBytes   int64 // made accessible so far
	ResidentBytes int64 // handed out at least once since last released to the system: an upper estimate
	FreeBytes     int64 // in free slabs; resident or not
	UsedBytes     int64 // slabs held by arenas
}

// NewSpace reserves address space; reserveBytes 0 means DefaultReserve. Where the system refuses that much (a
// limit on address space), it takes the largest half, quarter, … it can get, down to 1 GiB unless less was
// asked for.
func NewSpace(reserveBytes int64) (*Space, error) {
	if reserveBytes <= 0 {
		reserveBytes = DefaultReserve
	}
	want := (min(reserveBytes, 8<<40) + regionSize - 1) &^ (regionSize - 1)
	var errFirst error
	for size := want; size >= min(want, minReserve); size = size / 2 &^ (regionSize - 1) {
		s, err := reserve(uintptr(size))
		if err == nil {
			return s, nil
		}
		if errFirst == nil {
			errFirst = err
		}
	}
	return nil, fmt.Errorf("arena: reserving %d bytes of address space: %w", want, errFirst)
}

func reserve(size uintptr) (*Space, error) {
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE
	rawBytes := size + regionSize // room to align
	raw, err := unix.MmapPtr(-1, 0, nil, rawBytes, unix.PROT_NONE, flags)
	if err != nil {
		return nil, err
	}
	slabs := size / slabSize
	meta, err := unix.MmapPtr(-1, 0, nil, slabs*metaSize, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return nil, errors.Join(err, unix.MunmapPtr(raw, rawBytes))
	}
	s := &Space{raw: raw, rawBytes: rawBytes, aheadFrom: aheadFrom, low: make(chan struct{}, 1)}
	s.base = unsafe.Add(raw, -uintptr(raw)&(regionSize-1))
	s.pool.meta = meta
	s.pool.limit, s.pool.ceiling = uint32(slabs), uint32(slabs)
	s.pool.epoch = 2 * idleEpochsShort // so that there is a time before the first call of Release
	s.pool.frontier = 1                // slab 0 is never used: Ref 0 means none
	s.pool.mark(0, 1)
	return s, nil
}

// Close unmaps the space. It is for tests: a server keeps its space until it exits, because prefetches may read any
// address that was ever handed out.
func (s *Space) Close() error {
	return errors.Join(
		unix.MunmapPtr(s.raw, s.rawBytes),
		unix.MunmapPtr(s.pool.meta, uintptr(s.pool.limit)*metaSize))
}

// Base returns the address that Refs count from. It never changes.
func (s *Space) Base() unsafe.Pointer { return s.base }

// Pointer returns the address of block r. The memory is not Go's: it holds no Go pointers and is not kept alive
// by the pointer.
func (s *Space) Pointer(r Ref) unsafe.Pointer { return unsafe.Add(s.base, uintptr(r)<<3) }

// Owner returns the number given to NewArena for the arena that holds the live block r.
func (s *Space) Owner(r Ref) uint8 { return uint8(s.pool.at(uint32(r>>refShift)).id >> 8) }

// Stats returns the space's figures.
func (s *Space) Stats() Stats {
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	mapped := int64(p.frontier) * slabSize
	return Stats{
		ReservedBytes: int64(p.limit) * slabSize,
		MappedBytes:   mapped,
		ResidentBytes: p.touched * slabSize,
		FreeBytes:     p.freed * slabSize,
		UsedBytes:     mapped - slabSize - p.freed*slabSize,
	}
}

// takeRun hands out n neighbouring slabs. It panics if the system or the reservation has no more memory: there
// is nothing a server could do about it in the middle of a command, and maxmemory exists to stay away from it.
func (s *Space) takeRun(n uint32) uint32 {
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	slab := p.find(n)
	if slab == 0 {
		if err := s.grow(n); err != nil {
			panic(fmt.Sprintf("out of memory: %v", err))
		}
		if slab = p.find(n); slab == 0 {
			panic("BUG: arena: no free run after growing")
		}
	}
	p.take(slab, n)
	p.taken[0] += n
	if s.wantsAhead() {
		select {
		case s.low <- struct{}{}:
		default:
		}
	}
	return slab
}

// wantsAhead reports whether memory is to be made resident ahead of its use. The pool's mutex is held.
func (s *Space) wantsAhead() bool {
	p := &s.pool
	if p.noPopulate || p.residentFree() >= lowSlabs {
		return false
	}
	mapped := int64(p.frontier) * slabSize
	return mapped >= s.aheadFrom || mapped >= fastFrom && p.taken[0]+p.taken[1] >= growsFast
}

// frontier returns the number of slabs that are mapped.
func (s *Space) frontier() uint32 {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return s.pool.frontier
}

// giveRun takes back a run.
func (s *Space) giveRun(slab, n uint32) {
	p := &s.pool
	p.mu.Lock()
	p.give(slab, n, p.epoch, n)
	p.mu.Unlock()
}

// giveIdle takes back a slab that is not expected to be needed soon: Release need not wait to see whether it is.
func (s *Space) giveIdle(slab uint32) {
	p := &s.pool
	p.mu.Lock()
	p.give(slab, 1, p.epoch-idleEpochsShort-1, 1)
	p.mu.Unlock()
}

// grow maps whole regions until the run at the frontier has at least n slabs. The pool's mutex is held.
func (s *Space) grow(n uint32) error {
	p := &s.pool
	have := uint32(0)
	if last := p.at(p.frontier - 1); last.state == stateFree {
		have = last.runSlabs
	}
	end := (p.frontier + n - have + regionSlabs - 1) &^ (regionSlabs - 1)
	if end > p.ceiling || end < p.frontier {
		return fmt.Errorf("arena: the reservation of %d GiB is used up", int64(p.ceiling)*slabSize>>30)
	}
	start := p.frontier &^ (regionSlabs - 1)
	at := unsafe.Add(s.base, uintptr(start)*slabSize)
	size := uintptr(end-start) * slabSize
	if err := mprotect(at, size); err != nil {
		return fmt.Errorf("arena: mprotect of %d bytes: %w", size, err)
	}
	first := p.frontier
	p.frontier = end
	p.mark(first, end-first)
	p.give(first, end-first, p.epoch, 0)
	return nil
}

// growRegion maps a region more. The pool's mutex is held.
func (s *Space) growRegion() error {
	n := uint32(1)
	if last := s.pool.at(s.pool.frontier - 1); last.state == stateFree {
		n += last.runSlabs
	}
	return s.grow(n)
}

func mprotect(at unsafe.Pointer, size uintptr) error {
	return unix.Mprotect(unsafe.Slice((*byte)(at), size), unix.PROT_READ|unix.PROT_WRITE)
}

// madvise gives the system a hint; where it refuses one, everything works as before, and so errors say nothing.
func madvise(at unsafe.Pointer, size uintptr, advice int) bool {
	return unix.Madvise(unsafe.Slice((*byte)(at), size), advice) == nil
}
