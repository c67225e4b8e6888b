package arena

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"unsafe"

	"fulmen/internal/need"
)

// residentBytes is the process's resident memory that is neither a file's nor shared.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory() // or what the garbage collector has not come to counts
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		need.Missing(t, "no /proc says what memory is resident: %v", err)
	}
	var size, resident, shared int64
	if _, err := fmt.Fscan(bytes.NewReader(text), &size, &resident, &shared); err != nil {
		t.Fatal(err)
	}
	return (resident - shared) * pageSize
}

// TestSlack fills eight arenas with small blocks and compares the resident memory with what the blocks need:
// less than 2 bytes a block at a million, whatever huge pages, half-filled slabs and the side table cost.
func TestSlack(t *testing.T) {
	const blocks, size, shards = 1_000_000, 88, 8
	refs := make([]Ref, blocks)
	for i := range refs {
		refs[i] = 1 // resident before the measurement
	}
	s := newSpace(t, 1<<40)
	var arenas [shards]*Arena
	for i := range arenas {
		arenas[i] = s.NewArena(uint8(i))
	}
	before := residentBytes(t)
	for i := range refs {
		refs[i] = arenas[i%shards].Alloc(size)
		*(*uint64)(s.Pointer(refs[i])) = uint64(i)
	}
	perBlock := float64(residentBytes(t)-before) / blocks
	t.Logf("%.2f bytes resident a block of %d", perBlock, size)
	if perBlock > size+2 {
		t.Errorf("%.2f bytes resident a block of %d", perBlock, size)
	}
	for i, r := range refs {
		arenas[i%shards].Free(r, size)
	}
	for _, a := range arenas {
		a.Trim()
	}
	for range idleEpochs {
		if n := s.Release(1 << 30); n != 0 {
			t.Errorf("%d bytes released that had just been freed", n)
		}
	}
	for range 100 {
		s.Release(8 << 20)
	}
	if n := s.Stats().ResidentBytes; n != 0 {
		t.Errorf("%d bytes not released", n)
	}
	if left := residentBytes(t) - before; left > 2<<20 {
		t.Errorf("%d bytes resident after everything was freed and released", left)
	}
}

// TestSmallDataStaysSmall gives eight arenas a few blocks of many classes: no more than the touched pages may
// be resident.
func TestSmallDataStaysSmall(t *testing.T) {
	s := newSpace(t, 1<<40)
	before := residentBytes(t)
	for owner := range 8 {
		a := s.NewArena(uint8(owner))
		for _, size := range []int{16, 32, 40, 88, 96, 128, 512, 1024, 4096, 4096, 8192} {
			*(*uint64)(s.Pointer(a.Alloc(size))) = 1
		}
	}
	if got := residentBytes(t) - before; got > 2<<20 {
		t.Errorf("%d bytes resident", got)
	}
}

// TestPrepare lets a space grow under the eyes of its background work: what is handed out is resident by then.
func TestPrepare(t *testing.T) {
	s := newSpace(t, 1<<40)
	s.aheadFrom = 8 << 20
	a := s.NewArena(0)
	var refs []Ref
	for range 2 {
		for cold := 0; len(refs) < 1024; {
			p := &s.pool
			if next := p.find(1); next == 0 || p.at(next).touched == 0 {
				if cold++; cold > 160 {
					t.Fatal("slabs are handed out that are not resident")
				}
			}
			refs = append(refs, a.Alloc(slabSize))
			select {
			case <-s.Low():
				s.Prepare()
				checkPool(t, s)
			default:
			}
		}
		for _, r := range refs {
			a.Free(r, slabSize)
		}
		refs = refs[:0]
		for range 100 {
			s.Release(1 << 30)
		}
		checkPool(t, s)
		if s.Stats().ResidentBytes != 0 {
			t.Fatalf("not released: %+v", s.Stats())
		}
	}
}

// TestFastGrowth: a space that is not large yet has memory made resident ahead while it grows fast, and not while it
// grows slowly. What was made so and not used goes back when it has come to rest.
func TestFastGrowth(t *testing.T) {
	for _, fast := range []bool{false, true} {
		s := newSpace(t, 1<<40)
		a := s.NewArena(0)
		ahead, beyond := 0, 0
		for i := range uint32(3 * fastFrom / slabSize) {
			next := s.pool.find(1)
			if i > 2*fastFrom/slabSize {
				beyond++
				if next != 0 && s.pool.at(next).touched != 0 {
					ahead++
				}
			}
			*(*uint64)(s.Pointer(a.Alloc(slabSize))) = 1
			if !fast || i%(4*growsFast) == 0 {
				s.Release(0)
			}
			select {
			case <-s.Low():
				s.Prepare()
				checkPool(t, s)
			default:
			}
		}
		if !fast && ahead != 0 {
			t.Errorf("slow growth: %d of %d slabs were made resident ahead", ahead, beyond)
		}
		if fast && ahead < beyond*9/10 {
			t.Errorf("fast growth: only %d of %d slabs were made resident ahead", ahead, beyond)
		}
		for range 2 * idleEpochsShort {
			s.Release(32 << 20)
		}
		checkPool(t, s)
		if left := s.pool.residentFree(); left != 0 {
			t.Errorf("fast %v: %d slabs stay resident that nobody uses", fast, left)
		}
	}
}

// TestCollapse: regions of a small space become huge pages once the space has grown, and keep their content.
func TestCollapse(t *testing.T) {
	s := newSpace(t, 1<<40)
	m := &model{t: t, a: s.NewArena(0)}
	for i := range 3 * collapseFrom / 4000 {
		b := block{size: 4096, seed: uint64(i)}
		b.ref = m.a.Alloc(b.size)
		m.fill(b)
		m.blocks = append(m.blocks, b)
	}
	for range 20 {
		s.Release(0)
	}
	m.verify()
	if s.collapsed == 0 {
		t.Error("no region was tried")
	}
	t.Logf("regions tried: %d, kernel unwilling: %v", s.collapsed, s.noCollapse)
}

// scatter fills slabs and frees three of four, so that no free run is longer than three slabs.
func scatter(s *Space, slabs int) (a *Arena, kept []Ref) {
	a = s.NewArena(0)
	var refs []Ref
	for i := range slabs {
		r := a.Alloc(slabSize)
		for page := 0; page < slabSize; page += pageSize {
			*(*byte)(unsafe.Add(s.Pointer(r), page)) = byte(i)
		}
		refs = append(refs, r)
	}
	for i, r := range refs {
		if i%4 == 0 {
			kept = append(kept, r)
		} else {
			a.Free(r, slabSize)
		}
	}
	return a, kept
}

// TestReleaseOfShortRuns: holes between slabs in use go back to the system within seconds, all but a small share,
// and stay away; Purge gives back all of them at once.
func TestReleaseOfShortRuns(t *testing.T) {
	const slabs = 1024
	for _, purge := range []bool{false, true} {
		s := newSpace(t, 1<<40)
		before := residentBytes(t)
		a, kept := scatter(s, slabs)
		want := int64(len(kept)) * slabSize
		if purge {
			s.Purge()
		} else {
			for range 2 * idleEpochsShort {
				s.Release(32 << 20)
			}
			want += want / idleShare
		}
		checkPool(t, s)
		if got := s.Stats().ResidentBytes; got > want {
			t.Errorf("purge %v: %d MB of slabs resident, want %d", purge, got>>20, want>>20)
		}
		if got := residentBytes(t) - before; got > want+4<<20 {
			t.Errorf("purge %v: %d MB resident, want %d", purge, got>>20, want>>20)
		}
		for i, r := range kept {
			if got := *(*byte)(s.Pointer(r)); got != byte(4*i) {
				t.Fatalf("purge %v: slab %d was released in use", purge, i)
			}
			a.Free(r, slabSize)
		}
		s.Purge()
		if got := s.Stats().ResidentBytes; got != 0 {
			t.Errorf("purge %v: %d bytes resident in the end", purge, got)
		}
		checkPool(t, s)
	}
}
