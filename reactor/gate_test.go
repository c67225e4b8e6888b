package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// release opens the gate up to lsn and has the loop read its mail.
func (b *bench) release(lsn uint64) {
	b.reactor.Release(lsn)
	b.loop.settle()
}

// TestGateHolds: output leaves when its mark is released, in order, and what has no mark of its own waits for what is
// before it.
func TestGateHolds(t *testing.T) {
	b := newBench(Limits{}, swallow)
	c, s := b.conn(1 << 20)
	b.release(10)
	c.Mark(10)
	c.Write([]byte("a"))
	c.Mark(11)
	c.Write([]byte("b"))
	c.Mark(5) // doesn't fall
	c.Write([]byte("c"))
	c.Mark(20)
	c.Write([]byte("d"))
	c.Mark(30)
	c.Write([]byte("e"))
	if len(b.waker.waiting) != 0 || b.loop.lagging != 0 {
		t.Error("the socket is watched, which is not full")
	}
	for _, step := range []struct {
		lsn  uint64
		want string
	}{{10, "a"}, {11, "abc"}, {19, "abc"}, {20, "abcd"}, {29, "abcd"}, {AllReleased, "abcde"}} {
		if b.release(step.lsn); string(s.got) != step.want {
			t.Errorf("with %d released %q has left, want %q", step.lsn, s.got, step.want)
		}
	}
	c.Write([]byte("f"))
	if string(s.got) != "abcdef" {
		t.Errorf("%q has left", s.got)
	}
	c.Abort(io.EOF)
	b.mustBeOver(t)
}

// TestGateFalls: what has not left waits again.
func TestGateFalls(t *testing.T) {
	b := newBench(Limits{}, swallow)
	c, s := b.conn(0)
	c.Mark(10)
	c.Write([]byte("ab")) // the gate is open, the socket full
	b.release(5)
	c.Mark(11)
	c.Write([]byte("cd"))
	b.makeRoom(c, 100)
	if string(s.got) != "ab" {
		// What was written while the gate was open had passed it.
		t.Errorf("%q has left", s.got)
	}
	if c.full || len(b.loop.gated) != 1 {
		t.Error("it doesn't wait for the gate alone")
	}
	b.release(11)
	if string(s.got) != "abcd" {
		t.Errorf("%q has left", s.got)
	}
	c.Abort(io.EOF)
	b.mustBeOver(t)
}

// TestGateAgainstModel: with any order of writes, marks, releases and room in the socket, exactly the bytes that may
// leave do.
func TestGateAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := newBench(Limits{}, swallow)
		b.release(0)
		c, s := b.conn(rnd.IntN(100))
		var all []byte
		type piece struct {
			end int
			lsn uint64
		}
		var pieces []piece
		lsn, released := uint64(0), uint64(0)
		for step := range 400 {
			switch rnd.IntN(4) {
			case 0, 1:
				lsn += uint64(rnd.IntN(3))
				p := bytes.Repeat([]byte{byte('a' + step%26)}, 1+rnd.IntN(40))
				all = append(all, p...)
				pieces = append(pieces, piece{len(all), lsn})
				c.Mark(lsn)
				c.Write(p)
			case 2:
				released += uint64(rnd.IntN(5))
				b.release(released)
			case 3:
				b.makeRoom(c, rnd.IntN(60))
			}
			may := 0
			for _, p := range pieces {
				if p.lsn <= released {
					may = p.end
				}
			}
			if len(s.got) > may {
				t.Fatalf("seed %d, step %d: %d bytes have left, only %d may", seed, step, len(s.got), may)
			}
			// Beyond maxMarks what could leave may wait for later marks.
			if len(s.got) < may && s.room > 0 && len(c.out.marks) < maxMarks {
				t.Fatalf("seed %d, step %d: %d bytes have left, %d may", seed, step, len(s.got), may)
			}
		}
		b.makeRoom(c, len(all))
		b.release(lsn)
		b.loop.rung()
		if !bytes.Equal(s.got, all) {
			t.Fatalf("seed %d: not all bytes have left as they were written", seed)
		}
		c.Abort(io.EOF)
		b.mustBeOver(t)
	}
}

// TestGateManyMarks: there is a limit to the marks of a connection, and beyond it nothing leaves early.
func TestGateManyMarks(t *testing.T) {
	b := newBench(Limits{}, swallow)
	b.release(0)
	c, s := b.conn(1 << 20)
	for i := range uint64(10 * maxMarks) {
		c.Mark(i + 1)
		c.Write([]byte{1})
	}
	if len(c.out.marks) != maxMarks {
		t.Fatalf("%d marks", len(c.out.marks))
	}
	for i := range uint64(10 * maxMarks) {
		if b.release(i + 1); uint64(len(s.got)) > i+1 {
			t.Fatalf("%d bytes have left with %d released", len(s.got), i+1)
		}
	}
	if len(s.got) != 10*maxMarks || cap(c.out.marks) > keptMarks {
		t.Errorf("%d bytes have left", len(s.got))
	}
}

// TestGateLetters: a loop is told by one letter, and only if one of its connections may go on.
func TestGateLetters(t *testing.T) {
	b := newBench(Limits{}, swallow)
	b.release(0)
	socks := map[*Conn]*fakeSocket{}
	for i := range uint64(5) {
		c, s := b.conn(100)
		c.Mark(10 * (i + 1))
		c.Write([]byte("x"))
		socks[c] = s
	}
	b.loop.settle()
	b.rings = 0
	b.reactor.Release(9)
	if b.rings != 0 || b.loop.gateRung.Load() {
		t.Error("rung for nothing")
	}
	b.reactor.Release(10)
	b.reactor.Release(29)
	b.reactor.Release(30)
	if b.rings != 1 {
		t.Errorf("%d rings", b.rings)
	}
	b.loop.settle()
	for c, s := range socks {
		if (len(s.got) == 1) != (c.Marked() <= 30) {
			t.Errorf("marked %d: %q", c.Marked(), s.got)
		}
	}
	if b.loop.awaited.Load() != 40 {
		t.Errorf("the loop waits for %d", b.loop.awaited.Load())
	}
	// One that is closed is forgotten, whichever place it has.
	for c := range socks {
		c.Abort(io.EOF)
	}
	b.mustBeOver(t)
}

// TestGateMissesNoRelease: what is released between a loop's look at the gate and its waiting is noticed. The release
// falls right between the two steps of awaitGate.
func TestGateMissesNoRelease(t *testing.T) {
	b := newBench(Limits{}, swallow)
	b.release(0)
	c, s := b.conn(100)
	c.Mark(7)
	c.out.mark(7)
	c.out.add([]byte("x"), b.loop)
	b.reactor.Release(7) // nobody waits: no letter
	if b.loop.gateRung.Load() {
		t.Fatal("rung for nobody")
	}
	c.awaitGate()
	if b.loop.settle(); string(s.got) != "x" {
		t.Error("the release was missed")
	}
}

// TestGateLimits: at the limits the connection is not executed, and not closed; it goes on when output has left.
func TestGateLimits(t *testing.T) {
	for _, limits := range []Limits{
		{StallBytes: 1000}, {StallBytes: 5000, OutputBytes: 1000}, {StallBytes: 5000, StalledTotalBytes: 1000},
		{StallBytes: 1000, OutputBytes: 500, SoftOutputBytes: 10, SoftOutputMs: 1},
	} {
		t.Run(fmt.Sprintf("%+v", limits), func(t *testing.T) {
			executed := 0
			b := newBench(limits, func(c *Conn, p []byte) int {
				n := 0
				for c.Ready() && n < len(p) {
					n++
					executed++
					c.Mark(uint64(executed))
					c.Write(make([]byte, 100))
				}
				return n
			})
			b.release(0)
			c, s := b.conn(1 << 20)
			c.feed(make([]byte, 100))
			if c.Ready() || executed > 11 || executed < 6 || c.closed {
				t.Fatalf("executed %d, ready: %v, closed: %v", executed, c.Ready(), c.closed)
			}
			b.tickAt(1000)
			b.tickAt(90_000)
			at := executed
			b.reactor.gate.released.Store(0)
			b.loop.ringGate()
			if b.loop.settle(); executed != at {
				t.Errorf("executed %d more while nothing has left", executed-at)
			}
			for released := uint64(1); released <= 100; released++ {
				b.release(released)
			}
			if executed != 100 || len(s.got) != 10_000 || !c.Ready() || c.closed {
				t.Errorf("executed %d, %d bytes have left, closed: %v", executed, len(s.got), c.closed)
			}
			c.Abort(io.EOF)
			b.mustBeOver(t)
		})
	}
}

// TestGateThenSlow: what the gate lets go and the peer doesn't read is held to the limits for slow readers.
func TestGateThenSlow(t *testing.T) {
	b := newBench(Limits{OutputBytes: 100}, swallow)
	b.release(0)
	c, _ := b.conn(10)
	c.Mark(1)
	c.Write(make([]byte, 300))
	if c.closed {
		t.Fatal("closed while the gate holds it")
	}
	b.release(1)
	if !b.handler.closedWith(ErrOutputBufferLimit) {
		t.Errorf("closed: %v", b.handler.closed)
	}
	b.mustBeOver(t)
}

// TestGateClose: a connection that is closed while the gate holds its output waits for it, or drops it; it never sends
// it early.
func TestGateClose(t *testing.T) {
	for _, abort := range []bool{false, true} {
		b := newBench(Limits{}, swallow)
		b.release(0)
		c, s := b.conn(100)
		c.Mark(3)
		c.Write([]byte("bye"))
		if abort {
			c.Abort(errors.New("killed"))
		} else {
			c.CloseAfterFlush()
		}
		if c.closed != abort || len(s.got) != 0 {
			t.Fatalf("closed: %v, %q has left", c.closed, s.got)
		}
		b.release(3)
		want := "bye"
		if abort {
			want = ""
		}
		if string(s.got) != want || !c.closed {
			t.Errorf("abort %v: %q has left, closed: %v", abort, s.got, c.closed)
		}
		b.mustBeOver(t)
	}
}

// TestGateHalfClose: a peer that ends its sending side gets what the gate held.
func TestGateHalfClose(t *testing.T) {
	b := newBench(Limits{}, swallow)
	b.release(0)
	c, _ := b.conn(100)
	c.Mark(3)
	c.Write([]byte("bye"))
	if !c.unfinished() {
		t.Fatal("finished")
	}
	s := &fakeSocket{room: 100}
	c.linger(s, func() { c.closeNow(io.EOF) })
	if c.closed || len(s.got) != 0 || len(b.waker.waiting) != 0 {
		t.Fatalf("closed: %v, %q has left", c.closed, s.got)
	}
	b.release(3)
	if string(s.got) != "bye" || !c.closed {
		t.Errorf("%q has left, closed: %v", s.got, c.closed)
	}
	b.mustBeOver(t)
}

// TestGateAllocates: neither an open gate nor one that holds what is soon released allocates.
func TestGateAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBench(Limits{}, swallow)
	c, s := b.conn(1 << 30)
	reply, lsn := []byte("+OK\r\n"), uint64(0)
	s.got = make([]byte, 0, 1<<20)
	open := func() {
		lsn++
		c.Mark(lsn)
		c.Write(reply)
		s.got = s.got[:0]
	}
	held := func() {
		b.reactor.Release(lsn)
		open()
		b.release(lsn)
	}
	if n := testing.AllocsPerRun(1000, open); n != 0 {
		t.Errorf("%v allocations with the gate open", n)
	}
	if n := testing.AllocsPerRun(1000, held); n != 0 {
		t.Errorf("%v allocations with the gate closed for a while", n)
	}
}

// BenchmarkGate is a write of a short reply to a socket that costs nothing.
func BenchmarkGate(b *testing.B) {
	reply := []byte("+OK\r\n")
	for _, how := range []string{"unmarked", "open", "held"} {
		b.Run(how, func(b *testing.B) {
			w := newBench(Limits{}, swallow)
			c, s := w.conn(1 << 60)
			s.got = make([]byte, 0, 1<<20)
			b.ReportAllocs()
			for i := range b.N {
				switch how {
				case "open":
					c.Mark(uint64(i))
				case "held":
					w.reactor.Release(uint64(i))
					c.Mark(uint64(i + 1))
				}
				c.Write(reply)
				if how == "held" {
					w.release(uint64(i + 1))
				}
				s.got = s.got[:0]
			}
		})
	}
}
