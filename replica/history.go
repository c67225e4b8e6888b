package replica

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// IDDigits is the length of a replication id: hexadecimal digits.
const IDDigits = 40

// NoSecond is History.SecondOffset if there is no second id.
const NoSecond = -1

// NoID is what stands for an id that there is not.
var NoID = strings.Repeat("0", IDDigits)

// History names what a server's data is made of: a replication id stands for one sequence of bytes, of which a server
// has a prefix. Immutable.
type History struct {
	ID string // 40 lower-case hexadecimal digits
	// ID2 is that of before a promotion or an unclean stop; NoID if there is none. Up to its SecondOffset, which is
	// given as PSYNC has it, the byte after the last common one, both are the same.
	ID2          string
	SecondOffset int64 // NoSecond if there is none
	// Earlier are the names before that one, the last one first, at most MaxEarlier.
	Earlier []Ancestor
}

// Ancestor is an earlier name of a history, and up to where both are the same, as History.SecondOffset has it.
type Ancestor struct {
	ID           string
	SecondOffset int64
}

// MaxEarlier is how many names are kept beside those that Redis knows: a history gets one at each start of its server.
const MaxEarlier = 8

// NewHistory begins one of its own.
func NewHistory() History {
	var b [IDDigits / 2]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return History{ID: hex.EncodeToString(b[:]), ID2: NoID, SecondOffset: NoSecond}
}

// Shift begins a new history that has all of this one up to position lsn.
func (h History) Shift(lsn uint64) History {
	next := NewHistory()
	next.ID2, next.SecondOffset = h.ID, int64(lsn)+1
	if h.SecondOffset == NoSecond {
		return next
	}
	for _, a := range append([]Ancestor{{h.ID2, h.SecondOffset}}, h.Earlier...) {
		if len(next.Earlier) < MaxEarlier {
			next.Earlier = append(next.Earlier, Ancestor{a.ID, min(a.SecondOffset, next.SecondOffset)})
		}
	}
	return next
}

// Has reports whether the byte asked for, numbered as PSYNC does, and all before it are the same in this history as in
// the one that id names.
func (h History) Has(id string, offset int64) bool {
	if strings.EqualFold(id, h.ID) || h.SecondOffset != NoSecond && strings.EqualFold(id, h.ID2) &&
		offset <= h.SecondOffset {
		return true
	}
	for _, a := range h.Earlier {
		if strings.EqualFold(id, a.ID) && offset <= a.SecondOffset {
			return true
		}
	}
	return false
}
