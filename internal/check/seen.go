package check

import (
	"hash/maphash"
	"strconv"
)

// seen is a set of keys, of which it remembers 64 bits each: of a thousand million keys, two are taken for one with a
// probability of 3 %.
type seen struct {
	seed  maphash.Seed
	table []uint64 // open addressing; 0 is empty
	n     int
	buf   []byte
}

func newSeen() *seen { return &seen{seed: maphash.MakeSeed(), table: make([]uint64, 1024)} }

// add adds a key and reports whether it wasn't there.
func (s *seen) add(db int, key []byte) bool {
	s.buf = append(strconv.AppendInt(s.buf[:0], int64(db), 10), ':')
	s.buf = append(s.buf, key...)
	h := max(maphash.Bytes(s.seed, s.buf), 1)
	if !s.insert(h) {
		return false
	}
	if s.n++; s.n*4 > len(s.table)*3 {
		old := s.table
		s.table = make([]uint64, 2*len(old))
		for _, h := range old {
			if h != 0 {
				s.insert(h)
			}
		}
	}
	return true
}

func (s *seen) insert(h uint64) bool {
	mask := uint64(len(s.table) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.table[i] {
		case h:
			return false
		case 0:
			s.table[i] = h
			return true
		}
	}
}
