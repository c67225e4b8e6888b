package shard

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/persist/log"
	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

type noBell struct{}

func (noBell) Ring(*Shard) {}

// newTestSet returns shards on a space of their own, with a clock that stands still.
func newTestSet(t testing.TB, shards, databases int) (*Set, *clock.Fake) {
	t.Helper()
	space, err := arena.NewSpace(64 << 30)
	if err != nil {
		t.Fatal(err)
	}
	now := clock.NewFake(1_700_000_000_000)
	set, err := NewSet(Options{
		Shards: shards, Databases: databases, Space: space, Clock: now,
		Log: log.New(shards, log.Limits{}), Bell: noBell{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	return set, now
}

// value is what a key should hold.
type value struct {
	val string
	at  int64
}

func (v value) expired(nowMs int64) bool { return v.at != 0 && v.at < nowMs }

// world is a shard beside a model of it. Its steps change both alike; the first difference stops it.
type world struct {
	set     *Set
	s       *Shard
	now     *clock.Fake
	rnd     *rand.Rand
	model   []map[string]value // by db; expired keys stay until they are seen to be gone
	keys    int                // names in use
	big     int                // the longest value
	walk    []*walk
	walkID  uint16
	walked  int // walks compared
	evicted int64
	buf     []byte
	err     error
}

func newWorld(t testing.TB, seed uint64, databases int) *world {
	set, now := newTestSet(t, 1, databases)
	w := &world{set: set, s: set.Shards[0], now: now, rnd: rand.New(rand.NewPCG(seed, 11)), keys: 100, big: 300_000}
	for range databases {
		w.model = append(w.model, map[string]value{})
	}
	return w
}

func (w *world) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func (w *world) nowMs() int64 { return w.now.NowMs() }

func (w *world) key() Key {
	return w.set.Key(fmt.Appendf(nil, "key:%d", w.rnd.IntN(w.keys)))
}

func (w *world) value() []byte {
	n := w.rnd.IntN(40)
	switch w.rnd.IntN(60) {
	case 0:
		n = w.rnd.IntN(w.big)
	case 1, 2:
		n = 3900 + w.rnd.IntN(400)
	case 3, 4, 5:
		n = w.rnd.IntN(5000)
	}
	b := make([]byte, n)
	x := w.rnd.Uint64()
	for i := range b {
		b[i] = byte(x >> (i & 7 * 8))
	}
	return b
}

// expiry returns a time that comes soon, or 0.
func (w *world) expiry() int64 {
	if w.rnd.IntN(2) == 0 {
		return 0
	}
	return w.nowMs() + 1 + int64(w.rnd.IntN(2000))
}

// live looks a key up in both and compares. What is expired is gone from both afterwards.
func (w *world) live(i int, k Key) (index.Entry, value, bool) {
	v, want := w.model[i][string(k.Bytes)]
	if want && v.expired(w.nowMs()) {
		delete(w.model[i], string(k.Bytes))
		want = false
	}
	e, ok := w.s.DB(i).Get(k, w.nowMs())
	if ok != want {
		w.failf("db %d: Get(%s) = %v, want %v", i, k.Bytes, ok, want)
		return e, v, false
	}
	if ok {
		w.compare(i, e, v)
	}
	return e, v, ok && w.err == nil
}

func (w *world) compare(i int, e index.Entry, v value) {
	db := w.s.DB(i)
	w.buf = db.AppendString(w.buf[:0], e)
	if string(w.buf) != v.val || e.ExpireAt() != v.at || db.StringLen(e) != len(v.val) {
		w.failf("db %d: %s has %d bytes (%.20q) expiring at %d, want %d (%.20q) at %d",
			i, e.Key(), len(w.buf), w.buf, e.ExpireAt(), len(v.val), v.val, v.at)
	}
}

// step does one thing at random.
func (w *world) step() {
	i := w.rnd.IntN(len(w.model))
	switch w.rnd.IntN(100) {
	case 0:
		w.now.Advance(time.Duration(w.rnd.IntN(300)) * time.Millisecond)
	case 1, 2, 3:
		w.s.ExpireSome(w.nowMs(), 1+w.rnd.IntN(60))
	case 4, 5:
		w.s.FreeSome(1 + w.rnd.IntN(100))
	case 6, 7:
		w.s.ShrinkSome(1 + w.rnd.IntN(500))
	case 9:
		if w.rnd.IntN(4) == 0 {
			w.evict()
		}
	case 10, 11:
		defragStep(w.s, w.rnd)
	case 8:
		switch w.rnd.IntN(30) {
		case 0:
			w.s.DB(i).Flush()
			clear(w.model[i])
		case 1, 2:
			w.keys = []int{20, 300, 4000}[w.rnd.IntN(3)]
		case 3, 4:
			w.scan(i)
		}
	default:
		w.change(i, w.key())
	}
}

// change does something to a key.
func (w *world) change(i int, k Key) {
	db, name := w.s.DB(i), string(k.Bytes)
	if w.rnd.IntN(3) == 0 {
		v := value{string(w.value()), w.expiry()}
		db.SetString(k, []byte(v.val), v.at)
		w.model[i][name] = v
		return
	}
	e, v, ok := w.live(i, k)
	switch w.rnd.IntN(7) {
	case 0:
		if !ok {
			return
		}
		suffix := w.value()
		if n := db.StringAppend(k, e, suffix); n != len(v.val)+len(suffix) {
			w.failf("StringAppend = %d", n)
		}
		v.val += string(suffix)
	case 1:
		off, part := w.rnd.IntN(len(v.val)+10), w.value()
		if !ok {
			v, off = value{}, off%8000
		}
		n := db.StringSetRange(k, off, part)
		if len(part) > 0 {
			b := append([]byte(v.val), make([]byte, max(0, off+len(part)-len(v.val)))...)
			copy(b[off:], part)
			v.val, ok = string(b), true
		}
		if n != len(v.val) {
			w.failf("StringSetRange = %d, want %d", n, len(v.val))
		}
	case 2:
		at := w.nowMs() + int64(w.rnd.IntN(3000))
		if db.SetExpire(k, at) != ok {
			w.failf("SetExpire(%s) = %v", name, !ok)
		}
		v.at = at
	case 3:
		if db.Persist(k) != (ok && v.at != 0) {
			w.failf("Persist(%s) is wrong", name)
		}
		v.at = 0
	case 4:
		if db.Delete(k) != ok {
			w.failf("Delete(%s) = %v", name, !ok)
		}
		ok = false
	case 5:
		if ok {
			start := w.rnd.IntN(len(v.val) + 1)
			end := start + w.rnd.IntN(len(v.val)+1-start)
			if got := db.AppendStringRange(nil, e, start, end); string(got) != v.val[start:end] {
				w.failf("range %d to %d of %s differs", start, end, name)
			}
		}
	case 6:
		if ok {
			v.val = w.splice(db, k, v.val)
		}
	}
	if ok {
		w.model[i][name] = v
	} else {
		delete(w.model[i], name)
	}
}

// splice reads and replaces a part of a string that is there, and returns what it should be then.
func (w *world) splice(db *DB, k Key, val string) string {
	var s String
	db.OpenValue(&s.Value, k, w.nowMs())
	for range 2 { // the second time with what the first has left
		at := w.rnd.IntN(len(val) + 1)
		del := min(w.rnd.IntN(20), len(val)-at)
		ins := w.value()
		if w.rnd.IntN(2) == 0 {
			ins = ins[:min(len(ins), del+w.rnd.IntN(4))]
		}
		if got := s.Bytes(make([]byte, del), at); string(got) != val[at:at+del] {
			w.failf("Bytes from %d to %d: %q", at, at+del, got)
		}
		s.Splice(at, del, ins)
		val = val[:at] + string(ins) + val[at+del:]
		if b, ok := s.Piece(); s.Len() != len(val) || ok && string(b) != val || string(s.AppendTo(nil)) != val {
			w.failf("a splice of %d with %d bytes at %d of %d", del, len(ins), at, len(val))
		}
	}
	return val
}

// scan reads a database through and compares what it gives with the model.
func (w *world) scan(i int) {
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		cursor = w.s.DB(i).Scan(cursor, 1+w.rnd.IntN(50), w.nowMs(), func(e index.Entry) {
			name := string(e.Key())
			if v, ok := w.model[i][name]; !ok || seen[name] {
				w.failf("db %d: Scan gives %s, in the model %v, seen %v", i, name, ok, seen[name])
			} else {
				w.compare(i, e, v)
			}
			seen[name] = true
		})
		if cursor == 0 {
			break
		}
	}
	for name, v := range w.model[i] {
		if !seen[name] && !v.expired(w.nowMs()) {
			w.failf("db %d: Scan misses %s", i, name)
		}
	}
	if e, ok := w.s.DB(i).Random(w.rnd.Uint64(), w.nowMs()); ok && !seen[string(e.Key())] {
		w.failf("db %d: Random gives %s", i, e.Key())
	}
}

// check compares everything, down to the last byte of memory.
func (w *world) check() {
	if w.rnd.IntN(2) == 0 {
		for !w.s.ExpireSome(w.nowMs(), 100) {
		}
		if !w.s.ExpireSome(w.nowMs(), 1000) { // the first call may have finished a cycle begun earlier
			for !w.s.ExpireSome(w.nowMs(), 100) {
			}
		}
		for i := range w.model {
			live := 0
			for _, v := range w.model[i] {
				if !v.expired(w.nowMs()) {
					live++
				}
			}
			if got := w.s.DB(i).Len(); got != live {
				w.failf("db %d: %d keys after an expire cycle, want %d", i, got, live)
			}
		}
	}
	for !w.s.FreeSome(1000) {
	}
	bytes := int64(0)
	for i := range w.model {
		bytes += w.checkDB(i)
	}
	for _, k := range w.walk {
		if k.x != w.s.DB(k.db).Index() {
			bytes += k.x.SizeBytes() // freed to the last entry, its memory is held by the walk
		}
	}
	if got := w.s.UsedBytes(); got != bytes {
		w.failf("%d bytes used, counted %d", got, bytes)
	}
}

// checkDB compares one database and returns the memory that its parts add up to.
func (w *world) checkDB(i int) (sum int64) {
	db, space := w.s.DB(i), w.set.Space
	sum = db.Index().SizeBytes()
	expires, count, expireSum := 0, 0, int64(0)
	left := make(map[string]value, len(w.model[i]))
	for name, v := range w.model[i] {
		left[name] = v
	}
	for name, got := range dump(space, db.Index()) {
		v, ok := left[name]
		delete(left, name)
		if !ok || v != got {
			w.failf("db %d: index has %s, differing", i, name)
		}
	}
	for name, v := range left {
		if !v.expired(w.nowMs()) {
			w.failf("db %d: index misses %s", i, name)
		}
		delete(w.model[i], name)
	}
	each(db.Index(), func(e index.Entry) {
		count++
		if e.ExpireAt() != 0 {
			expires++
			expireSum += e.ExpireAt()
		}
		sum += int64(arena.UsableSize(e.SizeBytes()))
		if object.HasNodes(e.Tag()) {
			nodes := object.NodesOf(e)
			sum += int64(nodes.UsedBytes(space))
		}
	})
	if db.expireSumMs != expireSum {
		w.failf("db %d: the sum of expiries is %d, counted %d", i, db.expireSumMs, expireSum)
	}
	if db.Len() != count || db.Expires() != expires {
		w.failf("db %d: Len %d, counted %d; Expires %d, counted %d", i, db.Len(), count, db.Expires(), expires)
	}
	return sum
}

// each gives all entries of an index.
func each(x *index.Index, fn func(e index.Entry)) {
	for cursor := uint64(0); ; {
		if cursor = x.Scan(cursor, 1000, fn); cursor == 0 {
			return
		}
	}
}

// dump copies an index.
func dump(space *arena.Space, x *index.Index) map[string]value {
	all := make(map[string]value, x.Len())
	each(x, func(e index.Entry) { all[string(e.Key())] = valueOf(space, e) })
	return all
}

func valueOf(space *arena.Space, e index.Entry) value {
	return value{contentOf(space, e), e.ExpireAt()}
}

// empty deletes everything and looks whether all memory has come back.
func (w *world) empty() {
	for i := range w.model {
		w.s.DB(i).Flush()
		clear(w.model[i])
	}
	for !w.s.FreeSome(100) {
	}
	for !w.s.ShrinkSome(1000) {
	}
	w.check()
	if got := w.s.UsedBytes(); got != 0 {
		w.failf("%d bytes used after everything was flushed", got)
	}
	w.s.Arena().Trim()
	if got := w.s.Arena().HeldBytes(); got != 0 {
		w.failf("%d bytes held after everything was flushed", got)
	}
	if st := w.set.Space.Stats(); st.UsedBytes != 0 {
		w.failf("space: %+v", st)
	}
}
