package shard

import (
	"sync"

	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// A walk that comes to a value made of nodes does not read them in that moment, which could take long, but pins the
// value: from then on its nodes stay as they are until they have been read, whatever happens to the value, and a write
// copies the few that it changes first (tree.Heap.own). The number of its pin goes with the value, in the entry's
// payload, when it is renamed to another shard.

// pins are the values of a set that are pinned. Any goroutine may use it; who holds no pin comes across it only in
// entries with a number.
type pins struct {
	mu   sync.Mutex
	last uint32
	by   map[uint32]*tree.Pin

	kept tree.Kept
}

// of returns the pin with a number, nil if there is none any more.
func (p *pins) of(id uint32) *tree.Pin {
	if id == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.by[id]
}

func (p *pins) add(pin *tree.Pin) (id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[uint32]*tree.Pin{}
	}
	for id == 0 || p.by[id] != nil {
		p.last++
		id = p.last
	}
	p.by[id] = pin
	return id
}

func (p *pins) remove(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, id)
}

// Cut says that walks begin: what is written from now on is younger than what they see. Under the batons of all shards.
func (set *Set) Cut() {
	for _, s := range set.Shards {
		s.heap.Version++
	}
}

// Pinned is a value as it was at the last cut, in nodes that stay as they are until Unpin. Reading them needs no baton.
type Pinned struct {
	Nodes object.Nodes
	pin   *tree.Pin
	id    uint32
}

// Pin pins the value in e, which is made of nodes and is as it was at the last cut. For who walks, when e is shown.
func (s *Shard) Pin(e index.Entry) Pinned {
	p := Pinned{Nodes: object.NodesOf(e), pin: tree.NewPin(s.heap.Version, &s.set.pins.kept)}
	p.id = s.set.pins.add(p.pin)
	nodes := p.Nodes
	nodes.SetPin(p.id)
	nodes.Store(e.Payload())
	return p
}

// Unpin ends a pin: what only it has kept is freed, here or in other shards, about budget blocks of it. It reports
// whether nothing is left; else it is to be called again, with the baton of any shard held.
func (s *Shard) Unpin(p *Pinned, budget int) (done bool) {
	s.set.pins.remove(p.id)
	return p.pin.Release(s.newHeap(), budget)
}

// KeptBytes returns the memory of nodes that are there for pins alone, and how much of it there has been since the
// start. Safe from any goroutine.
func (set *Set) KeptBytes() (now, ever int64) {
	return set.pins.kept.Now.Load(), set.pins.kept.Ever.Load()
}

// newHeap is where the nodes of a new value come from.
func (s *Shard) newHeap() *tree.Heap {
	s.heap.Pin = nil
	return &s.heap
}

// heapOf is where the nodes of a value with the given pin's number come from, until the next call.
func (s *Shard) heapOf(pin uint32) *tree.Heap {
	s.heap.Pin = s.set.pins.of(pin)
	return &s.heap
}
