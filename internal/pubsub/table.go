package pubsub

import "sync/atomic"

// A table is segments, so that none takes long to grow; its nodes are chained, and found without a lock.
const (
	segments   = 256
	minBuckets = 4
)

// table finds topics by name. It changes with the registry's lock.
type table[S any] struct {
	segments [segments]segment[S]
	count    atomic.Int64 // topics
}

// segment is the topics whose hashes have the same low bits.
type segment[S any] struct {
	buckets atomic.Pointer[[]bucket[S]] // a power of two; nil: there was never one
	n       int                         // topics; with the registry's lock
}

type bucket[S any] struct{ first atomic.Pointer[node[S]] }

// node is a topic's place in a chain. A table that grows has new ones, for others may stand on those it had.
type node[S any] struct {
	topic *Topic[S]
	next  atomic.Pointer[node[S]]
}

func (t *table[S]) segment(hash uint64) *segment[S] { return &t.segments[hash%segments] }

func bucketOf[S any](buckets []bucket[S], hash uint64) *bucket[S] {
	return &buckets[hash/segments&uint64(len(buckets)-1)]
}

// find returns the topic with a name; nil: there is none. Safe from any goroutine.
func (t *table[S]) find(hash uint64, name []byte) *Topic[S] {
	buckets := t.segment(hash).buckets.Load()
	if buckets == nil {
		return nil
	}
	for n := bucketOf(*buckets, hash).first.Load(); n != nil; n = n.next.Load() {
		if n.topic.hash == hash && n.topic.Name == string(name) {
			return n.topic
		}
	}
	return nil
}

// all yields all topics. Safe from any goroutine.
func (t *table[S]) all(yield func(*Topic[S]) bool) {
	for i := range t.segments {
		buckets := t.segments[i].buckets.Load()
		if buckets == nil {
			continue
		}
		for k := range *buckets {
			for n := (*buckets)[k].first.Load(); n != nil; n = n.next.Load() {
				if !yield(n.topic) {
					return
				}
			}
		}
	}
}

// add puts a topic in that is not there.
func (t *table[S]) add(topic *Topic[S]) {
	s := t.segment(topic.hash)
	buckets := s.buckets.Load()
	if buckets == nil || s.n >= len(*buckets) {
		buckets = s.resize(max(minBuckets, 2*s.n))
	}
	chain(*buckets, topic)
	s.n++
	t.count.Add(1)
}

// chain puts a topic in front of its chain.
func chain[S any](buckets []bucket[S], topic *Topic[S]) {
	b, n := bucketOf(buckets, topic.hash), &node[S]{topic: topic}
	n.next.Store(b.first.Load())
	b.first.Store(n)
}

// remove takes a topic out that is there. Who stands on its node goes on from there.
func (t *table[S]) remove(topic *Topic[S]) {
	s := t.segment(topic.hash)
	buckets := *s.buckets.Load()
	link := &bucketOf(buckets, topic.hash).first
	for n := link.Load(); n.topic != topic; n = link.Load() {
		link = &n.next
	}
	link.Store(link.Load().next.Load())
	s.n--
	t.count.Add(-1)
	if s.n < len(buckets)/8 && len(buckets) > minBuckets {
		s.resize(len(buckets) / 4)
	}
}

// resize builds a segment anew with another number of buckets, a power of two, and returns these.
func (s *segment[S]) resize(size int) *[]bucket[S] {
	buckets := make([]bucket[S], size)
	if old := s.buckets.Load(); old != nil {
		for i := range *old {
			for n := (*old)[i].first.Load(); n != nil; n = n.next.Load() {
				chain(buckets, n.topic)
			}
		}
	}
	s.buckets.Store(&buckets)
	return &buckets
}
