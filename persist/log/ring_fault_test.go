package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"fulmen/persist/vfs/vfstest"
)

// ringAtEveryStep has the process end at every step of many commits, and gives the first ring that has not exactly what
// was published then.
func ringAtEveryStep(t *testing.T, p plant) (failure error) {
	t.Helper()
	const shards = 3
	m, r := memRing(t, shards, 24)
	r.entryLate = p.entryLate
	rl := newRingLog(t, r, shards)
	p.at = func(at step) {
		if failure != nil {
			return
		}
		rl.note()
		c, err := ReadRing(m.Kill(), r.Name(), r.identity)
		if err == nil {
			err = rl.check(c, make([]uint64, shards))
		}
		if err != nil {
			failure = fmt.Errorf("at step %d: %w", at, err)
		}
	}
	rl.plant = &p
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 60 / share {
		if i%4 == 0 {
			rl.commitRandom(random)
			continue
		}
		s := rl.Shard(random.IntN(shards))
		s.Stage(0, setName, benchKey, make([]byte, random.IntN(100_000)))
		s.Commit(false)
	}
	return failure
}

func TestRingAtEveryStep(t *testing.T) {
	if err := ringAtEveryStep(t, plant{}); err != nil {
		t.Fatal(err)
	}
}

func TestRingTailBeforeBytesIsNoticed(t *testing.T) {
	if ringAtEveryStep(t, plant{ringEarly: true}) == nil {
		t.Fatal("a tail that was published before the bytes passes")
	}
}

func TestRingEntryAfterUseIsNoticed(t *testing.T) {
	if ringAtEveryStep(t, plant{entryLate: true}) == nil {
		t.Fatal("a block's entry that was written after use passes")
	}
}

// otherRings reads rings that are not the one wanted, and gives the first that was accepted, or refused for the wrong
// reason.
func otherRings(t *testing.T, faults ringFaults) error {
	t.Helper()
	const shards = 3
	left := func() (*vfstest.Mem, string) {
		m, r := memRing(t, shards, 6)
		rl := newRingLog(t, r, shards)
		rl.commitRandom(rand.New(rand.NewPCG(1, 1)))
		return m.Kill(), r.Name()
	}
	m, name := left()
	if _, err := readRing(m, name, ringIdentity(shards), faults); err != nil {
		return err
	}
	for what, change := range map[string]func(*RingIdentity){
		"of another boot":         func(id *RingIdentity) { id.Boot[15]++ },
		"of an earlier life":      func(id *RingIdentity) { id.Incarnation++ },
		"of a later life":         func(id *RingIdentity) { id.Incarnation-- },
		"of another directory":    func(id *RingIdentity) { id.DirID ^= 1 << 63 },
		"of more shards":          func(id *RingIdentity) { id.Shards-- },
		"of fewer shards":         func(id *RingIdentity) { id.Shards++ },
		"of another boot and dir": func(id *RingIdentity) { id.Boot[0]++; id.DirID++ },
	} {
		want := ringIdentity(shards)
		change(&want)
		_, err := readRing(m, name, want, faults)
		var ring *RingError
		if !errors.As(err, &ring) || !ring.Stale {
			return fmt.Errorf("a ring %s: %v", what, err)
		}
	}
	return nil
}

func TestRingOfAnotherLifeIsStale(t *testing.T) {
	if err := otherRings(t, ringFaults{}); err != nil {
		t.Fatal(err)
	}
}

func TestRingOfEarlierIncarnationAcceptedIsNoticed(t *testing.T) {
	if otherRings(t, ringFaults{anyIncarnation: true}) == nil {
		t.Fatal("rings of other incarnations pass")
	}
}

func TestRingOfAnotherBootAcceptedIsNoticed(t *testing.T) {
	if otherRings(t, ringFaults{anyBoot: true}) == nil {
		t.Fatal("rings of other boots pass")
	}
}
