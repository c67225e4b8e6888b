package command

import (
	"encoding/binary"
	"math/bits"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

func bitRows() []*Row {
	const indexUnit = "index_unit?@7.0.0(BYTE|BIT)"
	unitHistory := []Change{{"7.0.0", "Added the `BYTE|BIT` option."}}
	return []*Row{
		{Info: Info{
			Name: "setbit", Arity: 4, Flags: Write | DenyOOM, Categories: CatBitmap,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "bitmap", Since: "2.2.0",
			Summary:    "Sets or clears the bit at offset in the string value stored at key",
			Complexity: "O(1)", Args: "key offset:integer value:integer",
		}, Run: cmdSetBit},
		{Info: Info{
			Name: "getbit", Arity: 3, Flags: ReadOnly | Fast, Categories: CatBitmap, Keys: OneKey(KeyRO | KeyAccess),
			Group: "bitmap", Since: "2.2.0",
			Summary:    "Returns the bit value at offset in the string value stored at key",
			Complexity: "O(1)", Args: "key offset:integer",
		}, Run: cmdGetBit},
		{Info: Info{
			Name: "bitcount", Arity: -2, Flags: ReadOnly, Categories: CatBitmap, Keys: OneKey(KeyRO | KeyAccess),
			Group: "bitmap", Since: "2.6.0", Summary: "Count set bits in a string", Complexity: "O(N)",
			History: unitHistory, Args: "key index?(start:integer end:integer " + indexUnit + ")",
		}, Run: cmdBitCount},
		{Info: Info{
			Name: "bitpos", Arity: -3, Flags: ReadOnly, Categories: CatBitmap, Keys: OneKey(KeyRO | KeyAccess),
			Group: "bitmap", Since: "2.8.7", Summary: "Find first bit set or clear in a string", Complexity: "O(N)",
			History: unitHistory,
			Args:    "key bit:integer index?(start:integer end_index?(end:integer " + indexUnit + "))",
		}, Run: cmdBitPos},
		{Info: Info{
			Name: "bitop", Arity: -4, Flags: Write | DenyOOM, Categories: CatBitmap,
			Keys: []KeySpec{
				{First: 2, Step: 1, Flags: KeyOW | KeyUpdate}, {First: 3, Last: -1, Step: 1, Flags: KeyRO | KeyAccess},
			},
			Group: "bitmap", Since: "2.6.0", Summary: "Perform bitwise operations between strings", Complexity: "O(N)",
			Args: "operation destkey:key#0 key:key#1*",
		}, Run: cmdBitOp},
	}
}

// bitOffset reads the offset of a bit. If width is not 0, "#n" is that of the n-th field of so many bits.
func (c *Ctx) bitOffset(arg []byte, width int) (int64, error) {
	hash := width > 0 && len(arg) > 0 && arg[0] == '#'
	if hash {
		arg = arg[1:]
	}
	n, ok := resp.ParseInt(arg)
	if !ok {
		return 0, resp.ErrBitOffset
	}
	if hash {
		n *= int64(width) // modulo 2^64, as Redis reckons
	}
	if n < 0 || n>>3 >= c.Limits.MaxStringBytes {
		return 0, resp.ErrBitOffset
	}
	return n, nil
}

// bitString looks the call's first key up for writing bits up to the given one. grows tells that its string, if there
// is one, does not reach that far.
func (c *Ctx) bitString(last int64) (db *shard.DB, e index.Entry, found, grows bool, err error) {
	if last>>3 >= object.MaxString { // only where proto-max-bulk-len was raised, or a field begins at the very end
		return nil, e, false, false, resp.ErrStringTooLong
	}
	k := &c.Keys[0]
	db = k.Shard.DB(c.DBID)
	e, found = db.Get(k.Key, c.NowMs)
	if found && db.Type(e) != object.String {
		return nil, e, false, false, resp.ErrWrongType
	}
	return db, e, found, !found || last>>3 >= int64(db.StringLen(e)), nil
}

// SETBIT key offset value
func cmdSetBit(c *Ctx) error {
	offset, err := c.bitOffset(c.Args[2], 0)
	if err != nil {
		return err
	}
	on, ok := resp.ParseInt(c.Args[3])
	if !ok || on&^1 != 0 {
		return resp.ErrBitValue
	}
	db, e, found, grows, err := c.bitString(offset)
	if err != nil {
		return err
	}
	var b [1]byte
	if found {
		db.StringRead(b[:], e, int(offset>>3))
	}
	shift := 7 - offset&7
	old := int64(b[0]>>shift) & 1
	k := &c.Keys[0]
	if grows || old != on {
		b[0] = b[0]&^(1<<shift) | byte(on)<<shift
		db.StringSetRange(k.Key, int(offset>>3), b[:])
		c.Notify(k, shard.EventString, "setbit")
		c.Dirty++
	} else {
		db.StringRaw(k.Key)
	}
	c.Int(old)
	return nil
}

// GETBIT key offset
func cmdGetBit(c *Ctx) error {
	offset, err := c.bitOffset(c.Args[2], 0)
	if err != nil {
		return err
	}
	db, e, ok, err := c.readString()
	if err != nil {
		return err
	}
	var b [1]byte
	if ok {
		db.StringRead(b[:], e, int(min(offset>>3, object.MaxString)))
	}
	c.Int(int64(b[0]>>(7-offset&7)) & 1)
	return nil
}

// bitRange is a range of bits of a string, given in bytes or in bits.
type bitRange struct {
	start, end int64 // as given, then in bits, end included
	inBits     bool
}

// unit reads the word that says what a range counts.
func (r *bitRange) unit(arg []byte) error {
	switch arg = cString(arg); {
	case equalFold(arg, "bit"):
		r.inBits = true
	case !equalFold(arg, "byte"):
		return resp.ErrSyntax
	}
	return nil
}

// within cuts the range to a string of n bytes and has it count bits. An empty one has start > end.
func (r *bitRange) within(n int) {
	total := int64(n)
	if r.inBits {
		total <<= 3
	}
	if r.start < 0 {
		r.start = max(r.start+total, 0)
	}
	if r.end < 0 {
		r.end = max(r.end+total, 0)
	}
	r.end = min(r.end, total-1)
	switch {
	case r.start > r.end:
		r.start, r.end = 1, 0
	case !r.inBits:
		r.start, r.end = r.start<<3, r.end<<3+7
	}
}

// BITCOUNT key [start end [BYTE | BIT]]
func cmdBitCount(c *Ctx) error {
	db, e, ok, err := c.readString()
	if err != nil {
		return err
	}
	if !ok { // before anything else about the arguments, as in Redis 7.0
		c.Int(0)
		return nil
	}
	r := bitRange{end: -1}
	switch len(c.Args) {
	case 2:
	case 4, 5:
		a := c.ArgsFrom(2)
		r.start, r.end = a.Int(), a.Int()
		// Known before they are cut, even before the unit.
		if a.Err() == nil && r.start < 0 && r.end < 0 && r.start > r.end {
			c.Int(0)
			return nil
		}
		if a.More() {
			a.Fail(r.unit(a.Bytes()))
		}
		if a.Err() != nil {
			return a.Err()
		}
	default:
		return resp.ErrSyntax
	}
	r.within(db.StringLen(e))
	c.Int(countBits(db, e, r))
	return nil
}

// countBits counts the ones in a range of the string in e.
func countBits(db *shard.DB, e index.Entry, r bitRange) int64 {
	if r.start > r.end {
		return 0
	}
	n := 0
	first, last := int(r.start>>3), int(r.end>>3)
	db.StringPieces(e, first, last+1, func(b []byte, _ int) bool {
		n += onesCount(b)
		return true
	})
	if at := r.start & 7; at != 0 {
		n -= bits.OnesCount8(byteAt(db, e, first) &^ (0xFF >> at))
	}
	if at := r.end & 7; at != 7 {
		n -= bits.OnesCount8(byteAt(db, e, last) & (0x7F >> at))
	}
	return int64(n)
}

func byteAt(db *shard.DB, e index.Entry, i int) byte {
	var b [1]byte
	db.StringRead(b[:], e, i)
	return b[0]
}

// onesCount counts the ones of b.
func onesCount(b []byte) (n int) {
	for ; len(b) >= 32; b = b[32:] {
		n += bits.OnesCount64(binary.NativeEndian.Uint64(b)) + bits.OnesCount64(binary.NativeEndian.Uint64(b[8:])) +
			bits.OnesCount64(binary.NativeEndian.Uint64(b[16:])) + bits.OnesCount64(binary.NativeEndian.Uint64(b[24:]))
	}
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(binary.NativeEndian.Uint64(b))
	}
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// BITPOS key bit [start [end [BYTE | BIT]]]
func cmdBitPos(c *Ctx) error {
	a := c.ArgsFrom(2)
	bit := a.Int()
	if a.Err() != nil {
		return a.Err()
	}
	if bit != 0 && bit != 1 {
		return resp.ErrBitArgument
	}
	db, e, ok, err := c.readString()
	if err != nil {
		return err
	}
	if !ok { // before the rest of the arguments, as in Redis 7.0
		c.Int(-bit)
		return nil
	}
	if len(c.Args) > 6 {
		return resp.ErrSyntax
	}
	r := bitRange{end: -1}
	if a.More() {
		r.start = a.Int()
	}
	if len(c.Args) == 6 {
		a.Fail(r.unit(c.Args[5]))
	}
	bounded := a.More()
	if bounded {
		r.end = a.Int()
	}
	if a.Err() != nil {
		return a.Err()
	}
	r.within(db.StringLen(e))
	pos := int64(-1)
	if r.start <= r.end {
		pos = findBit(db, e, r, bit == 1)
		if pos < 0 && bit == 0 && !bounded { // behind the string all is zero
			pos = int64(db.StringLen(e)) << 3
		}
	}
	c.Int(pos)
	return nil
}

// findBit returns the position of the first bit in a range of the string in e that is set, or not; -1 if there is none.
func findBit(db *shard.DB, e index.Entry, r bitRange, set bool) int64 {
	found := int64(-1)
	at := r.start &^ 7 // where the next piece begins
	skip := r.start & 7
	db.StringPieces(e, int(r.start>>3), int(r.end>>3)+1, func(b []byte, n int) bool {
		if i := firstBit(b, int(skip), set); i >= 0 {
			found = at + int64(i)
		} else if !set && len(b) < n { // what is missing is zero
			found = max(at+int64(len(b))<<3, at+skip)
		}
		at += int64(n) << 3
		skip = 0
		return found < 0
	})
	if found > r.end {
		return -1
	}
	return found
}

// firstBit returns the position of the first bit of b from skip < 8 on that is set, or not; -1 if there is none.
func firstBit(b []byte, skip int, set bool) int {
	var flip uint64 // what makes the bit that is looked for a one
	if !set {
		flip = ^uint64(0)
	}
	i := 0
	if skip > 0 && len(b) > 0 {
		if x := (b[0] ^ byte(flip)) & (0xFF >> skip); x != 0 {
			return bits.LeadingZeros8(x)
		}
		i = 1
	}
	for ; i+8 <= len(b); i += 8 {
		if x := binary.BigEndian.Uint64(b[i:]) ^ flip; x != 0 {
			return i*8 + bits.LeadingZeros64(x)
		}
	}
	for ; i < len(b); i++ {
		if x := b[i] ^ byte(flip); x != 0 {
			return i*8 + bits.LeadingZeros8(x)
		}
	}
	return -1
}
