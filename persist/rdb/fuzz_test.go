package rdb

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/lzf"
	"fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// checker is a Builder that allocates nothing and holds what it gets to the promises made to one.
type checker struct {
	fault string
	form  Form
	begun bool
	last  stream.ID // of a stream's nodes
}

func (c *checker) check(ok bool, fault string) error {
	if !ok {
		c.fault = fault
	}
	return nil
}

func (c *checker) of(t object.Type) error {
	return c.check(c.begun && c.form.Type == t, "another type's method, or none has begun")
}

func (c *checker) Begin(f Form) error {
	err := c.check(!c.begun, "begun twice")
	c.form, c.begun = f, true
	return err
}
func (c *checker) String([]byte) error { return c.of(object.String) }
func (c *checker) Item([]byte) error   { return c.of(object.List) }
func (c *checker) Member([]byte) error { return c.of(object.Set) }
func (c *checker) Scored(_ []byte, score float64) error {
	if score != score {
		c.fault = "NaN"
	}
	return c.of(object.ZSet)
}
func (c *checker) Field(_, _ []byte, expireAtMs int64) error {
	if expireAtMs < 0 || expireAtMs > maxFieldExpiry {
		c.fault = "an expiry of a field"
	}
	return c.of(object.Hash)
}
func (c *checker) StreamNode(id stream.ID, node []byte, f *stream.Facts) error {
	if id.Less(c.last) {
		c.fault = "nodes in another order"
	}
	var r stream.Reader
	n := int64(0)
	for r.Open(node, id); r.Next(); {
		if !r.Deleted {
			n++
		}
	}
	if c.last = id; n != f.Count || n > 0 && f.Last.Less(f.First) {
		c.fault = "another number of entries"
	}
	return c.of(object.Stream)
}
func (c *checker) StreamInfo(in *object.StreamInfo) error {
	if in.LastID.Less(in.FirstID) {
		c.fault = "a last ID below that of an entry"
	}
	return c.of(object.Stream)
}
func (c *checker) Group([]byte, stream.ID, int64) error  { return c.of(object.Stream) }
func (c *checker) Pending(stream.ID, int64, int64) error { return c.of(object.Stream) }
func (c *checker) Consumer([]byte, int64) error          { return c.of(object.Stream) }
func (c *checker) Owned(stream.ID) error                 { return c.of(object.Stream) }

// taken is how many bytes f allocates.
func taken(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// allowance is how much memory an input may take: its strings once as they are and once unpacked, growing buffers,
// errors.
func allowance(n int) uint64 { return uint64(n)*(2*lzf.MaxRatio+8) + 6*windowSize }

// allowed are the errors that decoding may end with.
func allowed(err error) bool {
	var corrupt *CorruptError
	return err == nil || err == io.EOF || err == ErrEmpty || err == ErrUnsupported || err == ErrPayload ||
		errors.As(err, &corrupt)
}

// checkFile reads a file in a way that mode chooses and holds the outcome to what is promised.
func checkFile(t *testing.T, in []byte, mode byte) {
	var err error
	got := taken(func() {
		r := NewReaderOptions(bytes.NewReader(in), ReadOptions{SkipChecksum: true, Embedded: mode&4 != 0})
		for n := byte(0); err == nil; n++ {
			var e Event
			if e, err = r.Next(); err != nil || e.Kind != EventKey {
				continue
			}
			c := checker{}
			switch (mode + n) % 4 {
			case 0, 1:
				if err = r.Value(&c); err == ErrEmpty || err == ErrUnsupported {
					err = nil
				}
			case 2:
				err = r.Skip()
			}
			if c.fault != "" {
				t.Errorf("a Builder sees: %s", c.fault)
			}
			if r.Offset() > int64(len(in)) {
				t.Errorf("offset %d of %d", r.Offset(), len(in))
			}
		}
	})
	if !allowed(err) || err == ErrEmpty || err == ErrUnsupported || err == ErrPayload {
		t.Errorf("%v", err)
	}
	if got > allowance(len(in)) {
		t.Errorf("%d bytes are taken for %d", got, len(in))
	}
}

func FuzzReader(f *testing.F) {
	for _, path := range goldenFiles(f) {
		f.Add(readFile(f, path+".rdb"), byte(0))
	}
	f.Add([]byte(document), byte(1))
	for _, test := range valueTests() {
		if len(test.value) < 2000 {
			f.Add(file(11, string(test.rdbType)+"\x01k"+test.value), byte(0))
		}
	}
	f.Fuzz(checkFile)
}

func FuzzDecodeDump(f *testing.F) {
	for _, test := range valueTests() {
		if len(test.value) < 2000 {
			f.Add(test.rdbType, []byte(test.value))
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "redis-*", "*.dump"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		for line := range strings.Lines(string(readFile(f, path))) {
			_, quoted, _ := strings.Cut(strings.TrimSpace(line), " ")
			if b, err := strconv.Unquote(quoted); err == nil {
				f.Add(b[0], []byte(b[1:len(b)-dumpFooter]))
			}
		}
	}
	f.Fuzz(func(t *testing.T, rdbType byte, value []byte) {
		b := payload(rdbType, string(value))
		var c checker
		var err error
		got := taken(func() { err = DecodeDump(b, &c) })
		if !allowed(err) || err == io.EOF || err == ErrPayload || c.fault != "" {
			t.Errorf("%v, %s", err, c.fault)
		}
		if got > allowance(len(value)) {
			t.Errorf("%d bytes are taken for %d", got, len(b))
		}
		if _, ok := TypeOf(rdbType); ok && err == nil { // what is decoded can be skipped
			s := source{buf: value, end: len(value)}
			if err := s.skipValue(rdbType); err != nil || s.at != len(value) {
				panic("skipped otherwise than decoded")
			}
		}
		_ = checkDump(value)
		if err := DecodeDump(value, Discard{}); !allowed(err) {
			t.Error(err)
		}
	})
}

// TestForgedLengths: a length that nothing stands behind takes no memory, wherever it is.
func TestForgedLengths(t *testing.T) {
	for _, n := range []string{"\x80\xFF\xFF\xFF\xFF", "\x81\x00\x00\x00\xFF\xFF\xFF\xFF\xFF",
		"\x81\x3F\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
		"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"} {
		for rdbType := range byte(TypeHashListpackEx + 1) {
			if _, ok := TypeOf(rdbType); !ok && rdbType != TypeModule2 {
				continue
			}
			for _, value := range []string{n, n + n + n, "\xC3" + n + n, "\xC3\x01" + n + "\x00", ms(0) + n,
				"\x01" + n, "\x01\x02" + n, "\x01\x05" + n,
				n + strings.Repeat("\x01a", 1000), n + strings.Repeat("\x02", 300)} {
				checkFile(t, file(12, string(rdbType)+"\x01k"+value), 0)
				checkFile(t, file(12, string(rdbType)+"\x01k"+value), 2)
				b := payload(rdbType, value)
				if got := taken(func() { _ = DecodeDump(b, Discard{}) }); got > allowance(len(b)) {
					t.Errorf("type %d, %q: %d bytes are taken", rdbType, value, got)
				}
			}
		}
		for _, part := range []string{"\x00" + n, "\xFA" + n, "\xF5" + n, "\xF7" + n + n, "\xF8" + n + "\x00" + n} {
			checkFile(t, file(12, part), 0)
		}
	}
}

// TestLongStrings: strings longer than the window come in pieces, whatever pieces the input comes in.
func TestLongStrings(t *testing.T) {
	for _, n := range []int{windowSize - 30, windowSize - 6, windowSize, windowSize + 1, 4 * windowSize,
		4*windowSize + 1, 3 << 20, 9 << 20} {
		long := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		in := file(10, "\x00\x01a"+str(long), "\x04"+str(long)+"\x02"+str(long)+str(long)+str("f")+str("v"),
			"\x00\x01z\x01v")
		for _, step := range []int{1 << 30, 1000, windowSize - 1} {
			b := recorder{t: t}
			r := NewReader(&stepReader{in: in, step: step}, "")
			for _, want := range []string{"string " + quote([]byte(long)),
				"hash " + quote([]byte(long)) + "=" + quote([]byte(long)) + ` "f"="v"`, `string "v"`} {
				e, err := r.Next()
				if err != nil {
					t.Fatal(n, step, err)
				}
				b = recorder{t: t}
				if err := r.Value(&b); err != nil || b.text() != want {
					t.Fatalf("%d, step %d: %v, %s", n, step, err, b.text())
				}
				if e.Type == TypeHash && string(e.Key) != long {
					t.Errorf("%d, step %d: the key is no more what it was", n, step)
				}
			}
			if _, err := r.Next(); err != io.EOF {
				t.Fatal(n, step, err)
			}
		}
	}
}

// stepReader gives so many bytes at a time.
type stepReader struct {
	in   []byte
	step int
}

func (r *stepReader) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), r.step)], r.in)
	r.in = r.in[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestLongStringMemory: a long string takes hardly more than itself, and is let go.
func TestLongStringMemory(t *testing.T) {
	const n = 64 << 20
	in := file(10, "\x00\x01a"+str(strings.Repeat("x", n)), "\x00\x01z"+str(strings.Repeat("y", windowSize+1)))
	r := NewReader(bytes.NewReader(in), "")
	got := taken(func() {
		for range 2 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
			if err := r.Value(Discard{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got > 2*n+n/10 {
		t.Errorf("%d bytes are taken for one of %d", got, n)
	}
	if cap(r.s.long) > keepSize {
		t.Errorf("%d bytes are kept", cap(r.s.long))
	}
}
