package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"time"

	"fulmen/persist/log"
	"fulmen/persist/vfs/vfstest"
)

func testHeader() Header {
	return Header{
		DirID: 0xfedcba9876543210, Incarnation: 7, Shard: 3, Shards: 8, Seq: 12, Pos: 4096, LSN: 1000, MarkLSN: 2000,
	}
}

func TestHeaderText(t *testing.T) {
	h := testHeader()
	text := h.Append([]byte("before"))[len("before"):]
	want := "#Ia5ca68c6 01 fedcba9876543210 00000007 0003 0008 0000000c 0000000000001000 00000000000003e8\r\n" +
		"#Sd2fb44fd 00000000000007d0\r\n"
	if string(text) != want || len(text) != HeaderBytes {
		t.Errorf("%d bytes %q", len(text), text)
	}
	if got, err := ParseHeader("f", text); err != nil || got != h {
		t.Errorf("%+v, %v", got, err)
	}
	for i := range text {
		if _, err := ParseHeader("f", text[:i]); err != ErrNoHeader {
			t.Errorf("cut at %d: %v", i, err)
		}
		for bit := range 8 {
			damaged := bytes.Clone(text)
			damaged[i] ^= 1 << bit
			var corrupt *CorruptError
			if _, err := ParseHeader("f", damaged); !errors.As(err, &corrupt) || corrupt.File != "f" {
				t.Errorf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
	if _, err := ParseHeader("f", make([]byte, 1000)); err != ErrNoHeader {
		t.Errorf("zeros: %v", err)
	}
	for name, change := range map[string]func(h *Header){
		"no shards":       func(h *Header) { h.Shards = 0 },
		"too many shards": func(h *Header) { h.Shards = 257 },
		"shard":           func(h *Header) { h.Shard = 8 },
		"seq":             func(h *Header) { h.Seq = 0 },
		"mark":            func(h *Header) { h.MarkLSN = 999 },
	} {
		h := testHeader()
		change(&h)
		if _, err := ParseHeader("f", h.Append(nil)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	h.MarkLSN = 0
	if got, err := ParseHeader("f", h.Append(nil)); err != nil || got != h {
		t.Errorf("without a mark: %+v, %v", got, err)
	}
}

// incr is an INCR file and where its frames end.
type incr struct {
	data []byte
	ends []int // offsets behind each frame
	lsns []uint64
}

// newIncr has a Writer write a file of at least so many bytes, of frames of all kinds.
func newIncr(t testing.TB, size int) *incr {
	t.Helper()
	m := newDisk(t)
	x, err := newWorld(t, m, 3, EverySec, false)
	must(t, err)
	for i := 0; x.w.newBytes.Load() < int64(3*size); i++ {
		x.set(i%7*13, 1)
		if i%3 == 0 {
			x.set(5, 0, 1, 2)
		}
		if i%31 == 0 {
			x.set(i*17%3000, 1)
		}
		x.set(100, i%3)
		x.clock.Advance(time.Second)
		x.turns()
	}
	must(t, x.w.end())
	f := File{Kind: Incr, Shard: 1, Seq: 1, Format: FormatAOF}
	data, err := m.ReadFile(f.Path(testDir, testName))
	must(t, err)
	in := &incr{data: data}
	for at := HeaderBytes; at < len(data); {
		frame, n, err := log.DecodeFrame(data[at:])
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		at += n
		in.ends = append(in.ends, at)
		in.lsns = append(in.lsns, frame.End)
	}
	return in
}

// readOnly is a file in memory.
type readOnly struct{ *bytes.Reader }

func (r readOnly) Stat() (fs.FileInfo, error) { return size(r.Size()), nil }
func (readOnly) Close() error                 { return nil }

// size is a fs.FileInfo that knows nothing else.
type size int64

func (s size) Size() int64      { return int64(s) }
func (size) Name() string       { return "" }
func (size) Mode() fs.FileMode  { return 0 }
func (size) ModTime() time.Time { return time.Time{} }
func (size) IsDir() bool        { return false }
func (size) Sys() any           { return nil }

// read reads data as an INCR file: how many frames it has, all of which must be those of the original, and its tail.
func (in *incr) read(data []byte) (n int, tail Tail, err error) {
	r, err := newIncrReader(readOnly{bytes.NewReader(data)}, "f")
	if err != nil {
		return 0, tail, err
	}
	for {
		frame, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, tail, err
		}
		from := HeaderBytes
		if n > 0 {
			from = in.ends[n-1]
		}
		if n >= len(in.ends) || r.Offset() != int64(in.ends[n]) ||
			!bytes.Equal(frame.Line, in.data[from:from+len(frame.Line)]) ||
			!bytes.Equal(frame.Records, in.data[from+len(frame.Line):in.ends[n]]) {
			return 0, tail, fmt.Errorf("frame %d is wrong", n)
		}
		n++
	}
	if _, err := r.Next(); err != io.EOF {
		return 0, tail, fmt.Errorf("after the end: %v", err)
	}
	tail = r.Tail()
	want := Tail{Kind: tail.Kind, Offset: HeaderBytes, LSN: r.Header.LSN, Reason: tail.Reason,
		NextOffset: tail.NextOffset, NextLSN: tail.NextLSN}
	if n > 0 {
		want.Offset, want.LSN = int64(in.ends[n-1]), in.lsns[n-1]
	}
	want.Pos = r.Header.Pos + uint64(want.Offset-HeaderBytes)
	if tail != want || (tail.Kind == TailWhole) != (tail.Error("f") == nil) {
		return 0, tail, fmt.Errorf("tail %+v, want %+v", tail, want)
	}
	return n, tail, r.Close()
}

// TestReadCut cuts a file of 64 KiB at every byte.
func TestReadCut(t *testing.T) {
	in := newIncr(t, 64<<10)
	whole := 0
	for i := HeaderBytes; i <= len(in.data); i += raceShare {
		for whole < len(in.ends) && in.ends[whole] <= i {
			whole++
		}
		want := TailShort
		if i == HeaderBytes || whole > 0 && in.ends[whole-1] == i {
			want = TailWhole
		}
		n, tail, err := in.read(in.data[:i])
		if err != nil || n != whole || tail.Kind != want {
			t.Fatalf("cut at %d of %d: %d frames of %d, %+v, %v", i, len(in.data), n, whole, tail, err)
		}
	}
	if whole < 100 {
		t.Errorf("only %d frames", whole)
	}
}

// TestReadBits changes every bit of 4 KiB.
func TestReadBits(t *testing.T) {
	in := newIncr(t, 8<<10)
	frame := 0
	for i := HeaderBytes; i < 4<<10; i += raceShare {
		for in.ends[frame] <= i {
			frame++
		}
		for bit := range 8 {
			damaged := bytes.Clone(in.data)
			damaged[i] ^= 1 << bit
			n, tail, err := in.read(damaged)
			if err != nil || n != frame || tail.Kind != TailBad || tail.NextOffset != int64(in.ends[frame]) {
				t.Fatalf("bit %d of byte %d: %d frames of %d, %+v, %v", bit, i, n, frame, tail, err)
			}
		}
	}
}

// TestReadTails puts zeros and other things behind a file and in its place.
func TestReadTails(t *testing.T) {
	in := newIncr(t, 8<<10)
	all := len(in.ends)
	half := in.ends[all/2]
	zeroed := bytes.Clone(in.data)
	clear(zeroed[half+20:])
	sector := bytes.Clone(in.data)
	clear(sector[half : half+512])
	for _, c := range []struct {
		name string
		data []byte
		n    int
		kind TailKind
		next bool
	}{
		{"zeros", append(bytes.Clone(in.data), make([]byte, 300_000)...), all, TailWhole, false},
		{"a zero", append(bytes.Clone(in.data), 0), all, TailWhole, false},
		{"zeros and a byte", append(append(bytes.Clone(in.data), make([]byte, 300_000)...), 1), all, TailBad, false},
		{"garbage", append(bytes.Clone(in.data), "*1\r\n$4\r\nPING\r\n"...), all, TailBad, false},
		{"a # ", append(bytes.Clone(in.data), '#'), all, TailShort, false},
		{"frames again", append(bytes.Clone(in.data), in.data[HeaderBytes:]...), all, TailBad, false},
		{"zeros in a frame", zeroed, all/2 + 1, TailBad, false},
		{"a sector of zeros", sector, all/2 + 1, TailBad, true},
		{"nothing", in.data[:HeaderBytes], 0, TailWhole, false},
	} {
		n, tail, err := in.read(c.data)
		if err != nil || n != c.n || tail.Kind != c.kind || (tail.NextOffset > 0) != c.next {
			t.Errorf("%s: %d frames of %d, %+v, %v", c.name, n, c.n, tail, err)
		}
	}
}

// TestReadMisplaced reads frames of other files.
func TestReadMisplaced(t *testing.T) {
	in := newIncr(t, 4<<10)
	for name, change := range map[string]func(h *Header){
		"incarnation": func(h *Header) { h.Incarnation++ },
		"shard":       func(h *Header) { h.Shard = 5; h.Shards = 8 },
		"lsn":         func(h *Header) { h.LSN = in.lsns[len(in.lsns)-1]; h.MarkLSN = 0 },
	} {
		h, err := ParseHeader("f", in.data)
		must(t, err)
		change(&h)
		n, tail, err := in.read(append(h.Append(nil), in.data[HeaderBytes:]...))
		if name == "shard" { // plain frames don't say whose they are
			if err != nil || tail.Kind != TailBad || n > 10 {
				t.Errorf("%s: %d frames, %+v, %v", name, n, tail, err)
			}
			continue
		}
		if tail.Kind != TailBad || n != 0 {
			t.Errorf("%s: %d frames, %+v, %v", name, n, tail, err)
		}
	}
}

// TestFindGivesUp looks for a frame among what only looks like frames that go to the end of a big file.
func TestFindGivesUp(t *testing.T) {
	in := newIncr(t, 4<<10)
	line := fmt.Sprintf("#F00000000 %08x %016x %010x\r\n", 7, 1<<40, 800_000)
	data := append(bytes.Clone(in.data), 'x')
	data = append(data, bytes.Repeat([]byte(line), 40_000)...)
	n, tail, err := in.read(data)
	if err != nil || n != len(in.ends) || tail.Kind != TailBad || tail.NextOffset != 0 {
		t.Errorf("%d frames, %+v, %v", n, tail, err)
	}
}

// TestReadErrors has the disk fail while a file is read.
func TestReadErrors(t *testing.T) {
	in := newIncr(t, 4<<10)
	m := vfstest.NewMem()
	f, err := m.Create("f", 0o644)
	must(t, err)
	_, err = f.Write(append(bytes.Clone(in.data), "damage"...))
	must(t, err)
	for n := 1; ; n++ {
		hit := false
		inner := vfstest.FailAt(n, func(s vfstest.Step) bool { return !s.Changes() }, io.ErrNoProgress)
		tap := vfstest.NewTap(m, func(s vfstest.Step) error {
			err := inner(s)
			hit = hit || err != nil
			return err
		})
		r, err := OpenIncr(tap, "f")
		for err == nil {
			_, err = r.Next()
		}
		if !hit {
			if err != io.EOF {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, io.ErrNoProgress) {
			t.Fatalf("read %d fails: %v", n, err)
		}
	}
}

// FuzzIncr reads anything as an INCR file behind a right header.
func FuzzIncr(f *testing.F) {
	in := newIncr(f, 2<<10)
	f.Add(in.data[HeaderBytes:])
	f.Add(append(bytes.Clone(in.data[HeaderBytes:]), make([]byte, 100)...))
	header := in.data[:HeaderBytes]
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := append(bytes.Clone(header), data...)
		m := vfstest.NewMem()
		file, err := m.Create("f", 0o644)
		must(t, err)
		_, err = file.Write(whole)
		must(t, err)
		r, err := OpenIncr(m, "f")
		must(t, err)
		last := r.Header.LSN
		for {
			from := r.Offset()
			frame, err := r.Next()
			if err == io.EOF {
				break
			}
			must(t, err)
			got := append(bytes.Clone(frame.Line), frame.Records...)
			if frame.Start < last || !bytes.Equal(got, whole[from:r.Offset()]) {
				t.Fatalf("frame at %d: %+v", from, frame.Header)
			}
			last = frame.End
		}
		if tail := r.Tail(); tail.Offset > int64(len(whole)) || tail.NextOffset != 0 && tail.NextOffset <= tail.Offset {
			t.Errorf("%+v", tail)
		}
	})
}
