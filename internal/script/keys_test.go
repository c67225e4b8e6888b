package script

import (
	"strings"
	"testing"

	"fulmen/shard/command"
)

// keyRows finds rows of a table that has, of the server's commands, only what the analysis has to tell apart.
func keyRows() func(args [][]byte) *command.Row {
	table := command.NewTable(command.Rows(), serverLikeRows())
	return func(args [][]byte) *command.Row {
		row := table.Lookup(args[0])
		if row != nil && len(row.Subs) > 0 && len(args) > 1 {
			if sub := row.Sub(args[1]); sub != nil {
				return sub
			}
		}
		return row
	}
}

func serverLikeRows() []*command.Row {
	run := func(*command.Ctx) error { return nil }
	return []*command.Row{
		{Info: command.Info{Name: "ping", Arity: -1, Flags: command.Fast}, Run: run},
		{Info: command.Info{Name: "time", Arity: 1, Flags: command.Fast | command.Loading}, Run: run},
		{Info: command.Info{Name: "info", Arity: -1, Flags: command.Loading}, Run: run},
		{Info: command.Info{Name: "publish", Arity: 3, Flags: command.PubSub}, Run: run, ForReplicas: true},
	}
}

func parsedChunk(t testing.TB, source string) *tree {
	t.Helper()
	chunk, err := parseChunk(source, "chunk")
	if err != nil {
		t.Fatalf("%v in\n%s", err, source)
	}
	return chunk
}

// unlock and the others are scripts as they are in use, by what they are for.
const (
	unlock = `if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`

	extend = `
local token = redis.call("get", KEYS[1])
if token == ARGV[1] then
	return redis.call("pexpire", KEYS[1], ARGV[2])
elseif not token then
	return redis.call("set", KEYS[1], ARGV[1], "PX", ARGV[2], "NX")
end
return 0`

	manyLocks = `
local values = {}
for i, key in ipairs(KEYS) do
	if redis.call("set", key, ARGV[1], "NX", "PX", ARGV[2]) == false then
		for j = 1, i - 1 do redis.call("del", KEYS[j]) end
		return redis.status_reply("taken by " .. redis.pcall("get", key))
	end
	values[#values + 1] = key
end
return values`

	tokenBucket = `
local tokens_key = KEYS[1]
local timestamp_key = KEYS[2]
local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(redis.call('TIME')[1])
local requested = tonumber(ARGV[4])
local ttl = math.floor(capacity / rate * 2)
local last_tokens = tonumber(redis.call("get", tokens_key)) or capacity
local last_refreshed = tonumber(redis.call("get", timestamp_key)) or 0
local filled = math.min(capacity, last_tokens + math.max(0, now - last_refreshed) * rate)
local allowed = filled >= requested
if allowed then filled = filled - requested end
redis.call("setex", tokens_key, ttl, filled)
redis.call("setex", timestamp_key, ttl, now)
return { allowed and 1 or 0, filled }`

	slidingWindow = `
local call, key = redis.call, KEYS[1]
call('ZREMRANGEBYSCORE', key, 0, ARGV[1] - ARGV[2])
local amount = call('ZCARD', key)
if amount < tonumber(ARGV[3]) then
	call('ZADD', key, ARGV[1], ARGV[1])
end
call('EXPIRE', key, math.ceil(ARGV[2] / 1000))
return amount`

	flashSale = `
local s=tonumber(redis.call('GET',KEYS[1]) or '0') if s < tonumber(ARGV[2]) then return 0 end
if redis.call('SISMEMBER',KEYS[2],ARGV[1])==1 then return -1 end
redis.call('DECRBY',KEYS[1],ARGV[2]) redis.call('SADD',KEYS[2],ARGV[1]) return 1`

	taskEnqueue = `
if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
redis.call("HSET", KEYS[1], "msg", ARGV[1], "state", "pending", "pending_since", ARGV[3])
redis.call("LPUSH", KEYS[2], ARGV[2])
return 1`

	taskDequeue = `
if redis.call("EXISTS", KEYS[2]) == 0 then
	local id = redis.call("RPOPLPUSH", KEYS[1], KEYS[3])
	if id then
		local key = ARGV[2] .. id
		redis.call("HSET", key, "state", "active")
		redis.call("ZADD", KEYS[4], ARGV[1], id)
		return redis.call("HGET", key, "msg")
	end
end
return nil`

	delayedQueue = `
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)
if #due > 0 then
	redis.call('LPUSH', KEYS[2], unpack(due))
	redis.call('ZREM', KEYS[1], unpack(due))
end
return #due`
)

func TestDeclaredKeys(t *testing.T) {
	row := keyRows()
	for _, script := range declaredScripts {
		if !declaredKeys(parsedChunk(t, script), row) {
			t.Errorf("keys are declared, but were not found to be in\n%s", script)
		}
	}
	for _, script := range undeclaredScripts {
		if declaredKeys(parsedChunk(t, script), row) {
			t.Errorf("keys are taken for declared in\n%s", script)
		}
	}
}

var declaredScripts = []string{
	unlock, extend, manyLocks, tokenBucket, slidingWindow, flashSale, taskEnqueue, delayedQueue,
	`return 1`,
	`return redis.call('PING')`,
	`return redis.pcall('get', KEYS[ARGV[1]])`,
	`return #KEYS .. KEYS[1]`,
	`return {KEYS[1], KEYS[2], ARGV[1]}`,
	`local r = redis; local call = r.call; local k = KEYS; local key = k[1]; local s = key; return call('get', s)`,
	`local cmd = 'get'; return redis.call(cmd, KEYS[1])`,
	`return redis.call('del', unpack(KEYS))`,
	`return redis.call('mget', KEYS[1], unpack(KEYS, 2, #KEYS))`,
	`for _, k in pairs(KEYS) do redis.call('incr', k) end`,
	`for i = 1, #KEYS do redis.call('incr', KEYS[i]) end`,
	`for i = 2, #KEYS, 2 do redis.call('set', KEYS[i], ARGV[i], 'ex', 10) end`,
	`local i = 0; while i < #KEYS do i = i + 1; redis.call('incr', KEYS[i]) end`,
	`local i = 0; repeat i = i + 1; local k = KEYS[i]; redis.call('incr', k) until redis.call('get', k) or i > 3`,
	`local k; if ARGV[1] == 'a' then k = KEYS[1] else k = KEYS[2] end; return redis.call('get', k)`,
	`local k = ARGV[1] == 'a' and KEYS[1] or KEYS[2]; return redis.call('get', k)`,
	`local a, b = KEYS[1], KEYS[2]; a, b = b, a; return redis.call('rename', a, b)`,
	`local a, b = unpack(KEYS); return redis.call('rename', a, b)`,
	`return redis.call('hset', KEYS[1], unpack(ARGV))`,
	`return redis.call('set', KEYS[1], tostring(ARGV[1]))`,
	`return redis.call('mset', KEYS[1], ARGV[1], KEYS[2], tostring(ARGV[1]))`,
	`return redis.call('mset', KEYS[1], ARGV[1], KEYS[2], redis.call('get', KEYS[1]))`,
	`return redis.call('blpop', KEYS[1], KEYS[2], 0)`,
	`return redis.call('zunionstore', KEYS[1], 2, KEYS[2], KEYS[3], 'weights', ARGV[1], ARGV[2])`,
	`return redis.call('zunionstore', KEYS[1], #KEYS - 1, unpack(KEYS, 2))`,
	`return redis.call('lmpop', ARGV[1], KEYS[1], KEYS[2])`,
	`return redis.call('lmpop', 1, KEYS[1], ARGV[1])`,
	`return redis.call('xread', 'count', 10, 'streams', KEYS[1], ARGV[1])`,
	`return redis.call('xadd', KEYS[1], '*', unpack(ARGV))`,
	`return redis.call('sort', KEYS[1], 'store', KEYS[2])`,
	`return redis.call('sort', KEYS[1], 'by', 'nosort', 'get', '#')`,
	`return redis.call('georadius', KEYS[1], '1', '2', '3', 'm', 'store', KEYS[2])`,
	`return redis.call('object', 'encoding', KEYS[1])`,
	`return redis.call('publish', KEYS[1], ARGV[1])`,
	`return redis.call('copy', KEYS[1], KEYS[2])`,
	`local function take(key, n) return redis.call('decrby', key, n) end; take(KEYS[1], 1); take(KEYS[2], ARGV[1])`,
	`local function f(n, key) if n > 0 then f(n - 1, key) end; return redis.call('get', key) end; return f(3, KEYS[1])`,
	`local get = function(key) return redis.call('get', key) end; return get(KEYS[1])`,
	`local get = redis.call; local get = function(key) return get('get', key) end; return get(KEYS[1])`,
	`local ok, v = pcall(function() return redis.call('get', KEYS[1]) end); return v`,
	`local function f(key) return redis.call('get', key) end; return pcall(f, KEYS[1])`,
	`local function f(...) return redis.call('get', KEYS[1]) end; return f(1, 2)`,
	`local KEYS = KEYS; return redis.call('get', KEYS[1])`,
	`return (function() return redis.call('get', KEYS[1]) end)()`,
	`local t = {}; function t:m(x) return redis.call('get', KEYS[x]) end; return t:m(1)`,
	`if KEYS == nil then return end; return not KEYS`,
	`local unused = function(key) end; return redis.call('get', KEYS[1])`,
	`return redis.call('get', nil)`,
	`local n = 2; return redis.call('zinter', n, KEYS[1], KEYS[2])`,
	`string.gsub(ARGV[1], '.', function(c) redis.call('append', KEYS[1], c) end)`,
	`table.sort(ARGV, function(a, b) return redis.call('hget', KEYS[1], a) < redis.call('hget', KEYS[1], b) end)`,
	`local rcall, redlock = redis.call, KEYS[1]; local x = redis.sha1hex(redlock); return rcall('set', KEYS[2], x)`,
	`return cjson.encode({KEYS[1]})`,
}

var undeclaredScripts = []string{
	taskDequeue,
	`return redis.call('get', 'x')`,
	`return redis.call('get', ARGV[1])`,
	`return redis.call('get', KEYS[1] .. 'x')`,
	`return redis.call('get', (KEYS[1]:gsub('a', 'b')))`,
	`return redis.call(ARGV[1], KEYS[1])`,
	`return redis.call(unpack(ARGV))`,
	`return redis.call(KEYS[1], KEYS[1])`,
	`return redis.call('nosuchcommand', KEYS[1])`,
	`return redis.call('mset', KEYS[1], ARGV[1], ARGV[2], ARGV[3])`,
	`return redis.call('mset', KEYS[1], unpack(ARGV))`,
	`return redis.call('mset', KEYS[1], string.rep('a', 2))`,
	`return redis.call('del', unpack(ARGV))`,
	`return redis.call('del', KEYS[1], 'x')`,
	`return redis.call('dbsize')`,
	`return redis.call('info')`,
	`return redis.call('keys', '*')`,
	`return redis.call('keys', KEYS[1])`,
	`return redis.call('scan', 0)`,
	`return redis.call('randomkey')`,
	`return redis.call('flushall')`,
	`return redis.call('publish', 'x', ARGV[1])`,
	`return redis.call('object', ARGV[1], KEYS[1])`,
	`return redis.call('sort', KEYS[1], 'by', 'x*')`,
	`return redis.call('sort', KEYS[1], ARGV[1], ARGV[2])`,
	`return redis.call('sort', KEYS[1], KEYS[2], 'x')`,
	`return redis.call('sort', KEYS[1], 'store', 'x')`,
	`return redis.call('georadius', KEYS[1], ARGV[1], '2', '3', 'm', ARGV[2], ARGV[3])`,
	`return redis.call('georadius', KEYS[1], '1', '2', '3', 'm', KEYS[2], 'x')`,
	`return redis.call('xread', 'count', 10, 'streams', KEYS[1], ARGV[1], ARGV[2], ARGV[3])`,
	`return redis.call('xread', ARGV[1], ARGV[2], 'streams', KEYS[1], 0)`,
	`return redis.call('zunionstore', KEYS[1], ARGV[1], KEYS[2], ARGV[2])`,
	`return redis.call('zunionstore', KEYS[1], 2, KEYS[2], 'x')`,
	`return redis.call('zunionstore', KEYS[1], 2, KEYS[2], unpack(ARGV))`,
	`return redis.call('zunionstore', 'x', 1, KEYS[2])`,
	`KEYS[1] = 'x'; return redis.call('get', KEYS[1])`,
	`KEYS = {'x'}; return redis.call('get', KEYS[1])`,
	`local KEYS = {'x'}; return redis.call('get', KEYS[1])`,
	`local k = KEYS; k[1] = 'x'; return redis.call('get', KEYS[1])`,
	`table.insert(KEYS, 'x'); return redis.call('get', KEYS[3])`,
	`rawset(KEYS, 1, 'x'); return redis.call('get', KEYS[1])`,
	`local _, t = ipairs(KEYS); t[1] = 'x'; return redis.call('get', KEYS[1])`,
	`local t = {KEYS}; t[1][1] = 'x'; return redis.call('get', KEYS[1])`,
	`local function f() return KEYS end; f()[1] = 'x'; return redis.call('get', KEYS[1])`,
	`local t = (KEYS); t[1] = 'x'; return redis.call('get', KEYS[1])`,
	`local t = KEYS or {}; t[1] = 'x'; return redis.call('get', KEYS[1])`,
	`local t = ARGV and KEYS; t[1] = 'x'; return redis.call('get', KEYS[1])`,
	`local t; t = KEYS; t = {'x'}; return redis.call('get', t[1])`,
	`_G.KEYS[1] = 'x'; return redis.call('get', KEYS[1])`,
	`getfenv(0)['KEYS'][1] = 'x'; return redis.call('get', KEYS[1])`,
	`loadstring('KEYS[1] = "x"')(); return redis.call('get', KEYS[1])`,
	`setmetatable(KEYS, {__index = function() return 'x' end}); return redis.call('get', KEYS[9])`,
	`local k = KEYS[1]; k = 'x'; return redis.call('get', k)`,
	`local k = KEYS[1]; local function f() k = 'x' end; f(); return redis.call('get', k)`,
	`local k = KEYS[1]; local function f() return redis.call('get', k) end; k = ARGV[1]; return f()`,
	`local k, l = KEYS[1]; k, l = 'x', k; return redis.call('get', k)`,
	`local function k() end; return redis.call('get', k)`,
	`local k = KEYS[1]; function k() end; return redis.call('get', k)`,
	`local k = KEYS[1]; for k = 1, 2 do redis.call('get', k) end`,
	`local k = KEYS[1]; for k in pairs(ARGV) do redis.call('get', k) end`,
	`for k in pairs(KEYS) do redis.call('get', k) end`,
	`for _, k in ipairs(ARGV) do redis.call('get', k) end`,
	`for _, k in ipairs(KEYS) do k = k .. 'x'; redis.call('get', k) end`,
	`local ipairs = function() return next, {'x'} end; for _, k in ipairs(KEYS) do redis.call('get', k) end`,
	`local unpack = function() return 'x' end; return redis.call('get', unpack(KEYS))`,
	`local tostring = function() return 'x', 'y' end; return redis.call('mset', KEYS[1], tostring(1))`,
	`local arg = KEYS[1]; local function f(...) return redis.call('get', arg) end; return f('x')`,
	`local k = KEYS[1]; return (function(k) return redis.call('get', k) end)('x')`,
	`local self = KEYS[1]; local t = {}; function t:m() return redis.call('get', self) end; return t:m()`,
	`local function f(key) return redis.call('get', key) end; return f('x')`,
	`local function f(key) return redis.call('get', key) end; local g = f; local t = {g}; return t[1]('x')`,
	`local function f(key) return redis.call('get', key) end; f(KEYS[1]); return {pcall(f, 'x')}`,
	`local function f(key) return redis.call('get', key) end; f(KEYS[1]); return string.gsub('x', '.', f)`,
	`local function f(a, key) return redis.call('get', key) end; return f(ARGV[1], unpack(ARGV))`,
	`local function f(...) return redis.call('get', ...) end; return f(KEYS[1])`,
	`local f; f = function(key) return redis.call('get', key) end; f(KEYS[1]); f('x')`,
	`local f = function(k) return redis.call('get', k) end; local g = f; f = function(k) end; f(KEYS[1]); g('x')`,
	`local f = redis.call; local f = function() return f('get', 'x') end; return f()`,
	`local f = KEYS; local f = function() f[1] = 'x' end; f(); return redis.call('get', KEYS[1])`,
	`local call = redis.call; local t = {c = call}; return t.c('get', 'x')`,
	`local function f(c, k) return c('get', k) end; return f(redis.call, 'x')`,
	`return pcall(redis.call, 'get', 'x')`,
	`return redis['ca' .. 'll']('get', 'x')`,
	`local r = {redis}; return r[1].call('get', 'x')`,
	`local c = ARGV[1] and redis.call or redis.sha1hex; return c('get', 'x')`,
	`local c = tostring; c = redis.call; return c('get', 'x')`,
	`redis.call = nil`,
	`function redis.call() end`,
	`x = redis.call`,
	`function x() end`,
	`return undefined`,
	`return coroutine.wrap(redis.call)('get', 'x')`,
	`return select(2, redis.call, KEYS)`,
	`return 1 + KEYS`,
	`return redis`,
	`local n = 1; n = 2; return redis.call('zinter', n, KEYS[1], 'x')`,
	`do local k = KEYS[1] end; return redis.call('get', k)`,
	`local k = 'x'; do local k = KEYS[1] end; return redis.call('get', k)`,
	`return redis.call('eval', 'return 1', 0)`,
}

// Deep nesting ends in an answer, and in the right one.
func TestDeclaredKeysDeep(t *testing.T) {
	row := keyRows()
	for _, script := range []string{
		"return redis.call('get', 'x')" + strings.Repeat(" + 1", 900),
		"local a = 1 return a" + strings.Repeat("[1]", 900),
		strings.Repeat("do ", 190) + "redis.call('get', 'x')" + strings.Repeat(" end", 190),
		strings.Repeat("repeat local k = 1 ", 150) + strings.Repeat(" until k", 150) + " redis.call('get', 'x')",
		strings.Repeat("for _, k in ipairs((function() ", 45) + strings.Repeat(" end)()) do end", 45) +
			" redis.call('get', 'x')",
	} {
		if declaredKeys(parsedChunk(t, script), row) {
			t.Errorf("a script of %d bytes is taken for one whose keys are declared", len(script))
		}
	}
	chain := "if ARGV[1] == '1' then return 1 " + strings.Repeat("elseif ARGV[1] == '2' then return 2 ", 900) + "end"
	if !declaredKeys(parsedChunk(t, chain), row) {
		t.Error("a long chain of elseif")
	}
}

func TestDeclaredFunctions(t *testing.T) {
	row := keyRows()
	for _, c := range declaredLibraries {
		got := declaredFunctions(parsedChunk(t, c.code), row)
		for _, name := range strings.Fields(c.declared) {
			if !got[name] {
				t.Errorf("function %s is not found to declare its keys in\n%s", name, c.code)
			}
			delete(got, name)
		}
		for name, declared := range got {
			if declared {
				t.Errorf("function %s is taken for one that declares its keys in\n%s", name, c.code)
			}
		}
	}
}

var declaredLibraries = []struct{ code, declared string }{
	{`redis.register_function('f', function(keys, args) return redis.call('get', keys[1]) end)
	redis.register_function('g', function(keys, args) return redis.call('get', args[1]) end)`, "f"},
	{`local function f(k, a) return redis.call('set', k[1], a[1]) end
	redis.register_function{function_name='f', callback=f, flags={}, description='d'}`, "f"},
	{`local register = redis.register_function
	local function get(key) return redis.call('get', key) end
	register('f', function(keys) return get(keys[1]) end)
	register('g', function(keys) return get(keys[2]) end)`, "f g"},
	{`local function get(key) return redis.call('get', key) end
	redis.register_function('f', function(keys) return get(keys[1]) end)
	redis.register_function('g', function(keys) return get('x') end)`, ""},
	{`local function bad() return redis.call('get', 'x') end
	redis.register_function('f', function(keys) return redis.call('get', keys[1]) end)
	redis.register_function('g', function(keys) return bad() end)`, "f"},
	{`local saved
	redis.register_function('f', function(keys) saved = keys[1] end)
	redis.register_function('g', function(keys) return redis.call('get', saved) end)`, "f"},
	{`local saved
	redis.register_function('f', function(keys) saved = keys end)
	redis.register_function('g', function(keys) return redis.call('get', saved[1]) end)`, ""},
	{`local hooks = {}
	redis.register_function('f', function(keys) hooks[1] = function() return redis.call('get', keys[1]) end end)
	redis.register_function('g', function(keys) return hooks[1]() end)`, ""},
	{`local hook
	redis.register_function('f', function(keys) local k = keys[1]
		hook = function() return redis.call('get', k) end end)
	redis.register_function('g', function(keys) return hook() end)`, ""},
	{`redis.register_function('f' .. 'g', function(keys) return redis.call('get', keys[1]) end)
	redis.register_function('h', function(keys) return redis.call('get', keys[1]) end)`, ""},
	{`local f = tostring and function(keys) return redis.call('get', keys[1]) end
	redis.register_function('f', f)
	redis.register_function('g', tonumber)
	redis.register_function('h', function(keys) return redis.call('get', KEYS[1]) end)`, "f"},
	{`local function f(keys) return redis.call('get', keys[1]) end
	redis.register_function('f', f)
	redis.register_function('g', function(keys) return f({'x'}) end)`, ""},
	{`redis.register_function('f', function(keys) return pcall(function() redis.call('get', keys[1]) end) end)`, "f"},
	{`redis.register_function('f', function(keys, args)
		table.sort(args, function(a) return redis.call('get', keys[1]) end) end)`, ""},
	{`redis.register_function{function_name='f', callback=function(keys) return redis.call('get', keys[1]) end,
		['call' .. 'back']=function() return redis.call('get', 'x') end}`, ""},
	{`if redis then redis.register_function('f', function(keys) return redis.call('get', keys[1]) end)
	else redis.register_function('f', function(keys) return redis.call('get', 'x') end) end`, ""},
}

// TestAnalysisIsBounded looks at scripts that are short for the time that the analysis of their keys would take: it
// gives up.
func TestAnalysisIsBounded(t *testing.T) {
	for name, source := range map[string]string{
		"parameters":    "local function f(" + numbered(190, "x%d") + ") end " + strings.Repeat("f() ", 30_000),
		"uses of a key": "for _, x in ipairs(KEYS) do " + inFunctions(90, 1, strings.Repeat("x() ", 60_000)) + " end",
	} {
		a := &analysis{tree: parsedChunk(t, source), row: keyRows()}
		if a.settle() || a.looks > maxLooks+100_000 {
			t.Errorf("%s: %d looks", name, a.looks)
		}
	}
}
