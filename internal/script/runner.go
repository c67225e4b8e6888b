package script

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"fulmen/internal/resp"
)

// Runner is a Lua state that runs scripts, one after the other. It belongs to one goroutine at a time.
type Runner struct {
	engine *Engine
	host   Host
	hook   hook

	// The state, made again when broken.
	L             *lua.LState
	lib           *libs
	broken        bool
	watched       bool // instructions are counted
	libs          libraries
	globals       *lua.LTable // what scripts see by its stand-in
	sharedGlobals *lua.LTable
	standIns      map[*lua.LTable]*lua.LTable // by real table
	// What getmetatable shows of strings and of the globals.
	stringMetatable, globalsMetatable *lua.LTable
	protected                         *lua.LFunction // callProtected
	helpers                           map[string]lua.LValue
	bound                             map[*chunk]*lua.LFunction
	chunks                            map[int64]*chunk // those that functions of the state belong to

	// Of the run.
	running bool
	proto   int // what redis.setresp has said
	failure failure
	depth   int                            // of protected calls and coroutines
	starts  map[*lua.LState]*lua.LFunction // of coroutines that haven't begun
	once    []int64                        // chunks that the run has loaded

	// Buffers: of redis.call's arguments, and of concatenations.
	args     [][]byte
	argBytes []byte
	ends     []int
	joined   []byte
	kept     [2 * (maxElementParams + 2)]keptString
}

// failure is where a script has failed.
type failure struct {
	source string
	line   int
	known  bool
}

// maxStackSlots is how many values the stack of a state may have, and so how deep its functions may be nested: each
// needs several.
const maxStackSlots = 1 << 16

// NewRunner makes a Lua state. It takes some 100 KiB.
func (e *Engine) NewRunner(h Host) *Runner {
	r := &Runner{engine: e, host: h}
	r.hook.r = r
	r.reset()
	return r
}

// reset makes a new state.
func (r *Runner) reset() {
	r.L = lua.NewState(lua.Options{
		CallStackSize: maxStackSlots, MinimizeStackMemory: true,
		RegistrySize: 1024, RegistryMaxSize: maxStackSlots, RegistryGrowStep: 8192,
		SkipOpenLibs: true,
	})
	r.L.Options.CallStackSize, r.L.Options.RegistrySize = 8000, 128 // of coroutines
	r.hook.arm()
	r.watched = false
	r.watch(true)
	r.bound, r.chunks = map[*chunk]*lua.LFunction{}, map[int64]*chunk{}
	r.libs = libraries{}
	r.helpers, r.starts = map[string]lua.LValue{}, map[*lua.LState]*lua.LFunction{}
	r.lib = newLibs(r.engine.limits.StringBytes, &r.engine.randoms, func(L *lua.LState) { r.work(L, ticks) })
	r.open()
	r.broken = false
}

// openLibraries makes the libraries' tables.
func (r *Runner) openLibraries() map[string]*lua.LTable {
	return map[string]*lua.LTable{
		"bit": r.lib.openBit(r.L), "cjson": r.lib.openCjson(r.L), "cmsgpack": r.lib.openCmsgpack(r.L),
		"coroutine": r.openCoroutine(), "math": r.lib.openMath(r.L), "redis": r.openRedis(),
		"string": r.lib.openString(r.L), "struct": r.lib.openStruct(r.L), "table": r.lib.openTable(r.L),
	}
}

// hidden returns what an upvalue of a chunk has: a helper, a global or a library's field.
func (r *Runner) hidden(name string) lua.LValue {
	if v, ok := r.helpers[name]; ok {
		return v
	}
	var v lua.LValue
	if helper := r.helper(name); helper != nil {
		v = r.L.NewFunction(helper)
	} else {
		library, key, isField := strings.Cut(name[1:], ".")
		v = r.globals.RawGetString(library)
		if isField {
			v = realTable(v.(*lua.LTable)).RawGetString(key)
		}
	}
	if v != lua.LNil { // there is no end of the fields that a library hasn't
		r.helpers[name] = v
	}
	return v
}

// Run runs a script and appends the reply, in the client's version of RESP. keys and args are copied. The error is what
// EVAL replies; dst is returned as it was then.
func (r *Runner) Run(dst []byte, proto int, s *Script, keys, args [][]byte) ([]byte, *resp.Error) {
	if r.broken {
		r.reset()
	}
	fn, err := r.functionOf(s)
	if err != nil {
		return dst, resp.ParseError(err.Error())
	}
	r.begin()
	defer r.release()
	r.L.Push(r.protected)
	r.L.Push(fn)
	r.watch(s.owner != nil || !s.chunk.straight)
	if s.owner != nil {
		r.L.Push(list(r.L, keys))
		r.L.Push(list(r.L, args))
		return r.call(dst, proto, s.SHA, 2)
	}
	given := [2][][]byte{keys, args}
	var tables [2]*lua.LTable
	for i := range tables {
		if s.chunk.globals {
			tables[i] = list(r.L, given[i])
			name := [...]string{"KEYS", "ARGV"}[i]
			r.globals.RawSetString(name, tables[i])
			defer r.globals.RawSetString(name, lua.LNil)
		}
	}
	for i, p := range s.chunk.params {
		which := number01(p.argv)
		r.L.Push(r.argument(i, p, tables[which], given[which]))
	}
	return r.call(dst, proto, s.SHA, len(s.chunk.params))
}

// watch says whether instructions are counted.
func (r *Runner) watch(on bool) {
	switch {
	case on == r.watched:
		return
	case on:
		r.L.SetContext(&r.hook)
	default:
		r.L.RemoveContext()
	}
	r.watched = on
}

// argument is the value of the i-th parameter, of which table is the table if there is one already.
func (r *Runner) argument(i int, p param, table *lua.LTable, given [][]byte) lua.LValue {
	switch {
	case p.index == paramTable && table != nil:
		return table
	case p.index == paramTable:
		return list(r.L, given)
	case p.index == paramCount:
		return lua.LNumber(len(given))
	case p.index > len(given):
		return lua.LNil
	}
	s := given[p.index-1]
	if len(s) > keptStringBytes {
		return lua.LString(s)
	}
	// The same keys come again and again: a string that is still there needs no new one.
	kept := &r.kept[i]
	if kept.value == nil || kept.text != string(s) {
		kept.text = string(s)
		kept.value = lua.LString(kept.text)
	}
	return kept.value
}

// keptStringBytes is the length of the longest parameter that a runner keeps.
const keptStringBytes = 128

// keptString is a parameter of the last run.
type keptString struct {
	text  string
	value lua.LValue
}

// begin prepares for a run.
func (r *Runner) begin() {
	r.hook.arm()
	r.lib.reset()
	r.running, r.proto, r.failure, r.depth = true, 2, failure{}, 0
}

// end forgets a run.
func (r *Runner) end() {
	r.running = false
	if h := &r.hook; h.killed != nil || h.ticked > maxTicks || h.collected {
		r.broken = true // its stack may be big, or in any shape
	}
	clear(r.starts)
	for _, id := range r.once {
		delete(r.chunks, id)
	}
	r.once = r.once[:0]
	if cap(r.argBytes) > keptBytes {
		r.args, r.argBytes = nil, nil
	}
}

// release forgets a run, and the state if it isn't to be used again.
func (r *Runner) release() {
	r.end()
	big := r.hook.collected
	if r.broken {
		r.reset()
	}
	if big {
		r.engine.sweep()
	}
}

// maxTicks is after how many ticks of a run its state is not used again.
const maxTicks = 50

// call calls what is on the stack: callProtected, a function, and so many arguments. name is what stands for the script
// in errors.
func (r *Runner) call(dst []byte, proto int, name string, args int) ([]byte, *resp.Error) {
	L := r.L
	L.G.CurrentThread = L
	if err := L.PCall(1+args, 1, nil); err != nil {
		return dst, r.runError(name, err)
	}
	w := writer{r: r, proto: proto, dst: dst, limit: len(dst) + r.engine.limits.HeapBytes}
	v := L.Get(-1)
	L.Pop(1)
	if w.write(v, 2); w.err != nil {
		return dst, w.err
	}
	return w.dst, nil
}

// list makes a table of strings.
func list(L *lua.LState, elems [][]byte) *lua.LTable {
	t := L.CreateTable(len(elems), 0)
	for i, elem := range elems {
		t.RawSetInt(i+1, lua.LString(elem))
	}
	return t
}

// runError words the error of a run.
func (r *Runner) runError(name string, err error) *resp.Error {
	v := r.caught(err)
	msg := "ERR "
	switch t, ok := v.(*lua.LTable); {
	case r.hook.killed != nil:
		msg = r.hook.killed.Error()
	case ok:
		msg, _ = text(plainField(t, "err"))
		msg = cString(msg)
	default:
		msg += cString(display(v))
	}
	if r.failure.known {
		msg += " script: " + name + ", on " + r.failure.source + ":" + strconv.Itoa(r.failure.line) + "."
	}
	return resp.ParseError(msg)
}

// plainField is a field of a table, or of the tables that its metatable names; no function is called.
func plainField(t *lua.LTable, name string) lua.LValue {
	for range lua.MaxTableGetLoop {
		if v := t.RawGetString(name); v != lua.LNil {
			return v
		}
		mt, ok := t.Metatable.(*lua.LTable)
		if !ok {
			break
		}
		if t, ok = mt.RawGetString("__index").(*lua.LTable); !ok {
			break
		}
	}
	return lua.LNil
}
