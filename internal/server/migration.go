package server

import (
	"slices"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/reactor"
	"fulmen/shard"
	"fulmen/shard/command"
	"fulmen/shard/ds/index"
)

// A MIGRATE goes in rounds. The keys are dumped under the batons of their shards, all at one moment; then the batons go
// back, a goroutine sends the payloads and reads the replies (migratenet.go), and nobody waits for it but the session.
// Meanwhile others may change the keys, which are watched. When the replies are there the session's loop takes the
// batons once more and deletes what the target has acknowledged, unless it has changed: then it is dumped and sent
// again, in place of the copy at the target, which is only this command's. So no change is lost. A key that is changed
// time and again stays here, which is an error; what the target has then is an older copy. One that was deleted here
// meanwhile is at the target, as if it had left before it was deleted.
//
// A client that goes away in the middle changes nothing: what has arrived is deleted here. Deleting waits for the end
// of a CLIENT PAUSE like any other write; if the client goes away during that, the keys stay at both places.

// migrateRounds is how often keys are sent that change in the meantime.
const migrateRounds = 16

var errMigrateChanging = resp.Errorf("ERR", "Keys kept changing while they were migrated: they are still here, and an "+
	"older copy of them is at the target")

// migration is one MIGRATE under way. It belongs to its session's loop, and from send to the letter of its round to the
// goroutine of that.
type migration struct {
	reactor.Letter
	migrateTarget
	s      *Session
	row    *command.Row
	wait   *await
	tx     shard.Tx
	db     int   // that the keys are in
	shards []int // of the keys of the round, ascending
	keys   []migratingKey
	body   []byte // the RESTOREs of the round
	dump   []byte // scratch
	rounds int
	away   bool // the round's goroutine has it

	// Of the round, written by its goroutine.
	acked []bool
	err   *resp.Error
}

type migratingKey struct {
	key   shard.Key
	shard *shard.Shard
	watch shard.Watcher
}

// add takes a key and its value, which is there, into the next round; the baton is held.
func (m *migration) add(k shard.Key, sh *shard.Shard, e index.Entry, nowMs int64, replace bool) {
	k.Bytes = slices.Clone(k.Bytes)
	m.keys = append(m.keys, migratingKey{key: k, shard: sh})
	ttl := int64(0)
	if at := e.ExpireAt(); at != 0 {
		ttl = max(at-nowMs, 1)
	}
	m.dump = m.s.srv.migrateCtx(m.s.loop).AppendDump(m.dump[:0], e)
	n := 4
	if replace {
		n = 5
	}
	b := resp.AppendArray(m.body, n)
	b = resp.AppendBulkString(b, "RESTORE")
	b = resp.AppendBulk(b, k.Bytes)
	b = resp.AppendBulkString(b, strconv.FormatInt(ttl, 10))
	b = resp.AppendBulk(b, m.dump)
	if replace {
		b = resp.AppendBulkString(b, "REPLACE")
	}
	m.body = b
}

// migrateCtx is a loop's context for dumping values.
func (srv *Server) migrateCtx(l *loop) *command.Ctx {
	l.ctx.Limits = srv.limits.Load()
	return &l.ctx
}

// begin begins the first round, with the batons held.
func (m *migration) begin() {
	m.Letter.To = m
	m.tx.Init(m.s.srv.set, m)
	m.wait = m.s.await()
	m.wait.bytes = int64(len(m.body))
	m.wait.again = m.again
	m.watch()
	m.send()
}

// watch watches the keys of the round; the batons are held.
func (m *migration) watch() {
	var shards shardSet
	for i := range m.keys {
		k := &m.keys[i]
		shards.add(k.shard.ID)
		if !m.copy {
			k.shard.Watch(m.db, k.key.Bytes, &k.watch)
		}
	}
	m.shards = shards.appendTo(nil) // the transaction still has those of the round before
}

// send has a goroutine do the round's part at the target.
func (m *migration) send() {
	m.rounds++
	m.acked, m.err = make([]bool, len(m.keys)), nil
	m.away = true
	m.s.srv.migrator.run(m)
}

// Deliver implements reactor.Recipient on the session's loop: a round has come back, or batons are free.
func (m *migration) Deliver(*reactor.Loop, *reactor.Letter) {
	if m.away {
		m.away = false
		m.tx.Begin(m.shards)
	}
	m.settle()
}

// Resume implements shard.Waiter.
func (m *migration) Resume(*shard.Tx) { m.s.conn.Loop().Post(&m.Letter) }

// again goes on after a pause.
func (m *migration) again() {
	m.tx.Begin(m.shards)
	m.settle()
}

// settle deletes what has arrived, and ends the command or begins another round.
func (m *migration) settle() {
	s, l := m.s, m.s.loop
	if m.copy {
		m.end()
		return
	}
	l.worker.NowNs = s.srv.set.Clock.NowNs()
	if !m.tx.Acquire(&l.worker) {
		return // its letter will come
	}
	nowMs := s.srv.set.Clock.NowMs()
	if pause := s.srv.pausing.at(s.srv, nowMs); pause != nil && pause.holds(m.row, s) {
		m.tx.Release(&l.worker)
		if s.closed {
			m.dropWatches()
			m.end()
		} else {
			s.postpone(pause)
		}
		return
	}
	if e := s.refusedForRole(m.row); e != nil {
		m.err, m.acked = e, make([]bool, len(m.keys)) // the server is a replica now: nothing is deleted
	}
	m.deleteArrived(nowMs)
	l.serveReady(m.tx.Shards())
	m.tx.Release(&l.worker)
	l.postServed()
	if len(m.keys) > 0 {
		m.send()
		return
	}
	m.end()
}

// deleteArrived deletes the keys that the target has and that have not changed. Those that have are the keys of the
// next round, if there is to be one. The batons are held.
func (m *migration) deleteArrived(nowMs int64) {
	round := m.keys
	m.dropWatches()
	m.keys, m.body = nil, m.body[:0]
	for i := range round {
		k := &round[i]
		db := k.shard.DB(m.db)
		switch {
		case !m.acked[i]:
			continue
		case !k.watch.Dirty():
			db.GiveAway(k.key)
			continue
		}
		e, ok := db.Look(k.key, nowMs)
		switch {
		case !ok || m.err != nil || m.s.closed:
		case m.rounds == migrateRounds:
			m.err = errMigrateChanging
		default:
			m.add(k.key, k.shard, e, nowMs, true)
		}
	}
	if m.err != nil {
		m.keys = nil
	}
	if len(m.keys) > 0 {
		m.watch()
	}
}

func (m *migration) dropWatches() {
	for i := range m.keys {
		m.keys[i].watch.Drop()
	}
}

// end replies.
func (m *migration) end() {
	err := m.err
	m.wait.reply = func(s *Session) error {
		if err != nil {
			return err
		}
		s.c.OK()
		return nil
	}
	m.wait.p.endAwait()
}
