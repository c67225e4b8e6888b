package server

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"fulmen/persist/aof"
	"fulmen/replica"
	"fulmen/shard"
)

// Where in its history the data is, over restarts.
//
// A primary's position is the log's, shifted (replication.shift). A replica's is the primary's, and moves on with each
// command that the stream brings, under the batons of that command (primaryStream.done). The manifest of an append-only
// file says where the data is at an LSN; what happens afterwards is in the log itself, as records that mean nothing to
// whoever executes them:
//
//	REPLCONF ACK <position> [DB <n>]                             the commit that has it ends at this position
//	REPLCONF ACK <position> AT <lsn> STATE <moving|fixed> DB <n>
//	         [ID <replid> UPTO <n>]...                           role, or name of the history, have changed
//
// The first is in each commit of what a primary's stream has brought, behind the effects. So whatever a crash has left
// of the log, what is taken of it ends at the position that its last such record says: a commit is taken as a whole or
// not at all, and there are no two of them under way at a time. A position is never derived from how much the effects
// are, because other commits may lie between them. Commands without a key move the position and have no commit; what is
// lost with it are these, and they come again. The second one is in a commit under all batons.
//
// A restarted primary takes a new name, with that of before, and earlier ones, up to where the data is. If an old copy
// of the files was put back the replicas may have more of that history than there is here, and what is written next is
// something else: so no name goes on to be used.

// place is where in its history the data is, at an LSN of the log.
type place struct {
	history replica.History
	lsn     uint64
	offset  uint64 // of the stream
	db      int    // that is selected in the stream there
	fixed   bool   // the stream is a primary's; else the offset moves with the LSN
	from    uint64 // unless fixed: the LSN from which on the log has the stream
}

// place returns where the data is; all batons are held, and nothing is staged, or nobody is served.
func (r *replication) place() place {
	l := r.srv.set.Log
	p := place{history: *r.history.Load(), lsn: l.LSN()}
	if r.srv.following() {
		p.fixed = true
		p.offset, p.db = r.srv.upstream.position()
		if r.srv.upstream.anonymous.Load() {
			p.history = replica.NewHistory()
		}
		return p
	}
	p.offset, p.from = p.lsn+uint64(r.shift.Load()), r.since.Load()
	return p
}

// placeAtStart is place before the server is a replica, if it is going to be one.
func (r *replication) placeAtStart() place {
	p := r.place()
	if r.srv.cfg.Values().PrimaryHost != "" {
		p.fixed, p.db = true, r.restoredDB
	}
	return p
}

// notePlace has the log say where the data is, for an append-only file; all batons are held, and what is staged is
// committed when they are given back.
func (r *replication) notePlace() {
	if !r.logsPlace() {
		return
	}
	p := r.place()
	state := stateMoving
	if p.fixed {
		state = stateFixed
	}
	text := []string{
		"REPLCONF", "ACK", decimal(p.offset), "AT", decimal(p.lsn), "STATE", state, "DB", strconv.Itoa(p.db),
	}
	for _, a := range p.names() {
		text = append(text, "ID", a.ID, "UPTO", strconv.FormatInt(a.SecondOffset, 10))
	}
	args := make([][]byte, len(text))
	for i, word := range text {
		args[i] = []byte(word)
	}
	r.srv.set.Shards[0].Stage(-1, args...)
}

const (
	stateMoving = "moving"
	stateFixed  = "fixed"
)

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// logsPlace tells whether the log is kept for an append-only file, or is about to be.
func (r *replication) logsPlace() bool { return r.srv.aof.enabled() || r.srv.cfg.Values().AppendOnly }

// names returns all names of the place's history, the present one first, which has no end.
func (p *place) names() []replica.Ancestor {
	h := &p.history
	all := []replica.Ancestor{{ID: h.ID, SecondOffset: math.MaxInt64}}
	if h.SecondOffset != replica.NoSecond {
		all = append(all, replica.Ancestor{ID: h.ID2, SecondOffset: h.SecondOffset})
	}
	return append(all, h.Earlier...)
}

// named is the history of these names.
func named(all []replica.Ancestor) replica.History {
	h := replica.History{ID: all[0].ID, ID2: replica.NoID, SecondOffset: replica.NoSecond}
	if len(all) > 1 {
		h.ID2, h.SecondOffset, h.Earlier = all[1].ID, all[1].SecondOffset, all[2:]
	}
	return h
}

// stamp has a manifest say the place.
func (p place) stamp(m *aof.Manifest) {
	all := p.names()
	m.ReplID, m.ReplID2, m.ReplID2LSN, m.Earlier = all[0].ID, "", 0, nil
	if len(all) > 1 {
		m.ReplID2, m.ReplID2LSN = all[1].ID, uint64(all[1].SecondOffset-1)
	}
	for i := 2; i < len(all) && len(m.Earlier) < aof.MaxAncestors; i++ {
		m.Earlier = append(m.Earlier, aof.Ancestor{ReplID: all[i].ID, Position: uint64(all[i].SecondOffset - 1)})
	}
	m.Position = aof.Position{LSN: p.lsn, Offset: p.offset, DB: p.db, Fixed: p.fixed, From: p.from}
}

// placeIn returns the place that a manifest says.
func placeIn(m *aof.Manifest) place {
	all := []replica.Ancestor{{ID: m.ReplID}}
	if m.ReplID2 != "" {
		all = append(all, replica.Ancestor{ID: m.ReplID2, SecondOffset: int64(m.ReplID2LSN) + 1})
	}
	for _, a := range m.Earlier {
		all = append(all, replica.Ancestor{ID: a.ReplID, SecondOffset: int64(a.Position) + 1})
	}
	at := m.Position
	return place{
		history: named(all), lsn: at.LSN, offset: at.Offset, db: at.DB, fixed: at.Fixed, from: at.From,
	}
}

// toldPlaces is what the records of a lane have said. It belongs to the lane.
type toldPlaces struct {
	changes []place // the records of the second kind, in order
	offset  uint64  // the greatest of the first kind …
	db      int     // … and the database there
}

// read reads a record; one that says something else is left alone.
func (t *toldPlaces) read(args [][]byte) error {
	if len(args) < 3 || string(args[1]) != "ACK" {
		return nil
	}
	offset, err := strconv.ParseUint(string(args[2]), 10, 63)
	if err != nil {
		return err
	}
	p := place{offset: offset}
	var all []replica.Ancestor
	changed := false
	for i := 3; i+1 < len(args) && err == nil; i += 2 {
		value := string(args[i+1])
		switch string(args[i]) {
		case "DB":
			p.db, err = strconv.Atoi(value)
		case "AT":
			p.lsn, err = strconv.ParseUint(value, 10, 63)
			changed = true
		case "STATE":
			p.fixed = value == stateFixed
		case "ID":
			all = append(all, replica.Ancestor{ID: value})
		case "UPTO":
			if len(all) == 0 {
				return errNoName
			}
			all[len(all)-1].SecondOffset, err = strconv.ParseInt(value, 10, 64)
		}
	}
	switch {
	case err != nil:
		return err
	case changed && len(all) == 0:
		return errNoName
	case changed:
		p.history = named(all)
		if !p.fixed {
			p.from = p.lsn
		}
		t.changes = append(t.changes, p)
	case p.offset >= t.offset:
		t.offset, t.db = p.offset, p.db
	}
	return nil
}

var errNoName = errors.New("a position of a history without a name")

// placeAt returns where the data is that was loaded up to an LSN, by what the manifest says and the records do.
func (a *applier) placeAt(m *aof.Manifest, lsn uint64) place {
	p := placeIn(m)
	for i := range a.lanes {
		for _, c := range a.lanes[i].told.changes {
			if c.lsn >= p.lsn {
				p = c
			}
		}
	}
	if lsn < p.lsn {
		p.history = replica.NewHistory() // files of which a part was cut off by hand
	}
	if !p.fixed {
		p.offset += lsn - p.lsn
		p.lsn, p.db = lsn, 0
		return p
	}
	p.lsn = lsn
	for i := range a.lanes { // within a history positions only grow
		if t := &a.lanes[i].told; t.offset >= p.offset && t.offset > 0 {
			p.offset, p.db = t.offset, t.db
		}
	}
	return p
}

// restore goes on from where the data is that was loaded, up to a hole of its own stream, if it has one; whoever is a
// replica goes on as one, whoever is a primary begins a history that has the old one up to there. Nobody is served yet.
func (r *replication) restore(p place, hole uint64) place {
	whole := (p.fixed || hole >= p.lsn) && p.db < r.srv.set.Databases()
	follows := r.srv.cfg.Values().PrimaryHost != ""
	upto := p.offset
	if !p.fixed && hole < p.lsn {
		upto -= p.lsn - hole
	}
	if !follows || !whole {
		p.history = p.history.Shift(upto)
	}
	if p.fixed {
		p.from = p.lsn
	}
	p.fixed = follows
	r.setHistory(p.history)
	r.shift.Store(int64(p.offset - p.lsn))
	r.since.Store(p.from)
	r.restored, r.restoredDB = whole, p.db
	return p
}

// restoreFrom is restore for what the facts at the head of a snapshot say, if they do.
func (r *replication) restoreFrom(aux map[string]string) {
	id := aux["repl-id"]
	offset, err := strconv.ParseInt(aux["repl-offset"], 10, 64)
	if err != nil || offset < 0 || len(id) != replica.IDDigits || strings.Trim(id, "0123456789abcdef") != "" {
		return
	}
	lsn := r.srv.set.Log.LSN()
	r.restore(place{
		history: named([]replica.Ancestor{{ID: id}}), lsn: lsn, offset: uint64(offset), db: streamDB(aux), fixed: true,
	}, lsn)
}

// goOn has replicas of before find what they lack from here on, if the server is a primary. The log is kept for them,
// and what they are sent begins in database 0, whatever database the old stream has ended in. All batons are seized.
func (r *replication) goOn() {
	srv := r.srv
	if !r.restored || srv.cfg.Values().PrimaryHost != "" {
		return
	}
	if !srv.set.Log.Active() {
		r.mu.Lock()
		r.backlog = r.logStream().Resume()
		r.backlog.Unpin()
		r.aloneMs = srv.set.Clock.NowMs()
		r.limitLocked(srv.cfg.Values())
		r.mu.Unlock()
	}
	if r.restoredDB != 0 {
		first := srv.set.Shards[0]
		first.Stage(-1, []byte("SELECT"), []byte("0"))
		first.Commit(&shard.Worker{})
	}
}

// savedAux are the facts at the head of a snapshot that is saved: as in Redis, with the place of the data if there is
// one that a replica, or this server, may go on from. That is not so as long as nobody keeps a log, and where what has
// changed the data is not committed yet, so that the position is another one.
func (srv *Server) savedAux(nowMs int64, uncommitted bool) [][2]string {
	all := srv.snapshotAux(nowMs)
	r := &srv.replication
	known := srv.set.Log.Active()
	if srv.following() {
		known = !srv.upstream.anonymous.Load()
	}
	if !known || uncommitted {
		return all
	}
	p := r.place()
	return withPlace(all, p.history.ID, p.offset, p.db)
}

// withPlace adds where data is to the facts at its head, in Redis's order.
func withPlace(all [][2]string, id string, offset uint64, db int) [][2]string {
	const before = 4
	return append(append(all[:before:before],
		[2]string{"repl-stream-db", strconv.Itoa(db)},
		[2]string{"repl-id", id},
		[2]string{"repl-offset", decimal(offset)}), all[before:]...)
}
