package command

import (
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/hll"
	"fulmen/shard/object"
)

func hllRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "pfadd", Arity: -2, Flags: Write | DenyOOM | Fast, Categories: CatHyperLogLog,
			Keys:  OneKey(KeyRW | KeyInsert),
			Group: "hyperloglog", Since: "2.8.9",
			Summary:    "Adds the specified elements to the specified HyperLogLog.",
			Complexity: "O(1) to add every element.", Args: "key element?*",
		}, Run: cmdPFAdd},
		{Info: Info{
			Name: "pfcount", Arity: -2, Flags: ReadOnly | MayReplicate, Categories: CatHyperLogLog,
			Keys: []KeySpec{{
				First: 1, Last: -1, Step: 1, Flags: KeyRW | KeyAccess,
				Notes: "RW because it may change the internal representation of the key, and propagate to replicas",
			}},
			Group: "hyperloglog", Since: "2.8.9",
			Summary: "Return the approximated cardinality of the set(s) observed by the HyperLogLog at key(s).",
			Complexity: "O(1) with a very small average constant time when called with a single key. O(N) with N " +
				"being the number of keys, and much bigger constant times, when called with multiple keys.",
			Args: "key*",
		}, Run: cmdPFCount},
		{Info: Info{
			Name: "pfmerge", Arity: -2, Flags: Write | DenyOOM, Categories: CatHyperLogLog,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyInsert},
				{First: 2, Last: -1, Step: 1, Flags: KeyRO | KeyAccess},
			},
			Group: "hyperloglog", Since: "2.8.9",
			Summary:    "Merge N different HyperLogLogs into a single one.",
			Complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
			Args:       "destkey:key#0 sourcekey:key#1*",
		}, Run: cmdPFMerge},
		{Info: Info{
			Name: "pfdebug", Arity: 3, Flags: Write | DenyOOM | Admin, Categories: CatHyperLogLog,
			Keys:  []KeySpec{{First: 2, Step: 1, Flags: KeyRW | KeyAccess}},
			Group: "hyperloglog", Since: "2.8.9",
			Summary: "Internal commands for debugging HyperLogLog values", Complexity: "N/A", Syscmd: true,
			Args: "subcommand key",
		}, Run: cmdPFDebug},
		{Info: Info{
			Name: "pfselftest", Arity: 1, Flags: Admin, Categories: CatHyperLogLog,
			Group: "hyperloglog", Since: "2.8.9",
			Summary: "An internal command for testing HyperLogLog values", Complexity: "N/A", Syscmd: true,
		}, Slices: beginPFSelfTest},
	}
}

// hllString is the string of a key that is taken for a HyperLogLog.
type hllString struct {
	shard.String
	head [hll.HeaderBytes]byte
	size int
}

// openHLL looks up the HyperLogLog of a key, into h, and reports whether it is there. Whatever else is there is an
// error.
func (c *Ctx) openHLL(h *hllString, k *Keyed) (found bool, err error) {
	k.Shard.DB(c.DBID).OpenValue(&h.Value, k.Key, c.NowMs)
	if !h.Exists() {
		return false, nil
	}
	if h.Type() != object.String {
		return false, resp.ErrWrongType
	}
	if h.size = h.Len(); h.size >= hll.HeaderBytes {
		copy(h.head[:], h.Bytes(h.head[:], 0))
	}
	if !hll.Valid(h.head[:], h.size) {
		return false, resp.ErrNotHLL
	}
	return true, nil
}

// readHLL is openHLL for a command that reads it, and counts the hit or miss.
func (c *Ctx) readHLL(h *hllString, k *Keyed) (found bool, err error) {
	found, err = c.openHLL(h, k)
	c.count(k, h.Exists())
	return found, err
}

func (h *hllString) dense() bool { return hll.IsDense(h.head[:]) }

// view returns the value for reading, copied to the empty room only if it is not in one piece. It is valid until the
// next change in the shard. One that is too long to be sound is refused before it is read.
func (h *hllString) view(room []byte) ([]byte, error) {
	if h.size > hll.MaxSparseBytes {
		return nil, resp.ErrCorruptHLL
	}
	if b, ok := h.Piece(); ok {
		return b, nil
	}
	return h.AppendTo(room), nil
}

// storeHLL makes b the string of a key; found: it is there and keeps its expiry.
func (c *Ctx) storeHLL(k *Keyed, found bool, b []byte) {
	if db := k.Shard.DB(c.DBID); found {
		db.StringReplace(k.Key, b)
	} else {
		db.StringSetRange(k.Key, 0, b)
	}
}

// PFADD key [element [element ...]]
func cmdPFAdd(c *Ctx) error {
	k := &c.Keys[0]
	var h hllString
	found, err := c.openHLL(&h, k)
	if err != nil {
		return err
	}
	if found {
		h.Raw() // as Redis has it, even if nothing changes
	}
	changes := 0
	if found && h.dense() {
		changes = c.addDense(&h)
	} else if found && len(c.Args) == 3 {
		changes, err = c.addOne(&h)
	} else {
		changes, err = c.addSparse(k, found, &h)
	}
	if err != nil {
		return err
	}
	if c.Dirty += changes; changes > 0 {
		c.Notify(k, shard.EventString, "pfadd")
	}
	c.Bool(changes > 0)
	return nil
}

// addDense adds the call's elements to a dense value, of which it touches only what changes, and returns how many
// changed something.
func (c *Ctx) addDense(h *hllString) (changes int) {
	var b [2]byte
	for _, element := range c.Args[2:] {
		register, rank := hll.Hash(element)
		at, n := hll.Place(register)
		copy(b[:n], h.Bytes(b[:n], at))
		if hll.RaiseIn(b[:n], register, rank) {
			h.Splice(at, n, b[:n])
			changes++
		}
	}
	if changes > 0 {
		h.stale()
	}
	return changes
}

// stale notes that the last estimate is out of date.
func (h *hllString) stale() {
	if _, cached := hll.Cached(h.head[:]); cached {
		hll.Stale(h.head[:])
		h.Splice(hll.CacheAt, hll.CacheBytes, h.head[hll.CacheAt:])
	}
}

// addOne is addSparse for one element and a value that is there: of which nothing is copied, unless it becomes dense.
func (c *Ctx) addOne(h *hllString) (changes int, err error) {
	v := hll.Value{MaxSparse: c.Limits.HLLSparseMaxBytes}
	if v.B, err = h.view(c.buffer(hll.MaxSparseBytes)[:0]); err != nil {
		return 0, err
	}
	var e hll.Edit
	register, rank := hll.Hash(c.Args[2])
	raised, ok := v.Plan(&e, register, rank)
	switch {
	case !ok:
		return c.addSparse(nil, true, h)
	case raised == hll.Unsound:
		return 0, resp.ErrCorruptHLL
	case raised == hll.Same:
		return 0, nil
	}
	h.stale()
	h.Splice(e.At, e.Del, e.New())
	return 1, nil
}

// addSparse adds the call's elements to a sparse value, or a new one if the key isn't there, and returns how many
// changed something, making one included. An error changes nothing.
func (c *Ctx) addSparse(k *Keyed, found bool, h *hllString) (changes int, err error) {
	v := hll.Value{MaxSparse: c.Limits.HLLSparseMaxBytes}
	room := c.buffer(hll.MaxSparseBytes)[:0]
	if found {
		if v.B, err = h.view(room); err != nil {
			return 0, err
		}
		v.Borrowed(room)
	} else {
		v.B = hll.AppendEmpty(room)
		changes = 1
	}
	for _, element := range c.Args[2:] {
		switch v.Raise(hll.Hash(element)) {
		case hll.Higher:
			changes++
		case hll.Unsound:
			return 0, resp.ErrCorruptHLL
		}
	}
	switch {
	case changes == 0:
	case found:
		v.Stale()
		head, tail := v.Changed()
		h.Splice(head, h.size-head-tail, v.B[head:len(v.B)-tail])
	default:
		v.Stale()
		c.storeHLL(k, false, v.B)
	}
	return changes, nil
}

// PFCOUNT key [key ...]
func cmdPFCount(c *Ctx) error {
	if len(c.Keys) == 1 {
		return c.countHLL(&c.Keys[0])
	}
	ranks, room := c.hllBuffers()
	if _, err := c.mergeHLLs(ranks, room, c.Keys); err != nil {
		return err
	}
	c.Int(int64(ranks.Count()))
	return nil
}

// countHLL replies the estimate of one key, and notes it there if that has none. This changes the string, and is
// logged: but not by who only looks at a replica's data, which is the primary's.
func (c *Ctx) countHLL(k *Keyed) error {
	var h hllString
	found, err := c.readHLL(&h, k)
	if err != nil {
		return err
	}
	if !found {
		c.Int(0)
		return nil
	}
	h.Raw() // as Redis has it, even if only the last estimate is looked at
	n, cached := hll.Cached(h.head[:])
	if !cached {
		b, err := h.view(c.buffer(hll.MaxSparseBytes)[:0])
		if err != nil {
			return err
		}
		var sound bool
		if n, sound = hll.Count(b); !sound {
			return resp.ErrCorruptHLL
		}
		if !c.Set.Frozen(c.NowMs) {
			hll.PutCached(h.head[:], n)
			h.Splice(hll.CacheAt, hll.CacheBytes, h.head[hll.CacheAt:])
			c.Dirty++
		}
	}
	c.Int(int64(n))
	return nil
}

// hllBuffers returns ranks that are all 0, and room for a value.
func (c *Ctx) hllBuffers() (ranks hll.Ranks, room []byte) {
	b := c.buffer(hll.Registers + hll.MaxSparseBytes)
	ranks = hll.Ranks(b[:hll.Registers])
	clear(ranks)
	return ranks, b[hll.Registers:hll.Registers]
}

// mergeHLLs raises ranks to those of all values under some keys, and tells whether one of them was dense.
func (c *Ctx) mergeHLLs(ranks hll.Ranks, room []byte, keys []Keyed) (dense bool, err error) {
	for i := range keys {
		var h hllString
		found, err := c.readHLL(&h, &keys[i])
		if err != nil {
			return false, err
		}
		if !found {
			continue
		}
		b, err := h.view(room)
		if err != nil {
			return false, err
		}
		if !ranks.Merge(b) {
			return false, resp.ErrCorruptHLL
		}
		dense = dense || h.dense()
	}
	return dense, nil
}

// PFMERGE destkey [sourcekey [sourcekey ...]]
func cmdPFMerge(c *Ctx) error {
	ranks, room := c.hllBuffers()
	dense, err := c.mergeHLLs(ranks, room, c.Keys)
	if err != nil {
		return err
	}
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	v := hll.Value{MaxSparse: c.Limits.HLLSparseMaxBytes}
	e, found := db.Get(k.Key, c.NowMs)
	if found { // it is one of those that were merged
		v.B = db.AppendString(room, e)
	} else {
		v.B = hll.AppendEmpty(room)
	}
	switch {
	case hll.IsDense(v.B):
		ranks.PutDense(v.B)
	case dense:
		v.B = ranks.Dense(v.B)
	default:
		for register, rank := range ranks {
			if rank > 0 && v.Raise(register, rank) == hll.Unsound {
				panic("BUG: PFMERGE: a value was merged that is not sound")
			}
		}
	}
	hll.Stale(v.B)
	c.storeHLL(k, found, v.B)
	c.Notify(k, shard.EventString, "pfadd")
	c.Dirty++
	c.EffectOfKeys()
	c.OK()
	return nil
}

// PFDEBUG subcommand key
//
// "simd on" and "simd off" are of Redis 8, for its tests: there are no such instructions to be used.
func cmdPFDebug(c *Ctx) error {
	sub := cString(c.Args[1])
	if equalFold(sub, "simd") {
		if on := cString(c.Args[2]); !equalFold(on, "on") && !equalFold(on, "off") {
			return resp.ErrSIMD
		}
		c.Simple("disabled")
		return nil
	}
	k := &c.Keys[0]
	var h hllString
	found, err := c.openHLL(&h, k)
	if err != nil {
		return err
	}
	if !found {
		return resp.ErrKeyMissing
	}
	h.Raw()
	for _, known := range [...]struct {
		name string
		run  func(c *Ctx, k *Keyed, h *hllString) error
	}{{"getreg", pfGetReg}, {"decode", pfDecode}, {"encoding", pfEncoding}, {"todense", pfToDense}} {
		if equalFold(sub, known.name) {
			return known.run(c, k, &h)
		}
	}
	return resp.ErrPFDebugUnknown(sub)
}

// densify makes a value dense and returns it.
func (c *Ctx) densify(k *Keyed, h *hllString) ([]byte, error) {
	b, err := h.view(c.buffer(hll.MaxSparseBytes)[:0])
	if err != nil {
		return nil, err
	}
	d, ok := hll.DenseOf(b)
	if !ok {
		return nil, resp.ErrCorruptHLL
	}
	if !h.dense() {
		c.storeHLL(k, true, d)
		c.Dirty++
	}
	return d, nil
}

func pfGetReg(c *Ctx, k *Keyed, h *hllString) error {
	d, err := c.densify(k, h)
	if err != nil {
		return err
	}
	ranks := make(hll.Ranks, hll.Registers)
	ranks.Merge(d)
	c.Array(len(ranks))
	for _, rank := range ranks {
		c.Int(int64(rank))
	}
	return nil
}

func pfDecode(c *Ctx, _ *Keyed, h *hllString) error {
	if h.dense() {
		return resp.ErrNotSparse
	}
	b, err := h.view(c.buffer(hll.MaxSparseBytes)[:0])
	if err != nil {
		return err
	}
	var text []byte
	sound := hll.EachRun(b, func(rank byte, n, size int) {
		switch {
		case rank > 0:
			text = append(text, "v:"...)
			text = append(strconv.AppendInt(text, int64(rank), 10), ',')
		case size == 1:
			text = append(text, "z:"...)
		default:
			text = append(text, "Z:"...)
		}
		text = append(strconv.AppendInt(text, int64(n), 10), ' ')
	})
	if !sound {
		return resp.ErrCorruptHLL
	}
	c.Bulk(text[:len(text)-1])
	return nil
}

func pfEncoding(c *Ctx, _ *Keyed, h *hllString) error {
	if h.dense() {
		c.Simple("dense")
	} else {
		c.Simple("sparse")
	}
	return nil
}

func pfToDense(c *Ctx, k *Keyed, h *hllString) error {
	if h.dense() {
		c.Int(0)
		return nil
	}
	if _, err := c.densify(k, h); err != nil {
		return err
	}
	c.Int(1)
	return nil
}

// hllSelfTest is a call of PFSELFTEST under way.
type hllSelfTest struct{ test *hll.SelfTest }

// PFSELFTEST
func beginPFSelfTest(*Ctx) (Job, error) { return &hllSelfTest{hll.NewSelfTest()}, nil }

// Shard implements Job; it works on none.
func (j *hllSelfTest) Shard() int { return 0 }

// Slice implements Job.
func (j *hllSelfTest) Slice(c *Ctx) (done bool) {
	done, err := j.test.Step()
	switch {
	case err != nil:
		c.Out = resp.AppendError(c.Out, &resp.Error{Code: "TESTFAILED", Msg: err.Error()})
	case done:
		c.OK()
	}
	return done
}

// Head implements Job: there is nothing before the reply.
func (j *hllSelfTest) Head(*Ctx) {}
