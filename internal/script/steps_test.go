package script

import (
	"fmt"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// numbered makes a list of n items that differ by a number: "x0,x1,x2".
func numbered(n int, format string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(all, ",")
}

// inFunctions puts statements into n functions, one in the other, each with variables of its own.
func inFunctions(n, variables int, stmts string) string {
	begin := "local " + numbered(variables, "l%d") + " local function f() "
	return strings.Repeat(begin, n) + stmts + strings.Repeat(" end", n)
}

// TestCompilingIsBounded compiles scripts that are short for the time that the compiler would take.
func TestCompilingIsBounded(t *testing.T) {
	constants := "local t = {} local v = t t = {" + numbered(8000, "a%d=t") + "} "
	captures := "do local " + numbered(59, "x%d") + strings.Repeat(" local function f()", 90) + " " +
		numbered(59, "x%d") + " = 1" + strings.Repeat(" end", 90) + " end "
	for name, source := range map[string]string{
		"constants":        constants + strings.Repeat("t.a7999 = t ", 9000),
		"step of a loop":   constants + strings.Repeat("for i = #t, #t do end ", 9000),
		"shared variables": constants + "v = t local function f() v = t end " + strings.Repeat("v = v ", 5000),
		"methods":          constants + strings.Repeat("t:b() ", 9000),
		"0/0":              "local x " + strings.Repeat("x = 0/0 ", 8200),
		"infinity":         "local x " + strings.Repeat("x = 1e999*0 ", 8200),
		"sums":             "return {" + numbered(8200, "%d+.5") + "}",
		"powers":           "return {" + numbered(8200, "%d^2+1-1") + "}",
		"negative numbers": "return {" + numbered(8200, "-%d") + "}",
		"keys of elements": "return {" + strings.Repeat("t,", 50) + "k = 1, " + strings.Repeat("t,", 8200) + "}",
		"globals":          inFunctions(90, 190, strings.Repeat("x = x ", 2000)),
		"variables":        "local x " + inFunctions(90, 190, strings.Repeat("x = x ", 2000)),
		"helpers":          inFunctions(90, 190, strings.Repeat("for i = #'', #'' do end ", 2000)),
		"names":            "local x " + strings.Repeat("x = x ", 530_000),
		"functions":        "return {" + strings.Repeat("function() end,", 8_200) + "}",
		"upvalues":         strings.Repeat(captures, 70),
		"sums of sums":     "local x " + strings.Repeat("x = x"+strings.Repeat("+x", 999)+" ", 140),
	} {
		_, err := NewEngine(noRows, Limits{}).Compile([]byte(source))
		if err == nil || !strings.HasSuffix(err.Error(), tooComplex) &&
			!strings.HasSuffix(err.Error(), "constant table overflow") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLongScriptsCompile compiles scripts that are longer than most, within the bounds.
func TestLongScriptsCompile(t *testing.T) {
	for _, source := range []string{
		"return {" + numbered(8000, "%d") + "}",
		"return {" + numbered(2000, "{id = %d, name = 'x', size = -1, rate = 1/3}") + "}",
		strings.Repeat("local function f(a, b) local c = a + b * 2 return c .. '' end ", 100) + strings.Repeat(
			"do local function f(a, b) local c = a % b return redis.call('set', KEYS[1], c) end f() end ", 3000),
		strings.Repeat("if ARGV[1] == 'x' then redis.call('set', KEYS[1], ARGV[2]) end ", 20_000),
	} {
		s, err := NewEngine(keyRows(), Limits{}).Compile([]byte(source))
		if err != nil || !s.DeclaredKeys {
			t.Errorf("%.60s…: %v", source, err)
		}
	}
}

// TestConstantsAreCounted compares the constants of random programs' byte code with those that were counted before.
func TestConstantsAreCounted(t *testing.T) {
	constants := 0
	for seed := range uint64(3000) {
		source := newProgram(seed).source()
		if seed == 0 {
			source = "local a, b = 1, 0/0 b = function() a = -a end for i = a, 2 do a = {1, (i + 2^3 - 1) * 2} end " +
				"a:m() x.y = z return {" + strings.Repeat("1,", 50) + "k = 'v', 'w', 'u', f()}, g(" +
				strings.Repeat("1,", 150) + "9)"
		}
		tree, err := parseChunk(source, "chunk")
		if err != nil {
			continue
		}
		proto, err := newRewriter(tree, loaded, [2]bool{}).compile("chunk")
		if err != nil {
			continue
		}
		constants += len(proto.Constants)
		if v := uncounted(proto, tree.main); v != nil {
			t.Errorf("seed %d: %v isn't counted of\n%s", seed, v, source)
		}
	}
	if constants < 10_000 {
		t.Errorf("%d constants", constants)
	}
}

// uncounted returns a constant of a function that was not counted; nil: all were.
func uncounted(proto *lua.FunctionProto, fn *functionState) lua.LValue {
	for _, v := range proto.Constants {
		if nan := v != v; !nan && !fn.constants[v] {
			return v
		}
	}
	if len(proto.Constants) > len(fn.constants) || len(proto.Constants) > fn.uses {
		return lua.LString("one of 0/0")
	}
	return nil
}
