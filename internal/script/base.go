package script

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openBase adds the basic functions to the globals.
func (r *Runner) openBase(globals *lua.LTable) {
	for name, fn := range map[string]lua.LGFunction{
		"assert": r.baseAssert, "collectgarbage": r.baseCollectgarbage, "error": r.baseError, "gcinfo": baseGCInfo,
		"getmetatable": r.baseGetmetatable, "load": r.baseLoad, "loadstring": r.baseLoadstring, "pcall": r.basePCall,
		"rawset": baseRawset, "setmetatable": r.baseSetmetatable, "tostring": r.baseTostring, "xpcall": r.baseXPCall,
		"__redis__err__handler": r.errorHandler,
	} {
		globals.RawSetString(name, r.L.NewFunction(fn))
	}
	globals.RawSetString("_VERSION", lua.LString("Lua 5.1"))
	r.protected = r.L.NewFunction(r.callProtected)
}

// protectedCall calls a function with so many arguments, all on the stack, and leaves its results there; failed: it has
// raised v instead. A script that has to end is not held up.
func (r *Runner) protectedCall(L *lua.LState, args int) (v lua.LValue, failed bool) {
	if r.depth++; r.depth > maxCalls {
		r.depth--
		L.Error(lua.LString("C stack overflow"), 0)
	}
	L.Insert(r.protected, L.GetTop()-args)
	err := L.PCall(args+1, lua.MultRet, nil)
	r.depth--
	if err == nil {
		return nil, false
	}
	v = r.caught(err)
	if r.hook.killed != nil {
		L.Error(v, 0)
	}
	return v, true
}

// maxCalls is how many protected calls may be inside each other.
const maxCalls = 195

// callProtected calls its first argument with the others. Errors below it are noted, and get a trace that says nothing,
// since the machine would make one, in a time that grows with the square of the depth.
func (r *Runner) callProtected(L *lua.LState) int {
	L.Panic = r.raised
	L.Call(L.GetTop()-1, lua.MultRet)
	return L.GetTop()
}

// raised is called where an error is raised, while all functions are on the stack: it notes the place, which is the
// caller's if a function of Go's has raised it.
func (r *Runner) raised(L *lua.LState) {
	r.failure = failure{}
	for level := range 2 {
		if c, at := r.siteAt(L, level); c != nil {
			r.failure = failure{source: c.name, line: c.sites[at].line, known: true}
			break
		}
	}
	panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: L.Get(-1), StackTrace: "-"})
}

// pcall(function, ...)
//
// An error that is a table with a text in err becomes that text, as in Redis.
func (r *Runner) basePCall(L *lua.LState) int {
	n := L.GetTop()
	if n == 0 {
		L.Push(lua.LFalse)
		return 1
	}
	v, failed := r.protectedCall(L, n-1)
	if failed {
		if t, ok := v.(*lua.LTable); ok {
			if msg := L.GetField(t, "err"); msg.Type() == lua.LTString || msg.Type() == lua.LTNumber {
				v = msg
			}
		}
		L.SetTop(0)
		L.Push(lua.LFalse)
		L.Push(v)
		return 2
	}
	L.Insert(lua.LTrue, 1)
	return L.GetTop()
}

// xpcall(function, handler)
func (r *Runner) baseXPCall(L *lua.LState) int {
	checkAny(L, 2)
	fn, handler := L.Get(1), L.Get(2)
	L.SetTop(0)
	L.Push(fn)
	v, failed := r.protectedCall(L, 0)
	if !failed {
		L.Insert(lua.LTrue, 1)
		return L.GetTop()
	}
	L.SetTop(0)
	_, isFunction := handler.(*lua.LFunction)
	if isFunction {
		L.Push(handler)
		L.Push(v)
		_, failed = r.protectedCall(L, 1)
	}
	if failed || !isFunction {
		L.SetTop(0)
		L.Push(lua.LString("error in error handling"))
	}
	L.SetTop(1)
	L.Insert(lua.LFalse, 1)
	return 2
}

// error(message [, level])
func (r *Runner) baseError(L *lua.LState) int {
	v := L.Get(1)
	level := optInt(L, 2, 1)
	if msg, ok := text(v); ok && level > 0 {
		v = lua.LString(r.where(L, level) + msg)
	}
	L.Error(v, 0)
	return 0
}

// assert(value [, message, ...])
func (r *Runner) baseAssert(L *lua.LState) int {
	if lua.LVAsBool(checkAny(L, 1)) {
		return L.GetTop()
	}
	return r.fail(L, cString(optString(L, 2, "assertion failed!")))
}

// tostring(value)
func (r *Runner) baseTostring(L *lua.LState) int {
	v := checkAny(L, 1)
	switch v.(type) {
	case *lua.LTable, *lua.LUserData:
		if method := L.GetMetaField(v, "__tostring"); method != lua.LNil {
			L.Push(r.callMethod(L, method, v))
			return 1
		}
	}
	L.Push(lua.LString(display(v)))
	return 1
}

// display is how tostring shows a value that has no metamethod for it.
func display(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(v)
	case lua.LBool, *lua.LNilType:
		return v.String()
	case *lua.LFunction:
		if v.IsG {
			return fmt.Sprintf("function: builtin: %p", v)
		}
	}
	return fmt.Sprintf("%s: %p", v.Type(), v)
}

// getmetatable(value)
func (r *Runner) baseGetmetatable(L *lua.LState) int {
	L.Push(r.metatable(checkAny(L, 1)))
	return 1
}

// setmetatable(table, metatable)
func (r *Runner) baseSetmetatable(L *lua.LState) int {
	t, ok := L.Get(1).(*lua.LTable)
	if !ok {
		typeError(L, 1, "table")
	}
	v := L.Get(2)
	mt, isTable := v.(*lua.LTable)
	if !isTable && (v != lua.LNil || L.GetTop() < 2) {
		argError(L, 2, "nil or table expected")
	}
	checkWritable(L, t)
	if old, ok := t.Metatable.(*lua.LTable); ok && old.RawGetString("__metatable") != lua.LNil {
		return r.fail(L, "cannot change a protected metatable")
	}
	if isTable {
		v = realTable(mt)
	}
	t.Metatable = v
	L.SetTop(1)
	return 1
}

// rawset(table, key, value)
func baseRawset(L *lua.LState) int {
	t := checkOwnTable(L, 1)
	key, value := checkAny(L, 2), checkAny(L, 3)
	switch n, ok := key.(lua.LNumber); {
	case key == lua.LNil:
		L.Error(lua.LString("table index is nil"), 0)
	case ok && n != n:
		L.Error(lua.LString("table index is NaN"), 0)
	}
	t.RawSet(key, value)
	L.SetTop(1)
	return 1
}

// collectgarbage([option [, argument]])
//
// The memory is Go's, so this tells what scripts may want to see and changes nothing.
func (r *Runner) baseCollectgarbage(L *lua.LState) int {
	options := []string{"stop", "restart", "collect", "count", "step", "setpause", "setstepmul"}
	option := "collect"
	if L.Get(1) != lua.LNil {
		option = options[checkOption(L, 1, options)]
	}
	optInt(L, 2, 0)
	switch option {
	case "count":
		L.Push(lua.LNumber(shownKilobytes))
	case "step":
		L.Push(lua.LTrue)
	case "setpause", "setstepmul":
		L.Push(lua.LNumber(200))
	default:
		L.Push(lua.LNumber(0))
	}
	return 1
}

// shownKilobytes is how much memory scripts are told that they use.
const shownKilobytes = 64

// gcinfo()
func baseGCInfo(L *lua.LState) int {
	L.Push(lua.LNumber(shownKilobytes))
	return 1
}

// loadstring(source [, name])
func (r *Runner) baseLoadstring(L *lua.LState) int {
	source := checkString(L, 1)
	return r.load(L, source, optString(L, 2, source))
}

// load(function [, name])
func (r *Runner) baseLoad(L *lua.LState) int {
	name := optString(L, 2, "=(load)")
	reader := checkFunction(L, 1)
	L.SetTop(1)
	var source strings.Builder
	for {
		L.Push(reader)
		if v, failed := r.protectedCall(L, 0); failed {
			L.Push(lua.LNil)
			L.Push(v)
			return 2
		}
		piece := L.Get(2)
		L.SetTop(1)
		if piece == lua.LNil {
			break
		}
		s, ok := text(piece)
		if !ok {
			L.Push(lua.LNil)
			L.Push(lua.LString("reader function must return a string"))
			return 2
		}
		if s == "" {
			break
		}
		r.checkString(L, source.Len()+len(s))
		source.WriteString(s)
	}
	return r.load(L, source.String(), name)
}

// load makes a function of source. Byte code is taken for source, too, and so refused.
func (r *Runner) load(L *lua.LState, source, name string) int {
	r.work(L, len(source)/16)
	c, _, err := r.engine.compileChunk(source, name, loaded)
	if err != nil {
		L.Push(lua.LNil)
		L.Push(lua.LString(err.Error()))
		return 2
	}
	r.once = append(r.once, c.id)
	L.Push(r.function(c, r.sharedGlobals))
	return 1
}

// __redis__err__handler(error)
func (r *Runner) errorHandler(L *lua.LState) int {
	v := L.Get(1)
	t, ok := v.(*lua.LTable)
	if !ok {
		t = field(L, "err", lua.LString("ERR "+display(v)))
	}
	if c, at := r.siteAt(L, 1); c != nil {
		t.RawSetString("source", lua.LString(c.name))
		t.RawSetString("line", lua.LNumber(c.sites[at].line))
	}
	L.Push(t)
	return 1
}
