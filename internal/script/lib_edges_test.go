package script

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/redistest"
)

// depthOf is how deep what a string begins can be nested for cmsgpack.
const edgesPrelude = `
local depthOf = function(s)
	local low, up = 1, 10000
	while low < up do
		local mid = math.floor((low + up + 1) / 2)
		if pcall(cmsgpack.unpack, string.rep(s, mid) .. '\1') then low = mid else up = mid - 1 end
	end
	return low, select(2, pcall(cmsgpack.unpack, string.rep(s, low + 1) .. '\1'))
end
local ones = {}
for i = 1, 8000 do ones[i] = 1 end
local nested = function(n) local t = {} for i = 2, n do t = {t} end return t end
local nestedMap = function(n) local t = {} for i = 2, n do t = {a = t} end return t end
`

// readEdges reads testdata/library-edges.txt: expressions, one a line, at the edges of what functions take. Some were
// holes of earlier versions of Redis.
func readEdges(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/library-edges.txt")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return line == "" })
}

// TestLibraryEdgesAgainstRedis compares results and errors at the edges with redis-server's.
func TestLibraryEdgesAgainstRedis(t *testing.T) {
	conn := dialOracle(t)
	libraryEdges := readEdges(t)
	for from := 0; from < len(libraryEdges); from += callsPerScript {
		expressions := libraryEdges[from:min(from+callsPerScript, len(libraryEdges))]
		script := scriptOf(exact, expressions)
		script = strings.Replace(script, "local results", edgesPrelude+"local results", 1)
		ours, theirs := bothScripts(t, conn, script)
		for i, e := range expressions {
			if ours[i] != theirs[i] {
				t.Errorf("%s\n here: %.300q\nredis: %.300q", e, ours[i], theirs[i])
			}
		}
	}
}

// TestResultsAreBounded asks for results that are too long.
func TestResultsAreBounded(t *testing.T) {
	r := NewEngine(noRows, Limits{StringBytes: 1 << 16}).NewRunner(newFakeHost())
	const tooLarge = `false | "user_script:`
	for _, e := range []string{
		`string.rep('x', 2^31 - 1)`, `string.rep('x', 65537)`, `string.rep(string.rep('x', 65536), 2)`,
		`(function() local t = {} for i = 1, 100 do t[i] = string.rep('x', 1000) end return table.concat(t) end)()`,
		`string.gsub(string.rep('x', 1000), 'x', string.rep('y', 10000))`,
		`string.gsub(string.rep('x', 1000), '.+', string.rep('%0', 30000))`,
		`string.gsub(string.rep('x', 1000), '.', '%0%0' .. string.rep('y', 70))`,
		`string.format(string.rep('%99d', 1000), unpack(setmetatable({}, {}), 1, 1000))`,
		`string.format('%s%s', string.rep('x', 40000), string.rep('x', 40000))`,
		`string.format('%q', string.rep('\0', 30000))`, `cjson.encode(string.rep('\1', 30000))`,
		`cjson.encode({string.rep('x', 40000), string.rep('x', 40000)})`,
		`cmsgpack.pack(string.rep('x', 40000), string.rep('x', 40000))`,
		`struct.pack('ss', string.rep('x', 40000), string.rep('x', 40000))`,
		`string.upper(string.rep('x', 65536) .. 'x')`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := runLibs(t, r, scriptOf(exact, []string{e}))[0]
		runtime.ReadMemStats(&after)
		if !strings.HasPrefix(got, tooLarge) {
			t.Errorf("%s gives %.100q", e, got)
		}
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 4<<20 {
			t.Errorf("%s takes %d bytes", e, bytes)
		}
	}
}

// TestPartsKeepNoWholes keeps small parts of many big strings.
func TestPartsKeepNoWholes(t *testing.T) {
	for _, part := range []string{
		`string.sub(s, 2, 300)`, `string.match(s, 'x*(y.*)')`, `struct.unpack('c300', s)`,
		`struct.unpack('s', s, 999000)`, `struct.unpack('Hc0', '\44\1' .. s)`,
		`select(2, cmsgpack.unpack_one('\218\1\44' .. s))`,
		`cjson.decode('["' .. string.rep('y', 300) .. '","' .. string.sub(s, 1, 999000) .. '"]')[1]`,
	} {
		r := NewEngine(noRows, Limits{HeapBytes: 16 << 20}).NewRunner(newFakeHost())
		got := eval(t, r, `local t = {}
			for i = 1, 60 do
				local s = string.rep('x', 999000) .. string.rep('y', 300) .. '\0' .. i
				t[i] = (`+part+`)
			end
			return #t`, nil, nil)
		if got != ":60\r\n" {
			t.Errorf("%s of 60 big strings gives %.100q", part, got)
		}
	}
}

// TestLongWorkTicks runs functions that work long: each must look whether the script has to end, and end then.
func TestLongWorkTicks(t *testing.T) {
	for _, e := range []string{
		`string.find(string.rep('a', 40), string.rep('a?', 40) .. string.rep('a', 40) .. 'b')`,
		`string.find(string.rep('a', 3000), '.-.-.-.-b')`, `string.match(string.rep('a', 3000), '(.*)(.*)(.*)(.*)b')`,
		`string.gsub(string.rep('(', 60000), '%b()', '')`,
		`string.gsub(string.rep('a', 1000), '(b*)a', string.rep('%1', 30000))`,
		`string.find(string.rep('a', 60000), '[' .. string.rep('b', 20000) .. ']')`,
		`string.gmatch(string.rep('a', 3000), '.*.*.*b')()`, `table.insert({}, -2^31, 1)`,
		`(function() local t = {} for i = 1, 1e5 do t[i] = 1 end for i = 1, 1e4 do table.insert(t, 1, 2) end end)()`,
		`(function() local t = {} for i = 1, 100000 do t[i] = 1 end for i = 1, 10000 do table.sort(t) end end)()`,
		`(function() local s = string.rep('x', 1000000) for i = 1, 10000 do string.reverse(s) end end)()`,
		`(function() local s = string.rep('x', 1000000) for i = 1, 10000 do cjson.encode(s) end end)()`,
		`cjson.decode('[' .. string.rep('1,', 3000000) .. '1]')`,
		`(function() local s = string.rep(' ', 1000000) for i = 1, 100 do pcall(cjson.decode, s) end end)()`,
		`(function() local s = '"' .. string.rep('x', 1000000) for i = 1, 100 do pcall(cjson.decode, s) end end)()`,
		`(function() local t = {} for i = 1, 100000 do t[i] = 1 end for i = 1, 100 do cjson.encode(t) end end)()`,
		`cmsgpack.unpack('\221\0\255\255\255' .. string.rep('\1', 9000000))`,
	} {
		host := newFakeHost()
		host.tick = func() error {
			if host.ticked == 20 {
				return errors.New("ERR killed")
			}
			return nil
		}
		start := cpuTime(t)
		got := eval(t, NewEngine(noRows, Limits{}).NewRunner(host), scriptOf(exact, []string{e}), nil, nil)
		if !strings.HasPrefix(got, "-ERR killed") || host.ticked > 20 {
			t.Errorf("%s gives %.100q after %d ticks", e, got, host.ticked)
		}
		if took := cpuTime(t) - start; took > time.Minute {
			t.Errorf("%s took %v", e, took)
		}
	}
}

// cpuTime is the processor time that the process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestWalksOverWhatIsGoneTick walks again and again over tables of which all elements but the first are gone, which
// have all their places still.
func TestWalksOverWhatIsGoneTick(t *testing.T) {
	const tables = `
local keys, array, all = {}, {}, {}
for i = 1, 20000 do keys['k' .. i] = i end
for i = 1, 200000 do array[i] = i end
for i = 2, 20000 do keys['k' .. i] = nil end
for i = 2, 200000 do array[i] = nil end
for i = 1, 200 do all[i] = i % 2 == 0 and keys or array end
redis.log(redis.LOG_WARNING, 'they are made')
`
	for _, walk := range []string{
		`cjson.encode(all)`, `cmsgpack.pack(all)`, `for i = 1, 200 do for k in pairs(all[i]) do end end`,
		`for i = 1, 200 do next(all[i], i % 2 == 0 and 'k1' or 1) end`, `for i = 1, 200 do table.maxn(all[i]) end`,
		`for i = 1, 200 do table.foreach(all[i], function() end) end`,
		`keys.k1, array[1] = nil, nil for i = 1, 200 do next(all[i]) end`,
	} {
		host := newFakeHost()
		walking := 0
		host.tick = func() error {
			if len(host.lines) == 0 {
				return nil
			}
			if walking++; walking == 150 {
				return errors.New("ERR killed")
			}
			return nil
		}
		got := eval(t, NewEngine(noRows, Limits{}).NewRunner(host), tables+walk, nil, nil)
		if !strings.HasPrefix(got, "-ERR killed") {
			t.Errorf("%s gives %.100q after %d ticks", walk, got, walking)
		}
	}
}

// TestNothingIsLeftForTheNextScript sets what can be set.
func TestNothingIsLeftForTheNextScript(t *testing.T) {
	r := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	settings := []string{
		`cjson.encode_sparse_array()`, `cjson.encode_max_depth()`, `cjson.decode_max_depth()`,
		`cjson.encode_number_precision()`,
		`cjson.encode_keep_buffer()`, `cjson.encode_invalid_numbers()`, `cjson.decode_invalid_numbers()`,
	}
	before := runLibs(t, r, scriptOf(exact, settings))
	changed := runLibs(t, r, scriptOf(exact, append([]string{
		`cjson.encode_sparse_array(true, 3, 4)`, `cjson.encode_max_depth(5)`, `cjson.decode_max_depth(5)`,
		`cjson.encode_number_precision(5)`,
		`cjson.encode_keep_buffer(false)`, `cjson.encode_invalid_numbers(true)`,
		`cjson.decode_invalid_numbers(false)`,
	}, settings...)))[len(settings):]
	after := runLibs(t, r, scriptOf(exact, settings))
	for i, setting := range settings {
		if changed[i] == before[i] {
			t.Errorf("%s is %s, set or not", setting, before[i])
		}
		if after[i] != before[i] {
			t.Errorf("%s was %s and is %s for the next script", setting, before[i], after[i])
		}
	}
}

// TestOrderOfPairs shows what is promised of the order of keys.
func TestOrderOfPairs(t *testing.T) {
	r := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	for script, want := range map[string]string{
		`{z = 1, y = 2, 10, 20, x = 3}`:                  `1 2 z y x`,
		`cjson.decode('{"b":1,"a":2,"c":[3]}')`:          `b a c`,
		`{[3] = 1, [2] = 1, [1] = 1}`:                    `1 2 3`,
		`cmsgpack.unpack(cmsgpack.pack({q = 1, p = 2}))`: `q p`,
	} {
		got := runLibs(t, r, `local keys = {} for k in pairs(`+script+`) do keys[#keys + 1] = tostring(k) end
			return {table.concat(keys, ' ')}`)[0]
		if got != want {
			t.Errorf("keys of %s come as %s, want %s", script, got, want)
		}
	}
}

func dialOracle(t testing.TB) *redistest.Conn {
	t.Helper()
	conn, err := redistest.Dial(redistest.StartOracle(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
