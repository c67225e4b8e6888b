package aof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// behindCase is an AOF whose process was killed when it had written and synced nearly all.
type behindCase struct {
	name     string
	policy   Policy
	shards   int
	ring     bool // there is one, which has what need not be on the disk yet
	unmarked bool // nothing tells what was synced, as in files of before there were marks
	spilled  bool // the ring has an older part and nothing of what came behind it, all of which was written
	stayed   bool // there is no ring, and the manifest says that the system goes on
}

// behindCases: what was synced is known by marks, or the ring tells that all the rest was written.
var behindCases = []behindCase{
	{name: "everysec", policy: EverySec, shards: 1, ring: true},
	{name: "everysec without a ring", policy: EverySec, shards: 1},
	{name: "everysec, three shards", policy: EverySec, shards: 3, ring: true},
	{name: "everysec, three shards, without a ring", policy: EverySec, shards: 3},
	{name: "always, two shards, without a ring", policy: Always, shards: 2},
	{name: "no marks", policy: EverySec, shards: 1, ring: true, unmarked: true},
	{name: "no marks, three shards", policy: EverySec, shards: 3, ring: true, unmarked: true},
	{name: "nothing is synced", policy: No, shards: 3, ring: true},
	{name: "a ring that was too small", policy: No, shards: 2, ring: true, spilled: true},
	{name: "no ring, the same boot", policy: EverySec, shards: 3, unmarked: true, stayed: true},
	{name: "no ring, nothing is synced, the same boot", policy: No, shards: 1, stayed: true},
	{name: "no ring, nothing is synced, three shards, the same boot", policy: No, shards: 3, stayed: true},
}

// behind makes the AOF of a case.
func (c *behindCase) make(t testing.TB, seed uint64) *history {
	h := newHistory(t, seed, c.shards, c.policy)
	h.unmarked, h.seeds = c.unmarked, 0
	h.start()
	for h.ring.Shards[0].Tail < 12<<10 {
		h.draw()
		if h.rnd.IntN(20) == 0 {
			h.clock.Advance(300 * time.Millisecond)
			h.turns()
		}
	}
	for range 2 { // the second turn says what the first one has synced also under always
		h.clock.Advance(time.Second)
		h.turns()
	}
	if !c.spilled {
		for range 5 { // what is in the ring alone
			h.draw()
		}
	}
	return h
}

// window returns what the ring has.
func (c *behindCase) window(h *history) *log.RingContent {
	if !c.spilled {
		return h.window(0)
	}
	ring := h.window(1 << 30)
	for i := range ring.Shards {
		s := &ring.Shards[i]
		data := h.ring.Shards[i].Ranges[0]
		third := len(data.Data) / 3
		s.Ranges = []log.RingRange{{Pos: data.Pos + uint64(third), Data: data.Data[third : 2*third]}}
	}
	return ring
}

// hurt damages a file's content from an offset on, and says how. reaches tells that nothing is left of its end.
func (h *history) hurt(data []byte) (what string, at int, damaged []byte, reaches bool) {
	damaged = slices.Clone(data)
	at = HeaderBytes + h.rnd.IntN(len(data)-HeaderBytes)
	n := min(1+h.rnd.IntN(300), len(data)-at)
	part := damaged[at : at+n]
	switch h.rnd.IntN(5) {
	case 0, 1:
		damaged[at] ^= 1 << h.rnd.IntN(8)
		return fmt.Sprintf("a bit at %d of %d", at, len(data)), at, damaged, false
	case 2:
		clear(part)
		return fmt.Sprintf("%d zeros at %d of %d", n, at, len(data)), at, damaged, at+n == len(data)
	case 3:
		for i := range part {
			part[i] = byte(1 + h.rnd.IntN(255))
		}
		return fmt.Sprintf("%d bytes of garbage at %d of %d", n, at, len(data)), at, damaged, false
	}
	return fmt.Sprintf("cut at %d of %d", at, len(data)), at, damaged[:at], true
}

// lastFrame returns where in a file the last frame begins.
func lastFrame(t testing.TB, fsys vfs.FS, path string) (offset int64) {
	r, err := OpenIncr(fsys, path)
	must(t, err)
	for at := r.Offset(); ; at = r.Offset() {
		if _, err := r.Next(); err == io.EOF {
			must(t, r.Close())
			return offset
		} else if err != nil {
			t.Fatal(err)
		}
		offset = at
	}
}

// check damages a file in many ways, one after the other. Each is refused, or nothing is missing: without a ring of
// what was synced, or written if the system goes on, and with one of all.
func (c *behindCase) check(
	t testing.TB, seed uint64, times int, change func(*RecoverOptions),
) (refused int, err error) {
	h := c.make(t, seed)
	h.change = change
	var ring *log.RingContent
	want := h.w.SyncedLSN()
	switch {
	case c.ring:
		ring, want = c.window(h), h.log.LSN()
	case c.stayed:
		want = h.w.WrittenLSN()
	}
	disk := h.disk.Crash(killed)
	for range times {
		f := h.manifest.Live(Incr)[h.rnd.IntN(c.shards)]
		path := f.Path(testDir, testName)
		data, err := disk.ReadFile(path)
		must(t, err)
		what, at, damaged, reaches := h.hurt(bytes.TrimRight(data, "\x00"))
		what = fmt.Sprintf("%s, seed %d: %s of %s", c.name, seed, what, path)
		if reaches && (c.unmarked || c.policy == No) {
			continue // the ring might as well have been too small for it, or the write have been broken off
		}
		last := lastFrame(t, disk, path)
		again := disk.Crash(vfstest.Outcome{})
		file, err := again.Create(path, 0o644)
		must(t, err)
		_, err = file.Write(append(damaged, make([]byte, max(0, len(data)-len(damaged)))...))
		must(t, errors.Join(err, file.Sync(), file.Close(), again.SyncDir(testDir)))
		o := h.options(again, ring)
		if c.stayed {
			o.Site = testSite
		}
		r, err := Recover(o)
		var corrupt *CorruptError
		if errors.As(err, &corrupt) {
			if refused++; corrupt.File == "" || !strings.Contains(err.Error(), "fulmen-check repair") {
				return refused, fmt.Errorf("%s: %w", what, err)
			}
			continue
		}
		if err != nil {
			return refused, fmt.Errorf("%s: %w", what, err)
		}
		if c.stayed && int64(at) >= last { // it may look like the beginning of what it was
			want := h.check(what, again, nil, expectation{stayed: true, unsummed: true})
			if h.failed != nil || want.EndLSN != r.EndLSN {
				return refused, cmp.Or(h.failed, fmt.Errorf("%s: not the same once more", what))
			}
			continue
		}
		if r.EndLSN < want {
			return refused, fmt.Errorf("%s: recovered to %d, and there was everything to %d", what, r.EndLSN, want)
		}
		if got, err := h.loaded(again, r.Manifest); err != nil || !maps.Equal(got, h.at(r.EndLSN)) {
			return refused, fmt.Errorf("%s: loaded something else (%w)", what, err)
		}
	}
	return refused, nil
}

// TestDamageBehind: what is damaged in the middle is no torn tail, however the files came to be.
func TestDamageBehind(t *testing.T) {
	for _, c := range behindCases {
		refused := 0
		for seed := range uint64(3) {
			n, err := c.check(t, seed, 300/stride(3), nil)
			if err != nil {
				t.Error(err)
				break
			}
			refused += n
		}
		if refused == 0 {
			t.Errorf("%s: no damage was refused", c.name)
		}
		t.Logf("%s: refused %d", c.name, refused)
	}
}

// TestBehindRingTooSmall: what the ring had no room for and no file had yet is no damage, wherever it was torn, also
// when a recovery that was broken off has written what the ring has.
func TestBehindRingTooSmall(t *testing.T) {
	for seed := range uint64(6) {
		c := behindCase{policy: No, shards: 1, ring: true}
		h := c.make(t, seed)
		written := int(h.w.streams[0].pos - h.ring.Shards[0].Ranges[0].Pos)
		for range 30 {
			h.draw()
		}
		all := h.ring.Shards[0].Ranges[0]
		ring := h.window(0)
		from := written + 1 + h.rnd.IntN(len(all.Data)-written-1)
		ring.Shards[0].Ranges[0] = log.RingRange{Pos: all.Pos + uint64(from), Data: all.Data[from:]}
		disk := h.disk.Crash(killed)
		file, err := disk.OpenWrite(h.manifest.Live(Incr)[0].Path(testDir, testName))
		must(t, err)
		torn := written + h.rnd.IntN(from-written) // a write that was broken off; one byte at least was not written
		_, err = file.WriteAt(all.Data[written:torn], HeaderBytes+int64(written))
		must(t, err)
		if seed%2 == 1 {
			_, err = file.WriteAt(all.Data[from:], HeaderBytes+int64(from))
			must(t, err)
		}
		must(t, errors.Join(file.Sync(), file.Close()))
		r := h.check(fmt.Sprintf("seed %d", seed), disk, ring, expectation{promised: h.w.WrittenLSN()})
		if h.failed != nil {
			t.Fatal(h.failed)
		}
		if !r.Killed || !r.Short {
			t.Errorf("seed %d: %+v", seed, r)
		}
	}
}

// wantRefused wants a fault of a recovery to be noticed in those of the cases that which chooses.
func wantRefused(t *testing.T, which func(*behindCase) bool, set func(*recoverPlant)) {
	t.Helper()
	for _, c := range behindCases {
		if !which(&c) {
			continue
		}
		_, err := c.check(t, 1, 300, func(o *RecoverOptions) { set(&o.plant) })
		if err == nil {
			t.Errorf("%s: the fault was not noticed", c.name)
		}
		t.Log(err)
	}
}

// TestFaultMarksIgnored: what marks tell of a hole does not count.
func TestFaultMarksIgnored(t *testing.T) {
	marked := func(c *behindCase) bool { return !c.unmarked && c.policy == EverySec }
	wantRefused(t, marked, func(p *recoverPlant) { p.markIgnored, p.behindIgnored = true, true })
}

// TestFaultBehindIgnored: nobody looks at what is behind a hole.
func TestFaultBehindIgnored(t *testing.T) {
	unmarked := func(c *behindCase) bool { return c.unmarked && c.policy == EverySec || c.stayed }
	wantRefused(t, unmarked, func(p *recoverPlant) { p.behindIgnored = true })
}

// TestFaultSiteIgnored: without a ring what a kill has left counts as what a power cut has.
func TestFaultSiteIgnored(t *testing.T) {
	stayed := func(c *behindCase) bool { return c.stayed }
	wantRefused(t, stayed, func(p *recoverPlant) { p.siteIgnored = true })
}

// TestFaultMarksNotPaid: what was synced is not noted in the files.
func TestFaultMarksNotPaid(t *testing.T) {
	c := behindCase{name: "unmarked", policy: EverySec, shards: 2, unmarked: true}
	_, err := c.check(t, 1, 300, nil)
	if err == nil {
		t.Error("the fault was not noticed")
	}
	t.Log(err)
}

// TestMarksArePaid: a while after the last sync all files say how far it has come, also under always, where that is not
// said with each sync, and nothing is committed any more.
func TestMarksArePaid(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec} {
		h := newHistory(t, 1, 2, policy)
		h.start()
		for range 3 {
			h.commit(op{[]int{0, 1}, []string{"GIVE", "n0:0", "n1:0"}})
			h.clock.Advance(300 * time.Millisecond)
			h.turns()
		}
		if h.w.SyncedLSN() != h.log.LSN() {
			t.Fatalf("%v: not all is synced", policy)
		}
		if wait := h.w.turn(); wait != forever { // nothing is left to be done but this
			h.clock.Advance(wait)
			h.turns()
		} else if policy == Always {
			t.Error("always: nobody comes back to the marks")
		}
		for _, f := range h.manifest.Live(Incr) {
			r, err := OpenIncr(h.disk, f.Path(testDir, testName))
			must(t, err)
			if r.Header.MarkLSN != h.w.SyncedLSN() {
				t.Errorf("%v: shard %d has a mark at %d, want %d", policy, f.Shard, r.Header.MarkLSN, h.w.SyncedLSN())
			}
			must(t, r.Close())
		}
	}
}

// TestKilledInAWrite breaks the last write to a file off at every byte, where there is no ring: that is no damage, and
// what was written before is there.
func TestKilledInAWrite(t *testing.T) {
	for _, policy := range []Policy{No, EverySec, Always} {
		c := behindCase{policy: policy, shards: 2, stayed: true}
		h := c.make(t, uint64(policy))
		before, want := h.disk.Crash(killed), h.w.WrittenLSN()
		for range 5 {
			h.draw()
		}
		h.turns()
		for shard := range h.shards {
			s := &h.ring.Shards[shard].Ranges[0]
			path := h.manifest.Live(Incr)[shard].Path(testDir, testName)
			had, err := before.ReadFile(path)
			must(t, err)
			from := len(bytes.TrimRight(had, "\x00")) - HeaderBytes
			for to := from; to <= len(s.Data); to++ {
				disk := before.Crash(killed)
				file, err := disk.OpenWrite(path)
				must(t, err)
				_, err = file.WriteAt(s.Data[from:to], HeaderBytes+int64(from))
				must(t, errors.Join(err, file.Close()))
				what := fmt.Sprintf("%v, shard %d, broken off at %d of %d", policy, shard, to-from, len(s.Data)-from)
				r := h.check(what, disk, nil, expectation{promised: want, unsummed: true, stayed: true})
				if h.failed != nil {
					t.Fatal(h.failed)
				}
				if !r.Killed {
					t.Fatalf("%s: %+v", what, r)
				}
			}
		}
	}
}

// TestOtherSite: without a ring, files that were copied, or are read after another start of the system, are what a
// power cut may have left: nothing is refused that a torn write explains.
func TestOtherSite(t *testing.T) {
	c := behindCase{policy: No, shards: 1, stayed: true}
	h := c.make(t, 1)
	path := h.manifest.Live(Incr)[0].Path(testDir, testName)
	data, err := h.disk.ReadFile(path)
	must(t, err)
	for _, site := range []Site{
		testSite, {}, {Boot: [16]byte{1}, Device: testSite.Device, Inode: testSite.Inode},
		{Boot: testSite.Boot, Device: 1, Inode: testSite.Inode},
		{Boot: testSite.Boot, Device: testSite.Device, Inode: 1},
	} {
		disk := h.disk.Crash(killed)
		file, err := disk.OpenWrite(path)
		must(t, err)
		_, err = file.WriteAt(make([]byte, 512), int64(len(data)/2))
		must(t, errors.Join(err, file.Close()))
		o := h.options(disk, nil)
		o.Site = site
		r, err := Recover(o)
		var corrupt *CorruptError
		if same := site == testSite; errors.As(err, &corrupt) != same || !same && (err != nil || r.Killed) {
			t.Errorf("%+v: %+v, %v", site, r, err)
		}
	}
}
