package reactor

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// TestUnconsumedBytesComeAgain: invariant 2, for every way to cut a stream in three.
func TestUnconsumedBytesComeAgain(t *testing.T) {
	stream := []byte("one two three four five ")
	for i := range len(stream) + 1 {
		for j := i; j <= len(stream); j++ {
			var got []byte
			b := newBench(Limits{}, func(_ *Conn, p []byte) int {
				n := bytes.LastIndexByte(p, ' ') + 1
				got = append(got, p[:n]...)
				return n
			})
			c, _ := b.conn(0)
			c.feed(stream[:i])
			c.feed(stream[i:j])
			c.feed(stream[j:])
			if string(got) != string(stream) || c.QueryBytes() != 0 {
				t.Fatalf("cut at %d and %d: got %q, %d bytes left", i, j, got, c.QueryBytes())
			}
		}
	}
}

// TestNeed: Data is not called before the bytes are there that it asked for.
func TestNeed(t *testing.T) {
	calls := 0
	b := newBench(Limits{}, func(c *Conn, p []byte) int {
		calls++
		if len(p) < 10 {
			c.SetNeed(10)
			return 0
		}
		return len(p)
	})
	c, _ := b.conn(0)
	for range 10 {
		c.feed([]byte("x"))
	}
	if calls != 2 || c.QueryBytes() != 0 {
		t.Errorf("called %d times, %d bytes left; want 2 and 0", calls, c.QueryBytes())
	}
}

// TestSlices: what has collected is executed in slices, between which others have their turn; a command longer
// than that is offered whole.
func TestSlices(t *testing.T) {
	var calls []int
	b := newBench(Limits{}, func(c *Conn, p []byte) int {
		calls = append(calls, len(p))
		if c.QueryBytes() == 0 || p[0] != 'L' {
			return len(p) / 100 * 100 // commands of 100 bytes
		}
		if len(p) < 500_000 {
			return 0
		}
		return 500_000
	})
	run := func() {
		for b.rings > 0 {
			b.rings--
			b.loop.rung()
		}
	}
	c, _ := b.conn(0)
	other, _ := b.conn(0)
	c.Pause()
	long := bytes.Repeat([]byte("L"), 500_000)
	for _, p := range [][]byte{make([]byte, 1_000_000), long, make([]byte, 300_000), make([]byte, 50)} {
		c.feed(p)
	}
	c.Resume()
	if len(calls) != 1 || b.rings != 1 {
		t.Fatalf("%d calls, %d rings", len(calls), b.rings)
	}
	other.feed(make([]byte, 100))
	c.feed(make([]byte, 50)) // does not wait twice
	run()
	if c.QueryBytes() != 0 || len(calls) > 25 {
		t.Errorf("%d bytes left, called with %v", c.QueryBytes(), calls)
	}
	for _, n := range calls {
		if n > 500_000+2*sliceBytes {
			t.Errorf("offered %d bytes", n)
		}
	}
	// Closed while hungry, and at its end of file.
	c.Pause()
	c.feed(make([]byte, 1_000_000))
	c.Resume()
	c.Abort(io.EOF)
	run()
	other.Pause()
	other.feed(make([]byte, 1_000_050))
	other.Resume()
	if !other.unfinished() {
		t.Error("finished")
	}
	other.linger(&fakeSocket{}, func() { other.closeNow(io.EOF) })
	run()
	if !other.closed {
		t.Error("still open")
	}
	b.mustBeOver(t)
}

// TestPaused: nothing is offered while paused, everything afterwards.
func TestPaused(t *testing.T) {
	var got []byte
	b := newBench(Limits{}, func(c *Conn, p []byte) int {
		got = append(got, p[0])
		c.Pause()
		return 1
	})
	c, _ := b.conn(0)
	c.feed([]byte("ab"))
	c.feed([]byte("c"))
	if string(got) != "a" || c.Ready() {
		t.Fatalf("paused, and got %q", got)
	}
	c.Resume()
	c.Resume()
	c.Resume()
	if string(got) != "abc" || c.QueryBytes() != 0 {
		t.Errorf("got %q, %d bytes left", got, c.QueryBytes())
	}
}

func TestQueryLimits(t *testing.T) {
	for _, tt := range []struct {
		name      string
		limits    Limits
		held      int
		untrusted bool
		send      int
		cut       bool
	}{
		{name: "below", limits: Limits{QueryBufferBytes: 100}, send: 100},
		{name: "above", limits: Limits{QueryBufferBytes: 100}, send: 101, cut: true},
		{name: "none", send: 1 << 20},
		{name: "what the handler keeps counts", limits: Limits{QueryBufferBytes: 100}, held: 60, send: 50, cut: true},
		{name: "stranger", limits: Limits{QueryBufferBytes: 100, UntrustedQueryBytes: 10}, untrusted: true,
			send: 11, cut: true},
		{name: "friend", limits: Limits{QueryBufferBytes: 100, UntrustedQueryBytes: 10}, send: 11},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(tt.limits, leave)
			c, _ := b.conn(0)
			c.SetTrusted(!tt.untrusted)
			c.SetHeld(tt.held)
			c.feed(make([]byte, tt.send))
			if c.closed != tt.cut || (tt.cut && !b.handler.closedWith(ErrQueryBufferLimit)) {
				t.Errorf("closed: %v, %v", c.closed, b.handler.closed)
			}
			if hits := b.reactor.Totals().QueryLimitHits; (hits == 1) != tt.cut {
				t.Errorf("%d hits counted", hits)
			}
			c.Abort(ErrClosedByServer)
			b.mustBeOver(t)
		})
	}
}

// TestHeldAlone: what the handler keeps reaches the limit without a byte in the query buffer.
func TestHeldAlone(t *testing.T) {
	b := newBench(Limits{QueryBufferBytes: 100}, func(c *Conn, p []byte) int {
		c.SetHeld(101)
		return len(p)
	})
	c, _ := b.conn(0)
	c.feed([]byte("x"))
	if !b.handler.closedWith(ErrQueryBufferLimit) {
		t.Errorf("closed: %v", b.handler.closed)
	}
	b.mustBeOver(t)
}

func TestHardOutputLimit(t *testing.T) {
	for _, untrusted := range []bool{false, true} {
		b := newBench(Limits{OutputBytes: 100, UntrustedOutputBytes: 10}, swallow)
		c, s := b.conn(5)
		c.SetTrusted(!untrusted)
		limit := 100
		if untrusted {
			limit = 10
		}
		c.Write(make([]byte, 5+limit))
		if c.closed || c.OutputBytes() != limit || len(s.got) != 5 {
			t.Fatalf("closed: %v with %d bytes kept and %d sent", c.closed, c.OutputBytes(), len(s.got))
		}
		c.Write([]byte{1})
		if !b.handler.closedWith(ErrOutputBufferLimit) || b.reactor.Totals().OutputLimitHits != 1 {
			t.Errorf("closed: %v", b.handler.closed)
		}
		b.mustBeOver(t)
	}
}

// TestSoftOutputLimit: above the limit for long enough on end.
func TestSoftOutputLimit(t *testing.T) {
	b := newBench(Limits{SoftOutputBytes: 100, SoftOutputMs: 2000}, swallow)
	c, _ := b.conn(0)
	b.tickAt(1000)
	c.Write(make([]byte, 101))
	b.tickAt(2900)
	b.makeRoom(c, 1) // at the limit: the time begins anew
	b.tickAt(5000)
	c.Write([]byte{1})
	b.tickAt(6900)
	if c.closed {
		t.Fatal("closed too early")
	}
	b.tickAt(7000)
	if !b.handler.closedWith(ErrOutputBufferLimit) || b.reactor.Totals().OutputLimitHits != 1 {
		t.Errorf("closed: %v", b.handler.closed)
	}
	b.mustBeOver(t)
	b.tickAt(9000)
	if b.handler.ticks != 6 {
		t.Errorf("%d ticks", b.handler.ticks)
	}
}

// TestStall: above the limit nothing is executed until half of it has been read.
func TestStall(t *testing.T) {
	replies := 0
	b := newBench(Limits{StallBytes: 1000}, func(c *Conn, p []byte) int {
		n := 0
		for c.Ready() && n < len(p) {
			replies++
			n++
			c.Write(make([]byte, 100))
		}
		return n
	})
	c, s := b.conn(0)
	c.feed(make([]byte, 50))
	// Each command of a byte allows for a byte more of output.
	if replies != 11 || c.Ready() || c.QueryBytes() != 39 {
		t.Fatalf("%d replies, %d bytes left", replies, c.QueryBytes())
	}
	b.makeRoom(c, 599)
	if replies != 11 {
		t.Fatalf("%d replies before half of it was read", replies)
	}
	b.makeRoom(c, 1)
	if replies <= 11 || c.Ready() {
		t.Fatalf("%d replies, ready: %v", replies, c.Ready())
	}
	b.makeRoom(c, 1<<20)
	if replies != 50 || len(s.got) != 5000 || !c.Ready() || c.OutputBytes() != 0 {
		t.Errorf("%d replies, %d bytes sent", replies, len(s.got))
	}
	for i, on := range b.handler.stalled {
		if on != (i%2 == 0) {
			t.Errorf("the handler was told %v", b.handler.stalled)
		}
	}
	c.Abort(io.EOF)
	b.mustBeOver(t)
}

// TestSmallRepliesDontStall: a peer that sends a long pipeline before it reads is executed all the same,
// since its replies are smaller than its commands.
func TestSmallRepliesDontStall(t *testing.T) {
	b := newBench(Limits{StallBytes: 1000}, func(c *Conn, p []byte) int {
		c.Write(make([]byte, len(p)/2))
		return len(p)
	})
	c, _ := b.conn(0)
	for range 1000 {
		c.feed(make([]byte, 100))
	}
	if !c.Ready() || c.QueryBytes() != 0 || c.OutputBytes() != 50_000 {
		t.Errorf("ready: %v, %d bytes left, %d to send", c.Ready(), c.QueryBytes(), c.OutputBytes())
	}
}

// TestHeldForAllStalled: when those who don't read hold too much, those who go on sending and hold the
// most are closed, and nobody else.
func TestHeldForAllStalled(t *testing.T) {
	// What is held is counted in whole buffers. In these sizes none is one of the pool's.
	const unit = 2 * maxPooledBytes / 100
	b := newBench(Limits{StallBytes: 1, StalledTotalBytes: 1000 * unit}, leave)
	idle, _ := b.conn(0)
	idle.Write(make([]byte, 450*unit))
	modest, _ := b.conn(0)
	modest.Write(make([]byte, 50*unit))
	greedy, _ := b.conn(0)
	greedy.Write(make([]byte, 50*unit))
	greedy.feed(make([]byte, 400*unit))
	if len(b.handler.closed) != 0 {
		t.Fatalf("closed: %v", b.handler.closed)
	}
	modest.feed(make([]byte, 100*unit)) // too much by now, but not its fault
	if modest.closed {
		t.Error("closed one that holds little")
	}
	greedy.feed(make([]byte, 400*unit))
	if !greedy.closed || !b.handler.closedWith(ErrSlowReader) {
		t.Errorf("closed: %v", b.handler.closed)
	}
	idle.Abort(io.EOF)
	modest.Abort(io.EOF)
	b.mustBeOver(t)
}

// TestCloseAfterFlush: all that was written leaves, nothing more is executed.
func TestCloseAfterFlush(t *testing.T) {
	b := newBench(Limits{StallBytes: 10}, func(c *Conn, p []byte) int {
		c.Write(make([]byte, 100))
		c.CloseAfterFlush()
		return 1
	})
	c, s := b.conn(30)
	c.feed([]byte("xyz"))
	c.feed([]byte("more"))
	if c.closed || !c.Closing() || c.QueryBytes() != 0 || c.QueryCapacity() != 0 {
		t.Fatalf("closed: %v, %d bytes of queries", c.closed, c.QueryBytes())
	}
	b.makeRoom(c, 30)
	b.makeRoom(c, 40)
	if len(s.got) != 100 || b.dropped != 1 || !b.handler.closedWith(ErrClosedByServer) {
		t.Errorf("%d bytes sent, dropped %d times, closed: %v", len(s.got), b.dropped, b.handler.closed)
	}
	b.mustBeOver(t)
}

// TestLinger: after the peer's end of file everything received is executed and answered.
func TestLinger(t *testing.T) {
	executed := 0
	b := newBench(Limits{StallBytes: 10}, func(c *Conn, p []byte) int {
		n := 0
		for n < len(p) && p[n] != '.' && c.Ready() { // '.' begins what never becomes whole
			if executed++; p[n] == 'p' {
				c.Pause()
			}
			c.Write(make([]byte, 100))
			n++
		}
		return n
	})
	for _, tt := range []struct {
		stream  string
		resumes int
	}{{"aaaaa", 0}, {"aaaa.", 0}, {"pap", 2}, {"paap.", 2}, {"p", 1}} {
		executed = 0
		b.handler.closed, b.handler.opened = nil, 0
		c, _ := b.conn(0)
		c.feed([]byte(tt.stream))
		if !c.unfinished() {
			t.Fatalf("%s: finished", tt.stream)
		}
		own := &fakeSocket{}
		drops := 0
		c.linger(own, func() { drops++; c.closeNow(io.EOF) })
		for i := 0; !c.closed && i < 1000; i++ {
			b.makeRoom(c, 70)
			if c.paused && tt.resumes > 0 {
				tt.resumes--
				c.Resume()
			}
		}
		want := len(bytes.TrimRight([]byte(tt.stream), "."))
		if executed != want || len(own.got) != 100*want || drops != 1 || !b.handler.closedWith(io.EOF) {
			t.Errorf("%s: %d executed, %d bytes sent, %d drops, closed %v", tt.stream, executed, len(own.got), drops,
				b.handler.closed)
		}
		b.mustBeOver(t)
	}
}

// TestFinished: a connection without replies to come is closed at its end of file at once.
func TestFinished(t *testing.T) {
	b := newBench(Limits{}, leave)
	c, _ := b.conn(0)
	c.feed([]byte("half a comm"))
	if c.unfinished() {
		t.Error("half a command will never be executed")
	}
}

// TestSocketErrors: whoever meets the error, the connection is closed once.
func TestSocketErrors(t *testing.T) {
	broken := errors.New("broken")
	t.Run("in a write", func(t *testing.T) {
		b := newBench(Limits{}, func(c *Conn, p []byte) int {
			c.Write([]byte("x"))
			c.Write([]byte("y"))
			return len(p)
		})
		c, s := b.conn(0)
		s.err = broken
		c.feed([]byte("abc"))
		if !b.handler.closedWith(broken) {
			t.Errorf("closed: %v", b.handler.closed)
		}
		b.mustBeOver(t)
	})
	t.Run("while draining", func(t *testing.T) {
		b := newBench(Limits{}, swallow)
		c, s := b.conn(0)
		c.Write(make([]byte, 100))
		s.err = broken
		b.makeRoom(c, 1)
		if !b.handler.closedWith(broken) {
			t.Errorf("closed: %v", b.handler.closed)
		}
		b.mustBeOver(t)
	})
	t.Run("while watching", func(t *testing.T) {
		b := newBench(Limits{}, swallow)
		b.waker.err = broken
		c, _ := b.conn(0)
		c.Write(make([]byte, 100))
		if !b.handler.closedWith(broken) {
			t.Errorf("closed: %v", b.handler.closed)
		}
		b.mustBeOver(t)
	})
	t.Run("a late letter", func(t *testing.T) {
		b := newBench(Limits{}, swallow)
		c, _ := b.conn(0)
		c.Write(make([]byte, 100))
		c.Abort(broken)
		b.deliver(c)
		b.mustBeOver(t)
	})
}

// TestObserver is told whenever a buffer's size changed, and only then.
func TestObserver(t *testing.T) {
	b := newBench(Limits{}, func(c *Conn, p []byte) int { return len(p) / 2 })
	c, _ := b.conn(0)
	step := func(what string, want int, do func()) {
		t.Helper()
		b.handler.told = 0
		if do(); b.handler.told != want {
			t.Errorf("%s: told %d times, want %d", what, b.handler.told, want)
		}
	}
	step("bytes are left", 1, func() { c.feed(make([]byte, 10)) })
	step("output is kept", 1, func() { c.Write(make([]byte, 10)) })
	step("some leaves", 1, func() { b.makeRoom(c, 5) })
	step("all leaves", 1, func() { b.makeRoom(c, 5) })
	b.handler.data = swallow
	step("nothing is left", 1, func() { c.feed(nil) })
	step("nothing stays", 0, func() { c.feed(make([]byte, 10)) })
}
