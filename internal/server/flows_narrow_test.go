package server

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// narrowWay is a proxy that lets one connection at a time through.
type narrowWay struct {
	ln     net.Listener
	target string
	second wayOfSecond

	mu    sync.Mutex
	turn  sync.Cond
	taken *narrowPass // nil: nobody has the way
}

// wayOfSecond is what becomes of a second connection.
type wayOfSecond int

const (
	secondRefused wayOfSecond = iota // it ends
	secondWaits                      // it is accepted, and goes through when the first one has ended
	secondWins                       // the first one ends
)

// narrowPass is a connection that goes through.
type narrowPass struct{ in, out net.Conn }

func (p *narrowPass) close() { _, _ = p.in.Close(), p.out.Close() }

func startNarrowWay(t *testing.T, target string, second wayOfSecond) *narrowWay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &narrowWay{ln: ln, target: target, second: second}
	w.turn.L = &w.mu
	running := acceptEach(ln, w.pass)
	t.Cleanup(func() {
		_ = ln.Close()
		w.mu.Lock()
		w.second = secondRefused
		if w.taken != nil {
			w.taken.close()
		}
		w.turn.Broadcast()
		w.mu.Unlock()
		running.Wait()
	})
	return w
}

// enter waits for the way; nil: the connection is refused.
func (w *narrowWay) enter(in net.Conn) *narrowPass {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.taken != nil {
		switch w.second {
		case secondRefused:
			return nil
		case secondWins:
			w.taken.close()
		}
		w.turn.Wait()
	}
	out, err := net.Dial("tcp", w.target)
	if err != nil {
		return nil
	}
	w.taken = &narrowPass{in, out}
	return w.taken
}

func (w *narrowWay) pass(in net.Conn) {
	defer in.Close()
	p := w.enter(in)
	if p == nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(p.out, p.in)
		p.close()
	})
	_, _ = io.Copy(p.in, p.out)
	p.close()
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = nil
	w.turn.Broadcast()
}

// throughNarrowWay has a server with a fault follow another one where only one connection at a time goes through, and
// need everything anew when it has it. It tells whether it comes to have the data both times, and has wasted one
// attempt each time at most.
func throughNarrowWay(t *testing.T, second wayOfSecond, fault upstreamFault) bool {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "2")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "20000", "key", "500")
	way := startNarrowWay(t, srv.Addr(), second)
	replica, log := startLogged(t, "--repl-flows", "2")
	replica.upstream.retryAfter, replica.upstream.fault = 10*time.Millisecond, fault
	theirs := dial(t, replica.Addr())
	host, port, err := net.SplitHostPort(way.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs.do("REPLICAOF", host, port)
	for round := 1; round <= 2; round++ {
		done := func() bool { return strings.Count(log.String(), "Finished with success") == round }
		eventually(t, "it has the data, or has tried often", func() bool {
			return done() || strings.Count(log.String(), "Full resync from master") > 2*round
		})
		if tried := strings.Count(log.String(), "Full resync from master"); !done() || tried > 2*round {
			return false
		}
		waitLinked(t, theirs)
		sameData(t, ours, theirs)
		ours.do("DEBUG", "CHANGE-REPL-ID")
		ours.do("CLIENT", "KILL", "TYPE", "replica")
	}
	return true
}

// TestFlowsThroughNarrowWay: a replica behind something that lets one connection at a time through gets everything at
// the second attempt, whenever it needs everything.
func TestFlowsThroughNarrowWay(t *testing.T) {
	for name, second := range map[string]wayOfSecond{
		"refused": secondRefused, "waits": secondWaits, "wins": secondWins,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !throughNarrowWay(t, second, 0) {
				t.Error("it doesn't come to have the data, or has tried more than twice")
			}
		})
	}
	if throughNarrowWay(t, secondRefused, faultInsistsOnFlows) {
		t.Error("nobody has noticed")
	}
}

// TestFlowsThatAlwaysBreakOff: a replica whose flows open, and break off every time, gets the data without.
func TestFlowsThatAlwaysBreakOff(t *testing.T) {
	p := startFlowPair(t)
	p.wire.harm(atByte(1, 200_000, flowDamages["killed"]))
	p.begin(t)
	waitLinked(t, p.theirs)
	sameData(t, p.ours, p.theirs)
	p.log.wantLogged(t, 2, "Full resync from master")
}
