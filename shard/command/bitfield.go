package command

import (
	"encoding/binary"
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
)

func bitfieldRows() []*Row {
	const get = "(encoding offset:integer)"
	return []*Row{
		{Info: Info{
			Name: "bitfield", Arity: -2, Flags: Write | DenyOOM, Categories: CatBitmap,
			Keys: []KeySpec{{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyUpdate | KeyVariable,
				Notes: "This command allows both access and modification of the key"}},
			Group: "bitmap", Since: "3.2.0", Summary: "Perform arbitrary bitfield integer operations on strings",
			Complexity: "O(1) for each subcommand specified",
			Args: "key operation?*(encoding_offset=GET" + get + "|write(wrap_sat_fail=OVERFLOW?(WRAP|SAT|FAIL) " +
				"write_operation(encoding_offset_value=SET(encoding offset:integer value:integer)|" +
				"encoding_offset_increment=INCRBY(encoding offset:integer increment:integer))))",
		}, Run: cmdBitfield, KeyFlags: bitfieldKeyFlags},
		{Info: Info{
			Name: "bitfield_ro", Arity: -2, Flags: ReadOnly | Fast, Categories: CatBitmap,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "bitmap", Since: "6.0.0",
			Summary: "Perform arbitrary bitfield integer operations on strings. Read-only variant of " +
				"BITFIELD",
			Complexity: "O(1) for each subcommand specified", Args: "key encoding_offset=GET?*+" + get,
		}, Run: cmdBitfieldRO},
	}
}

// fieldOp is what an operation of BITFIELD does with a field.
type fieldOp uint8

const (
	fieldGet fieldOp = iota
	fieldSet
	fieldIncrBy
)

// overflowRule is what becomes of a number that does not fit its field.
type overflowRule uint8

const (
	overflowWrap overflowRule = iota
	overflowSat
	overflowFail
)

// bitField is one operation of BITFIELD.
type bitField struct {
	op       fieldOp
	overflow overflowRule
	signed   bool
	bits     int
	offset   int64
	by       int64 // the value of SET, the increment of INCRBY
}

// bitfieldKeyFlags says what a BITFIELD does to its key.
func bitfieldKeyFlags(args [][]byte) KeyFlags {
	for i := 2; i < len(args); i++ {
		word := cString(args[i])
		switch {
		case equalFold(word, "get") && len(args)-i > 2:
			i += 2
		case equalFold(word, "overflow") && len(args)-i > 1:
			i++
		default:
			return KeyRW | KeyAccess | KeyUpdate
		}
	}
	return KeyRO | KeyAccess
}

// BITFIELD key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] SET encoding offset value | INCRBY encoding offset
// increment] ...
func cmdBitfield(c *Ctx) error { return c.bitfield(true) }

// BITFIELD_RO key [GET encoding offset ...]
func cmdBitfieldRO(c *Ctx) error { return c.bitfield(false) }

// bitfield reads the arguments twice, first to find errors and how far the string is written to: so it needs no list of
// operations.
func (c *Ctx) bitfield(mayWrite bool) error {
	n, last := 0, int64(-1)
	rule := overflowWrap
	for a := c.ArgsFrom(2); a.More(); n++ {
		f, ok := c.nextField(&a, &rule)
		switch {
		case a.Err() != nil:
			return a.Err()
		case !ok: // the last word was an OVERFLOW
			n--
		case f.op != fieldGet:
			last = max(last, f.offset+int64(f.bits)-1)
		}
	}
	if last < 0 {
		db, e, ok, err := c.readString()
		if err != nil {
			return err
		}
		c.fieldsRead(n, db, e, ok)
		return nil
	}
	if !mayWrite {
		return resp.ErrBitfieldRO
	}
	return c.fieldsWrite(n, last)
}

// nextField reads one operation and the OVERFLOWs before it, which change *rule; ok is false if no operation follows.
func (c *Ctx) nextField(a *Args, rule *overflowRule) (f bitField, ok bool) {
	for a.More() {
		switch left := a.Left(); {
		case left > 2 && a.Option("get"):
			f.op = fieldGet
		case left > 3 && a.Option("set"):
			f.op = fieldSet
		case left > 3 && a.Option("incrby"):
			f.op = fieldIncrBy
		case left > 1 && a.Option("overflow"):
			*rule = a.overflowRule()
			continue
		default:
			a.Syntax()
			return f, false
		}
		f.overflow = *rule
		f.signed, f.bits = a.encoding()
		if offset := a.Bytes(); a.Err() == nil {
			var err error
			f.offset, err = c.bitOffset(offset, f.bits)
			a.Fail(err)
		}
		if f.op != fieldGet {
			f.by = a.Int()
		}
		return f, true
	}
	return f, false
}

// overflowRule consumes the name of one.
func (a *Args) overflowRule() overflowRule {
	switch {
	case a.Option("wrap"):
		return overflowWrap
	case a.Option("sat"):
		return overflowSat
	case a.Option("fail"):
		return overflowFail
	}
	a.Fail(resp.ErrBitfieldOver)
	return 0
}

// encoding consumes the type of a field: i1 to i64, u1 to u63.
func (a *Args) encoding() (signed bool, bits int) {
	b := cString(a.Bytes())
	if len(b) > 0 && (b[0] == 'i' || b[0] == 'u') {
		signed = b[0] == 'i'
		if n, ok := resp.ParseInt(b[1:]); ok && n >= 1 && (n <= 63 || signed && n == 64) {
			return signed, int(n)
		}
	}
	a.Fail(resp.ErrBitfieldType)
	return false, 0
}

// fieldsRead replies n fields of the string in e, all of them GETs.
func (c *Ctx) fieldsRead(n int, db *shard.DB, e index.Entry, found bool) {
	c.Array(n)
	var rule overflowRule
	a := c.ArgsFrom(2)
	for range n {
		f, _ := c.nextField(&a, &rule)
		var w fieldWindow
		if found {
			w.load(&f, db, e)
		}
		c.Int(w.get(&f))
	}
}

// fieldsWrite executes n operations, which write up to the given bit.
func (c *Ctx) fieldsWrite(n int, last int64) error {
	db, _, _, grows, err := c.bitString(last)
	if err != nil {
		return err
	}
	k := &c.Keys[0]
	if grows {
		db.StringSetRange(k.Key, int(last>>3), []byte{0})
	} else {
		db.StringRaw(k.Key)
	}
	e, found := db.Look(k.Key, c.NowMs)
	if !found {
		panic("BUG: bitfield: the string is gone")
	}
	c.Array(n)
	var rule overflowRule
	a := c.ArgsFrom(2)
	for range n {
		f, _ := c.nextField(&a, &rule)
		var w fieldWindow
		w.load(&f, db, e)
		old := w.get(&f)
		if f.op == fieldGet {
			c.Int(old)
			continue
		}
		val, ok := f.next(old)
		switch {
		case !ok:
			c.Null()
			continue
		case f.op == fieldSet:
			c.Int(old)
		default:
			c.Int(val)
		}
		if val != old {
			w.set(&f, val)
			db.StringSetRange(k.Key, int(f.offset>>3), w.used(&f))
			e, _ = db.Look(k.Key, c.NowMs)
		}
		if grows || val != old {
			c.Dirty++
		}
	}
	if c.Dirty > 0 {
		c.Notify(k, shard.EventString, "setbit")
	}
	if grows && c.Dirty == 0 { // it did grow, which Redis does not count
		c.Effect(k.Arg, c.Args...)
	}
	return nil
}

// fieldWindow are the bytes of a string that a field lies in: nine at most.
type fieldWindow [9]byte

// used are the bytes that the field has a part in.
func (w *fieldWindow) used(f *bitField) []byte {
	return w[:(int(f.offset&7)+f.bits+7)>>3]
}

func (w *fieldWindow) load(f *bitField, db *shard.DB, e index.Entry) {
	db.StringRead(w.used(f), e, int(f.offset>>3))
}

// get returns the field's value.
func (w *fieldWindow) get(f *bitField) int64 {
	skip := uint(f.offset & 7)
	x := binary.BigEndian.Uint64(w[:])<<skip | uint64(w[8])>>(8-skip) // the field and what follows it
	if f.signed {
		return int64(x) >> (64 - f.bits)
	}
	return int64(x >> (64 - f.bits))
}

// set gives the field a value.
func (w *fieldWindow) set(f *bitField, val int64) {
	skip := uint(f.offset & 7)
	mask := uint64(math.MaxUint64) << (64 - f.bits)
	x := uint64(val) << (64 - f.bits)
	binary.BigEndian.PutUint64(w[:], binary.BigEndian.Uint64(w[:])&^(mask>>skip)|x>>skip)
	w[8] = w[8]&^byte(mask<<(8-skip)) | byte(x<<(8-skip))
}

// next returns what SET or INCRBY makes of a field with value old, or ok false if that may not be.
func (f *bitField) next(old int64) (val int64, ok bool) {
	least, most := int64(0), int64(math.MaxInt64)>>(63-f.bits+count(f.signed))
	if f.signed {
		least = -most - 1
	}
	base, by := old, f.by
	if f.op == fieldSet {
		base = 0
	}
	sum := base + by // modulo 2^64
	var over, under bool
	switch {
	case f.op == fieldSet && !f.signed: // a negative value is a great one
		over = by < 0 || by > most
	case f.op == fieldSet:
		// Redis's 64 bits overflow for values far below the range, which it takes for too great.
		far := f.bits < 64 && by < most-math.MaxInt64
		over, under = by > most || far, by < least && !far
	default:
		over = by > 0 && base > most-by
		under = by < 0 && (base >= 0 && base+by < least || base < 0 && base < least-by)
	}
	switch {
	case !over && !under:
		return sum, true
	case f.overflow == overflowFail:
		return 0, false
	case f.overflow == overflowSat && over:
		return most, true
	case f.overflow == overflowSat:
		return least, true
	}
	shift := 64 - f.bits
	if f.signed {
		return sum << shift >> shift, true
	}
	return int64(uint64(sum) << shift >> shift), true
}
