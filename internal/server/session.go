package server

import (
	"net"
	"strings"
	"sync/atomic"

	"fulmen/internal/pubsub"
	"fulmen/internal/resp"
	"fulmen/reactor"
	"fulmen/shard"
	"fulmen/shard/command"
)

// replyMode is the state of CLIENT REPLY.
type replyMode uint8

const (
	replyOn replyMode = iota
	replyOff
	replySkipNext // SKIP was said: the next command's reply is dropped
	replySkip     // this command's reply is dropped
)

// Session is one client.
type Session struct {
	// Immutable after Open.
	srv   *Server
	conn  *reactor.Conn
	loop  *loop
	id    uint64
	addr  string
	laddr string
	local bool // loopback or unix socket
	unix  bool
	fd    int
	born  int64 // ms

	// Owned by the loop.
	parser  resp.Parser
	c       *command.Ctx // where handlers reply; set while a command runs
	db      int
	proto   int
	authed  bool
	reply   replyMode
	plain   bool // nothing special about this session: Single commands may take the short way
	multi   *multi
	watch   watchSet
	counted int64 // bytes counted in Server.clientMemory
	park    *parking
	awaits  *await   // what the command that has just run waits for; nil: nothing
	monitor *monitor // nil: not in MONITOR
	// syncWait is that of a WAIT or WAITAOF under way; nil: there is none.
	syncWait *syncWait
	intro    *introduction // what a replica has said of itself; nil: nothing
	// executing: the commands that run are those of EXEC, which must not block.
	executing bool
	script    *scriptRun     // that runs now, with the session's context; nil: none
	primary   *primaryStream // this is the primary's connection; nil: a client's
	// loads: what it executes is what an append-only file of Redis's says. It has no connection then.
	loads bool
	// Pub/sub; push.go and pubsub.go.
	subscriber *pubsub.Subscriber[*Session] // nil: it subscribes to nothing
	listening  bool                         // it subscribes to something
	pushes     []byte                       // collected, while collects
	pushLSN    uint64                       // what they tell of
	collects   bool                         // in pushDesk.touched
	silenced   bool                         // the replies of the command that runs are dropped
	aloud      []byte                       // what it has to push nevertheless

	closed    bool
	killed    bool // close after the replies of this batch
	postponed bool // a pause holds the next command back, or the parked one: in loop.postponed

	// Published for other goroutines.
	name       atomic.Pointer[string]
	libName    atomic.Pointer[string]
	libVer     atomic.Pointer[string]
	lastMs     atomic.Int64
	lastRow    atomic.Int32 // Row.Index + 1
	pubDB      atomic.Int32
	pubProto   atomic.Int32
	queued     atomic.Int32               // commands queued by MULTI, -1 outside
	subCounts  [pubsub.Kinds]atomic.Int32 // subscriptions
	queryBytes atomic.Int64
	queryCap   atomic.Int64
	outBytes   atomic.Int64
	outChunks  atomic.Int32
	multiBytes atomic.Int64
	replyBytes atomic.Int64 // of a reply under construction in slices
	noEvict    atomic.Bool
	isPrimary  atomic.Bool // primary is set
	noTouch    atomic.Bool
	tracker    atomic.Pointer[tracker] // nil: it has never tracked keys; set once, by the loop
	monitoring atomic.Bool
	waiting    atomic.Bool              // postponed
	heldBy     *pause                   // that it waits for the end of; the loop's
	blocked    atomic.Pointer[blocked]  // nil unless a command waits for keys
	killNow    atomic.Bool              // CLIENT KILL by another session
	closing    atomic.Bool              // killed, and replies have not left yet
	follower   atomic.Pointer[follower] // nil: it is no replica
	flow       atomic.Pointer[flowConn] // nil: it is none of the connections that a replica gets its data by
	watching   atomic.Pointer[shard.Watcher]
	killMail   reactor.Letter

	// What commands make the session keep.
	watchBytes  atomic.Int64
	parkedBytes atomic.Int64 // of a command that waits
	subBytes    atomic.Int64 // of subscriptions
	doomedBytes atomic.Int64 // counted in clientEvictor.doomed
	gone        atomic.Bool  // no longer counted in Server.clientMemory
}

// CommandSession implements command.Session.
func (s *Session) CommandSession() {}

// feeds tells whether what a replica gets is written to the connection: it has no room for anything else. Safe from any
// goroutine.
func (s *Session) feeds() bool { return s.follower.Load() != nil || s.flow.Load() != nil }

// obeyed tells whether what the session says is executed whatever clients are refused: its like was executed before.
func (s *Session) obeyed() bool { return s.primary != nil || s.loads }

// killer delivers CLIENT KILL on the victim's loop.
type killer struct{ s *Session }

// Deliver implements reactor.Recipient.
func (k *killer) Deliver(*reactor.Loop, *reactor.Letter) {
	if !k.s.closed {
		k.s.conn.Abort(reactor.ErrClosedByServer)
	}
}

func newSession(srv *Server, l *loop, conn *reactor.Conn) *Session {
	s := &Session{
		srv: srv, conn: conn, loop: l, id: conn.ID, proto: 2, fd: conn.Fd(),
		born: srv.set.Clock.NowMs(),
	}
	s.unix = conn.LocalAddr().Network() == "unix"
	s.addr, s.laddr, s.local = ends(conn.RemoteAddr(), conn.LocalAddr())
	s.killMail.To = &killer{s}
	s.lastMs.Store(s.born)
	s.queued.Store(-1)
	s.pubProto.Store(2)
	s.conn.SetTrusted(false)
	s.setAuthed(srv.cfg.Values().RequirePass == "")
	s.publish(s.born)
	return s
}

// ends words the two ends of a connection as CLIENT LIST does.
func ends(remote, local net.Addr) (addr, laddr string, isLocal bool) {
	if local.Network() == "unix" {
		return local.String() + ":0", local.String() + ":0", true
	}
	if t, ok := remote.(*net.TCPAddr); ok {
		isLocal = t.IP.IsLoopback()
	}
	return remote.String(), local.String(), isLocal
}

// unixPath tells whether the client came through the unix socket, and the socket's path.
func (s *Session) unixPath() (path string, isUnix bool) {
	path, isUnix = strings.CutSuffix(s.addr, ":0")
	return path, isUnix && s.laddr == s.addr
}

func (s *Session) setAuthed(on bool) {
	s.authed = on
	s.parser.Authenticated = on
	if on {
		s.conn.SetTrusted(true) // for good, also behind RESET
	}
	s.refresh()
}

// refresh works out whether the session may take the short way; after every change of its state.
func (s *Session) refresh() {
	t := s.tracker.Load()
	s.plain = s.authed && s.multi == nil && s.reply == replyOn && s.monitor == nil && !s.listens() &&
		(t == nil || !t.caching)
}

// selectDB makes db the session's database.
func (s *Session) selectDB(db int) {
	s.db = db
	s.c.DBID = db
	s.pubDB.Store(int32(db))
}

func (s *Session) setProto(proto int) {
	s.proto = proto
	s.c.Proto = proto
	s.pubProto.Store(int32(proto))
	s.refresh()
}

// publish lets other goroutines see what a batch changed.
func (s *Session) publish(nowMs int64) {
	s.lastMs.Store(nowMs)
	s.conn.SetHeld(int(s.multiBytes.Load()))
	s.count()
}

// publishBuffers lets other goroutines see the sizes of the connection's buffers.
func (s *Session) publishBuffers() {
	s.queryBytes.Store(int64(s.conn.QueryBytes()))
	s.queryCap.Store(int64(s.conn.QueryCapacity()))
	s.outBytes.Store(int64(s.conn.OutputBytes()))
	s.outChunks.Store(int32(s.conn.OutputChunks()))
	s.srv.bufferPeaks.note(s.queryCap.Load(), s.outBytes.Load())
	s.count()
}

// count keeps the session's share of the memory that all clients occupy.
func (s *Session) count() {
	if m := s.memoryBytes(); m != s.counted && !s.closed {
		s.srv.clientMemory.Add(m - s.counted)
		grew := m > s.counted
		s.counted = m
		if grew && s.srv.clientExcess() > 0 {
			s.srv.evictClients(s)
		}
	}
}

// watchSet is what a session watches.
type watchSet struct {
	keys    []watchedKey
	seen    map[watchedID]bool // those in keys
	watcher *shard.Watcher
}

type watchedID struct {
	db  int
	key string
}

type watchedKey struct {
	db    int
	shard *shard.Shard
	key   shard.Key
	// expired: its time had passed already, and it stayed, on a replica or in a pause. Going is no change then.
	expired bool
}
