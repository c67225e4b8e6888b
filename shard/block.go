package shard

import "sync/atomic"

// Commands that wait for keys: who waits for which key of a shard, in the order of arrival. A command that waits for
// keys of several shards has a link in each, and a claim that decides who may end the wait: whoever has the element of
// a key for it, its time, its client's going away, or CLIENT UNBLOCK. Nobody takes an element for a command that it has
// not claimed, so each is served once, and one that has ended takes nothing.

// Claim says what became of a command that waits. It begins as waiting.
//
//	waiting ──Take──► taken ──Served──► ended
//	   ▲              │  ▲
//	   │           Depart Retake
//	   │              ▼  │
//	   └──Return──  departed ──End──► ended
//	waiting ──End──► ended
//
// A departed one needs batons that whoever took it did not hold: it is run once more by its owner, with all batons,
// and returns to its old place if it finds nothing then.
type Claim struct{ state atomic.Uint32 }

const (
	claimWaiting uint32 = iota
	claimTaken
	claimDeparted
	claimEnded
)

// Take takes a command that waits, so that it can be served. Safe from any goroutine.
func (c *Claim) Take() bool { return c.state.CompareAndSwap(claimWaiting, claimTaken) }

// Depart says that the owner of a taken command will run it. By whoever took it.
func (c *Claim) Depart() { c.state.Store(claimDeparted) }

// Retake takes a departed command. By its owner.
func (c *Claim) Retake() bool { return c.state.CompareAndSwap(claimDeparted, claimTaken) }

// Return has a taken command go on waiting. By whoever took it, with the baton of the key that woke it.
func (c *Claim) Return() { c.state.Store(claimWaiting) }

// Served ends a taken command. By whoever took it.
func (c *Claim) Served() { c.state.Store(claimEnded) }

// Ending is how End found a command.
type Ending int

// How End found a command.
const (
	TooLate      Ending = iota // it is being served, or has ended
	EndedWaiting               // it waited: its wait is over
	EndedAway                  // it had departed: its wait is over, and its owner is going to hear of it anyway
)

// End ends the wait of a command that has not been served, for a reason of the caller's, which is not 0. Safe from any
// goroutine.
func (c *Claim) End(reason uint32) Ending {
	if c.state.CompareAndSwap(claimWaiting, claimEnded+reason) {
		return EndedWaiting
	}
	if c.state.CompareAndSwap(claimDeparted, claimEnded+reason) {
		return EndedAway
	}
	return TooLate
}

// Reason returns why a command that has ended was ended; 0: it was served.
func (c *Claim) Reason() uint32 { return c.state.Load() - claimEnded }

// Link is a command's place among those that wait for one key.
type Link struct {
	// Set by the owner before Block.
	Claim    *Claim
	Owner    any  // the command
	EvenGone bool // it wants to know, too, that the key is gone or has a value of another type

	list       *WaitList
	prev, next *Link
}

// Next returns the link of the command that came after this one, nil if there is none; with the baton held.
func (k *Link) Next() *Link { return k.next }

// WaitList is the commands that wait for one key; with the baton held.
type WaitList struct {
	id          watchKey
	first, last *Link
	away        *Link  // has departed: nobody is served before it is back
	evenGone    int    // links with EvenGone
	ready       bool   // in blocking.ready
	seq         uint64 // when it became ready
}

// First returns the link of the command that has waited longest.
func (wl *WaitList) First() *Link { return wl.first }

// DB returns the database of the key that the commands wait for.
func (wl *WaitList) DB() int { return wl.id.db }

// Key returns the key that the commands wait for.
func (wl *WaitList) Key() string { return wl.id.key }

// EvenGone tells whether a command of the list wants to know that the key is gone.
func (wl *WaitList) EvenGone() bool { return wl.evenGone > 0 }

// SetAway notes that a command of the list has departed.
func (wl *WaitList) SetAway(k *Link) { wl.away = k }

// Away tells whether a command of the list has departed.
func (wl *WaitList) Away() bool { return wl.away != nil }

// blocking is who waits for keys of a shard; held with the baton.
type blocking struct {
	by    map[watchKey]*WaitList
	ready []*WaitList  // keys that changed, in that order; served by whoever changed them
	keys  atomic.Int64 // len(by), for others
	fault blockFault
}

// blockFault is a mistake that a test plants in order to show that it would be noticed.
type blockFault uint8

const (
	faultNone       blockFault = iota
	faultLastFirst             // who comes last is put before the others
	faultStaysReady            // a key that was ready is never ready again
)

// Block puts a command behind those that wait for a key. false: it waits for that key already.
func (s *Shard) Block(db int, key []byte, k *Link) bool {
	b := &s.waits
	wl := b.by[watchKey{db, string(key)}]
	if wl == nil {
		if b.by == nil {
			b.by = map[watchKey]*WaitList{}
		}
		wl = &WaitList{id: watchKey{db, string(key)}}
		b.by[wl.id] = wl
		b.keys.Store(int64(len(b.by)))
	}
	if wl.last != nil && wl.last.Claim == k.Claim { // all its keys are registered at one moment
		return false
	}
	if k.EvenGone {
		wl.evenGone++
	}
	if b.fault == faultLastFirst && wl.first != nil {
		k.list, k.prev, k.next = wl, nil, wl.first
		wl.first.prev, wl.first = k, k
		return true
	}
	k.list, k.prev, k.next = wl, wl.last, nil
	if wl.last != nil {
		wl.last.next = k
	} else {
		wl.first = k
	}
	wl.last = k
	return true
}

// Unblock takes a command out of the list that it is in, if it is in one. If others had to wait for it to be back, they
// no longer do: the key is ready for them.
func (s *Shard) Unblock(k *Link) {
	wl := k.list
	if wl == nil {
		return
	}
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		wl.first = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	} else {
		wl.last = k.prev
	}
	if k.EvenGone {
		wl.evenGone--
	}
	k.list, k.prev, k.next = nil, nil, nil
	if wl.first == nil {
		delete(s.waits.by, wl.id)
		s.waits.keys.Store(int64(len(s.waits.by)))
	}
	if wl.away == k {
		wl.away = nil
		s.markReady(wl)
	}
}

// Back notes that a departed command goes on waiting in its old place.
func (s *Shard) Back(k *Link) {
	if wl := k.list; wl != nil && wl.away == k {
		wl.away = nil
		s.markReady(wl)
	}
}

// keyReady notes that a key changed for which commands may wait.
func (s *Shard) keyReady(db int, key []byte) {
	if wl := s.waits.by[watchKey{db, string(key)}]; wl != nil {
		s.markReady(wl)
	}
}

func (s *Shard) markReady(wl *WaitList) {
	if wl.ready || wl.first == nil {
		return
	}
	wl.ready, wl.seq = true, s.set.readySeq.Add(1)
	s.waits.ready = append(s.waits.ready, wl)
}

// swapped notes the keys of two databases that were swapped, or of one, given twice, that was emptied: they may be
// there now, or be gone.
func (s *Shard) swapped(i, j int) {
	for id, wl := range s.waits.by {
		if id.db == i || id.db == j {
			s.markReady(wl)
		}
	}
}

// Waiting returns the number of keys for which commands wait. Safe from any goroutine.
func (s *Shard) Waiting() int { return int(s.waits.keys.Load()) }

// HasReady tells whether a key changed for which commands wait, and nobody has looked after it; with the baton held.
func (s *Shard) HasReady() bool { return len(s.waits.ready) > 0 }

// ReadySeq says when the first such key changed, in the order of all keys of the set.
func (s *Shard) ReadySeq() uint64 { return s.waits.ready[0].seq }

// TakeReady returns the first of such keys, of which HasReady said that there is one.
func (s *Shard) TakeReady() *WaitList {
	b := &s.waits
	wl := b.ready[0]
	if b.ready[0] = nil; len(b.ready) == 1 {
		b.ready = b.ready[:0]
	} else {
		b.ready = b.ready[1:]
	}
	wl.ready = b.fault == faultStaysReady
	return wl
}
