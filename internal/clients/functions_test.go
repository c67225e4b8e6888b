//go:build !race

package clients

import (
	"errors"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TestGoRedisFunctions: a library of functions is loaded, listed, called and dumped, and is there after a kill.
func TestGoRedisFunctions(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := goRedis(t, p)
	const library = `#!lua name=counters
local function bump(keys, args)
  redis.call('HINCRBY', keys[1], args[1], args[2])
  return redis.call('HGET', keys[1], args[1])
end
redis.register_function('bump', bump)
redis.register_function{
  function_name = 'peek', callback = function(keys, args) return redis.call('HGET', keys[1], args[1]) end,
  flags = {'no-writes'}, description = 'reads a field',
}`
	if got := must(c.FunctionLoad(ctx, library).Result()); got != "counters" {
		t.Errorf("FUNCTION LOAD is %s", got)
	}
	if err := c.FunctionLoad(ctx, library).Err(); err == nil || err.Error() != "ERR Library 'counters' already exists" {
		t.Errorf("the same once more is %v", err)
	}
	check := func(want string) {
		t.Helper()
		if got := must(c.FCall(ctx, "bump", []string{"h"}, "f", 2).Text()); got != want {
			t.Errorf("bump is %s, want %s", got, want)
		}
		if got := must(c.FCallRo(ctx, "peek", []string{"h"}, "f").Text()); got != want {
			t.Errorf("peek is %s, want %s", got, want)
		}
	}
	check("2")
	if err := c.FCallRo(ctx, "bump", []string{"h"}, "f", 1).Err(); err == nil {
		t.Error("FCALL_RO of a function that writes")
	}
	list := must(c.FunctionList(ctx, redis.FunctionListQuery{WithCode: true}).Result())
	if len(list) != 1 || list[0].Name != "counters" || list[0].Code != library || len(list[0].Functions) != 2 {
		t.Errorf("FUNCTION LIST is %v", list)
	}
	dump := must(c.FunctionDump(ctx).Result())
	p.restart(syscall.SIGKILL)
	check("4")
	must(c.FunctionFlush(ctx).Result())
	if err := c.FCall(ctx, "bump", []string{"h"}, "f", 2).Err(); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("a function that is gone replies %v", err)
	}
	must(c.FunctionRestore(ctx, dump).Result())
	check("6")
	s := must(c.FunctionStats(ctx).Result())
	if s.Running() || len(s.Engines) != 1 || s.Engines[0].FunctionsCount != 2 {
		t.Errorf("FUNCTION STATS is %+v", s)
	}
	p.restart(syscall.SIGTERM)
	check("8")
}
