package stream

import (
	"encoding/binary"

	"fulmen/internal/listpack"
	"fulmen/internal/resp"
)

const (
	flagDeleted    = 1
	flagSameFields = 2

	// MaxEntryBytes is how many bytes the fields and values of an entry may have together.
	MaxEntryBytes = 1 << 30
	// MaxNodeBytes is the size in bytes up to which nodes are filled.
	MaxNodeBytes = 4096
	// MaxHeader is the size in bytes of the longest header of a node.
	MaxHeader = listpack.HeaderLen + 2*(listpack.MaxHead+1)
)

// Header is what a node begins with. Count entries are there, Deleted are marked as deleted.
type Header struct {
	Size     int // of the node, in bytes
	Elements int // listpack.UnknownCount: not known
	Count    int64
	Deleted  int64
	Len      int // of the header, in bytes
}

// ReadHeader reads the header of a node from its first bytes, MaxHeader or all.
func ReadHeader(b []byte) (h Header) {
	h.Size = int(binary.LittleEndian.Uint32(b))
	h.Elements = int(binary.LittleEndian.Uint16(b[4:]))
	var e listpack.Element
	h.Len = listpack.HeaderLen
	listpack.Read(b[h.Len:], &e)
	h.Count = e.Num
	h.Len += e.Size
	listpack.Read(b[h.Len:], &e)
	h.Deleted = e.Num
	h.Len += e.Size
	return h
}

// Append appends the header to dst.
func (h *Header) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Size))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(min(h.Elements, listpack.UnknownCount)))
	return listpack.AppendInt(listpack.AppendInt(dst, h.Count), h.Deleted)
}

// Grow counts what is appended to the node.
func (h *Header) Grow(bytes, elements int) {
	h.Size += bytes
	h.Count++
	if h.Elements != listpack.UnknownCount {
		h.Elements = min(h.Elements+elements, listpack.UnknownCount)
	}
}

// AppendNode appends a node to dst that has one entry, whose ID is the node's. pairs are fields and values by turns,
// one pair at least.
func AppendNode(dst []byte, pairs [][]byte) []byte {
	from := len(dst)
	dst = listpack.Begin(dst)
	dst = append(dst, 1, 1, 0, 1) // numbers of entries and of deleted ones
	fields := len(pairs) / 2
	dst = listpack.AppendInt(dst, int64(fields))
	for i := 0; i < len(pairs); i += 2 {
		dst = listpack.AppendBytes(dst, pairs[i])
	}
	dst = append(dst, 0, 1)
	dst, n := AppendEntry(dst, ID{}, ID{}, pairs, true)
	return listpack.Close(dst, from, 2+1+fields+1+n)
}

// AppendEntry appends an entry to dst for a node of the given ID, and returns how many elements it has. same: its
// fields are the node's.
func AppendEntry(dst []byte, node, id ID, pairs [][]byte, same bool) (out []byte, elements int) {
	fields := len(pairs) / 2
	flags, n := byte(0), 3+1+2*fields
	if same {
		flags, n = flagSameFields, 3+fields
	}
	dst = append(dst, flags, 1)
	dst = listpack.AppendInt(dst, int64(id.Ms-node.Ms))
	dst = listpack.AppendInt(dst, int64(id.Seq-node.Seq))
	if !same {
		dst = listpack.AppendInt(dst, int64(fields))
	}
	for i := 0; i < len(pairs); i += 2 {
		if !same {
			dst = listpack.AppendBytes(dst, pairs[i])
		}
		dst = listpack.AppendBytes(dst, pairs[i+1])
	}
	return listpack.AppendInt(dst, int64(n)), n + 1
}

// Part is a field or a value of an entry: a number, or the bytes of the node from From up to, not including, To.
type Part struct {
	Num      int64
	IsNum    bool
	From, To int
}

// Reader goes through the entries of a node, those marked as deleted included. It trusts the node to be right.
type Reader struct {
	b     []byte // the node; nil: it is not in one piece
	fetch func(dst []byte, from, to int) []byte
	size  int
	id    ID

	fields   int // of the node
	fieldsAt int // offset of the first of them
	firstAt  int // offset of the first entry; 0: not known yet

	// Of the entry at hand.
	ID      ID
	Pairs   int
	Deleted bool
	same    bool // its fields are the node's
	begin   int  // its offset; 0: before the first, size-1: behind the last
	at      int  // offset of what Pair reads next
	fieldAt int  // offset of the field that it reads next, if same
	left    int  // pairs that it has not given

	head []byte // room for what is fetched
}

// Open begins to read a node that is in one piece.
func (r *Reader) Open(b []byte, id ID) {
	r.b, r.fetch, r.size, r.id = b, nil, len(b), id
	r.open()
}

// OpenParts begins to read a node of size bytes of which fetch appends those from `from` up to, not including, `to`.
func (r *Reader) OpenParts(size int, id ID, fetch func(dst []byte, from, to int) []byte) {
	r.b, r.fetch, r.size, r.id, r.head = nil, fetch, size, id, make([]byte, 0, listpack.MaxHead)
	r.open()
}

func (r *Reader) open() {
	at := listpack.HeaderLen
	_, at = r.num(at)
	_, at = r.num(at)
	n, at := r.num(at)
	r.fields, r.fieldsAt, r.firstAt, r.begin, r.left = int(n), at, 0, 0, 0
}

// Rewind goes before the first entry.
func (r *Reader) Rewind() { r.begin, r.left = 0, 0 }

// ToEnd goes behind the last entry.
func (r *Reader) ToEnd() { r.begin, r.left = r.size-1, 0 }

// element reads the element at an offset.
func (r *Reader) element(at int, e *listpack.Element) {
	if r.b != nil {
		listpack.Read(r.b[at:], e)
		return
	}
	listpack.Read(r.fetch(r.head, at, min(at+cap(r.head), r.size)), e)
}

// num reads a number at an offset, and returns the offset behind it.
func (r *Reader) num(at int) (n int64, next int) {
	if r.b != nil && r.b[at] < 0x80 {
		return int64(r.b[at]), at + 2
	}
	var e listpack.Element
	r.element(at, &e)
	return e.Num, at + e.Size
}

// skip returns the offset n elements behind one.
func (r *Reader) skip(at, n int) int {
	if b := r.b; b != nil {
		for range n {
			at = listpack.Next(b, at)
		}
		return at
	}
	var e listpack.Element
	for range n {
		r.element(at, &e)
		at += e.Size
	}
	return at
}

// back returns the offset of the element that ends at an offset.
func (r *Reader) back(at int) int {
	if r.b != nil {
		return at - listpack.Back(r.b[:at])
	}
	return at - listpack.Back(r.fetch(r.head, max(at-5, 0), at))
}

// first returns the offset of the first entry.
func (r *Reader) first() int {
	if r.firstAt == 0 {
		r.firstAt = r.skip(r.fieldsAt, r.fields+1)
	}
	return r.firstAt
}

// Next goes to the next entry, and reports whether there is one.
func (r *Reader) Next() bool {
	at := 0
	switch {
	case r.begin == 0:
		at = r.first()
	case r.begin == r.size-1:
		return false
	case r.same:
		at = r.skip(r.at, r.left+1)
	default:
		at = r.skip(r.at, 2*r.left+1)
	}
	if at >= r.size-1 {
		r.begin = r.size - 1
		return false
	}
	r.enter(at)
	return true
}

// Prev goes to the entry before, and reports whether there is one.
func (r *Reader) Prev() bool {
	if r.begin <= r.first() {
		r.begin = 0
		return false
	}
	at := r.back(r.begin)
	n, _ := r.num(at)
	for range n {
		at = r.back(at)
	}
	r.enter(at)
	return true
}

// Seek goes to the first entry that is there and whose ID is not below id, and reports whether there is one. It comes
// from the end that this is nearer to, to judge by the IDs.
func (r *Reader) Seek(id ID) bool {
	r.Rewind()
	if r.id.Less(id) {
		if r.ToEnd(); r.Prev() && !nearer(id, r.id, r.ID) {
			r.Rewind()
		}
		for r.begin > 0 && (r.Deleted || !r.ID.Less(id)) && r.Prev() {
		}
	}
	for r.Next() {
		if !r.Deleted && !r.ID.Less(id) {
			return true
		}
	}
	return false
}

// nearer reports whether id is nearer to last than to first.
func nearer(id, first, last ID) bool {
	if last.Ms > first.Ms {
		return id.Ms >= last.Ms || id.Ms-first.Ms > (last.Ms-first.Ms)/2
	}
	return id.Ms > last.Ms || id.Seq >= last.Seq || id.Seq-first.Seq > (last.Seq-first.Seq)/2
}

// enter reads what comes before the first pair of the entry at an offset.
func (r *Reader) enter(at int) {
	r.begin = at
	flags, at := r.num(at)
	ms, at := r.num(at)
	seq, at := r.num(at)
	r.ID, r.Deleted, r.same = r.id.plus(ms, seq), flags&flagDeleted != 0, flags&flagSameFields != 0
	if r.same {
		r.Pairs, r.fieldAt = r.fields, r.fieldsAt
	} else {
		var n int64
		n, at = r.num(at)
		r.Pairs = int(n)
	}
	r.at, r.left = at, r.Pairs
}

// Pair gives the next field of the entry at hand and its value: up to Pairs times.
func (r *Reader) Pair(field, value *Part) {
	r.left--
	if r.same {
		r.fieldAt = r.part(r.fieldAt, field)
	} else {
		r.at = r.part(r.at, field)
	}
	r.at = r.part(r.at, value)
}

func (r *Reader) part(at int, p *Part) (next int) {
	var e listpack.Element
	r.element(at, &e)
	from := at + e.Head
	*p = Part{e.Num, e.IsNum, from, from + e.Len}
	return at + e.Size
}

// Mark returns the offset of the entry at hand's flags and what stands there once it is marked as deleted.
func (r *Reader) Mark() (at int, flags byte) {
	flags = flagDeleted
	if r.same {
		flags |= flagSameFields
	}
	return r.begin, flags
}

// SameFields reports whether pairs, fields and values by turns, have the fields of the node.
func (r *Reader) SameFields(pairs [][]byte) bool {
	if len(pairs) != 2*r.fields {
		return false
	}
	at := r.fieldsAt
	var p Part
	for i := 0; i < len(pairs); i += 2 {
		at = r.part(at, &p)
		if !r.is(&p, pairs[i]) {
			return false
		}
	}
	return true
}

// is reports whether a part is b.
func (r *Reader) is(p *Part, b []byte) bool {
	switch {
	case p.IsNum:
		n, ok := resp.ParseInt(b)
		return ok && n == p.Num
	case p.To-p.From != len(b):
		return false
	case r.b != nil:
		return string(r.b[p.From:p.To]) == string(b)
	}
	const piece = 4096
	var buf []byte
	for at := 0; at < len(b); at += piece {
		to := min(at+piece, len(b))
		if buf = r.fetch(buf[:0], p.From+at, p.From+to); string(buf) != string(b[at:to]) {
			return false
		}
	}
	return true
}
