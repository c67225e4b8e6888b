package pubsub

import (
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"fulmen/internal/glob"
)

// Kind is what a name names.
type Kind uint8

// The kinds of topics.
const (
	Channel Kind = iota
	Pattern
	ShardChannel
	Kinds = iota
)

// Registry has all topics; S is what a subscriber is to its owner.
type Registry[S any] struct {
	seed     maphash.Seed
	tables   [Kinds]table[S]
	patterns patternList[S]
	moment   atomic.Uint64 // subscriptions made, ever; changed with mu
	mu       sync.Mutex    // held by whoever subscribes or unsubscribes
}

// New returns a registry of nobody.
func New[S any]() *Registry[S] { return &Registry[S]{seed: maphash.MakeSeed()} }

// Find returns the topic with a name; nil: it has no subscriber. Safe from any goroutine; allocates nothing.
func (r *Registry[S]) Find(kind Kind, name []byte) *Topic[S] {
	t := &r.tables[kind]
	if t.count.Load() == 0 {
		return nil
	}
	return t.find(maphash.Bytes(r.seed, name), name)
}

// Patterns returns all patterns in the order in which they came, and some that nobody subscribes to any more (Matches
// tells). The slice is not the caller's to change. Safe from any goroutine; allocates nothing.
func (r *Registry[S]) Patterns() []*Topic[S] { return r.patterns.all() }

// Count returns how many topics of a kind there are. Safe from any goroutine.
func (r *Registry[S]) Count(kind Kind) int { return int(r.tables[kind].count.Load()) }

// Topics returns the topics of a kind, in no order. Those that come or go meanwhile may be among them. Safe from any
// goroutine.
func (r *Registry[S]) Topics(kind Kind) iter.Seq[*Topic[S]] { return r.tables[kind].all }

// Moment returns the present moment: what is published now is for those who subscribe already. Safe from any goroutine.
func (r *Registry[S]) Moment() uint64 { return r.moment.Load() }

// Topic is a channel, a pattern or a shard channel.
type Topic[S any] struct {
	Kind Kind   // immutable
	Name string // immutable

	hash        uint64
	pattern     []byte                      // the name of a pattern as glob takes it
	subscribers atomic.Int64                // changed with the registry's lock
	locals      atomic.Pointer[[]*Local[S]] // replaced with the registry's lock
}

// Count returns how many subscribe to it. Safe from any goroutine.
func (t *Topic[S]) Count() int64 { return t.subscribers.Load() }

// Matches tells whether a pattern that somebody subscribes to matches a channel. Safe from any goroutine.
func (t *Topic[S]) Matches(channel []byte) bool {
	return t.subscribers.Load() > 0 && glob.Match(t.pattern, channel, false)
}

// Locals returns the places where somebody subscribes, or did. The slice is not the caller's to change. Safe from any
// goroutine; allocates nothing.
func (t *Topic[S]) Locals() []*Local[S] {
	if list := t.locals.Load(); list != nil {
		return *list
	}
	return nil
}

// local returns the topic's part at a place, which it makes if need be; with the registry's lock.
func (t *Topic[S]) local(place int) *Local[S] {
	list := t.Locals()
	for _, l := range list {
		if l.Place == place {
			return l
		}
	}
	l := &Local[S]{Place: place}
	list = append(slices.Clone(list), l)
	t.locals.Store(&list)
	return l
}

// Local is those who subscribe to a topic at one place.
type Local[S any] struct {
	Place int // immutable

	count atomic.Int32
	subs  []*subscription[S] // the place's
}

// Empty tells whether nobody there subscribes any more. Safe from any goroutine.
func (l *Local[S]) Empty() bool { return l.count.Load() == 0 }

// Since yields those who have subscribed since a moment or longer, on the place's goroutine; the one that is yielded
// may go away meanwhile.
func (l *Local[S]) Since(moment uint64) iter.Seq[S] {
	return func(yield func(S) bool) {
		for i := 0; i < len(l.subs); {
			sub := l.subs[i]
			if sub.made <= moment && !yield(sub.of) {
				return
			}
			if i < len(l.subs) && l.subs[i] == sub {
				i++
			}
		}
	}
}

// subscription is one subscriber's to one topic. It is its subscriber's.
type subscription[S any] struct {
	of         S
	topic      *Topic[S]
	local      *Local[S]
	made       uint64 // moment
	at         int    // in local.subs
	prev, next *subscription[S]
}

// subscribe makes a subscription; on the place's goroutine.
func (r *Registry[S]) subscribe(place int, kind Kind, name []byte, of S) *subscription[S] {
	r.mu.Lock()
	defer r.mu.Unlock()
	tab := &r.tables[kind]
	hash := maphash.Bytes(r.seed, name)
	t := tab.find(hash, name)
	isNew := t == nil
	if isNew {
		t = &Topic[S]{Kind: kind, Name: string(name), hash: hash}
	}
	l := t.local(place)
	sub := &subscription[S]{of: of, topic: t, local: l, made: r.moment.Add(1), at: len(l.subs)}
	l.subs = append(l.subs, sub)
	l.count.Add(1)
	t.subscribers.Add(1)
	if isNew {
		if kind == Pattern {
			t.pattern = []byte(t.Name)
			r.patterns.add(t)
		}
		tab.add(t)
	}
	return sub
}

// unsubscribe ends a subscription; on the place's goroutine.
func (r *Registry[S]) unsubscribe(sub *subscription[S]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, l := sub.topic, sub.local
	last := len(l.subs) - 1
	l.subs[sub.at] = l.subs[last]
	l.subs[sub.at].at = sub.at
	l.subs[last] = nil
	l.subs = l.subs[:last]
	if last < cap(l.subs)/4 {
		l.subs = slices.Clone(l.subs)
	}
	l.count.Add(-1)
	if t.subscribers.Add(-1) > 0 {
		return
	}
	r.tables[t.Kind].remove(t)
	if t.Kind == Pattern {
		r.patterns.died()
	}
}

// patternList is the patterns in the order in which they came. Those that have lost all subscribers stay until there
// are many of them; one that comes back is another one, at the end.
type patternList[S any] struct {
	list atomic.Pointer[[]*Topic[S]] // what is behind its end belongs to add
	dead int                         // with the registry's lock
}

func (p *patternList[S]) all() []*Topic[S] {
	if list := p.list.Load(); list != nil {
		return *list
	}
	return nil
}

// add appends a pattern, behind the end of what others read.
func (p *patternList[S]) add(t *Topic[S]) {
	list := append(p.all(), t)
	p.list.Store(&list)
}

// fewDead is how many patterns without subscribers are not worth a new list.
const fewDead = 16

// died notes that a pattern has no subscriber any more.
func (p *patternList[S]) died() {
	list := p.all()
	if p.dead++; p.dead < fewDead && p.dead < len(list) || p.dead < len(list)/2 {
		return
	}
	alive := make([]*Topic[S], 0, len(list)-p.dead)
	for _, t := range list {
		if t.Count() > 0 {
			alive = append(alive, t)
		}
	}
	p.list.Store(&alive)
	p.dead = 0
}
