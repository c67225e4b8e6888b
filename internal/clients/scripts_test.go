//go:build !race

package clients

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// move moves an amount between two accounts, unless the first would have too little.
const move = `
local amount = tonumber(ARGV[1])
local balance = tonumber(redis.call('GET', KEYS[1]) or '0')
if balance < amount then
  return redis.error_reply('POOR ' .. KEYS[1] .. ' has ' .. balance)
end
redis.call('DECRBY', KEYS[1], amount)
return {redis.call('INCRBY', KEYS[2], amount), balance - amount}
`

// TestGoRedisScripts: scripts are sent once and called by their digest, in pipelines and in transactions, and again
// after the server has forgotten them. What many move between accounts in different shards is never lost.
func TestGoRedisScripts(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := goRedis(t, p)
	script := redis.NewScript(move)
	must(c.Set(ctx, "a", 1000, 0).Result())
	if got := must(script.Run(ctx, c, []string{"a", "b"}, 10).Int64Slice()); fmt.Sprint(got) != "[10 990]" {
		t.Errorf("the script replies %v", got)
	}
	if on := must(script.Exists(ctx, c).Result()); fmt.Sprint(on) != "[true]" {
		t.Error("the script is not there")
	}
	if err := script.EvalSha(ctx, c, []string{"b", "a"}, 11).Err(); err == nil || err.Error() != "POOR b has 10" {
		t.Errorf("the script's error is %v", err)
	}
	cmds, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for range 100 {
			script.EvalSha(ctx, pipe, []string{"a", "b"}, 1)
		}
		return nil
	})
	if got := fmt.Sprint(must(cmds[99].(*redis.Cmd).Int64Slice())); err != nil || got != "[110 890]" {
		t.Errorf("the hundredth reply is %s, %v", got, err)
	}
	_, err = c.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, "c", 5, 0)
		script.EvalSha(ctx, pipe, []string{"c", "a"}, 5)
		script.EvalSha(ctx, pipe, []string{"c", "a"}, 5)
		return nil
	})
	if err == nil || err.Error() != "POOR c has 0" || c.Get(ctx, "a").Val() != "895" {
		t.Errorf("the transaction is %v, a is %s", err, c.Get(ctx, "a").Val())
	}
	reads := redis.NewScript(`return redis.call('MGET', unpack(KEYS))`)
	if got := reads.RunRO(ctx, c, []string{"a", "none", "b"}).String(); !strings.HasSuffix(got, "[895 <nil> 110]") {
		t.Errorf("the script that reads is %s", got)
	}
	if err := script.EvalRO(ctx, c, []string{"a", "b"}, 1).Err(); err == nil {
		t.Error("a script that may only read has written")
	}
	moveByMany(ctx, t, c, script)
	p.restart(syscall.SIGKILL)
	if err := script.EvalSha(ctx, c, []string{"a", "b"}, 1).Err(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
		t.Errorf("after a restart the script is %v", err)
	}
	must(script.Run(ctx, c, []string{"acc:0", "acc:1"}, 0).Result())
	if sum := sumOf(ctx, c); sum != 800 {
		t.Errorf("the sum is %d", sum)
	}
}

// moveByMany has many move amounts between accounts, while others look at all of them.
func moveByMany(ctx context.Context, t *testing.T, c *redis.Client, script *redis.Script) {
	t.Helper()
	for i := range 8 {
		must(c.Set(ctx, fmt.Sprint("acc:", i), 100, 0).Result())
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 100 {
				keys := []string{fmt.Sprint("acc:", i), fmt.Sprint("acc:", (i+k%7+1)%8)}
				if err := script.Run(ctx, c, keys, 1+k%30).Err(); err != nil && !redis.HasErrorPrefix(err, "POOR") {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 30 {
				if sum := sumOf(ctx, c); sum != 800 {
					t.Errorf("the sum is %d", sum)
				}
			}
		})
	}
	wg.Wait()
}

// sumOf adds up the accounts by a script that makes up its keys, none of which is declared.
func sumOf(ctx context.Context, c *redis.Client) int {
	return must(c.Eval(ctx, `
local sum = 0
for i = 0, 7 do
  sum = sum + redis.call('GET', 'acc:' .. i)
end
return sum`, nil).Int())
}
