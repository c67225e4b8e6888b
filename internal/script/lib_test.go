package script

import (
	"fmt"
	"strings"
	"testing"

	"fulmen/internal/resp"
)

// runLibs runs a script whose result is a list of strings.
func runLibs(t testing.TB, r *Runner, script string) []string {
	t.Helper()
	reply, err := resp.NewReader(strings.NewReader(eval(t, r, script, nil, nil))).ReadReply()
	if err != nil {
		t.Fatal(err)
	}
	return texts(t, reply, script)
}

// texts are the elements of a reply that is a list of strings.
func texts(t testing.TB, reply resp.Value, script string) (list []string) {
	t.Helper()
	if reply.Kind != resp.KindArray {
		t.Fatalf("%s\n%s", reply.Str, script)
	}
	for _, e := range reply.Elems {
		list = append(list, string(e.Str))
	}
	return list
}

// showLua defines, for scripts, try(f): what f() returns or raises, as a string in which two servers' results can be
// compared. Keys of tables are in order of their own text.
//
// zero is there because Lua 5.1 takes constants 0 and -0 of a function for one.
const showLua = `
local zero = 0
local show
show = function(v, depth)
	local kind = type(v)
	if kind == 'number' then
		return string.format(digits, v)
	elseif kind == 'string' then
		return '"' .. v .. '"'
	elseif kind == 'table' then
		if depth > 40 then return '{deep}' end
		local parts = {}
		for k, x in pairs(v) do parts[#parts + 1] = show(k, depth + 1) .. '=' .. show(x, depth + 1) end
		table.sort(parts)
		return '{' .. table.concat(parts, ',') .. '}'
	elseif kind == 'boolean' or kind == 'nil' then
		return tostring(v)
	end
	return kind
end
local showAll = function(...)
	local parts = {}
	for i = 1, select('#', ...) do parts[i] = show((select(i, ...)), 0) end
	return table.concat(parts, ' | ')
end
local try = function(f) return showAll(pcall(f)) end
local sortLog = function(t, less)
	local log = {}
	local ok, err = pcall(table.sort, t, function(a, b)
		log[#log + 1] = tostring(a and a[2]) .. ':' .. tostring(b and b[2])
		if #log > 2000 then error('enough') end
		return less(a or {3, 99}, b or {3, 98}, log)
	end)
	local ids = {}
	for i = 1, #t do ids[i] = (t[i] or {0, -1})[2] end
	return ok, err, table.concat(ids, ' '), table.concat(log, ' ')
end
local matches = function(...)
	local r = {}
	for a, b, c in string.gmatch(...) do
		r[#r + 1] = tostring(a) .. ',' .. tostring(b) .. ',' .. tostring(c)
		if #r > 40 then break end
	end
	return r
end
local walk = function(...)
	local r = {}
	for i, v in ipairs(...) do
		r[#r + 1] = i
		r[#r + 1] = v
	end
	return r
end
local randoms = function(seed, ...)
	math.randomseed(seed)
	local r = {}
	for i = 1, 5 do r[i] = math.random(...) end
	return unpack(r)
end
local encodeSeveral = function(...)
	local ok, text = pcall(cjson.encode, {a = {...}, b = (...), c = {x = 1, y = {...}}})
	return ok and cjson.decode(text)
end
local results = {}
`

// scriptOf is a script that evaluates expressions and shows how. digits is the format of numbers.
func scriptOf(digits string, expressions []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "local digits = '%s'\n%s", digits, showLua)
	for i, e := range expressions {
		fmt.Fprintf(&b, "results[%d] = try(function() return %s end)\n", i+1, e)
	}
	b.WriteString("return results\n")
	return b.String()
}
