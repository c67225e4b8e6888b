package log

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sort"
	"strconv"
	"sync"
	"testing"
)

// encode is a RESP encoder that shares no code with the package's.
func encode(args ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

type modelRecord struct {
	db   int // joinDB: no record, but a place where two pieces were joined
	args []string
}

const joinDB = -2

// model says what a commit's bytes should be, from the rules in the package comment.
type model struct {
	pieces map[int][]modelRecord
	home   map[int]int
}

func newModel() *model { return &model{map[int][]modelRecord{}, map[int]int{}} }

func (m *model) homeOf(s int) int {
	for {
		h, ok := m.home[s]
		if !ok {
			return s
		}
		s = h
	}
}

func (m *model) stage(s, db int, args ...string) {
	h := m.homeOf(s)
	m.pieces[h] = append(m.pieces[h], modelRecord{db, args})
}

func (m *model) barrier(over []int, db int, args ...string) {
	home := m.homeOf(over[0])
	for _, s := range over {
		home = min(home, m.homeOf(s))
	}
	for _, s := range over {
		if h := m.homeOf(s); h != home {
			if len(m.pieces[h]) > 0 {
				m.pieces[home] = append(append(m.pieces[home], modelRecord{db: joinDB}), m.pieces[h]...)
				delete(m.pieces, h)
			}
			m.home[h] = home
		}
	}
	m.stage(home, db, args...)
}

func (m *model) bytes(tx bool) string {
	var shards []int
	records := 0
	for s, rs := range m.pieces {
		shards = append(shards, s)
		for _, r := range rs {
			if r.db != joinDB {
				records++
			}
		}
	}
	sort.Ints(shards)
	var b bytes.Buffer
	if tx && records > 1 {
		b.WriteString(encode("MULTI"))
	}
	for _, s := range shards {
		db := 0
		for _, r := range append(m.pieces[s], modelRecord{db: joinDB}) {
			want := r.db
			if want == joinDB {
				want = 0
			}
			if want >= 0 && want != db {
				b.WriteString(encode("SELECT", strconv.Itoa(want)))
				db = want
			}
			if r.db != joinDB {
				b.WriteString(encode(r.args...))
			}
		}
	}
	if tx && records > 1 {
		b.WriteString(encode("EXEC"))
	}
	return b.String()
}

// commitDone is a commit that a worker has made.
type commitDone struct {
	end    uint64
	bytes  string
	shards int
}

// stage is a set of shards with a mutex each for a baton, workers that commit, and what they have
// committed.
type stageSet struct {
	log     *Log
	batons  []sync.Mutex
	mu      sync.Mutex
	commits []commitDone
}

func newStageSet(shards int, limits Limits) *stageSet {
	s := &stageSet{log: New(shards, limits), batons: make([]sync.Mutex, shards)}
	s.log.pool.poison = bytes.Repeat([]byte{0xdd}, blockBytes)
	return s
}

// all runs fn with all batons held.
func (s *stageSet) all(fn func()) {
	for i := range s.batons {
		s.batons[i].Lock()
		defer s.batons[i].Unlock()
	}
	fn()
}

func bytesOf(args []string) (out [][]byte) {
	for _, a := range args {
		out = append(out, []byte(a))
	}
	return out
}

// work makes n random commits.
func (s *stageSet) work(rnd *rand.Rand, n int, big bool) {
	var done []commitDone
	for range n {
		if rnd.IntN(5) == 0 {
			s.log.SetTime(rnd.Int64N(3) * 1_700_000_000)
		}
		count := 1
		if rnd.IntN(3) == 0 {
			count = 1 + rnd.IntN(len(s.batons))
		}
		done = append(done, s.commit(rnd, rnd.Perm(len(s.batons))[:count], rnd.IntN(2) == 0, big))
	}
	s.mu.Lock()
	s.commits = append(s.commits, done...)
	s.mu.Unlock()
}

func (s *stageSet) commit(rnd *rand.Rand, shards []int, tx, big bool) commitDone {
	sort.Ints(shards)
	var held []*ShardLog
	for _, i := range shards {
		s.batons[i].Lock()
		defer s.batons[i].Unlock()
		held = append(held, s.log.Shard(i))
	}
	m := newModel()
	for range 1 + rnd.IntN(4) {
		size := rnd.IntN(100)
		if big && rnd.IntN(20) == 0 {
			size = rnd.IntN(3 * blockBytes)
		}
		db := 0
		if rnd.IntN(4) == 0 {
			db = rnd.IntN(4) - 1
		}
		args := []string{"SET", strconv.Itoa(rnd.Int()), string(bytes.Repeat([]byte{byte('a' + rnd.IntN(26))}, size))}
		if rnd.IntN(5) == 0 {
			over := shards[rnd.IntN(len(shards)):]
			var logs []*ShardLog
			for _, i := range over {
				logs = append(logs, s.log.Shard(i))
			}
			s.log.StageBarrier(logs, db, bytesOf(args)...)
			m.barrier(over, db, args...)
		} else {
			i := shards[rnd.IntN(len(shards))]
			s.log.Shard(i).Stage(db, bytesOf(args)...)
			m.stage(i, db, args...)
		}
	}
	return commitDone{s.log.Commit(held, tx), m.bytes(tx), len(shards)}
}

// stream returns what the merged stream has to be from lsn start on.
func (s *stageSet) stream(t *testing.T, start uint64) string {
	t.Helper()
	sort.Slice(s.commits, func(i, j int) bool { return s.commits[i].end < s.commits[j].end })
	var b bytes.Buffer
	for _, c := range s.commits {
		b.WriteString(c.bytes)
		if got := start + uint64(b.Len()); got != c.end {
			t.Fatalf("commit ends at %d, the stream's bytes at %d", c.end, got)
		}
	}
	return b.String()
}

// readMerged reads m until stop is closed and nothing is left.
func readMerged(m *MergedReader, bell chan struct{}, stop chan struct{}) []byte {
	var got []byte
	for {
		select {
		case <-stop:
			return m.Append(got, 1<<40)
		default:
		}
		got = m.Append(got, 4096)
		if m.Park() {
			select {
			case <-bell:
			case <-stop:
			}
		}
	}
}

// flowCheck drains flows and checks frame by frame what the contiguous LSN promises.
type flowCheck struct {
	log     *Log
	flows   []*FlowReader
	covered uint64            // all ranges below were seen
	ahead   map[uint64]uint64 // ranges seen above covered, by start
	txLeft  map[uint64]uint64 // bytes of a commit's range not yet seen, by its start
	buf     []byte
}

func newFlowCheck(h *Hold) (*flowCheck, error) {
	f := &flowCheck{log: h.log, covered: h.lsn, ahead: map[uint64]uint64{}, txLeft: map[uint64]uint64{}}
	for i := range h.log.shards {
		r, err := h.Flow(i, func() {})
		if err != nil {
			return nil, err
		}
		f.flows = append(f.flows, r)
	}
	return f, nil
}

func (f *flowCheck) close() {
	for _, r := range f.flows {
		r.Close()
	}
}

// pass loads the contiguous LSN, drains all flows, and checks that everything below it was there.
func (f *flowCheck) pass() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	c := f.log.Contiguous()
	for i, r := range f.flows {
		for tail := r.shard.tail.Load(); r.pos < tail; { // writers may be faster: not until nothing is left
			frame, ok := r.Next()
			if !ok {
				return fmt.Errorf("shard %d: nothing below its tail", i)
			}
			if err := f.frame(i, frame); err != nil {
				return err
			}
		}
	}
	for end, ok := f.ahead[f.covered]; ok; end, ok = f.ahead[f.covered] {
		delete(f.ahead, f.covered)
		f.covered = end
	}
	if f.covered < c {
		return fmt.Errorf("contiguous LSN %d, but frames only reach %d", c, f.covered)
	}
	return nil
}

func (f *flowCheck) frame(shard int, frame FlowFrame) error {
	f.buf = frame.Append(f.buf[:0])
	d, n, err := DecodeFrame(f.buf)
	if err != nil || n != len(f.buf) {
		return fmt.Errorf("shard %d: frame of %d bytes decodes to %d, %v", shard, len(f.buf), n, err)
	}
	if d.Start != frame.Start || d.End != frame.End || d.TxStart != frame.TxStart || d.TxEnd != frame.TxEnd ||
		len(d.Line) != frame.LineLen {
		return fmt.Errorf("shard %d: %+v is not %+v", shard, d.Header, frame)
	}
	if d.Piece != (d.Shards.Len() > 0) || d.Piece && !d.Shards.Has(shard) {
		return fmt.Errorf("shard %d: wrong shards %v", shard, d.Shards)
	}
	if d.End > d.Start {
		f.ahead[d.Start] = d.End
	}
	return ForEachRecord(f.buf, func([][]byte) error { return nil })
}

func testModel(t *testing.T, shards, workers, commits int, big bool) {
	s := newStageSet(shards, Limits{BacklogBytes: 1 << 20, MemoryBytes: 1 << 30})
	var hold *Hold
	s.all(func() { hold = s.log.Attach() })
	start := hold.LSN()
	bell, stop := make(chan struct{}, 1), make(chan struct{})
	m, err := hold.Merged(func() {
		select {
		case bell <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFlowCheck(hold)
	if err != nil {
		t.Fatal(err)
	}
	hold.Unpin()

	var writers, readers sync.WaitGroup
	var got []byte
	readers.Go(func() { got = readMerged(m, bell, stop) })
	var flowErr error
	readers.Go(func() {
		for flowErr == nil {
			select {
			case <-stop:
				flowErr = f.pass()
				return
			default:
				flowErr = f.pass()
			}
		}
	})
	for w := range workers {
		writers.Go(func() { s.work(rand.New(rand.NewPCG(uint64(w), uint64(shards))), commits, big) })
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if flowErr != nil {
		t.Fatal(flowErr)
	}
	want := s.stream(t, start)
	if string(got) != want {
		t.Fatalf("merged stream of %d bytes differs from the %d of the model at %d",
			len(got), len(want), firstDifference(string(got), want))
	}
	if f.covered != s.log.LSN() || s.log.Contiguous() != s.log.LSN() || m.LSN() != s.log.LSN() {
		t.Fatalf("LSN %d, contiguous %d, flows %d, merged %d", s.log.LSN(), s.log.Contiguous(), f.covered, m.LSN())
	}
	m.Close()
	f.close()
	hold.Close()
	if s.log.Active() {
		t.Fatal("active without readers")
	}
	if live := s.log.pool.live.Load(); live > int64(shards) {
		t.Fatalf("%d blocks live with nobody reading %d shards", live, shards)
	}
}

func firstDifference(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func TestModel(t *testing.T) {
	for _, c := range []struct {
		shards, workers, commits int
		big                      bool
	}{{1, 2, 1000, false}, {2, 4, 700, false}, {8, 4, 700, false}, {3, 3, 30, true}, {256, 4, 100, false}} {
		t.Run(fmt.Sprintf("%d shards", c.shards), func(t *testing.T) {
			testModel(t, c.shards, c.workers, c.commits, c.big)
		})
	}
}
