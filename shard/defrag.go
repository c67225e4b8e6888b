package shard

import (
	"sync/atomic"

	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// Active defragmentation moves blocks together, so that slabs become empty and their memory goes back to the system. A
// pass has three stages, all in slices: the arena chooses the slabs that are to be emptied (arena/evacuate.go), the
// indexes are walked and what lies in these slabs is moved (index/move.go), and what could not be moved is left where
// it is: what waits to be freed, or belongs to an index that a walk still holds.
//
// Values that are made of nodes are moved with their entry, so many nodes at a time; while a big one is under way the
// pass remembers its key and the place in it, and goes on with it first.
//
// Moving is no change: nobody who watches a key is told, no effect is staged, no slot is marked as changed, and access
// clocks, expiry and versions stay as they are.

const (
	// defragShare: a pass is of use if at least one slab in so many can be given up.
	defragShare = 32
	// defragAgain is by what part of the used memory waste must have grown since the last pass for there to be
	// another.
	defragAgain = 20
)

type defragStage uint8

const (
	defragIdle defragStage = iota
	defragChoosing
	defragMoving
	defragEnding
)

// defragger is a shard's pass of defragmentation.
type defragger struct {
	// atomic; written with the baton held
	active atomic.Bool
	rest   atomic.Int64 // bytes wasted when the last pass ended, or less since
	held   atomic.Int64 // bytes of the arena's slabs as of the last release

	// immutable
	move func(p index.Pos, e index.Entry) (cost int, stop bool) // Shard.moveEntry, as a value

	// held with the baton
	stage  defragStage
	left   int64 // bytes of slabs that another shard's values, or what waited to be freed, have kept
	db     int
	cursor index.MoveCursor
	moved  index.Moved
	value  bigValue
	nodes  int // of one value looked at in one go
}

// bigValue is a value whose nodes are being moved.
type bigValue struct {
	key []byte // nil = none
	at  uint64 // place in it
}

// Fragmented reports whether a pass of defragmentation may be of use, or one is under way. Safe from any goroutine.
func (s *Shard) Fragmented() bool {
	d := &s.defrag
	if d.active.Load() {
		return true
	}
	held, used, rest := d.held.Load(), s.used.Load(), d.rest.Load()
	waste := held - used
	return waste > held/defragShare && waste > rest+used/defragAgain
}

// Defragmenting reports whether a pass is under way. Safe from any goroutine.
func (s *Shard) Defragmenting() bool { return s.defrag.active.Load() }

// HeldBytes returns the bytes of the slabs that the shard holds as of the last release. Safe from any goroutine.
func (s *Shard) HeldBytes() int64 { return s.defrag.held.Load() }

// DefragSome is one slice of defragmentation, of about budget units of 100 ns; it begins a pass if none is under way.
// Of one value it looks at so many nodes in one go. It reports whether there is nothing to do for now. It makes every
// index.Pos and every view of an entry invalid.
func (s *Shard) DefragSome(budget, nodes int) (done bool) {
	d := &s.defrag
	d.nodes = max(1, min(nodes, budget/2))
	if d.stage == defragIdle {
		if !s.worthDefrag() || len(s.lazy.items) > 0 {
			return true
		}
		s.beginDefrag()
	}
	for budget > 0 && d.stage != defragIdle {
		budget = s.defragStep(budget)
	}
	return d.stage == defragIdle
}

// EndDefrag ends a pass that is under way, as far as the budget goes, and reports whether none is any more.
func (s *Shard) EndDefrag(budget int) (done bool) {
	d := &s.defrag
	if d.stage == defragIdle {
		return true
	}
	d.stage = defragEnding
	s.defragStep(budget)
	return d.stage == defragIdle
}

// worthDefrag is Fragmented as it is now. It also lowers the mark at which the last pass left off.
func (s *Shard) worthDefrag() bool {
	d := &s.defrag
	held, used := s.arena.HeldBytes(), s.arena.UsedBytes()
	waste := held - used
	if waste < d.rest.Load() {
		d.rest.Store(waste)
	}
	return waste > held/defragShare && waste > d.rest.Load()+used/defragAgain
}

func (s *Shard) beginDefrag() {
	d := &s.defrag
	s.arena.BeginEvacuation()
	d.stage, d.db, d.cursor, d.value = defragChoosing, 0, index.MoveCursor{}, bigValue{}
	d.active.Store(true)
}

// defragStep goes on with the stage that the pass is in and returns what is left of the budget.
func (s *Shard) defragStep(budget int) (left int) {
	d, a := &s.defrag, s.arena
	switch d.stage {
	case defragChoosing:
		if !a.Choose(budget) {
			return 0
		}
		d.stage = defragMoving
		if a.Leaving()*defragShare < a.HeldBytes() {
			d.stage = defragEnding // not worth the walk
		}
		return budget - 1
	case defragMoving:
		return s.moveSome(budget)
	case defragEnding:
		d.left = max(d.left, a.Leaving())
		if !a.EndEvacuation(budget) {
			return 0
		}
		d.rest.Store(max(a.HeldBytes()-a.UsedBytes()-d.left, 0))
		d.stage, d.value, d.left = defragIdle, bigValue{}, 0
		d.active.Store(false)
	}
	return 0
}

// moveSome goes on with the walk over all databases.
func (s *Shard) moveSome(budget int) (left int) {
	d := &s.defrag
	if d.value.key != nil {
		return budget - s.moveValue()
	}
	x := s.dbs[d.db].x.Load()
	before := d.moved
	done := x.MoveSome(&d.cursor, budget, &d.moved, d.move)
	s.Stats.DefragHits += int64(d.moved.Segments - before.Segments + d.moved.Directories - before.Directories)
	if done {
		if d.db++; d.db == len(s.dbs) {
			d.stage = defragEnding
		}
		return budget - 1
	}
	if d.value.key != nil {
		return budget / 2 // it may have stopped at once
	}
	return 0
}

// moveEntry moves an entry and what hangs on it, if it should be moved. Of a big value it moves the beginning.
func (s *Shard) moveEntry(p index.Pos, e index.Entry) (cost int, stop bool) {
	d, a := &s.defrag, s.arena
	db := &s.dbs[d.db]
	x := db.x.Load()
	moved := 0
	if ref := x.Ref(p); a.Misplaced(ref) {
		db.beforeMove(p)
		size := e.SizeBytes()
		x.Relocate(p, a.Copy(ref, size))
		a.Free(ref, size)
		e = x.Entry(p)
		moved, cost = 1, 2+size>>11
	}
	if object.HasNodes(e.Tag()) {
		next, n, looked := s.moveNodes(db, p, 0)
		if next != 0 {
			d.value = bigValue{append([]byte(nil), e.Key()...), next}
			stop = true
		}
		moved += n
		cost += looked + 4*n
	}
	s.countMoves(moved)
	return cost, stop
}

// moveValue goes on with a big value, if that is still there, and returns what it cost.
func (s *Shard) moveValue() (cost int) {
	d, db := &s.defrag, &s.dbs[s.defrag.db]
	x := db.x.Load()
	p, ok := x.Find(s.hash(d.value.key), d.value.key)
	if !ok || !object.HasNodes(x.Entry(p).Tag()) {
		d.value = bigValue{}
		return 1
	}
	next, n, looked := s.moveNodes(db, p, d.value.at)
	s.Stats.DefragHits += int64(n)
	if d.value.at = next; next == 0 {
		d.value = bigValue{}
	}
	return 2 + looked + 4*n
}

// moveNodes moves misplaced nodes of the value at p from a place in it on; see object.MoveNodes.
// A value that is pinned stays where it is.
func (s *Shard) moveNodes(db *DB, p index.Pos, at uint64) (next uint64, moved, looked int) {
	db.beforeMove(p)
	e := db.x.Load().Entry(p)
	if nodes := object.NodesOf(e); s.set.pins.of(nodes.Pin()) != nil {
		return 0, 0, 1
	}
	return object.MoveNodes(s.arena, e, at, s.defrag.nodes)
}

func (s *Shard) countMoves(moved int) {
	if moved == 0 {
		s.Stats.DefragMisses++
		s.Stats.DefragKeyMisses++
		return
	}
	s.Stats.DefragHits += int64(moved)
	s.Stats.DefragKeyHits++
}

// beforeMove announces that the entry at p or its nodes are about to be moved.
func (db *DB) beforeMove(p index.Pos) {
	if db.skipMoves {
		return
	}
	db.x.Load().BeforeMove(p)
}
