package arena

import (
	"sync"
	"testing"
)

// TestPrepareBytes: what was asked for is free and resident, whatever is free elsewhere, and what is handed out then is
// resident already.
func TestPrepareBytes(t *testing.T) {
	s := newSpace(t, 1<<40)
	a := s.NewArena(0)
	var refs []Ref
	for range 100 {
		refs = append(refs, a.Alloc(slabSize))
	}
	for i := 0; i < len(refs); i += 2 { // resident holes
		a.Free(refs[i], slabSize)
	}
	for _, want := range []int64{0, slabSize, 3 << 20, 20 << 20, 10 << 20} {
		s.PrepareBytes(want)
		checkPool(t, s)
		st := s.Stats()
		free := st.ResidentBytes - st.UsedBytes
		if free < want || free > max(want, 20<<20)+2*regionSize {
			t.Errorf("asked for %d bytes: %d are free and resident", want, free)
		}
	}
	before := s.Stats().ResidentBytes
	for range 20 << 20 / slabSize {
		a.Alloc(slabSize)
	}
	if after := s.Stats().ResidentBytes; after != before {
		t.Errorf("%d bytes resident, %d before", after, before)
	}
}

// TestPrepareBytesFails: at the end of the reservation nothing hangs, and who allocates gets what there is.
func TestPrepareBytesFails(t *testing.T) {
	s := newSpace(t, 4*regionSize)
	s.PrepareBytes(100 * regionSize)
	checkPool(t, s)
	a := s.NewArena(0)
	for range 4*regionSlabs - 1 {
		a.Alloc(slabSize)
	}
	checkPool(t, s)
}

// TestPrepareBytesBesideOthers has goroutines prepare and allocate side by side, with the background work beside.
func TestPrepareBytesBesideOthers(t *testing.T) {
	s := newSpace(t, 1<<40)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			a := s.NewArena(uint8(i))
			for range 20 {
				s.PrepareBytes(3 << 20)
				var refs []Ref
				for range 50 {
					refs = append(refs, a.Alloc(slabSize))
				}
				for _, r := range refs[:25] {
					a.Free(r, slabSize)
				}
			}
		})
	}
	stop := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.Release(1 << 30)
				s.Prepare()
			}
		}
	})
	all.Wait()
	close(stop)
	background.Wait()
	checkPool(t, s)
}
