//go:build !race

package clients

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

// TestGoRedisSubscribers: who is subscribed is so again after the server was killed, and messages come in order.
func TestGoRedisSubscribers(t *testing.T) {
	t.Parallel()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			p, ctx := startServer(t), bounded(t)
			c := goRedis(t, p, func(o *redis.Options) { o.Protocol = protocol })
			subs := []*redis.PubSub{
				c.Subscribe(ctx, "news", "other"), c.PSubscribe(ctx, "n?ws"), c.SSubscribe(ctx, "news"),
			}
			var channels []<-chan *redis.Message
			for _, s := range subs {
				defer s.Close()
				// A subscriber that is late is left its connection and its messages.
				channels = append(channels, s.Channel(redis.WithChannelHealthCheckInterval(patience),
					redis.WithChannelSize(1000), redis.WithChannelSendTimeout(patience)))
			}
			for round := range 2 {
				eventually(t, "all are subscribed", func() bool {
					news, err := c.PubSubNumSub(ctx, "news").Result()
					shard := c.PubSubShardNumSub(ctx, "news").Val()
					return err == nil && news["news"] == 1 && shard["news"] == 1 && c.PubSubNumPat(ctx).Val() == 1
				})
				publish(ctx, t, c, round)
				for i, messages := range channels {
					for n := range 200 {
						m := next(t, messages)
						if want := fmt.Sprint(round, ":", n); m.Payload != want || (m.Pattern != "") != (i == 1) {
							t.Fatalf("subscriber %d: message %d is %v, want %s", i, n, m, want)
						}
					}
				}
				if round == 0 {
					p.restart(syscall.SIGKILL)
				}
			}
		})
	}
}

// publish publishes messages, some in transactions with a write.
func publish(ctx context.Context, t testing.TB, c *redis.Client, round int) {
	t.Helper()
	for n := range 200 {
		_, err := c.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Incr(ctx, "published")
			pipe.Publish(ctx, "news", fmt.Sprint(round, ":", n))
			pipe.SPublish(ctx, "news", fmt.Sprint(round, ":", n))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestGoRedisCache: the library's cache is told of everything that changes what is in it, whatever changes that.
func TestGoRedisCache(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	cache := redis.NewLocalCache(redis.CacheConfig{MaxEntries: 10_000})
	c := goRedis(t, p, func(o *redis.Options) { o.Protocol, o.ClientSideCache = 3, cache })
	writer := goRedis(t, p)
	for i := range 50 {
		must(writer.Set(ctx, fmt.Sprint("k", i), 0, 0).Result())
	}
	for range 20 {
		for i := range 50 {
			if got := must(c.Get(ctx, fmt.Sprint("k", i)).Int()); got != 0 {
				t.Fatalf("k%d is %d", i, got)
			}
		}
	}
	if s := c.CSCStats(); s.Hits < 900 {
		t.Errorf("of 1000 reads %d were from the cache", s.Hits)
	}
	is := func(want string) func() bool {
		return func() bool { return c.Get(ctx, "k").Val() == want }
	}
	for _, step := range []struct {
		change func() error
		want   string
	}{
		{func() error { return writer.Set(ctx, "k", "1", 0).Err() }, "1"},
		{func() error { return writer.Append(ctx, "k", "2").Err() }, "12"},
		{func() error { return writer.Rename(ctx, "k", "l").Err() }, ""},
		{func() error { return writer.Copy(ctx, "l", "k", 0, true).Err() }, "12"},
		{func() error { return writer.PExpire(ctx, "k", time.Millisecond).Err() }, ""},
		{func() error { return writer.SetBit(ctx, "k", 6, 1).Err() }, "\x02"},
		{func() error { return writer.FlushDB(ctx).Err() }, ""},
		{func() error { return writer.MSet(ctx, "k", "3", "m", "4").Err() }, "3"},
		{func() error { return writer.FlushAllAsync(ctx).Err() }, ""},
	} {
		c.Get(ctx, "k")
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("k is %q", step.want), is(step.want))
	}
	must(writer.Set(ctx, "k", "kept", 0).Result())
	eventually(t, "k is kept", is("kept"))
	p.restart(syscall.SIGKILL)
	must(writer.Set(ctx, "k", "new", 0).Result())
	eventually(t, "k is new", is("new"))
	must(writer.Set(ctx, "k", "newer", 0).Result())
	eventually(t, "k is newer", is("newer"))
}

// TestGoRedisCacheUnderWrites: numbers that only grow never get less for who reads them from a cache, and in the end
// they are what was written.
func TestGoRedisCacheUnderWrites(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := goRedis(t, p, func(o *redis.Options) {
		o.Protocol, o.ClientSideCacheConfig, o.PoolSize = 3, &redis.ClientSideCacheConfig{}, 1
	})
	writer := goRedis(t, p)
	const keys, writes = 8, 3000
	key := func(i int) string { return fmt.Sprint("n", i%keys) }
	var wg sync.WaitGroup
	var over atomic.Bool
	wg.Go(func() {
		defer over.Store(true)
		for i := range writes {
			must(writer.Set(ctx, key(i), i, 0).Result())
		}
	})
	last := map[string]int{}
	for i := 0; !over.Load(); i++ {
		n, _ := c.Get(ctx, key(i)).Int()
		if n < last[key(i)] {
			t.Fatalf("%s was %d, and is %d", key(i), last[key(i)], n)
		}
		last[key(i)] = n
	}
	wg.Wait()
	for i := writes - keys; i < writes; i++ {
		eventually(t, "the last value is seen", func() bool { return c.Get(ctx, key(i)).Val() == strconv.Itoa(i) })
	}
	if s := c.CSCStats(); s.Hits == 0 {
		t.Error("nothing was read from the cache")
	}
}

// invalidations notes the keys that the server says have changed.
type invalidations struct {
	mu   sync.Mutex
	keys []string
}

// HandlePushNotification takes ["invalidate", [key…]], or null for all.
func (v *invalidations) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, m []any) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	keys, ok := m[1].([]any)
	if !ok {
		v.keys = append(v.keys, "all")
	}
	for _, key := range keys {
		v.keys = append(v.keys, key.(string))
	}
	return nil
}

// take returns what has come since the last time.
func (v *invalidations) take() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	keys := v.keys
	v.keys = nil
	return keys
}

// TestGoRedisTracking: CLIENT TRACKING as a program uses it that handles pushes itself, in each of its modes.
func TestGoRedisTracking(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	writer := goRedis(t, p)
	for name, test := range map[string]struct {
		args []any
		want string // what is told of writes to a:1, a:2, b:1 when a:1 and b:1 were read
	}{
		"default": {[]any{"ON"}, "[a:1 b:1]"},
		"bcast":   {[]any{"ON", "BCAST", "PREFIX", "a:"}, "[a:1 a:2]"},
		"optin":   {[]any{"ON", "OPTIN"}, "[b:1]"},
		"optout":  {[]any{"ON", "OPTOUT"}, "[a:1]"},
		"noloop":  {[]any{"ON", "NOLOOP"}, "[a:1]"},
		"off":     {[]any{"OFF"}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			var told invalidations
			c := goRedis(t, p, func(o *redis.Options) { o.Protocol, o.PoolSize = 3, 1 })
			if err := c.RegisterPushNotificationHandler("invalidate", &told, false); err != nil {
				t.Fatal(err)
			}
			must(writer.FlushAll(ctx).Result())
			must(c.Do(ctx, append([]any{"CLIENT", "TRACKING"}, test.args...)...).Result())
			c.Get(ctx, "a:1")
			if caching := map[string]string{"optin": "YES", "optout": "NO"}[name]; caching != "" {
				must(c.Do(ctx, "CLIENT", "CACHING", caching).Result())
			}
			c.Get(ctx, "b:1")
			for _, key := range []string{"a:1", "a:2"} {
				must(writer.Set(ctx, key, 1, 0).Result())
			}
			by := writer
			if name == "noloop" {
				by = c
			}
			must(by.Set(ctx, "b:1", 1, 0).Result())
			must(c.Ping(ctx).Result())
			if got := fmt.Sprint(told.take()); got != test.want {
				t.Errorf("was told of %s, want %s", got, test.want)
			}
		})
	}
}
