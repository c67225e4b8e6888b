package script

import (
	"fmt"
	"reflect"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// Arguments of library functions, counted from 1, checked and converted as Lua's auxiliary library does it, with the
// texts of its errors.

// raisef raises an error with the position of the Lua code that called the running function, if that is what called it.
func raisef(L *lua.LState, format string, args ...any) {
	L.Error(lua.LString(callerPosition(L)+fmt.Sprintf(format, args...)), 0)
}

// callerPosition is "source:line: " of the Lua code that called the running function; empty: something else did.
func callerPosition(L *lua.LState) string {
	dbg, ok := L.GetStack(1)
	if !ok {
		return ""
	}
	if _, err := L.GetInfo("Sl", dbg, nil); err != nil || dbg.CurrentLine <= 0 || dbg.Source == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", dbg.Source, dbg.CurrentLine)
}

// argError raises the error that argument n is bad for a reason.
func argError(L *lua.LState, n int, why string) {
	name, method := calleeName(L)
	if method {
		n--
		if n == 0 {
			raisef(L, "calling '%s' on bad self (%s)", name, why)
		}
	}
	raisef(L, "bad argument #%d to '%s' (%s)", n, name, why)
}

// typeError raises the error that argument n is not what was expected.
func typeError(L *lua.LState, n int, expected string) {
	argError(L, n, expected+" expected, got "+typeName(L, n))
}

// typeName names the type of argument n as errors do.
func typeName(L *lua.LState, n int) string {
	if n > L.GetTop() {
		return "no value"
	}
	return L.Get(n).Type().String()
}

// calleeName is what the running function is called where it is called, and whether it is called as a method.
func calleeName(L *lua.LState) (name string, method bool) {
	proto, pc := callSite(L)
	if proto == nil {
		return "?", false
	}
	inst := proto.Code[pc]
	switch int(inst >> 26) {
	case lua.OP_TFORLOOP:
		return "(for generator)", false
	case lua.OP_CALL, lua.OP_TAILCALL:
	default:
		return "?", false
	}
	name = "?"
	for _, call := range proto.DbgCalls {
		if call.Pc == pc && call.Name != "(anonymous)" {
			name = writtenName(call.Name)
		}
	}
	return name, isMethodCall(proto.Code[:pc], int(inst>>18)&0xff)
}

// isMethodCall reports whether what was last put into a register is a method.
func isMethodCall(code []uint32, register int) bool {
	for i := len(code) - 1; i >= 0; i-- {
		if int(code[i]>>18)&0xff != register {
			continue
		}
		switch int(code[i] >> 26) {
		case lua.OP_EQ, lua.OP_LT, lua.OP_LE, lua.OP_JMP, lua.OP_TEST, lua.OP_SETTABLE, lua.OP_SETTABLEKS,
			lua.OP_SETLIST, lua.OP_NOP: // put nothing there
		case lua.OP_SELF:
			return true
		default:
			return false
		}
	}
	return false
}

// callSite is the instruction that called the running function; nil: none of Lua code. gopher-lua has this in fields
// that it doesn't export; only errors need it.
func callSite(L *lua.LState) (proto *lua.FunctionProto, pc int) {
	dbg, ok := L.GetStack(0)
	if !ok {
		return nil, 0
	}
	frame := reflect.ValueOf(dbg).Elem().FieldByName("frame")
	if frame.IsNil() {
		return nil, 0
	}
	parent := frame.Elem().FieldByName("Parent")
	if parent.IsNil() {
		return nil, 0
	}
	fn := (*lua.LFunction)(parent.Elem().FieldByName("Fn").UnsafePointer())
	pc = int(parent.Elem().FieldByName("Pc").Int()) - 1
	if fn == nil || fn.IsG || pc < 0 || pc >= len(fn.Proto.Code) {
		return nil, 0
	}
	return fn.Proto, pc
}

// checkNumber is argument n as a number; strings that are numbers are.
func checkNumber(L *lua.LState, n int) float64 {
	f, ok := number(L.Get(n))
	if !ok {
		typeError(L, n, "number")
	}
	return f
}

// checkInteger is argument n as a C integer of 64 bits.
func checkInteger(L *lua.LState, n int) int { return int(toInt64(checkNumber(L, n))) }

// checkInt is argument n as a C int: the low 32 bits.
func checkInt(L *lua.LState, n int) int { return int(int32(checkInteger(L, n))) }

// optInteger is checkInteger, or a default if there is no argument n or it is nil.
func optInteger(L *lua.LState, n, otherwise int) int {
	if L.Get(n) == lua.LNil {
		return otherwise
	}
	return checkInteger(L, n)
}

// optInt is checkInt, or a default if there is no argument n or it is nil.
func optInt(L *lua.LState, n, otherwise int) int {
	if L.Get(n) == lua.LNil {
		return otherwise
	}
	return checkInt(L, n)
}

// checkString is argument n as a string; numbers are.
func checkString(L *lua.LState, n int) string {
	s, ok := text(L.Get(n))
	if !ok {
		typeError(L, n, "string")
	}
	return s
}

// optString is checkString, or a default if there is no argument n or it is nil.
func optString(L *lua.LState, n int, otherwise string) string {
	if L.Get(n) == lua.LNil {
		return otherwise
	}
	return checkString(L, n)
}

// checkTable is argument n, a table, which must not be changed.
func checkTable(L *lua.LState, n int) *lua.LTable {
	t, ok := L.Get(n).(*lua.LTable)
	if !ok {
		typeError(L, n, "table")
	}
	return realTable(t)
}

// checkOwnTable is argument n, a table that may be changed.
func checkOwnTable(L *lua.LState, n int) *lua.LTable {
	t, ok := L.Get(n).(*lua.LTable)
	if !ok {
		typeError(L, n, "table")
	}
	checkWritable(L, t)
	return t
}

// checkFunction is argument n, a function.
func checkFunction(L *lua.LState, n int) *lua.LFunction {
	f, ok := L.Get(n).(*lua.LFunction)
	if !ok {
		typeError(L, n, "function")
	}
	return f
}

// checkAny is argument n, which must be there.
func checkAny(L *lua.LState, n int) lua.LValue {
	if n > L.GetTop() {
		argError(L, n, "value expected")
	}
	return L.Get(n)
}

// checkOption is the place of argument n, a string, among options.
func checkOption(L *lua.LState, n int, options []string) int {
	s := checkString(L, n)
	i := slices.Index(options, s)
	if i < 0 {
		argError(L, n, fmt.Sprintf("invalid option '%s'", cString(s)))
	}
	return i
}

// maxStack is how many values a function of Lua 5.1's C interface can have: LUAI_MAXCSTACK.
const maxStack = 8000

// checkStack raises an error if the running function can't have n more values.
func checkStack(L *lua.LState, n int, why string) {
	if n > maxStack || L.GetTop()+n > maxStack {
		raisef(L, "stack overflow (%s)", why)
	}
}

// toUint64 is what C on amd64 makes of a double as an unsigned integer of 64 bits.
func toUint64(f float64) uint64 {
	if f >= 1<<63 {
		return uint64(toInt64(f-1<<63)) ^ 1<<63
	}
	return uint64(toInt64(f))
}
