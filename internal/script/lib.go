package script

import (
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// libs is what the libraries of one Lua state know: their limits, and what a script may set in them, which reset takes
// back, so that no script sees what another one has set. It belongs to whoever owns the state.
//
// The libraries are written after the manual of Lua 5.1 and what redis-server 7.0 replies, with the texts of its
// errors. None is gopher-lua's own: those differ in patterns, formats, coercions, orders and errors.
type libs struct {
	stringBytes int               // no string that a function makes is longer
	tick        func(*lua.LState) // called after some work in a function; raises an error if the script must end
	credit      int               // work until the next tick
	buf         []byte            // for results under way; empty between calls
	shared      *randoms          // numbers of scripts that have not called math.randomseed
	own         randoms           // numbers of one that has
	seeded      bool
	json        *jsonConfig    // of the table cjson
	null        *lua.LUserData // cjson.null
}

// workBetweenTicks is how much is done in a function between two ticks: steps of about a nanosecond each.
const workBetweenTicks = 100_000

// newLibs returns the state of libraries whose strings are at most stringBytes long. tick is called by functions that
// work long, and raises an error to end the script.
func newLibs(stringBytes int, shared *randoms, tick func(*lua.LState)) *libs {
	return &libs{
		stringBytes: stringBytes, shared: shared, tick: tick, credit: workBetweenTicks, json: newJSONConfig(),
		null: &lua.LUserData{Metatable: lua.LNil},
	}
}

// reset prepares for another script: what math.randomseed and cjson's functions have set ends with the script that has
// called them. In Redis it stays for all scripts.
func (lb *libs) reset() {
	lb.seeded = false
	lb.json.reset()
}

// maxKeptBuffer is the biggest buffer that a state keeps.
const maxKeptBuffer = 64 << 10

// spend accounts for n steps of work.
func (lb *libs) spend(L *lua.LState, n int) {
	lb.credit -= n
	if lb.credit < 0 {
		lb.credit = workBetweenTicks
		lb.tick(L)
	}
}

// takeBuffer returns the empty buffer, which whoever takes it owns until giveBuffer: a function that is called
// meanwhile finds none and makes one of its own.
func (lb *libs) takeBuffer() []byte {
	buf := lb.buf
	lb.buf = nil
	return buf[:0]
}

// giveBuffer gives a buffer back for the next function.
func (lb *libs) giveBuffer(buf []byte) {
	if cap(buf) > cap(lb.buf) && cap(buf) <= maxKeptBuffer {
		lb.buf = buf[:0]
	}
}

// checkRoom raises an error if a result of n bytes is too long.
func (lb *libs) checkRoom(L *lua.LState, n int) {
	if n > lb.stringBytes {
		raisef(L, "resulting string too large")
	}
}

// pushBuffer pushes a buffer's content as a string and gives the buffer back.
func (lb *libs) pushBuffer(L *lua.LState, buf []byte) int {
	lb.checkRoom(L, len(buf))
	lb.spend(L, len(buf)/16)
	L.Push(lua.LString(buf))
	lb.giveBuffer(buf)
	return 1
}

// newLibrary returns a table of functions.
func newLibrary(L *lua.LState, functions map[string]lua.LGFunction) *lua.LTable {
	t := L.CreateTable(0, len(functions))
	for name, f := range functions {
		t.RawSetString(name, L.NewFunction(f))
	}
	return t
}

type numeric interface {
	int | int8 | int16 | int32 | int64 | uint8 | uint64 | float32 | float64
}

// numberValue is a number as a value. Small ones, which are most, have been made.
func numberValue[N numeric](n N) lua.LValue {
	f := float64(n)
	if f >= 0 && f < float64(len(smallNumbers)) {
		if i := int(f); float64(i) == f && (i > 0 || !math.Signbit(f)) {
			return smallNumbers[i]
		}
	}
	return lua.LNumber(f)
}

var smallNumbers = func() (values [256]lua.LValue) {
	for i := range values {
		values[i] = lua.LNumber(i)
	}
	return values
}()

// pushNumber pushes a number.
func pushNumber[N numeric](L *lua.LState, n N) {
	L.Push(numberValue(n))
}

// part is s[from:to] without keeping much more than that of s from the garbage collector.
func (lb *libs) part(L *lua.LState, s string, from, to int) string {
	if len(s) > 256 && to-from < len(s)/2 {
		lb.spend(L, (to-from)/16)
		return strings.Clone(s[from:to])
	}
	return s[from:to]
}
