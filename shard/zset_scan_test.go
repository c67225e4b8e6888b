package shard

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// zsetScan is a sorted set that is scanned while it changes.
type zsetScan struct {
	t     *testing.T
	rnd   *rand.Rand
	z     func() ZSet
	lim   ZSetLimits
	score func() float64
	kept  int // members that stay, though their scores change
	given map[string]int
	most  int // the most that one step has looked at
}

func newZSetScan(t *testing.T, seed uint64, members int, score func(rnd *rand.Rand) float64) *zsetScan {
	set, _ := newTestSet(t, 1, 1)
	set.packed = 24
	k := set.Key([]byte("key"))
	s := &zsetScan{
		t: t, rnd: rand.New(rand.NewPCG(seed, 41)), lim: ZSetLimits{128, 64},
		kept: members / 3, given: map[string]int{},
		z: func() ZSet { return ZSet{set.Shards[0].DB(0).LookValue(k, 1)} },
	}
	s.score = func() float64 { return score(s.rnd) }
	for i := range members {
		s.add(i)
	}
	return s
}

func (s *zsetScan) add(i int) {
	z := s.z()
	z.Add(&s.lim, fmt.Appendf(nil, "m%d", i), s.score(), 0)
}

// change gives members other scores, and has those come and go that need not stay.
func (s *zsetScan) change(members, n int) {
	for range n {
		switch i := s.rnd.IntN(members); {
		case i < s.kept || s.rnd.IntN(2) == 0:
			s.add(i)
		default:
			z := s.z()
			z.Delete(fmt.Appendf(nil, "m%d", i))
		}
	}
}

// call scans as one ZSCAN does, with changes between its steps, and returns the next cursor.
func (s *zsetScan) call(cursor uint64, count int, between func()) (next uint64) {
	seen := map[string]int{}
	give := func(member []byte, _ float64) { seen[string(member)]++ }
	z := s.z()
	next, ok := z.Scan(cursor, count, give)
	if !ok {
		clear(seen)
		for long := z.NewZSetScan(cursor, count); ; between() {
			z = s.z()
			if long.Step(&z, give) {
				next = long.Next()
				break
			}
		}
	}
	for m, n := range seen {
		s.given[m] += n
	}
	return next
}

// TestZSetScan scans sorted sets whose members come and go and change their scores, also in the middle of a call: what
// is there throughout is given. Without changes every member is given once.
func TestZSetScan(t *testing.T) {
	for _, c := range []struct {
		name  string
		score func(rnd *rand.Rand) float64
	}{
		{"all scores differ", func(rnd *rand.Rand) float64 { return rnd.Float64() }},
		{"few scores", func(rnd *rand.Rand) float64 { return float64(rnd.IntN(3)) - 1 }},
		{"one score", func(rnd *rand.Rand) float64 { return 0 }},
		{"one score for half of them", func(rnd *rand.Rand) float64 { return float64(max(rnd.IntN(1000)-500, 0)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(6) {
				const members = 3000
				s := newZSetScan(t, seed, members, c.score)
				count := 1 + s.rnd.IntN(30)
				calls := 0
				for cursor := uint64(0); calls == 0 || cursor != 0; calls++ {
					cursor = s.call(cursor, count, func() {})
				}
				for i := range members {
					if n := s.given[fmt.Sprint("m", i)]; n != 1 {
						t.Fatalf("m%d was given %d times", i, n)
					}
				}
				clear(s.given)
				calls = 0
				for cursor := uint64(0); calls == 0 || cursor != 0; calls++ {
					if cursor = s.call(cursor, count, func() { s.change(members, 40) }); cursor >= 1<<53 {
						t.Fatal("cursor", cursor)
					}
					s.change(members, 40)
				}
				for i := range s.kept {
					if s.given[fmt.Sprint("m", i)] == 0 {
						t.Fatalf("seed %d: m%d was not given", seed, i)
					}
				}
			}
		})
	}
}

// TestZSetScanNoticesWhatGotAway shows that members do get away from a pass: without a second one some are missed.
func TestZSetScanNoticesWhatGotAway(t *testing.T) {
	const members = 3000
	few := func(rnd *rand.Rand) float64 { return float64(rnd.IntN(3)) }
	missed, passes := 0, 0
	for seed := range uint64(6) {
		s := newZSetScan(t, seed, members, few)
		z := s.z()
		long := z.NewZSetScan(0, members)
		for done := false; !done; {
			z = s.z()
			done = long.Step(&z, func(member []byte, _ float64) { s.given[string(member)]++ })
			if long.tries == 0 && long.phase == phaseCheck && passes == int(seed) {
				for i := range s.kept {
					if s.given[fmt.Sprint("m", i)] == 0 {
						missed++
					}
				}
				passes++
			}
			s.change(members, 40)
		}
		for i := range s.kept {
			if s.given[fmt.Sprint("m", i)] == 0 {
				t.Fatalf("seed %d: m%d was not given", seed, i)
			}
		}
	}
	if missed == 0 {
		t.Error("no member got away from the first pass: the test shows nothing")
	}
}

// TestZSetScanIsBounded counts what the steps of one call look at: no step passes the whole set.
func TestZSetScanIsBounded(t *testing.T) {
	s := newZSetScan(t, 1, 20_000, func(*rand.Rand) float64 { return 0 })
	z := s.z()
	long := z.NewZSetScan(0, 20_000) // gives each member that it passes
	steps := 0
	for {
		n := 0
		done := long.Step(&z, func([]byte, float64) { n++ })
		if s.most = max(s.most, n); done {
			break
		}
		steps++
	}
	if s.most > scanStep || steps < 20_000/scanStep {
		t.Errorf("%d steps, one of which looked at %d members", steps, s.most)
	}
}
