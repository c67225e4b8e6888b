package script

import (
	"math"
	"math/bits"

	lua "github.com/yuin/gopher-lua"
)

// openBit makes the table bit: operations on the low 32 bits of numbers, whose results are signed.
func (lb *libs) openBit(L *lua.LState) *lua.LTable {
	return newLibrary(L, map[string]lua.LGFunction{
		"arshift": shift(func(b uint32, n int) uint32 { return uint32(int32(b) >> n) }),
		"band":    fold(func(a, b uint32) uint32 { return a & b }),
		"bnot":    ofBits(func(b uint32) uint32 { return ^b }),
		"bor":     fold(func(a, b uint32) uint32 { return a | b }),
		"bswap":   ofBits(bits.ReverseBytes32),
		"bxor":    fold(func(a, b uint32) uint32 { return a ^ b }),
		"lshift":  shift(func(b uint32, n int) uint32 { return b << n }),
		"rol":     shift(bits.RotateLeft32),
		"ror":     shift(func(b uint32, n int) uint32 { return bits.RotateLeft32(b, -n) }),
		"rshift":  shift(func(b uint32, n int) uint32 { return b >> n }),
		"tobit":   ofBits(func(b uint32) uint32 { return b }),
		"tohex":   bitTohex,
	})
}

// toBits is argument n as 32 bits: rounded to the nearest integer, modulo 2^32. Adding 1.5·2^52 leaves these bits
// lowest in the sum, for numbers up to 2^51; what it leaves for others, infinities and NaNs is the result, too.
func toBits(L *lua.LState, n int) uint32 { return uint32(math.Float64bits(checkNumber(L, n) + 3<<51)) }

func pushBits(L *lua.LState, b uint32) int {
	pushNumber(L, int32(b))
	return 1
}

func ofBits(f func(uint32) uint32) lua.LGFunction {
	return func(L *lua.LState) int { return pushBits(L, f(toBits(L, 1))) }
}

func fold(f func(a, b uint32) uint32) lua.LGFunction {
	return func(L *lua.LState) int {
		b := toBits(L, 1)
		for i := L.GetTop(); i > 1; i-- {
			b = f(b, toBits(L, i))
		}
		return pushBits(L, b)
	}
}

// shift is an operation with a distance, of which the low five bits count.
func shift(f func(b uint32, n int) uint32) lua.LGFunction {
	return func(L *lua.LState) int {
		b := toBits(L, 1)
		return pushBits(L, f(b, int(toBits(L, 2)&31)))
	}
}

// bit.tohex(x [, n])
func bitTohex(L *lua.LState) int {
	b := toBits(L, 1)
	n := int32(8)
	if L.GetTop() >= 2 {
		n = int32(toBits(L, 2))
	}
	digits := "0123456789abcdef"
	if n < 0 {
		n = -max(n, -math.MaxInt32)
		digits = "0123456789ABCDEF"
	}
	n = min(n, 8)
	var text [8]byte
	for i := n - 1; i >= 0; i-- {
		text[i] = digits[b&15]
		b >>= 4
	}
	L.Push(lua.LString(text[:n]))
	return 1
}
