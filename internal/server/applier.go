package server

import (
	"fmt"
	"math"
	"slices"

	"fulmen/persist/log"
	"fulmen/shard"
	"fulmen/shard/command"
)

// applier executes what the log of an earlier life says, on shards that are seized for it: it is the aof.Applier of a
// load. A record runs as the command that it is, but nobody watches, nothing is refused, nothing expires (the log says
// when something has), nothing is evicted, and no reply is sent. Shards are locked for as long as a record needs them.
type applier struct {
	// immutable
	srv   *Server
	z     *shard.Seizure
	named map[string]*command.Row // by their own names, those that were renamed
	lanes []applierLane
	// foreign: the records are Redis's. A reply that is an error is an error that is a *resp.Error.
	foreign bool
}

// applierLane is what one lane executes with. It belongs to one goroutine at a time.
type applierLane struct {
	a      *applier
	ctx    command.Ctx
	worker shard.Worker
	locked []int // shards, ascending
	need   []int // scratch
	idx    []int // scratch
	keys   []command.Keyed
	next   []nextRecord // has place for recordsAhead
	args   [][]byte     // of these
	told   toldPlaces
	run    *scriptRun // of the scripts of a file of Redis's; nil before the first one
	nowMs  int64      // when the next records of a file of Redis's were decoded
	_      [64]byte
}

// nextRecord is a record that is about to be executed.
type nextRecord struct {
	row    *command.Row // nil: there is no such command
	args   [][]byte
	key    command.Keyed // of a Single row
	db     *shard.DB     // that the key is of; nil: the row is not Single, or there are too few arguments
	part   int           // that it is of
	begins bool          // it is the first one of that
}

const (
	// recordsAhead is how many records are decoded and their keys prefetched at a time, as loops do it.
	recordsAhead = maxBatch
	// argsAhead is how many arguments are enough of that.
	argsAhead = 1024
)

// newApplier returns an applier for so many lanes.
func newApplier(srv *Server, z *shard.Seizure, lanes int) *applier {
	a := &applier{srv: srv, z: z, lanes: make([]applierLane, lanes), named: map[string]*command.Row{}}
	for _, row := range srv.table.All() {
		if row.Container == nil && srv.table.Lookup([]byte(row.Name)) != row {
			a.named[row.Name] = row
		}
	}
	limits := *srv.limits.Load()
	limits.MaxStringBytes = math.MaxInt64 // what is longer was allowed then
	observers := command.NoObservers()
	for i := range a.lanes {
		l := &a.lanes[i]
		l.a = a
		l.next = make([]nextRecord, 0, recordsAhead)
		l.ctx = command.Ctx{
			Set: srv.set, Worker: &l.worker, Calls: command.NewCallStats(srv.table), Table: srv.table, Limits: &limits,
			Observers: observers, Proto: 2,
			// No key's time has come: see above. Times that are said relative to now are not in the log.
			NowMs: 0,
		}
	}
	return a
}

// Apply implements aof.Applier.
func (a *applier) Apply(lane int, parts [][]byte) (done, commands int, err error) {
	l := &a.lanes[lane]
	defer l.unlock()
	at := 0
	for part := 0; part < len(parts); {
		var wrong error
		part, at, wrong = l.look(parts, part, at)
		for i := range l.next {
			r := &l.next[i]
			if r.begins {
				l.ctx.DBID = 0
			}
			if err := l.execute(r); err != nil {
				return r.part, commands, err
			}
			commands++
		}
		if wrong != nil {
			return part, commands, wrong
		}
	}
	return len(parts), commands, nil
}

// look decodes the next records of parts, from one's byte at on, prefetches their keys, and returns where they end. An
// error is of what follows there.
func (l *applierLane) look(parts [][]byte, part, at int) (int, int, error) {
	l.next, l.args = l.next[:0], l.args[:0]
	if l.a.foreign {
		l.nowMs = l.a.srv.set.Clock.NowMs()
	}
	db := l.ctx.DBID
	var err error
	for len(l.next) < recordsAhead && len(l.args) < argsAhead && part < len(parts) {
		if at == len(parts[part]) {
			part, at = part+1, 0
			continue
		}
		if at == 0 {
			db = 0
		}
		lo := len(l.args)
		args, n, wrong := log.DecodeRecord(parts[part][at:], l.args)
		if wrong == nil && n == 0 {
			wrong = log.ErrIncomplete
		}
		if err = wrong; err != nil {
			break
		}
		l.args = args
		db = l.addNext(args[lo:len(args):len(args)], part, at == 0, db)
		at += n
	}
	if len(l.next) > 1 {
		l.prefetch()
	}
	return part, at, err
}

// addNext adds a record to those that are next, and returns the database that is selected behind it. It routes what
// needs one shard.
func (l *applierLane) addNext(args [][]byte, part int, begins bool, db int) int {
	l.next = append(l.next, nextRecord{row: l.a.find(args), args: args, part: part, begins: begins})
	r := &l.next[len(l.next)-1]
	switch {
	case r.row == nil || !r.row.ArityOK(len(args)):
	case r.row.Single():
		r.key = l.keyed(args, 1)
		r.db = r.key.Shard.DB(db)
	case r.row.RunSession != nil && r.row.Name == "select":
		if id, ok := parseDB(args[1]); ok && id < l.a.srv.set.Databases() {
			return id
		}
	}
	return db
}

// prefetch asks for the lines of the index and of the entries that the next records need. It needs no lock, as loops
// need no baton for it.
func (l *applierLane) prefetch() {
	for i := range l.next {
		if r := &l.next[i]; r.db != nil {
			r.db.PrefetchBucket(r.key.Key.Hash)
		}
	}
	for i := range l.next {
		if r := &l.next[i]; r.db != nil {
			r.db.PrefetchEntries(r.key.Key.Hash)
		}
	}
}

// execute executes a record.
func (l *applierLane) execute(r *nextRecord) error {
	row, args := r.row, r.args
	if row == nil {
		return fmt.Errorf("unknown command %.128q", args[0])
	}
	if l.a.foreign {
		l.ctx.NowMs = foreignNowMs(row, l.nowMs)
	}
	if !row.ArityOK(len(args)) {
		return fmt.Errorf("wrong number of arguments for %s", row.FullName)
	}
	if changesFunctions(row) {
		l.unlock()
		return l.a.functions(row, args)
	}
	if l.a.foreign && concernsScripts(row) {
		return l.script(row, args)
	}
	if row.RunSession != nil {
		return l.session(row, args)
	}
	l.route(r)
	c := &l.ctx
	c.Args, c.Keys = args, l.keys
	c.Cut(command.Mark{})
	command.Call(c, row)
	c.Keys = nil
	c.TakeThen() // what it has left to do is done in the background
	if len(c.Out) > 0 && c.Out[0] == '-' {
		if l.a.foreign {
			return foreignReply(c.Out)
		}
		return fmt.Errorf("%s fails, which it did not when it was logged: %s", row.FullName, c.Out[1:len(c.Out)-2])
	}
	return nil
}

// functions executes a record that changes functions: all lanes have met at it.
func (a *applier) functions(row *command.Row, args [][]byte) error {
	_, err := a.srv.functions.change(row, args, nil)
	switch {
	case err == nil:
		return nil
	case a.foreign:
		return err
	}
	return fmt.Errorf("%s fails, which it did not when it was logged: %s", row.FullName, err.Msg)
}

// find finds the row of a record.
func (a *applier) find(args [][]byte) *command.Row {
	row := a.srv.table.Lookup(args[0])
	if row == nil && len(a.named) > 0 {
		row = a.named[lowered(args[0])]
	}
	if row != nil && len(row.Subs) > 0 && len(args) > 1 {
		return row.Sub(args[1])
	}
	return row
}

// lowered returns a name in lower case.
func lowered(name []byte) string {
	text := slices.Clone(name)
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			text[i] = c | 0x20
		}
	}
	return string(text)
}

// session does what a record of a command does that concerns a session: those that stand between the others.
func (l *applierLane) session(row *command.Row, args [][]byte) error {
	switch row.Name {
	case "select":
		id, ok := parseDB(args[1])
		if n := l.a.srv.set.Databases(); !ok || id >= n {
			return fmt.Errorf("database %.20q, and there are %d: start with --databases", args[1], n)
		}
		l.ctx.DBID = id
	case "multi", "exec": // what is executed together was committed together
	case "ping", "publish", "spublish": // it was for replicas
	case "replconf":
		return l.told.read(args)
	default:
		return fmt.Errorf("%s can't be in a log", row.FullName)
	}
	return nil
}

// parseDB reads the number of a database.
func parseDB(word []byte) (id int, ok bool) {
	for _, c := range word {
		if c < '0' || c > '9' || id > math.MaxInt32/16 {
			return 0, false
		}
		id = id*10 + int(c-'0')
	}
	return id, len(word) > 0
}

// route finds the keys of a record and locks the shards that it needs.
func (l *applierLane) route(r *nextRecord) {
	row, args := r.row, r.args
	l.keys = l.keys[:0]
	if r.db != nil {
		l.keys = append(l.keys, r.key)
		id := r.key.Shard.ID
		if len(l.locked) != 1 || l.locked[0] != id {
			l.unlock()
			l.lock(id)
		}
		return
	}
	l.need = l.need[:0]
	l.idx = row.KeyIndexes(l.idx[:0], args)
	for _, i := range l.idx {
		k := l.keyed(args, i)
		l.keys = append(l.keys, k)
		l.need = append(l.need, k.Shard.ID)
	}
	if row.RouteFor(args) == command.RouteAll {
		l.need = append(l.need[:0], l.a.srv.allShards...)
	}
	slices.Sort(l.need)
	l.lockOnly(slices.Compact(l.need))
}

// lockOnly locks these shards, ascending, and no others.
func (l *applierLane) lockOnly(need []int) {
	if !slices.Equal(need, l.locked) {
		l.unlock()
		for _, i := range need {
			l.lock(i)
		}
	}
}

func (l *applierLane) keyed(args [][]byte, i int) command.Keyed {
	set := l.a.srv.set
	return command.Keyed{Key: set.Key(args[i]), Shard: set.Shards[set.ShardOf(args[i])], Arg: i}
}

func (l *applierLane) lock(i int) {
	l.a.z.Lock(i)
	l.locked = append(l.locked, i)
}

func (l *applierLane) unlock() {
	for _, i := range l.locked {
		l.a.z.Unlock(i)
	}
	l.locked = l.locked[:0]
}
