package index

import (
	"testing"

	"fulmen/shard/arena"
)

// TestSample: samples begun at random positions give every entry about as often, those with an expiry only if asked
// for, and a search that goes on where the last one ended comes by all of them once a round.
func TestSample(t *testing.T) {
	const n, each = 20_000, 40
	x := newTable(t, mixHash)
	for i := range n {
		at := int64(0)
		if i%500 == 0 { // none in most segments
			at = 1000
		}
		x.set(keyOf(i), nil, at)
	}
	for _, expiring := range []bool{false, true} {
		seen := map[string]int{}
		count := func(e Entry, ref arena.Ref) {
			if expiring && e.ExpireAt() == 0 {
				t.Fatalf("%s has no expiry", e.Key())
			}
			if p, ok := x.FindRef(x.hash(e.Key()), ref); !ok || x.Ref(p) != ref {
				t.Fatalf("%s is not where it was", e.Key())
			}
			seen[string(e.Key())]++
		}
		want := n
		if expiring {
			want = n / 500
		}
		given, rnd := 0, uint64(1)
		for given < want*each {
			rnd = NextRandom(rnd)
			k, _ := x.Sample(RandomPosition(rnd), 5, 64, expiring, count)
			given += k
		}
		rare := 0
		for _, k := range seen {
			if k < each/4 || k > each*4 {
				rare++
			}
		}
		// Those behind a wide gap are met more often.
		if len(seen) < want*99/100 || !expiring && rare > want/20 {
			t.Errorf("expiring %v: %d entries of %d seen, %d of them far too often or too rarely", expiring,
				len(seen), want, rare)
		}
		clear(seen)
		rounds, at := 0, uint64(0)
		for rounds < 3 {
			before := at
			_, at = x.Sample(at, 5, 7, expiring, count)
			if at < before {
				rounds++
			}
		}
		for key, k := range seen {
			if k < 2 || k > 5 {
				t.Fatalf("expiring %v: %s seen %d times in three rounds", expiring, key, k)
			}
		}
		if len(seen) != want {
			t.Errorf("expiring %v: %d entries of %d seen in three rounds", expiring, len(seen), want)
		}
	}
}

// TestFindRefOfWhatIsGone: a reference that was removed or replaced is not found, and its block is not looked at.
func TestFindRefOfWhatIsGone(t *testing.T) {
	x := newTable(t, mixHash)
	key := keyOf(1)
	if _, ok := x.FindRef(x.hash(key), 1); ok {
		t.Error("found in an empty index")
	}
	x.set(key, nil, 0)
	p, _ := x.Find(x.hash(key), key)
	ref := x.Ref(p)
	if _, ok := x.FindRef(x.hash(key), ref+1); ok {
		t.Error("found another reference")
	}
	x.del(key)
	if _, ok := x.FindRef(x.hash(key), ref); ok {
		t.Error("found what was removed")
	}
}
