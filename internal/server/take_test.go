package server

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/need"
)

// gateTake: what TAKE has taken is told when it is synced, to whoever asks again with its token, too.
func gateTake(g *gated) error {
	c, again, other := g.dial(), g.dial(), g.dial()
	stock, token := g.keyOn(0), g.keyOn(3)
	c.say("SET " + stock + " 5")
	if err := c.gets("+OK\r\n"); err != nil {
		return err
	}
	const answer = "*2\r\n:2\r\n:3\r\n"
	take := "TAKE " + stock + " 2 TOKEN " + token + " EX 100"
	g.disk.stop()
	return steps(
		func() error { c.say(take); return c.held(int64(len(answer))) },
		func() error { again.say(take); return again.held(int64(2 * len(answer))) },
		func() error { other.say("TAKE " + stock + " 9"); return other.held(int64(3 * len(answer))) },
		func() error { g.disk.resume(); return c.gets(answer) },
		func() error { return again.gets(answer) },
		func() error { return other.gets("*2\r\n:0\r\n:3\r\n") },
	)
}

const (
	cutUnits = 200
	cutTakes = 80
)

// soldApart sells by a command for the counter and another one for the token.
func soldApart(c *client, token string, amount int) {
	got := c.do("TAKE", "stock", strconv.Itoa(amount))
	var taken, left int
	if _, err := fmt.Sscanf(got, "[%d %d]", &taken, &left); err != nil {
		c.t.Fatalf("%s: %v", got, err)
	}
	c.do("SET", token, fmt.Sprintf("%d %d", taken, left), "EX", "1000")
}

func soldByTake(c *client, token string, amount int) {
	c.do("TAKE", "stock", strconv.Itoa(amount), "TOKEN", token, "EX", "1000")
}

// cutSale sells units with the given number of shards, and returns the server's directory as it then is, all synced.
// The tokens are in any shards.
func cutSale(t *testing.T, shards int, sell func(c *client, token string, amount int)) (dir string) {
	t.Helper()
	g := startGated(t, gatedOptions{args: []string{"--appendfsync", "always", "--aof-ring-dir", "no",
		"--shards", strconv.Itoa(shards)}})
	c := dial(t, g.Addr())
	c.do("SET", "stock", strconv.Itoa(cutUnits))
	for i := range cutTakes {
		sell(c, "token"+strconv.Itoa(i), 1+i%4)
	}
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(g.cfg.Values().Dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// cutAt cuts each INCR file of a copy of the directory at a random place, starts a server with what is left, and
// returns how many tokens there are, and an error unless they and the counter say the same.
func cutAt(t *testing.T, from string, shards int, rnd *rand.Rand) (tokens int, err error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		written := len(bytes.TrimRight(data, "\x00"))
		if err := os.Truncate(name, int64(written-rnd.IntN(written/2))); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--aof-ring-dir", "no", "--shards", strconv.Itoa(shards)}
	g := startGated(t, gatedOptions{dir: dir, args: args})
	defer func() { err = errors.Join(err, g.Shutdown()) }()
	c := dial(t, g.Addr())
	left := c.do("GET", "stock")
	sold := 0
	for i := range cutTakes {
		answer := c.do("GET", "token"+strconv.Itoa(i))
		if answer == "nil" {
			continue
		}
		taken, err := strconv.Atoi(strings.Fields(answer)[0])
		if err != nil {
			t.Fatal(answer)
		}
		tokens++
		sold += taken
	}
	if left == "nil" && tokens == 0 || left == strconv.Itoa(cutUnits-sold) {
		return tokens, nil
	}
	return tokens, fmt.Errorf("%d tokens for %d units, and %s are left of %d", tokens, sold, left, cutUnits)
}

// TestTakeIsWholeAfterCrashes: wherever the append-only file ends after a power cut, what its tokens say was sold is
// what the counter lacks. Where tokens are noted apart, that is noticed.
func TestTakeIsWholeAfterCrashes(t *testing.T) {
	for _, shards := range []int{1, 8} {
		rnd := rand.New(rand.NewPCG(uint64(shards), 10))
		sound, torn := cutSale(t, shards, soldByTake), cutSale(t, shards, soldApart)
		some, noticed := map[int]bool{}, 0
		for range 25 / min(proofShare, 2) {
			tokens, err := cutAt(t, sound, shards, rnd)
			if err != nil {
				t.Errorf("%d shards: %v", shards, err)
			}
			some[tokens] = true
			if _, err := cutAt(t, torn, shards, rnd); err != nil {
				noticed++
			}
		}
		if len(some) < 5 || noticed == 0 {
			t.Errorf("%d shards: %d different ends; noted apart was noticed %d times", shards, len(some), noticed)
		}
		t.Logf("%d shards: %d different ends, noted apart was noticed %d times", shards, len(some), noticed)
	}
}

// TestTakeIsAWrite: it is refused where writes are, and who has read its keys is told.
func TestTakeIsAWrite(t *testing.T) {
	srv := startServer(t)
	c, reader := dial(t, srv.Addr()), dial(t, srv.Addr())
	c.do("SET", "stock", "5")
	reader.do("HELLO", "3")
	reader.do("CLIENT", "TRACKING", "ON")
	reader.do("MGET", "stock", "token")
	take := []string{"TAKE", "stock", "2", "TOKEN", "token", "EX", "100"}
	if got := c.do(take...); got != "[2 3]" {
		t.Error(got)
	}
	told := reader.reply() + reader.reply()
	if told != "[invalidate [stock]][invalidate [token]]" && told != "[invalidate [token]][invalidate [stock]]" {
		t.Errorf("told %s", told)
	}
	for _, refusal := range []struct{ set, want string }{
		{"CONFIG SET maxmemory 1", "-OOM command not allowed when used memory > 'maxmemory'."},
		{"CONFIG SET maxmemory 0", "[2 3]"},
		{"CONFIG SET min-replicas-to-write 1", "-NOREPLICAS Not enough good replicas to write."},
		{"CONFIG SET min-replicas-to-write 0", "[2 3]"},
		{"REPLICAOF 127.0.0.1 " + need.Port(t), "-READONLY You can't write against a read only replica."},
		{"REPLICAOF NO ONE", "[2 3]"},
	} {
		if got := c.do(strings.Fields(refusal.set)...); got != "OK" {
			t.Fatalf("%s: %s", refusal.set, got)
		}
		if got := c.do(take...); got != refusal.want {
			t.Errorf("after %s: %s", refusal.set, got)
		}
	}
	if got := c.do("GET", "stock"); got != "3" {
		t.Errorf("%s are left", got)
	}
}
