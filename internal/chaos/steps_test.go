package chaos

import (
	"strconv"
	"syscall"
	"time"
)

// step is something that is done to a round.
type step struct {
	name string
	run  func(r *round)
}

// linkSteps damage a link. Each leaves it to the servers to come together again.
var linkSteps = []step{
	{"reset", func(r *round) { r.cut(func(l link) { l.proxy().cut(reset) }) }},
	{"close", func(r *round) { r.cut(func(l link) { l.proxy().cut(closed) }) }},
	{"reset amid a command", func(r *round) {
		r.cut(func(l link) { l.proxy().cutAfter(1 + r.rnd.Int64N(5000)) })
	}},
	{"reset with full buffers", func(r *round) {
		r.cut(func(l link) {
			l.proxy().stop(toReplica)
			r.pause(200, 1500)
			l.proxy().cut(reset)
		})
	}},
	{"close with full buffers", func(r *round) {
		r.cut(func(l link) {
			l.proxy().stop(toReplica, toPrimary)
			r.pause(200, 1500)
			l.proxy().cut(closed)
		})
	}},
	{"acknowledgements stop, then reset", func(r *round) {
		r.cut(func(l link) {
			l.proxy().stop(toPrimary)
			r.pause(200, 1500)
			l.proxy().cut(reset)
		})
	}},
	{"slow, then reset", func(r *round) {
		r.cut(func(l link) {
			l.proxy().slow(1 << (10 + r.rnd.IntN(10)))
			r.pause(500, 2000)
			l.proxy().cut(reset)
		})
	}},
	{"the primary does not notice", func(r *round) { r.cut(func(l link) { l.proxy().leave(toReplica) }) }},
	{"the replica does not notice", func(r *round) { r.cut(func(l link) { l.proxy().leave(toPrimary) }) }},
	{"away for a while", func(r *round) {
		r.cut(func(l link) {
			l.proxy().refuse(true)
			defer l.proxy().refuse(false)
			l.proxy().cut(reset)
			r.pause(500, 3000)
		})
	}},
	{"cut again in the handshake", func(r *round) {
		r.cut(func(l link) {
			l.proxy().cutNext(0, 1+r.rnd.Int64N(400))
			l.proxy().cut(reset)
		})
	}},
	{"CLIENT KILL TYPE replica", func(r *round) {
		r.cut(func(l link) { l.above.killClients("replica") })
	}},
	{"CLIENT KILL TYPE master", func(r *round) {
		r.cut(func(l link) { l.below.killClients("master") })
	}},
	{"stands still, and goes on", func(r *round) { r.standStill() }},
}

// fullSteps damage something while everything is transferred.
var fullSteps = []step{
	{"cut amid full syncs", func(r *round) {
		l := r.link()
		r.forceFull(l, func() { r.cutFull(l) })
		for range r.rnd.IntN(3) {
			r.pause(300, 1500)
			r.cutFull(l)
			r.countCuts(l.proxy().cut(reset))
		}
		r.countCuts(1)
	}},
	{"slow full sync", func(r *round) {
		l := r.link()
		l.proxy().setNarrow(true)
		defer l.proxy().setNarrow(false)
		r.forceFull(l, func() {})
		r.pause(0, 300)
		l.proxy().slow(1 << (15 + r.rnd.IntN(8)))
		r.pause(500, 2500)
		l.proxy().resume()
	}},
	{"the replica is killed in a full sync", func(r *round) {
		l := r.link()
		r.forceFull(l, func() {})
		r.pause(0, 400)
		r.restart(l.below, r.signal())
	}},
	{"the upper one is killed in a full sync", func(r *round) {
		l := r.link()
		r.forceFull(l, func() {})
		r.pause(0, 400)
		r.restart(l.above, r.signal())
	}},
	{"saves and rewrites in a full sync", func(r *round) {
		l := r.link()
		r.forceFull(l, func() {})
		for _, n := range r.chain {
			n.do("BGREWRITEAOF") // it may be refused
			n.do("BGSAVE", "SCHEDULE")
		}
		r.pause(0, 400)
		r.countCuts(l.proxy().cut(reset))
	}},
}

// killSteps end processes and start them again.
var killSteps = []step{
	{"kill -9 of the primary", func(r *round) { r.restart(r.chain[0], syscall.SIGKILL) }},
	{"kill -9 of a replica", func(r *round) { r.restartReplica(syscall.SIGKILL) }},
	{"SIGTERM of the primary", func(r *round) { r.restart(r.chain[0], syscall.SIGTERM) }},
	{"SIGTERM of a replica", func(r *round) { r.restartReplica(syscall.SIGTERM) }},
	{"kill -9 amid a save and a rewrite", func(r *round) {
		n := r.chain[r.rnd.IntN(len(r.chain))]
		n.do("BGREWRITEAOF")
		n.do("BGSAVE", "SCHEDULE")
		r.pause(0, 100)
		r.restart(n, syscall.SIGKILL)
	}},
	{"kill -9 of all", func(r *round) {
		for _, n := range r.chain {
			r.stopNode(n, syscall.SIGKILL)
		}
		for _, n := range r.chain {
			n.start()
		}
	}},
}

// roleSteps change who is the primary.
var roleSteps = []step{
	{"roles are swapped at rest", func(r *round) {
		r.load.gate.Lock()
		defer r.load.gate.Unlock()
		r.equal()
		old := r.promote()
		r.attach(old)
	}},
	{"promotion under load", func(r *round) {
		old := r.promote()
		r.pause(0, 300)
		r.attach(old)
	}},
	{"FAILOVER", func(r *round) { r.failover() }},
	{"the primary is killed, and replaced", func(r *round) {
		old := r.chain[0]
		r.stopNode(old, syscall.SIGKILL)
		r.promote()
		r.pause(0, 1000)
		old.follows = r.chain[len(r.chain)-2]
		old.start()
	}},
	{"a replica writes for itself and comes back", func(r *round) {
		n, above := r.chain[len(r.chain)-1], r.chain[len(r.chain)-2]
		n.follow(nil)
		n.must("SET", "own", strconv.Itoa(r.rnd.Int()))
		r.pause(0, 300)
		n.follow(above)
	}},
	{"a replica follows the primary, not a replica", func(r *round) {
		n := r.chain[len(r.chain)-1]
		n.follow(nil)
		n.follow(r.chain[0])
		r.settle()
		if len(r.chain) > 2 {
			n.follow(r.chain[1])
			r.catchUp() // what n has acknowledged the next primary has to have
		}
	}},
}

// killClients ends connections of a type: one that is being made may be none of them yet.
func (n *node) killClients(kind string) {
	n.r.eventually("a "+kind+" of "+n.name+" is killed", func() bool {
		return n.do("CLIENT", "KILL", "TYPE", kind) != "0"
	})
}

// catchUp waits until who follows the primary has what that has now.
func (r *round) catchUp() {
	offset := func(n *node, name string) int64 {
		at, err := strconv.ParseInt(n.info("replication")[name], 10, 64)
		if err != nil {
			return 0 // it is being linked
		}
		return at
	}
	end := offset(r.chain[0], "master_repl_offset")
	next := r.chain[1]
	r.eventually(next.name+" has caught up", func() bool { return offset(next, "slave_repl_offset") >= end })
}

// link is one server that follows another one.
type link struct{ above, below *node }

func (l link) proxy() *proxy { return l.above.proxy }

// link draws one.
func (r *round) link() link {
	below := r.chain[1+r.rnd.IntN(len(r.chain)-1)]
	return link{below.follows, below}
}

// pause lets things happen for so many milliseconds.
func (r *round) pause(atLeast, atMost int) {
	time.Sleep(time.Duration(atLeast+r.rnd.IntN(atMost-atLeast+1)) * time.Millisecond)
}

func (r *round) signal() syscall.Signal {
	if r.rnd.IntN(3) == 0 {
		return syscall.SIGTERM
	}
	return syscall.SIGKILL
}

// transferBytes draws how much of a full sync comes through.
func (r *round) transferBytes() int64 { return 1 << r.rnd.IntN(24) }

// cutFull has the next full sync of a link cut: one of the connections that the data comes by.
func (r *round) cutFull(l link) {
	others := 0
	if l.below.spec.takesFlows(l.above.spec) {
		others = r.rnd.IntN(2) // the first flow, or the connection that has asked
	}
	l.proxy().cutNext(others, r.transferBytes())
}

func (r *round) countCuts(n int) { r.tally.add(func(a *tally) { a.cuts += n }) }

// syncs gives how many synchronizations a server has begun, or refused to do in part.
func (n *node) syncs() (full, partial int) {
	fields := n.info("stats")
	full, _ = strconv.Atoi(fields["sync_full"])
	partial, _ = strconv.Atoi(fields["sync_partial_ok"])
	return full, partial
}

// kept tells where a server has, as far as is promised, what a replica misses that was away for seconds.
func (n *node) kept() string {
	const enoughMB = 64
	switch {
	case n.spec.backlogMB >= enoughMB:
		return "backlog"
	case n.spec.kind == ours && n.spec.logs && n.follows == nil:
		return "files"
	}
	return ""
}

// cut damages a link that is up, waits until the replica has come back, and counts how.
func (r *round) cut(damage func(l link)) {
	l := r.link()
	connections := l.proxy().connections()
	full, partial := l.above.syncs()
	damage(l)
	r.countCuts(1)
	r.eventually(l.below.name+" connects again", func() bool { return l.proxy().connections() > connections })
	r.settle()
	nowFull, nowPartial := l.above.syncs()
	if nowFull == full && nowPartial == partial {
		r.failf("%s has come back without a synchronization", l.below.name)
		return
	}
	r.tally.resynced(class{"a cut", l.above.kept()}, nowFull > full)
	if nowFull > full {
		r.note("a cut between %s and %s: a full sync, history kept: %q", l.above.name, l.below.name, l.above.kept())
		if l.above.kept() != "" {
			r.t.Logf("%s (%s) was asked for what is kept in the %s, and gave everything to %s (%s): %s\n%s",
				l.above.name, l.above.spec, l.above.kept(), l.below.name, l.below.spec, l.above.lastRefusal(),
				r.latest())
		}
	}
}

// standStill stops a replica's process for a while.
func (r *round) standStill() {
	n := r.link().below
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := n.cmd.Process.Signal(sig); err != nil {
			r.fatalf("%s: %v", n.name, err)
		}
		if sig == syscall.SIGSTOP {
			r.pause(300, 2000)
		}
	}
}

// forceFull makes sure that the lower server needs everything; ready is called before it asks.
func (r *round) forceFull(l link, ready func()) {
	l.below.follow(nil)
	l.below.must("SET", "own", strconv.Itoa(r.rnd.Int()))
	ready()
	l.below.follow(l.above)
}

// stopNode ends a server's process.
func (r *round) stopNode(n *node, sig syscall.Signal) {
	r.note("%v to %s", sig, n.name)
	n.signal(sig)
	r.tally.add(func(a *tally) { a.kills++ })
	if n.follows == nil && !n.durable(sig) {
		r.load.ledger.reset()
	}
}

// durable tells whether a primary still has what it has acknowledged, after such an end.
func (n *node) durable(sig syscall.Signal) bool {
	if n.spec.kind == ours {
		return n.spec.logs || n.spec.saves && sig == syscall.SIGTERM
	}
	return n.spec.saves && !n.spec.logs && sig == syscall.SIGTERM
}

// restart ends a server and starts it again, as what it was.
func (r *round) restart(n *node, sig syscall.Signal) {
	r.stopNode(n, sig)
	r.pause(0, 500)
	n.start()
}

// restartReplica restarts a replica and counts how it comes back.
func (r *round) restartReplica(sig syscall.Signal) {
	l := r.link()
	full, _ := l.above.syncs()
	r.restart(l.below, sig)
	r.settle()
	nowFull, _ := l.above.syncs()
	r.tally.resynced(class{sig.String() + " of a replica", ""}, nowFull > full)
}

// promote makes the second server of the chain the primary, and the first one the last, which follows nobody yet.
func (r *round) promote() (old *node) {
	r.chain[1].follow(nil)
	return r.rotate()
}

// rotate follows a change of who is the primary.
func (r *round) rotate() (old *node) {
	old, next := r.chain[0], r.chain[1]
	r.load.primary.Store(&next.addr)
	r.chain = append(append([]*node{}, r.chain[1:]...), old)
	r.note("%s is the primary", next.name)
	return old
}

// failover has the first two servers change their roles by themselves, which they may give up.
func (r *round) failover() {
	old, next := r.chain[0], r.chain[1]
	if got := old.do("FAILOVER", "TO", "127.0.0.1", next.port, "TIMEOUT", "3000"); got != "OK" {
		r.note("FAILOVER: %s", got)
		return
	}
	var fields map[string]string
	r.eventually("the failover is over", func() bool {
		fields = old.info("replication")
		return fields["master_failover_state"] == "no-failover"
	})
	if fields["role"] == "master" {
		r.note("the failover was given up")
		return
	}
	next.follows = nil
	r.attach(r.rotate())
}

// attach has the last server follow the one before it.
func (r *round) attach(n *node) {
	above := r.chain[len(r.chain)-2]
	full, _ := above.syncs()
	n.follow(above)
	r.settle()
	nowFull, _ := above.syncs()
	r.tally.resynced(class{"a change of roles", ""}, nowFull > full)
}
