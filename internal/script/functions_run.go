package script

import (
	"errors"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// registration is a function that the code of a library has registered.
type registration struct {
	name        string
	description *string
	flags       Flags
	callback    *lua.LFunction
}

// registering is what goes on while the code of a library runs.
type registering struct {
	found []registration
	first bool // it is loaded; else it only makes its functions in another state
}

// libraries are the libraries that have run in a state.
type libraries struct {
	made map[*Library]map[string]*lua.LFunction // their functions by name
	now  *registering                           // nil: no code of a library runs
	// api is what the table redis is for a library's code: the functions that it makes see the whole one.
	api *lua.LTable
}

// functionOf returns the Lua function that a script, or a library's function, is in this state.
func (r *Runner) functionOf(s *Script) (*lua.LFunction, error) {
	if s.owner == nil {
		return r.bind(s.chunk), nil
	}
	made, ok := r.libs.made[s.owner]
	if !ok {
		found, err := r.runLibrary(s.owner, false)
		if err != nil {
			return nil, err
		}
		made = map[string]*lua.LFunction{}
		for i := range found {
			made[found[i].name] = found[i].callback
		}
		for lib := range r.libs.made {
			if lib.gone.Load() {
				delete(r.libs.made, lib)
				delete(r.chunks, lib.chunk.id)
			}
		}
		if r.libs.made == nil {
			r.libs.made = map[*Library]map[string]*lua.LFunction{}
		}
		r.libs.made[s.owner] = made
	}
	fn := made[s.SHA]
	if fn == nil {
		return nil, errors.New("ERR function is not registered")
	}
	return fn, nil
}

// runLibrary runs the code of a library and returns what it has registered. first: it is being loaded.
func (r *Runner) runLibrary(lib *Library, first bool) (found []registration, err error) {
	L := r.L
	now := &registering{first: first}
	r.libs.now = now
	r.begin()
	r.watch(true)
	r.running = false
	defer func() {
		r.libs.now = nil
		r.end()
	}()
	fn, seal := r.bindLibrary(lib.chunk)
	L.Push(r.protected)
	L.Push(fn)
	if err := L.PCall(1, 0, nil); err != nil {
		err = r.loadError(err)
		delete(r.chunks, lib.chunk.id)
		return nil, err
	}
	seal()
	return now.found, nil
}

// loadError words the error of a library's code.
func (r *Runner) loadError(err error) error {
	if r.hook.killed != nil {
		return r.hook.killed
	}
	v := r.caught(err)
	if t, ok := v.(*lua.LTable); ok {
		s, _ := text(t.RawGetString("err"))
		return errors.New(s)
	}
	return errors.New("ERR " + display(v))
}

// bindLibrary makes a function of a library's code. Until seal is called it sees, of all global variables, redis with
// what a library may use; from then on, what every script sees.
func (r *Runner) bindLibrary(c *chunk) (fn *lua.LFunction, seal func()) {
	L := r.L
	globals := L.NewTable()
	globals.RawSetString("redis", r.loadAPI())
	env := r.protect(globals, L.NewFunction(r.indexOnly(globals)))
	seal = func() {
		meta := env.Metatable.(*lua.LTable)
		meta.RawSetString(realKey, r.globals)
		meta.RawSetString("__index", r.globals)
	}
	return r.function(c, env), seal
}

// indexOnly is the __index of a table that stands for another one: a name that this has not is an error.
func (r *Runner) indexOnly(t *lua.LTable) lua.LGFunction {
	return func(L *lua.LState) int {
		key := L.Get(2)
		if v := t.RawGet(key); v != lua.LNil {
			L.Push(v)
			return 1
		}
		name, ok := text(key)
		if !ok {
			return r.fail(L, "Second argument to luaProtectedTableError must be a string or number")
		}
		return r.fail(L, "Script attempted to access nonexistent global variable '"+cString(name)+"'")
	}
}

// loadAPI returns the table redis of code that is loaded.
func (r *Runner) loadAPI() *lua.LTable {
	if r.libs.api != nil {
		return r.libs.api
	}
	L := r.L
	fields := L.NewTable()
	fields.RawSetString("register_function", L.NewFunction(r.registerFunction))
	fields.RawSetString("log", L.NewFunction(r.loadLog))
	whole := realTable(r.globals.RawGetString("redis").(*lua.LTable))
	for _, name := range []string{
		"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION", "REDIS_VERSION_NUM",
	} {
		fields.RawSetString(name, whole.RawGetString(name))
	}
	r.libs.api = r.protect(fields, L.NewFunction(r.indexOnly(fields)))
	return r.libs.api
}

// redis.log(level, ...) of a library's code, which says it once, when it is loaded.
func (r *Runner) loadLog(L *lua.LState) int {
	if now := r.libs.now; now != nil && !now.first {
		return 0
	}
	return r.redisLog(L)
}

// redis.register_function(name, callback)
// redis.register_function{function_name=name, callback=callback, [flags={flag, ...}], [description=text]}
func (r *Runner) registerFunction(L *lua.LState) int {
	now := r.libs.now
	if now == nil {
		return raise(L, "redis.register_function can only be called on FUNCTION LOAD command")
	}
	var f registration
	problem := ""
	switch L.GetTop() {
	case 1:
		f, problem = namedRegistration(L.Get(1))
	case 2:
		f, problem = positionalRegistration(L.Get(1), L.Get(2))
	default:
		problem = "wrong number of arguments to redis.register_function"
	}
	if problem == "" {
		problem = now.add(f)
	}
	if problem != "" {
		return raise(L, problem)
	}
	return 0
}

// add adds a function; problem says why it can't be.
func (n *registering) add(f registration) (problem string) {
	if !validName(f.name) {
		return invalidName
	}
	for i := range n.found {
		if n.found[i].name == f.name {
			return "Function already exists in the library"
		}
	}
	n.found = append(n.found, f)
	return ""
}

func positionalRegistration(name, callback lua.LValue) (f registration, problem string) {
	var ok bool
	if f.name, ok = text(name); !ok {
		return f, "first argument to redis.register_function must be a string"
	}
	if f.callback, ok = callback.(*lua.LFunction); !ok {
		return f, "second argument to redis.register_function must be a function"
	}
	return f, ""
}

func namedRegistration(arg lua.LValue) (f registration, problem string) {
	t, ok := arg.(*lua.LTable)
	if !ok {
		return f, "calling redis.register_function with a single argument is only applicable to Lua table " +
			"(representing named arguments)."
	}
	named := false
	for key, v := t.Next(lua.LNil); key != lua.LNil && problem == ""; key, v = t.Next(key) {
		word, ok := text(key)
		if !ok {
			return f, "named argument key given to redis.register_function is not a string"
		}
		switch strings.ToLower(cString(word)) {
		case "function_name":
			f.name, named = text(v)
			if !named {
				problem = "function_name argument given to redis.register_function must be a string"
			}
		case "description":
			description, ok := text(v)
			if !ok {
				problem = "description argument given to redis.register_function must be a string"
			}
			f.description = &description
		case "callback":
			if f.callback, ok = v.(*lua.LFunction); !ok {
				problem = "callback argument given to redis.register_function must be a function"
			}
		case "flags":
			f.flags, problem = registeredFlags(v)
		default:
			problem = "unknown argument given to redis.register_function"
		}
	}
	switch {
	case problem != "":
	case !named:
		problem = "redis.register_function must get a function name argument"
	case f.callback == nil:
		problem = "redis.register_function must get a callback argument"
	}
	return f, problem
}

// registeredFlags reads the flags of a function.
func registeredFlags(v lua.LValue) (flags Flags, problem string) {
	t, ok := v.(*lua.LTable)
	if !ok {
		return 0, "flags argument to redis.register_function must be a table representing function flags"
	}
	for i := 1; ; i++ {
		elem := t.RawGetInt(i)
		if elem == lua.LNil {
			return flags, ""
		}
		name, _ := text(elem)
		flag := flagByName(strings.ToLower(cString(name)))
		if flag == 0 {
			return 0, "unknown flag given"
		}
		flags |= flag
	}
}
