package index

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

// value is what the model knows of an entry.
type value struct {
	payload  string
	expireAt int64
}

// model is an index beside a Go map that says what must be in it, and a shadow of the map at the cut of a running
// walk.
type model struct {
	*table
	rnd      *rand.Rand
	want     map[string]value
	keys     []string // keys of want and some that are gone
	nextKey  int
	nowMs    int64
	walkID   uint16
	cut      map[string]value // nil between walks
	shown    map[string]value
	bad      error // first thing that went wrong in a callback
	expire   ExpireCursor
	scan     uint64
	scanBase map[string]bool // keys there since the scan began: false until given
	changed  map[string]bool // keys changed since NextVersion
	noCheck  bool            // do without Check, for faults that callbacks are to notice
	moves    moves
}

func newModel(t testing.TB, seed uint64) *model {
	return &model{
		table: newTable(t, mixHash), rnd: rand.New(rand.NewPCG(seed, 1)),
		want: map[string]value{}, nowMs: 1_000_000, changed: map[string]bool{},
	}
}

func (m *model) failf(format string, args ...any) {
	if m.bad == nil {
		m.bad = fmt.Errorf(format, args...)
	}
}

func (m *model) pick() string {
	if len(m.keys) == 0 || m.rnd.IntN(20) == 0 {
		return m.newKey()
	}
	return m.keys[m.rnd.IntN(len(m.keys))]
}

func (m *model) newKey() string {
	m.nextKey++
	k := fmt.Sprintf("k%d", m.nextKey)
	if m.nextKey%50_000 == 0 {
		k = fmt.Sprintf("%070000d", m.nextKey) // a long one
	}
	m.keys = append(m.keys, k)
	return k
}

func (m *model) set(k string) {
	v := value{payload: fmt.Sprint(m.rnd.Uint32())}
	if m.rnd.IntN(4) == 0 {
		v.expireAt = m.nowMs + 1 + m.rnd.Int64N(10_000)
	}
	m.table.set([]byte(k), []byte(v.payload), v.expireAt)
	m.want[k], m.changed[k] = v, true
}

// del removes a key if it is there; a scan no longer owes it.
func (m *model) del(k string) {
	_, there := m.want[k]
	if m.table.del([]byte(k)) != there {
		m.failf("del %q: there is %v", k, there)
	}
	delete(m.want, k)
	delete(m.scanBase, k)
}

// change overwrites an entry in place.
func (m *model) change(k string) {
	v, there := m.want[k]
	p, ok := m.Find(m.hash([]byte(k)), []byte(k))
	if ok != there {
		m.failf("find %q: %v", k, ok)
	}
	if !ok {
		return
	}
	m.BeforeChange(p)
	e := m.Entry(p)
	if at := e.ExpireAt(); at != 0 {
		v.expireAt = m.nowMs + 1 + m.rnd.Int64N(10_000)
		e.SetExpireAt(v.expireAt)
		m.NoteExpire(p, v.expireAt)
	}
	payload := e.Payload()
	payload[0] = '0' + byte(m.rnd.IntN(10))
	v.payload = string(payload)
	m.want[k], m.changed[k] = v, true
}

func (m *model) get(k string) {
	v, there := m.want[k]
	e, ok := m.table.get([]byte(k))
	if ok != there || ok && (string(e.Payload()) != v.payload || e.ExpireAt() != v.expireAt || string(e.Key()) != k) {
		m.failf("get %q: %v, want %v", k, ok, there)
	}
}

// scanStep goes on with a scan that owes each key in scanBase once.
func (m *model) scanStep() {
	if m.scanBase == nil {
		m.scanBase = map[string]bool{}
		for k := range m.want {
			m.scanBase[k] = false
		}
	}
	m.scan = m.Scan(m.scan, 1+m.rnd.IntN(200), func(e Entry) {
		k := string(e.Key())
		if m.want[k].payload != string(e.Payload()) {
			m.failf("scan gave %q with payload %q", k, e.Payload())
		}
		if given, owed := m.scanBase[k]; owed && given {
			m.failf("scan gave %q twice", k)
		} else if owed {
			m.scanBase[k] = true
		}
	})
	if m.scan != 0 {
		return
	}
	for k, given := range m.scanBase {
		if !given {
			m.failf("scan never gave %q", k)
		}
	}
	m.scanBase = nil
}

func (m *model) expireStep() {
	if m.expire == (ExpireCursor{}) {
		m.nowMs += m.rnd.Int64N(2000)
	}
	done := m.ExpireSome(&m.expire, m.nowMs, 1+m.rnd.IntN(100), func(p Pos, e Entry) int {
		k := string(e.Key())
		if v := m.want[k]; v.expireAt == 0 || v.expireAt > m.nowMs || v.expireAt != e.ExpireAt() {
			m.failf("expiry of %q at %d, want %d, now %d", k, e.ExpireAt(), v.expireAt, m.nowMs)
		}
		ref := m.Ref(p)
		m.Remove(p)
		m.free(ref)
		delete(m.want, k)
		delete(m.scanBase, k)
		return 1
	})
	if done && m.bad == nil {
		for {
			late := 0
			again := m.ExpireSome(&m.expire, m.nowMs, 1_000_000, func(p Pos, e Entry) int {
				late++
				m.dropDue(p, e)
				return 1
			})
			if again && late == 0 {
				break
			}
		}
		for k, v := range m.want {
			if v.expireAt != 0 && v.expireAt <= m.nowMs {
				m.failf("%q expired at %d and is still there at %d", k, v.expireAt, m.nowMs)
			}
		}
	}
}

func (m *model) dropDue(p Pos, e Entry) {
	k, ref := string(e.Key()), m.Ref(p)
	m.Remove(p)
	m.free(ref)
	delete(m.want, k)
	delete(m.scanBase, k)
}

// walkStep begins, continues or ends a walk, and compares what it showed with the shadow.
func (m *model) walkStep() {
	if m.cut == nil {
		m.cut, m.shown = map[string]value{}, map[string]value{}
		for k, v := range m.want {
			m.cut[k] = v
		}
		m.noteBlocks()
		m.walkID += uint16(1 + m.rnd.IntN(5000))
		m.BeginWalk(m.walkID, func(e Entry) {
			k := string(e.Key())
			if _, twice := m.shown[k]; twice {
				m.failf("walk showed %q twice", k)
			}
			m.shown[k] = value{string(e.Payload()), e.ExpireAt()}
			m.checkBlock(k, e)
		})
		return
	}
	if m.rnd.IntN(100) == 0 { // given up
		m.EndWalk()
		m.cut = nil
		return
	}
	if !m.WalkStep(1 + m.rnd.IntN(500)) {
		return
	}
	m.EndWalk()
	for k, v := range m.cut {
		if got, ok := m.shown[k]; !ok || got != v {
			m.failf("walk showed %q as %v (%v), at the cut it was %v", k, got, ok, v)
		}
		delete(m.shown, k)
	}
	for k := range m.shown {
		m.failf("walk showed %q, which was not there at the cut", k)
	}
	m.cut = nil
}

// versionStep compares the change marks with what was changed, and begins a new version.
func (m *model) versionStep() {
	for k := range m.changed {
		p, ok := m.Find(m.hash([]byte(k)), []byte(k))
		if b := p.bucket(); ok && (*b.version() != m.Version() || b.changed()>>p.slot()&1 == 0) {
			m.failf("%q changed and is not marked", k)
		}
	}
	marked := 0
	for k := range m.want {
		p, _ := m.Find(m.hash([]byte(k)), []byte(k))
		if b := p.bucket(); *b.version() == m.Version() && b.changed()>>p.slot()&1 != 0 && !m.changed[k] {
			m.failf("%q is marked and has not changed", k)
			marked++
		}
	}
	m.NextVersion()
	clear(m.changed)
}

func (m *model) random() {
	e, ok := m.Random(m.rnd.Uint64())
	if ok != (len(m.want) > 0) {
		m.failf("random: %v of %d", ok, len(m.want))
	} else if _, there := m.want[string(e.p2key())]; ok && !there {
		m.failf("random gave a key that is not there")
	}
}

// p2key is Key, or nil for no entry.
func (e Entry) p2key() []byte {
	if e.p == nil {
		return nil
	}
	return e.Key()
}

// step does one random operation; grow is the chance in percent that a change adds a key.
func (m *model) step(grow int) {
	if m.rnd.IntN(20) == 0 {
		m.moveStep()
	}
	switch n := m.rnd.IntN(1000); {
	case n < 700:
		for range m.rnd.IntN(20) {
			if m.rnd.IntN(100) < grow {
				m.set(m.newKey())
			} else {
				m.del(m.pick())
			}
		}
	case n < 800:
		m.set(m.pick())
	case n < 850:
		m.change(m.pick())
	case n < 930:
		m.get(m.pick())
	case n < 960:
		m.scanStep()
	case n < 975:
		m.walkStep()
	case n < 985:
		m.random()
	case n < 990:
		m.Shrink(1 + m.rnd.IntN(2000))
	case n < 992:
		m.expireStep()
	case n < 993:
		m.versionStep()
	}
}

// check compares everything with the map.
func (m *model) check() {
	if err := m.Check(); err != nil && !m.noCheck {
		m.failf("%w", err)
	}
	if m.Len() != len(m.want) {
		m.failf("Len %d, want %d", m.Len(), len(m.want))
	}
	for k := range m.want {
		m.get(k)
	}
}

// forget drops keys that are long gone from the list to pick from.
func (m *model) forget() {
	live := m.keys[:0]
	for _, k := range m.keys {
		if _, ok := m.want[k]; ok || m.rnd.IntN(4) == 0 {
			live = append(live, k)
		}
	}
	m.keys = live
}

// run lets the index grow and shrink several times.
func (m *model) run(steps int) error {
	for i := 0; i < steps && m.bad == nil; i++ {
		grow := 75
		if phase := i * 6 / steps; phase%2 == 1 {
			grow = 25
		}
		m.step(grow)
		if i%(steps/24) == 0 {
			m.check()
			m.forget()
		}
	}
	m.check()
	return m.bad
}

// empty frees everything, with a walk running if there is one, and checks that no block is left.
func (m *model) empty() {
	for !m.FreeSome(100, func(ref arena.Ref, e Entry) {
		delete(m.want, string(e.Key()))
		m.free(ref)
	}) {
		if m.cut != nil {
			m.walkStep()
		}
	}
	for m.cut != nil {
		m.walkStep()
	}
	m.scan, m.scanBase = 0, nil
	if len(m.want) != 0 || m.arena.UsedBytes() != 0 {
		m.failf("after FreeSome %d entries and %d bytes are left", len(m.want), m.arena.UsedBytes())
	}
	m.check()
}

func TestModel(t *testing.T) {
	seeds, steps := 4, 20_000
	if invariant.Enabled || raceEnabled || testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, uint64(seed))
			if err := m.run(steps); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d entries at the end, %d segments, directory depth %d",
				m.Len(), m.slots/smallBuckets/slotCount, m.directory().depth)
			if m.empty(); m.bad != nil {
				t.Fatal(m.bad)
			}
			for range 5000 { // usable again
				m.step(90)
			}
			if m.check(); m.bad != nil {
				t.Fatal(m.bad)
			}
		})
	}
}
