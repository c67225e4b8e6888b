package server

import (
	"fmt"
	"strings"
	"sync/atomic"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// Failover on request. FAILOVER pauses writes, waits for a replica to have everything, and then follows that one,
// asking it by PSYNC ... FAILOVER to become the primary. The pause, which begins under all batons, lasts until the new
// primary has answered: what was written before it is there, who writes later is told READONLY.

// takeover is one failover under way.
type takeover struct {
	force bool  // at its end the replica is to take over with what it has
	endMs int64 // 0: never
	named bool  // by FAILOVER TO, not the first that has everything

	// Where the replica is. Unless it is named, "" and 0 until one is chosen, and only touched with all batons held.
	host string
	port int64

	inProgress atomic.Bool // the server follows it; changed with all batons held
}

// failover is the server's part in failovers.
type failover struct {
	srv *Server
	tx  serverTx
	now atomic.Pointer[takeover] // nil: none; set with all batons held
}

func (f *failover) init(srv *Server) {
	f.srv = srv
	f.tx.init(srv)
}

func failoverRows() []*command.Row {
	return []*command.Row{{Info: command.Info{
		Name: "failover", Arity: -1, Flags: command.Admin | command.NoScript | command.Stale, Group: "server",
		Since: "6.2.0", Summary: "Start a coordinated failover between this server and one of its replicas.",
		Complexity: "O(1)",
		Args:       "target=TO?(host port:integer FORCE?) ABORT? milliseconds:integer=TIMEOUT?",
		Route:      command.RouteAll,
	}, RunSession: onSession(cmdFailover)}}
}

var (
	errNoFailover      = resp.Errorf("ERR", "No failover in progress.")
	errFailoverTimeout = resp.Errorf("ERR", "FAILOVER timeout must be greater than 0")
	errFailoverTwice   = resp.Errorf("ERR", "FAILOVER already in progress.")
	errFailoverReplica = resp.Errorf("ERR", "FAILOVER is not valid when server is a replica.")
	errFailoverNobody  = resp.Errorf("ERR", "FAILOVER requires connected replicas.")
	errFailoverForce   = resp.Errorf("ERR", "FAILOVER with force option requires both a timeout and target HOST "+
		"and IP.")
	errFailoverTarget   = resp.Errorf("ERR", "FAILOVER target HOST and PORT is not a replica.")
	errFailoverNotReady = resp.Errorf("ERR", "FAILOVER target replica is not online.")

	errTakeOverPrimary = resp.Errorf("ERR", "PSYNC FAILOVER can't be sent to a master.")
	errTakeOverHistory = resp.Errorf("ERR", "PSYNC FAILOVER replid must match my replid.")
	errTakeOverOwing   = resp.Errorf("ERR", "PSYNC FAILOVER is too early: my append-only file has not begun again.")
)

// FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]
func cmdFailover(s *Session) error {
	f, a := &s.srv.failover, s.c.ArgsFrom(1)
	if a.Left() == 1 && a.Option("abort") {
		if !f.abort("Failover manually aborted") {
			return errNoFailover
		}
		s.c.OK()
		return nil
	}
	t := &takeover{}
	timeoutMs := int64(0)
	for a.More() {
		switch {
		case timeoutMs == 0 && a.Left() > 1 && a.Option("timeout"):
			if timeoutMs = a.Int(); a.Err() == nil && timeoutMs <= 0 {
				return errFailoverTimeout
			}
		case !t.named && a.Left() > 2 && a.Option("to"):
			t.named, t.host = true, cString(a.Bytes())
			t.port = a.Int()
		case !t.force && a.Option("force"):
			t.force = true
		default:
			return resp.ErrSyntax
		}
		if err := a.Err(); err != nil {
			return err
		}
	}
	if err := f.refusal(t, timeoutMs); err != nil {
		return err
	}
	if timeoutMs > 0 {
		t.endMs = s.c.NowMs + min(timeoutMs, forever-s.c.NowMs)
	}
	f.now.Store(t)
	if s.multi != nil {
		s.multi.paused = true // what is queued behind it may still write
	}
	s.srv.pausing.begin(s.srv, pauseForFailover, pause{endMs: forever}, s.multi == nil)
	s.c.OK()
	return nil
}

// refusal says why a failover can't begin; nil: it can. All batons are held.
func (f *failover) refusal(t *takeover, timeoutMs int64) error {
	switch list := *f.srv.replication.followers.Load(); {
	case f.now.Load() != nil:
		return errFailoverTwice
	case f.srv.following():
		return errFailoverReplica
	case len(list) == 0:
		return errFailoverNobody
	case t.force && (timeoutMs == 0 || !t.named):
		return errFailoverForce
	}
	if !t.named {
		return nil
	}
	switch target := f.target(t); {
	case target == nil:
		return errFailoverTarget
	case !target.is(online):
		return errFailoverNotReady
	}
	return nil
}

// target returns the replica that is to take over, nil if it isn't connected.
func (f *failover) target(t *takeover) *follower {
	for _, x := range *f.srv.replication.followers.Load() {
		if ip, port := x.address(); strings.EqualFold(ip, t.host) && port == t.port {
			return x
		}
	}
	return nil
}

// ready returns a replica that may take over since it has everything, nil if none has yet. It is exact if all batons
// are held.
func (f *failover) ready(t *takeover) *follower {
	end := f.srv.replication.stream().Offset()
	has := func(x *follower) bool { return x != nil && x.is(online) && x.ackLSN.Load() == end }
	if t.named {
		if x := f.target(t); has(x) {
			return x
		}
		return nil
	}
	for _, x := range *f.srv.replication.followers.Load() {
		if has(x) {
			return x
		}
	}
	return nil
}

// check goes on with a failover that waits, if it may. Safe from any goroutine; it is called when a replica has said
// what it has, and every 100 ms.
func (f *failover) check() {
	t := f.now.Load()
	if t == nil || t.inProgress.Load() || !t.late(f.srv) && f.ready(t) == nil {
		return
	}
	f.tx.run(func(*loop) { f.decide(t) }, nil) // else somebody is at it
}

func (t *takeover) late(srv *Server) bool { return t.endMs != 0 && srv.set.Clock.NowMs() >= t.endMs }

// decide is check with all batons held.
func (f *failover) decide(t *takeover) {
	if f.now.Load() != t || t.inProgress.Load() {
		return
	}
	switch x := f.ready(t); {
	case t.late(f.srv) && t.force:
		f.srv.log.Info(fmt.Sprintf("Failover to %s:%d time out exceeded, failing over.", t.host, t.port))
	case t.late(f.srv):
		f.abort("Replica never caught up before timeout")
		return
	case x == nil:
		return
	default:
		if !t.named { // else it is read anywhere
			t.host, t.port = x.address()
		}
		f.srv.log.Info(fmt.Sprintf("Failover target %s:%d is synced, failing over.", t.host, t.port))
	}
	t.inProgress.Store(true)
	f.srv.upstream.start(t.host, int(t.port), t)
	f.srv.noteRole(fmt.Sprintf("%s %d", t.host, t.port))
}

// abort gives up the failover that is under way, and has the server be a primary again; false: there is none. All
// batons are held.
func (f *failover) abort(why string) bool {
	t := f.now.Load()
	if t == nil || !f.now.CompareAndSwap(t, nil) {
		return false
	}
	target := ""
	if t.host != "" {
		target = fmt.Sprintf(" to %s:%d", t.host, t.port)
	}
	f.srv.log.Info(fmt.Sprintf("Aborting failover%s while it was in state: %s. %s", target, t, why))
	if t.inProgress.Load() {
		f.srv.upstream.linked.Store(true) // nothing has changed: replicas find all that they lack
		f.srv.upstream.promote()
		f.srv.noteRole("")
	}
	f.srv.unpause(pauseForFailover)
	return true
}

// clear ends a failover that has succeeded, unless it was given up. Safe from any goroutine.
func (f *failover) clear(t *takeover) {
	if f.now.CompareAndSwap(t, nil) {
		f.srv.unpause(pauseForFailover)
	}
}

// hurries tells whether a failover is under way that has little time: nothing is to be said to replicas meanwhile.
func (f *failover) hurries() bool {
	t := f.now.Load()
	return t != nil && t.endMs != 0
}

// String gives INFO's word.
func (t *takeover) String() string {
	switch {
	case t == nil:
		return "no-failover"
	case t.inProgress.Load():
		return "failover-in-progress"
	}
	return "waiting-for-sync"
}

func (f *failover) state() string { return f.now.Load().String() }

// takeOver makes the server a primary because its own one asks for that, whose history is named id; all batons are
// held.
func (s *Session) takeOver(id string) error {
	srv := s.srv
	srv.log.Warn("Failover request received for replid " + id + ".")
	switch {
	case !srv.following():
		return errTakeOverPrimary
	case !strings.EqualFold(id, srv.replication.history.Load().ID):
		return errTakeOverHistory
	case srv.aof.owed.Load(): // a kill would lose what the primary has acknowledged
		return errTakeOverOwing
	}
	srv.upstream.promote()
	srv.log.Info("MASTER MODE enabled (failover request from '" + s.describe(srv.set.Clock.NowMs()) + "')")
	srv.noteRole("")
	return nil
}
