package server

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"fulmen/internal/invariant"
	"fulmen/internal/resp"
	"fulmen/reactor"
	"fulmen/shard"
	"fulmen/shard/command"
)

const (
	// maxBatch is how many commands are parsed and prefetched at a time: two lines each must stay in the
	// first-level cache.
	maxBatch = 32
	// flushBytes is how much reply is collected before it is written even in the middle of a batch.
	flushBytes = 64 << 10
	// keepBytes is the largest reply buffer that a loop keeps for the next batch.
	keepBytes = 4 << 20
)

// loop is the server's state of one event loop; it implements nothing itself: Server is the Handler.
type loop struct {
	srv    *Server
	rl     *reactor.Loop
	worker shard.Worker
	ctx    command.Ctx
	args   [][]byte
	keys   []command.Keyed
	batch  [maxBatch]parsed
	held   *shard.Shard // by the running batch
	// primary is the stream that the running batch is of; nil: it is a client's.
	primary *primaryStream
	offered int   // how many bytes the session has received that it has not been served
	ahead   int   // commands of the running batch up to this one have been prepared
	shards  []int // scratch of routing
	idx     []int // scratch of routing
	calls   *command.CallStats
	shared  *sharedStats
	home    []*homeShard // shards that this loop is home to
	// nextHome is whose turn it is for background work.
	nextHome int
	// defragNs is the time that may be spent on defragmentation as of defragAtNs; negative: was spent in advance.
	defragNs, defragAtNs int64
	nextDefrag           int // whose turn it is
	idleCheckedMs        int64
	active               bool         // something happened since the last tick: the next one must come soon
	cameRoundMs          atomic.Int64 // when the last tick was; read by the console
	// attackLoggedMs is when a connection that speaks HTTP was last logged.
	attackLoggedMs int64

	// Commands that wait for keys; block.go.
	timeouts timeouts
	served   []*parking // by this loop; their letters are to be posted
	spared   bool       // the command that has just run tells of nothing that is not synced; unsynced.go
	begunLSN uint64     // with a planted fault: of the log, when the batch began
	// syncWaits are those of WAITAOF that end at some time.
	syncWaits []*syncWait

	// Memory as it was when the batch last looked; evict.go.
	limited bool       // there is a maxmemory
	oom     bool       // it is exceeded, and nothing can be evicted
	wait    bool       // commands that need memory wait
	grown   int64      // bytes by which the batch has let memory grow since
	waiting []*Session // paused until there is room, or until a save has room again

	saving saving // saving.go

	scripts    loopScripts
	busyNotice busyNotice

	// What commands cause others to be sent; push.go.
	parcel  *parcel     // nil: nothing
	rings   []*pushDesk // that are to be told
	desk    pushDesk
	crowded bool // so much is under way that those who may cause more have to wait

	// Memory for what is published and pushed of changes; events.go and tracking.go.
	event, eventChannel, keyText, pushText []byte
	broadcasts                             []broadcastKeys // since the last commit

	// CLIENT PAUSE; pause.go.
	pause      *pause        // as it was when the batch began, nil: none
	restricted uint32        // Server.restricted then
	barred     command.Flags // of commands that it may hold back
	postponed  []*Session    // wait for its end
	unpaused   unpaused
}

// parsed is one command of a batch.
type parsed struct {
	row          *command.Row
	args         [][]byte
	end          int // bytes of the batch up to its end
	keyLo, keyHi int // its keys in loop.keys
}

// homeShard is a shard that a loop is home to.
type homeShard struct {
	s *shard.Shard
	l *loop
	reactor.Letter
	rung ringFlag
	mail evictMail
}

// Open implements reactor.Handler.
func (srv *Server) Open(c *reactor.Conn) {
	l := c.Loop().State.(*loop)
	s := newSession(srv, l, c)
	f, _ := c.Context.(*primaryStream)
	c.Context = s
	srv.clients.add(s)
	if f != nil {
		f.open(s)
	}
}

// Close implements reactor.Handler.
func (srv *Server) Close(c *reactor.Conn, err error) {
	s := c.Context.(*Session)
	s.closed = true
	s.endMonitor()
	s.closeTracking()
	postponed := s.postponed
	if postponed {
		s.loop.forgetPostponed(s)
	}
	s.closeWait(postponed)
	s.closeSyncWait()
	switch { // before it leaves CLIENT LIST: whoever misses it there finds the reason in the log
	case errors.Is(err, reactor.ErrQueryBufferLimit):
		srv.log.Warn("Closing client that reached max query buffer length: " + s.describe(srv.set.Clock.NowMs()))
	case errors.Is(err, reactor.ErrOutputBufferLimit), errors.Is(err, reactor.ErrSlowReader):
		srv.log.Warn("Client " + s.describe(srv.set.Clock.NowMs()) + " closed for overcoming of output buffer limits.")
	default:
		srv.log.Debug("client closed connection", "addr", s.addr, "why", err)
	}
	s.endSubscriptions()
	if f := s.follower.Load(); f != nil {
		f.closed()
	}
	if c := s.flow.Load(); c != nil {
		c.feed.Close()
	}
	srv.clients.remove(s)
	srv.clientMemory.Add(-s.counted)
	s.gone.Store(true)
	s.undoom()
	if f := s.primary; f != nil {
		f.closed(err)
	}
	if !s.parked() {
		s.leave()
	}
}

// Stalled implements reactor.Handler.
func (srv *Server) Stalled(c *reactor.Conn, on bool) {
	srv.log.Debug("client does not read its replies", "addr", c.RemoteAddr(), "stalled", on)
}

// Buffers implements reactor.BufferObserver.
func (srv *Server) Buffers(c *reactor.Conn) {
	s := c.Context.(*Session)
	s.lastMs.Store(srv.set.Clock.NowMs())
	s.publishBuffers()
}

// Data implements reactor.Handler: it executes what is complete in p.
func (srv *Server) Data(c *reactor.Conn, p []byte) (consumed int) {
	s := c.Context.(*Session)
	if s.killNow.Load() { // its killer has been told so, and the letter comes behind this
		c.Abort(reactor.ErrClosedByServer)
		return len(p)
	}
	l := s.loop
	if s.listening || s.tracker.Load() != nil {
		l.desk.catchUp()
	}
	l.begin(s)
	l.checkMemory()
	l.offered = len(p)
	passed := 0
	if s.primary != nil {
		passed = s.primary.signsOfLife(p)
		p = p[passed:]
		s.primary.take(p)
	}
	for c.Ready() && consumed < len(p) && !s.killed {
		authed := s.authed
		n, whole := l.parse(s, p[consumed:])
		if s.primary != nil {
			s.primary.begun = s.primary.consumed + uint64(consumed)
		}
		done := l.run(s, n)
		if done > 0 {
			consumed += l.batch[done-1].end
		}
		if done < n || !c.Ready() || s.killed || s.authed != authed {
			s.parser.Reset() // what is behind is parsed once more, from another beginning
			continue
		}
		if whole != nil {
			l.protocolError(s, whole)
			consumed = len(p)
			break
		}
		if n == 0 {
			if need := s.parser.Need(); need > 0 {
				c.SetNeed(need)
			}
			break
		}
	}
	if s.primary != nil {
		s.primary.consumed += uint64(consumed)
	}
	l.finish(s)
	l.offered = 0
	return passed + consumed
}

// begin prepares the loop's context for a session.
func (l *loop) begin(s *Session) {
	if !l.active {
		l.active = true
		l.rl.WantTick()
	}
	if invariant.Enabled && l.parcel != nil {
		panic("BUG: what was caused before has not been sent")
	}
	clock := l.srv.set.Clock
	l.worker.NowNs, l.worker.LSN = clock.NowNs(), 0
	if l.srv.gate.fault == readsEarly {
		l.begunLSN = l.srv.set.Log.LSN()
	}
	l.ctx.NowMs = clock.NowMs()
	l.srv.set.Tick(l.ctx.NowMs)
	l.ctx.Session = s
	l.ctx.DBID, l.ctx.Proto, l.ctx.NoTouch = s.db, s.proto, s.noTouch.Load()
	l.ctx.Tracker, l.ctx.Remembers = s.tracks()
	l.ctx.Limits, l.ctx.Observers = l.srv.limits.Load(), l.srv.observers.Load()
	l.ctx.Cut(command.Mark{})
	l.ctx.ReplyLimit = int(l.srv.replyLimit.Load())
	l.crowded = l.srv.pushing.Load() >= crowdedBytes
	l.regate()
	l.primary = s.primary
	if s.primary != nil {
		l.ctx.NowMs, l.ctx.ReplyLimit, l.barred = 0, 0, 0 // see primaryStream
		s.killed = s.killed || s.primary.dead.Load()      // what ends it afterwards, gateChanged tells
	}
	s.c = &l.ctx
}

// finish sends what the batch replied and gives back what it held.
func (l *loop) finish(s *Session) {
	l.drop()
	l.publishCalls() // who has a reply finds the call counted
	l.flush(s)
	if s.killed && !s.closed {
		s.closing.Store(true)
		s.conn.CloseAfterFlush()
	}
	if s.primary != nil {
		s.primary.settle()
		l.ctx.NowMs = l.srv.set.Clock.NowMs()
	}
	s.publish(l.ctx.NowMs)
	l.ctx.Session = nil
	l.trim()
}

// publishCalls lets others see what the batch counted.
func (l *loop) publishCalls() {
	l.calls.Flush(l.shared.add)
	if len(l.calls.Errors) > 0 {
		l.shared.addErrors(l.calls.Errors)
	}
}

// flush writes the replies so far. All batons that they were computed under have been given back.
func (l *loop) flush(s *Session) {
	if invariant.Enabled && l.held != nil {
		panic("BUG: replies are sent before what they tell of is committed")
	}
	lsn := l.worker.LSN
	if l.srv.gate.fault == readsEarly && lsn <= l.begunLSN {
		lsn = 0
	}
	l.sendParcel()
	s.send(&l.ctx, lsn, keepBytes)
}

// maxScratch is how many arguments a loop's or a session's scratch memory is kept for.
const maxScratch = 16 << 10

// trim lets go of scratch memory after a batch of very many arguments.
func (l *loop) trim() {
	if cap(l.args) > maxScratch || cap(l.keys) > maxScratch {
		l.args, l.keys, l.idx = nil, nil, nil
		l.batch = [maxBatch]parsed{}
		l.ctx.Args, l.ctx.Keys = nil, nil
	}
}

// drop releases the baton that the batch holds, if any.
func (l *loop) drop() {
	if l.held != nil {
		if l.limited {
			l.grown += l.held.UsedBytes() - l.held.PublishedBytes()
		}
		if l.primary != nil {
			l.primary.notePlace(l.held)
		}
		l.held.Release(&l.worker)
		l.held = nil
		l.postServed()
	}
}

// parse fills l.batch with commands at the head of p and prefetches their keys. A protocol error is
// returned along with the commands before it. Without authentication commands come one at a time, since
// AUTH changes what the parser may accept.
func (l *loop) parse(s *Session, p []byte) (n int, protocol error) {
	l.args = l.args[:0]
	l.keys = l.keys[:0]
	limit := maxBatch
	if !s.authed {
		limit = 1
	}
	at := 0
	for n < limit && at < len(p) {
		lo := len(l.args)
		args, used, err := s.parser.Parse(p[at:], l.args)
		if err != nil {
			return n, err
		}
		if used == 0 {
			break
		}
		l.args = args
		at += used
		b := &l.batch[n]
		n++
		b.end = at
		b.args = args[lo:len(args):len(args)]
		b.keyLo, b.keyHi, b.row = len(l.keys), len(l.keys), nil
		if len(b.args) > 0 {
			l.classify(b)
		}
	}
	if n > 0 {
		l.prefetch(s.db, n)
	}
	return n, nil
}

// classify finds the command's row and its keys.
func (l *loop) classify(b *parsed) {
	row := l.srv.table.Lookup(b.args[0])
	if row == nil {
		return
	}
	b.row = row
	if !row.ArityOK(len(b.args)) || len(row.Keys) == 0 {
		return
	}
	if row.Single() {
		l.addKey(b.args, 1)
	} else {
		l.addKeys(row, b.args)
	}
	b.keyHi = len(l.keys)
}

// addKeys adds all keys of a command.
func (l *loop) addKeys(row *command.Row, args [][]byte) {
	l.idx = row.KeyIndexes(l.idx[:0], args)
	l.keys = slices.Grow(l.keys, len(l.idx)) // once: a million keys are copied for longer than they are looked up
	for _, i := range l.idx {
		l.addKey(args, i)
	}
}

func (l *loop) addKey(args [][]byte, i int) {
	set := l.srv.set
	l.keys = append(l.keys, command.Keyed{
		Key:   set.Key(args[i]),
		Shard: set.Shards[set.ShardOf(args[i])],
		Arg:   i,
	})
}

// prefetch asks for the cache lines of the batch's keys: first all buckets, then all entries, so that the
// misses overlap. Hints only: no baton is held.
func (l *loop) prefetch(db, n int) {
	if len(l.keys) < 2 {
		return
	}
	for i := range l.keys {
		l.keys[i].Shard.DB(db).PrefetchBucket(l.keys[i].Key.Hash)
	}
	for i := range l.keys {
		l.keys[i].Shard.DB(db).PrefetchEntries(l.keys[i].Key.Hash)
	}
}

// run executes the first n commands of the batch in order and returns how many are done or parked.
func (l *loop) run(s *Session, n int) (done int) {
	authed := s.authed
	l.ahead = 0
	follow := s.primary
	for i := range n {
		if !s.conn.Ready() || s.killed || s.authed != authed {
			l.drop()
			return i
		}
		b := &l.batch[i]
		if follow != nil {
			follow.next = follow.begun + uint64(b.end)
		}
		if b.row != nil && (l.mustWait(b.row) || s.mustSpare(b.row) || s.mustStandBack(b.row)) {
			l.drop()
			l.awaitRoom(s)
			return i
		}
		if l.crowded && b.row != nil && s.mustYield(b.row) {
			l.drop()
			l.awaitDelivery(s)
			return i
		}
		if s.plain && b.row != nil && b.row.Short(b.args, b.keyHi-b.keyLo) && l.admits(b.row) {
			if !l.runSingle(s, b, i, n) {
				return i + 1
			}
			if s.postponed {
				return i
			}
		} else if len(b.args) > 0 {
			l.drop()
			if s.dispatch(b); s.postponed && !s.parked() {
				return i
			}
			l.grown += recheckBytes // or less: it is not known what has grown
		} else {
			s.runEmpty()
		}
		if follow != nil {
			follow.ran(s, b.args)
		}
		if l.ctx.Bytes() > flushBytes || l.parcel != nil && len(l.parcel.text) > flushBytes {
			l.drop() // no baton is held during a system call
			l.flush(s)
		}
	}
	l.drop()
	return n
}

// runEmpty runs a command without arguments: a line end is a replica's sign of life while it loads.
func (s *Session) runEmpty() {
	if f := s.follower.Load(); f != nil {
		f.isThere(s.c.NowMs)
	}
	if s.reply == replySkipNext {
		s.reply = replyOn // it is a command, too
		s.refresh()
	}
}

// admits tells whether the server's state lets an ordinary command of this row run.
func (l *loop) admits(row *command.Row) bool {
	return row.Flags&l.barred == 0 && (!l.oom || row.Flags&command.DenyOOM == 0)
}

// runSingle executes command i of the n of a batch, which has one key, under its shard's baton; false: the session is
// parked.
func (l *loop) runSingle(s *Session, b *parsed, i, n int) bool {
	k := l.keys[b.keyLo:b.keyHi]
	sh := k[0].Shard
	if sh != l.held {
		l.drop()
		if !sh.Acquire(&l.worker) {
			l.parkTask(s, b.row, b.args, k)
			return false
		}
		l.held = sh
		if l.gateChanged() && (s.heldBack(b.row) || s.barredByRole(b.row)) {
			s.lastRow.Store(int32(b.row.Index) + 1)
			l.drop()
			return true
		}
	}
	s.lastRow.Store(int32(b.row.Index) + 1)
	if b.row.Member > 0 && i >= l.ahead {
		l.lookAhead(s, i, n)
	}
	l.ctx.Args, l.ctx.Keys = b.args, k
	command.Call(&l.ctx, b.row)
	if s.primary != nil {
		s.primary.done(s)
	}
	if sh.HasReady() {
		l.serveReady(l.srv.allShards[sh.ID : sh.ID+1])
	}
	return true
}

// minAhead is the number of members of one collection, looked up by commands in a row, from which looking ahead pays.
const minAhead = 4

// lookAhead prepares commands of the batch from i on that look members of the same key's value up, whose baton is held.
// On a collection of 1 M members it takes a third off the processor time of ZSCORE, SISMEMBER and HGET at pipeline 16;
// where every command has another key it costs a comparison of hashes.
func (l *loop) lookAhead(s *Session, i, n int) {
	key := &l.keys[l.batch[i].keyLo].Key
	var members [shard.MaxAhead][]byte
	k := 0
	at := i
	for ; at < n; at++ {
		b := &l.batch[at]
		if b.row == nil || b.row.Member == 0 || len(b.args) <= b.row.Member || b.keyHi == b.keyLo ||
			l.keys[b.keyLo].Key.Hash != key.Hash {
			break
		}
		of := b.args[b.row.Member:min(b.row.Member+max(b.row.Members, 1), len(b.args))]
		if k+len(of) > len(members) {
			break
		}
		k += copy(members[k:], of)
	}
	if l.ahead = max(at, i+1); k >= minAhead {
		l.held.DB(s.db).Ahead(*key, members[:k])
	}
}

func (l *loop) protocolError(s *Session, err error) {
	l.srv.log.Debug("protocol error from client", "addr", s.addr, "error", err)
	if e, ok := err.(*resp.Error); ok && s.reply == replyOn {
		l.ctx.Out = resp.AppendError(l.ctx.Out, e)
	}
	if f := s.primary; f != nil {
		f.closed(fmt.Errorf("%w (%w) from client: %s", errStreamGarbled, err, s.describe(s.c.NowMs)))
	}
	s.killed = true
}
