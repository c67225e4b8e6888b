//go:build !race

package clients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	redsyncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis/rueidislock"
)

// lasting is how long locks hold that nobody is to lose.
const lasting = time.Hour

// exclusion counts who is within what a lock protects.
type exclusion struct {
	t       *testing.T
	inside  atomic.Int32
	entries atomic.Int32
}

// enter is called with the lock held.
func (e *exclusion) enter() {
	if n := e.inside.Add(1); n != 1 {
		e.t.Errorf("%d hold the lock", n)
	}
	e.entries.Add(1)
	time.Sleep(time.Millisecond) // others have the time to come in
	e.inside.Add(-1)
}

// TestRedislock: one at a time has the lock, who waits gets it, and only who has it may prolong or release it.
func TestRedislock(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	c := goRedis(t, p)
	locks := redislock.New(c)
	lock := must(locks.Obtain(ctx, "lock", lasting, &redislock.Options{Metadata: "mine"}))
	if ttl := must(lock.TTL(ctx)); ttl <= lasting/2 || lock.Metadata() != "mine" {
		t.Errorf("TTL is %v, metadata %q", ttl, lock.Metadata())
	}
	if _, err := locks.Obtain(ctx, "lock", lasting, nil); !errors.Is(err, redislock.ErrNotObtained) {
		t.Errorf("the same lock once more is %v", err)
	}
	twice := must(locks.Obtain(ctx, "lock", lasting, &redislock.Options{Token: lock.Token(), Metadata: "mine"}))
	if err := twice.Refresh(ctx, 3*lasting, nil); err != nil || must(lock.TTL(ctx)) < 2*lasting {
		t.Errorf("prolonging is %v", err)
	}
	p.restart(syscall.SIGKILL)
	if _, err := locks.Obtain(ctx, "lock", lasting, nil); !errors.Is(err, redislock.ErrNotObtained) {
		t.Errorf("after a kill the lock is %v", err)
	}
	if err := lock.Release(ctx); err != nil {
		t.Error(err)
	}
	for _, err := range []error{lock.Release(ctx), twice.Release(ctx)} {
		if !errors.Is(err, redislock.ErrLockNotHeld) {
			t.Errorf("releasing what is released is %v", err)
		}
	}
	if err := lock.Refresh(ctx, lasting, nil); !errors.Is(err, redislock.ErrNotObtained) {
		t.Errorf("prolonging what is released is %v", err)
	}
	brief := must(locks.Obtain(ctx, "lock", 30*time.Millisecond, nil))
	next := must(locks.Obtain(ctx, "lock", lasting, &redislock.Options{
		RetryStrategy: redislock.LinearBackoff(5 * time.Millisecond),
	}))
	if err := brief.Release(ctx); !errors.Is(err, redislock.ErrLockNotHeld) {
		t.Errorf("releasing what has expired is %v", err)
	}
	if err := next.Release(ctx); err != nil {
		t.Error(err)
	}
	e := &exclusion{t: t}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				lock := must(locks.Obtain(ctx, "crowded", lasting, &redislock.Options{
					RetryStrategy: redislock.LinearBackoff(time.Millisecond),
				}))
				e.enter()
				if err := lock.Release(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := e.entries.Load(); n != 100 {
		t.Errorf("%d were in", n)
	}
}

// crowd has some want the same mutex again and again.
func (e *exclusion) crowd(ctx context.Context, mutex func() *redsync.Mutex) {
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			for range 6 {
				m := mutex()
				if err := m.LockContext(ctx); err != nil {
					e.t.Error(err)
					return
				}
				e.enter()
				if ok, err := m.UnlockContext(ctx); !ok {
					e.t.Error(ok, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestRedsync: a lock on the majority of three servers, one of which is killed.
func TestRedsync(t *testing.T) {
	t.Parallel()
	ctx, servers := bounded(t), []*process{startServer(t), startServer(t), startServer(t)}
	var clients []*redis.Client
	var pools []redsyncredis.Pool
	for _, p := range servers {
		c := goRedis(t, p, func(o *redis.Options) { o.MaxRetries = -1 })
		clients, pools = append(clients, c), append(pools, goredis.NewPool(c))
	}
	rs := redsync.New(pools...)
	patient := []redsync.Option{
		redsync.WithTries(5000), redsync.WithRetryDelay(2 * time.Millisecond), redsync.WithExpiry(lasting),
	}
	e := &exclusion{t: t}
	crowd := func() { e.crowd(ctx, func() *redsync.Mutex { return rs.NewMutex("crowded", patient...) }) }
	crowd()

	m := rs.NewMutex("lock", patient...)
	if err := m.LockContext(ctx); err != nil {
		t.Fatal(err)
	}
	// How long the library waits for a server depends on how long the lock is to hold.
	other := rs.NewMutex("lock", redsync.WithTries(2), redsync.WithRetryDelay(time.Millisecond),
		redsync.WithExpiry(lasting))
	var taken *redsync.ErrTaken
	if err := other.LockContext(ctx); !errors.As(err, &taken) || len(taken.Nodes) != 3 {
		t.Errorf("who comes second is told %v", err)
	}
	servers[1].signal(syscall.SIGKILL)
	if ok, err := m.ExtendContext(ctx); !ok {
		t.Errorf("prolonging with two of three: %v", err)
	}
	if err := other.LockContext(ctx); err == nil {
		t.Error("the lock was given to somebody else")
	}
	crowd()
	servers[1].start()
	// The library takes a while to dial again.
	onAll := func() bool {
		n := int64(0)
		for _, c := range clients {
			n += c.Exists(ctx, "lock").Val()
		}
		return n == 3
	}
	eventually(t, "the lock is on three servers", onAll)
	servers[0].signal(syscall.SIGKILL)
	servers[2].signal(syscall.SIGKILL)
	if ok, _ := m.ExtendContext(ctx); ok {
		t.Error("prolonged by one of three")
	}
	servers[0].start()
	servers[2].start()
	eventually(t, "the lock is on three servers again", onAll)
	if ok, err := m.UnlockContext(ctx); !ok || err != nil {
		t.Error(ok, err)
	}
	if err := other.LockContext(ctx); err != nil {
		t.Error(err)
	}
	if n := e.entries.Load(); n != 60 {
		t.Errorf("%d were in", n)
	}
}

// TestRueidislock: locks whose waiters are told by client-side caching that one was released.
func TestRueidislock(t *testing.T) {
	p, ctx := startServer(t), bounded(t)
	e := &exclusion{t: t}
	var wg sync.WaitGroup
	for range 3 {
		locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
			ClientOption: rueidisOption(p), KeyMajority: 2, KeyValidity: lasting,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(locker.Close)
		for range 4 {
			wg.Go(func() {
				for range 5 {
					held, cancel, err := locker.WithContext(ctx, "crowded")
					if err != nil {
						t.Error(err)
						return
					}
					e.enter()
					if err := held.Err(); err != nil {
						t.Errorf("the lock was lost: %v", err)
					}
					cancel()
				}
			})
		}
	}
	wg.Wait()
	if n := e.entries.Load(); n != 60 {
		t.Errorf("%d were in", n)
	}
	locker := must(rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption: rueidisOption(p), KeyValidity: lasting,
	}))
	defer locker.Close()
	held, cancel, err := locker.TryWithContext(ctx, "lock")
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	// Who takes the keys away is noticed by the holder.
	c := goRedis(t, p)
	for _, key := range must(c.Keys(ctx, "rueidislock:*:lock").Result()) {
		must(c.Set(ctx, key, fmt.Sprint("stolen ", key), 0).Result())
	}
	select {
	case <-held.Done():
	case <-ctx.Done():
		t.Error("the holder was not told")
	}
	if err := held.Err(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
