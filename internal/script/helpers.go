package script

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// What the machine does otherwise than Lua 5.1 is done here: functions that rewritten trees call, and metatables of
// values that are no tables.

// arrayLimit is the length from which on elements of a table are kept in its hash part. It bounds what a single
// assignment to a far element makes gopher-lua allocate, which is all up to there: 4 MiB.
const arrayLimit = 1 << 18

var _ = func() bool {
	lua.MaxArrayIndex = arrayLimit
	return true
}()

// helper returns the function that a rewritten tree calls by this name.
func (r *Runner) helper(name string) lua.LGFunction {
	switch name {
	case hiddenConcat:
		return r.concat
	case hiddenLength:
		return r.length
	case hiddenModulo:
		return r.arithmetic("__mod", modulo)
	case hiddenPower:
		return r.arithmetic("__pow", powC)
	case hiddenSpread:
		return spread
	case hiddenStart:
		return r.loopNumber("initial value")
	case hiddenLimit:
		return r.loopNumber("limit")
	case hiddenStep:
		return r.loopNumber("step")
	case hiddenTail:
		return tail
	}
	return nil
}

// tail stores the last values of a table constructor, {…, f()}: tail(table, elements before, values …).
func tail(L *lua.LState) int {
	table, before := L.Get(1).(*lua.LTable), int(L.Get(2).(lua.LNumber))
	for i := 3; i <= L.GetTop(); i++ {
		table.RawSetInt(before+i-2, L.Get(i))
	}
	L.Push(table)
	return 1
}

// concat is a .. b .. c
func (r *Runner) concat(L *lua.LState) int {
	n := L.GetTop()
	if s, ok := r.join(L, 1, n); ok {
		L.Push(s)
		return 1
	}
	right := L.Get(n)
	for i := n - 1; i > 0; i-- {
		left := L.Get(i)
		a, leftOK := text(left)
		b, rightOK := text(right)
		if leftOK && rightOK {
			r.checkString(L, len(a)+len(b))
			right = lua.LString(a + b)
			continue
		}
		method := r.binaryMethod(L, left, right, "__concat")
		if method == nil {
			culprit, place := left, i
			if leftOK {
				culprit, place = right, i+1
			}
			return r.operandFailure(L, "concatenate", place, culprit)
		}
		right = r.callMethod(L, method, left, right)
	}
	L.Push(right)
	return 1
}

// join makes one string of the values at these places if all are strings or numbers.
func (r *Runner) join(L *lua.LState, from, to int) (s lua.LValue, ok bool) {
	buf := r.joined[:0]
	for i := from; i <= to; i++ {
		switch v := L.Get(i).(type) {
		case lua.LString:
			r.checkString(L, len(buf)+len(v))
			buf = append(buf, v...)
		case lua.LNumber:
			buf = appendNumber(buf, float64(v))
		default:
			return nil, false
		}
	}
	r.checkString(L, len(buf))
	if r.joined = buf; cap(buf) > keptBytes {
		r.joined = nil
	}
	return lua.LString(buf), true
}

// keptBytes is the biggest buffer that a runner keeps.
const keptBytes = 64 << 10

// operandFailure raises an error about an operand of a helper's call, whose name is so many sites behind the call's.
func (r *Runner) operandFailure(L *lua.LState, what string, place int, v lua.LValue) int {
	name := ""
	if c, at := r.siteAt(L, 1); c != nil {
		name = c.sites[at+place].left
	}
	return r.fail(L, operandError(what, name, v.Type().String()))
}

// binaryMethod finds the metamethod of an operation on two values; nil: there is none.
func (r *Runner) binaryMethod(L *lua.LState, left, right lua.LValue, event string) lua.LValue {
	for _, v := range [...]lua.LValue{left, right} {
		switch v.(type) {
		case *lua.LTable, *lua.LUserData:
			if method := L.GetMetaField(v, event); method != lua.LNil {
				return method
			}
		}
	}
	return nil
}

// callMethod calls a metamethod, which returns one value.
func (r *Runner) callMethod(L *lua.LState, method lua.LValue, args ...lua.LValue) lua.LValue {
	L.Push(method)
	for _, arg := range args {
		L.Push(arg)
	}
	L.Call(len(args), 1)
	v := L.Get(-1)
	L.Pop(1)
	return v
}

// length is #a
func (r *Runner) length(L *lua.LState) int {
	switch v := L.Get(1).(type) {
	case *lua.LTable:
		L.Push(lua.LNumber(tableLength(v)))
	case lua.LString:
		L.Push(lua.LNumber(len(v)))
	case *lua.LUserData:
		method := L.GetMetaField(v, "__len")
		if method == lua.LNil {
			return r.operandFailure(L, "get length of", 0, v)
		}
		L.Push(r.callMethod(L, method, v))
	default:
		return r.operandFailure(L, "get length of", 0, v)
	}
	return 1
}

// tableLength is a border of a table: an element that is there, and the next is not.
func tableLength(t *lua.LTable) int {
	n := t.Len()
	if n < arrayLimit-1 || t.RawGet(lua.LNumber(n+1)) == lua.LNil {
		return n
	}
	there, gone := n+1, 2*(n+1)
	for t.RawGet(lua.LNumber(gone)) != lua.LNil {
		there, gone = gone, 2*gone
	}
	for gone-there > 1 {
		if middle := (there + gone) / 2; t.RawGet(lua.LNumber(middle)) != lua.LNil {
			there = middle
		} else {
			gone = middle
		}
	}
	return there
}

// spread returns so many elements of a table: the arguments of a call that has many.
func spread(L *lua.LState) int {
	t := L.Get(1).(*lua.LTable)
	n := int(L.Get(2).(lua.LNumber))
	for i := range n {
		L.Push(t.RawGetInt(i + 1))
	}
	return n
}

// modulo is a % b as Lua 5.1 computes it, which is not exact.
func modulo(a, b float64) float64 { return a - float64(math.Floor(a/b)*b) }

// arithmetic makes the function for an operation on two values, which may be strings that are numbers, or have a
// metamethod.
func (r *Runner) arithmetic(event string, op func(a, b float64) float64) lua.LGFunction {
	return func(L *lua.LState) int {
		left, right := L.Get(1), L.Get(2)
		a, leftOK := number(left)
		b, rightOK := number(right)
		if leftOK && rightOK {
			L.Push(lua.LNumber(op(a, b)))
			return 1
		}
		if method := r.binaryMethod(L, left, right, event); method != nil {
			L.Push(r.callMethod(L, method, left, right))
			return 1
		}
		c, at := r.siteAt(L, 1)
		if c == nil {
			c, at = &chunk{sites: make([]site, 1)}, 0
		}
		if leftOK {
			return r.fail(L, operandError("perform arithmetic on", c.sites[at].right, right.Type().String()))
		}
		return r.fail(L, operandError("perform arithmetic on", c.sites[at].left, left.Type().String()))
	}
}

// loopNumber makes the function for one of a loop's numbers.
func (r *Runner) loopNumber(which string) lua.LGFunction {
	return func(L *lua.LState) int {
		n, ok := number(L.Get(1))
		if !ok {
			return r.fail(L, "'for' "+which+" must be a number")
		}
		L.Push(lua.LNumber(n))
		return 1
	}
}

// setMetatables gives values that are no tables the metamethods by which they behave as in Lua 5.1. Scripts see none of
// them. strings is the library.
func (r *Runner) setMetatables(strings *lua.LTable) {
	L := r.L
	call := L.NewFunction(r.callFailure)
	minus := L.NewFunction(r.minus)
	example := map[lua.LValueType]lua.LValue{
		lua.LTNil: lua.LNil, lua.LTBool: lua.LTrue, lua.LTNumber: lua.LNumber(0), lua.LTString: lua.LString(""),
		lua.LTFunction: call, lua.LTThread: L,
	}
	for kind, v := range example {
		mt := L.CreateTable(0, 8)
		mt.RawSetString("__unm", minus)
		if kind != lua.LTFunction {
			mt.RawSetString("__call", call)
		}
		if kind == lua.LTString {
			mt.RawSetString("__index", strings)
			for event, op := range map[string]func(a, b float64) float64{
				"__add": func(a, b float64) float64 { return a + b },
				"__sub": func(a, b float64) float64 { return a - b },
				"__mul": func(a, b float64) float64 { return a * b },
				"__div": func(a, b float64) float64 { return a / b },
			} {
				mt.RawSetString(event, L.NewFunction(r.arithmetic(event, op)))
			}
		}
		L.SetMetatable(v, mt)
	}
}

// callFailure raises that a value is no function.
func (r *Runner) callFailure(L *lua.LState) int {
	name := ""
	if c, at := r.siteAt(L, 1); c != nil {
		name = c.sites[at].right
	}
	return r.fail(L, operandError("call", name, L.Get(1).Type().String()))
}

// minus is -a of what is no number and no table.
func (r *Runner) minus(L *lua.LState) int {
	v := L.Get(1)
	n, ok := number(v)
	if !ok {
		return r.operandFailure(L, "perform arithmetic on", 0, v)
	}
	L.Push(lua.LNumber(-n))
	return 1
}
