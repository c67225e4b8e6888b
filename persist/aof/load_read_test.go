package aof

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"fulmen/internal/resp"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// laneFile is the only file of an AOF of one shard.
type laneFile struct {
	manifest *Manifest
	offsets  []int64  // of its frames
	ends     []uint64 // LSN
	data     []byte
}

// newLaneFile makes a file of so many frames with a SET each, the value of one of which has 5,000 bytes.
func newLaneFile(t *testing.T, frames int) *laneFile {
	l := log.New(1, log.Limits{})
	hold := l.Resume()
	defer hold.Close()
	flow, err := hold.Flow(0, nil)
	must(t, err)
	defer flow.Close()
	h := Header{DirID: 1, Shards: 1, Seq: 1, Pos: 7}
	x := &laneFile{data: h.Append(nil)}
	for i := range frames {
		value := strings.Repeat("v", i%7)
		if i == frames/3 {
			value = strings.Repeat("v", 5000)
		}
		l.Shard(0).Stage(0, []byte("SET"), fmt.Append(nil, i), []byte(value))
		x.ends = append(x.ends, l.Shard(0).Commit(true))
		f, ok := flow.Next()
		if !ok {
			t.Fatal("no frame")
		}
		x.offsets = append(x.offsets, int64(len(x.data)))
		x.data = f.Append(x.data)
	}
	x.manifest = &Manifest{
		DirID: 1, Databases: 16, Shards: 1, ReplID: strings.Repeat("a", 40),
		Incarnations: []Incarnation{{EndLSN: l.LSN(), State: Clean}},
	}
	x.manifest.Add(IncrFiles(1, 1, 0, 0, 1)...)
	return x
}

// inOrder is an Applier that wants the keys 0, 1, 2 … and fails at one of them. Every so many
// keys one gets an error as its reply.
type inOrder struct {
	commands, failAt int
	refuse           int // 0: none
}

var errTest = errors.New("as the test wants it")

// Apply implements Applier.
func (a *inOrder) Apply(_ int, parts [][]byte) (done, n int, err error) {
	for i, part := range parts {
		err := log.ForEachIn(part, func(args [][]byte) error {
			if want := fmt.Sprint(a.commands); string(args[1]) != want {
				return fmt.Errorf("key %s, want %s", args[1], want)
			}
			if a.commands == a.failAt {
				return errTest
			}
			a.commands++
			if a.refuse > 0 && a.commands%a.refuse == 0 {
				return resp.Errorf("ERR", "refused")
			}
			n++
			return nil
		})
		if err != nil {
			return i, n, err
		}
	}
	return len(parts), n, nil
}

// TestLoadFailsInTheMiddle: whatever is wrong, and wherever, everything before it is executed and nothing behind it;
// the error is the first one in the order of the file, and says where; no goroutine is left, whether the lane reads
// ahead or not.
func TestLoadFailsInTheMiddle(t *testing.T) {
	defer goleak.VerifyNone(t)
	const frames = 400
	x := newLaneFile(t, frames)
	for at := 1; at < frames; at += 13 {
		offset, before := fmt.Sprint("offset ", x.offsets[at]), fmt.Sprint("the frame at offset ", x.offsets[at-1])
		flipped := append([]byte(nil), x.data...)
		flipped[x.offsets[at]+60] ^= 1
		resealed := append([]byte(nil), x.data...)
		record := x.offsets[at] + 49
		resealed[record] = '!'
		sealFrames(resealed[HeaderBytes:])
		for _, c := range []struct {
			what   string
			data   []byte
			failAt int
			error  error
			text   string
			end    uint64 // of the incarnation; 0: that of all frames
		}{
			{"damaged", flipped, -1, nil, offset + ": checksum mismatch", 0},
			{"damaged behind an error", flipped, at - 1, errTest, before, 0},
			{"cut", x.data[:record+1], -1, io.ErrUnexpectedEOF, offset + ": the file ends in the middle of a frame", 0},
			{"not executed", x.data, at, errTest, "the frame at " + offset + ": " + errTest.Error(), 0},
			{"not executed, and cut there", x.data[:record+1], at - 1, errTest, before, 0},
			{"half beyond the end", x.data, -1, nil, offset + ": a commit that lies half", x.ends[at] - 1},
			{"no record", resealed, -1, nil, offset + ": a record that can't be read", 0},
		} {
			want := at
			if c.failAt >= 0 {
				want = c.failAt
			}
			for _, ahead := range []bool{false, true} {
				for _, atOnce := range []int64{300, 3000, 0} {
					a := &inOrder{failAt: c.failAt}
					x.manifest.Incarnations[0].EndLSN = cmp.Or(c.end, x.ends[frames-1])
					err := x.load(t, c.data, a, ahead, atOnce)
					right := err != nil && strings.Contains(err.Error(), c.text)
					if !right || c.error != nil && !errors.Is(err, c.error) {
						t.Fatalf("%s at %d, ahead %t, %d at once: %v, want %q", c.what, at, ahead, atOnce, err, c.text)
					}
					if a.commands != want {
						t.Fatalf("%s at %d, ahead %t, %d at once: %d commands, want %d (%v)", c.what, at, ahead, atOnce,
							a.commands, want, err)
					}
				}
			}
		}
	}
}

// load loads data in the file's place.
func (x *laneFile) load(t *testing.T, data []byte, a Applier, ahead bool, atOnce int64) error {
	disk := newDisk(t)
	x.put(t, disk, data)
	var p LoadProgress
	err := Load(&LoadOptions{
		FS: disk, Dir: testDir, Name: testName, Manifest: x.manifest, Applier: a, ahead: &ahead, atOnce: atOnce,
	}, &p)
	if err == nil && (p.ReadBytes.Load() != int64(len(data)) || p.Commands.Load() != int64(len(x.offsets))) {
		t.Errorf("progress: %d of %d bytes, %d commands", p.ReadBytes.Load(), len(data), p.Commands.Load())
	}
	return err
}

func (x *laneFile) put(t *testing.T, fsys vfs.FS, data []byte) {
	f, err := fsys.Create(x.manifest.Files[0].Path(testDir, testName), 0o644)
	must(t, err)
	_, err = f.Write(data)
	must(t, errors.Join(err, f.Close()))
}

// TestLoadReadsAll: whatever the batches, all is executed in order.
func TestLoadReadsAll(t *testing.T) {
	defer goleak.VerifyNone(t)
	x := newLaneFile(t, 1000)
	for atOnce := int64(200); atOnce < 80_000; atOnce += atOnce / 3 {
		for _, ahead := range []bool{false, true} {
			must(t, x.load(t, x.data, &inOrder{failAt: -1}, ahead, atOnce))
		}
	}
}

// TestLoadReadError: an error of the disk counts when everything before it is executed, and doesn't hang a lane.
func TestLoadReadError(t *testing.T) {
	defer goleak.VerifyNone(t)
	x := newLaneFile(t, 1000)
	disk := newDisk(t)
	x.put(t, disk, x.data)
	for at := int64(HeaderBytes); at < int64(len(x.data)); at += 4999 {
		for _, ahead := range []bool{false, true} {
			a := &inOrder{failAt: -1}
			err := Load(&LoadOptions{
				FS: badSectors{disk, at}, Dir: testDir, Name: testName, Manifest: x.manifest, Applier: a, ahead: &ahead,
				atOnce: 1000,
			}, &LoadProgress{})
			if !errors.Is(err, errTest) {
				t.Fatal(at, err)
			}
			next := x.offsets[a.commands]
			if next > at || at-next > 1000+5100 {
				t.Fatalf("bad from %d, executed up to %d", at, next)
			}
		}
	}
}

// badSectors is a disk whose files can't be read behind an offset.
type badSectors struct {
	*vfstest.Mem
	from int64
}

// Open implements vfs.FS.
func (b badSectors) Open(name string) (vfs.Reader, error) {
	f, err := b.Mem.Open(name)
	return badReader{f, b.from}, err
}

type badReader struct {
	vfs.Reader
	from int64
}

// ReadAt implements io.ReaderAt.
func (b badReader) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > b.from {
		return 0, errTest
	}
	return b.Reader.ReadAt(p, at)
}

// TestAheadIsBounded: no batch is filled while all are in use, or while a big one is.
func TestAheadIsBounded(t *testing.T) {
	defer goleak.VerifyNone(t)
	const batches = 500
	var used atomic.Int64
	filled := int64(0)
	a := newAhead(true, func(b *int64) (last, big bool) {
		if filled-used.Load() >= batchesAhead {
			t.Errorf("%d batches are filled and %d used", filled, used.Load())
		}
		if filled%5 == 4 && used.Load() < filled {
			t.Errorf("batch %d is filled beside a big one", filled)
		}
		filled++
		*b = filled
		return filled == batches, filled%5 == 4
	})
	for i := range int64(batches) {
		if b := a.next(); *b != i+1 {
			t.Fatalf("batch %d, want %d", *b, i+1)
		}
		runtime.Gosched()
		used.Add(1)
	}
	a.stop()
}
