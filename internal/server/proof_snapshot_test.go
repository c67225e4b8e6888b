package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/reactor"
)

// bufferSink is a sink in memory.
type bufferSink struct {
	merged  bool
	onWrite func() // nil, or called before each write
	streams []*bytes.Buffer
}

// Begin implements snapshot.Sink.
func (b *bufferSink) Begin(*snapshot.Cut) (snapshot.Form, error) {
	return snapshot.Form{Streams: btoi(b.merged), WriteOptions: rdb.WriteOptions{Checksum: true}}, nil
}

// Open implements snapshot.Sink.
func (b *bufferSink) Open(int) (io.Writer, error) {
	st := &bytes.Buffer{}
	b.streams = append(b.streams, st)
	return writerFunc(func(p []byte) (int, error) {
		if b.onWrite != nil {
			b.onWrite()
		}
		return st.Write(p)
	}), nil
}

type writerFunc func(p []byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Commit implements snapshot.Sink.
func (*bufferSink) Commit([]int64) error { return nil }

// Abort implements snapshot.Sink.
func (*bufferSink) Abort(error) {}

// read decodes what the sink got, by database and key.
func (b *bufferSink) read() (map[string]entry, error) {
	all := map[string]entry{}
	for i, st := range b.streams {
		r := rdb.NewReader(st, strconv.Itoa(i))
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if e.Kind != rdb.EventKey {
				continue
			}
			name, atMs, kind := fmt.Sprintf("%d:%s", e.DB, e.Key), e.ExpireAtMs, e.Type
			raw, err := r.Raw(nil)
			if err != nil {
				return nil, err
			}
			if _, ok := all[name]; ok {
				return nil, fmt.Errorf("%s comes twice", name)
			}
			all[name] = entry{string(append([]byte{kind}, raw...)), atMs}
		}
	}
	return all, nil
}

// save makes a save of everything and waits for its end. want is what it should have, if asked for.
func (p *proof) save(o *outsider, compared bool, sinks ...snapshot.Sink) (r snapshot.Result, want map[string]entry) {
	var v *snapshot.Save
	o.all(func() {
		if compared {
			want = p.dumpAs(p.serialised())
		}
		var err error
		if v, err = p.srv.saver.Begin(snapshot.Request{Sinks: sinks}); err != nil {
			p.t.Fatal(err)
		}
	})
	return v.Wait(), want
}

// TestSavesUnderLoad: a save that begins at any moment, while clients write at full speed with every command that
// writes, keys expire and are evicted, databases are flushed and exchanged and memory is moved, has every key of that
// moment once and as it was then, in the segments and in the one file. Its buffers are small, so that writers may have
// to wait for it.
func TestSavesUnderLoad(t *testing.T) {
	for _, n := range []struct{ shards, loops int }{{1, 2}, {8, 2}, {3, 3}} {
		t.Run(fmt.Sprintf("%d shards %d loops", n.shards, n.loops), func(t *testing.T) {
			p := startProof(t, n.shards, n.loops, 3, "--activedefrag", "yes", "--active-defrag-ignore-bytes", "1",
				"--active-defrag-threshold-lower", "1", "--maxmemory-policy", "allkeys-random")
			p.srv.saver.SetBudget(1)
			const names = 20_000
			p.fill(names)
			p.dial().do("CONFIG", "SET", "maxmemory", strconv.FormatInt(p.srv.usedMemory()*9/8, 10))
			poured := make(chan bool)
			f := flood{seed: 9, connections: 5, each: 10_000 / proofShare, keys: names, flush: 1000}
			go func() {
				p.pour(f)
				close(poured)
			}()
			o, saves, total := p.outsider(), 0, snapshot.Progress{}
			for poured != nil {
				a, b := &bufferSink{}, &bufferSink{merged: true}
				a.onWrite = func() { // the longer a save takes, the more happens meanwhile
					for i := 0; i < 100 && !p.srv.saver.Overdrawn(); i++ {
						runtime.Gosched()
					}
				}
				r, want := p.save(o, true, a, b)
				for _, sink := range []*bufferSink{a, b} {
					got, err := sink.read()
					if err != nil {
						t.Fatal(err)
					}
					if d := difference(got, want); d != "" {
						t.Fatalf("save %d: %s", saves, d)
					}
				}
				if r.Err != nil || r.Saved != int64(len(want)) {
					t.Fatalf("save %d: %+v, want %d keys", saves, r, len(want))
				}
				saves++
				total.Saved += r.Saved
				total.CopiedBytes += r.CopiedBytes
				total.Waits += r.Waits
				total.BufferBytes = max(total.BufferBytes, r.BufferBytes)
				select {
				case <-poured:
					poured = nil
				default:
				}
			}
			evicted := int64(0)
			o.all(func() {
				for _, s := range p.srv.set.Shards {
					evicted += s.Stats.EvictedKeys
				}
			})
			if total.Saved < names || total.CopiedBytes == 0 || evicted == 0 {
				t.Error("too little has happened")
			}
			t.Logf("%d saves of %d keys in all, %d bytes copied by writers, %d waits, up to %d in memory, %d evicted",
				saves, total.Saved, total.CopiedBytes, total.Waits, total.BufferBytes, evicted)
		})
	}
}

// TestSaveIsOneMoment: while money is moved about between the shards, every save has the whole of it.
func TestSaveIsOneMoment(t *testing.T) {
	for _, shards := range []int{1, 8} {
		p := startProof(t, shards, 2, 3)
		m := newMoney(p, 4)
		stop := m.keepMoving()
		o := p.outsider()
		for range 200 / proofShare {
			sink := &bufferSink{}
			r, _ := p.save(o, false, sink)
			got, err := sink.read()
			if r.Err != nil || err != nil {
				t.Fatal(r.Err, err)
			}
			sum := 0
			for key, e := range got {
				n, err := decodeNumber(e.val)
				if err != nil {
					t.Fatalf("%s: %v", key, err)
				}
				sum += n
			}
			if want := m.each * len(m.accounts); sum != want {
				t.Errorf("a save has a sum of %d, want %d", sum, want)
			}
		}
		stop()
		t.Logf("%d moves meanwhile", m.moved.Load())
	}
}

// number takes up a string.
type number struct {
	rdb.Discard
	text string
}

// String implements rdb.Builder.
func (n *number) String(b []byte) error {
	n.text = string(b)
	return nil
}

// decodeNumber reads a serialised number.
func decodeNumber(raw string) (int, error) {
	var n number
	file := "REDIS0010" + raw[:1] + "\x01k" + raw[1:] + "\xff" + strings.Repeat("\x00", 8)
	r := rdb.NewReader(strings.NewReader(file), "number")
	if _, err := r.Next(); err != nil {
		return 0, err
	}
	if err := r.Value(&n); err != nil {
		return 0, err
	}
	return strconv.Atoi(n.text)
}

// TestWritersWaitForASave: when a save has used up its buffers, commands that write wait, those that read go on, and
// a transaction waits if it writes. All go on when there is room again.
func TestWritersWaitForASave(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	p.srv.saver.SetBudget(1)
	p.fill(20_000)
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	defer open() // or a server whose test has failed would never end
	sink := &bufferSink{onWrite: func() { <-gate }}
	o := p.outsider()
	var v *snapshot.Save
	o.all(func() {
		var err error
		if v, err = p.srv.saver.Begin(snapshot.Request{Sinks: []snapshot.Sink{sink}}); err != nil {
			t.Fatal(err)
		}
	})
	writer, reader, other := p.dial(), p.dial(), p.dial()
	other.do("MULTI")
	other.do("SET", "key:1", "by a transaction")
	n := 0
	for ; n < 20_000 && !p.srv.saver.Overdrawn(); n++ {
		writer.do("SET", "key:"+strconv.Itoa(n), "new")
	}
	if n == 20_000 {
		t.Fatal("nobody has to wait")
	}
	writer.add("SET", "key:2", "waited for")
	writer.add("SET", "key:3", "waited for")
	writer.flush()
	other.add("EXEC")
	other.flush()
	for p.srv.waitingSessions() < 2 {
		runtime.Gosched()
	}
	for _, c := range [][]string{{"GET", "key:2"}, {"DBSIZE"}, {"PING"}} {
		if got := text(reader.do(c...)); got == "waited for" || got == "" {
			t.Errorf("%q: %s", c, got)
		}
	}
	open()
	if a, b := text(writer.reply()), text(writer.reply()); a != "OK" || b != "OK" {
		t.Errorf("%s, %s", a, b)
	}
	if got := text(other.reply()); got != "[OK]" {
		t.Errorf("EXEC: %s", got)
	}
	if r := v.Wait(); r.Err != nil || r.Saved != 20_000 || r.Waits == 0 {
		t.Errorf("%+v", r)
	}
	if got := text(reader.do("GET", "key:3")); got != "waited for" {
		t.Errorf("key:3 is %q", got)
	}
}

// waitingSessions is the number of sessions that wait for room.
func (srv *Server) waitingSessions() (n int) {
	for _, l := range srv.loops {
		v := &loopVisit{l: l, waiting: make(chan int, 1)}
		v.To = v
		l.rl.Post(&v.Letter)
		n += <-v.waiting
	}
	return n
}

// loopVisit looks at a loop's state.
type loopVisit struct {
	reactor.Letter
	l       *loop
	waiting chan int
}

// Deliver implements reactor.Recipient.
func (v *loopVisit) Deliver(*reactor.Loop, *reactor.Letter) { v.waiting <- len(v.l.waiting) }
