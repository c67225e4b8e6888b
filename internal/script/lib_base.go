package script

import lua "github.com/yuin/gopher-lua"

// openBase sets those basic functions in a table of globals that are about values and tables: what calls, loads or has
// to do with environments is the sandbox's.
func (lb *libs) openBase(L *lua.LState, globals *lua.LTable) {
	next := L.NewFunction(lb.baseNext)
	for name, f := range map[string]lua.LGFunction{
		"rawequal": baseRawequal, "rawget": baseRawget, "select": baseSelect, "tonumber": baseTonumber,
		"type": baseType, "unpack": baseUnpack,
	} {
		globals.RawSetString(name, L.NewFunction(f))
	}
	globals.RawSetString("next", next)
	globals.RawSetString("pairs", L.NewFunction(func(L *lua.LState) int {
		t := checkTable(L, 1)
		L.Push(next)
		L.Push(t)
		L.Push(lua.LNil)
		return 3
	}))
	step := L.NewFunction(ipairsStep)
	globals.RawSetString("ipairs", L.NewFunction(func(L *lua.LState) int {
		t := checkTable(L, 1)
		L.Push(step)
		L.Push(t)
		pushNumber(L, 0)
		return 3
	}))
}

// ipairsStep is what ipairs returns: the next index and its value.
func ipairsStep(L *lua.LState) int {
	i := checkInt(L, 2)
	t := checkTable(L, 1)
	i++
	v := getIndex(t, i)
	if v == lua.LNil {
		L.Push(lua.LNil)
		return 1
	}
	pushNumber(L, i)
	L.Push(v)
	return 2
}

// next(table [, key])
//
// The order is: the elements from 1 on, then other keys in the order in which they were set first. Lua promises none.
func (lb *libs) baseNext(L *lua.LState) int {
	t := checkTable(L, 1)
	key := L.Get(2)
	if key != lua.LNil && t.RawGet(key) == lua.LNil && !wasKey(t, key) {
		L.Error(lua.LString("invalid key to 'next'"), 0)
	}
	k, v := lb.step(L, t, key)
	if k == lua.LNil {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(k)
	L.Push(v)
	return 2
}

// rawequal(a, b)
func baseRawequal(L *lua.LState) int {
	a, b := checkAny(L, 1), checkAny(L, 2)
	L.Push(lua.LBool(L.RawEqual(a, b)))
	return 1
}

// rawget(table, key)
func baseRawget(L *lua.LState) int {
	t := checkTable(L, 1)
	L.Push(t.RawGet(checkAny(L, 2)))
	return 1
}

// select(n, …)
func baseSelect(L *lua.LState) int {
	top := L.GetTop()
	if s, ok := L.Get(1).(lua.LString); ok && len(s) > 0 && s[0] == '#' {
		pushNumber(L, top-1)
		return 1
	}
	n := checkInt(L, 1)
	if n < 0 {
		n += top
	} else {
		n = min(n, top)
	}
	if n < 1 {
		argError(L, 1, "index out of range")
	}
	return top - n
}

// tonumber(value [, base])
func baseTonumber(L *lua.LState) int {
	base := optInt(L, 2, 10)
	if base == 10 {
		if f, ok := number(checkAny(L, 1)); ok {
			pushNumber(L, f)
		} else {
			L.Push(lua.LNil)
		}
		return 1
	}
	s := cString(checkString(L, 1))
	if base < 2 || base > 36 {
		argError(L, 2, "base out of range")
	}
	value, n := strtoul(s, base)
	end := n
	for end < len(s) && isBlank(s[end]) {
		end++
	}
	if n == 0 || end < len(s) {
		L.Push(lua.LNil)
		return 1
	}
	pushNumber(L, value)
	return 1
}

// type(value)
func baseType(L *lua.LState) int {
	L.Push(lua.LString(checkAny(L, 1).Type().String()))
	return 1
}

// unpack(table [, i [, j]])
func baseUnpack(L *lua.LState) int {
	t := checkTable(L, 1)
	from := optInt(L, 2, 1)
	to := 0
	if L.Get(3) == lua.LNil {
		to = tableLength(t)
	} else {
		to = checkInt(L, 3)
	}
	if from > to {
		return 0
	}
	n := to - from + 1
	if n+L.GetTop() > maxStack {
		raisef(L, "too many results to unpack")
	}
	for i := from; i <= to; i++ {
		L.Push(getIndex(t, i))
	}
	return n
}
