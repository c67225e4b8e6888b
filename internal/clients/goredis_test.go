//go:build !race

package clients

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// goRedis is a client of a server, closed when the test ends. A command whose reply is late is not sent again: that
// would execute it twice.
func goRedis(t testing.TB, p *process, change ...func(*redis.Options)) *redis.Client {
	o := &redis.Options{
		Addr: p.addr, MaxRetries: 20, MinRetryBackoff: 5 * time.Millisecond,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
	}
	for _, f := range change {
		f(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// field is a field of INFO.
func field(ctx context.Context, c *redis.Client, section, name string) string {
	for line := range strings.Lines(must(c.Info(ctx, section).Result())) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// waiting waits until so many clients are blocked.
func waiting(ctx context.Context, t testing.TB, c *redis.Client, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " wait"), func() bool {
		return field(ctx, c, "clients", "blocked_clients") == strconv.Itoa(n)
	})
}

// TestGoRedisLocks: clients that move amounts between accounts, each by what it has read, keep their sum, though many
// want the same ones.
func TestGoRedisLocks(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := goRedis(t, p)
	const accounts, workers, rounds = 5, 8, 40
	key := func(i int) string { return fmt.Sprint("account:", i) }
	for i := range accounts {
		must(c.Set(ctx, key(i), 100, 0).Result())
	}
	var conflicts atomic.Int64
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for range rounds {
				from := rnd.IntN(accounts)
				to := (from + 1 + rnd.IntN(accounts-1)) % accounts
				move := func(tx *redis.Tx) error {
					a, b := must(tx.Get(ctx, key(from)).Int()), must(tx.Get(ctx, key(to)).Int())
					_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
						pipe.Set(ctx, key(from), a-1, 0)
						pipe.Set(ctx, key(to), b+1, 0)
						return nil
					})
					return err
				}
				for c.Watch(ctx, move, key(from), key(to)) == redis.TxFailedErr {
					conflicts.Add(1)
				}
			}
		})
	}
	var done atomic.Bool
	var reading sync.WaitGroup
	reading.Go(func() {
		keys := []string{key(0), key(1), key(2), key(3), key(4)}
		for !done.Load() {
			sum := 0
			for _, v := range must(c.MGet(ctx, keys...).Result()) {
				sum += must(strconv.Atoi(v.(string)))
			}
			if sum != 100*accounts {
				t.Errorf("the sum is %d", sum)
				return
			}
		}
	})
	wg.Wait()
	done.Store(true)
	reading.Wait()
	if conflicts.Load() == 0 {
		t.Error("nobody was in anybody's way")
	}
}

// TestGoRedisPipelines: pipelines that the library makes of the commands of many goroutines, and transactions in which
// a command fails.
func TestGoRedisPipelines(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := goRedis(t, p)
	auto := must(c.AutoPipeline())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for k := range 200 {
				key := fmt.Sprint("auto:", i, ":", k)
				must(auto.Set(ctx, key, k, time.Hour).Result())
				if got := must(auto.Get(ctx, key).Int()); got != k {
					t.Errorf("%s is %d", key, got)
				}
			}
		})
	}
	wg.Wait()
	if err := auto.Close(); err != nil {
		t.Error(err)
	}
	cmds, err := c.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, "text", "t", 0)
		pipe.Incr(ctx, "text")
		pipe.HSet(ctx, "hash", "field", 1)
		pipe.ZAdd(ctx, "zset", redis.Z{Score: 1.5, Member: "m"})
		return nil
	})
	if err == nil || err.Error() != "ERR value is not an integer or out of range" || len(cmds) != 4 ||
		cmds[1].Err() != err || cmds[0].Err() != nil || cmds[3].(*redis.IntCmd).Val() != 1 {
		t.Errorf("the transaction is %v, %v", cmds, err)
	}
	_, err = c.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Del(ctx, "text")
		pipe.Do(ctx, "SET", "alone")
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "EXECABORT ") {
		t.Errorf("a transaction with a bad command is %v", err)
	}
	if got := c.Exists(ctx, "text", "hash", "zset").Val(); got != 3 {
		t.Errorf("%d keys are there, want 3", got)
	}
}

// TestGoRedisScans: cursors meet every element once that is there all the time.
func TestGoRedisScans(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := goRedis(t, p)
	const n = 3000
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range n {
			pipe.Set(ctx, fmt.Sprint("key:", i), i, 0)
			pipe.HSet(ctx, "hash", i, i)
			pipe.SAdd(ctx, "set", i)
			pipe.ZAdd(ctx, "zset", redis.Z{Score: float64(i), Member: i})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	quit := make(chan struct{})
	var meddling sync.WaitGroup
	meddling.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
				must(c.Set(ctx, fmt.Sprint("more:", i), i, 0).Result())
				must(c.Del(ctx, fmt.Sprint("more:", i/2)).Result())
			}
		}
	})
	for name, it := range map[string]*redis.ScanIterator{
		"SCAN":      c.Scan(ctx, 0, "key:*", 100).Iterator(),
		"SCAN TYPE": c.ScanType(ctx, 0, "[hsz]*", 1000, "zset").Iterator(),
		"HSCAN":     c.HScan(ctx, "hash", 0, "", 10).Iterator(),
		"SSCAN":     c.SScan(ctx, "set", 0, "", 0).Iterator(),
		"ZSCAN":     c.ZScan(ctx, "zset", 0, "", 0).Iterator(),
	} {
		pairs := name == "HSCAN" || name == "ZSCAN"
		seen := map[string]int{}
		for i := 0; it.Next(ctx); i++ {
			if !pairs || i%2 == 0 {
				seen[it.Val()]++
			}
		}
		want := map[bool]int{true: 1, false: n}[name == "SCAN TYPE"]
		if err := it.Err(); err != nil || len(seen) != want {
			t.Errorf("%s has found %d, %v", name, len(seen), err)
		}
	}
	close(quit)
	meddling.Wait()
}

// TestGoRedisBlocks: who no longer waits gets nothing, and what comes then is left for others.
func TestGoRedisBlocks(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := goRedis(t, p, func(o *redis.Options) { o.ContextTimeoutEnabled = true })
	for name, wait := range map[string]func(ctx context.Context) error{
		"BLPOP":      func(ctx context.Context) error { return c.BLPop(ctx, 0, "list").Err() },
		"BLMOVE":     func(ctx context.Context) error { return c.BLMove(ctx, "list", "to", "left", "right", 0).Err() },
		"BLMPOP":     func(ctx context.Context) error { return c.BLMPop(ctx, 0, "left", 5, "list", "other").Err() },
		"BZPOPMIN":   func(ctx context.Context) error { return c.BZPopMin(ctx, 0, "zset").Err() },
		"XREADGROUP": func(ctx context.Context) error { return readGroup(ctx, c, "gone", 0).Err() },
	} {
		must(c.FlushAll(ctx).Result())
		must(c.XGroupCreateMkStream(ctx, "jobs", "g", "$").Result())
		soon, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- wait(soon) }()
		waiting(ctx, t, c, 1)
		cancel()
		// The library sees a cancellation when it next waits for the socket, so the client is closed by the server.
		eventually(t, "it waits no more", func() bool {
			for line := range strings.Lines(c.ClientList(ctx).Val()) {
				if id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " "); strings.Contains(line, " flags=b ") {
					must(c.ClientKillByFilter(ctx, "ID", id).Result())
				}
			}
			return field(ctx, c, "clients", "blocked_clients") == "0"
		})
		if err := next(t, done); err == nil {
			t.Errorf("%s: no error", name)
		}
		must(c.RPush(ctx, "list", "x").Result())
		must(c.ZAdd(ctx, "zset", redis.Z{Score: 1, Member: "x"}).Result())
		must(c.XAdd(ctx, &redis.XAddArgs{Stream: "jobs", Values: []string{"n", "1"}}).Result())
		if got := []int64{c.LLen(ctx, "list").Val(), c.ZCard(ctx, "zset").Val(), c.LLen(ctx, "to").Val(),
			c.XPending(ctx, "jobs", "g").Val().Count}; !slices.Equal(got, []int64{1, 1, 0, 0}) {
			t.Errorf("%s: after the end of who waited there are %v", name, got)
		}
		if err := wait(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.BLPop(ctx, 20*time.Millisecond, "nothing").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("BLPOP that waits in vain is %v", err)
	}
}

// readGroup reads what is new of the stream jobs, or waits for it.
func readGroup(ctx context.Context, c *redis.Client, consumer string, block time.Duration) *redis.XStreamSliceCmd {
	return c.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: "g", Consumer: consumer, Streams: []string{"jobs", ">"}, Count: 4, Block: block,
	})
}

// crew adds jobs to a stream and does them.
type crew struct {
	c     *redis.Client
	mu    sync.Mutex
	added map[string]bool // by ID: the server has said so
	done  map[string]int  // by ID: how often it was acknowledged; 0: maybe
}

// add adds n jobs. Who gets no reply tries again, so there may be more.
func (w *crew) add(ctx context.Context, n int) {
	for i := 0; i < n; {
		id, err := w.c.XAdd(ctx, &redis.XAddArgs{Stream: "jobs", Values: []string{"n", strconv.Itoa(i)}}).Result()
		if err == nil {
			w.mu.Lock()
			w.added[id] = true
			w.mu.Unlock()
			i++
		}
	}
}

// count counts the added jobs that are done.
func (w *crew) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.added {
		if _, ok := w.done[id]; ok {
			n++
		}
	}
	return n
}

// acknowledge acknowledges a job that is done.
func (w *crew) acknowledge(ctx context.Context, id string) {
	n, err := w.c.XAck(ctx, "jobs", "g", id).Result()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		n = 0
	} else if n == 0 {
		return // somebody else did
	}
	w.done[id] += int(n)
}

// consume does jobs until there are so many, and forgets each fifth.
func (w *crew) consume(ctx context.Context, consumer string, jobs int) {
	for i := 0; w.count() < jobs; {
		for _, s := range readGroup(ctx, w.c, consumer, 20*time.Millisecond).Val() {
			for _, message := range s.Messages {
				if i++; i%5 != 0 {
					w.acknowledge(ctx, message.ID)
				}
			}
		}
	}
}

// inherit does what the others have forgotten.
func (w *crew) inherit(ctx context.Context, jobs int) {
	for w.count() < jobs {
		messages, _, _ := w.c.XAutoClaim(ctx, &redis.XAutoClaimArgs{
			Stream: "jobs", Group: "g", Consumer: "heir", MinIdle: 50 * time.Millisecond, Start: "0", Count: 20,
		}).Result()
		for _, message := range messages {
			w.acknowledge(ctx, message.ID)
		}
	}
}

// TestGoRedisStreams: every job is done and acknowledged once, though the server is killed meanwhile and consumers
// leave jobs behind.
func TestGoRedisStreams(t *testing.T) {
	t.Parallel()
	p, ctx := startServer(t), bounded(t)
	w := &crew{added: map[string]bool{}, done: map[string]int{}}
	w.c = goRedis(t, p, func(o *redis.Options) { o.MaxRetries = -1 })
	must(w.c.XGroupCreateMkStream(ctx, "jobs", "g", "$").Result())
	const jobs = 400
	var wg sync.WaitGroup
	wg.Go(func() { w.add(ctx, jobs) })
	for k := range 3 {
		wg.Go(func() { w.consume(ctx, fmt.Sprint("c", k), jobs) })
	}
	wg.Go(func() { w.inherit(ctx, jobs) })
	for range 2 {
		before := w.count()
		eventually(t, "some are done", func() bool { return w.count() >= min(jobs, before+60) })
		p.restart(syscall.SIGKILL)
	}
	wg.Wait()
	there := map[string]bool{}
	for _, message := range must(w.c.XRange(ctx, "jobs", "-", "+").Result()) {
		there[message.ID] = true
	}
	for id := range w.added {
		if n := w.done[id]; !there[id] || n > 1 {
			t.Errorf("%s is there: %v, was acknowledged %d times", id, there[id], n)
		}
	}
}
