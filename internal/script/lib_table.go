package script

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// openTable makes the table table.
func (lb *libs) openTable(L *lua.LState) *lua.LTable {
	return newLibrary(L, map[string]lua.LGFunction{
		"concat": lb.tableConcat, "foreach": lb.tableForeach, "foreachi": tableForeachi, "getn": tableGetn,
		"insert": lb.tableInsert, "maxn": lb.tableMaxn, "remove": lb.tableRemove, "setn": tableSetn,
		"sort": lb.tableSort,
	})
}

// getIndex is t[i], without metamethods.
func getIndex(t *lua.LTable, i int) lua.LValue {
	if i > 0 && i < lua.MaxArrayIndex {
		return t.RawGetInt(i)
	}
	return t.RawGet(lua.LNumber(i))
}

// integerKeys counts a table's keys and finds the biggest one, if all of them are integers above 0.
func (lb *libs) integerKeys(L *lua.LState, t *lua.LTable) (count int, biggest float64, ok bool) {
	lb.spendWalk(L, t)
	n := t.MaxN()
	for i := 1; i <= n; i++ {
		if t.RawGetInt(i) != lua.LNil {
			count++
		}
	}
	// Behind the elements of the array come the other keys.
	var key lua.LValue = lua.LNil
	if n > 0 {
		key = lua.LNumber(n)
	}
	biggest = float64(n)
	for key, _ = t.Next(key); key != lua.LNil; key, _ = t.Next(key) {
		k, ok := key.(lua.LNumber)
		if !ok || k < 1 || math.Floor(float64(k)) != float64(k) {
			return 0, 0, false
		}
		count++
		biggest = max(biggest, float64(k))
	}
	return count, biggest, true
}

// table.concat(table [, separator [, i [, j]]])
func (lb *libs) tableConcat(L *lua.LState) int {
	separator := optString(L, 2, "")
	t := checkTable(L, 1)
	i := optInt(L, 3, 1)
	last := 0
	if L.Get(4) == lua.LNil {
		last = tableLength(t)
	} else {
		last = checkInt(L, 4)
	}
	buf := lb.takeBuffer()
	for ; i <= last; i++ {
		lb.spend(L, 10)
		switch v := getIndex(t, i).(type) {
		case lua.LString:
			buf = append(buf, v...)
		case lua.LNumber:
			buf = appendNumber(buf, float64(v))
		default:
			raisef(L, "invalid value (%s) at index %d in table for 'concat'", v.Type(), i)
		}
		if i < last {
			buf = append(buf, separator...)
		}
		lb.checkRoom(L, len(buf))
	}
	return lb.pushBuffer(L, buf)
}

// table.foreach(table, f)
func (lb *libs) tableForeach(L *lua.LState) int {
	t := checkTable(L, 1)
	f := checkFunction(L, 2)
	for k, v := lb.step(L, t, lua.LNil); k != lua.LNil; k, v = lb.step(L, t, k) {
		if callback(L, f, k, v) {
			return 1
		}
	}
	return 0
}

// table.foreachi(table, f)
func tableForeachi(L *lua.LState) int {
	t := checkTable(L, 1)
	n := tableLength(t)
	f := checkFunction(L, 2)
	for i := 1; i <= n; i++ {
		if callback(L, f, lua.LNumber(i), getIndex(t, i)) {
			return 1
		}
	}
	return 0
}

// callback calls f(k, v) and leaves its result on the stack, if it isn't nil.
func callback(L *lua.LState, f *lua.LFunction, k, v lua.LValue) bool {
	L.Push(f)
	L.Push(k)
	L.Push(v)
	L.Call(2, 1)
	if L.Get(-1) != lua.LNil {
		return true
	}
	L.Pop(1)
	return false
}

// table.getn(table)
func tableGetn(L *lua.LState) int {
	pushNumber(L, tableLength(checkTable(L, 1)))
	return 1
}

// table.maxn(table)
func (lb *libs) tableMaxn(L *lua.LState) int {
	t := checkTable(L, 1)
	lb.spendWalk(L, t)
	n := lua.LNumber(t.MaxN())
	// Behind the array come the other keys.
	var from lua.LValue = lua.LNil
	if n > 0 {
		from = n
	}
	for k, _ := t.Next(from); k != lua.LNil; k, _ = t.Next(k) {
		if k, ok := k.(lua.LNumber); ok && k > n {
			n = k
		}
	}
	L.Push(n)
	return 1
}

// table.setn(table, n)
func tableSetn(L *lua.LState) int {
	checkOwnTable(L, 1)
	raisef(L, "'setn' is obsolete")
	return 0
}

// table.insert(table, [position,] value)
func (lb *libs) tableInsert(L *lua.LState) int {
	t := checkOwnTable(L, 1)
	end := tableLength(t) + 1
	pos := end
	switch L.GetTop() {
	case 2:
	case 3:
		pos = checkInt(L, 2)
	default:
		raisef(L, "wrong number of arguments to 'insert'")
	}
	v := L.Get(-1)
	if 0 < pos && pos < end && end < arrayLimit {
		lb.spend(L, (end-pos)/4)
		t.Insert(pos, v)
		return 0
	}
	for i := end; i > pos; i-- {
		lb.spend(L, 10)
		t.RawSetInt(i, getIndex(t, i-1))
	}
	t.RawSetInt(pos, v)
	return 0
}

// table.remove(table [, position])
func (lb *libs) tableRemove(L *lua.LState) int {
	t := checkOwnTable(L, 1)
	end := tableLength(t)
	pos := optInt(L, 2, end)
	if pos < 1 || pos > end {
		return 0
	}
	if end < arrayLimit {
		lb.spend(L, (end-pos)/4)
		L.Push(t.Remove(pos))
		return 1
	}
	v := getIndex(t, pos)
	for i := pos; i < end; i++ {
		lb.spend(L, 10)
		t.RawSetInt(i, getIndex(t, i+1))
	}
	t.RawSetInt(end, lua.LNil)
	L.Push(v)
	return 1
}
