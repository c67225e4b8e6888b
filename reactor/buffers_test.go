package reactor

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// pattern is a block of bytes whose length divides no size that is used.
var pattern = func() (p [65521]byte) {
	for i := range p {
		p[i] = byte((uint32(i) * 2654435761) >> 24)
	}
	return p
}()

// fill puts bytes into p that say where in a stream they belong.
func fill(p []byte, at int) {
	for len(p) > 0 {
		n := copy(p, pattern[at%len(pattern):])
		p = p[n:]
		at += n
	}
}

// TestQueryBuffer drives query buffers of all kinds (pooled, the loop's own, mapped) with random sizes
// against a plain slice.
func TestQueryBuffer(t *testing.T) {
	b := newBench(Limits{}, leave)
	rnd := rand.New(rand.NewPCG(1, 2))
	rounds := 200
	if testing.Short() || raceEnabled {
		rounds = 50
	}
	mapped, spare := 0, 0
	for range rounds {
		q := query{loop: b.loop}
		var model []byte
		sent := 0
		scale := 1 << rnd.IntN(20)
		for range 1 + rnd.IntN(60) {
			data := make([]byte, 1+rnd.IntN(scale))
			fill(data, sent)
			sent += len(data)
			need := 0
			if rnd.IntN(2) == 0 {
				need = rnd.IntN(9 << 20)
			}
			q.add(data, need)
			model = append(model, data...)
			if rnd.IntN(10) == 0 {
				n := rnd.IntN(len(model) + 1)
				q.consume(n)
				model = model[n:]
			}
			if !bytes.Equal(q.bytes(), model) {
				t.Fatalf("the buffer has %d bytes, want %d, or other ones", len(q.bytes()), len(model))
			}
			if q.mapped {
				mapped++
			}
			if got := q.sizeBytes(); got < len(model) || (len(model) == 0 && got != 0) {
				t.Fatalf("%d bytes said to occupy %d", len(model), got)
			}
		}
		q.drop()
		if q.mapped || q.buf != nil || q.off != 0 || q.sizeBytes() != 0 {
			t.Fatalf("dropped: %+v", q)
		}
		if cap(b.loop.spareQuery) > 0 {
			spare++
		}
		if cap(b.loop.spareQuery) > mappedBytes {
			t.Fatalf("the loop keeps %d bytes", cap(b.loop.spareQuery))
		}
	}
	if mapped == 0 || spare == 0 {
		t.Errorf("%d buffers were mapped, the loop's own one was there %d times", mapped, spare)
	}
}

// TestQueryBufferMovesLittle: a long query buffer that is consumed in small bites while more comes is not moved
// over and over.
func TestQueryBufferMovesLittle(t *testing.T) {
	b := newBench(Limits{}, leave)
	for _, size := range []int{100 << 10, 2 << 20, 8 << 20} {
		q := query{loop: b.loop}
		q.add(make([]byte, size), 0)
		added, moved := size, 0
		for range 2000 {
			q.consume(100)
			off, room := q.off, cap(q.buf.B)
			q.add(make([]byte, 1000), 0)
			added += 1000
			if q.off < off || cap(q.buf.B) != room {
				moved += len(q.bytes())
			}
		}
		if moved > 3*added {
			t.Errorf("%d bytes were moved for %d", moved, added)
		}
		q.drop()
	}
}

// TestQueryBufferLetsGo: a big command behind which a few bytes are left does not keep its buffer.
func TestQueryBufferLetsGo(t *testing.T) {
	b := newBench(Limits{}, leave)
	for _, size := range []int{200 << 10, mappedBytes, 3 * mappedBytes} {
		q := query{loop: b.loop}
		q.add(make([]byte, size), 0)
		q.add([]byte("rest"), 0)
		q.consume(size)
		if string(q.bytes()) != "rest" || q.sizeBytes() > 1024 || q.mapped {
			t.Errorf("of %d bytes %q is left, which occupies %d, mapped: %v", size, q.bytes(), q.sizeBytes(), q.mapped)
		}
		q.drop()
	}
}

// TestPromisesReserveLittle: a peer that says that 512 MB will come is believed as they come.
func TestPromisesReserveLittle(t *testing.T) {
	b := newBench(Limits{}, leave)
	for _, sent := range []int{100, 10 << 10, 64 << 10, 1 << 20, 5 << 20} {
		q := query{loop: b.loop}
		for left := sent; left > 0; {
			n := min(left, 64<<10)
			q.add(make([]byte, n), 512<<20)
			left -= n
		}
		if got := q.sizeBytes(); got > 4*sent+(64<<10) {
			t.Errorf("%d bytes occupy %d", sent, got)
		}
		q.drop()
	}
}

// TestOutbox drives an outbox with random writes and drains against a plain slice.
func TestOutbox(t *testing.T) {
	b := newBench(Limits{}, leave)
	rnd := rand.New(rand.NewPCG(3, 4))
	rounds := 200
	if testing.Short() || raceEnabled {
		rounds = 50
	}
	for range rounds {
		var o outbox
		var model []byte
		sent := 0
		scale := 1 << rnd.IntN(20)
		for range 1 + rnd.IntN(50) {
			data := make([]byte, 1+rnd.IntN(scale))
			fill(data, sent)
			sent += len(data)
			model = append(model, data...)
			if rnd.IntN(3) == 0 {
				o.addOwned(data)
			} else {
				o.add(data, b.loop)
				clear(data) // it was copied
			}
			for rnd.IntN(2) == 0 && !o.empty() {
				head := o.head()
				n := 1 + rnd.IntN(len(head))
				if !bytes.Equal(head[:n], model[:n]) {
					t.Fatal("other bytes than were added")
				}
				o.discard(n, b.loop)
				model = model[n:]
			}
			if o.bytes != len(model) || o.empty() != (len(model) == 0) {
				t.Fatalf("the outbox has %d bytes, want %d", o.bytes, len(model))
			}
		}
		for !o.empty() {
			head := o.head()
			if !bytes.Equal(head, model[:len(head)]) {
				t.Fatal("other bytes than were added")
			}
			model = model[len(head):]
			o.discard(len(head), b.loop)
		}
		if len(model) != 0 || len(o.chunks) != 0 || cap(o.chunks) > keptChunks {
			t.Fatalf("%d bytes are missing, %d chunks are left", len(model), len(o.chunks))
		}
	}
	if n := len(b.loop.spare); n == 0 || n > spareChunks {
		t.Errorf("the loop keeps %d chunks", n)
	}
}

// TestOutboxOverhead: a little output costs little, much is not doubled.
func TestOutboxOverhead(t *testing.T) {
	b := newBench(Limits{}, leave)
	for _, n := range []int{1, 100, 5000, 100_000, 10_000_000} {
		var o outbox
		for left := n; left > 0; left -= min(left, 1000) {
			o.add(make([]byte, min(left, 1000)), b.loop)
		}
		size := 0
		for _, c := range o.chunks {
			size += cap(c.b)
		}
		if size > n+max(n, firstChunkBytes) && size > n+chunkBytes {
			t.Errorf("%d bytes occupy %d", n, size)
		}
		o.clear(b.loop)
	}
}
