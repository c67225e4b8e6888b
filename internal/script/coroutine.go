package script

import (
	"runtime"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openCoroutine makes the table coroutine.
func (r *Runner) openCoroutine() *lua.LTable {
	t := r.L.CreateTable(0, 6)
	for name, fn := range map[string]lua.LGFunction{
		"create": r.coCreate, "resume": r.coResume, "running": r.coRunning, "status": coStatus, "wrap": r.coWrap,
		"yield": coYield,
	} {
		t.RawSetString(name, r.L.NewFunction(fn))
	}
	return t
}

// coroutine.create(function)
func (r *Runner) coCreate(L *lua.LState) int {
	L.Push(r.thread(L))
	return 1
}

// thread makes a coroutine of the argument, a function. The states are small: there may be many.
func (r *Runner) thread(L *lua.LState) *lua.LState {
	fn, ok := L.Get(1).(*lua.LFunction)
	if !ok || fn.IsG {
		argError(L, 1, "Lua function expected")
	}
	r.work(L, threadCost)
	th, _ := L.NewThread()
	th.Options = L.Options
	th.SetContext(&r.hook)
	r.starts[th] = fn
	return th
}

// threadCost is how many steps of work making a coroutine is worth.
const threadCost = 100

// resume goes on with a coroutine; failed: it has raised the only value, or can't go on, whose reason that is.
func (r *Runner) resume(L *lua.LState, th *lua.LState, args []lua.LValue) (values []lua.LValue, failed bool) {
	if status := statusOf(L, th); status != "suspended" {
		return []lua.LValue{lua.LString("cannot resume " + status + " coroutine")}, true
	}
	if r.depth++; r.depth > maxCalls {
		r.depth--
		return []lua.LValue{lua.LString("C stack overflow")}, true
	}
	fn := r.starts[th]
	delete(r.starts, th)
	state, err, values := L.Resume(th, fn, args...)
	r.depth--
	if state != lua.ResumeError {
		return values, false
	}
	v := r.caught(err)
	if r.hook.killed != nil {
		L.Error(v, 0)
	}
	return []lua.LValue{v}, true
}

// statusOf is a coroutine's status as L sees it.
func statusOf(L, th *lua.LState) string {
	switch {
	case th.Dead:
		return "dead"
	case th == L:
		return "running"
	}
	for outer := L.Parent; outer != nil; outer = outer.Parent {
		if outer == th {
			return "normal"
		}
	}
	return "suspended"
}

func checkThread(L *lua.LState) *lua.LState {
	th, ok := L.Get(1).(*lua.LState)
	if !ok {
		argError(L, 1, "coroutine expected")
	}
	return th
}

// arguments returns the function's arguments from the n-th on.
func arguments(L *lua.LState, n int) (args []lua.LValue) {
	for i := n; i <= L.GetTop(); i++ {
		args = append(args, L.Get(i))
	}
	return args
}

// coroutine.resume(coroutine, ...)
func (r *Runner) coResume(L *lua.LState) int {
	th := checkThread(L)
	values, failed := r.resume(L, th, arguments(L, 2))
	L.Push(lua.LBool(!failed))
	for _, v := range values {
		L.Push(v)
	}
	return 1 + len(values)
}

// coroutine.wrap(function)
func (r *Runner) coWrap(L *lua.LState) int {
	th := r.thread(L)
	L.Push(L.NewFunction(func(L *lua.LState) int {
		values, failed := r.resume(L, th, arguments(L, 1))
		if failed {
			v := values[0]
			if s, ok := text(v); ok {
				v = lua.LString(r.where(L, 1) + s)
			}
			L.Error(v, 0)
		}
		for _, v := range values {
			L.Push(v)
		}
		return len(values)
	}))
	return 1
}

// coroutine.status(coroutine)
func coStatus(L *lua.LState) int {
	L.Push(lua.LString(statusOf(L, checkThread(L))))
	return 1
}

// coroutine.running()
func (r *Runner) coRunning(L *lua.LState) int {
	if L == r.L {
		L.Push(lua.LNil) // no coroutine
	} else {
		L.Push(L)
	}
	return 1
}

// coroutine.yield(...)
func coYield(L *lua.LState) int {
	if L.Parent == nil || nested() {
		L.Error(lua.LString("attempt to yield across metamethod/C-call boundary"), 0)
	}
	return L.Yield(arguments(L, 1)...)
}

// nested tells whether between a coroutine's beginning and its running function there is one of Go's, which can't be
// left and entered again. gopher-lua doesn't tell: the stack does, on which the machine's loop is more than once then.
func nested() bool {
	const depth = 64
	var pcs [depth]uintptr
	n := runtime.Callers(2, pcs[:])
	frames := runtime.CallersFrames(pcs[:n])
	loops := 0
	for {
		frame, more := frames.Next()
		switch {
		case strings.HasSuffix(frame.Function, ".threadRun"):
			return loops > 1
		case strings.HasSuffix(frame.Function, ".mainLoopWithContext"):
			loops++
		}
		if !more {
			return true
		}
	}
}
