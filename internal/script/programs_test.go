package script

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// TestProgramsAgainstRedis compares random programs' replies, errors included, with redis-server's.
func TestProgramsAgainstRedis(t *testing.T) {
	redis := startOracle(t)
	host := endAfter(10_000)
	r := NewEngine(noRows, Limits{}).NewRunner(host)
	addresses := regexp.MustCompile("0x[0-9a-f]+")
	differs := func(p program) bool {
		host.ticked = 0
		got, want := eval(t, r, p.source(), testKeys, testArgs), redis.eval(p.source())
		// Where Lua's stack of C is too short ours may be long enough, or another one be full.
		got, want = addresses.ReplaceAllString(got, "0x"), addresses.ReplaceAllString(want, "0x")
		return got != want && !strings.Contains(want, "C stack overflow")
	}
	failures := 0
	for i := range *programs {
		p := newProgram(*flagFrom + uint64(i))
		if !differs(p) {
			continue
		}
		p = p.shrink(differs)
		t.Errorf("seed %d:\n%s\nredis: %q\nours:  %q", *flagFrom+uint64(i), p.source(), redis.eval(p.source()),
			eval(t, r, p.source(), testKeys, testArgs))
		if failures++; failures == 10 {
			t.Fatal("… and so on")
		}
	}
}

// TestProgramsFindAFault plants a fault, a length that is one too long, and sees random programs find it.
func TestProgramsFindAFault(t *testing.T) {
	good := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	bad := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	bad.helpers[hiddenLength] = bad.L.NewFunction(func(L *lua.LState) int {
		n := bad.length(L)
		L.Push(L.Get(-1).(lua.LNumber) + 1)
		return n
	})
	for i := range 500 {
		source := newProgram(uint64(i)).source()
		if eval(t, good, source, testKeys, testArgs) != eval(t, bad, source, testKeys, testArgs) {
			return
		}
	}
	t.Error("no program has found it")
}

// program is a list of statements and what is returned: the variables' values.
type program struct{ stmts []string }

// programVariables are the local variables of a program; all its statements may use them.
var programVariables = []string{"a", "b", "c", "d"}

func (p program) source() string {
	return "local a, b, c, d = 1, 'x', {1, 2, 3, k = 'v'}, nil\n" + strings.Join(p.stmts, "\n") +
		"\nlocal out = {}\nfor i, v in ipairs({tostring(a), tostring(b), type(c), type(d)}) do out[i] = v end\n" +
		"if type(a) == 'table' then out[1] = #a end if type(b) == 'table' then out[2] = #b end\n" +
		"for i = 1, 4 do out[i] = tostring(out[i]):gsub('0x%x+', 'address') end\n" +
		"out[5] = (type(d) == 'number' or type(d) == 'string') and d or 'none'\n" +
		"if type(c) == 'table' then for i = 1, 5 do local v = rawget(c, i) out[5 + i] = type(v) == 'table' and #v or " +
		"v == nil and 'nil' or type(v) == 'function' and 'f' or v end end\n" +
		"return out"
}

// shrink drops statements as long as the program goes on to differ.
func (p program) shrink(differs func(program) bool) program {
	for i := 0; i < len(p.stmts); {
		fewer := program{append(append([]string{}, p.stmts[:i]...), p.stmts[i+1:]...)}
		if differs(fewer) {
			p = fewer
		} else {
			i++
		}
	}
	return p
}

// generator makes random Lua.
type generator struct {
	rnd   *rand.Rand
	depth int
	loops int
}

func newProgram(seed uint64) (p program) {
	g := &generator{rnd: rand.New(rand.NewPCG(seed, 7))}
	for range 2 + g.rnd.IntN(7) {
		p.stmts = append(p.stmts, g.stmt())
	}
	return p
}

func (g *generator) pick(list ...string) string { return list[g.rnd.IntN(len(list))] }

func (g *generator) variable() string { return g.pick(programVariables...) }

// number is a number as Lua writes one.
func (g *generator) number() string {
	return g.pick("0", "1", "2", "3", "7", "10", "-1", "0.5", "1e15", "1e16", "123456789012", "0x10", "2^53", "1e300",
		"3.25", "100", "08", ".5", "5.", "1e-7", "(0/0)", "(1/0)", "1/3")
}

func (g *generator) text() string {
	return g.pick(`""`, `"x"`, `"abc"`, `"10"`, `"0x1f"`, `" 7 "`, `"1e3"`, `"010"`, `"nan"`, `"inf"`, `"a b c"`,
		`"%d"`, `"hello world"`, `[[long]]`, `'\65\0z'`, `"5x"`, `"-3"`)
}

// expr is an expression.
func (g *generator) expr() string {
	if g.depth++; g.depth > 4 {
		g.depth--
		return g.pick(g.number(), g.text(), g.variable(), g.variable(), "nil", "true", "false")
	}
	defer func() { g.depth-- }()
	switch g.rnd.IntN(22) {
	case 0, 1:
		return g.number()
	case 2:
		return g.text()
	case 3, 4, 5:
		return g.variable()
	case 6, 7:
		return "(" + g.operands(" + ", " - ", " * ", " / ", " % ", " ^ ") + ")"
	case 8, 9:
		return "(" + g.expr() + " .. " + g.expr() + g.pick("", " .. "+g.expr()) + ")"
	case 10:
		return "(" + g.operands(" == ", " ~= ", " < ", " > ", " <= ", " >= ") + ")"
	case 11, 12:
		return "(" + g.expr() + g.pick(" and ", " or ") + g.expr() + ")"
	case 13:
		return g.pick("not ", "- ", "#") + g.expr()
	case 14:
		return g.table()
	case 15:
		return g.variable() + g.pick("[1]", "[2]", ".k", ".x", "["+g.expr()+"]", ".k.k")
	case 16, 17:
		return g.builtin()
	case 18:
		return "(function(" + g.pick("", "p", "p, q", "...") + ") " + g.pick("", g.stmt()+" ") + "return " +
			g.pick("p", "a", "1, 2", "c", g.expr()) + " end)(" + g.pick("", g.expr(), g.expr()+", "+g.expr()) + ")"
	case 19:
		return "(select('#', pcall(function() return " + g.expr() + " end)))"
	case 20:
		return "select(2, pcall(function() " + g.stmt() + " return " + g.expr() + " end))"
	}
	return g.pick("KEYS[1]", "ARGV[2]", "#KEYS", "KEYS[3]", "nosuch", "redis.status_reply('s').ok",
		"a.x.y", "b:nosuch()")
}

// operands are two operands and an operator between them. Behind a variable there is no function that might change it.
func (g *generator) operands(operators ...string) string {
	left := g.expr()
	if len(left) == 1 {
		return left + g.pick(operators...) + g.pick(g.number(), g.text(), g.variable())
	}
	return left + g.pick(operators...) + g.expr()
}

func (g *generator) table() string {
	var fields []string
	for range g.rnd.IntN(4) {
		fields = append(fields, g.pick("", "k = ", "x = ", "["+g.pick("1", "2", "'k'", "3")+"] = ")+g.expr())
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// builtin is a call of a function whose result doesn't depend on the order of keys.
func (g *generator) builtin() string {
	switch e := g.expr(); g.rnd.IntN(14) {
	case 0:
		return "tostring(" + g.pick(g.number(), g.text(), "nil", "a == b") + ")"
	case 1:
		return "tonumber(" + e + g.pick("", ", 16", ", 2") + ")"
	case 2:
		return "type(" + e + ")"
	case 3:
		return "math." + g.pick("floor", "ceil", "abs", "sqrt") + "(" + e + ")"
	case 4:
		return "math." + g.pick("max", "min", "fmod") + "(" + e + ", " + g.expr() + ")"
	case 5:
		return "string." + g.pick("len", "upper", "reverse", "byte") + "(" + e + ")"
	case 6:
		return "string.rep(" + e + ", " + g.pick("0", "1", "3", "-1") + ")"
	case 7:
		return "string.sub(" + e + ", " + g.number() + g.pick("", ", 2", ", -1") + ")"
	case 8:
		return "(" + g.text() + "):" + g.pick("upper()", "len()", "rep(2)", "find('a')",
			"gsub('%w', '<%0>')", "byte(1, -1)")
	case 9:
		return "select(" + g.pick("'#'", "1", "2", "-1") + ", " + e + ", " + g.expr() + ")"
	case 10:
		return "rawequal(" + e + ", " + g.variable() + ")"
	case 11:
		return "unpack({" + e + ", " + g.expr() + "})"
	case 12:
		return "string.format('" + g.pick("%s", "%d", "%5.1f", "%g", "%q", "%x") + "', " + e + ")"
	}
	return "table.concat({" + g.number() + ", " + g.text() + "}, " + g.pick("','", "''", g.expr()) + ")"
}

// thrown is an error's value: no table without err, which makes redis-server crash if nothing catches it.
func (g *generator) thrown() string {
	return g.pick(g.number(), g.text(), "{err = 'ERR x'}", "tostring("+g.expr()+")", "nil", "true")
}

// target is what can be assigned to.
func (g *generator) target() string {
	return g.pick(g.variable(), g.variable(), "c[1]", "c.k", "c["+g.pick("1", "2", "#c + 1", "'z'", "4")+"]")
}

func (g *generator) block() string {
	var list []string
	for range 1 + g.rnd.IntN(2) {
		list = append(list, g.stmt())
	}
	return strings.Join(list, " ")
}

// stmt is a statement that ends.
func (g *generator) stmt() string {
	if g.depth++; g.depth > 4 {
		g.depth--
		return g.target() + " = " + g.pick(g.number(), g.text(), g.variable())
	}
	defer func() { g.depth-- }()
	switch g.rnd.IntN(16) {
	case 0, 1, 2:
		return g.target() + " = " + g.expr()
	case 3:
		return g.target() + ", " + g.target() + " = " + g.expr() + ", " + g.expr()
	case 4:
		return "local " + g.variable() + g.pick("", " = "+g.expr())
	case 5:
		return "if " + g.expr() + " then " + g.block() + g.pick("", " else "+g.block()) + " end"
	case 6:
		return "for i = " + g.pick("1", "3", "'2'", "0.5", "d", "b") + ", " + g.pick("3", "1", "0", "'3'", "c") +
			g.pick("", ", -1", ", 2") + " do " +
			g.block() + g.pick("", " if a == i then break end") + " end"
	case 7:
		return "for i, v in ipairs(" + g.pick("{unpack(c)}", "{1, nil, 3}", "KEYS", "{"+g.expr()+"}") + ") do " +
			g.block() + " d = v end"
	case 8:
		g.loops++
		n := fmt.Sprint("n", g.loops)
		return "do local " + n + " = 0 while " + n + " < 3 and " + g.expr() + " do " + n + " = " + n + " + 1 " +
			g.block() +
			" end end"
	case 9:
		g.loops++
		n := fmt.Sprint("n", g.loops)
		return "do local " + n + " = 0 repeat local e = " + g.expr() + " " + n + " = " + n + " + 1 " +
			g.block() + " until " +
			n + " > 2 or e end"
	case 10:
		return "do local function f(p) " + g.pick("", "if p == 0 then return a end ") + g.block() + " return " +
			g.expr() +
			" end " + g.target() + " = f(" + g.expr() + ") end"
	case 11:
		v := g.variable()
		return "do local function f() " + v + " = " + g.expr() + " return " + v + " end pcall(f) " + g.target() +
			" = f() pcall(error) " + v + " = " + g.expr() + " f() end"
	case 12:
		return "pcall(function() " + g.block() + g.pick("", " error("+g.thrown()+")") + " end)"
	case 13:
		return g.pick("d = {pcall(function() "+g.block()+" end)} d = d[2]", "table.insert(c, "+g.expr()+")",
			"d = table.remove(c)", "error("+g.thrown()+g.pick("", ", 0", ", 2")+")")
	case 14:
		return "do local co = coroutine.wrap(function(p) " + g.block() + " local q = coroutine.yield(" +
			g.expr() + ") " +
			g.block() + " return q end) a = co(" + g.expr() + ") b = co(" + g.expr() + ") end"
	}
	return "c = setmetatable(" + g.table() + ", {__" + g.pick("index", "add", "concat", "eq", "lt",
		"le", "unm", "call", "len",
		"newindex", "tostring") + " = function(x, y) return " + g.expr() + " end})"
}
