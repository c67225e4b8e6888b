package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestGoRedis uses the server as a program does that knows it only through a client library: in both protocols,
// plainly, pipelined, in optimistic transactions, by cursor.
func TestGoRedis(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			p := startProof(t, 4, 2, 0, "--requirepass", "secret")
			c := p.goRedis(redis.Options{Password: "secret", Protocol: protocol, DB: 3, ClientName: "a-program"})
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			useStrings(ctx, t, c)
			usePipelines(ctx, t, c)
			useTransactions(ctx, t, c)
			useScan(ctx, t, c)
			useClients(ctx, t, c, p, protocol)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// goRedis is a client of the server. A command whose reply is late is not sent again, as it is by default.
func (p *proof) goRedis(o redis.Options) *redis.Client {
	o.Network, o.Addr = "unix", p.path
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	return redis.NewClient(&o)
}

// must fails the test on an error, and returns the value.
func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func useStrings(ctx context.Context, t *testing.T, c *redis.Client) {
	if got := must(t, c.ClientGetName(ctx).Val(), nil); got != "a-program" {
		t.Errorf("the client's name is %q", got)
	}
	must(t, "", c.Set(ctx, "k", "v", time.Hour).Err())
	if got := must(t, c.Get(ctx, "k").Val(), nil); got != "v" {
		t.Errorf("GET is %q", got)
	}
	if ttl := c.TTL(ctx, "k").Val(); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("TTL is %v", ttl)
	}
	if err := c.Get(ctx, "missing").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of a missing key is %v", err)
	}
	if on := c.SetNX(ctx, "k", "w", 0).Val(); on {
		t.Error("SETNX of an existing key")
	}
	if n := c.Incr(ctx, "n").Val(); n != 1 {
		t.Errorf("INCR is %d", n)
	}
	if err := c.Incr(ctx, "k").Err(); err == nil || err.Error() != "ERR value is not an integer or out of range" {
		t.Errorf("INCR of a text is %v", err)
	}
	if got := c.MGet(ctx, "k", "missing", "n").Val(); fmt.Sprint(got) != "[v <nil> 1]" {
		t.Errorf("MGET is %v", got)
	}
}

func usePipelines(ctx context.Context, t *testing.T, c *redis.Client) {
	pipe := c.Pipeline()
	for i := range 10_000 {
		pipe.Set(ctx, fmt.Sprint("p", i), i, 0)
		pipe.Get(ctx, fmt.Sprint("p", i))
	}
	replies := must(t, pipe, nil)
	got, err := replies.Exec(ctx)
	if err != nil || len(got) != 20_000 {
		t.Fatal(len(got), err)
	}
	for i := range 10_000 {
		if v := got[2*i+1].(*redis.StringCmd).Val(); v != fmt.Sprint(i) {
			t.Fatalf("reply %d is %q", i, v)
		}
	}
}

func useTransactions(ctx context.Context, t *testing.T, c *redis.Client) {
	const workers, rounds = 8, 25
	done := make(chan error, workers)
	increment := func(tx *redis.Tx) error {
		n, err := tx.Get(ctx, "counter").Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Set(ctx, "counter", n+1, 0)
			pipe.Incr(ctx, "mirror")
			return nil
		})
		return err
	}
	for range workers {
		go func() {
			for range rounds {
				err := error(redis.TxFailedErr)
				for errors.Is(err, redis.TxFailedErr) {
					err = c.Watch(ctx, increment, "counter")
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		must(t, 0, <-done)
	}
	if got := c.MGet(ctx, "counter", "mirror").Val(); fmt.Sprint(got) != "[200 200]" {
		t.Errorf("counters are %v, want 200 and 200", got)
	}
}

func useScan(ctx context.Context, t *testing.T, c *redis.Client) {
	seen := map[string]int{}
	it := c.Scan(ctx, 0, "p*", 100).Iterator()
	for it.Next(ctx) {
		seen[it.Val()]++
	}
	must(t, 0, it.Err())
	if len(seen) != 10_000 {
		t.Errorf("SCAN found %d keys, want 10,000", len(seen))
	}
	if n := must(t, c.DBSize(ctx).Val(), nil); n != 10_004 {
		t.Errorf("DBSIZE is %d", n)
	}
	must(t, "", c.FlushDB(ctx).Err())
	if n := c.DBSize(ctx).Val(); n != 0 {
		t.Errorf("DBSIZE after FLUSHDB is %d", n)
	}
}

// useClients has one client look at another, hold it back and close it.
func useClients(ctx context.Context, t *testing.T, c *redis.Client, p *proof, protocol int) {
	other := p.goRedis(redis.Options{Password: "secret", Protocol: protocol, ClientName: "other", PoolSize: 1})
	defer other.Close()
	info, err := other.ClientInfo(ctx).Result()
	if err != nil || info.Name != "other" || info.Resp != protocol || info.User != "default" || info.LibName == "" {
		t.Fatalf("CLIENT INFO is %+v, %v", info, err)
	}
	if text := must(t, c.ClientList(ctx).Val(), nil); !strings.Contains(text, fmt.Sprintf("id=%d ", info.ID)) {
		t.Errorf("CLIENT LIST is %q", text)
	}
	if err := c.Do(ctx, "CLIENT", "PAUSE", 60_000, "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- other.Set(ctx, "held", "back", 0).Err() }()
	if n := c.Exists(ctx, "held").Val(); n != 0 {
		t.Error("a write was executed in a pause")
	}
	if on, err := c.ClientUnpause(ctx).Result(); err != nil || !on {
		t.Error(on, err)
	}
	must(t, 0, <-done)
	if got := c.Get(ctx, "held").Err(); !errors.Is(got, redis.Nil) {
		t.Errorf("the other client writes to database 0, and 3 has %v", got)
	}
	if n := c.ClientUnblock(ctx, info.ID).Val(); n != 0 {
		t.Errorf("CLIENT UNBLOCK is %d", n)
	}
	if n := c.ClientKillByFilter(ctx, "ID", fmt.Sprint(info.ID)).Val(); n != 1 {
		t.Errorf("CLIENT KILL is %d", n)
	}
	if err := other.Ping(ctx).Err(); err != nil { // on a new connection
		t.Error(err)
	}
	if id := other.ClientID(ctx).Val(); id <= info.ID {
		t.Errorf("the client's id is %d, and was %d", id, info.ID)
	}
}
