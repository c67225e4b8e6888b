package shard

import (
	"math"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// lazyNodes is the number of nodes from which a value is not freed by the command that drops it.
const lazyNodes = 64

// lazySlice is how much of an item is freed before the budget is looked at again.
const lazySlice = 32

// lazyList is what a shard has detached and still has to free; held with the baton. The newest goes first: an
// index that is being freed puts its big values on top, so that the list stays as long as one index has big
// values on its way.
type lazyList struct {
	items []lazyItem
	shard *Shard
	free  func(ref arena.Ref, e index.Entry) // Shard.freeEntry, as a value
}

// lazyItem is one of both.
type lazyItem struct {
	index *index.Index
	nodes tree.Freer
}

func (l *lazyList) init(s *Shard) {
	l.shard, l.free = s, s.freeEntry
}

func (l *lazyList) addIndex(x *index.Index) { l.items = append(l.items, lazyItem{index: x}) }

func (l *lazyList) addNodes(nodes tree.Freer) { l.items = append(l.items, lazyItem{nodes: nodes}) }

// some frees about budget entries and nodes and reports whether nothing is left.
func (l *lazyList) some(budget int) (done bool) {
	for ; len(l.items) > 0 && budget > 0; budget -= lazySlice {
		i := len(l.items) - 1
		gone := false
		if x := l.items[i].index; x != nil {
			if x.Walking() && l.shard.set.throttled.Load() {
				return false
			}
			gone = x.FreeSome(lazySlice, l.free) // may put items on top
		} else {
			left := lazySlice
			gone = l.items[i].nodes.FreeSome(l.shard.arena, &left)
		}
		if gone {
			last := len(l.items) - 1
			l.items[i] = l.items[last]
			l.items[last] = lazyItem{}
			l.items = l.items[:last]
			l.shard.Stats.LazyFreed++
		}
	}
	if len(l.items) == 0 {
		l.items = nil
		return true
	}
	return false
}

// FreeSome frees about budget entries and nodes of what was detached, and as many that other shards gave back, at some
// 100 ns each, and reports whether nothing is left.
func (s *Shard) FreeSome(budget int) (done bool) {
	back := s.arena.TakeBack(budget)
	return s.lazy.some(budget) && back
}

// LazyPending returns the number of detached objects that are still to be freed.
func (s *Shard) LazyPending() int { return len(s.lazy.items) }

// freeEntry frees the block of an entry that is in no index any more, and its value.
func (s *Shard) freeEntry(ref arena.Ref, e index.Entry) {
	s.freeValue(e)
	s.arena.Free(ref, e.SizeBytes())
}

// freeValue frees what hangs on an entry, at once or later. The payload is meaningless afterwards.
func (s *Shard) freeValue(e index.Entry) {
	if !object.HasNodes(e.Tag()) {
		return
	}
	nodes := object.NodesOf(e)
	if nodes.Pin() == 0 || !s.freePinned(nodes) {
		s.freeNodes(nodes)
	}
}

// freeNodes frees nodes that nobody refers to any more, at once or later.
func (s *Shard) freeNodes(nodes object.Nodes) {
	if nodes.Count(s.arena.Space()) > lazyNodes {
		s.freeLater(nodes)
		return
	}
	all := math.MaxInt
	nodes.FreeSome(s.arena, &all)
}

// freePinned leaves the nodes of a value to its pin, and reports whether it has an active one.
func (s *Shard) freePinned(nodes object.Nodes) bool {
	pin := s.set.pins.of(nodes.Pin())
	return pin != nil && pin.Defer(func(h *tree.Heap) { h.Later(&nodes) })
}

func (s *Shard) freeLater(nodes object.Nodes) { s.lazy.addNodes(&nodes) }

// Throttle has indexes that were detached and are still walked wait with being freed, which shows every entry to the
// walk: for walks whose buffers are full. Safe from any goroutine.
func (set *Set) Throttle(on bool) { set.throttled.Store(on) }
