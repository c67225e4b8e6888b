package rdb

import "encoding/binary"

// ShortString is a key with a string of which all that is said is its expiry.
type ShortString struct {
	Key, Value []byte // the Reader's, valid until its next call
	DB         int
	ExpireAtMs int64 // as in Event
}

// ShortString takes what comes next if it is a key with a string, both as they are and together no longer than limit,
// which has been read from the file already. If it reports false nothing has been taken: Next goes on, as it may at any
// time. It does in a few steps what Next and Value do by way of events, in a fifth of the time: most of what is loaded
// is such keys.
func (r *Reader) ShortString(to *ShortString, limit int) bool {
	if r.err != nil || !r.started || r.pending {
		return false
	}
	w := r.s.buf[r.s.at:r.s.end]
	at, expireAtMs := 0, int64(0)
	if len(w) > 9 && w[0] == opExpireTimeMs {
		at, expireAtMs = 9, expiry(int64(binary.LittleEndian.Uint64(w[1:])))
	}
	if at >= len(w) || w[at] != TypeString {
		return false
	}
	keyAt, keyEnd := shortAt(w, at+1)
	valueAt, end := shortAt(w, keyEnd)
	if end > len(w) || keyEnd-keyAt+end-valueAt > limit {
		return false
	}
	to.Key, to.Value, to.DB, to.ExpireAtMs = w[keyAt:keyEnd:keyEnd], w[valueAt:end:end], r.db, expireAtMs
	r.s.at += end
	return true
}

// shortAt returns where the string whose length stands at w[at] begins and ends; an end beyond len(w) if it isn't
// there, or in another form.
func shortAt(w []byte, at int) (from, end int) {
	if at+1 >= len(w) {
		if at < len(w) && w[at] == 0 { // empty, at the very end
			return at + 1, at + 1
		}
		return 0, len(w) + 1
	}
	switch n := int(w[at]); n & lenMask {
	case len6Bits:
		return at + 1, at + 1 + n
	case len14Bits:
		return at + 2, at + 2 + n&^lenMask<<8 + int(w[at+1])
	}
	return 0, len(w) + 1
}
