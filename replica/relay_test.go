package replica

import (
	"bytes"
	"testing"
)

// stretch is what the stream of these tests has from one position to another: no two places look alike.
func stretch(from, to uint64) []byte {
	p := make([]byte, 0, to-from)
	for at := from; at < to; at++ {
		p = append(p, byte(at^at>>8^at>>16))
	}
	return p
}

// wantNext fails the test unless a source has exactly what the stream has up to a position.
func wantNext(t *testing.T, src Source, to uint64) {
	t.Helper()
	from := src.LSN()
	if got := src.LagBytes(); got != to-from {
		t.Errorf("%d bytes are left at %d, want %d", got, from, to-from)
	}
	var got []byte
	for n := -1; n < len(got); {
		n = len(got)
		var err error
		if got, err = src.Append(got, 100_000); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, stretch(from, to)) || src.LSN() != to {
		t.Errorf("from %d on %d bytes come and lead to %d; want those up to %d", from, len(got), src.LSN(), to)
	}
}

func mustRead(t *testing.T, r *Relay, from uint64) *RelayReader {
	t.Helper()
	m, err := r.Reader(from, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRelayReaders: readers have what is published and no more, from wherever it is kept, across blocks.
func TestRelayReaders(t *testing.T) {
	const begin = 1000
	const end = begin + 2*relayBlockBytes
	r := NewRelay(begin, 4*relayBlockBytes)
	r.Append(stretch(begin, end))
	if _, err := r.Reader(begin+1, func() {}); err != ErrNotKept {
		t.Errorf("what is not published may be read: %v", err)
	}
	m := mustRead(t, r, begin)
	wantNext(t, m, begin)
	r.Publish(begin + relayBlockBytes)
	edge := mustRead(t, r, begin+relayBlockBytes) // nothing is behind its block yet that it may have
	wantNext(t, m, begin+relayBlockBytes)
	wantNext(t, edge, begin+relayBlockBytes)
	r.Publish(end)
	r.Publish(begin) // changes nothing
	wantNext(t, m, end)
	wantNext(t, edge, end)
	wantNext(t, mustRead(t, r, end-7), end)
	if _, err := r.Reader(begin-1, func() {}); err != ErrNotKept {
		t.Errorf("what never came may be read: %v", err)
	}
	if r.End() != end || r.Published() != end || r.Oldest() != begin {
		t.Errorf("[%d, %d), %d published", r.Oldest(), r.End(), r.Published())
	}
}

// TestRelayTrims: what is too old is there for those who stand in it, and for nobody else.
func TestRelayTrims(t *testing.T) {
	r := NewRelay(0, relayBlockBytes/2)
	m := mustRead(t, r, 0)
	const end = 5 * relayBlockBytes
	for at := uint64(0); at < end; at += relayBlockBytes / 4 {
		r.Append(stretch(at, at+relayBlockBytes/4))
		r.Publish(at + relayBlockBytes/4)
	}
	if got, want := r.Oldest(), uint64(end-relayBlockBytes/2); got != want {
		t.Errorf("kept from %d on, want %d", got, want)
	}
	if r.first.base == 0 {
		t.Error("nothing is forgotten")
	}
	if _, err := r.Reader(r.Oldest()-1, func() {}); err != ErrNotKept {
		t.Errorf("what is too old may be read: %v", err)
	}
	wantNext(t, m, end)
	wantNext(t, mustRead(t, r, r.Oldest()), end)
	r.SetKeep(0)
	if got := r.Oldest(); got != end {
		t.Errorf("with nothing to keep, kept from %d on", got)
	}
}

// TestRelayDiscard: what was not published comes again, and differently, wherever in a block that begins.
func TestRelayDiscard(t *testing.T) {
	for _, published := range []uint64{0, 1, relayBlockBytes - 1, relayBlockBytes, relayBlockBytes + 1} {
		for _, more := range []uint64{0, 1, relayBlockBytes, 2*relayBlockBytes + 1} {
			r := NewRelay(0, 4*relayBlockBytes)
			r.Append(stretch(0, published))
			r.Publish(published)
			m := mustRead(t, r, 0)
			at := mustRead(t, r, published)
			r.Append(make([]byte, more))
			r.Discard()
			if r.End() != published {
				t.Fatalf("%d published, %d more: the end is %d", published, more, r.End())
			}
			end := published + relayBlockBytes + 9
			r.Append(stretch(published, end))
			r.Publish(end)
			wantNext(t, m, end)
			wantNext(t, at, end)
		}
	}
}

// TestRelayPark: who waits is told once of what comes next, and nobody of what is there.
func TestRelayPark(t *testing.T) {
	r := NewRelay(0, 1<<20)
	told := 0
	m, err := r.Reader(0, func() { told++ })
	if err != nil {
		t.Fatal(err)
	}
	publish := func(to uint64) {
		r.Append(stretch(r.End(), to))
		r.Publish(to)
	}
	publish(1)
	if m.Park() || told != 0 {
		t.Errorf("waits for what is there, told %d times", told)
	}
	wantNext(t, m, 1)
	if !m.Park() {
		t.Error("doesn't wait")
	}
	publish(2)
	publish(3)
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
	wantNext(t, m, 3)
	if !m.Park() {
		t.Error("doesn't wait")
	}
	m.Close()
	m.Close()
	publish(4)
	if told != 1 || r.armed.Load() != 0 || len(r.readers) != 0 {
		t.Errorf("told %d times, %d wait, %d read; it is closed", told, r.armed.Load(), len(r.readers))
	}
}

// TestRelayPin: a pin publishes what it begins with, and keeps what follows until it is let go.
func TestRelayPin(t *testing.T) {
	r := NewRelay(0, 0)
	r.Append(stretch(0, 10))
	p := r.Pin(10)
	if p.LSN() != 10 || r.Published() != 10 {
		t.Errorf("pinned at %d, %d published", p.LSN(), r.Published())
	}
	const end = 3 * relayBlockBytes
	r.Append(stretch(10, end))
	r.Publish(end)
	for range 2 {
		src, err := p.Open(func() {})
		if err != nil {
			t.Fatal(err)
		}
		wantNext(t, src, end)
		src.Close()
	}
	p.Unpin()
	p.Close()
	if _, err := p.Open(func() {}); err != ErrNotKept {
		t.Errorf("an open pin that was let go: %v", err)
	}
	if len(r.readers) != 0 {
		t.Errorf("%d readers are left", len(r.readers))
	}
}
