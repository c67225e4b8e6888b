package stream

// Radix counts the nodes that a radix tree of Redis has with the IDs of a stream's nodes as keys, which it tells
// clients: one for each key, one for each place where keys part, and one for each chain of bytes between these.
type Radix struct {
	keys, nodes int
	last        [RawLen]byte
	depths      [RawLen]int // of the places where keys part on the way to the last one
	n           int         // of depths
}

// Add adds an ID, which is above those before.
func (r *Radix) Add(id ID) {
	var raw [RawLen]byte
	id.AppendRaw(raw[:0])
	if r.keys > 0 {
		same := 0
		for raw[same] == r.last[same] {
			same++
		}
		depth := r.close(same)
		if r.n == 0 || r.depths[r.n-1] < same {
			r.depths[r.n] = same
			r.n++
			r.nodes++
		}
		r.edge(depth, same)
	}
	r.keys++
	r.nodes++
	r.last = raw
}

// close goes up from the last key to where nothing parts below a depth, and returns how deep that is.
func (r *Radix) close(to int) int {
	depth := RawLen
	for ; r.n > 0 && r.depths[r.n-1] > to; r.n-- {
		r.edge(depth, r.depths[r.n-1])
		depth = r.depths[r.n-1]
	}
	return depth
}

// edge counts the chain between two depths, the first byte of which is part of the upper node.
func (r *Radix) edge(lower, upper int) {
	if lower-upper > 1 {
		r.nodes++
	}
}

// Keys returns how many IDs there are and, as the last thing, how many nodes.
func (r *Radix) Keys() (keys, nodes int) {
	if r.keys == 0 || r.close(-1) > 0 {
		r.nodes++ // the root
	}
	return r.keys, r.nodes
}
