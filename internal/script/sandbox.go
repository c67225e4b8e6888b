package script

import lua "github.com/yuin/gopher-lua"

// The tables that scripts share with each other are the globals, the libraries and the metatables that hang on them. No
// script may change them, and the machine knows no table that can't be changed. So scripts get stand-ins: empty tables
// whose metatables look into the real ones and refuse assignments. Functions that bypass metatables look through them.

// realKey is the field of a stand-in's metatable that has the real table. Scripts can't write it: it is a table's, and
// they get no hold of one.
const realKey = "\x00real"

// protect makes a stand-in for a table. index finds what an access to it finds: the table, or a function.
func (r *Runner) protect(real *lua.LTable, index lua.LValue) *lua.LTable {
	mt := r.L.CreateTable(0, 3)
	mt.RawSetString(realKey, real)
	mt.RawSetString("__index", index)
	mt.RawSetString("__newindex", r.L.NewFunction(r.refuseChange))
	standIn := r.L.CreateTable(0, 0)
	standIn.Metatable = mt
	r.standIns[real] = standIn
	return standIn
}

// realTable returns the table that a stand-in stands for; others stand for themselves.
func realTable(t *lua.LTable) *lua.LTable {
	if mt, ok := t.Metatable.(*lua.LTable); ok {
		if real, ok := mt.RawGetString(realKey).(*lua.LTable); ok {
			return real
		}
	}
	return t
}

// errReadOnly is what assignments to shared tables fail with.
const errReadOnly = "Attempt to modify a readonly table"

func (r *Runner) refuseChange(L *lua.LState) int { return r.fail(L, errReadOnly) }

// checkWritable raises an error if a table is shared.
func checkWritable(L *lua.LState, t *lua.LTable) {
	if realTable(t) != t {
		L.Error(lua.LString(errReadOnly), 0)
	}
}

// open fills the state: the globals, exactly those of redis-server 7.0.15, and the libraries.
func (r *Runner) open() {
	L := r.L
	globals := L.CreateTable(0, 64)
	r.standIns = map[*lua.LTable]*lua.LTable{}
	missing := L.CreateTable(0, 1)
	missing.RawSetString("__index", L.NewFunction(r.indexOnly(globals)))
	globals.Metatable = missing
	r.globals, r.sharedGlobals = globals, r.protect(globals, globals)
	libraries := r.openLibraries()
	for name, t := range libraries {
		globals.RawSetString(name, r.protect(t, t))
	}
	r.lib.openBase(L, globals)
	r.openBase(globals)
	globals.RawSetString("_G", r.sharedGlobals)
	L.Env = r.sharedGlobals
	r.setMetatables(libraries["string"])
	shown := L.CreateTable(0, 1)
	shown.RawSetString("__index", globals.RawGetString("string"))
	r.stringMetatable = r.protect(shown, shown)
	r.globalsMetatable = r.protect(missing, missing)
}

// metatable returns a value's metatable as scripts see it.
func (r *Runner) metatable(v lua.LValue) lua.LValue {
	var mt lua.LValue = lua.LNil
	switch v := v.(type) {
	case lua.LString:
		return r.stringMetatable
	case *lua.LUserData:
		mt = v.Metatable
	case *lua.LTable:
		switch {
		case v == r.sharedGlobals:
			return r.globalsMetatable
		case realTable(v) != v:
			return lua.LNil
		}
		mt = v.Metatable
	}
	if t, ok := mt.(*lua.LTable); ok {
		if field := t.RawGetString("__metatable"); field != lua.LNil {
			return field
		}
		if standIn, ok := r.standIns[t]; ok {
			return standIn
		}
	}
	return mt
}

// bind makes a function of the state of a chunk. Functions of scripts are kept.
func (r *Runner) bind(c *chunk) *lua.LFunction {
	if fn, ok := r.bound[c]; ok {
		return fn
	}
	if len(r.bound) >= maxBound {
		r.forget()
	}
	fn := r.function(c, r.sharedGlobals)
	r.bound[c] = fn
	return fn
}

// forget lets go of the functions of scripts.
func (r *Runner) forget() {
	for c := range r.bound {
		delete(r.chunks, c.id)
	}
	clear(r.bound)
}

// maxBound is how many functions a runner keeps.
const maxBound = 1000

// function makes a function of a chunk, which has these globals, and gives it what it needs of the state.
func (r *Runner) function(c *chunk, globals *lua.LTable) *lua.LFunction {
	r.chunks[c.id] = c
	fn := &lua.LFunction{Env: globals, Proto: c.proto}
	for _, name := range c.proto.DbgUpvalues {
		up := &lua.Upvalue{}
		up.Close()
		if name == hiddenGlobals {
			up.SetValue(globals)
		} else {
			up.SetValue(r.hidden(name))
		}
		fn.Upvalues = append(fn.Upvalues, up)
	}
	return fn
}
