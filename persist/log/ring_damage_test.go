package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"fulmen/persist/vfs"
)

// imageFS has one file, which was made by CreateShared.
type imageFS struct {
	vfs.FS
	image []byte
	edits map[int]byte // that each byte is combined with, by xor
}

func (f imageFS) OpenPrivate(string) (vfs.Reader, error) {
	return imageReader{bytes.NewReader(f.image), imageInfo{size: int64(len(f.image))}, f.edits}, nil
}

type imageReader struct {
	*bytes.Reader
	info  imageInfo
	edits map[int]byte
}

func (r imageReader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := r.Reader.ReadAt(p, offset)
	for at, with := range r.edits {
		if i := at - int(offset); i >= 0 && i < n {
			p[i] ^= with
		}
	}
	return n, err
}

func (r imageReader) Stat() (fs.FileInfo, error) { return r.info, nil }
func (r imageReader) Close() error               { return nil }

type imageInfo struct {
	fs.FileInfo
	size int64
}

func (i imageInfo) Size() int64 { return i.size }

// leftRing returns the file of a ring of two shards and four blocks, all in use, and what was published.
func leftRing(t testing.TB) ([]byte, *ringLog, ringLayout) {
	t.Helper()
	m, r := memRing(t, 2, 4)
	rl := newRingLog(t, r, 2)
	random := rand.New(rand.NewPCG(5, 5))
	for r.idleBlocks() > 0 {
		s := rl.Shard(random.IntN(2))
		s.Stage(0, setName, benchKey, make([]byte, random.IntN(300_000)))
		s.Commit(false)
	}
	rl.note()
	image, err := m.ReadFile(r.Name())
	if err != nil {
		t.Fatal(err)
	}
	return image, rl, r.layout
}

func (rl *ringLog) read(image []byte) error {
	c, err := ReadRing(imageFS{image: image}, "ring", ringIdentity(2))
	if err != nil {
		return err
	}
	return rl.check(c, []uint64{0, 0})
}

// TestRingDamage changes every bit of what describes a ring.
func TestRingDamage(t *testing.T) {
	image, rl, layout := leftRing(t)
	if err := rl.read(image); err != nil {
		t.Fatal(err)
	}
	stale := map[int]bool{} // bytes whose change makes it one of another kind
	for i := range 4 {
		stale[layout.header()+offVersion+i] = true
	}
	var at []int
	for i := range headerEnd {
		at = append(at, layout.header()+i)
	}
	for i := range 2 {
		for j := range 8 {
			at = append(at, layout.tail(i)+j)
		}
	}
	for i := range layout.blocks * entryBytes {
		at = append(at, layout.entry(0)+i)
	}
	for _, i := range at {
		for bit := range 8 {
			image[i] ^= 1 << bit
			err := rl.read(image)
			var ring *RingError
			if !errors.As(err, &ring) || ring.Stale != stale[i] {
				t.Errorf("byte %d of %d, bit %d: %v", i, len(image), bit, err)
			}
			image[i] ^= 1 << bit
		}
	}
	for shard := range 2 {
		tail := image[layout.tail(shard):][:8]
		was := slices.Clone(tail)
		for _, word := range []uint64{0, 1, 1 << 63, ^uint64(0), 4096, 1 << 20, 0x5555555555555555} {
			binary.NativeEndian.PutUint64(tail, word)
			var ring *RingError
			if err := rl.read(image); !errors.As(err, &ring) || ring.Stale {
				t.Errorf("a tail of %x: %v", word, err)
			}
		}
		copy(tail, was)
	}
}

// TestRingTorn has the file end early, and its header missing.
func TestRingTorn(t *testing.T) {
	image, rl, layout := leftRing(t)
	for _, size := range []int{1, 100, headerBytes - 1, headerBytes, blockBytes, layout.tail(1), layout.header(),
		layout.header() + 1, len(image) - headerBytes, len(image) - 1, len(image) + 1, len(image) + headerBytes} {
		torn := append(slices.Clone(image), make([]byte, headerBytes)...)[:size]
		var ring *RingError
		if err := rl.read(torn); !errors.As(err, &ring) {
			t.Errorf("%d of %d bytes: %v", size, len(image), err)
		}
	}
	for _, unfinished := range [][]byte{nil, make([]byte, len(image))} {
		var ring *RingError
		if err := rl.read(unfinished); !errors.As(err, &ring) || !ring.Stale {
			t.Errorf("%d zero bytes: %v", len(unfinished), err)
		}
	}
	clear(image[layout.header():][:8]) // all but the magic is there
	var ring *RingError
	if err := rl.read(image); !errors.As(err, &ring) || !ring.Stale {
		t.Errorf("without magic: %v", err)
	}
}

// TestRingOverlap has two blocks claim the same positions, with entries that are right in themselves.
func TestRingOverlap(t *testing.T) {
	image, rl, layout := leftRing(t)
	base := binary.NativeEndian.Uint64(image[layout.entry(0):])
	shard := int(uint32(binary.NativeEndian.Uint64(image[layout.entry(0)+8:]))) - 1
	binary.NativeEndian.PutUint64(image[layout.entry(3):], base+1)
	binary.NativeEndian.PutUint64(image[layout.entry(3)+8:], entryWord(3, base+1, shard))
	var ring *RingError
	if err := rl.read(image); !errors.As(err, &ring) || ring.Stale {
		t.Errorf("overlapping blocks: %v", err)
	}
}

// FuzzReadRing changes some bytes of a ring, five bytes of input each: where, which counts back from the end, and what.
func FuzzReadRing(f *testing.F) {
	image, rl, layout := leftRing(f)
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 1})
	for _, at := range []int{layout.header(), layout.header() + offBlocks, layout.tail(0), layout.entry(2), 17} {
		f.Add(append(binary.BigEndian.AppendUint32(nil, uint32(len(image)-at)), 0x80))
	}
	f.Fuzz(func(t *testing.T, edits []byte) {
		changed := imageFS{image: image, edits: map[int]byte{}}
		for ; len(edits) >= 5; edits = edits[5:] {
			back := int(binary.BigEndian.Uint32(edits)) % (len(image) + headerBytes)
			if back == 0 {
				changed.image = changed.image[:len(changed.image)*int(edits[4])/255] // a shorter file
			} else {
				changed.edits[len(changed.image)-back] ^= edits[4]
			}
		}
		c, err := ReadRing(changed, "ring", ringIdentity(2))
		if err != nil {
			var ring *RingError
			if !errors.As(err, &ring) {
				t.Fatal(err)
			}
			return
		}
		for i := range c.Shards {
			if err := sameFrames(&c.Shards[i], rl.frames[i].bytes); err != nil {
				t.Fatalf("shard %d: %v", i, err)
			}
		}
	})
}

// sameFrames checks that frames which can be read from s are those of want, at their positions.
func sameFrames(s *RingShard, want []byte) error {
	data, _ := s.From(0)
	for pos := 0; pos < min(len(data), len(want)); {
		f, n, err := DecodeFrame(data[pos:])
		if n == 0 || err != nil {
			return nil // noticed, or cut
		}
		if pos+n > len(want) || !bytes.Equal(want[pos:pos+n], data[pos:pos+n]) {
			return fmt.Errorf("a frame [%d, %d) at %d that nobody wrote", f.Start, f.End, pos)
		}
		pos += n
	}
	return nil
}
