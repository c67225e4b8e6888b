package index

import (
	"fmt"
	"math/bits"

	"fulmen/shard/arena"
)

// Check verifies the index against its invariants, reading all of it, and returns the first thing that is wrong. It
// is for tests and for DEBUG commands.
func (x *Index) Check() error {
	desc := x.desc.Load()
	if desc == 0 {
		if x.len != 0 || x.bytes != 0 || x.slots != 0 {
			return fmt.Errorf("index: empty, but len %d, bytes %d, slots %d", x.len, x.bytes, x.slots)
		}
		return nil
	}
	var sum growth
	n := 0
	d := x.directory()
	sum.bytes = int64(arena.UsableSize(d.size()))
	if x.next.ref != 0 {
		sum.bytes += int64(arena.UsableSize(x.next.size()))
	}
	for at := uint64(0); at != positionEnd; {
		el := x.element(desc, at)
		if err := x.checkElements(d, el, at); err != nil {
			return err
		}
		count, err := x.checkSegment(el, at)
		if err != nil {
			return fmt.Errorf("index: segment at %#x, depth %d, %d buckets: %w", at, el.depth(), el.buckets(), err)
		}
		n += count
		sum.bytes += int64(arena.UsableSize(blockSize(el.buckets())))
		sum.slots += int(el.buckets()) * slotCount
		sum.depths[el.depth()]++
		at += el.span()
	}
	if n != x.len || sum.bytes != x.bytes || sum.slots != x.slots || sum.depths != x.depths {
		return fmt.Errorf("index: counted %d entries, %d bytes, %d slots, depths %v; kept %d, %d, %d, %v",
			n, sum.bytes, sum.slots, sum.depths, x.len, x.bytes, x.slots, x.depths)
	}
	return nil
}

// checkElements verifies the directory elements of a segment, also of the directory being built.
func (x *Index) checkElements(d directory, el element, at uint64) error {
	if el.ref() == 0 || el.depth() > d.depth || el.start(at) != at {
		return fmt.Errorf("index: element %#x at %#x, directory depth %d", uint64(el), at, d.depth)
	}
	for i, from := uint64(0), at>>(positionBits-d.depth); i < 1<<(d.depth-el.depth()); i++ {
		if x.elements(d)[from+i] != el {
			return fmt.Errorf("index: element %#x at %#x has not all its places", uint64(el), at)
		}
	}
	if x.next.ref == 0 {
		return nil
	}
	if el.depth() > x.next.depth {
		return fmt.Errorf("index: element %#x too deep for the next directory", uint64(el))
	}
	for i, from := uint64(0), at>>(positionBits-x.next.depth); i < 1<<(x.next.depth-el.depth()); i++ {
		if from+i < x.copied && x.elements(x.next)[from+i] != el {
			return fmt.Errorf("index: element %#x not in the next directory", uint64(el))
		}
	}
	return nil
}

// checkSegment verifies a segment and returns its number of entries.
func (x *Index) checkSegment(el element, at uint64) (count int, err error) {
	s := x.segmentOf(el)
	if *s.prefix() != at {
		return 0, fmt.Errorf("prefix %#x", *s.prefix())
	}
	var passed [128]uint8
	var ways [128]uint32
	for i := range s.n {
		b := s.bucket(i)
		for slot := range uint(slotCount) {
			if b.print(slot) == 0 {
				if b.ref(slot) != 0 || b.expires()>>slot&1 != 0 {
					return 0, fmt.Errorf("bucket %d: empty slot %d has ref or expiry", i, slot)
				}
				continue
			}
			home, err := x.checkSlot(el, at, b, slot)
			if err != nil {
				return 0, fmt.Errorf("bucket %d, slot %d: %w", i, slot, err)
			}
			steps := 0
			for ; home != i; home = (home + 1) % s.n {
				passed[home]++
				ways[home] |= wayOf(b.print(slot))
				steps++
			}
			if steps >= probeLimit {
				return 0, fmt.Errorf("bucket %d, slot %d: %d buckets behind its home", i, slot, steps)
			}
		}
		count += bits.OnesCount32(b.used())
		if err := x.checkStamp(el, at, b, i); err != nil {
			return 0, fmt.Errorf("bucket %d: %w", i, err)
		}
	}
	for i := range s.n {
		if got := *s.bucket(i).ovf(); got != passed[i] {
			return 0, fmt.Errorf("bucket %d: overflow count %d, want %d", i, got, passed[i])
		}
		if got := *s.bucket(i).marks() & waysMask; got&ways[i] != ways[i] || got != 0 && passed[i] == 0 {
			return 0, fmt.Errorf("bucket %d: ways %#x, want %#x", i, got, ways[i])
		}
	}
	return count, nil
}

// checkSlot verifies a filled slot and returns its entry's home bucket.
func (x *Index) checkSlot(el element, at uint64, b bucket, slot uint) (home uint, err error) {
	e := x.entryAt(b.ref(slot))
	h := x.hash(e.Key())
	p := position(h)
	switch {
	case b.ref(slot) == 0:
		return 0, fmt.Errorf("no ref")
	case p < at || p-at >= el.span():
		return 0, fmt.Errorf("position %#x belongs elsewhere", p)
	case b.print(slot) != fingerprint(h):
		return 0, fmt.Errorf("fingerprint %#x, want %#x", b.print(slot), fingerprint(h))
	case b.expires()>>slot&1 != 0 != (x.dueAt(e) != 0):
		return 0, fmt.Errorf("expiry bit wrong, expiry %d", x.dueAt(e))
	case x.dueAt(e) != 0 && x.dueAt(e) < *x.segmentOf(el).minExpire():
		return 0, fmt.Errorf("expiry %d, minimum %d", x.dueAt(e), *x.segmentOf(el).minExpire())
	}
	return el.home(p), nil
}

// checkStamp verifies a bucket's stamp and version.
func (x *Index) checkStamp(el element, at uint64, b bucket, number uint) error {
	behind := at+el.span() <= x.walkAt || at <= x.walkAt && number < x.walkNum
	if stamp := *b.stamp(); x.visit != nil && behind && stamp != x.walkID && b.used() != 0 {
		return fmt.Errorf("stamp %d behind walk %d", stamp, x.walkID)
	} else if x.visit == nil && uint32(x.walkID-stamp) > x.spread {
		return fmt.Errorf("stamp %d, last walk %d, spread %d", stamp, x.walkID, x.spread)
	}
	if *b.version() > x.version {
		return fmt.Errorf("version %d above %d", *b.version(), x.version)
	}
	return nil
}
