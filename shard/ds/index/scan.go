package index

import "math/bits"

// scanSpan bounds the buckets that one call of Scan looks at, per entry asked for: an index that has lost most of
// its entries must not make a short call long.
const scanSpan = 10

// Scan gives fn about count entries, beginning at cursor, and returns the cursor to go on with; 0 begins a scan and
// is returned at its end. Cursors are below 2^48.
//
// A cursor is a position. Each call covers the positions from its cursor up to the one it returns, and entries keep
// their positions while the index grows and shrinks: so an entry that is there throughout is given exactly once,
// and one that comes and goes at most once for each time it came. All entries of one position are given together.
//
// fn must not change the index.
func (x *Index) Scan(cursor uint64, count int, fn func(e Entry)) (next uint64) {
	desc := x.desc.Load()
	if desc == 0 || cursor >= positionEnd {
		return 0
	}
	looks := max(count, 1) * scanSpan
	for given := 0; given < max(count, 1) && looks > 0; looks-- {
		el := x.element(desc, cursor)
		home := el.home(cursor)
		given += x.scanHome(el, home, cursor, fn)
		if cursor = el.start(cursor) + el.edge(home+1); cursor == positionEnd {
			return 0
		}
	}
	return cursor
}

// Covers tells whether a scan that began at a cursor and came to another one has looked where an entry with a hash is,
// or would be.
func Covers(from, next, hash uint64) bool {
	p := position(hash)
	return p >= from && (p < next || next == 0)
}

// scanHome gives fn the entries with the given home bucket from position from on.
func (x *Index) scanHome(el element, home uint, from uint64, fn func(e Entry)) (given int) {
	s, number := x.segmentOf(el), home
	if home+1 < s.n {
		x.prefetchKeys(s.bucket(home + 1))
	}
	for range probeLimit {
		b := s.bucket(number)
		for m := b.used(); m != 0; m &= m - 1 {
			e := x.entryAt(b.ref(uint(bits.TrailingZeros32(m))))
			if p := position(x.hash(e.Key())); p >= from && el.home(p) == home {
				fn(e)
				given++
			}
		}
		if *b.ovf() == 0 {
			break
		}
		if number++; number == s.n {
			number = 0
		}
	}
	return given
}

const (
	randomSlots   = 256  // slots tried by Random; on average three are needed
	randomBuckets = 1024 // buckets tried by Random after that
)

// Random returns an entry, each with the same probability, or false if there is none. rnd is the source of
// randomness. If the index has lost nearly all of its entries and Shrink has not yet come round, the choice is not
// quite even, and takes time up to proportional to the index's former size.
func (x *Index) Random(rnd uint64) (Entry, bool) {
	if x.len == 0 {
		return Entry{}, false
	}
	d := x.directory()
	for range randomSlots {
		rnd = NextRandom(rnd)
		at := rnd >> (64 - positionBits)
		el := x.element(d.desc(), at)
		if at>>(positionBits-d.depth)<<(positionBits-d.depth) != el.start(at) {
			continue // a segment of less depth fills several directory elements: only the first of them counts
		}
		number, low := bits.Mul64(NextRandom(^rnd), bigBuckets)
		slot, _ := bits.Mul64(low, slotCount)
		if uint(number) >= el.buckets() {
			continue
		}
		if b := x.segmentOf(el).bucket(uint(number)); b.print(uint(slot)) != 0 {
			return x.entryAt(b.ref(uint(slot))), true
		}
	}
	var at uint64
	for range randomBuckets {
		rnd = NextRandom(rnd)
		at = rnd >> (64 - positionBits)
		el := x.element(d.desc(), at)
		if e, ok := x.anyOf(x.segmentOf(el).bucket(el.home(at)), rnd); ok {
			return e, true
		}
	}
	return x.nextEntry(at)
}

// nextEntry returns the first entry from position at on, coming round at the end.
func (x *Index) nextEntry(at uint64) (Entry, bool) {
	for {
		el := x.element(x.desc.Load(), at)
		s := x.segmentOf(el)
		for i := range s.n {
			if e, ok := x.anyOf(s.bucket(i), 0); ok {
				return e, true
			}
		}
		at = (el.start(at) + el.span()) & (positionEnd - 1)
	}
}

// anyOf returns one of a bucket's entries.
func (x *Index) anyOf(b bucket, rnd uint64) (Entry, bool) {
	m := b.used()
	n := bits.OnesCount32(m)
	if n == 0 {
		return Entry{}, false
	}
	for range uint(rnd) & 0xFFFF % uint(n) {
		m &= m - 1
	}
	return x.entryAt(b.ref(uint(bits.TrailingZeros32(m)))), true
}

// NextRandom is a step of the generator splitmix64 (Steele, Lea, Flood, 2014), its state being its own output.
func NextRandom(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
