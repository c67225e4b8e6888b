package log

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/need"
)

// redis is a real redis-server over a unix socket.
type redis struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// startRedis starts redis-server in dir, where it loads appendonly.aof if there is one.
func startRedis(t *testing.T, dir string) *redis {
	t.Helper()
	path := need.Program(t, "redis-server")
	socket := filepath.Join(dir, "socket")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "",
		"--appendonly", "yes", "--aof-load-truncated", "no")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var text strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if !strings.Contains(lines.Text(), "ready to accept connections") {
			continue
		}
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &redis{t, conn, bufio.NewReader(conn)}
	}
	t.Fatalf("redis-server did not start:\n%s", text.String())
	return nil
}

// line sends a command and returns the last line of its reply, which is not an array.
func (r *redis) line(args ...string) string {
	r.t.Helper()
	if _, err := r.conn.Write([]byte(encode(args...))); err != nil {
		r.t.Fatal(err)
	}
	return r.reply()
}

func (r *redis) reply() string {
	r.t.Helper()
	s, err := r.in.ReadString('\n')
	if err == nil && s[0] == '$' && s != "$-1\r\n" {
		s, err = r.in.ReadString('\n')
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(s)
}

// TestRedisLoadsLog has Redis load one shard's log as it is, with the longest annotation lines there are.
func TestRedisLoadsLog(t *testing.T) {
	dir := t.TempDir()
	l := New(MaxShards, Limits{})
	h := l.Attach()
	defer h.Close()
	var all []*ShardLog
	for i := range MaxShards {
		all = append(all, l.Shard(i))
	}
	for n := range 100 {
		l.SetTime(1_700_000_000 + int64(n/3))
		v := []byte(strconv.Itoa(n))
		l.Shard(0).Stage(n%4, []byte("SET"), []byte("a"), v)
		l.Shard(0).Stage(0, []byte("SET"), []byte("b"), v)
		l.Shard(0).Commit(true)
		l.Shard(0).Stage(2, []byte("SET"), []byte("c"), v)
		l.Shard(9).Stage(0, []byte("SET"), []byte("elsewhere"), v)
		l.StageBarrier(all, 2, []byte("SET"), []byte("d"), v)
		l.Commit(all, false)
	}
	r, err := h.Chunks(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data := chunksOf(r, 1<<20)
	if !strings.Contains(string(data), "\n#T0") || strings.Count(string(data), "#TS:") != 34 {
		t.Fatal("no pieces, or times are missing")
	}
	if err := os.WriteFile(filepath.Join(dir, "appendonly.aof"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	redis := startRedis(t, dir)
	for db, want := range map[int]map[string]string{
		0: {"a": "96", "b": "99", "elsewhere": "99"}, 1: {"a": "97"}, 2: {"a": "98", "c": "99", "d": "99"},
		3: {"a": "99"},
	} {
		redis.line("SELECT", strconv.Itoa(db))
		if got := redis.line("DBSIZE"); got != fmt.Sprintf(":%d", len(want)) {
			t.Errorf("database %d: size %s, want %d", db, got, len(want))
		}
		for k, v := range want {
			if got := redis.line("GET", k); got != v {
				t.Errorf("database %d: %s is %s, want %s", db, k, got, v)
			}
		}
	}
}
