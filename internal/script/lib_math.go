package script

import (
	"math"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"
)

// openMath makes the table math.
func (lb *libs) openMath(L *lua.LState) *lua.LTable {
	functions := map[string]lua.LGFunction{
		"abs": mathAbs, "atan2": mathAtan2, "fmod": mathFmod, "frexp": mathFrexp, "ldexp": mathLdexp, "max": mathMax,
		"min": mathMin, "mod": mathFmod, "modf": mathModf, "pow": mathPow, "random": lb.mathRandom,
		"randomseed": lb.mathRandomseed,
	}
	for name, f := range map[string]func(float64) float64{
		"atan": math.Atan, "ceil": math.Ceil, "cos": math.Cos, "cosh": math.Cosh, "deg": degrees,
		"exp": expC, "floor": math.Floor, "log": logC, "rad": radians, "sin": math.Sin, "sinh": math.Sinh,
		"sqrt": math.Sqrt, "tan": math.Tan, "tanh": math.Tanh,
	} {
		functions[name] = ofOne(f, invalid)
	}
	for name, f := range map[string]func(float64) float64{"acos": math.Acos, "asin": math.Asin, "log10": log10C} {
		functions[name] = ofOne(f, -invalid)
	}
	t := newLibrary(L, functions)
	t.RawSetString("huge", lua.LNumber(math.Inf(1)))
	t.RawSetString("pi", lua.LNumber(math.Pi))
	return t
}

func degrees(x float64) float64 { return x / (math.Pi / 180) }
func radians(x float64) float64 { return x * (math.Pi / 180) }

// invalid is the NaN that the C library gives where most functions aren't defined: its sign is set, which shows as
// "-nan".
var invalid = math.Float64frombits(0xfff8000000000000)

// ofOne is a function of a number. Where it isn't defined it is undefined, but a NaN stays the NaN that it is.
func ofOne(f func(float64) float64, undefined float64) lua.LGFunction {
	return func(L *lua.LState) int {
		x := checkNumber(L, 1)
		result := f(x)
		if x != x {
			result = x
		} else if result != result {
			result = undefined
		}
		pushNumber(L, result)
		return 1
	}
}

// math.abs(x)
func mathAbs(L *lua.LState) int {
	pushNumber(L, math.Abs(checkNumber(L, 1)))
	return 1
}

// checkTwo are two numbers; C looks at the last one first.
func checkTwo(L *lua.LState) (x, y float64) {
	y = checkNumber(L, 2)
	return checkNumber(L, 1), y
}

// pushOfTwo pushes a function's result. A NaN is the first of x and y that is one.
func pushOfTwo(L *lua.LState, result, x, y float64) int {
	if result != result {
		switch {
		case x != x:
			result = x
		case y != y:
			result = y
		default:
			result = invalid
		}
	}
	pushNumber(L, result)
	return 1
}

// math.atan2(y, x)
func mathAtan2(L *lua.LState) int {
	y, x := checkTwo(L)
	return pushOfTwo(L, math.Atan2(y, x), x, y)
}

// math.fmod(x, y), math.mod(x, y)
func mathFmod(L *lua.LState) int {
	x, y := checkTwo(L)
	return pushOfTwo(L, math.Mod(x, y), x, y)
}

// math.pow(x, y)
func mathPow(L *lua.LState) int {
	x, y := checkTwo(L)
	pushNumber(L, powC(x, y))
	return 1
}

// math.frexp(x)
func mathFrexp(L *lua.LState) int {
	fraction, exponent := math.Frexp(checkNumber(L, 1))
	pushNumber(L, fraction)
	pushNumber(L, exponent)
	return 2
}

// math.ldexp(m, e)
func mathLdexp(L *lua.LState) int {
	exponent := checkInt(L, 2)
	pushNumber(L, math.Ldexp(checkNumber(L, 1), exponent))
	return 1
}

// math.max(x, …)
func mathMax(L *lua.LState) int {
	best := checkNumber(L, 1)
	for i := 2; i <= L.GetTop(); i++ {
		if x := checkNumber(L, i); x > best {
			best = x
		}
	}
	pushNumber(L, best)
	return 1
}

// math.min(x, …)
func mathMin(L *lua.LState) int {
	best := checkNumber(L, 1)
	for i := 2; i <= L.GetTop(); i++ {
		if x := checkNumber(L, i); x < best {
			best = x
		}
	}
	pushNumber(L, best)
	return 1
}

// math.modf(x)
func mathModf(L *lua.LState) int {
	x := checkNumber(L, 1)
	whole := math.Trunc(x)
	fraction := math.Copysign(0, x)
	if whole != x {
		fraction = x - whole
	}
	pushNumber(L, whole)
	pushNumber(L, fraction)
	return 2
}

// randoms are the numbers of math.random: drand48's, a linear congruential generator of 48 bits, which Redis has of its
// own so that they are the same on every machine. All scripts of an engine take theirs from one sequence, as in Redis,
// so no two loops draw the same; it begins anew when the process does.
type randoms struct{ state atomic.Uint64 }

const (
	randomFactor = 0x5deece66d
	randomAddend = 0xb
	randomMask   = 1<<48 - 1
	randomFirst  = 0x1234abcd330e // the state before the first number
)

// seed begins another sequence.
func (r *randoms) seed(n int32) { r.state.Store(uint64(uint32(n))<<16 | 0x330e) }

// next is the next number: at least 0, below 1.
func (r *randoms) next() float64 {
	for {
		old := r.state.Load()
		now := (old*randomFactor + randomAddend) & randomMask
		if r.state.CompareAndSwap(old, now) {
			return float64(now>>17%math.MaxInt32) / math.MaxInt32
		}
	}
}

// nextRandom is the script's next number.
func (lb *libs) nextRandom() float64 {
	if lb.seeded {
		return lb.own.next()
	}
	return lb.shared.next()
}

// math.random([m [, n]])
func (lb *libs) mathRandom(L *lua.LState) int {
	r := lb.nextRandom()
	switch L.GetTop() {
	case 0:
		pushNumber(L, r)
	case 1:
		n := checkInt(L, 1)
		if n < 1 {
			argError(L, 1, "interval is empty")
		}
		pushNumber(L, math.Floor(r*float64(n))+1)
	case 2:
		low := checkInt(L, 1)
		up := checkInt(L, 2)
		if low > up {
			argError(L, 2, "interval is empty")
		}
		pushNumber(L, math.Floor(r*float64(int32(up-low+1)))+float64(low))
	default:
		raisef(L, "wrong number of arguments")
	}
	return 1
}

// math.randomseed(n)
func (lb *libs) mathRandomseed(L *lua.LState) int {
	lb.own.seed(int32(checkInt(L, 1)))
	lb.seeded = true
	return 0
}
