package aof

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"fulmen/internal/clock"
	"fulmen/persist/log"
)

// TestRealRing ends the process under log's own ring, one that is too small for what is not written yet, so that part
// of the log is in ordinary memory and lost: everything below the safe LSN is found, as a prefix of history, and all
// that was published if all is safe.
func TestRealRing(t *testing.T) {
	whole, torn := 0, 0
	for seed := uint64(0); seed < 30; seed += uint64(min(stride(3), 9)) {
		h := newRinged(t, seed)
		for range 8 {
			for range 1 + h.rnd.IntN(3) {
				h.bulk()
			}
			if h.rnd.IntN(4) == 0 {
				h.w.Sync(h.log.LSN())
				h.turns()
			} else if h.rnd.IntN(3) == 0 {
				h.w.turn() // may have written something
			}
			if h.killHere() {
				whole++
			} else {
				torn++
			}
			if h.failed != nil {
				t.Fatalf("seed %d: %v", seed, h.failed)
			}
		}
		must(t, h.w.end())
		must(t, h.log.Ring().Close())
	}
	if whole == 0 || torn == 0 {
		t.Errorf("all was safe %d times, and not all %d times", whole, torn)
	}
	t.Logf("all was safe %d times, and not all %d times", whole, torn)
}

// newRinged begins a history whose log has a ring of the least size.
func newRinged(t *testing.T, seed uint64) *history {
	h := newHistory(t, seed, 2, EverySec)
	must(t, errors.Join(h.disk.MountMemory("/shm"), h.disk.SyncDir("/")))
	m := &Manifest{
		DirID: 0xabc, Databases: 16, Shards: 2, ReplID: strings.Repeat("a", 40),
		Incarnations: []Incarnation{{Number: 1, StartLSN: 1000}},
	}
	h.log = log.New(2, log.Limits{})
	h.log.SetIncarnation(1)
	h.log.SetLSN(1000)
	ring, err := log.CreateRing(log.RingOptions{FS: h.disk, Dir: "/shm", Identity: ringIdentity(m), SizeBytes: 1})
	must(t, err)
	h.log.UseRing(ring)
	hold := h.log.Resume()
	defer hold.Close()
	h.w = Open(Options{
		FS: h.disk, Dir: testDir, Name: testName, Log: h.log, DirID: m.DirID, Incarnation: 1, Policy: EverySec,
		Clock: clock.NewFake(1_700_000_000_000),
	})
	h.w.inPlace = true
	for i := range 2 {
		h.logs = append(h.logs, h.log.Shard(i))
	}
	must(t, h.w.Prepare(1))
	m.Add(IncrFiles(2, 1, 1, 1000, 1)...)
	must(t, m.Commit(h.disk, testDir, testName))
	h.manifest = m
	must(t, h.w.start(hold))
	return h
}

// bulk commits something that fills blocks.
func (h *history) bulk() {
	i := h.rnd.IntN(2)
	n := h.rnd.IntN(1_500_000)
	if h.rnd.IntN(2) == 0 {
		n = h.rnd.IntN(100)
	}
	pad := "p" + strings.Repeat("x", n)
	h.past = append(h.past, past{start: h.log.LSN()})
	p := &h.past[len(h.past)-1]
	var held []*log.ShardLog
	for j := range 2 {
		if j != i && h.rnd.IntN(3) > 0 {
			continue
		}
		o := op{[]int{j}, []string{"SET", fmt.Sprint(pad, j), fmt.Sprint(h.rnd.IntN(100))}}
		p.ops = append(p.ops, o)
		h.logs[j].Stage(0, []byte(o.args[0]), []byte(o.args[1]), []byte(o.args[2]))
		held = append(held, h.logs[j])
	}
	p.end = h.log.Commit(held, true)
}

// killHere ends the process at this moment, reports whether all was safe, and checks what is found.
func (h *history) killHere() (safe bool) {
	safe = h.log.AllSafe()
	disk := h.disk.Kill()
	ring, err := log.ReadRing(disk, log.RingName("/shm", 0xabc), ringIdentity(h.manifest))
	must(h.t, err)
	r, err := Recover(h.options(disk, ring))
	if err != nil {
		h.failed = err
		return safe
	}
	want := h.log.SafeLSN()
	if safe {
		want = h.log.LSN()
	}
	if r.EndLSN < want || !r.Killed {
		h.failed = fmt.Errorf("recovered to %d, safe was %d", r.EndLSN, want)
	}
	h.judge("killed", disk, r, expectation{promised: want, unsummed: true})
	return safe
}
