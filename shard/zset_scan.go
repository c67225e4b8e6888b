package shard

import (
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// A scan of a sorted set goes by the hashes of members, whose order nothing changes: neither a new score nor what comes
// and goes around a member. The tree by hash has no members, though, but only their scores. So a member is looked for
// among those with the same score, all of which are looked at. Where they are many, they are passed once for a greater
// part of the hashes (ZSetScan): in steps, between which the set may change.

const (
	// memberRun is how many members may share a score for Scan to look through all of them for one.
	memberRun = 64
	// scanPasses is how often a complete scan passes all members if more of them share one.
	scanPasses = 64
	// scanStep is how many members or hashes a step of a ZSetScan looks at.
	scanStep = 256
	// scanTries is how many passes a ZSetScan makes in steps for members that have got away from it.
	scanTries = 8

	hashEnd = 1 << 32 // behind all hashes of members
)

// Scan calls fn for about count members from a cursor on, and returns the cursor to go on with; 0 begins and ends. A
// member that is there from the first call to the last is given at least once, whatever happens to its score. A packed
// set is given as a whole. It reports false if too many members share a score: then what fn was given is to be
// forgotten, and a ZSetScan to be made. fn must not change anything, and what it is given is good until it returns.
func (z *ZSet) Scan(cursor uint64, count int, fn func(member []byte, score float64)) (next uint64, ok bool) {
	if z.Len() == 0 {
		return 0, true
	}
	if z.packed() {
		z.all(fn)
		return 0, true
	}
	t := z.trees()
	var p tree.Path
	t.B.Seek(z.space(), &p, cursor)
	if !p.Valid() {
		return 0, true
	}
	next = z.scanEnd(&t, &p, count)
	for ; p.Valid() && p.Key() < next; p.Next() {
		if !z.scanOne(&t, &p, fn) {
			return 0, false
		}
	}
	return next % hashEnd, true
}

// all calls fn for all members.
func (z *ZSet) all(fn func(member []byte, score float64)) {
	z.Each(0, z.Len(), false, func(member []byte, score float64) bool {
		fn(member, score)
		return true
	})
}

// scanEnd returns the hash behind the count members from the one that p is at in B, those of the same hash included;
// hashEnd if there are no more.
func (z *ZSet) scanEnd(t *object.Trees, p *tree.Path, count int) uint64 {
	n := t.B.Len()
	last := p.Rank() + min(count, n)
	if last >= n {
		return hashEnd
	}
	var q tree.Path
	t.B.At(z.space(), &q, last)
	return max(q.Key(), p.Key()+1)
}

// scanOne calls fn for the member of the hash and score that p is at in B. It reports false, having done nothing, if
// too many members have that score.
func (z *ZSet) scanOne(t *object.Trees, p *tree.Path, fn func(member []byte, score float64)) bool {
	space := z.space()
	key := rankKey(p.Value())
	var a tree.Path
	var buf []byte
	t.A.Seek(space, &a, key)
	from := a.Rank()
	t.A.Seek(space, &a, key+1)
	n := a.Rank() - from
	if n > memberRun {
		return false
	}
	t.A.At(space, &a, from)
	for range n {
		b := a.View(buf)
		if z.hash(b) == p.Key() {
			fn(b, z.signed(p.Value()))
		}
		a.Next()
	}
	return true
}

// ZSetScan gives the members of a part of the hashes, in steps of bounded work. A member that is there from the first
// to the last is given at least once: should its score change so that a pass over the members has it behind itself
// without having met it, the hashes tell, and another pass is made for those that were missed.
type ZSetScan struct {
	from, to uint64 // of hashes
	hash     uint64 // the next one to be collected or checked
	phase    scanPhase
	tries    int

	want    map[uint32]int32 // the hashes, and how many members with them the pass has met
	missing map[uint32]int32 // for the next pass

	// Where the pass is: behind this member.
	key    uint64
	member []byte
	begun  bool
}

// scanPhase is what a ZSetScan does next.
type scanPhase uint8

const (
	phaseCollect scanPhase = iota // hashes
	phasePass                     // members
	phaseCheck                    // whether all hashes were met
)

// NewZSetScan returns a scan of at least count members of z, which is in trees, from a cursor on.
func (z *ZSet) NewZSetScan(cursor uint64, count int) *ZSetScan {
	s := &ZSetScan{from: cursor, hash: cursor, to: hashEnd, want: map[uint32]int32{}}
	t := z.trees()
	var p tree.Path
	if t.B.Seek(z.space(), &p, cursor); p.Valid() {
		s.to = z.scanEnd(&t, &p, max(count, t.B.Len()/scanPasses))
	}
	return s
}

// Next returns the cursor to go on with when the scan is done; 0: nowhere.
func (s *ZSetScan) Next() uint64 { return s.to % hashEnd }

// Step goes on with the scan in z, what its key has now, and calls fn for the members that it meets. It reports whether
// the scan is done. fn must not change anything, and what it is given is good until it returns.
func (s *ZSetScan) Step(z *ZSet, fn func(member []byte, score float64)) (done bool) {
	if z.Len() == 0 || z.packed() {
		s.to = hashEnd
		z.all(fn)
		return true
	}
	t := z.trees()
	switch s.phase {
	case phaseCollect:
		s.collect(z, &t)
	case phasePass:
		return s.pass(z, &t, fn)
	case phaseCheck:
		return s.check(z, &t)
	}
	return false
}

// collect notes some hashes of the part.
func (s *ZSetScan) collect(z *ZSet, t *object.Trees) {
	var p tree.Path
	t.B.Seek(z.space(), &p, s.hash)
	for range scanStep {
		if !p.Valid() || p.Key() >= s.to {
			s.phase = phasePass
			return
		}
		s.hash = p.Key()
		s.want[uint32(s.hash)] = 0
		p.Next()
	}
}

// pass goes on among the members, in their order; the last try does not end before they do.
func (s *ZSetScan) pass(z *ZSet, t *object.Trees, fn func(member []byte, score float64)) (done bool) {
	var p tree.Path
	if !s.begun {
		t.A.First(z.space(), &p)
	} else if t.A.SeekScore(z.space(), &p, s.key, s.member) {
		p.Next()
	}
	signed := z.has(object.FlagMixed)
	var buf, b []byte
	for i := 0; p.Valid() && (i < scanStep || s.tries == scanTries); i++ {
		var ok bool
		if b, ok = p.Body(); !ok {
			buf = p.View(buf)
			b = buf
		}
		s.key = p.Key()
		hash := uint32(z.hash(b))
		if n, ok := s.want[hash]; ok {
			s.want[hash] = n + 1
			key := s.key
			if signed && key == object.ZeroKey {
				key = z.signOf(t, b)
			}
			fn(b, object.ScoreOf(key))
		}
		p.Next()
	}
	if s.begun = p.Valid(); s.begun {
		s.member = append(s.member[:0], b...)
		return false
	}
	s.phase, s.hash = phaseCheck, s.from
	return s.tries == scanTries
}

// check looks for some hashes of the part with which the pass has met fewer members than there are. It reports whether
// there is none among all.
func (s *ZSetScan) check(z *ZSet, t *object.Trees) (done bool) {
	var p tree.Path
	t.B.Seek(z.space(), &p, s.hash)
	for i := 0; p.Valid() && p.Key() < s.to; i++ {
		hash, n := p.Key(), int32(0)
		if i >= scanStep {
			s.hash = hash
			return false
		}
		for ; p.Valid() && p.Key() == hash; p.Next() {
			n++
		}
		if met, ok := s.want[uint32(hash)]; ok && met < n {
			if s.missing == nil {
				s.missing = map[uint32]int32{}
			}
			s.missing[uint32(hash)] = 0
		}
	}
	if len(s.missing) == 0 {
		return true
	}
	s.want, s.missing = s.missing, nil
	s.phase = phasePass
	s.tries++
	return false
}
