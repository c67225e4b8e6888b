package stream

import (
	"cmp"
	"encoding/binary"
	"math"
	"strconv"
)

// ID is the ID of an entry: Unix time in ms, and a number among those of the same ms. IDs have the order of both.
type ID struct{ Ms, Seq uint64 }

// MaxID returns the greatest ID. The lowest is the zero value.
func MaxID() ID { return ID{math.MaxUint64, math.MaxUint64} }

// RawLen is the size in bytes of an ID as it stands in files.
const RawLen = 16

// Compare returns -1, 0 or 1 as a is below, equal to or above b.
func (a ID) Compare(b ID) int {
	if c := cmp.Compare(a.Ms, b.Ms); c != 0 {
		return c
	}
	return cmp.Compare(a.Seq, b.Seq)
}

// Less reports whether a is below b.
func (a ID) Less(b ID) bool { return a.Ms < b.Ms || a.Ms == b.Ms && a.Seq < b.Seq }

// Next returns the ID right above a; false if there is none.
func (a ID) Next() (ID, bool) {
	switch {
	case a.Seq < math.MaxUint64:
		return ID{a.Ms, a.Seq + 1}, true
	case a.Ms < math.MaxUint64:
		return ID{a.Ms + 1, 0}, true
	}
	return a, false
}

// Prev returns the ID right below a; false if there is none.
func (a ID) Prev() (ID, bool) {
	switch {
	case a.Seq > 0:
		return ID{a.Ms, a.Seq - 1}, true
	case a.Ms > 0:
		return ID{a.Ms - 1, math.MaxUint64}, true
	}
	return a, false
}

// AppendTo appends the ID's text, "ms-seq", to dst.
func (a ID) AppendTo(dst []byte) []byte {
	dst = strconv.AppendUint(dst, a.Ms, 10)
	return strconv.AppendUint(append(dst, '-'), a.Seq, 10)
}

// AppendRaw appends the ID as it stands in files: both numbers, the highest byte first.
func (a ID) AppendRaw(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, a.Ms), a.Seq)
}

// RawID reads what AppendRaw has written; b has RawLen bytes.
func RawID(b []byte) ID {
	return ID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// plus returns the ID that is so far from a, in both numbers.
func (a ID) plus(ms, seq int64) ID { return ID{a.Ms + uint64(ms), a.Seq + uint64(seq)} }
