package script

import (
	lua "github.com/yuin/gopher-lua"
)

// table.sort(table [, less])
//
// What a script sees of a sort that isn't stable is in which order equal elements end and what a comparison that is no
// order makes of them. So this is the quicksort that Lua has (Sedgewick's, with the median of three as pivot, the
// smaller part first by recursion), with its comparisons and exchanges in its order.
func (lb *libs) tableSort(L *lua.LState) int {
	t := checkOwnTable(L, 1)
	s := sorter{L: L, lb: lb, t: t}
	n := tableLength(t)
	checkStack(L, 40, "")
	if L.Get(2) != lua.LNil {
		s.less = checkFunction(L, 2)
	}
	s.sort(1, n)
	return 0
}

// sorter sorts a table in place.
type sorter struct {
	L    *lua.LState
	lb   *libs
	t    *lua.LTable
	less *lua.LFunction // nil: operator <
}

func (s *sorter) get(i int) lua.LValue    { return getIndex(s.t, i) }
func (s *sorter) set(i int, v lua.LValue) { s.t.RawSetInt(i, v) }

// sort sorts t[low..up].
func (s *sorter) sort(low, up int) {
	for low < up {
		if a, b := s.get(low), s.get(up); s.before(b, a) {
			s.set(low, b)
			s.set(up, a)
		}
		if up-low == 1 {
			return
		}
		mid := (low + up) / 2
		if m, a := s.get(mid), s.get(low); s.before(m, a) {
			s.set(mid, a)
			s.set(low, m)
		} else if b := s.get(up); s.before(b, m) {
			s.set(mid, b)
			s.set(up, m)
		}
		if up-low == 2 {
			return
		}
		mid = s.partition(low, mid, up)
		if mid-low < up-mid {
			s.sort(low, mid-1)
			low = mid + 1
		} else {
			s.sort(mid+1, up)
			up = mid - 1
		}
	}
}

// partition puts what isn't above t[mid] before what isn't below it and returns its new place. The three of them are
// in order.
func (s *sorter) partition(low, mid, up int) int {
	pivot := s.get(mid)
	s.set(mid, s.get(up-1))
	s.set(up-1, pivot)
	i, j := low, up-1
	for {
		var a, b lua.LValue
		for i, a = i+1, s.get(i+1); s.before(a, pivot); i, a = i+1, s.get(i+1) {
			if i > up {
				raisef(s.L, "invalid order function for sorting")
			}
		}
		for j, b = j-1, s.get(j-1); s.before(pivot, b); j, b = j-1, s.get(j-1) {
			if j < low {
				raisef(s.L, "invalid order function for sorting")
			}
		}
		if j < i {
			break
		}
		s.set(i, b)
		s.set(j, a)
	}
	a, b := s.get(up-1), s.get(i)
	s.set(up-1, b)
	s.set(i, a)
	return i
}

// before compares two elements.
func (s *sorter) before(a, b lua.LValue) bool {
	s.lb.spend(s.L, 20)
	if s.less != nil {
		s.L.Push(s.less)
		s.L.Push(a)
		s.L.Push(b)
		s.L.Call(2, 1)
		result := lua.LVAsBool(s.L.Get(-1))
		s.L.Pop(1)
		return result
	}
	switch a := a.(type) {
	case lua.LNumber:
		if b, ok := b.(lua.LNumber); ok {
			return a < b
		}
	case lua.LString:
		if b, ok := b.(lua.LString); ok {
			return a < b
		}
	case *lua.LTable, *lua.LUserData:
		if a.Type() == b.Type() && comparable(s.L, a, b) {
			return s.L.LessThan(a, b)
		}
	}
	one, other := a.Type().String(), b.Type().String()
	if one[2] == other[2] { // all that Lua 5.1 compares
		s.L.Error(lua.LString("attempt to compare two "+one+" values"), 0)
	}
	s.L.Error(lua.LString("attempt to compare "+one+" with "+other), 0)
	return false
}

// comparable reports whether two tables or two userdata have the same metamethod for comparison.
func comparable(L *lua.LState, a, b lua.LValue) bool {
	f := L.GetMetaField(a, "__lt")
	return f != lua.LNil && L.RawEqual(f, L.GetMetaField(b, "__lt"))
}
