package pubsub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// receivers returns who would get a message to a channel, by kind of topic, sorted.
func receivers(r *Registry[int], kind Kind, channel string) (all []int) {
	topics := []*Topic[int]{}
	if t := r.Find(kind, []byte(channel)); t != nil {
		topics = append(topics, t)
	}
	if kind == Channel {
		for _, t := range r.Patterns() {
			if t.Matches([]byte(channel)) {
				topics = append(topics, t)
			}
		}
	}
	for _, t := range topics {
		n := 0
		for _, l := range t.Locals() {
			for who := range l.Since(r.Moment()) {
				all = append(all, who)
				n++
			}
		}
		if int64(n) != t.Count() {
			panic(fmt.Sprintf("%s has %d subscribers, and says %d", t.Name, n, t.Count()))
		}
	}
	slices.Sort(all)
	return all
}

// TestModel compares random subscriptions with plain maps.
func TestModel(t *testing.T) {
	const places, people = 3, 12
	rnd := rand.New(rand.NewPCG(1, 2))
	r := New[int]()
	names := [Kinds][]string{
		{"a", "ab", "b", "", "a\x00"}, {"a*", "*", "?", "[ab]", "x*"}, {"a", "ab", "b", "", "a\x00"},
	}
	matches := map[string][]string{ // by channel
		"a": {"a*", "*", "?", "[ab]"}, "ab": {"a*", "*"}, "b": {"*", "?", "[ab]"}, "": {}, "a\x00": {"a*", "*"},
	}
	var all [people]*Subscriber[int]
	var model [people][Kinds]map[string]bool
	for i := range all {
		all[i] = r.NewSubscriber(i%places, i)
		for k := range model[i] {
			model[i][k] = map[string]bool{}
		}
	}
	for step := range 20_000 {
		i, k := rnd.IntN(people), rnd.IntN(Kinds)
		name := names[k][rnd.IntN(len(names[k]))]
		switch op := rnd.IntN(20); {
		case op == 0:
			all[i].Close()
			for k := range model[i] {
				clear(model[i][k])
			}
		case op < 10:
			if got := all[i].Subscribe(Kind(k), []byte(name)); got == model[i][k][name] {
				t.Fatalf("step %d: Subscribe is %v", step, got)
			}
			model[i][k][name] = true
		default:
			if got := all[i].Unsubscribe(Kind(k), []byte(name)); got != model[i][k][name] {
				t.Fatalf("step %d: Unsubscribe is %v", step, got)
			}
			delete(model[i][k], name)
		}
		checkModel(t, r, all[:], model[:], names, matches)
		if t.Failed() {
			t.Fatalf("in step %d", step)
		}
	}
}

func checkModel(t *testing.T, r *Registry[int], all []*Subscriber[int], model [][Kinds]map[string]bool,
	names [Kinds][]string, matches map[string][]string) {
	t.Helper()
	for k := range Kinds {
		want := map[string]bool{}
		for i := range model {
			if n := all[i].Count(Kind(k)); n != len(model[i][k]) {
				t.Errorf("%d subscribes to %d of kind %d, want %d", i, n, k, len(model[i][k]))
			}
			for name := range model[i][k] {
				want[name] = true
			}
		}
		n := 0
		for topic := range r.Topics(Kind(k)) {
			if n++; !want[topic.Name] {
				t.Errorf("%q of kind %d is there", topic.Name, k)
			}
		}
		if n != len(want) || r.Count(Kind(k)) != n {
			t.Errorf("%d topics of kind %d, counted %d, want %d", n, k, r.Count(Kind(k)), len(want))
		}
	}
	for _, kind := range []Kind{Channel, ShardChannel} {
		for _, channel := range names[kind] {
			var want []int
			for i := range model {
				if model[i][kind][channel] {
					want = append(want, i)
				}
				for _, pattern := range matches[channel] {
					if kind == Channel && model[i][Pattern][pattern] {
						want = append(want, i)
					}
				}
			}
			slices.Sort(want)
			if got := receivers(r, kind, channel); !slices.Equal(got, want) {
				t.Errorf("kind %d, %q: receivers are %v, want %v", kind, channel, got, want)
			}
		}
	}
}

// TestOrder: a subscriber's topics come in the order in which it has subscribed, patterns in that of their making.
func TestOrder(t *testing.T) {
	r := New[int]()
	s, other := r.NewSubscriber(0, 1), r.NewSubscriber(1, 2)
	for i := range 100 {
		s.Subscribe(Pattern, fmt.Append(nil, "p", i))
		other.Subscribe(Pattern, fmt.Append(nil, "q", i))
	}
	for i := range 100 {
		if i%3 == 0 {
			s.Unsubscribe(Pattern, fmt.Append(nil, "p", i))
		}
	}
	other.Close()
	s.Subscribe(Pattern, []byte("p0"))
	var want []string
	for i := range 100 {
		if i%3 != 0 {
			want = append(want, fmt.Sprint("p", i))
		}
	}
	want = append(want, "p0")
	var listed, own []string
	for _, topic := range r.Patterns() {
		if topic.Matches([]byte(topic.Name)) {
			listed = append(listed, topic.Name)
		}
	}
	for {
		name, ok := s.First(Pattern)
		if !ok {
			break
		}
		own = append(own, name)
		s.Unsubscribe(Pattern, []byte(name))
	}
	if !slices.Equal(listed, want) || !slices.Equal(own, want) {
		t.Errorf("patterns are %q and %q, want %q", listed, own, want)
	}
	if n := len(r.Patterns()); n > fewDead {
		t.Errorf("%d patterns are listed that nobody subscribes to", n)
	}
}

// TestManyTopics: a table grows and shrinks, and each topic is found meanwhile.
func TestManyTopics(t *testing.T) {
	const n = 20_000
	r := New[int]()
	s := r.NewSubscriber(0, 1)
	name := func(i int) []byte { return fmt.Append(nil, "channel:", i) }
	for i := range n {
		s.Subscribe(Channel, name(i))
		if r.Find(Channel, name(i/2)) == nil || r.Find(Channel, name(i)) == nil || r.Find(Channel, name(i+1)) != nil {
			t.Fatal(i)
		}
	}
	for i := range n {
		if r.Find(Channel, name(n-1)) == nil {
			t.Fatal(i)
		}
		if s.Unsubscribe(Channel, name(i)); r.Find(Channel, name(i)) != nil {
			t.Fatal(i)
		}
	}
	for i := range r.tables[Channel].segments {
		if b := r.tables[Channel].segments[i].buckets.Load(); b != nil && len(*b) > 4*minBuckets {
			t.Errorf("an empty segment has %d buckets", len(*b))
		}
	}
}

// TestAllWhileLeaving: who is yielded may unsubscribe, and everybody is yielded once.
func TestAllWhileLeaving(t *testing.T) {
	r := New[int]()
	var all []*Subscriber[int]
	for i := range 10 {
		all = append(all, r.NewSubscriber(0, i))
		all[i].Subscribe(Channel, []byte("c"))
	}
	seen := map[int]int{}
	for who := range r.Find(Channel, []byte("c")).Locals()[0].Since(r.Moment()) {
		if seen[who]++; who == 3 {
			r.NewSubscriber(0, 10).Subscribe(Channel, []byte("c")) // too late
		}
		if who%2 == 0 {
			all[who].Close()
		}
	}
	for i := range all {
		if seen[i] != 1 {
			t.Errorf("%d was yielded %d times", i, seen[i])
		}
	}
	if n := r.Find(Channel, []byte("c")).Count(); n != 6 || seen[10] > 0 {
		t.Errorf("%d are left; who came meanwhile was yielded %d times", n, seen[10])
	}
}

// TestFindBesideChanges: who subscribes throughout is always found, whatever others do to the tables.
func TestFindBesideChanges(t *testing.T) {
	r := New[int]()
	stays := r.NewSubscriber(0, 1)
	stays.Subscribe(Channel, []byte("stays"))
	stays.Subscribe(Pattern, []byte("st*"))
	var changing sync.WaitGroup
	done := make(chan struct{})
	for place := 1; place < 4; place++ {
		changing.Go(func() {
			s := r.NewSubscriber(place, place)
			for round := range 20 {
				for i := range 500 {
					s.Subscribe(Kind(i%Kinds), fmt.Append(nil, place%2, "-", round, "-", i))
				}
				s.Subscribe(Channel, []byte("stays"))
				s.Close()
			}
		})
	}
	go func() {
		changing.Wait()
		close(done)
	}()
	for {
		topic := r.Find(Channel, []byte("stays"))
		if topic == nil || topic.Count() < 1 || len(topic.Locals()) < 1 {
			t.Fatal("not found")
		}
		matching := 0
		for _, p := range r.Patterns() {
			if p.Matches([]byte("stays")) {
				matching++
			}
		}
		if matching != 1 {
			t.Fatalf("%d patterns match", matching)
		}
		select {
		case <-done:
			if n := r.Count(Channel) + r.Count(Pattern) + r.Count(ShardChannel); n != 2 {
				t.Errorf("%d topics are left", n)
			}
			return
		default:
		}
	}
}

// TestFindAllocatesNothing: nor does looking at who subscribes.
func TestFindAllocatesNothing(t *testing.T) {
	r := New[int]()
	s := r.NewSubscriber(0, 1)
	s.Subscribe(Channel, []byte("news"))
	s.Subscribe(Pattern, []byte("n*"))
	name, n := []byte("news"), 0
	if allocs := testing.AllocsPerRun(100, func() {
		n = len(r.Find(Channel, name).Locals())
		for _, p := range r.Patterns() {
			if p.Matches(name) {
				n++
			}
		}
	}); allocs != 0 || n != 2 {
		t.Errorf("%v allocations, %d found", allocs, n)
	}
}
