package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// spoolWorld is a log of one shard that spools may have.
type spoolWorld struct {
	t      *testing.T
	log    *log.Log
	hold   *log.Hold
	from   uint64
	spools *Spools
	failed atomic.Pointer[error]
}

func newSpoolWorld(t *testing.T, fsys vfs.FS) *spoolWorld {
	w := &spoolWorld{t: t, log: log.New(1, log.Limits{})}
	w.hold = w.log.Attach()
	w.from = w.hold.LSN()
	w.spools = NewSpools(fsys, func() string { return t.TempDir() + "/spool" },
		func(err error) { w.failed.Store(&err) })
	return w
}

// write commits a SET of so many bytes.
func (w *spoolWorld) write(n int) {
	w.log.Shard(0).Stage(0, []byte("SET"), []byte("k"), bytes.Repeat([]byte{'v'}, n))
	w.log.Commit([]*log.ShardLog{w.log.Shard(0)}, false)
}

// all returns the stream from the hold on.
func (w *spoolWorld) all() []byte {
	w.t.Helper()
	m, err := w.hold.Merged(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer m.Close()
	return m.Append(nil, 1<<30)
}

// soon waits for something that another goroutine does.
func (w *spoolWorld) soon(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("not in time: " + what)
		}
	}
}

// TestSpool: a source that is shed, and one of a pin, have the same bytes as the log, from the file and then from
// memory; the file ends with the last of those who need it, and never has a name.
func TestSpool(t *testing.T) {
	w := newSpoolWorld(t, vfs.OS{})
	stream := LogStream{Log: w.log, Archive: w.spools}
	src, err := stream.Open(w.from, func() {})
	if err != nil {
		t.Fatal(err)
	}
	pin := &logPin{hold: w.log.Resume(), stream: stream}
	pinned := pin.hold.LSN()
	for range 30 {
		w.write(1 << 18)
	}
	src.Shed(w.spools, 1<<20)
	pin.Shed(w.spools, 1<<20)
	if src.HeldBytes() != 0 || pin.HeldBytes() != 0 || !src.OnDisk() {
		t.Errorf("memory is kept: %d, %d, on disk: %v", src.HeldBytes(), pin.HeldBytes(), src.OnDisk())
	}
	for range 30 {
		w.write(1 << 18)
	}
	want := w.all()
	other, err := pin.Open(func() {})
	if err != nil {
		t.Fatal(err)
	}
	pin.Close()
	for i, s := range []Source{src, other} {
		from := []uint64{w.from, pinned}[i]
		got := []byte(nil)
		w.soon("everything is read", func() bool {
			if got, err = s.Append(got, 1<<20); err != nil {
				t.Fatal(err)
			}
			return len(got) >= len(want)-int(from-w.from)
		})
		if !bytes.Equal(got, want[from-w.from:]) {
			t.Errorf("source %d has another stream of %d bytes", i, len(got))
		}
		w.soon("it is in memory", func() bool {
			got, err = s.Append(nil, 1)
			return err == nil && len(got) == 0 && !s.OnDisk()
		})
	}
	w.write(10)
	for _, s := range []Source{src, other} {
		if got, err := s.Append(nil, 1<<20); err != nil || !strings.Contains(string(got), "vvvvvvvvvv") {
			t.Errorf("%q, %v", got, err)
		}
		s.Close()
	}
	w.spools.Close()
	if w.spools.Bytes() != 0 || w.failed.Load() != nil {
		t.Errorf("%d bytes are left, %v", w.spools.Bytes(), w.failed.Load())
	}
}

// TestSpoolEnds: a spool that is full, or can't be written, says why, and its reader comes to an end behind what there
// is; without room none begins, and memory is kept as it was.
func TestSpoolEnds(t *testing.T) {
	full := vfstest.NewTap(vfs.OS{}, func(s vfstest.Step) error {
		if s.Op == "writeat" {
			return syscall.ENOSPC
		}
		return nil
	})
	for what, fsys := range map[string]vfs.FS{"limit": vfs.OS{}, "disk": full} {
		w := newSpoolWorld(t, fsys)
		if what == "limit" {
			w.spools.SetLimit(1 << 20)
		}
		src, err := LogStream{Log: w.log, Archive: w.spools}.Open(w.from, func() {})
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			w.write(1 << 18)
		}
		src.Shed(w.spools, 1)
		if !src.OnDisk() {
			t.Fatal("it is not on disk")
		}
		w.hold.Close()
		w.soon("the spool ends", func() bool { return w.failed.Load() != nil })
		got := []byte(nil)
		w.soon("the reader ends", func() bool {
			got, err = src.Append(got, 1<<20)
			return err != nil
		})
		if err != log.ErrTrimmed {
			t.Errorf("%s: %v", what, err)
		}
		w.soon("it says why", func() bool { return w.failed.Load() != nil }) // first it takes no more readers
		if what == "disk" && !errors.Is(*w.failed.Load(), syscall.ENOSPC) {
			t.Error(*w.failed.Load())
		}
		src.Close()
		w.spools.Close()
	}
	w := newSpoolWorld(t, vfs.OS{})
	w.spools.SetLimit(0)
	src, err := LogStream{Log: w.log, Archive: w.spools}.Open(w.from, func() {})
	if err != nil {
		t.Fatal(err)
	}
	w.write(1000)
	src.Shed(w.spools, 1)
	if src.OnDisk() || src.HeldBytes() == 0 {
		t.Error("a spool begins where there is room for none")
	}
	if got, err := src.Append(nil, 1<<20); err != nil || !bytes.Equal(got, w.all()) {
		t.Error("the stream in memory is another one")
	}
}

// TestOverflow: what comes out is what went in, whatever is slower, and what was in files is freed.
func TestOverflow(t *testing.T) {
	for _, limit := range []int64{0, 8 << 20, 1 << 40} {
		w := newSpoolWorld(t, vfs.OS{})
		w.spools.SetLimit(limit)
		q := NewOverflow(w.spools, OverflowBytes)
		in := q.Reader()
		piece := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 100_000+i) }
		const pieces = 300
		spilled, read := make(chan struct{}), make(chan error, 1)
		go func() {
			if limit > 0 {
				<-spilled
			}
			at := 0
			var rest []byte
			for {
				p, err := in.Next()
				if err != nil {
					if at != pieces || len(rest) > 0 || err != io.EOF {
						err = fmt.Errorf("ends behind %d pieces and %d bytes: %w", at, len(rest), err)
					} else {
						err = nil
					}
					read <- err
					return
				}
				rest = append(rest, p...)
				for at < pieces && bytes.HasPrefix(rest, piece(at)) {
					rest = rest[len(piece(at)):]
					at++
				}
			}
		}()
		for i := range pieces {
			if _, err := q.Write(piece(i)); err != nil {
				t.Fatal(err)
			}
			if i == 100 { // 20 MB
				close(spilled)
				if got := w.spools.Bytes(); (got > 0) != (limit > 0) || got > limit {
					t.Errorf("limit %d: %d bytes are in files", limit, got)
				}
			}
		}
		q.CloseWrite()
		if err := <-read; err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
		if err := q.Close(); err != nil || w.spools.Bytes() != 0 {
			t.Errorf("limit %d: %d bytes are left, %v", limit, w.spools.Bytes(), err)
		}
		q.Fail(syscall.EPIPE)
		if _, err := q.Write(nil); err != syscall.EPIPE {
			t.Error(err)
		}
	}
}

// TestOverflowWithoutDisk: where the disk takes nothing the writer waits for the reader, who gets everything, and Close
// says why.
func TestOverflowWithoutDisk(t *testing.T) {
	w := newSpoolWorld(t, vfstest.NewTap(vfs.OS{}, func(s vfstest.Step) error {
		if s.Op == "writeat" {
			return syscall.ENOSPC
		}
		return nil
	}))
	q := NewOverflow(w.spools, OverflowBytes)
	in := q.Reader()
	const pieces, pieceBytes = 40, 1 << 20
	wrote := make(chan error, 1)
	go func() {
		for i := range pieces {
			if _, err := q.Write(bytes.Repeat([]byte{byte(i)}, pieceBytes)); err != nil {
				wrote <- err
				return
			}
		}
		q.CloseWrite()
		wrote <- nil
	}()
	w.soon("the disk was tried", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.fileErr != nil
	})
	for i := range pieces {
		if p, err := in.Next(); err != nil || !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, pieceBytes)) {
			t.Fatalf("piece %d: %v", i, err)
		}
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if _, err := in.Next(); err != io.EOF {
		t.Error(err)
	}
	if err := q.Close(); !errors.Is(err, syscall.ENOSPC) || w.spools.Bytes() != 0 {
		t.Errorf("%d bytes are left, %v", w.spools.Bytes(), err)
	}
	w.hold.Close()
	w.spools.Close()
}

// TestSpoolIsWrittenOver: readers that stay a little behind need no more room than that, however much they are sent,
// and get the stream as it is.
func TestSpoolIsWrittenOver(t *testing.T) {
	w := newSpoolWorld(t, vfs.OS{})
	const limit = 6 * spoolSegment
	w.spools.SetLimit(limit)
	mem, err := w.log.Merged(w.from, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.spools.Take(mem)
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.spools.Open(w.from)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	readers, at := []ArchiveReader{first, second}, []uint64{w.from, w.from}
	var want []byte // of the stream, from the LSN from on
	from := w.from
	behind, err := w.hold.Merged(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	w.hold.Close()
	for n := 0; n < 40*spoolSegment; {
		size := 1 + rnd.IntN(spoolPieceBytes)
		w.write(size)
		n += size
		want = behind.Append(want, 1<<30)
		w.soon("it is written", func() bool {
			to, more := first.Written()
			return !more || to == behind.LSN()
		})
		for i, r := range readers {
			for behind.LSN()-at[i] > uint64(rnd.IntN(4*spoolSegment)) {
				got, err := r.Append(nil, 1+rnd.IntN(2*spoolSegment))
				if err != nil || len(got) == 0 {
					t.Fatalf("reader %d at %d: %d bytes, %v", i, at[i], len(got), err)
				}
				if !bytes.Equal(got, want[at[i]-from:][:len(got)]) {
					t.Fatalf("reader %d has something else in the %d bytes from %d on", i, len(got), at[i])
				}
				at[i] += uint64(len(got))
			}
		}
		gone := min(at[0], at[1]) - from
		want, from = want[gone:], from+gone
	}
	if bytes := w.spools.Bytes(); bytes > limit || w.failed.Load() != nil {
		t.Errorf("the file has %d bytes of %d", bytes, limit)
	}
	if _, err := w.spools.Open(w.from); err != log.ErrTrimmed {
		t.Errorf("what was written over can be read: %v", err)
	}
	first.Close()
	second.Close()
	w.spools.Close()
	if w.spools.Bytes() != 0 {
		t.Errorf("%d bytes are left", w.spools.Bytes())
	}
}

// readsAll has a reader read a queue to its end, slowly or not, and fails the test unless that is text.
func (w *spoolWorld) readsAll(in *OverflowReader, slow bool, text []byte) {
	defer in.Close()
	var got []byte
	for {
		p, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			w.t.Error(err)
			return
		}
		if got = append(got, p...); slow && len(got)%7 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if !bytes.Equal(got, text) {
		w.t.Errorf("%d bytes come out, not the %d that were written", len(got), len(text))
	}
}

// TestOverflowForSeveral: each reader gets everything at its own pace, whatever another one does that reads nothing.
func TestOverflowForSeveral(t *testing.T) {
	w := newSpoolWorld(t, vfs.OS{})
	rnd := rand.New(rand.NewPCG(1, 2))
	w.spools.SetLimit(queueShare * 4 << 20)
	for round := range 30 {
		q := NewOverflow(w.spools, 100_000)
		text := make([]byte, rnd.IntN(3<<20))
		for i := range text {
			text[i] = byte(rnd.Uint32())
		}
		hung := q.Reader()
		var reading sync.WaitGroup
		for i := range 3 {
			in := q.Reader()
			reading.Go(func() { w.readsAll(in, i == 1, text) })
		}
		for rest := text; len(rest) > 0; {
			n := min(len(rest), rnd.IntN(60_000))
			if _, err := q.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		q.CloseWrite()
		reading.Wait()
		hung.Close()
		if err := q.Close(); err != nil || w.spools.Bytes() != 0 {
			t.Errorf("round %d: %d bytes are left, %v", round, w.spools.Bytes(), err)
		}
	}
	w.hold.Close()
	w.spools.Close()
}

// TestOverflowWithoutRoom: where there is no room for what one lacks who reads nothing the others wait, which Full
// tells, until that one is closed.
func TestOverflowWithoutRoom(t *testing.T) {
	const pieces = 21
	w := newSpoolWorld(t, vfs.OS{})
	w.spools.SetLimit(1 << 20)
	q := NewOverflow(w.spools, 100_000)
	hung, in := q.Reader(), q.Reader()
	wrote := make(chan error, 1)
	go func() {
		var errs error
		for range pieces {
			_, err := q.Write(make([]byte, 100_000))
			errs = errors.Join(errs, err)
		}
		q.CloseWrite()
		wrote <- errs
	}()
	w.soon("the writer waits", q.Full)
	hung.Close()
	w.readsAll(in, false, make([]byte, pieces*100_000))
	if err := <-wrote; err != nil || q.Full() {
		t.Error(err)
	}
	if err := q.Close(); err != nil || w.spools.Bytes() != 0 {
		t.Errorf("%d bytes are left, %v", w.spools.Bytes(), err)
	}
	w.hold.Close()
	w.spools.Close()
}

// TestQueuesLeaveRoom: a queue that takes all the room it may have does not end a spool, which has its own, and nothing
// is refused that needs no more room.
func TestQueuesLeaveRoom(t *testing.T) {
	w := newSpoolWorld(t, vfs.OS{})
	const limit = 8 << 20
	w.spools.SetLimit(limit)
	q := NewOverflow(w.spools, 1000)
	in := q.Reader()
	wrote := make(chan error, 1)
	go func() {
		for {
			if _, err := q.Write(make([]byte, 100_000)); err != nil {
				wrote <- err
				return
			}
		}
	}()
	w.soon("the writer waits", q.Full)
	src, err := LogStream{Log: w.log, Archive: w.spools}.Open(w.from, func() {})
	if err != nil {
		t.Fatal(err)
	}
	src.Shed(w.spools, 0)
	for range 10 {
		w.write(limit / 40)
	}
	src.Shed(w.spools, 0)
	if !src.OnDisk() {
		t.Fatal("there is no spool beside a queue that is full")
	}
	for got, want := []byte(nil), w.all(); len(got) < len(want); {
		if got, err = src.Append(got, 1<<20); err != nil {
			t.Fatal(err, *w.failed.Load())
		}
	}
	w.spools.SetLimit(1)
	if !w.spools.reserve(0, 1) || w.spools.reserve(1, 1) {
		t.Error("above the limit it counts whether there is any room, not how much is wanted")
	}
	src.Close()
	q.Fail(io.ErrClosedPipe)
	if err := <-wrote; err != io.ErrClosedPipe {
		t.Error(err)
	}
	in.Close()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	w.hold.Close()
	w.spools.Close()
}
