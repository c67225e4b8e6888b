//go:build !race

package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestGoRedisRing: keys are spread over two servers; those of one that is killed go to the other, and come back.
func TestGoRedisRing(t *testing.T) {
	t.Parallel()
	ctx, servers := bounded(t), []*process{startServer(t), startServer(t)}
	ring := redis.NewRing(&redis.RingOptions{
		Addrs:              map[string]string{"one": servers[0].addr, "two": servers[1].addr},
		HeartbeatFrequency: 20 * time.Millisecond, MaxRetries: 20, MinRetryBackoff: 5 * time.Millisecond,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
	})
	defer ring.Close()
	const keys = 500
	key := func(i int) string { return fmt.Sprint("key:", i) }
	_, err := ring.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range keys {
			pipe.Set(ctx, key(i), i, 0)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sizes []int
	err = ring.ForEachShard(ctx, func(ctx context.Context, c *redis.Client) error {
		n, err := c.DBSize(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, int(n))
		return err
	})
	if err != nil || len(sizes) != 2 || sizes[0]+sizes[1] != keys || slices.Min(sizes) < keys/5 {
		t.Fatalf("the servers have %v keys, %v", sizes, err)
	}
	// Keys with the same tag are on the same server, and one transaction's.
	for i := range 20 {
		_, err := ring.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.IncrBy(ctx, fmt.Sprintf("{tag%d}:a", i), 2)
			pipe.DecrBy(ctx, fmt.Sprintf("{tag%d}:b", i), 2)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	servers[0].signal(syscall.SIGKILL)
	eventually(t, "the ring has noticed", func() bool { return ring.Len() == 1 })
	missing := 0
	for i := range keys {
		if err := ring.Get(ctx, key(i)).Err(); errors.Is(err, redis.Nil) {
			missing++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if missing == 0 || missing == keys {
		t.Errorf("without one server %d keys are missing", missing)
	}
	servers[0].start()
	eventually(t, "the ring is whole", func() bool { return ring.Len() == 2 })
	for i := range keys {
		if got, err := ring.Get(ctx, key(i)).Result(); got != strconv.Itoa(i) {
			t.Fatalf("%s is %q, %v", key(i), got, err)
		}
	}
}
