package hll

import "encoding/binary"

// place is where a run begins, and its first register.
type place struct{ at, first int }

// found is the run of a register.
type found struct {
	place
	n, size int // its registers and its bytes; size is 0 if there is no such run, or only half of it

	prev    int   // where the run before it begins; at if it is the first
	earlier place // two runs before that one at least, or where the search began
}

// find looks for the run of a register. The value is gone over in words of eight bytes, wherever runs begin in these,
// up to the word in which the register's run begins or ends.
func (v *Value) find(register int) (f found) {
	b, at, first := v.B, v.at, v.first
	if register < v.next || at == 0 {
		at, first = HeaderBytes, 0
	}
	f.earlier, f.prev = place{at, first}, at
	var cut, lastCut uint64
	words := b[at:]
	for len(words) >= 8 {
		w := binary.LittleEndian.Uint64(words)
		heads := xzeros(w, cut)
		n := 0
		if heads|cut == 0 {
			n = shortRegistersIn(w)
		} else {
			n = registersIn(w, heads, cut)
		}
		if first+n > register {
			break
		}
		first += n
		lastCut, cut = cut, heads>>56
		words = words[8:]
	}
	if next := len(b) - len(words); next > at { // the last word had three more runs at least
		w := binary.LittleEndian.Uint64(b[next-8:])
		heads := xzeros(w, lastCut)
		f.earlier = whole(b, next-8, first-registersIn(w, heads, lastCut), lastCut)
		p := whole(b, next, first, cut)
		at, first = p.at, p.first
		f.prev = at - 1 - int(heads>>(48-cut&8)&1)
	}
	for at+1 < len(b) {
		f.n, f.size = wholeRun(b[at], b[at+1])
		if register < first+f.n {
			f.place = place{at, first}
			return f
		}
		f.prev = at
		at += f.size
		first += f.n
	}
	f.size = 0
	if at < len(b) {
		f.n, f.size = runAt(b, at)
		if register >= first+f.n {
			f.size = 0
		}
	}
	f.place = place{at, first}
	return f
}

// wholeRun is runAt without branches, given two bytes.
func wholeRun(c, next byte) (n, size int) {
	x := int(c >> 6 &^ (c >> 7) & 1)
	n = int(c&(0x3F>>(c>>7<<2&7))) + 1
	return n + (int(c&^kindBits)*255+int(next))&-x, 1 + x
}

// whole returns the place of the run that goes on, or else begins, at a byte, having the registers before that and
// whether an XZERO is cut there (0xFF, or else 0).
func whole(b []byte, at, first int, cut uint64) place {
	half := int(cut & 1)
	return place{at - half, first - int(b[at-1]&^kindBits)<<8*half}
}

// Runs are gone over in words, with no branch that depends on which kind of run comes next, since nothing foretells
// that, and so that little of a word has to wait for the word before: only whether that has cut an XZERO. A byte that
// is in a mask is 0xFF there.
const (
	ones  = 0x0101_0101_0101_0101
	even  = 0x00FF_00FF_00FF_00FF
	odd   = even << 8
	lanes = 0x0001_0001_0001_0001
)

// xzeros returns a mask of the bytes in a word that begin an XZERO; cut is 0xFF if the first byte is the second one of
// an XZERO, and else 0.
func xzeros(w, cut uint64) (heads uint64) {
	like := w >> 6 &^ (w >> 7) & ones &^ cut // bytes that look like the first of an XZERO
	if like == 0 {                           // rarely, but mostly in a value near its greatest size
		return 0
	}
	// The second byte of one may look so, too: of such bytes in a row each other one is a first, beginning with the
	// row. The carry goes through the rows that begin at an even place.
	all := like<<8 - like
	rest := all + like&^(like<<8)&even
	return all & (rest ^ even)
}

// registersIn returns how many registers the runs in a word are about. Of an XZERO that is cut at the end the second
// byte counts with the next word.
func registersIn(w, heads, cut uint64) int {
	tails := heads<<8 | cut
	high := w & heads & (0x3F * ones)
	low := w &^ heads & (0x3F*ones - w>>7&ones&^tails*0x3C | tails) // 3 for a VAL
	// Below 65536 in all: no two heads are neighbours.
	sum := ((high|high<<8)&odd + low&even + low>>8&even) * lanes >> 48
	return int(sum + 8 - heads&ones*ones>>56)
}

// shortRegistersIn is registersIn of a word without XZEROs.
func shortRegistersIn(w uint64) int {
	low := w & (0x3F*ones - w>>7&ones*0x3C)
	return int((low&even+low>>8&even)*lanes>>48) + 8
}
