package script

import (
	"reflect"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// places is a lua.LTable, which exports no field of these. It keeps the places of elements that are gone: those of its
// array, and those of other keys, which are behind them in the order in which they were set first. A traversal goes
// over all of them, and may go on from one.
type places struct {
	Metatable lua.LValue
	array     []lua.LValue
	dict      map[lua.LValue]lua.LValue
	strdict   map[string]lua.LValue
	keys      []lua.LValue
	k2i       map[lua.LValue]int // index in keys
}

var _ = func() bool {
	ours, theirs := reflect.TypeFor[places](), reflect.TypeFor[lua.LTable]()
	for i := range max(ours.NumField(), theirs.NumField()) {
		a, b := ours.Field(i), theirs.Field(i)
		if a.Name != b.Name || a.Type != b.Type || a.Offset != b.Offset {
			panic("BUG: a table of gopher-lua's has no " + a.Name + " where it is looked for")
		}
	}
	return true
}()

func placesOf(t *lua.LTable) *places { return (*places)(unsafe.Pointer(t)) }

// arrayPlace is the index in the array of a key that is there if it is anywhere.
func arrayPlace(key lua.LValue) (place int, ok bool) {
	n, ok := key.(lua.LNumber)
	if !ok || n < 1 || n >= lua.LNumber(lua.MaxArrayIndex) || n != lua.LNumber(int(n)) {
		return 0, false
	}
	return int(n) - 1, true
}

// wasKey reports whether a key that has no value may have had one, so that a traversal goes on behind it.
func wasKey(t *lua.LTable, key lua.LValue) bool {
	p := placesOf(t)
	if place, ok := arrayPlace(key); ok {
		return place < len(p.array)
	}
	_, ok := p.k2i[key]
	return ok
}

// spendWalk accounts for a traversal of a table.
func (lb *libs) spendWalk(L *lua.LState, t *lua.LTable) {
	p := placesOf(t)
	lb.spend(L, len(p.array)+20*len(p.keys))
}

// step is Next of a table, and accounts for what it goes over.
func (lb *libs) step(L *lua.LState, t *lua.LTable, from lua.LValue) (key, value lua.LValue) {
	key, value = t.Next(from)
	lb.spend(L, placesOf(t).gap(from, key))
	return key, value
}

// gap is what it has taken a traversal to go from one key (nil: the beginning) to the next (nil: the end), over places
// whose elements are gone.
func (p *places) gap(from, to lua.LValue) int {
	first, inArray := arrayPlace(from)
	if inArray {
		first++
	}
	if place, ok := arrayPlace(to); ok {
		return place - first
	}
	work := 0
	inArray = inArray || from == lua.LNil
	if inArray {
		work, first = len(p.array)-first, 0
	}
	if len(p.keys) == len(p.strdict)+len(p.dict) {
		return work // all of them are there
	}
	if !inArray {
		first = p.k2i[from] + 1
	}
	last := len(p.keys)
	if to != lua.LNil {
		last = p.k2i[to]
	}
	return work + 20*(last-first)
}
