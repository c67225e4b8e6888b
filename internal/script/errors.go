package script

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The machine words its errors in its own way and gives their positions as places in chunk.sites. Before a script can
// see one, and before a client does, translate makes of it what Lua 5.1 says.

// siteAt returns the place in a chunk from which the function at this level of the stack was left; nil: it is no Lua
// function. Level 0 is the running function. Those that callProtected is don't count.
func (r *Runner) siteAt(L *lua.LState, level int) (c *chunk, at int) {
	var dbg *lua.Debug
	for i := 0; level >= 0; i++ {
		var ok bool
		if dbg, ok = L.GetStack(i); !ok {
			return nil, 0
		}
		if fn, err := L.GetInfo("fSl", dbg, lua.LNil); err != nil {
			return nil, 0
		} else if fn != r.protected {
			level--
		}
	}
	if dbg.CurrentLine < 0 {
		return nil, 0
	}
	c = r.chunkOf(dbg.Source)
	if c == nil || dbg.CurrentLine >= len(c.sites) {
		return nil, 0
	}
	return c, dbg.CurrentLine
}

// chunkOf finds a chunk by the machine's name of it.
func (r *Runner) chunkOf(machineName string) *chunk {
	digits, ok := strings.CutPrefix(machineName, r.engine.marker)
	if !ok {
		return nil
	}
	id, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return nil
	}
	return r.chunks[id]
}

// position is "source:line: " of a place.
func (c *chunk) position(at int) string { return c.shown + ":" + strconv.Itoa(c.sites[at].line) + ": " }

// where is the position of the function at this level, if it is one of Lua's.
func (r *Runner) where(L *lua.LState, level int) string {
	if c, at := r.siteAt(L, level); c != nil {
		return c.position(at)
	}
	return ""
}

// fail raises an error at the position of the Lua function that called the running one.
func (r *Runner) fail(L *lua.LState, msg string) int {
	L.Error(lua.LString(r.where(L, 1)+msg), 0)
	return 0
}

// caught returns the error value of what PCall has returned, as scripts see it.
func (r *Runner) caught(err error) lua.LValue {
	e, ok := err.(*lua.ApiError)
	if !ok {
		return lua.LString(err.Error())
	}
	if e.Type == lua.ApiErrorPanic {
		r.broken = true // whatever it was, the machine was not prepared for it
	}
	if s, ok := e.Object.(lua.LString); ok {
		return lua.LString(r.translate(string(s)))
	}
	return e.Object
}

// translate makes an error of Lua 5.1 of one of the machine's.
func (r *Runner) translate(msg string) string {
	rest, ok := strings.CutPrefix(msg, r.engine.marker)
	if !ok {
		return plainError(msg)
	}
	id, rest, _ := strings.Cut(rest, ":")
	line, rest, _ := strings.Cut(rest, ":")
	c := r.chunkOf(r.engine.marker + id)
	at, err := strconv.Atoi(line)
	if c == nil || err != nil || at >= len(c.sites) {
		return plainError(strings.TrimPrefix(rest, " "))
	}
	return c.position(at) + siteError(strings.TrimPrefix(rest, " "), &c.sites[at])
}

// plainError words an error that has no operands.
func plainError(msg string) string {
	switch {
	case msg == "lua callstack overflow" || msg == "registry overflow":
		return "stack overflow"
	case strings.HasPrefix(msg, "too many recursions in "):
		return "loop in " + strings.TrimPrefix(msg, "too many recursions in ")
	}
	return msg
}

// siteError words an error that the machine has raised at a site.
func siteError(msg string, s *site) string {
	if rest, ok := strings.CutPrefix(msg, "attempt to index a non-table object("); ok {
		kind, _, _ := strings.Cut(rest, ")")
		return operandError("index", s.left, kind)
	}
	if rest, ok := strings.CutPrefix(msg, "cannot perform "); ok {
		if _, kinds, ok := strings.Cut(rest, " operation between "); ok {
			left, right, _ := strings.Cut(kinds, " and ")
			if left == "number" || left == "string" { // strings that aren't numbers have raised their own
				return operandError("perform arithmetic on", s.right, right)
			}
			return operandError("perform arithmetic on", s.left, left)
		}
	}
	if rest, ok := strings.CutPrefix(msg, "attempt to compare "); ok {
		if left, right, ok := strings.Cut(rest, " with "); ok && left[2] == right[2] { // all that Lua 5.1 compares
			return "attempt to compare two " + left + " values"
		}
		return msg
	}
	switch msg {
	case "attempt to call a non-function object":
		return operandError("call", s.right, "table") // others have raised their own
	case "__unm undefined":
		return operandError("perform arithmetic on", s.left, "table")
	}
	return plainError(msg)
}

// operandError is the error that something can't be done with an operand, which may have a name.
func operandError(what, operand, kind string) string {
	if operand == "" {
		return "attempt to " + what + " a " + kind + " value"
	}
	return "attempt to " + what + " " + operand + " (a " + kind + " value)"
}
