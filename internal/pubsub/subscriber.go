package pubsub

// Subscriber is what one of S subscribes to. It belongs to the goroutine of its place.
type Subscriber[S any] struct {
	r     *Registry[S]
	place int
	of    S
	sets  [Kinds]set[S]
}

// set is what it subscribes to of one kind.
type set[S any] struct {
	byName      map[string]*subscription[S]
	first, last *subscription[S] // in the order in which they were made
}

// SubscriptionBytes is about what a subscription costs beside its name.
const SubscriptionBytes = 320

// NewSubscriber returns a subscriber to nothing.
func (r *Registry[S]) NewSubscriber(place int, of S) *Subscriber[S] {
	return &Subscriber[S]{r: r, place: place, of: of}
}

// Count returns to how many topics of a kind it subscribes.
func (s *Subscriber[S]) Count(kind Kind) int { return len(s.sets[kind].byName) }

// Has tells whether it subscribes to a topic.
func (s *Subscriber[S]) Has(t *Topic[S]) bool {
	sub := s.sets[t.Kind].byName[t.Name]
	return sub != nil && sub.topic == t
}

// First returns the topic of a kind that it has subscribed to for the longest time; false: to none.
func (s *Subscriber[S]) First(kind Kind) (name string, ok bool) {
	first := s.sets[kind].first
	if first == nil {
		return "", false
	}
	return first.topic.Name, true
}

// Subscribe subscribes to a topic; false: it did already. name is copied.
func (s *Subscriber[S]) Subscribe(kind Kind, name []byte) bool {
	set := &s.sets[kind]
	if set.byName[string(name)] != nil {
		return false
	}
	if set.byName == nil {
		set.byName = map[string]*subscription[S]{}
	}
	sub := s.r.subscribe(s.place, kind, name, s.of)
	set.byName[sub.topic.Name] = sub
	if sub.prev = set.last; sub.prev != nil {
		sub.prev.next = sub
	} else {
		set.first = sub
	}
	set.last = sub
	return true
}

// Unsubscribe ends a subscription; false: there was none.
func (s *Subscriber[S]) Unsubscribe(kind Kind, name []byte) bool {
	set := &s.sets[kind]
	sub := set.byName[string(name)]
	if sub == nil {
		return false
	}
	s.end(set, sub)
	return true
}

// end ends a subscription of a set.
func (s *Subscriber[S]) end(set *set[S], sub *subscription[S]) {
	if delete(set.byName, sub.topic.Name); len(set.byName) == 0 {
		set.byName = nil // a map doesn't shrink
	}
	if sub.prev != nil {
		sub.prev.next = sub.next
	} else {
		set.first = sub.next
	}
	if sub.next != nil {
		sub.next.prev = sub.prev
	} else {
		set.last = sub.prev
	}
	s.r.unsubscribe(sub)
}

// Close ends all subscriptions.
func (s *Subscriber[S]) Close() {
	for i := range s.sets {
		for set := &s.sets[i]; set.first != nil; {
			s.end(set, set.first)
		}
	}
}
