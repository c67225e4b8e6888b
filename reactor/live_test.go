package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests in this file run the reactor as it is, over loopback and unix sockets.

// patience bounds every wait.
const patience = 3 * time.Minute

// teller is a Handler of lines: a number is answered with that many bytes, which say where in the
// connection's replies they belong; "pause" has the connection paused and resumed by another goroutine;
// "quit" closes it after its replies.
type teller struct {
	opened, closed, stalled atomic.Int64
	wg                      sync.WaitGroup
	mu                      sync.Mutex
	conns                   map[*Conn]bool
}

// told is what the teller knows of a connection.
type told struct {
	Letter
	c      *Conn
	at     int
	gone   bool
	inside atomic.Bool
}

func (h *teller) Open(c *Conn) {
	h.opened.Add(1)
	x := &told{c: c}
	x.To = x
	c.Context = x
	h.mu.Lock()
	h.conns[c] = true
	h.mu.Unlock()
}

func (h *teller) Close(c *Conn, _ error) {
	h.closed.Add(1)
	c.Context.(*told).gone = true
	h.mu.Lock()
	delete(h.conns, c)
	h.mu.Unlock()
}

func (h *teller) Tick(*Loop) {}

func (h *teller) Stalled(_ *Conn, on bool) {
	if on {
		h.stalled.Add(1)
	}
}

func (h *teller) Data(c *Conn, p []byte) (n int) {
	x := c.Context.(*told)
	if !x.inside.CompareAndSwap(false, true) {
		panic("BUG: two calls for one connection at a time")
	}
	defer x.inside.Store(false)
	for c.Ready() {
		line, _, ok := strings.Cut(string(p[n:min(len(p), n+20)]), "\n")
		if !ok {
			break
		}
		n += len(line) + 1
		h.obey(c, line)
	}
	return n
}

func (h *teller) obey(c *Conn, line string) {
	x := c.Context.(*told)
	switch line {
	case "pause":
		c.Pause()
		h.wg.Go(func() { c.loop.Post(&x.Letter) })
	case "quit":
		c.CloseAfterFlush()
	default:
		size, err := strconv.Atoi(line)
		if err != nil {
			panic("BUG: the client said " + line)
		}
		p := make([]byte, size)
		fill(p, x.at)
		x.at += size
		if size%2 == 0 {
			c.Write(p)
		} else {
			c.WriteOwned(p)
		}
	}
}

// Deliver implements Recipient.
func (x *told) Deliver(*Loop, *Letter) {
	if !x.gone {
		x.c.Resume()
	}
}

// world is a reactor with a teller that listens.
type world struct {
	*Reactor
	t       *testing.T
	handler *teller
	addr    net.Addr
	stopped bool
}

func newWorld(t *testing.T, network string, opts Options) *world {
	t.Helper()
	w := &world{t: t, handler: &teller{conns: map[*Conn]bool{}}}
	if opts.Loops == 0 {
		opts.Loops = 2
	}
	if opts.KeepAlive == nil {
		opts.KeepAlive = func() time.Duration { return 0 }
	}
	opts.Log = t.Logf
	w.Reactor = New(opts, w.handler)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.stop)
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr()
	w.Listen(ln)
	return w
}

// stop stops the reactor and looks whether all connections were closed, once each.
func (w *world) stop() {
	if w.stopped {
		return
	}
	w.stopped = true
	if err := w.Stop(); err != nil {
		w.t.Error(err)
	}
	w.handler.wg.Wait()
	h := w.handler
	if h.opened.Load() != h.closed.Load() || w.ConnCount() != 0 || w.totals.lagging.Load() != 0 ||
		w.totals.laggingBytes.Load() != 0 || len(w.waker.conns) != 0 {
		w.t.Errorf("%d opened, %d closed, %d left, %d lag with %d bytes, %d watched", h.opened.Load(), h.closed.Load(),
			w.ConnCount(), w.totals.lagging.Load(), w.totals.laggingBytes.Load(), len(w.waker.conns))
	}
}

// peer is a client's end.
type peer struct {
	net.Conn
	t  *testing.T
	at int // bytes read
}

func (w *world) dial() *peer {
	w.t.Helper()
	nc, err := net.Dial(w.addr.Network(), w.addr.String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = nc.Close() }) // most tests have closed it
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	return &peer{Conn: nc, t: w.t}
}

func (p *peer) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) closeWrite() {
	p.t.Helper()
	if err := p.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
}

// expect reads n bytes of replies.
func (p *peer) expect(n int) {
	p.t.Helper()
	got, want := make([]byte, min(n, 1<<20)), make([]byte, min(n, 1<<20))
	for n > 0 {
		k, err := p.Read(got[:min(n, len(got))])
		fill(want[:k], p.at)
		if !bytes.Equal(got[:k], want[:k]) {
			p.t.Fatalf("other bytes than expected between %d and %d", p.at, p.at+k)
		}
		p.at += k
		n -= k
		if err != nil && n > 0 {
			p.t.Fatalf("%v behind %d bytes, %d are missing", err, p.at, n)
		}
	}
}

// expectEnd reads the end of the connection.
func (p *peer) expectEnd() {
	p.t.Helper()
	if n, err := p.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		p.t.Fatalf("read %d bytes and %v, want the end", n, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

// limits as the server has them, but for the sum.
var someLimits = Limits{StallBytes: 256 << 10, QueryBufferBytes: 1 << 30}

// both runs a test over TCP and over unix sockets.
func both(t *testing.T, test func(t *testing.T, network string)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { test(t, network) })
	}
}

// TestHalfClose: a peer that ends its sending side right behind a pipeline gets all replies, be they more
// than the sockets hold, and waits in between.
func TestHalfClose(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		w := newWorld(t, network, Options{Limits: someLimits})
		for _, tt := range []struct {
			size, times int
			with        string
		}{{100, 10, ""}, {100_000, 200, ""}, {0, 10, "pause\n"}, {99_999, 200, "pause\n"}, {20_000_000, 1, "pause\n"}} {
			p := w.dial()
			p.say(strings.Repeat(fmt.Sprintf("%s%d\n", tt.with, tt.size), tt.times) + "12") // the rest never comes
			p.closeWrite()
			p.expect(tt.size * tt.times)
			p.expectEnd()
		}
		eventually(t, "all connections are closed", func() bool { return w.ConnCount() == 0 })
	})
}

// TestFullClose: a peer that is gone for good is noticed, whatever it is owed.
func TestFullClose(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		w := newWorld(t, network, Options{Limits: someLimits})
		for _, script := range []string{
			"", "half a li", "10\n", strings.Repeat("100000\n", 1000), strings.Repeat("pause\n1000000\n", 20),
		} {
			p := w.dial()
			p.say(script)
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all connections are closed", func() bool { return w.handler.closed.Load() == 5 })
	})
}

// TestCloseAfterFlushLive: everything written leaves before the connection is closed.
func TestCloseAfterFlushLive(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		w := newWorld(t, network, Options{})
		p := w.dial()
		p.say("20000000\nquit\n5\n")
		eventually(t, "the connection waits for its reader", func() bool { return w.totals.lagging.Load() == 1 })
		p.say("5\n")
		p.expect(20_000_000)
		// What the server had no time to read before it closed resets the connection, as ever with TCP.
		if n, err := p.Read(make([]byte, 1)); n != 0 || err != io.EOF && !errors.Is(err, unix.ECONNRESET) {
			t.Fatalf("read %d bytes and %v, want the end", n, err)
		}
	})
}

// TestSlowReaders: peers that begin to read long after they stalled get all replies in order.
func TestSlowReaders(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		w := newWorld(t, network, Options{Limits: someLimits})
		const peers, size, times = 5, 50_000, 400
		all := make([]*peer, peers)
		for i := range all {
			all[i] = w.dial()
			all[i].say(strings.Repeat(fmt.Sprintf("%d\n", size), times))
		}
		eventually(t, "all have stalled", func() bool { return w.handler.stalled.Load() >= peers })
		if held := w.totals.laggingBytes.Load(); held > int64(peers*(someLimits.StallBytes+2*size+times*8)) {
			t.Errorf("%d bytes are held", held)
		}
		var wg sync.WaitGroup
		for _, p := range all {
			wg.Go(func() { p.expect(size * times) })
		}
		wg.Wait()
		// The last bytes may be with their reader before the loop has noted that they are gone.
		eventually(t, "nothing is held", func() bool { return w.totals.laggingBytes.Load() == 0 })
	})
}

// TestSplitAnywhere: however a stream is cut, and whatever waits in between, the replies are the same.
func TestSplitAnywhere(t *testing.T) {
	w := newWorld(t, "tcp", Options{Limits: someLimits})
	rounds := 20
	if testing.Short() || raceEnabled {
		rounds = 5
	}
	var wg sync.WaitGroup
	for seed := range uint64(6) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 1))
			for range rounds {
				var script strings.Builder
				total := 0
				for range 200 {
					n := rnd.IntN(1 << rnd.IntN(15))
					total += n
					fmt.Fprintf(&script, "%d\n", n)
					if rnd.IntN(5) == 0 {
						script.WriteString("pause\n")
					}
				}
				p := w.dial()
				go func() {
					for text := script.String(); text != ""; {
						n := min(1+rnd.IntN(40), len(text))
						if _, err := io.WriteString(p, text[:n]); err != nil {
							t.Error(err)
							return
						}
						text = text[n:]
					}
					p.closeWrite()
				}()
				p.expect(total)
				p.expectEnd()
			}
		})
	}
	wg.Wait()
}

// TestConnectStorm: peers that come and go, some with a word.
func TestConnectStorm(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		w := newWorld(t, network, Options{})
		const peers = 4
		each := 250
		if testing.Short() || raceEnabled {
			each = 60
		}
		var wg sync.WaitGroup
		for range peers {
			wg.Go(func() {
				for i := range each {
					nc, err := net.Dial(w.addr.Network(), w.addr.String())
					if err != nil {
						t.Error(err)
						return
					}
					if i%3 == 0 {
						_, err = io.WriteString(nc, "1000\n")
					}
					if tc, ok := nc.(*net.TCPConn); ok && i%2 == 0 {
						err = tc.SetLinger(0) // a reset instead of an end
					}
					if err != nil {
						t.Error(err)
					}
					if err := nc.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		p := w.dial() // it is accepted after all others
		p.say("5\n")
		p.expect(5)
		eventually(t, "all others are gone", func() bool { return w.ConnCount() == 1 })
		// Where the listener's queue is full the kernel forgets a connection that is reset meanwhile.
		if n := w.Totals().Accepted; n < int64(peers*each/4) {
			t.Errorf("%d of %d were accepted", n, peers*each)
		}
	})
}

// TestRefused peers are told why.
func TestRefused(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		w := newWorld(t, network, Options{Admit: func(net.Conn) []byte { return []byte("no room") }})
		p := w.dial()
		if got, err := io.ReadAll(p); string(got) != "no room" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if n := w.Totals().Refused; n != 1 || w.handler.opened.Load() != 0 {
			t.Errorf("%d refused, %d opened", n, w.handler.opened.Load())
		}
	})
}

// TestStopWhileActive: connections in all states are closed once when the reactor stops.
func TestStopWhileActive(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		w := newWorld(t, network, Options{Limits: someLimits})
		w.dial()
		w.dial().say("10\nhalf a li")
		lagging := w.dial()
		lagging.say("20000000\n")
		stalled := w.dial()
		stalled.say(strings.Repeat("1000000\n", 100))
		lingering := w.dial()
		lingering.say(strings.Repeat("1000000\n", 100))
		lingering.closeWrite()
		busy := w.dial()
		busy.say(strings.Repeat("pause\n10\n", 100))
		eventually(t, "they are as meant", func() bool {
			return w.handler.opened.Load() == 6 && w.totals.lagging.Load() == 3 && w.handler.stalled.Load() >= 3
		})
		w.stop()
	})
}

// TestKeepAliveIsSet on accepted sockets.
func TestKeepAliveIsSet(t *testing.T) {
	for _, period := range []time.Duration{0, 90 * time.Second} {
		w := newWorld(t, "tcp", Options{KeepAlive: func() time.Duration { return period }})
		p := w.dial()
		p.say("1\n")
		p.expect(1)
		w.handler.mu.Lock()
		for c := range w.handler.conns {
			on, err := unix.GetsockoptInt(c.raw.Fd(), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
			if err != nil || (on != 0) != (period > 0) {
				t.Errorf("%v: SO_KEEPALIVE is %d, %v", period, on, err)
			}
			for option, want := range map[int]time.Duration{unix.TCP_KEEPIDLE: period, unix.TCP_KEEPINTVL: period / 3} {
				if got, err := unix.GetsockoptInt(c.raw.Fd(), unix.IPPROTO_TCP, option); period > 0 &&
					(err != nil || time.Duration(got)*time.Second != want) {
					t.Errorf("%v: option %d is %d s, %v", period, option, got, err)
				}
			}
			if on, err := unix.GetsockoptInt(c.raw.Fd(), unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
				t.Errorf("TCP_NODELAY is %d, %v", on, err)
			}
		}
		w.handler.mu.Unlock()
		w.stop()
	}
}

// TestConnectionsAreSpread evenly over the loops.
func TestConnectionsAreSpread(t *testing.T) {
	w := newWorld(t, "tcp", Options{Loops: 4})
	for range 40 {
		w.dial()
	}
	eventually(t, "all are open", func() bool { return w.handler.opened.Load() == 40 })
	for _, l := range w.loops {
		if l.ConnCount() != 10 {
			t.Errorf("loop %d has %d connections of 40", l.ID, l.ConnCount())
		}
	}
}
