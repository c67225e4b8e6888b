package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/persist/vfs"
	"fulmen/shard"
	"fulmen/shard/command"
)

// The proofs run the whole server in this process, over a unix socket, and make its batons contended: whoever
// executes a command reads the clock under the baton, and the clock gives the processor away now and then, so
// that others find the baton taken; besides, meddlers take batons at random.

// restlessClock gives the processor away at random. Its wall clock moves only when it is told to.
type restlessClock struct {
	clock.Real
	wall *clock.Fake
	n    atomic.Uint64
	rest uint64 // it gives the processor away once in so many readings; 0: never
}

func newRestlessClock(rest uint64) *restlessClock {
	return &restlessClock{wall: clock.NewFake(1_700_000_000_000), rest: rest}
}

// NowMs implements clock.Clock.
func (c *restlessClock) NowMs() int64 { return c.wall.NowMs() }

// NowUs implements clock.Clock.
func (c *restlessClock) NowUs() int64 { return c.wall.NowUs() }

// NowNs implements clock.Clock.
func (c *restlessClock) NowNs() int64 {
	if c.rest > 0 {
		if x := c.n.Add(1) * 0x9e3779b97f4a7c15; (x>>32)%c.rest == 0 {
			runtime.Gosched()
		}
	}
	return c.Real.NowNs()
}

// proof is a server under proof.
type proof struct {
	t      testing.TB
	srv    *Server
	path   string
	clock  *restlessClock
	quit   chan struct{}
	kicks  chan struct{} // a client has sent something: the meddlers may begin
	once   sync.Once
	meddle sync.WaitGroup

	gathered int // histories so far
}

// startProof starts a server with the given shards and loops on a unix socket; it ends with the test.
func startProof(t testing.TB, shards, loops int, rest uint64, args ...string) *proof {
	t.Helper()
	dir, err := os.MkdirTemp("", "proof") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	p := &proof{t: t, path: filepath.Join(dir, "s"), clock: newRestlessClock(rest), quit: make(chan struct{})}
	p.kicks = make(chan struct{}, 4)
	args = append([]string{
		"--port", "0", "--unixsocket", p.path, "--dir", dir, "--shards", strconv.Itoa(shards),
		"--event-loops", strconv.Itoa(loops), "--enable-debug-command", "yes", "--save", "",
	}, args...)
	cfg, err := config.Load(args, config.Env{Version: Version, Cwd: dir, CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	level.Set(slog.LevelError)
	p.srv, err = New(Options{
		Config: cfg, Files: vfs.OS{}, Log: NewLogger(t.Output(), level), Level: level, Clock: p.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.srv.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(5*patience, func() {
		debug.SetTraceback("all") // what every goroutine waits for
		panic(t.Name() + ": stuck")
	})
	t.Cleanup(func() {
		p.calm()
		if err := p.srv.Shutdown(); err != nil {
			t.Error(err)
		}
		watchdog.Stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return p
}

// outsider is a goroutine that takes batons without being a loop.
type outsider struct {
	srv    *Server
	worker *shard.Worker
	tx     shard.Tx
	again  chan struct{}
}

func (p *proof) outsider() *outsider {
	o := &outsider{srv: p.srv, again: make(chan struct{}, 1)}
	// Tasks that are met in an inbox are executed as on a loop.
	l := &loop{
		srv: p.srv, calls: command.NewCallStats(p.srv.table), shared: newSharedStats(p.srv.table),
	}
	l.worker.Owner = l
	o.worker = &l.worker
	o.tx.Init(p.srv.set, o)
	return o
}

// Resume implements shard.Waiter.
func (o *outsider) Resume(*shard.Tx) { o.again <- struct{}{} }

// take takes the batons of the given shards; drop gives them back.
func (o *outsider) take(shards ...int) {
	o.worker.NowNs = o.srv.set.Clock.NowNs()
	o.tx.Begin(shards)
	for !o.tx.Acquire(o.worker) {
		<-o.again
	}
}

func (o *outsider) drop() { o.tx.Release(o.worker) }

// all runs fn under all batons.
func (o *outsider) all(fn func()) {
	o.take(o.srv.allShards...)
	fn()
	o.drop()
}

// meddlers take batons at random whenever a client sends something: single ones, and now and then several.
// With one loop they are all the contention there is.
func (p *proof) meddlers() {
	n := 2
	if len(p.srv.loops) == 1 {
		n = 4
	}
	for i := range n {
		rnd := rand.New(rand.NewPCG(uint64(i), 7))
		p.meddle.Go(func() {
			o := p.outsider()
			for {
				select {
				case <-p.quit:
					return
				case <-p.kicks:
				}
				for range 1 + rnd.IntN(8) {
					o.meddle(rnd)
					runtime.Gosched()
				}
			}
		})
	}
}

// calm ends the meddlers.
func (p *proof) calm() {
	p.once.Do(func() { close(p.quit) })
	p.meddle.Wait()
}

func (o *outsider) meddle(rnd *rand.Rand) {
	s := o.srv.set.Shards
	if rnd.IntN(4) == 0 {
		lo := rnd.IntN(len(s))
		hi := lo + 1 + rnd.IntN(len(s)-lo)
		o.take(o.srv.allShards[lo:hi]...)
		runtime.Gosched()
		o.drop()
		return
	}
	o.worker.NowNs = o.srv.set.Clock.NowNs()
	if one := s[rnd.IntN(len(s))]; one.Acquire(o.worker) {
		for range 1 + rnd.IntN(3) {
			runtime.Gosched()
		}
		one.Release(o.worker)
	}
}

// contention is what the shards' counters say about it.
type contention struct{ drained, handedOver int64 }

func (c contention) both() bool { return c.drained > 0 && c.handedOver > 0 }

func (p *proof) contention() (c contention) {
	p.outsider().all(func() {
		for _, s := range p.srv.set.Shards {
			c.drained += s.Stats.Drained
			c.handedOver += s.Stats.HandedOver
		}
	})
	return c
}

// mustContend fails the test if batons were not contended. The smaller tests under the race detector need not meet both
// kinds of contention.
func (p *proof) mustContend() contention {
	p.t.Helper()
	c := p.contention()
	if !c.both() && (proofShare == 1 || c == contention{}) {
		p.t.Errorf("not contended: %d tasks and transactions met in an inbox, %d batons handed over",
			c.drained, c.handedOver)
	}
	return c
}

// proofConn is a client.
type proofConn struct {
	p   *proof
	nc  net.Conn
	r   *resp.Reader
	out []byte
	n   int // commands sent and not answered
}

func (p *proof) dial() *proofConn {
	p.t.Helper()
	nc, err := net.Dial("unix", p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	c := &proofConn{p: p, nc: nc, r: resp.NewReader(nc)}
	p.t.Cleanup(func() {
		if err := nc.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			p.t.Error(err)
		}
	})
	return c
}

// add appends a command to what flush will send.
func (c *proofConn) add(args ...string) {
	c.out = resp.AppendCommandStrings(c.out, args...)
	c.n++
}

func (c *proofConn) flush() {
	c.raw(c.out)
	c.out = c.out[:0]
}

// raw sends bytes. It panics rather than fails, since clients run on their own goroutines.
func (c *proofConn) raw(p []byte) {
	if _, err := c.nc.Write(p); err != nil {
		panic(fmt.Sprintf("%s: %v", c.p.t.Name(), err))
	}
	select {
	case c.p.kicks <- struct{}{}:
	default:
	}
}

// reply reads one reply.
func (c *proofConn) reply() resp.Value {
	v, err := c.r.ReadReply()
	if err != nil {
		panic(fmt.Sprintf("%s: %v", c.p.t.Name(), err))
	}
	c.n--
	return v
}

// do sends one command and returns its reply.
func (c *proofConn) do(args ...string) resp.Value {
	c.add(args...)
	c.flush()
	return c.reply()
}

// all sends what was added and returns all replies.
func (c *proofConn) all() (replies []resp.Value) {
	c.flush()
	for c.n > 0 {
		replies = append(replies, c.reply())
	}
	return replies
}

// text is a reply in one word: the bytes of strings, numbers in digits, "nil".
func text(v resp.Value) string {
	switch {
	case v.Null:
		return "nil"
	case v.Kind == resp.KindInt:
		return strconv.FormatInt(v.Int, 10)
	case v.Elems != nil:
		s := "["
		for i, e := range v.Elems {
			if i > 0 {
				s += " "
			}
			s += text(e)
		}
		return s + "]"
	}
	return string(v.Str)
}

// keyOf returns a key with the given beginning that lies in the given shard.
func (p *proof) keyOf(prefix string, shard int) string {
	for i := 0; ; i++ {
		if key := prefix + strconv.Itoa(i); p.srv.set.ShardOf([]byte(key)) == shard {
			return key
		}
	}
}

// sendParked sends bytes of which the first command will find its baton taken, and returns when the server, which
// has one loop, is done with them.
func (p *proof) sendParked(c, other *proofConn, raw []byte) {
	before := p.srv.reactor.Totals().NetInputBytes
	c.raw(raw)
	for p.srv.reactor.Totals().NetInputBytes-before < int64(len(raw)) {
		runtime.Gosched()
	}
	other.do("PING") // answered after the callback that took the bytes
}
