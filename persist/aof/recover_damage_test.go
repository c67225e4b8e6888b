package aof

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fulmen/persist/log"
	"fulmen/persist/vfs/vfstest"
)

// damage is an AOF of two shards whose first file is damaged in all kinds of ways.
type damage struct {
	*history
	all  uint64 // LSN where everything ends
	path string // of the first shard's file
	data []byte // what it holds

	// How often was it noticed, cut off, and without consequence.
	noticed, cut, harmless int
}

// newDamage makes an AOF whose files have at least so many bytes, and which has ended in one of endings.
func newDamage(t testing.TB, sizeBytes int, ending string) *damage {
	h := newHistory(t, 5, 2, EverySec)
	h.unmarked = ending == unmarked
	h.start()
	h.seeds = 0
	for h.ring.Shards[0].Tail < uint64(sizeBytes) || h.ring.Shards[1].Tail < uint64(sizeBytes) {
		h.draw()
		if h.rnd.IntN(20) == 0 {
			h.w.Sync(h.log.LSN())
			h.turns()
		}
	}
	ring := h.window(0)
	h.w.Sync(h.log.LSN())
	if ending == endedWell {
		must(t, h.w.end())
		h.manifest = h.manifest.Clone()
		h.manifest.End(h.log.LSN())
		must(t, h.manifest.Commit(h.disk, testDir, testName))
	} else {
		h.turns()
		h.ring = *ring
	}
	h.disk = h.disk.Crash(killed)
	d := &damage{history: h, all: h.log.LSN(), path: h.manifest.Live(Incr)[0].Path(testDir, testName)}
	data, err := h.disk.ReadFile(d.path)
	must(t, err)
	d.data = slices.Clip([]byte(strings.TrimRight(string(data), "\x00")))
	return d
}

// try puts data in place of the file, and wants the damage to be noticed, or something that was there once.
func (d *damage) try(what string, data []byte, ring *log.RingContent) {
	disk := d.disk.Crash(vfstest.Outcome{})
	f, err := disk.Create(d.path, 0o644)
	must(d.t, err)
	_, err = f.Write(data)
	must(d.t, errors.Join(err, f.Sync(), f.Close(), disk.SyncDir(testDir)))
	var corrupt *CorruptError
	r, err := Recover(d.options(disk, ring))
	var got state
	if err == nil {
		got, err = d.loaded(disk, r.Manifest)
	}
	switch {
	case errors.As(err, &corrupt):
		if corrupt.File == "" || corrupt.Reason == "" || !strings.Contains(err.Error(), "fulmen-check repair") {
			d.fail("%s: %v", what, err)
		}
		d.noticed++
	case err != nil:
		d.fail("%s: %v", what, err)
	case !maps.Equal(got, d.at(r.EndLSN)):
		d.fail("%s: recovered to %d of %d, state\n%v, want\n%v", what, r.EndLSN, d.all, got, d.at(r.EndLSN))
	case r.EndLSN == d.all:
		d.harmless++
	default:
		d.cut++
		if ring != nil || d.manifest.Last().State == Clean {
			d.fail("%s: what was there is lost: recovered to %d of %d", what, r.EndLSN, d.all)
		}
	}
}

func (d *damage) fail(format string, args ...any) {
	if d.failed == nil {
		d.failed = fmt.Errorf(format, args...)
	}
}

// end reports what has come of it.
func (d *damage) end(t *testing.T, what string) {
	t.Helper()
	if d.failed != nil {
		t.Fatalf("%s: %v", what, d.failed)
	}
	t.Logf("%s: noticed %d, cut %d, without consequence %d", what, d.noticed, d.cut, d.harmless)
}

// stride is one of how many cases is looked at: of so many, unless the test is to look at all.
func stride(of int) int {
	if *crashStates >= 20000 {
		of = 1
	}
	return of * raceShare
}

// endings are how the incarnation has ended whose file is damaged.
var endings = []string{"power cut", unmarked, wasKilled, endedWell}

const (
	unmarked  = "power cut before there was a mark"
	wasKilled = "killed"
	endedWell = "ended well"
)

// forEachEnding has fn damage the file after every kind of ending.
func forEachEnding(t *testing.T, sizeBytes int, fn func(d *damage, ring *log.RingContent)) {
	for _, ending := range endings {
		d := newDamage(t, sizeBytes, ending)
		var ring *log.RingContent
		if ending == wasKilled {
			ring = &d.ring
		}
		fn(d, ring)
		d.end(t, ending)
		if d.noticed+d.cut == 0 {
			t.Errorf("%s: no damage was noticed", ending)
		}
	}
}

// TestDamageTruncated cuts a file of 64 KiB at every byte.
func TestDamageTruncated(t *testing.T) {
	step := stride(97)
	forEachEnding(t, 64<<10, func(d *damage, ring *log.RingContent) {
		for n := 0; n < len(d.data); n += step {
			d.try(fmt.Sprint("cut to ", n), d.data[:n], ring)
		}
		if d.harmless > 0 && ring == nil {
			d.fail("%d cuts were not noticed", d.harmless)
		}
	})
}

// flips changes every bit of the file's first 4 KiB.
func (d *damage) flips(step int, ring *log.RingContent) {
	for bit := 0; bit < 8*min(len(d.data), 4<<10) && d.failed == nil; bit += step {
		changed := slices.Clone(d.data)
		changed[bit/8] ^= 1 << (bit % 8)
		d.try(fmt.Sprintf("bit %d of byte %d", bit%8, bit/8), changed, ring)
	}
}

func TestDamageBits(t *testing.T) {
	forEachEnding(t, 5<<10, func(d *damage, ring *log.RingContent) { d.flips(stride(13), ring) })
}

// TestFaultSumUnchecked: frames whose sums are wrong are taken. The damage test must notice.
func TestFaultSumUnchecked(t *testing.T) {
	for _, ending := range []string{unmarked, endedWell} {
		d := newDamage(t, 5<<10, ending)
		d.change = func(o *RecoverOptions) { o.plant.sumUnchecked = true }
		d.load = loadPlant{unchecked: true}
		d.flips(13, nil)
		if d.failed == nil {
			t.Error("the fault was not noticed")
		}
		t.Log(d.failed)
	}
}

// TestDamageTails puts something behind the last frame. It changes nothing.
func TestDamageTails(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	for _, ending := range endings {
		d := newDamage(t, 5<<10, ending)
		var ring *log.RingContent
		if ending == wasKilled {
			ring = &d.ring
		}
		for range 300 / stride(3) {
			n := 1 + rnd.IntN(1<<uint(1+rnd.IntN(17)))
			garbage := make([]byte, n)
			for i := range garbage {
				garbage[i] = byte(rnd.Uint32())
			}
			zeros := make([]byte, n)
			again := d.data[HeaderBytes+rnd.IntN(len(d.data)-HeaderBytes):]
			for _, tail := range [][]byte{
				zeros, garbage, again, append(slices.Clone(zeros), garbage...),
				append(slices.Clone(garbage), zeros...), d.data, []byte("*1\r\n$4\r\nPING\r\n"), d.data[HeaderBytes:],
			} {
				what := fmt.Sprintf("a tail of %d bytes: %.20q", len(tail), tail)
				d.try(what, append(slices.Clone(d.data), tail...), ring)
			}
		}
		d.end(t, ending)
		if d.cut > 0 || d.harmless == 0 || ending != wasKilled && d.noticed > 0 {
			t.Errorf("%s: noticed %d tails, and cut off %d with something else", ending, d.noticed, d.cut)
		}
	}
}

// TestTruncatedRefused: aof-load-truncated no refuses what it otherwise cuts off, and nothing but that.
func TestTruncatedRefused(t *testing.T) {
	d := newDamage(t, 5<<10, unmarked)
	for _, c := range []struct {
		name   string
		data   []byte
		refuse bool
	}{
		{"whole", d.data, false},
		{"zeros behind it", append(slices.Clone(d.data), make([]byte, 1000)...), false},
		{"cut", d.data[:len(d.data)-1], true},
		{"garbage behind it", append(slices.Clone(d.data), "garbage"...), true},
	} {
		disk := d.disk.Crash(vfstest.Outcome{})
		f, err := disk.Create(d.path, 0o644)
		must(t, err)
		_, err = f.Write(c.data)
		must(t, errors.Join(err, f.Sync(), f.Close()))
		o := d.options(disk, nil)
		o.Truncated = false
		_, err = Recover(o)
		var torn *TruncatedError
		if errors.As(err, &torn) != c.refuse || !c.refuse && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.refuse && (torn.File != d.path || !strings.HasPrefix(err.Error(), "Unexpected end of file reading the ")) {
			t.Errorf("%s: %v", c.name, err)
		}
		o.Truncated = true
		if r, err := Recover(o); err != nil || (len(r.Cuts) > 0) != c.refuse {
			t.Errorf("%s: then %v, %v", c.name, r, err)
		}
	}
}
