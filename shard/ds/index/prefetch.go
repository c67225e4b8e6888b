package index

import (
	"math/bits"

	"fulmen/shard/arena"
)

// Bounds for how far into an entry prefetches go, in bytes.
const (
	minReach = 32
	maxReach = 256
)

// PrefetchBucket brings the home bucket of a hash into the cache. It needs no baton: it reads the directory's
// descriptor atomically and one element of that directory, which may be out of use by now, but is still mapped, and
// does nothing but prefetch the address that comes out.
func (x *Index) PrefetchBucket(hash uint64) {
	desc := x.desc.Load()
	if desc == 0 {
		return
	}
	position := position(hash)
	el := x.element(desc, position)
	arena.Prefetch(x.address(uint64(el.ref())) + uintptr(el.home(position)+1)*lineSize)
}

// PrefetchEntries brings the entries into the cache that Find would look at in the home bucket of a hash; call it
// some time after PrefetchBucket. Of each it fetches as much as entries were long on average lately: fetching only
// the first lines, or more than there is, has cost a tenth of a lookup and more. It needs no baton either: the
// bucket may change, or be freed and hold anything, while it is being read, but it is not read beyond memory that
// is mapped, and its references only become prefetch addresses.
func (x *Index) PrefetchEntries(hash uint64) {
	desc := x.desc.Load()
	if desc == 0 {
		return
	}
	position := position(hash)
	el := x.element(desc, position)
	home := el.home(position)
	if uint64(el.ref())+uint64(home+3)*lineSize>>3 > x.readable.Load() {
		return
	}
	b := x.segmentOf(el).bucket(home)
	print := fingerprint(hash)
	m := b.match(print)
	if m == 0 && b.passedBy(wayOf(print)) && home+1 < el.buckets() {
		b = x.segmentOf(el).bucket(home + 1) // most of those that are not at home are next door
		m = b.match(print)
	}
	for reach := x.reach.Load(); m != 0; m &= m - 1 {
		arena.PrefetchSpan(x.address(b.ref(uint(bits.TrailingZeros32(m)))), reach)
	}
}

// address returns the address of a reference that may be nonsense.
func (x *Index) address(ref uint64) uintptr { return uintptr(x.base) + uintptr(ref)<<3 }
