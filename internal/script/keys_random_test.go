package script

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"fulmen/shard/command"
)

// scriptMaker writes random scripts that treat KEYS, redis and its functions in ways that are hard to follow.
type scriptMaker struct {
	r     *rand.Rand
	depth int
	left  int // statements
	odd   int // of a hundred expressions, those that needn't be elements of KEYS
}

func (m *scriptMaker) pick(all ...string) string { return all[m.r.IntN(len(all))] }

func (m *scriptMaker) variable() string {
	if m.r.IntN(100) < m.odd {
		return m.pick("KEYS", "redis", "unpack", "ipairs", "arg", "self", "d", "e", "d", "e", "arg", "self")
	}
	return m.pick("a", "b", "c")
}

// key writes an expression that is an element of KEYS more often than not.
func (m *scriptMaker) key() string {
	if m.depth > 5 {
		return "KEYS[1]"
	}
	m.depth++
	defer func() { m.depth-- }()
	if m.r.IntN(100) < m.odd {
		return m.expression()
	}
	switch m.r.IntN(10) {
	case 0:
		return "(" + m.key() + m.pick(" or ", " and ") + m.key() + ")"
	case 1:
		return m.pick("unpack(KEYS)", "unpack(KEYS, 2)", "(unpack(KEYS))")
	case 2, 3, 4:
		return m.pick("KEYS[1]", "KEYS[2]", "KEYS[3]", "KEYS[i]")
	}
	return m.variable()
}

func (m *scriptMaker) expression() string {
	if m.depth > 5 {
		return m.pick("1", "'x'", "nil", "ARGV[1]")
	}
	m.depth++
	defer func() { m.depth-- }()
	switch m.r.IntN(18) {
	case 0:
		return m.pick("KEYS", "redis", "redis.call", "redis.pcall", "unpack", "ipairs(KEYS)", "pairs(KEYS)",
			"_G", "...")
	case 1:
		return m.variable() + "[" + m.pick("1", "2", "#KEYS", "ARGV[1]") + "]"
	case 2:
		return "{" + m.key() + ", " + m.expression() + "}"
	case 3, 4:
		return m.function()
	case 5, 6:
		return m.variable() + "(" + m.key() + ", " + m.key() + ")"
	case 7:
		return m.command()
	case 8:
		return "(" + m.expression() + m.pick(" or ", " and ", " == ") + m.expression() + ")"
	case 9:
		return m.variable() + "." + m.pick("call", "x", "pcall")
	case 10:
		return "pcall(" + m.expression() + ", " + m.key() + ")"
	case 11:
		return "#" + m.key()
	}
	return m.pick("1", "'x'", "'y'", "'get'", "nil", "ARGV[1]", "tostring(ARGV[2])", "unpack(ARGV)")
}

func (m *scriptMaker) function() string {
	return "function(" + m.pick("", "a", "b, a", "c, ...", "...") + ") " + m.block() +
		m.pick("", "", " return "+m.key()) + " end"
}

func (m *scriptMaker) command() string {
	call := m.pick("redis.call", "redis.call", "redis.pcall", "d")
	if m.r.IntN(300) < m.odd {
		return fmt.Sprintf("%s(%s, %s)", m.variable(), m.expression(), m.key())
	}
	form := m.pick("('get', $)", "('set', $, $)", "('del', $, $, $)", "('mset', $, 1, $)",
		"('zunionstore', $, 1, $, $)",
		"('lmpop', #KEYS, $, $, 'left')",
		"('sort', $, 'store', $)", "('hset', $, unpack(ARGV))", "('ping')")
	for strings.Contains(form, "$") {
		form = strings.Replace(form, "$", m.key(), 1)
	}
	return call + form
}

func (m *scriptMaker) statement() string {
	switch m.r.IntN(19) {
	case 0, 1:
		return "local " + m.variable() + " = " + m.key()
	case 2:
		return "local " + m.variable() + ", " + m.variable() + " = " + m.key() + ", " + m.key()
	case 3:
		return m.variable() + " = " + m.key()
	case 4:
		return m.variable() + ", " + m.variable() + " = " + m.key()
	case 5:
		return "local t = " + m.pick("{}", m.key()) + "; t[1] = " + m.key()
	case 6:
		return "for " + m.pick("_, a", "a", "b, c") + " in " + m.pick("ipairs(KEYS)", "pairs(KEYS)", "ipairs({'x'})",
			"ipairs("+m.variable()+")", m.key()) + " do " + m.block() + " end"
	case 7:
		return "for " + m.pick("i", "j", "a") + " = 1, #KEYS do " + m.block() + " end"
	case 8, 9:
		return "local function " + m.pick("e", "e", "a") + "(" + m.pick("a", "b, a", "a, ...") + ") " +
			m.block() + " end"
	case 10:
		return "e = " + m.function()
	case 11:
		return "if " + m.key() + " then " + m.block() + " else " + m.block() + " end"
	case 12:
		return "local n = 0; repeat n = n + 1; " + m.block() + " until n > 1 or " + m.key()
	case 13:
		return "local t = {}; function t:m(a) " + m.block() + " end; t:m(" + m.key() + ")"
	case 14, 15:
		return m.pick("e(", "e(", "pcall(e, ", "string.gsub('x', '.', e, ") + m.key() + ", " + m.key() + ")"
	}
	return m.command()
}

func (m *scriptMaker) block() string {
	var b strings.Builder
	for n := 1 + m.r.IntN(3); n > 0 && m.left > 0; n-- {
		m.left--
		b.WriteString(m.pick("", "", "do local a = KEYS[1] end; "))
		b.WriteString(m.statement())
		b.WriteString("; ")
	}
	return b.String()
}

// toucher runs scripts and notes what their commands touch.
type toucher struct {
	row  func(args [][]byte) *command.Row
	keys [][]byte
	// outside is the last key that a script has touched though it isn't an element of KEYS, or "all shards".
	outside string
}

// run runs a script on a state of its own; ends: without an error.
func (h *toucher) run(e *Engine, s *Script) (ends bool) {
	h.outside = ""
	r := e.NewRunner(endAfter(20))
	h.forgive(r)
	_, err := r.Run(nil, 2, s, h.keys, byteSlices([]string{"x", "get"}))
	return err == nil
}

// command is redis.call and redis.pcall.
func (h *toucher) command(L *lua.LState) int {
	var args [][]byte
	for i := 1; i <= L.GetTop(); i++ {
		s, ok := text(L.Get(i))
		if !ok { // an error, and nothing is touched
			return 0
		}
		args = append(args, []byte(s))
	}
	if len(args) == 0 {
		return 0
	}
	found := h.row(args)
	if found == nil || !found.ArityOK(len(args)) {
		return 0
	}
	if found.RouteFor(args) != command.RouteKeys {
		h.outside = "all shards"
	}
	for _, i := range found.KeyIndexes(nil, args) {
		if !slices.ContainsFunc(h.keys, func(key []byte) bool { return bytes.Equal(key, args[i]) }) {
			h.outside = string(args[i])
		}
	}
	L.Push(lua.LString("v"))
	return 1
}

// forgive makes what would be an error of a wrong type, a wrong command or a missing variable do nothing, so that
// scripts get farther.
func (h *toucher) forgive(r *Runner) {
	redis := realTable(r.globals.RawGetString("redis").(*lua.LTable))
	redis.RawSetString("call", r.L.NewFunction(h.command))
	redis.RawSetString("pcall", r.L.NewFunction(h.command))
	r.globals.Metatable = lua.LNil
	r.helpers[hiddenLength] = r.L.NewFunction(func(L *lua.LState) int {
		if _, ok := L.Get(1).(*lua.LTable); ok {
			return r.length(L)
		}
		L.Push(lua.LNumber(0))
		return 1
	})
	nothing := r.L.NewFunction(func(*lua.LState) int { return 0 })
	meta := r.L.NewTable()
	for _, event := range []string{"__index", "__newindex", "__call"} {
		meta.RawSetString(event, nothing)
	}
	for _, v := range []lua.LValue{lua.LNil, lua.LTrue, lua.LNumber(0), lua.LString(""), nothing} {
		r.L.SetMetatable(v, meta)
	}
}

// A script whose keys are taken for declared touches none but those, whatever it does.
func TestDeclaredKeysRandom(t *testing.T) {
	const scripts = 6_000
	h := &toucher{row: keyRows(), keys: byteSlices([]string{"k1", "k2", "k3"})}
	e := NewEngine(h.row, Limits{})
	parsed, ended, declared, calling, beyond := 0, 0, 0, 0, 0
	for seed := range uint64(scripts) {
		m := &scriptMaker{r: rand.New(rand.NewPCG(seed, 9)), left: 10, odd: int(seed % 16)}
		source := "local a, b, c, d, e, i = KEYS[1], nil, KEYS[2], redis.call, nil, 1; " +
			m.block() + m.block() + m.command()
		s, err := e.Compile([]byte(source))
		if err != nil {
			continue // an ellipsis outside of a function that has one, or so
		}
		parsed++
		if h.run(e, s) {
			ended++
		}
		if s.DeclaredKeys {
			declared++
		}
		if h.outside != "" {
			beyond++
		}
		if strings.Contains(source, "call") && s.DeclaredKeys {
			calling++
		}
		if s.DeclaredKeys && h.outside != "" {
			t.Fatalf("seed %d: keys are taken for declared, but %q is touched by\n%s", seed, h.outside, source)
		}
	}
	t.Logf("%d parsed, %d ended, %d declared, %d of them call, %d touch others",
		parsed, ended, declared, calling, beyond)
	if calling < scripts/30 || beyond < scripts/30 {
		t.Errorf("too few scripts of one kind: %d declared ones that call, %d that touch other keys", calling, beyond)
	}
}
