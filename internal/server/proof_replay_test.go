package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/resp"
	"fulmen/persist/log"
)

// recording reads the log of a server while it works: the merged stream, and each shard's frames.
type recording struct {
	p      *proof
	hold   *log.Hold
	before map[string]entry // what was there when the log began
	merged []byte
	frames [][][]byte // by shard
	quit   chan struct{}
	done   chan error
}

// record begins to read, at a moment at which no command is under way.
func (p *proof) record() *recording {
	r := &recording{p: p, quit: make(chan struct{}), done: make(chan error)}
	p.outsider().all(func() { r.hold, r.before = p.srv.set.Log.Attach(), p.dumpHeld() })
	ring := make(chan struct{}, 1)
	notify := func() {
		select {
		case ring <- struct{}{}:
		default:
		}
	}
	merged, err := r.hold.Merged(notify)
	if err != nil {
		p.t.Fatal(err)
	}
	flows := make([]*log.FlowReader, len(p.srv.set.Shards))
	for i := range flows {
		if flows[i], err = r.hold.Flow(i, notify); err != nil {
			p.t.Fatal(err)
		}
	}
	r.frames = make([][][]byte, len(flows))
	finish := func() {
		for _, f := range flows {
			f.Close()
		}
		lag := merged.LagBytes()
		merged.Close()
		var err error
		if lag != 0 {
			err = fmt.Errorf("%d bytes of the log are not read in the end", lag)
		}
		r.done <- err
	}
	go func() {
		for ended := false; ; {
			r.merged = merged.Append(r.merged, 1<<30)
			parked := merged.Park()
			for i, f := range flows {
				for frame, ok := f.Next(); ok; frame, ok = f.Next() {
					r.frames[i] = append(r.frames[i], frame.Append(nil))
				}
				parked = f.Park() && parked
			}
			switch {
			case !parked:
			case ended:
				finish()
				return
			default:
				select {
				case <-ring:
				case <-r.quit:
					ended = true // and what is left is read
				}
			}
		}
	}()
	return r
}

// end reads what is left; no client writes any more.
func (r *recording) end() {
	r.p.srv.activeExpireOff.Store(true)
	r.p.outsider().all(func() {}) // whoever has not seen that is done
	close(r.quit)
	if err := <-r.done; err != nil {
		r.p.t.Error(err)
	}
	r.hold.Close()
}

// replay executes records and fails at the first error.
type replay struct {
	p    *proof
	c    *proofConn
	n    int
	drop int // a fault: this record is left out
}

func (p *proof) replay() *replay { return &replay{p: p, c: p.dial(), drop: -1} }

func (r *replay) record(args [][]byte) error {
	if r.n++; r.n-1 == r.drop {
		return nil
	}
	r.c.out = resp.AppendCommand(r.c.out, args...)
	if r.c.n++; r.c.n >= 200 {
		return r.flush()
	}
	return nil
}

func (r *replay) flush() error {
	for _, v := range r.c.all() {
		if err := v.Err(); err != nil {
			return fmt.Errorf("replaying, before record %d: %w", r.n, err)
		}
		for _, e := range v.Elems {
			if err := e.Err(); err != nil {
				return fmt.Errorf("replaying a transaction, before record %d: %w", r.n, err)
			}
		}
	}
	return nil
}

// load makes the keys of a dump.
func (r *replay) load(keys map[string]entry) error {
	for name, e := range keys {
		db, key, _ := strings.Cut(name, ":")
		r.c.add("SELECT", db)
		if e.atMs == 0 {
			r.c.add("SET", key, e.val)
		} else {
			r.c.add("SET", key, e.val, "PXAT", strconv.FormatInt(e.atMs, 10))
		}
	}
	r.c.add("SELECT", "0")
	return r.flush()
}

// stream replays the merged stream.
func (r *replay) stream(merged []byte) error {
	if err := log.ForEachIn(merged, r.record); err != nil {
		return err
	}
	return r.flush()
}

// flows replays the shards' frames, each shard as far as it can go before another is looked at: only the pieces of a
// commit over several shards are met at, and done in ascending order.
func (r *replay) flows(frames [][][]byte, rnd *rand.Rand) error {
	at := make([]int, len(frames))
	head := func(i int) (f log.Frame, ok bool, err error) {
		if at[i] == len(frames[i]) {
			return f, false, nil
		}
		f, _, err = log.DecodeFrame(frames[i][at[i]])
		return f, err == nil, err
	}
	apply := func(i int) error {
		at[i]++
		// Every frame begins in database 0, whatever the one before was about.
		if err := r.record([][]byte{[]byte("SELECT"), []byte("0")}); err != nil {
			return err
		}
		return log.ForEachRecord(frames[i][at[i]-1], r.record)
	}
	for progress := true; progress; {
		progress = false
		for _, i := range rnd.Perm(len(frames)) {
			f, ok, err := head(i)
			for ; ok && !f.Piece; f, ok, err = head(i) {
				if err := apply(i); err != nil {
					return err
				}
				progress = true
			}
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			var pieces []int
			whole := uint64(0)
			for j := range frames {
				if g, ok, _ := head(j); ok && g.Piece && g.TxStart == f.TxStart && f.Shards.Has(j) {
					pieces = append(pieces, j)
					whole += g.Len()
				}
			}
			if len(pieces) < f.Shards.Len() {
				continue
			}
			if whole != f.TxEnd-f.TxStart {
				return fmt.Errorf("pieces of the commit at %d have %d bytes, want %d",
					f.TxStart, whole, f.TxEnd-f.TxStart)
			}
			for _, j := range pieces {
				if err := apply(j); err != nil {
					return err
				}
			}
			progress = true
		}
	}
	for i := range frames {
		if at[i] < len(frames[i]) {
			return fmt.Errorf("shard %d: stuck at frame %d of %d", i, at[i], len(frames[i]))
		}
	}
	return r.flush()
}

// digest asks for DEBUG DIGEST.
func (p *proof) digest() string { return text(p.dial().do("DEBUG", "DIGEST")) }

// TestReplay: what the log has, executed by a server with another number of shards whose clock stands still and that
// has the keys that were there when the log began, gives the same keys, down to those that are past their time but
// still there.
func TestReplay(t *testing.T) {
	for _, n := range []struct{ shards, loops, others int }{{1, 2, 3}, {2, 2, 1}, {8, 1, 8}, {8, 3, 2}, {13, 2, 8}} {
		t.Run(fmt.Sprintf("%d shards %d loops", n.shards, n.loops), func(t *testing.T) {
			proveReplay(t, n.shards, n.loops, n.others).mustContend()
		})
	}
}

// proveReplay is TestReplay for a server with the given shards, loops and parameters; it is replayed by one with
// others shards.
func proveReplay(t *testing.T, shards, loops, others int, params ...string) *proof {
	p := startProof(t, shards, loops, 3, params...)
	p.meddlers()
	first := p.clock.NowMs()
	if shards > 2 {
		p.pour(flood{seed: 77, connections: 3, each: 300, keys: 300, plain: true})
	}
	r := p.record()
	f := flood{seed: uint64(shards), connections: 6, each: 4000 / proofShare, keys: 400, flush: 100}
	p.pour(f)
	p.pour(flood{seed: 99, connections: 4, each: 200, keys: 400}) // so that something is there
	p.dial().do("CONFIG", "SET", "maxmemory", "0")                // so that nothing goes any more
	r.end()
	want := p.dump()
	if len(want) < 10 { // a few large values under maxmemory leave no room for more
		t.Fatalf("only %d keys", len(want))
	}
	r.mustReplay(first, others)
	t.Logf("%d keys before, %d commands, %d bytes of log, %d keys, %+v",
		len(r.before), f.connections*f.each, len(r.merged), len(want), p.contention())
	return p
}

// mustReplay replays what was recorded, from the time first on, on servers of so many shards, as one stream and frame
// by frame, and from files, and compares what they hold then.
func (r *recording) mustReplay(first int64, shards int) {
	p, t := r.p, r.p.t
	t.Helper()
	want, digest := p.dump(), p.digest()
	for _, way := range []string{"stream", "flows", "files"} {
		q := startProof(t, shards, 1, 0)
		q.clock.wall.SetMs(first)
		play := q.replay()
		err := play.load(r.before)
		if err != nil {
			t.Fatal(err)
		}
		switch way {
		case "stream":
			err = play.stream(r.merged)
		case "flows":
			err = play.flows(r.frames, rand.New(rand.NewPCG(1, 1)))
		default:
			err = r.load(q)
		}
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		if d := difference(q.dump(), want); d != "" {
			t.Errorf("%s: %s", way, d)
		}
		q.clock.wall.SetMs(p.clock.NowMs())
		if got := q.digest(); got != digest {
			t.Errorf("%s: digest %s, want %s", way, got, digest)
		}
	}
}

// alwaysChanges are commands that never leave a key as it was: with what random commands write, a SET or SETRANGE may.
var alwaysChanges = []string{"append", "incr", "incrby", "decr", "decrby"}

// TestReplayNoticesADroppedEffect plants a fault: one record that made the final state what it is, is left out.
func TestReplayNoticesADroppedEffect(t *testing.T) {
	p := startProof(t, 8, 2, 3)
	first := p.clock.NowMs()
	r := p.record()
	p.pour(flood{seed: 1, connections: 4, each: 500, keys: 300})
	// Of keys that nobody else writes to, beside what is random.
	c := p.dial()
	for i := range 3 {
		c.do("SET", "own"+strconv.Itoa(i), strconv.Itoa(i))
		c.do("INCR", "own"+strconv.Itoa(i))
		c.do("APPEND", "own"+strconv.Itoa(i), "1")
	}
	r.end()
	want := p.dump()
	type effect struct {
		number int
		words  string
	}
	var effects []effect
	later := map[string]bool{} // keys that are named later, in whichever database
	db := "0"
	var all [][][]byte
	if err := log.ForEachIn(r.merged, func(args [][]byte) error {
		all = append(all, bytesOf(args))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	dbs := make([]string, len(all))
	for i, args := range all {
		if string(args[0]) == "SELECT" {
			db = string(args[1])
		}
		dbs[i] = db
	}
	for n := len(all) - 1; n >= 0; n-- {
		args := all[n]
		if len(args) < 2 {
			continue
		}
		key, name := string(args[1]), strings.ToLower(string(args[0]))
		if name == "swapdb" {
			break // what was before it has another place now
		}
		if slices.Contains(alwaysChanges, name) && !later[key] && want[dbs[n]+":"+key] != (entry{}) {
			effects = append(effects, effect{n, string(bytes.Join(args, []byte(" ")))})
		}
		for _, a := range args[1:] {
			later[string(a)] = true
		}
	}
	if len(effects) < 5 {
		t.Fatalf("only %d effects to drop", len(effects))
	}
	for _, e := range effects[:5] {
		q := startProof(t, 4, 1, 0)
		q.clock.wall.SetMs(first)
		play := q.replay()
		play.drop = e.number
		if err := play.stream(r.merged); err != nil {
			t.Fatal(err)
		}
		if d := difference(q.dump(), want); d == "" {
			t.Errorf("not noticed: %.60q", e.words)
		} else {
			t.Logf("without %.60q: %s", e.words, d)
		}
	}
}

func bytesOf(args [][]byte) (all [][]byte) {
	for _, a := range args {
		all = append(all, bytes.Clone(a))
	}
	return all
}
