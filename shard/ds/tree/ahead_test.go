package tree

import (
	"fmt"
	"testing"
)

// TestAhead: a lookup under way comes to the item that Seek comes to, and finds nothing where nothing is.
func TestAhead(t *testing.T) {
	for _, o := range []Order{ByHash, ByScore, ByHashScore, ByValue} {
		for _, n := range []int{0, 1, 100, 30_000} {
			h, tree := fill(t, o, n, true)
			space, found := h.Arena.Space(), 0
			for i := range n + 100 {
				var key uint64
				switch buf := fmt.Appendf(nil, "member:%07d", i); o {
				case ByHash, ByHashScore:
					key = hash32(buf)
				case ByScore:
					key = uint64(i)
				default:
					key = uint64(i) * 0x9E3779B97F4A7C15
				}
				var p Path
				tree.Seek(space, &p, key)
				a := tree.Ahead(space, key)
				slot, ok := a.slot(o)
				if !ok {
					// Only where equal keys begin in the leaf before may Seek be elsewhere.
					if p.Valid() && p.Key() == key && p.leaf().n == a.n {
						t.Fatalf("order %d, %d items: Ahead misses item %d", o, n, i)
					}
					continue
				}
				found++
				if p.leaf().n != a.n || p.leaf().i != slot {
					t.Fatalf("order %d, %d items: Ahead finds item %d elsewhere", o, n, i)
				}
				if o == ByHashScore {
					if v, ok := a.Value(o); !ok || v != p.Value() {
						t.Fatalf("order %d, %d items: value %d of item %d, want %d", o, n, v, i, p.Value())
					}
				}
			}
			if found*100 < n*98 { // the first of a leaf are missed
				t.Errorf("order %d: %d of %d items found", o, found, n)
			}
		}
	}
}
