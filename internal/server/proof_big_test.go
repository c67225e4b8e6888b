package server

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// Proofs with big values of all types: how big, -big says; `make big` has a million elements.

var flagBig = flag.Int("big", 5000, "elements of the big values in proofs")

// bigValues are the types of big values: a prefix of the keys, and a command that adds elements from i on.
var bigValues = []struct {
	prefix string
	add    func(key string, from, to int) []string
}{
	{"h", adding("HSET", func(i int) []string { return []string{"member:" + strconv.Itoa(i), strconv.Itoa(i)} })},
	{"l", adding("RPUSH", func(i int) []string { return []string{"item" + strconv.Itoa(i)} })},
	{"s", adding("SADD", func(i int) []string { return []string{"member:" + strconv.Itoa(i)} })},
	{"i", adding("SADD", func(i int) []string { return []string{strconv.Itoa(i * 7)} })},
	{"z", adding("ZADD", func(i int) []string {
		return []string{strconv.Itoa(i % 999), "member:" + strconv.Itoa(i)}
	})},
	{"t", adding("APPEND", nil)},
}

// adding makes a command that adds what element gives, or, if that is nil, a string.
func adding(name string, element func(i int) []string) func(key string, from, to int) []string {
	return func(key string, from, to int) []string {
		args := []string{name, key}
		if element == nil {
			return append(args, strings.Repeat("text ", to-from))
		}
		for i := from; i < to; i++ {
			args = append(args, element(i)...)
		}
		return args
	}
}

func bigKey(kind, i int) string { return "big:" + bigValues[kind].prefix + strconv.Itoa(i) }

// fillBigs adds to n keys of each type up to -big elements; what has another type by now stays.
func (p *proof) fillBigs(n int) {
	c := p.dial()
	for kind, b := range bigValues {
		for i := range n {
			for from := 0; from < *flagBig; from += 500 {
				if c.add(b.add(bigKey(kind, i), from, min(from+500, *flagBig))...); c.n == 20 {
					c.all()
				}
			}
		}
	}
	c.all()
}

// TestReplayOfBigCollections is TestReplay with values of very many elements, which are renamed over each other,
// copied, moved, and flushed with their databases.
func TestReplayOfBigCollections(t *testing.T) {
	const keys = 2
	p := startProof(t, 4, 2, 3)
	p.meddlers()
	first := p.clock.NowMs()
	r := p.record()
	p.fillBigs(keys)
	for round := range uint64(3) {
		p.pour(flood{seed: 50 + round, connections: 4, each: 300 / proofShare, keys: 100, flush: 300, big: keys})
		p.fillBigs(keys)
	}
	p.pour(flood{seed: 60, connections: 4, each: 100, keys: 100, big: keys})
	r.end()
	r.mustReplay(first, 3)
	t.Logf("%d bytes of log, %d keys", len(r.merged), len(p.dump()))
}

// TestWalksOverBigCollections is TestWalksUnderLoad with such values, whose contents are compared.
func TestWalksOverBigCollections(t *testing.T) {
	const keys = 2
	p := startProof(t, 4, 2, 3)
	rnd := rand.New(rand.NewPCG(14, 4))
	p.fillBigs(keys)
	var walks atomic.Int64
	poured := make(chan bool)
	go func() {
		for round := uint64(0); round < 3 || walks.Load() < 3 && !t.Failed(); round++ {
			p.pour(flood{seed: 70 + round, connections: 4, each: 300 / proofShare, keys: 100, flush: 300, big: keys})
			p.fillBigs(keys)
		}
		close(poured)
	}()
	o, most := p.outsider(), 0
	for id := uint16(1); poured != nil && !t.Failed(); id++ {
		all := p.cut(o, id, false)
		walkOn(o, all, rnd)
		bytes := 0
		for _, w := range all {
			if d := difference(w.seen, w.shadow); d != "" || w.twice != "" {
				t.Errorf("%s: %.300s (shown twice: %q)", w.name, d, w.twice)
			}
			for _, e := range w.shadow {
				bytes += len(e.val)
			}
		}
		walks.Add(1)
		most = max(most, bytes)
		select {
		case <-poured:
			poured = nil
		default:
		}
	}
	if poured != nil {
		<-poured
	}
	if most < *flagBig*len(bigValues)*2 {
		t.Errorf("walks over %d bytes at most", most)
	}
	t.Logf("%d walks over up to %d bytes", walks.Load(), most)
}
