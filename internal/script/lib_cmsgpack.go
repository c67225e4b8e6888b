package script

import (
	"encoding/binary"
	"math"

	lua "github.com/yuin/gopher-lua"
)

// The library cmsgpack encodes values as MessagePack: as lua-cmsgpack 0.4.0 does, which Redis has. It knows no binary
// strings and no extensions. A table whose keys are 1 … n is an array, the empty one, too; any other is a map, in the
// order of next. What is nested 16 deep is nil, and so is what has no form: functions, userdata.

// maxPackDepth is how deep tables are encoded.
const maxPackDepth = 16

// openCmsgpack makes the table cmsgpack.
func (lb *libs) openCmsgpack(L *lua.LState) *lua.LTable {
	t := newLibrary(L, map[string]lua.LGFunction{
		"pack": lb.msgPack, "unpack": lb.msgUnpack, "unpack_one": lb.msgUnpackOne, "unpack_limit": lb.msgUnpackLimit,
	})
	t.RawSetString("_NAME", lua.LString("cmsgpack"))
	t.RawSetString("_VERSION", lua.LString("lua-cmsgpack 0.4.0"))
	t.RawSetString("_COPYRIGHT", lua.LString("Copyright (C) 2012, Salvatore Sanfilippo"))
	t.RawSetString("_DESCRIPTION", lua.LString("MessagePack C implementation for Lua"))
	return t
}

// cmsgpack.pack(…): the values one behind the other.
func (lb *libs) msgPack(L *lua.LState) int {
	n := L.GetTop()
	if n == 0 {
		argError(L, 0, "MessagePack pack needs input.")
	}
	if 2*n > maxStack {
		argError(L, 0, "Too many arguments for MessagePack pack.")
	}
	p := packer{L: L, lb: lb, buf: lb.takeBuffer()}
	for i := 1; i <= n; i++ {
		p.value(L.Get(i), 0)
	}
	return lb.pushBuffer(L, p.buf)
}

// packer encodes values.
type packer struct {
	L   *lua.LState
	lb  *libs
	buf []byte
}

func (p *packer) value(v lua.LValue, depth int) {
	p.lb.spend(p.L, 20)
	switch v := v.(type) {
	case lua.LString:
		p.string(string(v))
	case lua.LBool:
		if v {
			p.buf = append(p.buf, 0xc3)
		} else {
			p.buf = append(p.buf, 0xc2)
		}
	case lua.LNumber:
		p.number(float64(v))
	case *lua.LTable:
		if depth == maxPackDepth {
			p.buf = append(p.buf, 0xc0)
			break
		}
		p.table(realTable(v), depth)
	default:
		p.buf = append(p.buf, 0xc0)
	}
	p.lb.checkRoom(p.L, len(p.buf))
}

func (p *packer) string(s string) {
	n := len(s)
	switch {
	case n < 32:
		p.buf = append(p.buf, 0xa0|byte(n))
	case n <= math.MaxUint8:
		p.buf = append(p.buf, 0xd9, byte(n))
	case n <= math.MaxUint16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, 0xda), uint16(n))
	default:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xdb), uint32(n))
	}
	p.buf = append(p.buf, s...)
}

// number encodes what is an integer of 64 bits as the shortest one, other numbers as float, if that is exact, or
// double.
func (p *packer) number(f float64) {
	if !math.IsInf(f, 0) && float64(toInt64(f)) == f {
		p.integer(toInt64(f))
		return
	}
	if float64(float32(f)) == f {
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xca), math.Float32bits(float32(f)))
		return
	}
	p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0xcb), math.Float64bits(f))
}

func (p *packer) integer(n int64) {
	switch {
	case n >= -32 && n <= math.MaxInt8:
		p.buf = append(p.buf, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		p.buf = append(p.buf, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, 0xcd), uint16(n))
	case n >= 0 && n <= math.MaxUint32:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xce), uint32(n))
	case n >= 0:
		p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0xcf), uint64(n))
	case n >= math.MinInt8:
		p.buf = append(p.buf, 0xd0, byte(n))
	case n >= math.MinInt16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, 0xd1), uint16(n))
	case n >= math.MinInt32:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xd2), uint32(n))
	default:
		p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0xd3), uint64(n))
	}
}

func (p *packer) table(t *lua.LTable, depth int) {
	if n, ok := p.arrayLength(t); ok {
		p.header(0x90, n)
		for i := 1; i <= n; i++ {
			p.value(getIndex(t, i), depth+1)
		}
		return
	}
	n := 0
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		n++
	}
	p.header(0x80, n)
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		p.value(k, depth+1)
		p.value(v, depth+1)
	}
}

// arrayLength reports whether all keys of a table are 1 … n, and n.
func (p *packer) arrayLength(t *lua.LTable) (n int, ok bool) {
	count, last, ok := p.lb.integerKeys(p.L, t)
	return count, ok && last == float64(count) && last <= math.MaxInt32
}

// header encodes what begins an array (0x90) or a map (0x80) of n.
func (p *packer) header(fix byte, n int) {
	wide := 0xdc + (0x90-fix)>>3 // 0xdc array, 0xde map of 16 bits, each followed by that of 32
	switch {
	case n <= 15:
		p.buf = append(p.buf, fix|byte(n))
	case n <= math.MaxUint16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, wide), uint16(n))
	default:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, wide+1), uint32(n))
	}
}

// cmsgpack.unpack(data): all values.
func (lb *libs) msgUnpack(L *lua.LState) int { return lb.unpackMsg(L, 0, 0) }

// cmsgpack.unpack_one(data [, offset]): where the next one begins (-1: there is none), and the value at offset.
func (lb *libs) msgUnpackOne(L *lua.LState) int {
	offset := optInteger(L, 2, 0)
	return lb.unpackMsg(L, 1, offset)
}

// cmsgpack.unpack_limit(data, n [, offset]): the same for up to n values.
func (lb *libs) msgUnpackLimit(L *lua.LState) int {
	limit := checkInteger(L, 2)
	offset := optInteger(L, 3, 0)
	return lb.unpackMsg(L, limit, offset)
}

func (lb *libs) unpackMsg(L *lua.LState, limit, offset int) int {
	all := limit == 0 && offset == 0
	L.SetTop(min(L.GetTop(), 1))
	data := checkString(L, 1)
	if offset < 0 || limit < 0 {
		raisef(L, "Invalid request to unpack with offset of %d and limit of %d.", int32(offset), len(data))
	}
	if offset > len(data) {
		raisef(L, "Start offset %d greater than input length %d.", int32(offset), len(data))
	}
	if all {
		limit = math.MaxInt32
	}
	u := unpacker{L: L, lb: lb, data: data[offset:], slots: 1}
	n := 0
	at := 1
	if !all {
		L.Push(lua.LNil) // for the offset
		at++
	}
	for ; len(u.data) > 0 && n < limit; n++ {
		u.slots = 1 + n
		v, problem := u.value()
		if problem != "" {
			raisef(L, "%s", problem)
		}
		L.Push(v)
	}
	if all {
		return n
	}
	next := len(data) - len(u.data)
	if len(u.data) == 0 {
		next = -1
	}
	L.Replace(at, lua.LNumber(next))
	return n + 1
}

// What can be wrong with data.
const (
	msgTruncated = "Missing bytes in input."
	msgMalformed = "Bad data format in input."
)

// unpacker decodes values.
type unpacker struct {
	L     *lua.LState
	lb    *libs
	data  string // what is left
	slots int    // of the stack, as lua-cmsgpack uses it: this bounds how deep data nests
}

// room raises an error if lua-cmsgpack would find no room for n values on Lua's stack.
func (u *unpacker) room(n int, why string) {
	if u.slots+n > maxStack {
		raisef(u.L, "stack overflow (%s)", why)
	}
}

// value decodes the next value. A problem is the text of the error.
func (u *unpacker) value() (v lua.LValue, problem string) {
	u.lb.spend(u.L, 20)
	u.room(1, "too many return values at once; use unpack_one or unpack_limit instead.")
	if u.data == "" {
		return nil, msgTruncated
	}
	c := u.data[0]
	switch {
	case c < 0x80:
		return u.take(1, numberValue(c))
	case c < 0x90:
		return u.table(1, int(c&0xf), true)
	case c < 0xa0:
		return u.table(1, int(c&0xf), false)
	case c < 0xc0:
		return u.string(1, int(c&0x1f))
	case c >= 0xe0:
		return u.take(1, numberValue(int8(c)))
	}
	return u.wide(c)
}

// take goes on behind n bytes.
func (u *unpacker) take(n int, v lua.LValue) (lua.LValue, string) {
	u.data = u.data[n:]
	return v, ""
}

// wide decodes a value whose first byte is from 0xc0 to 0xdf.
func (u *unpacker) wide(c byte) (v lua.LValue, problem string) {
	switch c {
	case 0xc0:
		return u.take(1, lua.LNil)
	case 0xc2:
		return u.take(1, lua.LFalse)
	case 0xc3:
		return u.take(1, lua.LTrue)
	}
	size := sizeOfWide[c-0xc0]
	if size == 0 {
		return nil, msgMalformed
	}
	if len(u.data) <= int(size) {
		return nil, msgTruncated
	}
	var n uint64
	for i := 1; i <= int(size); i++ {
		n = n<<8 | uint64(u.data[i])
	}
	head := 1 + int(size)
	switch c {
	case 0xca:
		return u.take(head, numberValue(math.Float32frombits(uint32(n))))
	case 0xcb:
		return u.take(head, numberValue(math.Float64frombits(n)))
	case 0xcc, 0xcd, 0xce, 0xcf, 0xd3: // lua-cmsgpack takes the biggest unsigned ones for negative
		return u.take(head, numberValue(int64(n)))
	case 0xd0:
		return u.take(head, numberValue(int8(n)))
	case 0xd1:
		return u.take(head, numberValue(int16(n)))
	case 0xd2:
		return u.take(head, numberValue(int32(n)))
	case 0xd9, 0xda, 0xdb:
		return u.string(head, int(n))
	case 0xdc, 0xdd:
		return u.table(head, int(n), false)
	}
	return u.table(head, int(n), true)
}

// sizeOfWide are the sizes of the number behind first bytes from 0xc0 on; 0: there is no such value.
var sizeOfWide = [32]byte{
	0xca - 0xc0: 4, 0xcb - 0xc0: 8, 0xcc - 0xc0: 1, 0xcd - 0xc0: 2, 0xce - 0xc0: 4, 0xcf - 0xc0: 8,
	0xd0 - 0xc0: 1, 0xd1 - 0xc0: 2, 0xd2 - 0xc0: 4, 0xd3 - 0xc0: 8,
	0xd9 - 0xc0: 1, 0xda - 0xc0: 2, 0xdb - 0xc0: 4, 0xdc - 0xc0: 2, 0xdd - 0xc0: 4, 0xde - 0xc0: 2, 0xdf - 0xc0: 4,
}

// string decodes a string of n bytes behind a head.
func (u *unpacker) string(head, n int) (v lua.LValue, problem string) {
	if len(u.data)-head < n {
		return nil, msgTruncated
	}
	return u.take(head+n, lua.LString(u.lb.part(u.L, u.data, head, head+n)))
}

// table decodes n values, or n keys with values, behind a head.
func (u *unpacker) table(head, n int, isMap bool) (v lua.LValue, problem string) {
	u.data = u.data[head:]
	elements, pairs := min(n, 4), 0 // the size is the sender's word: room for a few, more as they come
	if isMap {
		elements, pairs = 0, min(n, 8)
	}
	t := u.L.CreateTable(elements, pairs)
	slots := u.slots
	for i := 1; i <= n; i++ {
		var k lua.LValue
		u.slots = slots + 1
		if isMap {
			if k, problem = u.value(); problem != "" {
				return nil, problem
			}
		} else {
			u.room(1, "in function mp_decode_to_lua_array")
		}
		u.slots = slots + 2
		if v, problem = u.value(); problem != "" {
			return nil, problem
		}
		if isMap {
			u.checkKey(k)
			t.RawSet(k, v)
		} else {
			t.RawSetInt(i, v)
		}
	}
	u.slots = slots
	return t, ""
}

// checkKey raises an error if a value can be no key.
func (u *unpacker) checkKey(k lua.LValue) {
	if k == lua.LNil {
		u.L.Error(lua.LString("table index is nil"), 0)
	}
	if f, ok := k.(lua.LNumber); ok && f != f {
		u.L.Error(lua.LString("table index is NaN"), 0)
	}
}
