package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"fulmen/internal/resp"
)

// Runner is a Lua state that runs scripts, one after the other. It belongs to one goroutine at a time.
type Runner struct {
	engine  *Engine
	host    Host
	L       *lua.LState
	hook    hook
	globals *lua.LTable
	libs    libraries

	// Of the run.
	running bool
	proto   int // what redis.setresp has said
	where   place

	// Arguments of redis.call.
	args     [][]byte
	argBytes []byte
	ends     []int
}

// place is where a script failed.
type place struct {
	source string
	line   int
	known  bool
}

// NewRunner makes a Lua state. It takes some 100 KiB.
func (e *Engine) NewRunner(h Host) *Runner {
	r := &Runner{engine: e, host: h}
	r.L = lua.NewState(lua.Options{
		CallStackSize: 20_000, MinimizeStackMemory: true,
		RegistrySize: 1024, RegistryMaxSize: 1 << 20, RegistryGrowStep: 8192,
		SkipOpenLibs: true,
	})
	r.hook.r = r
	r.L.SetContext(&r.hook)
	r.open()
	return r
}

// Run runs a script and appends the reply, in the client's version of RESP. keys and args are copied. The error is what
// EVAL replies; dst is returned as it was then.
func (r *Runner) Run(dst []byte, proto int, s *Script, keys, args [][]byte) ([]byte, *resp.Error) {
	if s.library == nil {
		return r.run(dst, proto, s.SHA, r.bind(s.chunk), keys, args)
	}
	fn, err := r.functionOf(s)
	if err != nil {
		return dst, resp.ParseError(err.Error())
	}
	return r.run(dst, proto, s.SHA, fn, keys, args)
}

// run calls fn, which name stands for in errors.
func (r *Runner) run(dst []byte, proto int, name string, fn *lua.LFunction, keys, args [][]byte) ([]byte, *resp.Error) {
	L := r.L
	r.hook.left, r.hook.killed, r.hook.baseBytes = ticks, nil, -1
	r.running, r.proto, r.where = true, 2, place{}
	defer func() { r.running = false }()
	L.Push(fn)
	L.Push(list(L, keys))
	L.Push(list(L, args))
	if err := L.PCall(2, 1, L.NewFunction(r.failed)); err != nil {
		return dst, r.runError(name, err)
	}
	w := writer{r: r, proto: proto, dst: dst, limit: len(dst) + r.engine.limits.HeapBytes}
	w.write(L.Get(-1), 2)
	L.Pop(1)
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

// failed is called where a script has failed, while its functions are still on the stack: it notes the place.
func (r *Runner) failed(L *lua.LState) int {
	for level := 1; level <= 2; level++ {
		dbg, ok := L.GetStack(level)
		if !ok {
			break
		}
		if _, err := L.GetInfo("Sl", dbg, lua.LNil); err != nil {
			break
		}
		r.where = place{source: dbg.Source, line: dbg.CurrentLine, known: true}
		if dbg.What != "G" {
			break
		}
	}
	return 1
}

// runError words the error of a run.
func (r *Runner) runError(name string, err error) *resp.Error {
	msg := err.Error()
	if e, ok := err.(*lua.ApiError); ok {
		if t, ok := e.Object.(*lua.LTable); ok {
			s, _ := text(t.RawGetString("err"))
			msg = s
		} else {
			msg = "ERR " + e.Object.String()
		}
	}
	if r.where.known {
		msg += " script: " + name + ", on @" + strings.TrimPrefix(r.where.source, "@") + ":" +
			formatNumber(lua.LNumber(r.where.line)) + "."
	}
	return resp.ParseError(msg)
}

// open fills the state's globals.
func (r *Runner) open() {
	libraries := []lua.LGFunction{lua.OpenBase, lua.OpenString, lua.OpenTable, lua.OpenMath, lua.OpenCoroutine}
	for _, open := range libraries {
		r.L.Push(r.L.NewFunction(open))
		r.L.Call(0, 0)
	}
	r.L.SetGlobal("redis", r.openRedis())
}

// bind makes a function of the state of a chunk.
func (r *Runner) bind(c *chunk) *lua.LFunction {
	return &lua.LFunction{Env: r.L.Env, Proto: c.proto}
}
