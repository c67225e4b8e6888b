package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/shard/object"
)

// hashWorld is some hashes beside a model of them.
type hashWorld struct {
	t     *testing.T
	db    *DB
	set   *Set
	rnd   *rand.Rand
	model map[string]map[string]string
	trees int // steps that met a hash in a tree
}

// text makes a field or a value, now and then one that does not fit a leaf, or a block.
func (w *hashWorld) text(names int) string {
	switch w.rnd.IntN(40) {
	case 0:
		return strings.Repeat("x", w.rnd.IntN(3))
	case 1:
		return strings.Repeat("y", 100+w.rnd.IntN(60))
	case 2:
		return strings.Repeat("z", 900+w.rnd.IntN(200))
	case 3:
		return strings.Repeat("long", w.rnd.IntN(2000))
	}
	return "f" + strconv.Itoa(w.rnd.IntN(names))
}

func (w *hashWorld) hash(key string) Hash {
	return w.db.Value(w.set.Key([]byte(key)), 1).Hash(1)
}

// step does something to one hash and to its model, and compares what both reply.
func (w *hashWorld) step(key string, names int) error {
	h, m := w.hash(key), w.model[key]
	if m == nil {
		m = map[string]string{}
		w.model[key] = m
	}
	field := w.text(names)
	old, there := m[field]
	switch w.rnd.IntN(9) {
	case 0, 1, 2:
		value := w.text(names)
		if added := h.Set([]byte(field), []byte(value)); added == there {
			return fmt.Errorf("Set(%.20q): added: %v", field, added)
		}
		m[field] = value
	case 3, 4:
		if deleted := h.Delete([]byte(field)); deleted != there {
			return fmt.Errorf("Delete(%.20q): %v", field, deleted)
		}
		delete(m, field)
	case 5, 6:
		value, ok := h.Get([]byte(field))
		if got := string(value.AppendTo(nil)); ok != there || got != old || value.Len() != len(old) {
			return fmt.Errorf("Get(%.20q): %.20q, %v, want %.20q, %v", field, got, ok, old, there)
		}
	case 7:
		if len(m) > 0 {
			var f Fields
			if h.From(&f, w.rnd.IntN(len(m))); !f.Next() || m[string(f.Field.View(nil))] != string(f.Value.View(nil)) {
				return fmt.Errorf("a field by rank is %.20q", f.Field.View(nil))
			}
		}
	case 8:
		return w.scan(&h, m)
	}
	return w.check(key)
}

// scan goes through a hash in several calls, that change nothing but fields that have been given.
func (w *hashWorld) scan(h *Hash, m map[string]string) error {
	got := map[string]string{}
	count := 1 + w.rnd.IntN(20)
	for cursor := uint64(0); ; {
		var f Fields
		n := 0
		for h.Scan(&f, cursor, count); f.NextScanned(); n++ {
			field := string(f.Field.AppendTo(nil))
			if _, again := got[field]; again {
				return fmt.Errorf("Scan gives %.20q twice", field)
			}
			got[field] = string(f.Value.AppendTo(nil))
		}
		if next := f.Cursor(); next == 0 {
			break
		} else if next <= cursor || n < count {
			return fmt.Errorf("Scan(%d, %d) gives %d, goes on with %d", cursor, count, n, next)
		} else {
			cursor = next
		}
	}
	if !maps.Equal(got, m) {
		return fmt.Errorf("Scan gives %d fields of %d", len(got), len(m))
	}
	return nil
}

// check compares a hash with its model, and looks whether its tree is whole.
func (w *hashWorld) check(key string) error {
	h, m := w.hash(key), w.model[key]
	if h.Len() != len(m) || h.Exists() != (len(m) > 0) {
		return fmt.Errorf("%d fields, want %d", h.Len(), len(m))
	}
	got := map[string]string{}
	var f Fields
	for h.From(&f, 0); f.Next(); {
		got[string(f.Field.AppendTo(nil))] = string(f.Value.AppendTo(nil))
	}
	if !maps.Equal(got, m) {
		return fmt.Errorf("it holds\n%.200q, want\n%.200q", got, m)
	}
	if h.Exists() && h.Kind() == object.HashTree {
		w.trees++
		t := h.trees()
		if t.B.Len() != 0 {
			return fmt.Errorf("%d expiries", t.B.Len())
		}
		return t.A.Check(h.space())
	}
	return nil
}

// TestHashModel compares hashes with maps while they change at random, packed as long as they fit and in trees of a few
// fields. At the end no memory is left.
func TestHashModel(t *testing.T) {
	for _, packed := range []int{0, 24} {
		for seed := range uint64(4) {
			set, _ := newTestSet(t, 1, 1)
			if packed > 0 {
				set.packed = packed
			}
			s := set.Shards[0]
			w := &hashWorld{
				t: t, db: s.DB(0), set: set, rnd: rand.New(rand.NewPCG(seed, 7)), model: map[string]map[string]string{},
			}
			names := []int{3, 40, 400, 400}[seed]
			for i := range 1000 {
				key := "k" + strconv.Itoa(w.rnd.IntN(3))
				if err := w.step(key, names); err != nil {
					t.Fatalf("packed %d, seed %d, step %d, %s: %v", packed, seed, i, key, err)
				}
			}
			if w.trees == 0 {
				t.Errorf("packed %d, seed %d: no hash was in a tree", packed, seed)
			}
			for _, key := range slices.Sorted(maps.Keys(w.model)) {
				for field := range w.model[key] {
					h := w.hash(key)
					h.Delete([]byte(field))
				}
				if h := w.hash(key); h.Exists() {
					t.Errorf("%s is there without fields", key)
				}
			}
			for !s.FreeSome(1000) {
			}
			if used := s.UsedBytes() - w.db.Index().SizeBytes(); used != 0 {
				t.Errorf("packed %d, seed %d: %d bytes are left", packed, seed, used)
			}
		}
	}
}

// TestHashesOfSameHash looks for fields that stand in one run of a tree because their hashes are equal.
func TestHashesOfSameHash(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s := set.Shards[0]
	s.hash = func(b []byte) uint64 { return uint64(len(b)%3) << 32 }
	w := &hashWorld{
		t: t, db: s.DB(0), set: set, rnd: rand.New(rand.NewPCG(1, 7)), model: map[string]map[string]string{},
	}
	h := w.hash("k")
	w.model["k"] = map[string]string{}
	for i := range 400 {
		f := strconv.Itoa(i)
		h.Set([]byte(f), []byte(f))
		w.model["k"][f] = f
	}
	if err := w.check("k"); err != nil {
		t.Fatal(err)
	}
	var f Fields
	n := 0
	for h.Scan(&f, 0, 1); f.NextScanned(); n++ {
	}
	if n != 300 { // those of three digits
		t.Errorf("%d fields of the same hash in one call", n)
	}
	for i := range 400 {
		field := strconv.Itoa(i)
		if v, ok := h.Get([]byte(field)); !ok || string(v.View(nil)) != field {
			t.Errorf("%s is %q, %v", field, v.View(nil), ok)
		}
	}
}
