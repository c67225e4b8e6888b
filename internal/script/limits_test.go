package script

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// endAfter makes a host whose Tick fails at the n-th time.
func endAfter(n int) *fakeHost {
	h := newFakeHost()
	h.tick = func() error {
		if h.ticked >= n {
			return errors.New("ERR Script killed by user with SCRIPT KILL...")
		}
		return nil
	}
	return h
}

// TestKilledScriptsEnd runs scripts that never end by themselves and catch whatever they can.
func TestKilledScriptsEnd(t *testing.T) {
	for _, source := range []string{
		"while true do end",
		"while true do pcall(function() while true do end end) end",
		"while true do xpcall(function() while true do end end, function() while true do end end) end",
		"local function f() while true do pcall(f) end end f()",
		"while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
		"while true do pcall(coroutine.wrap(function() while true do end end)) end",
		"local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
		"for i = 1, 0, 0 do end for i = 1, 1/0 do pcall(error) end",
		"repeat local x = function() return x end until false",
		"local function f() return f() end f()",
		"while true do pcall(string.rep, 'x', 1000000) end",
		"while true do pcall(string.find, ('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30) .. 'b') end",
		"while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
		"while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end",
		"while true do pcall(setmetatable({}, {__call = function() while true do end end})) end",
		"while true do pcall(loadstring, ('x = 1 '):rep(1000)) end",
		"while true do pcall(load, function() while true do end end) end",
		"while true do redis.pcall('GET', 'x') end",
		"local t = {} t[1] = t t[2] = t return t",
	} {
		host := endAfter(20)
		r := NewEngine(noRows, Limits{}).NewRunner(host)
		got := eval(t, r, source, nil, nil)
		if !strings.HasPrefix(got, "-ERR Script killed by user with SCRIPT KILL...") {
			t.Errorf("%s: %.200q", source, got)
		}
		host.tick = nil
		if got := eval(t, r, "return {1, pcall(error, 'x')}", nil, nil); got != "*3\r\n:1\r\n$-1\r\n$1\r\nx\r\n" {
			t.Errorf("after %s: %q", source, got)
		}
	}
}

// TestMemoryIsBounded runs scripts that take as much memory as they get.
func TestMemoryIsBounded(t *testing.T) {
	const limit, step = 16 << 20, 200 << 20 // what some instructions may add before it is seen
	for _, source := range []string{
		"local t = {} for i = 1, 1e9 do t[i] = i end",
		"local t = {} for i = 1, 1e9 do t[i] = {} end",
		"local t = {} for i = 1, 1e9 do t['x' .. i] = i end",
		"local t = {} for i = 1, 1e9 do t[i * 1000] = i end",
		"local t = {} while true do t = {t} end",
		"local s = 'x' while true do s = s .. s end",
		"local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(100000) .. i end",
		"local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
		"local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
		"local t = {} for i = 1, 1e9 do t[i] = {} t[i][200000] = 1 end",
		"local t = {} while true do pcall(function() while true do t[#t+1] = {} end end) end",
		"local t = {} while true do t[#t+1] = loadstring('return 1') end",
		"local s = ('x'):rep(1000000) return table.concat({s, s, s}, ('y'):rep(40000000))",
		"return ('x'):rep(1e9)",
		"return string.format('%999999999d', 1)",
		"return ('x'):rep(1000000):gsub('x', ('y'):rep(1000000))",
		"return {unpack({}, 1, 1e9)}",
		"return select('#', unpack({}, 1, 1e7))",
		"return select('#', unpack({}, -2^31, 2^31 - 1))",
		"local t = {} for i = 1, 100 do t[i] = ('x'):rep(1000000) end return t",
	} {
		r := NewEngine(noRows, Limits{HeapBytes: limit, StringBytes: limit}).NewRunner(newFakeHost())
		h := &r.hook
		from, _ := h.heapBytes()
		got := eval(t, r, source, nil, nil)
		if !strings.HasPrefix(got, "-ERR") {
			t.Errorf("%s: %.100q", source, got)
		}
		if now, _ := h.heapBytes(); now-from > limit+step {
			t.Errorf("%s: took %d MiB", source, (now-from)>>20)
		}
		if got := eval(t, r, "return 1", nil, nil); got != ":1\r\n" {
			t.Errorf("after %s: %q", source, got)
		}
	}
}

// TestBigStringsAreSeen makes strings of 2 or 4 MB in all ways, after a while in which little has happened: what is in
// use is looked at for each.
func TestBigStringsAreSeen(t *testing.T) {
	const begin = `local s = ('x'):rep(4e6)
		redis.call('SET', 'big', s)
		for i = 1, 1e5 do end
		redis.log(redis.LOG_WARNING, 'from here on')
		for i = 1, 30 do local big = `
	for _, e := range []string{
		`s .. i`, `s .. s .. i`, `setmetatable({}, {__concat = function(_, i) return s .. i end}) .. i`,
		`table.concat({s, i})`, `string.format('%s%d', s, i)`, `s:gsub('y', '')`, `s:gsub('^x', 'y')`,
		`s:sub(1, 1.9e6)`, `s:upper()`, `s:reverse()`, `s:rep(1)`, `cmsgpack.pack(s)`,
		`cmsgpack.unpack_limit('\219\0\29\0\0' .. s, 1)`, `struct.pack('s', s)`, `struct.unpack('c1900000', s)`,
		`cjson.encode(s)`, `redis.call('GET', 'big')`, `redis.pcall('GET', 'big')`,
	} {
		host := newFakeHost()
		looks := 0
		host.tick = func() error {
			looks += len(host.lines)
			return nil
		}
		got := eval(t, NewEngine(noRows, Limits{}).NewRunner(host), begin+e+" end return 'ok'", nil, nil)
		if got != "$2\r\nok\r\n" || looks < 30 {
			t.Errorf("%s: %.100q, %d looks at 30 big strings", e, got, looks)
		}
	}
}

// TestMemoryIsBoundedRunAfterRun runs a script again and again that takes as much as it gets, on several states:
// what one run has left is not taken for others', by which the next one could have more.
func TestMemoryIsBoundedRunAfterRun(t *testing.T) {
	const limit, step = 16 << 20, 48 << 20
	e := NewEngine(noRows, Limits{HeapBytes: limit})
	states := []*Runner{e.NewRunner(newFakeHost()), e.NewRunner(newFakeHost())}
	runtime.GC()
	from, _ := states[0].hook.heapBytes()
	for i := range 20 {
		r := states[i%2]
		got := eval(t, r, "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000000) .. i end return #t", nil, nil)
		if !strings.HasPrefix(got, "-ERR not enough memory") {
			t.Fatalf("run %d: %.100q", i, got)
		}
		if more := r.hook.lastBytes - from; more > limit+step {
			t.Fatalf("run %d had %d MiB", i, more>>20)
		}
	}
}

// TestStepsAreBounded runs scripts one step of which would take much more than a run may: it ends before it takes that.
func TestStepsAreBounded(t *testing.T) {
	const limit, most = 16 << 20, 256 << 20
	for _, source := range []string{
		"local s = ('x'):rep(16000000) return " + strings.Repeat("s .. ", 49) + "s",
		"local s, t = ('x'):rep(1000000), {} for i = 1, 1000 do t[i] = s end return redis.call('get', unpack(t))",
	} {
		r := NewEngine(noRows, Limits{HeapBytes: limit, StringBytes: limit}).NewRunner(newFakeHost())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := eval(t, r, source, nil, nil)
		runtime.ReadMemStats(&after)
		if !strings.Contains(got, "not enough memory") {
			t.Errorf("%s: %.100q", source, got)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s: took %d MiB", source, took>>20)
		}
		if n := cap(r.argBytes) + cap(r.joined); n > 2*keptBytes {
			t.Errorf("%s: %d bytes are kept", source, n)
		}
	}
}

// TestStatesKeepNoMissingFields runs scripts each of which names another field that a library hasn't.
func TestStatesKeepNoMissingFields(t *testing.T) {
	r := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	for i := range 100 {
		if got := eval(t, r, fmt.Sprintf("return type(string.x%d)", i), nil, nil); got != "$3\r\nnil\r\n" {
			t.Fatalf("%q", got)
		}
	}
	if n := len(r.helpers); n != 1 {
		t.Errorf("%d fields are kept", n)
	}
}

// TestDeepNestingIsBounded compiles and runs what would need a deep stack.
func TestDeepNestingIsBounded(t *testing.T) {
	r := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	for _, source := range []string{
		"return " + strings.Repeat("(", 100_000),
		"return " + strings.Repeat("{", 100_000),
		"return " + strings.Repeat("not ", 100_000) + "1",
		"return " + strings.Repeat("-", 1) + strings.Repeat(" -", 100_000) + "1",
		"return " + strings.Repeat("1+", 500_000) + "1",
		"return " + strings.Repeat("a and ", 500_000) + "1",
		"return a" + strings.Repeat(".a", 500_000),
		"return a" + strings.Repeat("()", 500_000),
		"return " + strings.Repeat("'a'..", 500_000) + "'a'",
		strings.Repeat("if x then ", 100_000), strings.Repeat("do ", 100_000),
		strings.Repeat("function f() ", 100_000),
		"if x then" + strings.Repeat(" elseif x then", 100_000) + " end",
		"local t = {} " + strings.Repeat("t[1] = [==[x", 100_000), "return {" + distinct(100_000) + "}",
		"return {" + strings.Repeat("1,", 100_000) + "}",
		"local function f() return 1 + f() end f()",
		"local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x",
		"local t = {} setmetatable(t, t) t.__index = t return t.x",
		"local t = setmetatable({}, {__concat = function(a, b) return a .. b end}) return t .. t",
		"local t = setmetatable({}, {__add = function(a, b) return a + b end}) return t + t",
		"local t = setmetatable({}, {__eq = function(a, b) return a == b end}) " +
			"return t == setmetatable({}, getmetatable(t))",
		"local t = setmetatable({}, {__lt = function(a, b) return a < b end}) return t < t",
		"local t = setmetatable({}, {__call = function(t) return 1 + t() end}) return t()",
		"local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) return tostring(t)",
		"local function f(s) return s:gsub('.', f) end return f('x')",
		"local function f() table.sort({1, 2, 3}, f) end f()",
		"local function f() return coroutine.wrap(f)() end return f()",
		"local t = {} for i = 1, 1e5 do t = {t} end return cjson.encode(t)",
		"local t = {} for i = 1, 1e5 do t = {t} end return cmsgpack.pack(t)",
		"return cjson.decode(('['):rep(1e5))",
	} {
		if got := eval(t, r, source, nil, nil); !strings.HasPrefix(got, "-ERR") && len(got) > 1000 {
			t.Errorf("%.60s…: %.200q", source, got)
		}
	}
	if got := eval(t, r, "return 1", nil, nil); got != ":1\r\n" {
		t.Errorf("afterwards: %q", got)
	}
}

// distinct lists n different numbers.
func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()
}

// TestScriptsLeaveNothing runs scripts that try to leave something for others, and looks for it.
func TestScriptsLeaveNothing(t *testing.T) {
	r := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	const look = `local found = {}
		local seen = {}
		local function walk(t, path)
			if seen[t] then return end
			seen[t] = true
			for k, v in pairs(t) do
				if type(k) ~= 'string' then found[#found + 1] = path .. tostring(k) end
				if type(v) == 'table' then walk(v, path .. tostring(k) .. '.') end
				found[#found + 1] = path .. tostring(k) .. type(v)
			end
			local mt = getmetatable(t)
			if type(mt) == 'table' then walk(mt, path .. 'mt.') end
		end
		walk(_G, '') walk(getmetatable(''), 'string.')
		table.sort(found)
		found[#found + 1] = tostring(math.random()) .. tostring(#KEYS) .. tostring(KEYS.x) .. tostring(ARGV.x)
		found[#found + 1] = tostring(rawget(_G, 'x')) .. tostring(('x').x) .. cjson.encode({[100] = 1 / 3})
		return table.concat(found, ' ')`
	before := eval(t, r, look, testKeys, testArgs)
	for i, source := range []string{
		"KEYS.x = 1 ARGV.x = 1 KEYS[1] = 2 setmetatable(KEYS, {}) return KEYS.x", "_G.x = 1", "x = 1",
		"rawset(_G, 'x', 1)", "string.x = 1", "rawset(string, 'x', 1)", "table.insert(string, 1)", "string[1] = 1",
		"getmetatable('').x = 1", "getmetatable('').__index = nil", "getmetatable(_G).__index = nil",
		"rawset(getmetatable(''), 'x', 1)", "rawset(getmetatable(_G), 'x', 1)",
		"setmetatable(_G, nil)", "setmetatable(string, {__index = {x = 1}})",
		"setmetatable(getmetatable(''), {__index = {x = 1}})", "string.rep = nil", "redis.call = print",
		"for k in pairs(string) do string[k] = nil end", "for k in next, _G do _G[k] = nil end",
		"table.foreach(_G, function(k) _G[k] = 1 end)", "table.remove(_G)", "table.sort(_G)", "table.setn(_G, 1)",
		"math.randomseed(7) math.random()", "cjson.encode_number_precision(3)", "cjson.encode_sparse_array(true)",
		"setmetatable({}, getmetatable('')).x = 1", "local t = setmetatable({}, getmetatable(_G)) t.x = 1",
		"getmetatable(setmetatable({}, getmetatable(''))).x = 1",
		"local mt = getmetatable(_G) mt.__newindex = function() end",
		"co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co)",
		"error({err = 'x', y = KEYS})", "return setmetatable({}, {__index = string})",
		"loadstring('x = 1')()", "loadstring('KEYS.x = 1')()",
		"local f = string.gsub f('x', 'x', function() KEYS.x = 1 end)",
	} {
		for range 2 {
			eval(t, r, "pcall(function() "+source+" end)", testKeys, testArgs)
			eval(t, r, source, testKeys, testArgs)
		}
		if after := eval(t, r, look, testKeys, testArgs); after != before {
			t.Fatalf("%d %s left something:\n%s\n%s", i, source, before, after)
		}
	}
}

// TestPositionsAreLines looks at the lines that errors tell.
func TestPositionsAreLines(t *testing.T) {
	r := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	for line := 1; line < 400; line += 37 {
		source := strings.Repeat("local x\n", line-1) + "error('here')"
		if line > 190 {
			source = strings.Repeat("do end\n", line-1) + "error('here')"
		}
		want := fmt.Sprintf("-ERR user_script:%d: here script: ", line)
		if got := eval(t, r, source, nil, nil); !strings.HasPrefix(got, want) || !strings.HasSuffix(got,
			fmt.Sprintf(", on @user_script:%d.\r\n", line)) {
			t.Errorf("line %d: %q", line, got)
		}
	}
}
