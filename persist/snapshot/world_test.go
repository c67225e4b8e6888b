package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/internal/crc"
	"fulmen/persist/log"
	"fulmen/persist/rdb"
	"fulmen/shard"
	"fulmen/shard/arena"
	"fulmen/shard/command"
	"fulmen/shard/ds/index"
)

// world is a set of shards on which commands are executed at random, all batons being held. At a cut it writes
// everything down, in the shadow: what a save is compared with.
type world struct {
	t     testing.TB
	set   *shard.Set
	now   *clock.Fake
	sv    *Saver
	rnd   *rand.Rand
	keys  int // names in use
	long  int // the longest string
	w     shard.Worker
	tx    shard.Tx
	ctx   command.Ctx
	table *command.Table
	idx   []int
	keyed []command.Keyed

	copied, saved int64 // by all saves: bytes copied by writers, keys

	enc    *rdb.Writer
	encBuf bytes.Buffer
}

type noBell struct{}

func (noBell) Ring(*shard.Shard) {}

type noWaiter struct{}

func (noWaiter) Resume(*shard.Tx) { panic("nobody else holds a baton") }

const testDatabases = 4

// newWorld makes an empty world. packed is the size of a packed collection from which it is put into trees, 0: the
// usual one.
func newWorld(t testing.TB, shards, packed int, seed uint64) *world {
	t.Helper()
	space, err := arena.NewSpace(64 << 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{
		t: t, now: clock.NewFake(1_700_000_000_000), rnd: rand.New(rand.NewPCG(seed, 5)), keys: 300, long: 100_000,
		table: command.NewTable(command.Rows()),
	}
	w.set, err = shard.NewSet(shard.Options{
		Shards: shards, Databases: testDatabases, Space: space, Log: log.New(shards, log.Limits{}), Clock: w.now,
		Bell: noBell{}, PackedBytes: packed,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.set.SetEviction(shard.EvictionParams{LimitBytes: 1, Policy: shard.AllKeysRandom, Samples: 5})
	w.sv = NewSaver(Options{Set: w.set})
	w.tx.Init(w.set, noWaiter{})
	all := make([]int, shards)
	for i := range all {
		all[i] = i
	}
	w.tx.Begin(all)
	w.ctx = command.Ctx{
		Set: w.set, Worker: &w.w, Calls: command.NewCallStats(w.table), Table: w.table, Proto: 2,
		Limits: &command.Limits{
			MaxStringBytes: 512 << 20, ListFill: -2, HashMaxListpackEntries: 512, HashMaxListpackValueBytes: 64,
			HLLSparseMaxBytes: 100,
			Sets:              shard.SetLimits{IntsetEntries: 512, ListpackEntries: 128, ListpackValue: 64},
			Stream:            shard.StreamLimits{NodeBytes: 4096, NodeEntries: 10},
		},
		Observers: command.NoObservers(),
	}
	w.enc = rdb.NewWriter(io.Discard, rdb.WriteOptions{})
	return w
}

// do executes a command in a database; what it replies is of no interest.
func (w *world) do(db int, args ...string) {
	w.held(func() { w.run(db, args...) })
}

// run is do for who holds all batons.
func (w *world) run(db int, args ...string) {
	c := &w.ctx
	c.Out, c.Args, c.DBID, c.NowMs = c.Out[:0], nil, db, w.now.NowMs()
	for _, a := range args {
		c.Args = append(c.Args, []byte(a))
	}
	row := w.table.Lookup(c.Args[0])
	if row != nil && len(row.Subs) > 0 {
		row = row.Sub(c.Args[1])
	}
	if row == nil || !row.ArityOK(len(args)) {
		w.t.Fatalf("%q is no command", args)
	}
	w.idx, w.keyed = row.KeyIndexes(w.idx[:0], c.Args), w.keyed[:0]
	for _, i := range w.idx {
		s := w.set.Shards[w.set.ShardOf(c.Args[i])]
		w.keyed = append(w.keyed, command.Keyed{Key: w.set.Key(c.Args[i]), Shard: s, Arg: i})
	}
	c.Keys = w.keyed
	w.set.Tick(c.NowMs)
	command.Call(c, row)
	c.TakeThen()
}

// held runs fn under all batons.
func (w *world) held(fn func()) {
	if !w.tx.Acquire(&w.w) {
		w.t.Fatal("a baton is taken")
	}
	fn()
	w.tx.Release(&w.w)
}

// cut begins a save and writes down what it should have: by database and key, the entry as it stands in a file.
func (w *world) cut(sinks ...Sink) (v *Save, shadow shadow) {
	w.held(func() {
		var err error
		shadow = w.shadow()
		if v, err = w.sv.Begin(Request{Sinks: sinks, Aux: [][2]string{{"redis-ver", "7.2.4"}}}); err != nil {
			w.t.Fatal(err)
		}
	})
	return v, shadow
}

// shadow is a data set written down.
type shadow [testDatabases]map[string]string

func (w *world) shadow() (sh shadow) {
	for i := range sh {
		sh[i] = map[string]string{}
		for _, s := range w.set.Shards {
			x := s.DB(i).Index()
			for cursor := uint64(0); ; {
				cursor = x.Scan(cursor, 100, func(e index.Entry) { sh[i][string(e.Key())] = w.encoded(e) })
				if cursor == 0 {
					break
				}
			}
		}
	}
	return sh
}

func (w *world) encoded(e index.Entry) string {
	w.encBuf.Reset()
	w.enc.Reset(&w.encBuf, rdb.WriteOptions{
		Version: rdb.NeedsVersion(e), Space: w.set.Space, Hash: func(m []byte) uint64 { return w.set.Key(m).Hash },
	})
	w.enc.Entry(e)
	if err := w.enc.Flush(); err != nil {
		w.t.Fatal(err)
	}
	return w.encBuf.String()
}

// finish has the save come to its end and compares what its sinks got with the shadow.
func (w *world) finish(v *Save, sh shadow) error {
	var r Result
	w.held(func() { r = v.RunHeld() })
	if r.Err != nil {
		return r.Err
	}
	keys := int64(0)
	for _, db := range sh {
		keys += int64(len(db))
	}
	if r.Keys != keys || r.Walked != keys || r.Saved != keys {
		return fmt.Errorf("%d keys at the cut, %d walked, %d saved, %d in the shadow", r.Keys, r.Walked, r.Saved, keys)
	}
	for _, sink := range v.request.Sinks {
		if err := sink.(*memSink).compare(sh); err != nil {
			return err
		}
	}
	if now, _ := w.set.KeptBytes(); now != 0 || w.sv.used() != 0 {
		return fmt.Errorf("%d bytes kept for pins, %d bytes in use after the save", now, w.sv.used())
	}
	return nil
}

// memSink keeps what it gets in memory.
type memSink struct {
	form    Form
	streams []*bytes.Buffer
	keys    []int64
	aborted error
	gate    chan struct{} // nil, or what Begin waits for: nothing is read before
	slow    chan struct{} // nil, or what each write takes from
	failOn  string        // begin, open, write, commit
	onWrite func()

	mu     sync.Mutex
	writes int
	cut    *Cut
}

var errPlanned = errors.New("planned failure")

func (m *memSink) fail(on string) error {
	if m.failOn == on {
		return errPlanned
	}
	return nil
}

// Begin implements Sink.
func (m *memSink) Begin(c *Cut) (Form, error) {
	m.cut = c
	if m.gate != nil {
		<-m.gate
	}
	return m.form, m.fail("begin")
}

// Open implements Sink.
func (m *memSink) Open(i int) (io.Writer, error) {
	if i != len(m.streams) {
		return nil, fmt.Errorf("stream %d is opened after %d others", i, len(m.streams))
	}
	m.streams = append(m.streams, &bytes.Buffer{})
	return &memStream{m, m.streams[i]}, m.fail("open")
}

type memStream struct {
	m   *memSink
	buf *bytes.Buffer
}

// Write implements io.Writer.
func (s *memStream) Write(p []byte) (int, error) {
	m := s.m
	if m.slow != nil {
		<-m.slow
	}
	if m.onWrite != nil {
		m.onWrite()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	if err := m.fail("write"); err != nil && m.writes > 2 {
		return len(p) / 2, err
	}
	return s.buf.Write(p)
}

// Commit implements Sink.
func (m *memSink) Commit(keys []int64) error {
	m.keys = keys
	return m.fail("commit")
}

// Abort implements Sink.
func (m *memSink) Abort(why error) { m.aborted = why }

// compare compares what the sink got with what it should have.
func (m *memSink) compare(sh shadow) error {
	if m.aborted != nil || m.keys == nil {
		return fmt.Errorf("aborted: %v; keys: %v", m.aborted, m.keys)
	}
	left := map[string]bool{}
	for db := range sh {
		for key := range sh[db] {
			left[fmt.Sprint(db, key)] = true
		}
	}
	for i, st := range m.streams {
		n, err := parse(st.Bytes(), func(db int, key string, rest []byte) (int, error) {
			name := fmt.Sprint(db, key)
			want, ok := sh[db][key]
			switch {
			case !ok:
				return 0, fmt.Errorf("db %d: %s was not there at the cut", db, key)
			case !left[name]:
				return 0, fmt.Errorf("db %d: %s comes twice", db, key)
			case !bytes.HasPrefix(rest, []byte(want)):
				return 0, fmt.Errorf("db %d: %s is not what it was at the cut", db, key)
			}
			delete(left, name)
			return len(want), nil
		})
		if err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
		if n != m.keys[i] {
			return fmt.Errorf("stream %d has %d keys, and is said to have %d", i, n, m.keys[i])
		}
	}
	for name := range left {
		return fmt.Errorf("%d keys are missing, %s for one", len(left), name)
	}
	return nil
}

// parse reads an RDB file as far as it must to find the keys: entry is called with what begins with one's expiry or
// type, and returns how long it is.
func parse(p []byte, entry func(db int, key string, rest []byte) (int, error)) (keys int64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cut off: %v", r)
		}
	}()
	version, err := strconv.Atoi(string(p[5:9]))
	if string(p[:5]) != "REDIS" || err != nil || version < 10 {
		return 0, fmt.Errorf("header %q", p[:9])
	}
	db := -1
	for at := 9; ; {
		switch op := p[at]; op {
		case 0xFA:
			_, at = parseString(p, at+1)
			_, at = parseString(p, at)
		case 0xFE:
			var n uint64
			n, at = parseLength(p, at+1)
			db = int(n)
		case 0xFB:
			_, at = parseLength(p, at+1)
			_, at = parseLength(p, at)
		case 0xFF:
			if sum := binary.LittleEndian.Uint64(p[at+1:]); at+9 != len(p) || sum != 0 && sum != crc.Sum64(p[:at+1]) {
				return keys, fmt.Errorf("a bad end: sum %x, %d bytes behind it", sum, len(p)-at-9)
			}
			return keys, nil
		default:
			k := at + 1
			if op == 0xFC {
				k += 9
			}
			key, _ := parseString(p, k)
			n, err := entry(db, key, p[at:])
			if err != nil {
				return keys, err
			}
			at += n
			keys++
		}
	}
}

func parseLength(p []byte, at int) (n uint64, next int) {
	switch b := p[at]; {
	case b>>6 == 0:
		return uint64(b), at + 1
	case b>>6 == 1:
		return uint64(b&63)<<8 | uint64(p[at+1]), at + 2
	case b == 0x80:
		return uint64(binary.BigEndian.Uint32(p[at+1:])), at + 5
	}
	panic(fmt.Sprintf("length %x", p[at]))
}

func parseString(p []byte, at int) (s string, next int) {
	n, at := parseLength(p, at)
	return string(p[at : at+int(n)]), at + int(n)
}

// pass lets some time go by.
func (w *world) pass() { w.now.Advance(time.Duration(w.rnd.IntN(300)) * time.Millisecond) }
