package shard

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/shard/object"
)

// hashModel holds hashes beside plain maps.
type hashModel struct {
	set  *Set
	s    *Shard
	now  *clock.Fake
	rnd  *rand.Rand
	want map[string]map[string]modelField // by key; fields that have expired stay until they are seen to be gone
	err  error
}

type modelField struct {
	value string
	at    int64
}

func (m *hashModel) failf(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *hashModel) db() *DB { return m.s.DB(0) }

func (m *hashModel) hash(key string) Hash {
	return m.db().Value(m.set.Key([]byte(key)), m.now.NowMs()).Hash(m.now.NowMs())
}

func (m *hashModel) key() string { return fmt.Sprintf("h%d", m.rnd.IntN(6)) }

func (m *hashModel) field() string {
	f := fmt.Sprintf("f%d", m.rnd.IntN(300))
	switch m.rnd.IntN(40) {
	case 0:
		return ""
	case 1:
		return f + strings.Repeat("x", 2000) // a pair of some length is spilled
	}
	return f
}

func (m *hashModel) value() string {
	n := m.rnd.IntN(12)
	switch m.rnd.IntN(30) {
	case 0:
		n = m.rnd.IntN(5000)
	case 1:
		n = m.rnd.IntN(40_000)
	}
	return strings.Repeat(string(rune('a'+m.rnd.IntN(26))), n)
}

// live drops what has expired from the wanted hash and returns it.
func (m *hashModel) live(key string) map[string]modelField {
	h := m.want[key]
	for f, v := range h {
		if v.at != 0 && v.at < m.now.NowMs() {
			delete(h, f)
		}
	}
	if len(h) == 0 {
		delete(m.want, key)
		return nil
	}
	return h
}

// step does something to one hash, and looks at it.
func (m *hashModel) step() {
	key, field := m.key(), m.field()
	want := m.live(key)
	h := m.hash(key)
	switch m.rnd.IntN(14) {
	case 0, 1, 2, 3, 4, 5:
		m.write(&h, key, field)
	case 6, 7:
		_, there := want[field]
		if h.Delete([]byte(field)) != there {
			m.failf("Delete of %.20q: not %v", field, there)
		}
		delete(want, field)
	case 8, 9, 10:
		m.expire(&h, want, field)
	case 11:
		m.now.Advance(time.Duration(m.rnd.IntN(400)) * time.Millisecond)
	case 12:
		if m.rnd.IntN(2) == 0 {
			for !m.s.ExpireSome(m.now.NowMs(), 1+m.rnd.IntN(50)) {
			}
			if due := m.dueOf(key); due != 0 && due < m.now.NowMs() {
				m.failf("the cycle leaves something of %s due at %d", key, due)
			}
		} else {
			m.s.ExpireSome(m.now.NowMs(), 1)
		}
	default:
		m.whole(&h, key)
	}
	m.look(m.key())
}

func (m *hashModel) dueOf(key string) int64 {
	v := m.db().LookValue(m.set.Key([]byte(key)), m.now.NowMs())
	if !v.Exists() {
		return 0
	}
	return m.s.fieldsDueAt(v.e)
}

func (m *hashModel) write(h *Hash, key, field string) {
	want := m.want[key]
	if want == nil {
		want = map[string]modelField{}
		m.want[key] = want
	}
	value := m.value()
	old, there := want[field]
	keep, at := m.rnd.IntN(2) == 0, int64(0)
	if keep {
		at = old.at
	}
	if h.Write([]byte(field), []byte(value), keep) == there {
		m.failf("%.20q was there: %v", field, there)
	}
	want[field] = modelField{value, at}
}

func (m *hashModel) expire(h *Hash, want map[string]modelField, field string) {
	old, there := want[field]
	if at, ok := h.ExpireAt([]byte(field)); ok != there || at != old.at {
		m.failf("expiry of %.20q: %d %v, want %d %v", field, at, ok, old.at, there)
	}
	if !there {
		return
	}
	h.Mix()
	old.at = 0
	if m.rnd.IntN(4) > 0 {
		old.at = m.now.NowMs() + int64(m.rnd.IntN(2000))
	}
	h.SetExpire([]byte(field), old.at)
	want[field] = old
}

// whole does something to a hash as a whole.
func (m *hashModel) whole(h *Hash, key string) {
	k, other := m.set.Key([]byte(key)), m.key()
	to := m.set.Key([]byte(other))
	switch {
	case m.rnd.IntN(6) == 0:
		m.db().SetString(k, []byte("x"), 0)
		m.db().Delete(k)
		delete(m.want, key)
	case !h.Exists() || key == other:
	case m.rnd.IntN(3) == 0:
		m.db().MoveTo(k, m.db(), to)
		m.want[other] = m.want[key]
		delete(m.want, key)
	case m.rnd.IntN(2) == 0:
		m.db().SetExpire(k, m.now.NowMs()+1_000_000)
		m.db().Persist(k)
	default:
		m.db().CopyTo(k, m.db(), to)
		m.want[other] = map[string]modelField{}
		for f, v := range m.want[key] {
			m.want[other][f] = v
		}
	}
}

// look compares a hash with what it should be.
func (m *hashModel) look(key string) {
	want := m.live(key)
	h := m.hash(key)
	if h.Len() != len(want) || len(want) > 0 && !h.Exists() {
		m.failf("%s: %d fields, want %d", key, h.Len(), len(want))
		return
	}
	var f Fields
	n := 0
	for h.From(&f, 0); f.Next(); n++ {
		m.sameField(want, &f)
	}
	if n != len(want) {
		m.failf("%s: %d fields passed, want %d", key, n, len(want))
	}
	seen := 0
	for cursor := uint64(0); ; {
		for h.Scan(&f, cursor, 1+m.rnd.IntN(20)); f.NextScanned(); seen++ {
			m.sameField(want, &f)
		}
		if cursor = f.Cursor(); cursor == 0 {
			break
		}
	}
	if seen != len(want) {
		m.failf("%s: %d fields scanned, want %d", key, seen, len(want))
	}
	field := m.field()
	v, ok := h.Get([]byte(field))
	if x, there := want[field]; ok != there || string(v.View(nil)) != x.value {
		m.failf("%.20q: %v, want %v", field, ok, there)
	}
}

func (m *hashModel) sameField(want map[string]modelField, f *Fields) {
	name := string(f.Field.View(nil))
	x, ok := want[name]
	if !ok || x.at != f.ExpireAtMs || !bytes.Equal(f.Value.View(nil), []byte(x.value)) {
		m.failf("%.20q is there: %v; %d bytes until %d, want %d until %d", name, ok, f.Value.Len(), f.ExpireAtMs,
			len(x.value), x.at)
	}
}

// check looks at the structure of everything.
func (m *hashModel) check() {
	if err := m.db().Index().Check(); err != nil {
		m.failf("%v", err)
	}
	mixed := 0
	for key := range m.want {
		v := m.db().LookValue(m.set.Key([]byte(key)), m.now.NowMs())
		if !v.Exists() {
			continue
		}
		if m.s.fieldsDueAt(v.e) != 0 {
			mixed++
		}
		if v.Kind() != object.HashTree {
			continue
		}
		t := v.trees()
		if err := t.A.Check(v.space()); err != nil {
			m.failf("fields: %v", err)
		}
		if err := t.B.Check(v.space()); err != nil {
			m.failf("expiries: %v", err)
		}
	}
	if m.db().fieldExpires != mixed {
		m.failf("%d hashes are said to have fields that expire, want %d", m.db().fieldExpires, mixed)
	}
}

func newHashModel(t testing.TB, seed uint64) *hashModel {
	set, now := newTestSet(t, 1, 1)
	return &hashModel{
		set: set, s: set.Shards[0], now: now, rnd: rand.New(rand.NewPCG(seed, 5)),
		want: map[string]map[string]modelField{},
	}
}

func (m *hashModel) run(steps int) error {
	for i := 0; i < steps && m.err == nil; i++ {
		m.step()
		if i%16 == 0 {
			m.check()
		}
	}
	return m.err
}

// TestHashFieldsModel compares hashes in all forms with maps.
func TestHashFieldsModel(t *testing.T) {
	for seed := range uint64(6) {
		m := newHashModel(t, seed)
		if seed%2 == 1 {
			m.set.packed = 40
		}
		if err := m.run(4000); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if m.s.Stats.ExpiredFields == 0 {
			t.Error("no field has expired")
		}
		m.db().Flush()
		for !m.s.FreeSome(1000) {
		}
		if n := m.s.Arena().UsedBytes(); n > 4096 {
			t.Errorf("seed %d: %d bytes are left", seed, n)
		}
	}
}

// TestHashFieldsExpireBounded: a slice of the expire cycle deletes no more fields of one hash than it may, the cycle
// is not over before they are gone, and the last one takes the key with it.
func TestHashFieldsExpireBounded(t *testing.T) {
	const fields, budget = 20_000, 100
	m := newHashModel(t, 1)
	h := m.hash("h")
	h.Set([]byte("f"), nil)
	h.Mix()
	for i := range fields {
		f := fmt.Append(nil, i)
		h.Set(f, []byte("v"))
		h.SetExpire(f, m.now.NowMs()+5)
	}
	h.SetExpire([]byte("f"), m.now.NowMs()+5)
	m.now.Advance(time.Second)
	slices := 0
	for done := false; !done; slices++ {
		before := m.s.Stats.ExpiredFields
		done = m.s.ExpireSome(m.now.NowMs(), budget)
		if n := m.s.Stats.ExpiredFields - before; n > budget+50 {
			t.Fatalf("%d fields in a slice", n)
		}
	}
	if m.s.Stats.ExpiredFields != fields+1 || m.db().Len() != 0 || m.db().fieldExpires != 0 {
		t.Errorf("%d fields expired, %d keys left", m.s.Stats.ExpiredFields, m.db().Len())
	}
	if slices < fields/(budget+50) {
		t.Errorf("%d slices", slices)
	}
}
