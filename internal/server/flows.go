package server

import (
	"bufio"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/replica"
)

// The primary's side of a full sync by flows (see package replica, flow.go). Replicas that are Fulmen servers share the
// walk with all others but have a Sink of their own, of as many streams as there are flows, the same for all of them.
// Each flow has a queue that what the walk brings goes through, and for each replica a sender, who gives it to the
// connection that has come to fetch it; so it begins before they have come, and none waits for another one. The stream
// from the cut on is sent at once, by the replica's own goroutine; how much of it a replica takes in before it has all
// data is its own affair, and what it doesn't is kept as for any slow replica.

// flowSync is the Sink of those replicas of a full sync that get the data by flows.
type flowSync struct {
	// Immutable.
	job     *fullSync
	members []*follower
	number  int
	lz4     bool

	flows   []*flow        // immutable once begun is set
	begun   atomic.Bool    // there are all flows
	left    atomic.Int32   // members that have not failed
	served  atomic.Int32   // members that were sent everything
	sending sync.WaitGroup // the flows that are not over
}

// newFlowSync returns what serves the members; nil if there are none.
func (job *fullSync) newFlowSync(members []*follower, v *config.Values) *flowSync {
	if len(members) == 0 {
		return nil
	}
	y := &flowSync{job: job, members: members, number: len(job.r.srv.set.Shards)}
	if v.ReplFlows > 0 {
		y.number = min(y.number, v.ReplFlows)
	}
	for _, f := range members {
		y.number = min(y.number, f.intro.flows.Number)
		y.lz4 = y.lz4 || f.intro.flows.LZ4
	}
	return y
}

// flow is one of them: some shards' data on its way to all members.
type flow struct {
	// Immutable.
	of    *flowSync
	index int
	mark  string
	out   *replica.Overflow

	senders sync.WaitGroup

	// What packs, nil without.
	pack   io.WriteCloser
	packed *bufio.Writer // behind it: it writes in crumbs
}

// packedBytes is the buffer behind what packs.
const packedBytes = 64 << 10

// Begin implements snapshot.Sink: the replicas are offered the flows, and get the stream from the cut on.
func (y *flowSync) Begin(*snapshot.Cut) (snapshot.Form, error) {
	job := y.job
	for i := range y.number {
		fl := &flow{
			of: y, index: i, mark: replica.NewHistory().ID,
			out: replica.NewOverflow(job.r.spools, replica.OverflowBytes/y.number),
		}
		if y.lz4 {
			fl.packed = bufio.NewWriterSize(fl.out, packedBytes)
			fl.pack = snapshot.NewLZ4Writer(fl.packed)
		}
		y.flows = append(y.flows, fl)
	}
	y.left.Store(int32(len(y.members)))
	y.begun.Store(true)
	nowMs := job.r.srv.set.Clock.NowMs()
	for _, f := range y.members {
		o := newFlowOffer(f, y.number, nowMs)
		f.offer.Store(o)
		for _, fl := range y.flows {
			in := fl.out.Reader()
			fl.senders.Go(func() { fl.passOn(o, in) })
		}
		offer := replica.FlowOffer{Number: y.number, Token: o.token, LZ4: y.lz4}
		hello := fmt.Sprintf("+FULLRESYNC %s %d %s\r\n", job.history.ID, job.pin.LSN(), offer)
		if err := job.handOver(f, &handover{hello: []byte(hello), flows: true}); err != nil {
			job.failed(f, err)
		}
	}
	for _, fl := range y.flows {
		y.sending.Go(fl.end)
	}
	if len(job.members) == 0 {
		job.pin.Unpin() // what follows is each replica's own source by now
	}
	form := snapshot.Form{Streams: y.number, WriteOptions: rdb.WriteOptions{Checksum: true}}
	if job.r.fault.Load() == faultFlowUnsummed {
		form.Checksum = false
	}
	return form, nil
}

// Open implements snapshot.Sink.
func (y *flowSync) Open(i int) (io.Writer, error) { return y.flows[i], nil }

// Write takes what the walk brings.
func (fl *flow) Write(p []byte) (int, error) {
	if fl.pack != nil {
		return fl.pack.Write(p)
	}
	return fl.out.Write(p)
}

// Close says that the walk has brought all of the flow.
func (fl *flow) Close() error {
	if fl.pack != nil {
		if err := errors.Join(fl.pack.Close(), fl.packed.Flush()); err != nil {
			return err
		}
	}
	fl.out.CloseWrite()
	return nil
}

// passOn is the goroutine of a sender: it brings the flow to one replica.
func (fl *flow) passOn(o *flowOffer, in *replica.OverflowReader) {
	err := fl.send(o, in)
	in.Close()
	y := fl.of
	switch {
	case err == nil:
		if o.unsent.Add(-1) == 0 {
			y.served.Add(1)
			o.f.flowed()
		}
	case o.failed.CompareAndSwap(false, true):
		y.job.failed(o.f, fmt.Errorf("flow %d: %w", fl.index, err))
		if y.left.Add(-1) == 0 {
			y.fail(errNobodyLeft) // the walk need not go on
		}
	}
}

// send sends a replica all of the flow.
func (fl *flow) send(o *flowOffer, in *replica.OverflowReader) error {
	c, err := fl.meet(o)
	for err == nil {
		var p []byte
		if p, err = in.Next(); err == nil {
			err = c.write(p)
		}
	}
	if err == io.EOF {
		err = c.write([]byte(fl.mark))
	}
	return err
}

// errNotFetched: a replica has not come for what it was offered.
var errNotFetched = errors.New("the replica has not opened it in time")

// meet waits until a replica has come for the flow, and greets it.
func (fl *flow) meet(o *flowOffer) (*flowConn, error) {
	f := o.f
	late := time.NewTimer(time.Duration(o.untilMs-f.r.srv.set.Clock.NowMs()) * time.Millisecond)
	defer late.Stop()
	select {
	case <-o.came[fl.index]:
	case <-f.feed.Closed():
		return nil, replica.ErrClosed
	case <-late.C:
		if o.conn(fl.index) == nil { // else it has come meanwhile, and this goroutine is late
			return nil, errNotFetched
		}
	}
	job, c := fl.of.job, o.conn(fl.index)
	return c, c.write([]byte(replica.FlowHello(fl.index, job.history.ID, job.pin.LSN(), fl.mark)))
}

// end waits until nobody sends the flow any more, and lets go of its queue: either all of it was sent, or the walk is
// told that it need not go on.
func (fl *flow) end() {
	fl.senders.Wait()
	fl.of.job.closeQueue(fl.out)
}

// fail has all flows end.
func (y *flowSync) fail(why error) {
	for _, fl := range y.flows {
		fl.out.Fail(why)
	}
}

// full tells whether the walk waits for the slowest replica.
func (y *flowSync) full() bool {
	return y.begun.Load() && slices.ContainsFunc(y.flows, func(fl *flow) bool { return fl.out.Full() })
}

// Commit implements snapshot.Sink: it waits until the replicas have all that was sent.
func (y *flowSync) Commit([]int64) error {
	y.sending.Wait()
	if y.served.Load() == 0 {
		return errNobodyLeft
	}
	return nil
}

// Abort implements snapshot.Sink.
func (y *flowSync) Abort(why error) {
	y.fail(errors.Join(errWalkOver, why))
	for _, f := range y.members {
		f.drop("")
	}
	y.sending.Wait()
}

// flowOffer is what a replica may fetch its data by, from the cut until it has all of it.
type flowOffer struct {
	// Immutable.
	f       *follower
	token   string
	untilMs int64           // nobody is let in afterwards
	came    []chan struct{} // by flow; closed: there is a connection

	unsent  atomic.Int32 // flows that were not sent in whole
	failed  atomic.Bool  // one of them can't be
	heardMs atomic.Int64 // when the replica has last said that it is there
	tookMs  atomic.Int64 // when it has last taken something in by any of the flows

	mu    sync.Mutex
	over  bool        // nobody is let in any more
	conns []*flowConn // by flow; nil: not yet
}

// flowConn is a connection that one of the flows is fetched by.
type flowConn struct {
	of   *flowOffer
	s    *Session
	feed *replica.Feed
}

func (c *flowConn) write(p []byte) error {
	err := c.feed.Begin(p)
	c.of.tookMs.Store(c.s.srv.set.Clock.NowMs())
	return err
}

// fetchMs is how long a replica has for opening its flows, and half its primary's repl-timeout at most.
const fetchMs = 10_000

func newFlowOffer(f *follower, flows int, nowMs int64) *flowOffer {
	waits := min(fetchMs, f.r.srv.cfg.Values().ReplTimeoutSeconds*1000/2)
	o := &flowOffer{
		f: f, token: replica.NewHistory().ID, untilMs: nowMs + waits, conns: make([]*flowConn, flows),
	}
	for range flows {
		o.came = append(o.came, make(chan struct{}))
	}
	o.unsent.Store(int32(flows))
	o.heardMs.Store(nowMs)
	o.tookMs.Store(nowMs)
	return o
}

// conn returns the connection of a flow; nil: it has not been opened. Safe from any goroutine.
func (o *flowOffer) conn(index int) *flowConn {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conns[index]
}

// let lets a connection in that one of the flows is to be fetched by; false: nobody may fetch it.
func (o *flowOffer) let(c *flowConn, index int, nowMs int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || nowMs > o.untilMs || index >= len(o.conns) || o.conns[index] != nil {
		return false
	}
	o.conns[index] = c
	close(o.came[index])
	return true
}

// end closes all connections, and lets nobody in any more. Calling it twice is allowed. Safe from any goroutine.
func (o *flowOffer) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	for _, c := range o.conns {
		if c != nil {
			c.feed.Close()
			c.s.killFromAfar()
		}
	}
}

// stuckSinceMs returns since when nothing was taken in by any flow though there is something, or a flow was not opened;
// 0: there is nothing. A flow alone may stand still for long, while the replica is at a value that came by another one.
func (o *flowOffer) stuckSinceMs() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	since := int64(0)
	for _, c := range o.conns {
		if c == nil {
			return o.tookMs.Load()
		}
		if began := c.feed.StuckSinceMs(); began != 0 && (since == 0 || began < since) {
			since = began
		}
	}
	if since == 0 {
		return 0
	}
	return max(since, o.tookMs.Load()) // the walk may have brought nothing before
}

// errNoFlow is for who wants to fetch what nobody, or somebody else, was offered.
var errNoFlow = resp.Errorf("ERR", "No such flow, or it was opened already, or its time is over")

// fetchFlow makes the client one who fetches a flow. From then on it isn't listened to.
func (s *Session) fetchFlow(name string) error {
	token, index, ok := replica.ParseFlowName(name)
	var o *flowOffer
	for _, f := range *s.srv.replication.followers.Load() {
		if x := f.offer.Load(); x != nil && subtle.ConstantTimeCompare([]byte(x.token), []byte(token)) == 1 {
			o = x
		}
	}
	switch {
	case !ok || o == nil || index >= len(o.conns):
		return errNoFlow
	case len(s.c.Out) > 0 || s.conn.OutputBytes() > 0 || s.multi != nil || s.executing || s.feeds():
		return errPendingOutput
	}
	conn, err := s.conn.Second()
	if err != nil {
		s.srv.log.Warn("A replica can't be served: " + err.Error())
		s.killed = true
		return nil
	}
	c := &flowConn{of: o, s: s, feed: replica.NewFeed(conn, s.srv.set.Clock)}
	s.flow.Store(c)
	if !o.let(c, index, s.c.NowMs) {
		s.flow.Store(nil)
		c.feed.Close()
		return errNoFlow
	}
	s.reply = replyOff
	s.refresh()
	s.conn.Suspend()
	return nil
}

// flowed notes that the replica was sent all data, unless it has said so itself.
func (f *follower) flowed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hasAck {
		return
	}
	f.ackMs.Store(f.r.srv.set.Clock.NowMs())
	f.r.srv.log.Info("Streamed replica with replica " + f.name() + " by flows succeeded. Waiting for REPLCONF ACK " +
		"from replica")
}

// loading returns what the replica gets its data by, if it gets it by flows and has not said yet that it has all of
// it; else nil.
func (f *follower) loading() *flowOffer {
	if o := f.offer.Load(); f.is(awaitsData) {
		return o
	}
	return nil
}
