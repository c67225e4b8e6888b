package command

import (
	"bytes"
	"slices"
)

// Reply is a reply under construction. Handlers append to Out, which is its end; what is before that of a long one lies
// in pieces, so that nothing is moved for a reply to grow. It lets go of pieces when they are given away or moved.
//
// # Bounds
//
// A reply grows as far as memory goes unless the session has an output limit, which is looked at when a command ends
// and whenever a piece is full (Ctx.room): a session whose reply is longer is cut off, as Redis cuts off a client whose
// output buffer has passed client-output-buffer-limit. Handlers that append much or often ask room, or full in a loop;
// what they do to data they do all the same, whoever gets to read of it.
type Reply struct {
	Out    []byte
	pieces [][]byte
	bytes  int // of all pieces

	// Overflow: the reply is too long, and what was to be appended since then is left out. The executor closes the
	// connection instead of sending it.
	Overflow bool
}

const (
	// pieceBytes is the size of a piece, unless one item is longer. Executors keep a buffer of that size: shorter
	// replies allocate nothing.
	pieceBytes = 1 << 20
	// headBytes is more than what stands around a string in a reply.
	headBytes = 64
)

// Mark is a place in a reply.
type Mark struct {
	piece, at int
	overflow  bool
}

// Mark returns the place of what is appended next.
func (r *Reply) Mark() Mark { return Mark{len(r.pieces), len(r.Out), r.Overflow} }

// Bytes returns the length of the reply.
func (r *Reply) Bytes() int { return r.bytes + len(r.Out) }

// Cut removes what stands behind a place.
func (r *Reply) Cut(m Mark) {
	if m.piece < len(r.pieces) {
		r.Out = r.pieces[m.piece]
		for _, p := range r.pieces[m.piece:] {
			r.bytes -= len(p)
		}
		r.pieces = slices.Delete(r.pieces, m.piece, len(r.pieces))
	}
	r.Out, r.Overflow = r.Out[:m.at], m.overflow
}

// Move appends what stands behind a place to another reply, and removes it here.
func (r *Reply) Move(to *Reply, from Mark) {
	to.Overflow = to.Overflow || r.Overflow
	if from.piece == len(r.pieces) {
		to.Out = append(to.Out, r.Out[from.at:]...)
		r.Cut(from)
		return
	}
	to.Out = append(to.Out, r.pieces[from.piece][from.at:]...)
	to.close()
	for _, p := range r.pieces[from.piece+1:] {
		to.pieces = append(to.pieces, p)
		to.bytes += len(p)
	}
	to.Out = r.Out
	r.Cut(from)
}

// Give gives all pieces away, to write, in order. Out is left, which stands behind them.
func (r *Reply) Give(write func(piece []byte)) {
	for _, p := range r.pieces {
		write(p)
	}
	r.pieces, r.bytes = nil, 0
}

// close makes a piece of Out.
func (r *Reply) close() {
	r.pieces = append(r.pieces, r.Out)
	r.bytes += len(r.Out)
	r.Out = nil
}

// after returns what stands behind a place, as far as it is in one piece with it.
func (r *Reply) after(m Mark) []byte { return (*r.holder(m))[m.at:] }

// ErrorSince returns what stands behind a place if it is an error and nothing else, without what stands around it.
func (r *Reply) ErrorSince(m Mark) (text []byte, isError bool) {
	if m.piece != len(r.pieces) || m.at >= len(r.Out) || r.Out[m.at] != '-' {
		return nil, false
	}
	return bytes.CutSuffix(r.Out[m.at+1:], []byte("\r\n"))
}

// replace puts b in the place of the n bytes behind a place.
func (r *Reply) replace(m Mark, n int, b []byte) {
	p := r.holder(m)
	if m.piece < len(r.pieces) {
		r.bytes += len(b) - n
	}
	*p = slices.Replace(*p, m.at, m.at+n, b...)
}

func (r *Reply) holder(m Mark) *[]byte {
	if m.piece < len(r.pieces) {
		return &r.pieces[m.piece]
	}
	return &r.Out
}

// room makes room for n more bytes and what stands around them. false: the reply is too long, and they are to be left
// out.
func (c *Ctx) room(n int) bool { return len(c.Out)+n <= pieceBytes || c.long(n) }

// long is room for what doesn't fit in the piece.
func (c *Ctx) long(n int) bool {
	if c.ReplyLimit > 0 && c.Bytes()+n > c.ReplyLimit {
		c.Overflow = true
	}
	if c.Overflow {
		return false
	}
	if len(c.Out) > pieceBytes/2 {
		c.close()
		c.Out = make([]byte, 0, max(n, pieceBytes)+headBytes)
	}
	return true
}

// full tells whether the reply is longer than the session may get, and if so has the connection closed.
func (c *Ctx) full() bool {
	if c.ReplyLimit > 0 && c.Bytes() > c.ReplyLimit {
		c.Overflow = true
	}
	return c.Overflow
}
