package aof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// history is a server as the crash checks have it: lives one after the other on the same disk, each of which commits
// changes of numbers, and is ended by something. It knows what each commit has done, and so what each state of the disk
// may come to.
type history struct {
	t      testing.TB
	rnd    *rand.Rand
	shards int
	policy Policy
	disk   *vfstest.Mem
	fs     vfs.FS                // the same, with a look before each call
	change func(*RecoverOptions) // plants a fault; may be nil
	load   loadPlant             // likewise
	seeds  int                   // drawn outcomes of each power cut
	every  int                   // one moment of so many is looked at; 0: all are

	past     []past // by LSN
	clock    *clock.Fake
	unmarked bool // no time passes, and files get no marks
	log      *log.Log
	logs     []*log.ShardLog
	w        *Writer
	manifest *Manifest
	readers  []*log.ChunkReader
	ring     log.RingContent // of all that was published in this life
	promised uint64
	stale    *log.RingContent // what the ring of the life before had; nil: nothing

	checking func(s vfstest.Step) // looks at the disk before a call changes it
	moments  int
	states   int
	failed   error
}

// past is a commit of which something may be found after a crash.
type past struct {
	start, end uint64
	ops        []op
}

// op is a record: a command and the shards it concerns.
type op struct {
	shards []int
	args   []string
}

// state is what the data is: numbers by name.
type state map[string]int

// do executes a record.
func (s state) do(args []string) error {
	n := 0
	if len(args) == 3 {
		n, _ = strconv.Atoi(args[2])
	} else if args[0] != "DOUBLE" {
		return fmt.Errorf("no such command: %q", args)
	}
	switch args[0] {
	case "SET":
		s[args[1]] = n
	case "INCRBY":
		s[args[1]] += n
	case "GIVE": // all that one has to another
		s[args[2]] += s[args[1]]
		delete(s, args[1])
	case "DOUBLE":
		for key := range s {
			s[key] *= 2
		}
	default:
		return fmt.Errorf("no command %q", args[0])
	}
	return nil
}

// at folds what was committed before an LSN.
func (h *history) at(lsn uint64) state {
	s := state{}
	for _, p := range h.past {
		if p.end > lsn {
			break
		}
		for _, o := range p.ops {
			if err := s.do(o.args); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	return s
}

// Apply implements Applier.
func (s *appliedState) Apply(_ int, parts [][]byte) (done, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, part := range parts {
		err = log.ForEachIn(part, func(args [][]byte) error {
			if name := string(args[0]); name == "MULTI" || name == "EXEC" {
				return nil
			}
			var words []string
			for _, a := range args {
				words = append(words, string(a))
			}
			n++
			return s.state.do(words)
		})
		if err != nil {
			return i, n, err
		}
	}
	return len(parts), n, nil
}

type appliedState struct {
	mu    sync.Mutex
	state state
}

func newHistory(t testing.TB, seed uint64, shards int, policy Policy) *history {
	return &history{
		t: t, rnd: rand.New(rand.NewPCG(seed, 6)), shards: shards, policy: policy, disk: newDisk(t), seeds: 1,
		clock: clock.NewFake(1_700_000_000_000),
	}
}

// start begins the first life.
func (h *history) start() {
	m := &Manifest{
		DirID: 0xabc, Databases: 16, Shards: h.shards, ReplID: strings.Repeat("a", 40),
		Incarnations: []Incarnation{{Number: 1, StartLSN: 1000, Site: testSite}},
	}
	must(h.t, m.Commit(h.disk, testDir, testName))
	h.manifest = m
	h.promised = 1000
	h.fs = h.tap()
	h.live(m)
}

// tap returns the disk, with a look at it before each call that changes something.
func (h *history) tap() vfs.FS {
	return vfstest.NewTap(h.disk, func(s vfstest.Step) error {
		if s.Changes() && h.failed == nil && h.checking != nil {
			h.checking(s)
		}
		return nil
	})
}

// live begins a life whose incarnation m has begun.
func (h *history) live(m *Manifest) {
	last := m.Last()
	h.log = log.New(h.shards, log.Limits{})
	h.log.SetIncarnation(last.Number)
	h.log.SetLSN(last.StartLSN)
	h.logs, h.readers = nil, nil
	h.ring = log.RingContent{Identity: ringIdentity(m), Shards: make([]log.RingShard, h.shards)}
	h.w = Open(Options{
		FS: h.fs, Dir: testDir, Name: testName, Log: h.log, DirID: m.DirID, Incarnation: last.Number, Policy: h.policy,
		Clock: h.clock,
	})
	h.w.inPlace, h.w.plant.markNever = true, h.unmarked
	hold := h.log.Resume()
	defer hold.Close()
	for i := range h.shards {
		h.logs = append(h.logs, h.log.Shard(i))
		r, err := hold.Chunks(i, nil)
		must(h.t, err)
		h.readers = append(h.readers, r)
		h.ring.Shards[i] = log.RingShard{Tail: r.Pos(), Ranges: []log.RingRange{{Pos: r.Pos()}}}
	}
	seq := m.NextSeq()
	must(h.t, h.w.Prepare(seq))
	m = m.Clone()
	m.Add(IncrFiles(h.shards, seq, last.Number, last.StartLSN, 1)...)
	must(h.t, m.Commit(h.fs, testDir, testName))
	h.manifest = m
	must(h.t, h.w.start(hold))
}

// ringIdentity says whose a ring is.
func ringIdentity(m *Manifest) log.RingIdentity {
	return log.RingIdentity{DirID: m.DirID, Incarnation: m.Last().Number, Shards: m.Shards}
}

// commit makes a commit of some records and has the ring know it.
func (h *history) commit(ops ...op) {
	set := map[int]bool{}
	for _, o := range ops {
		var args [][]byte
		for _, word := range o.args {
			args = append(args, []byte(word))
		}
		var over []*log.ShardLog
		for _, i := range o.shards {
			set[i] = true
			over = append(over, h.logs[i])
		}
		h.log.StageBarrier(over, 0, args...)
	}
	var held []*log.ShardLog
	for _, i := range slices.Sorted(maps.Keys(set)) {
		held = append(held, h.logs[i])
	}
	from := h.log.LSN()
	h.log.SetTime(1_700_000_000 + int64(len(h.past)/3)) // some frames say so
	h.past = append(h.past, past{from, h.log.Commit(held, true), ops})
	for i, r := range h.readers {
		s := &h.ring.Shards[i]
		for p := r.Next(1 << 20); len(p) > 0; p = r.Next(1 << 20) {
			s.Ranges[0].Data = append(s.Ranges[0].Data, p...)
		}
		s.Tail = rangeEnd(&s.Ranges[0])
	}
}

// name draws a number's name in a shard.
func (h *history) name(shard int) string { return fmt.Sprintf("n%d:%d", shard, h.rnd.IntN(4)) }

// draw makes a commit of some kind. The sum of all numbers is 0 unless something is set.
func (h *history) draw() {
	if h.rnd.IntN(4) == 0 && !h.unmarked {
		h.clock.Advance(time.Second) // files get new marks now and then
	}
	i, j := h.rnd.IntN(h.shards), h.rnd.IntN(h.shards)
	n := strconv.Itoa(1 + h.rnd.IntN(1000))
	switch kind := h.rnd.IntN(12); {
	case kind < 4:
		a := h.name(i)
		b := h.name(i)
		h.commit(op{[]int{i}, []string{"INCRBY", a, n}}, op{[]int{i}, []string{"INCRBY", b, "-" + n}})
	case kind < 9 || i == j: // a transfer
		h.commit(op{[]int{i}, []string{"INCRBY", h.name(i), n}}, op{[]int{j}, []string{"INCRBY", h.name(j), "-" + n}})
	case kind < 11:
		both := []int{min(i, j), max(i, j)}
		h.commit(op{both, []string{"GIVE", h.name(i), h.name(j)}})
	default:
		var all []int
		for k := range h.shards {
			all = append(all, k)
		}
		h.commit(op{all, []string{"DOUBLE"}})
	}
}

// turns has the Writer do what is due.
func (h *history) turns() {
	for range 100 {
		if h.w.turn() != 0 {
			break
		}
	}
	h.promised = max(h.promised, h.w.SyncedLSN())
}

// rewrite makes a BASE of all there is, and new INCR files.
func (h *history) rewrite() {
	h.turns()
	if h.w.Switching() {
		return
	}
	r := NewRewriter(RewriterOptions{FS: h.fs, Dir: testDir, Name: testName}, h.manifest)
	if h.rnd.IntN(2) == 0 {
		r.SetRetain(Retain{Bytes: 1 + h.rnd.Int64N(20_000)})
	}
	must(h.t, r.Prepare(h.w, 1))
	h.manifest = r.Manifest()
	h.draw()
	hold := h.log.Attach()
	must(h.t, r.Cut(hold, hold.LSN(), 1, func(*Manifest) {}))
	hold.Close()
	h.draw()
	h.draw()
	if h.rnd.IntN(3) > 0 { // BASE may come before what follows the cut is synced
		h.w.Sync(h.log.LSN())
		h.turns()
		if h.w.Switching() {
			h.t.Fatal("still switching")
		}
	}
	if h.rnd.IntN(5) == 0 { // no BASE could be written
		r.Abandon()
		return
	}
	for _, name := range r.BasePaths(h.shards, FormatRDB) {
		file, err := h.fs.Create(name, 0o644)
		must(h.t, err)
		must(h.t, errors.Join(file.Sync(), file.Close()))
	}
	must(h.t, h.fs.SyncDir(testDir))
	must(h.t, r.Install(make([]BaseFile, h.shards)))
	h.manifest = r.Manifest()
}

// options are those of a recovery.
func (h *history) options(fsys vfs.FS, ring *log.RingContent) *RecoverOptions {
	o := &RecoverOptions{
		FS: fsys, Dir: testDir, Name: testName, Ring: ring, Truncated: true,
	}
	if h.change != nil {
		h.change(o)
	}
	return o
}

// loaded returns what loading gives.
func (h *history) loaded(fsys vfs.FS, m *Manifest) (state, error) {
	start := uint64(0)
	for _, f := range m.Live(Base) {
		start = f.LSN
	}
	s := &appliedState{state: h.at(start)}
	ahead := h.states%2 == 0
	err := Load(&LoadOptions{
		FS: fsys, Dir: testDir, Name: testName, Manifest: m, Applier: s, plant: h.load,
		ahead: &ahead, atOnce: 200, // some frames a batch
	}, &LoadProgress{})
	return s.state, err
}

// expectation is what a crash may come to: at least all below promised; if exact, all that there is of history.
type expectation struct {
	promised uint64
	exact    bool
	unsummed bool // numbers don't come to 0
	stayed   bool // the files are where they were written, by a system that goes on
}

// check recovers a copy of the disk and compares what it comes to with what it has to.
func (h *history) check(when string, fsys vfs.FS, ring *log.RingContent, want expectation) *Recovered {
	if h.failed != nil {
		return nil
	}
	h.states++
	o := h.options(fsys, ring)
	if want.stayed {
		o.Site = testSite
	}
	r, err := Recover(o)
	if err != nil {
		h.failed = fmt.Errorf("%s: %w", when, err)
		return nil
	}
	h.judge(when, fsys, r, want)
	return r
}

// judge compares what a recovery has come to with what it has to.
func (h *history) judge(when string, fsys vfs.FS, r *Recovered, want expectation) {
	got, err := h.loaded(fsys, r.Manifest)
	if err != nil {
		h.failed = fmt.Errorf("%s: recovered to %d, loading: %w", when, r.EndLSN, err)
		return
	}
	end := r.EndLSN
	if all := max(want.promised, lastEnd(h.past)); want.exact && end != all {
		h.failed = fmt.Errorf("%s: recovered to %d, want %d", when, r.EndLSN, all)
		return
	}
	if end < want.promised {
		h.failed = fmt.Errorf("%s: recovered to %d, and %d was promised", when, r.EndLSN, want.promised)
		return
	}
	expected := h.at(end)
	for _, p := range h.past {
		if p.start < end && end < p.end {
			h.failed = fmt.Errorf("%s: recovered to %d, in the middle of a commit", when, end)
			return
		}
	}
	if !maps.Equal(got, expected) {
		h.failed = fmt.Errorf("%s: recovered to %d, state\n%v, want\n%v", when, end, got, expected)
	}
	sum := 0
	for _, n := range got {
		sum += n
	}
	if sum != 0 && !want.unsummed && h.failed == nil {
		h.failed = fmt.Errorf("%s: recovered to %d, all numbers together are %d", when, end, sum)
	}
}

func lastEnd(commits []past) uint64 {
	if len(commits) == 0 {
		return 0
	}
	return commits[len(commits)-1].end
}

// window returns what a ring has that keeps no more than it must: what is not synced, and up to extra bytes before.
func (h *history) window(extra int) *log.RingContent {
	ring := h.ring
	ring.Shards = slices.Clone(ring.Shards)
	for i := range ring.Shards {
		s := &ring.Shards[i]
		p := s.Ranges[0]
		drop := max(0, int(h.w.streams[i].keep.Pos()-p.Pos)-h.rnd.IntN(extra+1))
		s.Ranges = []log.RingRange{{Pos: p.Pos + uint64(drop), Data: bytes.Clone(p.Data[drop:])}}
	}
	return &ring
}

var killed = vfstest.Outcome{Content: vfstest.Kept, Names: vfstest.Kept}

// passes reports whether this moment is one that nobody looks at.
func (h *history) passes() bool {
	h.moments++
	return h.moments%max(h.every, 1) != 0
}

// look checks what a crash of any kind comes to at this moment.
func (h *history) look(when string) {
	h.promised = max(h.promised, h.w.SyncedLSN())
	if h.passes() {
		return
	}
	h.cut(when, expectation{promised: h.promised})
	h.check(when+", killed", h.disk.Crash(killed), h.window(100), expectation{promised: h.promised, exact: true})
	written := expectation{promised: max(h.promised, h.w.WrittenLSN()), stayed: true}
	h.check(when+", killed without a ring", h.disk.Crash(killed), nil, written)
	if h.stale != nil {
		want := expectation{promised: h.promised}
		h.check(when+", killed before there was a ring", h.disk.Crash(killed), h.stale, want)
	}
}

// cut checks what power cuts come to at this moment.
func (h *history) cut(when string, want expectation) {
	for _, o := range h.disk.Outcomes(h.seeds) {
		h.check(fmt.Sprintf("%s, power cut (%v)", when, o), h.disk.Crash(o), nil, want)
	}
}

// flight makes commits at the same time, some of which are not published, or not in all shards, when the process is
// killed. It returns the ring of that moment.
func (h *history) flight() *log.RingContent {
	shards := h.rnd.Perm(h.shards)
	var tails []uint64
	for i := range h.ring.Shards {
		tails = append(tails, h.ring.Shards[i].Tail)
	}
	for len(shards) > 0 {
		n := min(1+h.rnd.IntN(3), len(shards))
		over := slices.Sorted(slices.Values(shards[:n]))
		shards = shards[n:]
		var ops []op
		for _, i := range over {
			ops = append(ops, op{[]int{i}, []string{"INCRBY", h.name(i), "7"}})
		}
		ops = append(ops, op{over[:1], []string{"INCRBY", h.name(over[0]), strconv.Itoa(-7 * n)}})
		if n > 1 && h.rnd.IntN(2) == 0 {
			ops = []op{{over, []string{"GIVE", h.name(over[0]), h.name(over[1])}}}
		}
		h.commit(ops...)
		if h.rnd.IntN(2) == 0 {
			for _, i := range over {
				tails[i] = h.ring.Shards[i].Tail
			}
			continue
		}
		h.past = h.past[:len(h.past)-1]
		for _, i := range over[:h.rnd.IntN(n)] { // published one after the other
			tails[i] = h.ring.Shards[i].Tail
		}
	}
	ring := h.window(100)
	for i := range ring.Shards {
		s := &ring.Shards[i]
		s.Tail = tails[i]
		s.Ranges[0].Data = s.Ranges[0].Data[:tails[i]-s.Ranges[0].Pos]
	}
	return ring
}

// again ends the life and begins another one; o is what is left of the disk, and ring what is in memory, if anything.
// The recovery, and what follows it, is broken off at each step. stayed is that of an expectation.
func (h *history) again(when string, o vfstest.Outcome, ring *log.RingContent, stayed bool) {
	if h.failed != nil {
		return
	}
	h.promised = max(h.promised, h.w.SyncedLSN())
	lasts := h.promised // also if the power is cut while this is recovered
	if stayed {
		h.promised = max(h.promised, h.w.WrittenLSN())
	}
	for _, r := range h.readers {
		r.Close()
	}
	h.disk = h.disk.Crash(o)
	h.fs = h.tap()
	first := expectation{promised: h.promised, exact: ring != nil, stayed: stayed}
	h.checking = func(s vfstest.Step) {
		if h.passes() {
			return
		}
		at := fmt.Sprintf("%s, recovering, before %v", when, s)
		h.cut(at, expectation{promised: lasts})
		if ring != nil || stayed {
			h.check(at+", killed", h.disk.Crash(killed), ring, first)
		}
	}
	r := h.check(when, h.fs, ring, first)
	if h.failed != nil {
		return
	}
	h.past = slices.DeleteFunc(h.past, func(p past) bool { return p.end > r.EndLSN })
	h.promised = r.EndLSN
	// What was recovered is what it is from now on, whatever happens, and however often.
	exact := expectation{promised: r.EndLSN, exact: true}
	h.checking = func(s vfstest.Step) {
		if h.passes() {
			return
		}
		at := fmt.Sprintf("%s, beginning anew, before %v", when, s)
		h.cut(at, exact)
		same := exact
		same.stayed = true
		h.check(at+", killed", h.disk.Crash(killed), ring, same) // the ring is still that of a life that has ended
	}
	m := r.Begin()
	m.Last().Site = testSite
	must(h.t, m.Commit(h.fs, testDir, testName))
	h.live(m)
	_, err := h.manifest.RemoveUnnamed(h.fs, testDir, testName)
	must(h.t, err)
	h.checking, h.stale = nil, ring
	h.look(when + ", begun anew")
}

// names lists the directory, for messages.
func (h *history) names() string {
	names, err := h.disk.ReadDir(filepath.Clean(testDir))
	must(h.t, err)
	return cmp.Or(strings.Join(names, " "), "nothing")
}
