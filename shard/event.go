package shard

import (
	"sync"
	"sync/atomic"
)

// Keyspace events: what happened to which key, for those who subscribe to that (notify-keyspace-events). Whoever makes
// something happen says so with the baton held (Notify), and the set's Listener is told, so that events of a key come
// in the order of its changes.

// EventClass is a set of classes of events, and of the two ways in which they are published.
type EventClass uint32

// The classes, with their letters in notify-keyspace-events.
const (
	EventKeyspace EventClass = 1 << iota // K: events are published under the name of their key
	EventKeyevent                        // E: events are published under their own name
	EventGeneric                         // g
	EventString                          // $
	EventList                            // l
	EventSet                             // s
	EventHash                            // h
	EventZSet                            // z
	EventExpired                         // x
	EventEvicted                         // e
	EventStream                          // t
	EventModule                          // d
	EventNew                             // n: a key came to be
	EventKeyMiss                         // m: a key that was to be read is not there

	// EventsAll are the classes that A stands for.
	EventsAll = EventGeneric | EventString | EventList | EventSet | EventHash | EventZSet | EventExpired |
		EventEvicted | EventStream | EventModule
)

// eventLetters are the letters of the classes, from EventKeyspace on.
const eventLetters = "KEg$lshzxetdnm"

// ParseEvents returns the classes that the letters of notify-keyspace-events stand for; others are ignored.
func ParseEvents(letters string) (classes EventClass) {
	for _, c := range letters {
		if c == 'A' {
			classes |= EventsAll
		}
		for i, letter := range eventLetters {
			if c == letter {
				classes |= 1 << i
			}
		}
	}
	return classes
}

// Listener is told what happens in shards.
type Listener interface {
	// Happened is told of an event of a key of database db, at once. w is the worker that makes it happen, which holds
	// the shard's baton and has not committed it yet: nobody may hear of it before. Nothing may be done to the shard.
	// key is valid during the call only.
	Happened(w *Worker, db int, key []byte, event string)
	// Changed is told, in the same way, of a change that those who track keys are to be told of.
	Changed(w *Worker, c Change)
	// AllChanged is told that all keys may have changed.
	AllChanged(w *Worker)
}

// eventSwitch says which events are told.
type eventSwitch struct {
	classes atomic.Uint32 // EventClass: those that are told now

	mu      sync.Mutex
	wanted  EventClass // by the configuration
	clients EventClass // by SetTracking
	muted   bool       // nothing is told: what is done is a load
	missed  bool       // AllChanged, meanwhile
}

// SetEvents says which classes of events are told from now on, and Listen to whom. Events that nobody could get, since
// they are published neither way, are none. Safe from any goroutine.
func (set *Set) SetEvents(classes EventClass) {
	if classes&(EventKeyspace|EventKeyevent) == 0 {
		classes = 0
	}
	w := &set.eventSwitch
	w.mu.Lock()
	w.wanted = classes
	w.publish()
	w.mu.Unlock()
}

// mute has nothing told, or no longer: while shards are seized. It reports whether AllChanged was called meanwhile.
func (w *eventSwitch) mute(on bool) (allChanged bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	allChanged, w.missed = w.missed, false
	w.muted = on
	w.publish()
	return allChanged
}

func (w *eventSwitch) publish() {
	if w.muted {
		w.classes.Store(0)
	} else {
		w.classes.Store(uint32(w.wanted | w.clients))
	}
}

// Events returns the classes of events that are told now. Safe from any goroutine.
func (set *Set) Events() EventClass { return EventClass(set.classes.Load()) }

// Listen names who is told; before the set is used.
func (set *Set) Listen(l Listener) { set.listener = l }

// Notify notes that something happened to a key of the database, an event of one class.
func (db *DB) Notify(key []byte, class EventClass, event string) {
	db.shard.Notify(db.id, key, class, event)
}

// Notify notes that something happened to a key of database db, an event of one class.
func (s *Shard) Notify(db int, key []byte, class EventClass, event string) {
	if s.set.Events()&class != 0 {
		s.happened(db, key, event)
	}
}

// happened is Notify where it is told; apart, so that Notify costs callers one comparison.
//
//go:noinline
func (s *Shard) happened(db int, key []byte, event string) {
	s.set.listener.Happened(s.holder, db, key, event)
}
