package server

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"fulmen/internal/resp"
	"fulmen/reactor"
	"fulmen/replica"
	"fulmen/shard"
	"fulmen/shard/command"
)

// primaryStream is what a session needs that executes the stream of the primary that this server follows. The session
// is one like a client's: it parses, takes batons, parks and executes on its loop. What differs: nothing is refused
// but what would administer the server (noPartOfStream), no time passes (keys go when the primary says so), nothing
// is replied but acknowledgements, and with every command the position in the primary's stream moves on, under the
// batons of that command. So whoever holds all batons knows exactly which position the data corresponds to.
type primaryStream struct {
	// immutable
	srv   *Server
	relay *replica.Relay
	db    int    // selected when it begins
	from  uint64 // position where it begins

	// The loop's.
	received uint64 // position up to which bytes were given to relay
	consumed uint64 // … of what Data is offered next
	begun    uint64 // … where the running batch begins
	next     uint64 // … behind the command that runs, or is parked; read by whoever executes it

	// Of whoever executes the stream, with a baton.
	noted uint64     // position that the log was told last
	note  placeWords // scratch

	// Atomic.
	executed  atomic.Uint64 // the position; changed with the batons of the command held
	executedD atomic.Int32  // database that was selected there; written before executed
	lastMs    atomic.Int64  // when the primary was last heard of
	dead      atomic.Bool   // nothing is executed any more; set with all batons held, and moving
	moving    sync.Mutex    // the position moves, or is stopped
	s         atomic.Pointer[Session]

	ack   reactor.Letter // has the session send one
	rung  ringFlag       // … and is under way
	endMu sync.Mutex
	over  bool          // abort was called
	err   error         // why it has ended
	ended chan struct{} // closed: the connection is gone, and nothing of it will be executed
}

func newPrimaryStream(srv *Server, relay *replica.Relay, position uint64, db int) *primaryStream {
	f := &primaryStream{
		srv: srv, relay: relay, db: db, from: position, received: position, consumed: position, next: position,
		ended: make(chan struct{}),
	}
	f.executed.Store(position)
	f.executedD.Store(int32(db))
	f.ack.To = f
	f.heard()
	return f
}

func (f *primaryStream) heard() { f.lastMs.Store(f.srv.set.Clock.NowMs()) }

// open makes the session one of a primary.
func (f *primaryStream) open(s *Session) {
	s.primary = f
	s.isPrimary.Store(true)
	f.endMu.Lock()
	f.s.Store(s)
	over := f.over
	f.endMu.Unlock()
	if over {
		s.killFromAfar()
	}
	s.setAuthed(true)
	s.conn.SetUnbounded()
	s.db = f.db
	s.pubDB.Store(int32(f.db))
	s.noEvict.Store(true)
	f.sendAck()
}

// noPartOfStream tells whether a command has nothing to say to a replica: no primary sends it, and whoever speaks for
// one is not to administer this server.
func noPartOfStream(row *command.Row) bool {
	if row.Flags&(command.PubSub|command.MayReplicate) == command.PubSub {
		return true // a primary listens to no messages
	}
	return row.Flags&(command.Admin|command.Write) == command.Admin && row.RunSession != nil && row.Name != "replconf"
}

// signsOfLife returns how many bytes p begins with that are no part of the stream: a redis-server whose saving process
// fails when all data was sent goes on with newlines, as if the replica were still waiting.
func (f *primaryStream) signsOfLife(p []byte) (n int) {
	if f.received != f.from {
		return 0
	}
	for n < len(p) && p[n] == '\n' {
		n++
	}
	return n
}

// take notes what has come: p was received and not consumed, or is the beginning of that.
func (f *primaryStream) take(p []byte) {
	f.heard()
	end := f.consumed + uint64(len(p))
	if end <= f.received {
		return // it was offered before
	}
	fresh := p[f.received-f.consumed:]
	f.srv.upstream.netInput.Add(int64(len(fresh)))
	f.relay.Append(fresh)
	f.received = end
}

// done notes that the command behind which next lies was executed; the batons that it needed are held. Inside MULTI the
// position stays: the transaction is executed as a whole. One that needs none may run while the stream is stopped: it
// counts before that or not at all, because whoever stops it goes on with the position.
func (f *primaryStream) done(s *Session) {
	if s.multi != nil {
		return
	}
	f.moving.Lock()
	defer f.moving.Unlock()
	if !f.dead.Load() {
		f.executedD.Store(int32(s.db))
		f.executed.Store(f.next)
	}
}

// notePlace has the commit that the holder of a shard's baton is about to make say which position the data has then,
// for an append-only file.
func (f *primaryStream) notePlace(sh *shard.Shard) {
	position, db := f.position()
	if position == f.noted || f.dead.Load() || !f.srv.replication.logsPlace() {
		return
	}
	f.noted = position
	sh.Stage(-1, f.note.of(position, db)...)
}

// placeWords are the words of a record that says a position.
type placeWords struct {
	args   [5][]byte
	digits [2][20]byte
}

// of returns the record; valid until the next call.
func (w *placeWords) of(position uint64, db int) [][]byte {
	w.args[0], w.args[1] = replconfWord, ackWord
	w.args[2] = strconv.AppendUint(w.digits[0][:0], position, 10)
	if db == 0 {
		return w.args[:3]
	}
	w.args[3], w.args[4] = dbWord, strconv.AppendInt(w.digits[1][:0], int64(db), 10)
	return w.args[:]
}

var replconfWord, ackWord, dbWord = []byte("REPLCONF"), []byte("ACK"), []byte("DB")

// stop has nothing executed any more, and the position stay where it is. All batons are held, or nothing was executed.
func (f *primaryStream) stop() {
	f.moving.Lock()
	defer f.moving.Unlock()
	f.dead.Store(true)
}

// position returns the position that the data corresponds to, and the database that is selected there; all batons are
// held.
func (f *primaryStream) position() (offset uint64, db int) {
	offset = f.executed.Load()
	return offset, int(f.executedD.Load())
}

// settle publishes how far the stream was executed, after a batch.
func (f *primaryStream) settle() { f.relay.Publish(f.executed.Load()) }

// ran follows each command of a batch, which may be parked. What it has replied goes nowhere.
func (f *primaryStream) ran(s *Session, args [][]byte) {
	f.failed(&s.c.Reply, args)
	s.c.Cut(command.Mark{})
	if !s.parked() && f.executed.Load() != f.next {
		f.done(s) // what was refused
	}
}

// endTask follows a command that another loop has executed.
func (f *primaryStream) endTask(p *parking) {
	f.failed(&p.ctx.Reply, p.args)
	f.settle()
}

// failed looks at what a command has replied: an error means that our data is not the primary's.
func (f *primaryStream) failed(r *command.Reply, args [][]byte) {
	reply := r.Out
	if len(reply) == 0 || r.Bytes() > len(reply) || reply[0] != '-' {
		return
	}
	if n := f.srv.upstream.errors.Add(1); n == 1 || n%1000 == 0 {
		name := ""
		if len(args) > 0 {
			name = cString(args[0][:min(len(args[0]), 128)])
		}
		f.srv.log.Warn(fmt.Sprintf("== CRITICAL == This replica is sending an error to its master: '%.*s' after "+
			"processing the command '%s'", min(len(reply)-3, 512), reply[1:], name))
	}
}

// sendAck tells the primary how far the stream was executed.
func (f *primaryStream) sendAck() {
	offset := strconv.FormatUint(f.executed.Load(), 10)
	f.s.Load().tellPrimary(resp.AppendCommandStrings(nil, "REPLCONF", "ACK", offset))
}

// Deliver implements reactor.Recipient: an acknowledgement is due.
func (f *primaryStream) Deliver(*reactor.Loop, *reactor.Letter) {
	f.rung.Store(false)
	if s := f.s.Load(); !s.closed {
		f.sendAck()
	}
}

// acknowledge has an acknowledgement sent. Safe from any goroutine.
func (f *primaryStream) acknowledge() {
	if s := f.s.Load(); s != nil && f.rung.CompareAndSwap(false, true) {
		s.conn.Loop().Post(&f.ack)
	}
}

// abort ends the connection; why is what ended will tell. Safe from any goroutine.
func (f *primaryStream) abort(why error) {
	f.endMu.Lock()
	f.over = true
	if f.err == nil {
		f.err = why
	}
	f.endMu.Unlock()
	if s := f.s.Load(); s != nil {
		s.killFromAfar()
	} // else open does
}

// closed notes why the connection is gone.
func (f *primaryStream) closed(err error) {
	f.endMu.Lock()
	defer f.endMu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

// left notes that the connection is gone, and that nothing of it will be executed.
func (f *primaryStream) left() {
	if !f.dead.Load() {
		f.settle()
	}
	close(f.ended)
}

// why returns what the stream has ended for; after ended.
func (f *primaryStream) why() error {
	f.endMu.Lock()
	defer f.endMu.Unlock()
	return f.err
}

// errStreamGarbled: what comes from the primary is no command.
var errStreamGarbled = errors.New("Protocol error")

// errPrimarySilent: nothing has come from the primary for repl-timeout.
var errPrimarySilent = errors.New("MASTER timeout: no data nor PING received...")
