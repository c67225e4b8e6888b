package chaos

import (
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between a server and those who follow it: it forwards their connections, and damages them as it is told.
type proxy struct {
	port   int
	target string // host:port of the server
	ln     *net.TCPListener

	mu       sync.Mutex
	wires    map[*wire]bool
	accepted int   // connections to the server so far
	refuses  bool  // connections are closed at once
	narrow   bool  // connections have small socket buffers
	nextEnds int64 // how many bytes the next connection brings before it is reset; 0: it goes on
	nextIs   int   // how many connections come before that one

	running sync.WaitGroup
}

// wire is a connection through a proxy. Its fields are guarded by the proxy's lock.
type wire struct {
	p        *proxy
	replica  *net.TCPConn // to who follows
	primary  *net.TCPConn // to the server
	toEnd    int64        // how many bytes it still brings to the replica before it is reset; < 0: it goes on
	rate     int          // bytes a second to the replica; 0: what it takes
	deaf     [2]bool      // by direction: nothing is read any more
	lonely   bool         // one side was closed, and the other stays as it is
	finished bool
}

// The directions, and sides, of a wire.
const (
	toReplica = iota
	toPrimary
)

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{port: ln.Addr().(*net.TCPAddr).Port, target: target, ln: ln, wires: map[*wire]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		p.cut(reset)
		p.running.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		replica, err := p.ln.AcceptTCP()
		if err != nil {
			return // it was closed
		}
		p.mu.Lock()
		refuses, narrow := p.refuses, p.narrow
		p.mu.Unlock()
		if refuses {
			_ = replica.Close() // nothing was sent
			continue
		}
		conn, err := net.DialTimeout("tcp", p.target, time.Second)
		if err != nil {
			_ = replica.Close() // the server is down
			continue
		}
		primary := conn.(*net.TCPConn)
		if narrow {
			// What can't be set is as the system has it.
			_, _ = replica.SetWriteBuffer(4<<10), primary.SetReadBuffer(4<<10)
		}
		w := &wire{p: p, replica: replica, primary: primary, toEnd: -1}
		p.mu.Lock()
		if p.nextEnds > 0 && p.nextIs == 0 {
			w.toEnd, p.nextEnds = p.nextEnds, 0
		}
		p.nextIs = max(p.nextIs-1, 0)
		p.accepted++ // now, and not before: what is counted can be cut
		p.wires[w] = true
		p.mu.Unlock()
		p.running.Go(func() { w.forward(replica, primary, toReplica) })
		p.running.Go(func() { w.forward(primary, replica, toPrimary) })
	}
}

// forward copies what comes from src, as far as the wire's state lets it.
func (w *wire) forward(dst, src *net.TCPConn, direction int) {
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			w.ended()
			return
		}
		allowed, rate, ok := w.allow(n, direction)
		if !ok {
			return
		}
		if _, err := dst.Write(buf[:allowed]); err != nil {
			w.ended()
			return
		}
		if allowed < n {
			w.close(reset)
			return
		}
		if rate > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		}
	}
}

// allow waits until bytes may be sent, and says how many of n; false: the wire is gone.
func (w *wire) allow(n, direction int) (allowed, rate int, ok bool) {
	for {
		w.p.mu.Lock()
		if w.finished {
			w.p.mu.Unlock()
			return 0, 0, false
		}
		if !w.deaf[direction] {
			break
		}
		w.p.mu.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
	defer w.p.mu.Unlock()
	if direction == toPrimary {
		return n, 0, true
	}
	if w.toEnd >= 0 {
		n = int(min(int64(n), w.toEnd))
		w.toEnd -= int64(n)
	}
	return n, w.rate, true
}

// ended follows the end of one side: the other one ends with it, unless it was left alone on purpose.
func (w *wire) ended() {
	w.p.mu.Lock()
	lonely := w.lonely
	w.p.mu.Unlock()
	if !lonely {
		w.close(closed)
	}
}

// manner is how a connection ends.
type manner int

const (
	closed manner = iota // FIN: what was sent before still arrives
	reset                // RST: what is under way is lost
)

func (w *wire) close(how manner) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.finished = true
	delete(w.p.wires, w)
	for _, conn := range []*net.TCPConn{w.replica, w.primary} {
		end(conn, how)
	}
}

func end(conn *net.TCPConn, how manner) {
	if how == reset {
		_ = conn.SetLinger(0) // it may be closed already
	}
	_ = conn.Close() // so may this
}

// each does something to every wire, with the lock, and returns their number.
func (p *proxy) each(do func(w *wire)) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		do(w)
	}
	return len(p.wires)
}

// cut ends all connections, and returns their number.
func (p *proxy) cut(how manner) int {
	var all []*wire
	p.each(func(w *wire) { all = append(all, w) })
	for _, w := range all {
		w.close(how)
	}
	return len(all)
}

// cutAfter has connections reset as soon as they have brought so many more bytes to the replica, and returns their
// number.
func (p *proxy) cutAfter(bytes int64) int { return p.each(func(w *wire) { w.toEnd = bytes }) }

// cutNext has the connection that comes after so many others reset when it has brought so many bytes to the replica.
func (p *proxy) cutNext(others int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nextEnds, p.nextIs = bytes, others
}

// leave resets one side of every connection and keeps the other one open, silent.
func (p *proxy) leave(side int) int {
	return p.each(func(w *wire) {
		w.lonely, w.deaf = true, [2]bool{true, true}
		end([]*net.TCPConn{w.replica, w.primary}[side], reset)
	})
}

// stop has connections bring nothing any more in a direction, or in both; what comes stays in the sockets' buffers.
func (p *proxy) stop(directions ...int) int {
	return p.each(func(w *wire) {
		for _, d := range directions {
			w.deaf[d] = true
		}
	})
}

// resume ends stop and slow.
func (p *proxy) resume() {
	p.each(func(w *wire) { w.deaf, w.rate = [2]bool{}, 0 })
}

// slow has connections bring so many bytes a second to the replica.
func (p *proxy) slow(rate int) int { return p.each(func(w *wire) { w.rate = rate }) }

// refuse has connections refused, or no more.
func (p *proxy) refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = yes
}

// setNarrow gives connections that are made from now on small socket buffers, or no more.
func (p *proxy) setNarrow(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.narrow = yes
}

// connections gives how many there have been.
func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}
