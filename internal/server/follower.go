package server

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/internal/config"
	"fulmen/replica"
)

// introduction is what a replica says of itself before it asks for the data. It belongs to its session's loop until
// then, and is immutable afterwards.
type introduction struct {
	port    int64  // on which it listens, 0: it has not said
	ip      string // at which it wants to be seen, empty: where it comes from
	eof     bool   // it can read data whose length is not told before
	psync2  bool   // it knows that a history may get another name
	rdbOnly bool   // it wants the data of now, and no stream

	flows replica.FlowRequest

	noData, noFunctions bool // of the data of now it wants no keys, no functions
}

// followerState is how far a replica is.
type followerState int32

const (
	asks       followerState = iota // it is not decided what it gets
	awaitsCut                       // it waits for a walk to begin
	awaitsData                      // the walk that is for it is under way
	getsFile                        // what that has written is sent to it
	online                          // it gets the stream
)

// String gives INFO's word.
func (s followerState) String() string {
	return [...]string{"wait_bgsave", "wait_bgsave", "wait_bgsave", "send_bulk", "online"}[s]
}

// follower is a replica that is connected. What it sends arrives on its session's loop as from any client; what it is
// sent a goroutine of its own writes, or during a walk a sender. It ends with the connection.
type follower struct {
	// Immutable.
	r       *replication
	s       *Session
	intro   introduction
	psync   bool // it has asked with PSYNC, so it acknowledges what it gets
	feed    *replica.Feed
	askedMs int64
	next    chan *handover // of length 1: how it goes on after it has waited
	acked   chan struct{}  // closed at its first acknowledgement

	// Atomic.
	src atomic.Pointer[replica.Source] // where the stream comes from; nil: not yet
	pin atomic.Pointer[replica.Pin]    // what keeps it for the replica until then; nil: nothing
	// offer is what it fetches its data by; nil: it gets it on its own connection, or none.
	offer atomic.Pointer[flowOffer]

	state    atomic.Int32
	ackLSN   atomic.Uint64 // what it says it has
	fsyncLSN atomic.Uint64 // … and has on disk
	ackMs    atomic.Int64  // when it last said that it is there; when it had all data, before that; 0: it has not

	softSinceMs int64 // the sampler's: since when it is above the soft limit

	mu     sync.Mutex
	over   bool // nobody will read next
	given  bool // something was given to next
	hasAck bool // acked is closed
}

// handover is how a replica goes on: hello is sent, then a file, if there is one, and then src. Without a disk hello is
// the end of the data.
type handover struct {
	hello    []byte
	file     *sharedFile
	flows    bool           // the data comes on other connections
	awaitAck bool           // its end is only found by the replica, which says so, if nothing follows before that
	src      replica.Source // nil for a replica that leaves (introduction.rdbOnly)
}

// close lets go of what was not used.
func (h *handover) close() {
	if h.file != nil {
		h.file.release()
	}
	if h.src != nil {
		h.src.Close()
	}
}

// follow makes the session's client a replica.
func (r *replication) follow(s *Session, psync bool) (*follower, error) {
	conn, err := s.conn.Second()
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok && r.srv.cfg.Values().ReplDelaysTCP {
		err = tcp.SetNoDelay(false)
	}
	f := &follower{
		r: r, s: s, psync: psync, feed: replica.NewFeed(conn, r.srv.set.Clock), askedMs: r.srv.set.Clock.NowMs(),
		next: make(chan *handover, 1), acked: make(chan struct{}),
	}
	if s.intro != nil {
		f.intro = *s.intro
	}
	if err == nil && !r.add(f) {
		err = errClosing
	}
	if err != nil {
		f.feed.Close()
		return nil, err
	}
	s.follower.Store(f)
	s.reply = replyOff // what it says now is no question any more
	s.refresh()
	return f, nil
}

// run is the replica's goroutine.
func (f *follower) run() {
	defer f.r.running.Done()
	err := f.serve()
	f.mu.Lock()
	f.over = true
	select {
	case h := <-f.next:
		h.close()
	default:
	}
	f.mu.Unlock()
	if err != nil && !errors.Is(err, replica.ErrClosed) {
		f.r.srv.log.Debug("replica "+f.name(), "error", err)
	}
	f.drop("")
}

// serve keeps a replica alive that waits, and then sends it what there is for it.
func (f *follower) serve() error {
	tick := time.NewTicker(keepAliveMs * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-f.feed.Closed():
			return replica.ErrClosed
		case <-tick.C:
			if err := f.feed.KeepAlive(); err != nil {
				return err
			}
		case h := <-f.next:
			return f.goOn(h)
		}
	}
}

// goOn does what a handover says.
func (f *follower) goOn(h *handover) error {
	if len(h.hello) > 0 {
		if err := f.feed.Begin(h.hello); err != nil {
			h.close()
			return err
		}
	}
	if h.file != nil {
		f.state.Store(int32(getsFile))
		err := h.file.send(f.feed)
		h.file.release()
		h.file = nil
		if err != nil {
			h.close()
			return err
		}
	}
	if f.intro.rdbOnly {
		h.close()
		f.r.srv.log.Info("RDB transfer completed, rdb only replica (" + f.name() + ") should be disconnected asap")
		return nil
	}
	if h.flows {
		return f.feed.Stream(h.src) // it is online when it acknowledges
	}
	f.ackMs.Store(f.r.srv.set.Clock.NowMs())
	if h.awaitAck {
		f.r.srv.log.Info("Streamed replica with replica " + f.name() + " via socket succeeded. Waiting for REPLCONF " +
			"ACK from replica to enable streaming")
		select {
		case <-f.acked:
		case <-f.feed.Closed():
			h.close()
			return replica.ErrClosed
		}
	}
	f.goesOnline()
	return f.feed.Stream(h.src)
}

// goesOnline notes that the replica has all data.
func (f *follower) goesOnline() {
	f.state.Store(int32(online))
	f.r.changed()
	f.r.srv.log.Info("Synchronization with replica " + f.name() + " succeeded")
}

// hand gives the replica's goroutine what follows.
func (f *follower) hand(h *handover) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		h.close()
		return
	}
	f.given = true
	f.next <- h
}

// handed tells whether the replica's goroutine goes on by itself, or has ended.
func (f *follower) handed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.given || f.over
}

// acknowledge notes what the replica says that it has. On its session's loop.
func (f *follower) acknowledge(lsn, fsyncLSN uint64, nowMs int64) {
	o := f.loading()
	if o != nil && lsn < (*f.pin.Load()).LSN() {
		f.isThere(nowMs) // it can't have what it loads
		return
	}
	if lsn > f.ackLSN.Load() {
		f.ackLSN.Store(lsn)
	}
	if fsyncLSN > f.fsyncLSN.Load() {
		f.fsyncLSN.Store(fsyncLSN)
	}
	f.ackMs.Store(nowMs)
	f.mu.Lock()
	if !f.hasAck {
		f.hasAck = true
		close(f.acked)
	}
	f.mu.Unlock()
	if o != nil {
		f.goesOnline()
		o.end()
		f.offer.Store(nil) // the sessions of its flows end
	}
	f.r.changed()
}

// isThere notes a sign of life of a replica that loads what it was sent. On its session's loop.
func (f *follower) isThere(nowMs int64) {
	if o := f.offer.Load(); o != nil {
		o.heardMs.Store(nowMs)
	}
	if f.ackMs.Load() != 0 {
		f.ackMs.Store(nowMs)
	}
}

// shownState is the state that INFO and ROLE tell: as in Redis a replica is online as soon as it has all data, also if
// it has not said yet that it has found the end.
func (f *follower) shownState() followerState {
	if f.ackMs.Load() != 0 {
		return online
	}
	return followerState(f.state.Load())
}

func (f *follower) is(s followerState) bool { return followerState(f.state.Load()) == s }

// drop ends the connection; why goes to the log unless it is empty. Safe from any goroutine.
func (f *follower) drop(why string) {
	if why != "" {
		f.r.srv.log.Warn(why)
	}
	f.end()
	f.s.killFromAfar()
}

// end closes what the replica is sent something by.
func (f *follower) end() {
	f.feed.Close()
	if o := f.offer.Load(); o != nil {
		o.end()
	}
}

// closed follows the end of the connection, on its loop.
func (f *follower) closed() {
	f.end()
	f.r.remove(f)
	f.r.endDeserted()
	f.r.changed()
	f.r.srv.log.Info("Connection with replica " + f.name() + " lost.")
}

// address returns where the replica is to be seen, and its port, 0 if it has not said.
func (f *follower) address() (ip string, port int64) {
	ip = f.intro.ip
	if host, _, err := net.SplitHostPort(f.s.addr); ip == "" && err == nil {
		ip = host
	}
	return ip, f.intro.port
}

// name is what the log calls it.
func (f *follower) name() string {
	ip, port := f.address()
	if port == 0 {
		return ip + ":<unknown-replica-port>"
	}
	return net.JoinHostPort(ip, strconv.FormatInt(port, 10))
}

// lagBytes is how much of the stream is kept in memory for the replica.
func (f *follower) lagBytes() int64 {
	if f.is(asks) || f.is(awaitsCut) || f.intro.rdbOnly {
		return 0
	}
	if src := f.src.Load(); src != nil {
		return int64((*src).HeldBytes())
	}
	if pin := f.pin.Load(); pin != nil {
		return int64((*pin).HeldBytes())
	}
	return 0
}

// shed has a replica that is slow read from disk what would have to be kept in memory for it.
func (f *follower) shed(from replica.Archive, mostBytes uint64) {
	if pin := f.pin.Load(); pin != nil {
		(*pin).Shed(from, mostBytes)
	}
	if src := f.src.Load(); src != nil {
		(*src).Shed(from, mostBytes)
	}
}

// holdsUpOthers tells whether a walk waits for replicas to take something in that is for others than this one, too, who
// have a timeout as well.
func (f *follower) holdsUpOthers() bool {
	job := f.r.syncUnderWay()
	return job != nil && f.is(awaitsData) && job.full() && job.awaited() > 1
}

// idleWriteMs is for how long a replica may take nothing in while writers wait for a walk that waits for it.
const idleWriteMs = 1000

// checkLimits drops a replica that takes too little in, or says nothing. It is the sampler's.
func (f *follower) checkLimits(v *config.Values, nowMs int64) {
	limit, lag := v.OutputLimits[config.ClassReplica], f.lagBytes()
	if limit.HardBytes != 0 {
		limit.HardBytes = max(limit.HardBytes, v.BacklogBytes) // as Redis: that much is kept anyway
	}
	if limit.SoftBytes == 0 || lag <= limit.SoftBytes {
		f.softSinceMs = 0
	} else if f.softSinceMs == 0 {
		f.softSinceMs = nowMs
	}
	// What the log has no room for makes writers wait: then it goes that keeps a good part of what is beyond the
	// backlog.
	fills := f.r.srv.set.Log.OverLimit() && lag > v.BacklogBytes+v.LogMemoryBytes/4
	since, silentSinceMs := f.feed.StuckSinceMs(), f.ackMs.Load()
	if o := f.loading(); o != nil { // it may take the stream in when it has the data
		since, silentSinceMs = o.stuckSinceMs(), o.heardMs.Load()
	}
	stuck := since != 0 && f.is(awaitsData) && f.r.srv.saver.Overdrawn() && nowMs-since > idleWriteMs
	timeoutMs := v.ReplTimeoutSeconds * 1000
	switch {
	case limit.HardBytes != 0 && lag > limit.HardBytes, fills, stuck,
		f.softSinceMs != 0 && nowMs-f.softSinceMs > limit.SoftSeconds*1000:
		f.drop("Client " + f.s.describe(nowMs) + " scheduled to be closed ASAP for overcoming of output buffer " +
			"limits.")
	case f.psync && silentSinceMs != 0 && nowMs-silentSinceMs > timeoutMs:
		f.drop("Disconnecting timedout replica (streaming sync): " + f.name())
	case since != 0 && nowMs-since > timeoutMs,
		since != 0 && nowMs-since > timeoutMs/2 && f.holdsUpOthers():
		f.drop("Disconnecting timedout replica (full sync): " + f.name())
	}
}
