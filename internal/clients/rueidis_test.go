//go:build !race

package clients

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// rueidisOption has patience with a server.
func rueidisOption(p *process) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: []string{p.addr}, ConnWriteTimeout: patience, Dialer: net.Dialer{Timeout: patience},
	}
}

// useRueidis is a client of a server, closed when the test ends.
func useRueidis(t testing.TB, p *process, change ...func(*rueidis.ClientOption)) rueidis.Client {
	t.Helper()
	o := rueidisOption(p)
	for _, f := range change {
		f(&o)
	}
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestRueidisCache: what is read with a time to live comes from the library's cache until it is changed.
func TestRueidisCache(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	for name, change := range map[string]func(*rueidis.ClientOption){
		"by what was read": func(*rueidis.ClientOption) {},
		"by prefixes": func(o *rueidis.ClientOption) {
			o.ClientTrackingOptions = []string{"PREFIX", "cached:", "PREFIX", "more:", "BCAST"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, writer := useRueidis(t, p, change), goRedis(t, p)
			must(writer.FlushAll(ctx).Result())
			for i := range 20 {
				must(writer.HSet(ctx, fmt.Sprint("cached:h", i), "f", i).Result())
				must(writer.Set(ctx, fmt.Sprint("cached:s", i), i, time.Hour).Result())
			}
			hits := 0
			for range 10 {
				for i := range 20 {
					r := c.DoCache(ctx, c.B().Hget().Key(fmt.Sprint("cached:h", i)).Field("f").Cache(), time.Minute)
					if got := must(r.AsInt64()); got != int64(i) {
						t.Fatalf("field %d is %d", i, got)
					}
					if r.IsCacheHit() {
						hits++
					}
				}
			}
			if hits != 180 {
				t.Errorf("of 200 reads %d were from the cache", hits)
			}
			var keys []string
			for i := range 20 {
				keys = append(keys, fmt.Sprint("cached:s", i))
			}
			for range 2 {
				values := must(rueidis.MGetCache(c, ctx, time.Minute, keys))
				for i, key := range keys {
					if value := values[key]; must(value.AsInt64()) != int64(i) {
						t.Errorf("%s is %v", key, value)
					}
				}
			}
			rueidisSees(ctx, t, c, "cached:s1", "x", func() { must(writer.Set(ctx, "cached:s1", "x", 0).Result()) })
			rueidisSees(ctx, t, c, "cached:s1", "", func() { must(writer.Del(ctx, "cached:s1").Result()) })
			rueidisSees(ctx, t, c, "cached:s2", "", func() {
				must(writer.PExpire(ctx, "cached:s2", time.Millisecond).Result())
			})
			rueidisSees(ctx, t, c, "cached:s3", "", func() { must(writer.FlushDB(ctx).Result()) })
			rueidisSees(ctx, t, c, "cached:s3", "back", func() {
				p.restart(syscall.SIGKILL)
				must(writer.Set(ctx, "cached:s3", "back", 0).Result())
			})
		})
	}
}

// rueidisSees changes something and waits until a key that was in the cache has the new value; empty: it is not there.
func rueidisSees(ctx context.Context, t *testing.T, c rueidis.Client, key, want string, change func()) {
	t.Helper()
	get := func() (string, error) {
		got, err := c.DoCache(ctx, c.B().Get().Key(key).Cache(), time.Minute).ToString()
		if rueidis.IsRedisNil(err) {
			return "", nil
		}
		return got, err
	}
	must(get())
	change()
	eventually(t, fmt.Sprintf("%s is %q", key, want), func() bool {
		got, err := get()
		return err == nil && got == want
	})
}

// TestRueidisMultiplexed: commands of many goroutines on one connection, with blocking ones and transactions between.
func TestRueidisMultiplexed(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := useRueidis(t, p)
	var wg sync.WaitGroup
	var popped atomic.Int64
	const workers, rounds = 16, 100
	for i := range workers {
		wg.Go(func() {
			for k := range rounds {
				key, value := fmt.Sprint("w", i, ":", k%10), strconv.Itoa(k)
				replies := c.DoMulti(ctx, c.B().Set().Key(key).Value(value).Build(), c.B().Get().Key(key).Build(),
					c.B().Rpush().Key("queue").Element(value).Build())
				if got := must(replies[1].ToString()); got != value {
					t.Errorf("%s is %s, want %s", key, got, value)
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				if _, err := c.Do(ctx, c.B().Blpop().Key("queue").Timeout(0).Build()).AsStrSlice(); err != nil {
					t.Error(err)
					return
				}
				popped.Add(1)
			}
		})
		wg.Go(func() {
			for done := 0; done < rounds/10; {
				err := c.Dedicated(func(c rueidis.DedicatedClient) error {
					if err := c.Do(ctx, c.B().Watch().Key("counter").Build()).Error(); err != nil {
						return err
					}
					n, err := c.Do(ctx, c.B().Get().Key("counter").Build()).AsInt64()
					if err != nil && !rueidis.IsRedisNil(err) {
						return err
					}
					replies := c.DoMulti(ctx, c.B().Multi().Build(),
						c.B().Set().Key("counter").Value(strconv.FormatInt(n+1, 10)).Build(), c.B().Exec().Build())
					return replies[2].Error()
				})
				if err == nil {
					done++
				} else if !rueidis.IsRedisNil(err) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := must(c.Do(ctx, c.B().Get().Key("counter").Build()).AsInt64()); got != workers*rounds/10 {
		t.Errorf("the counter is %d", got)
	}
	if popped.Load() != workers*rounds {
		t.Errorf("%d were popped", popped.Load())
	}
}

// TestRueidisReceive: messages come on the connection on which commands go on.
func TestRueidisReceive(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c, writer := useRueidis(t, p), goRedis(t, p)
	const messages = 300
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	got := make(chan rueidis.PubSubMessage, 3*messages)
	ended := make(chan error, 3)
	receive := func(command rueidis.Completed) {
		go func() { ended <- c.Receive(ctx, command, func(m rueidis.PubSubMessage) { got <- m }) }()
	}
	receive(c.B().Subscribe().Channel("news").Build())
	receive(c.B().Psubscribe().Pattern("n?ws").Build())
	receive(c.B().Ssubscribe().Channel("shard").Build())
	eventually(t, "all are subscribed", func() bool {
		return writer.PubSubNumSub(ctx, "news").Val()["news"] == 1 && writer.PubSubNumPat(ctx).Val() == 1 &&
			writer.PubSubShardNumSub(ctx, "shard").Val()["shard"] == 1
	})
	for i := range messages {
		must(writer.Publish(ctx, "news", i).Result())
		must(writer.SPublish(ctx, "shard", i).Result())
		must(c.Do(ctx, c.B().Set().Key("k").Value(strconv.Itoa(i)).Build()).ToString())
	}
	due := map[string]int{}
	for range 3 * messages {
		m := next(t, got)
		kind := m.Pattern + m.Channel
		if m.Message != strconv.Itoa(due[kind]) {
			t.Fatalf("%s: %s where %d is due", kind, m.Message, due[kind])
		}
		due[kind]++
	}
	cancel()
	for range 3 {
		_ = next(t, ended) // of what has been cancelled
	}
}
