package index

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"testing"

	"fulmen/shard/arena"
)

// table is an index with its arena, and the means to put entries into it.
type table struct {
	*Index
	t     testing.TB
	space *arena.Space
	arena *arena.Arena
}

var testSeed = maphash.MakeSeed()

func hashOf(key []byte) uint64 { return maphash.Bytes(testSeed, key) }

// mixHash is a hash that is the same in every run.
func mixHash(key []byte) uint64 {
	h := uint64(len(key)) * 0x9E3779B97F4A7C15
	for len(key) >= 8 {
		h = mix(h ^ binary.LittleEndian.Uint64(key))
		key = key[8:]
	}
	for _, c := range key {
		h = mix(h ^ uint64(c))
	}
	return h
}

func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return h ^ h>>31
}

func newTable(t testing.TB, hash func([]byte) uint64) *table {
	space, err := arena.NewSpace(16 << 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	a := space.NewArena(0)
	return &table{New(space, a, hash), t, space, a}
}

// block writes an entry to a new block.
func (t *table) block(key, payload []byte, expireAtMs int64) arena.Ref {
	ref := t.arena.Alloc(EntrySize(len(key), len(payload), expireAtMs != 0))
	e := InitEntry(t.space.Pointer(ref), 0, key, len(payload), expireAtMs)
	copy(e.Payload(), payload)
	return ref
}

func (t *table) free(ref arena.Ref) {
	t.arena.Free(ref, EntryAt(t.space.Pointer(ref)).SizeBytes())
}

func (t *table) set(key, payload []byte, expireAtMs int64) {
	h := t.hash(key)
	ref := t.block(key, payload, expireAtMs)
	if p, ok := t.Find(h, key); ok {
		old := t.Ref(p)
		t.Replace(p, ref)
		t.free(old)
		return
	}
	p := t.Insert(h, ref)
	if t.Ref(p) != ref {
		t.t.Fatalf("Insert returned a position with ref %d, want %d", t.Ref(p), ref)
	}
}

func (t *table) get(key []byte) (Entry, bool) {
	p, ok := t.Find(t.hash(key), key)
	if !ok {
		return Entry{}, false
	}
	return t.Entry(p), true
}

func (t *table) del(key []byte) bool {
	p, ok := t.Find(t.hash(key), key)
	if !ok {
		return false
	}
	ref := t.Ref(p)
	t.Remove(p)
	t.free(ref)
	return true
}

func keyOf(i int) []byte { return fmt.Appendf(nil, "key:%012d", i) }

func TestInsertFindRemove(t *testing.T) {
	x := newTable(t, hashOf)
	const n = 30_000
	for i := range n {
		x.set(keyOf(i), keyOf(i)[4:], 0)
	}
	if x.Len() != n {
		t.Fatalf("Len %d", x.Len())
	}
	for i := range n {
		e, ok := x.get(keyOf(i))
		if !ok || string(e.Payload()) != string(keyOf(i)[4:]) {
			t.Fatalf("key %d: %v", i, ok)
		}
	}
	for i := n; i < 2*n; i++ {
		if _, ok := x.get(keyOf(i)); ok {
			t.Fatalf("found absent key %d", i)
		}
	}
	for _, i := range rand.Perm(n) {
		if !x.del(keyOf(i)) {
			t.Fatalf("lost key %d", i)
		}
	}
	if x.Len() != 0 {
		t.Fatalf("Len %d", x.Len())
	}
}
