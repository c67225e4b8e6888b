package shard

import (
	"encoding/binary"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// contentOf is all that a value consists of, in one string: two values are the same if and only if theirs is.
func contentOf(space *arena.Space, e index.Entry) string {
	switch {
	case object.TypeOf(e.Tag()) == object.String:
		return string(object.AppendString(nil, space, e))
	case object.HasNodes(e.Tag()):
		r := newNodesReader(space, object.NodesOf(e))
		for !r.some(1000) {
		}
		return string(r.content)
	}
	return string(e.Payload())
}

// nodesReader reads all that nodes hold bit by bit.
type nodesReader struct {
	space   *arena.Space
	nodes   object.Nodes
	tree    int // of the trees, 2: done
	begun   bool
	path    tree.Path
	content []byte
}

func newNodesReader(space *arena.Space, nodes object.Nodes) *nodesReader {
	return &nodesReader{space: space, nodes: nodes}
}

// some reads so many items of trees, or 100 bytes of a string for each, and reports whether all has been read. Between
// two calls it refers to the nodes, so these may not change.
func (r *nodesReader) some(budget int) (done bool) {
	if r.nodes.IsPaged() {
		p := r.nodes.Paged()
		from := len(r.content)
		r.content = p.AppendRange(r.content, r.space, from, min(from+100*budget, p.Len()))
		return len(r.content) == p.Len()
	}
	trees := [2]*tree.Tree{&r.nodes.Trees().A, &r.nodes.Trees().B}
	for ; budget > 0 && r.tree < 2; budget-- {
		t := trees[r.tree]
		if !r.begun {
			t.First(r.space, &r.path)
			r.begun = true
			r.content = binary.AppendUvarint(r.content, uint64(t.Len()))
		}
		if !r.path.Valid() {
			r.tree++
			r.begun = false
			continue
		}
		r.content = r.appendItem(r.content, t.Order())
		r.path.Next()
	}
	return r.tree == 2
}

func (r *nodesReader) appendItem(dst []byte, o tree.Order) []byte {
	dst = binary.AppendUvarint(dst, r.path.Key())
	if o == tree.ByHashScore {
		return binary.AppendUvarint(dst, r.path.Value())
	}
	if o == tree.ByValue {
		return dst
	}
	if o == tree.ByID {
		dst = binary.AppendUvarint(dst, r.path.Value())
	}
	body := r.path.View(nil)
	return append(binary.AppendUvarint(dst, uint64(len(body))), body...)
}

// changeTrees changes the trees of the value of k at random, which is there and has some, or makes one of the given
// kind. It is for values of which nobody knows what they mean.
func changeTrees(db *DB, k Key, kind object.Kind, rnd interface{ IntN(int) int }, nowMs int64) {
	v := db.Value(k, nowMs)
	if !v.Exists() {
		size := object.TreesSize
		if kind == object.StreamTree {
			size = object.StreamSize
		}
		v.create(kind, 0, size, func(payload []byte) {
			clear(payload)
			t := object.NewTrees(kind)
			t.Store(payload)
		})
	}
	v.change()
	t := v.trees()
	h := v.heap(&t)
	for _, one := range []*tree.Tree{&t.A, &t.B} {
		if one == &t.B && kind == object.ListTree {
			break
		}
		for range 1 + rnd.IntN(4) {
			changeTree(h, one, rnd)
		}
	}
	v.store(&t)
	v.changed()
}

// changeTree does something to a tree at random: mostly it grows while it is small and shrinks while it is big.
func changeTree(h *tree.Heap, t *tree.Tree, rnd interface{ IntN(int) int }) {
	space := h.Arena.Space()
	var p tree.Path
	switch n := rnd.IntN(10); {
	case n < 2 && t.Len() > 0:
		t.At(space, &p, rnd.IntN(t.Len()))
		if o := t.Order(); o == tree.ByRank {
			t.SetBody(h, &p, randomBody(rnd))
		} else if o == tree.ByHashScore {
			t.SetValue(h, &p, uint64(rnd.IntN(1000)))
		}
	case n < 5 && t.Len() > 0:
		from := rnd.IntN(t.Len())
		t.DeleteRange(h, from, min(from+1+rnd.IntN(1+t.Len()/4), t.Len()))
	default:
		for range 1 + rnd.IntN(200) {
			insertItem(h, t, rnd)
		}
	}
}

func randomBody(rnd interface{ IntN(int) int }) []byte {
	n := rnd.IntN(30)
	switch rnd.IntN(200) {
	case 0:
		n = rnd.IntN(20_000)
	case 1:
		n = rnd.IntN(1000)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.IntN(256))
	}
	return b
}

func insertItem(h *tree.Heap, t *tree.Tree, rnd interface{ IntN(int) int }) {
	space := h.Arena.Space()
	var p tree.Path
	key, body := uint64(rnd.IntN(1<<30)), randomBody(rnd)
	switch t.Order() {
	case tree.ByRank:
		t.At(space, &p, rnd.IntN(t.Len()+1))
		t.Insert(h, &p, 0, 0, body)
	case tree.ByHash:
		if !t.Find(space, &p, key, body) {
			t.Insert(h, &p, key, 0, body)
		}
	case tree.ByHashPair:
		if !t.Find(space, &p, key, body) {
			t.Insert(h, &p, key, 0, tree.AppendPairHead(nil, len(body)), body, []byte("value"))
		}
	case tree.ByScore:
		if !t.SeekScore(space, &p, key, body) {
			t.Insert(h, &p, key, 0, body)
		}
	case tree.ByValue:
		if t.Seek(space, &p, key); !p.Valid() || p.Key() != key {
			t.Insert(h, &p, key, 0)
		}
	case tree.ByID:
		if value := uint64(rnd.IntN(1 << 20)); !t.SeekID(space, &p, key>>20, value) {
			t.Insert(h, &p, key>>20, value, append(body, 1))
		}
	case tree.ByHashScore:
		t.Seek(space, &p, key)
		t.Insert(h, &p, key, uint64(rnd.IntN(1000)))
	}
}
