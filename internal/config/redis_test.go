package config

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/need"
)

// Run with -rewrite to record testdata/redis.txt from the redis-server on this machine.
var rewriteFlag = flag.Bool("rewrite", false, "record what redis-server answers, and what Rewrite gives")

const script = "testdata/redis.txt"

// TestScript compares CONFIG GET and SET with what redis-server 7.0.15 answered when the script was recorded. Pairs of
// CONFIG GET come sorted, for Redis gives them in no order.
func TestScript(t *testing.T) {
	content, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(args []string) []string { return nil }
	c := New(testEnv(t))
	if *rewriteFlag {
		ask = startRedis(t)
	}
	var recorded strings.Builder
	for entry := range strings.SplitSeq(string(content), "\n> ") {
		lines := strings.Split(strings.TrimPrefix(strings.TrimRight(entry, "\n"), "> "), "\n")
		args, err := splitArgs(lines[0])
		if err != nil {
			t.Fatal(err)
		}
		want := lines[1:]
		if *rewriteFlag {
			want = ask(args)
			recorded.WriteString(strings.Join(append([]string{"> " + lines[0]}, want...), "\n") + "\n")
		}
		if got := answer(c, args); !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", lines[0], got, want)
		}
	}
	if *rewriteFlag {
		if err := os.WriteFile(script, []byte(recorded.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// answer runs a command as the server would.
func answer(c *Config, args []string) []string {
	switch strings.ToLower(args[1]) {
	case "get":
		var lines []string
		for _, p := range c.Get(args[2:]) {
			lines = append(lines, strconv.Quote(p.Name)+" "+strconv.Quote(p.Value))
		}
		slices.Sort(lines)
		return lines
	case "rewrite":
		if _, err := c.Rewrite(nil); err != nil {
			return []string{"ERR " + err.Error()}
		}
	default:
		if err := c.Set(args[2:], true); err != nil {
			return []string{"ERR " + err.Error()}
		}
	}
	return []string{"OK"}
}

// ourDefaults are rows whose default is not Redis's, with ours.
var ourDefaults = map[string]string{
	"port": "6379", "unixsocket": "", "dir": "/srv", "io-threads": "0",
	"activerehashing": "no", "jemalloc-bg-thread": "no", "disable-thp": "no", "set-proc-title": "no",
	"io-threads-do-reads": "yes", "lazyfree-lazy-eviction": "yes", "lazyfree-lazy-expire": "yes",
	"activedefrag": "yes", "active-defrag-ignore-bytes": "10485760",
	"lazyfree-lazy-server-del": "yes", "lazyfree-lazy-user-del": "yes", "repl-diskless-load": "swapdb",
}

// ourRows are parameters that redis-server does not have, or not yet.
var ourRows = []string{"http-port", "http-bind", "shards", "event-loops", "io-engine",
	"set-max-listpack-entries", "set-max-listpack-value",
	"rdb-segments", "rdb-compression", "rdb-save-rate-limit", "aof-ring-dir", "aof-ring-size",
	"aof-history-retain-bytes", "aof-history-retain-seconds", "log-memory-limit", "rdb-save-buffer-limit",
	"repl-spool-limit", "repl-flows", "repl-compression"}

func TestDefaultsAgainstRedis(t *testing.T) {
	ask := startRedis(t)
	c := New(testEnv(t))
	for _, n := range names {
		args := []string{"CONFIG", "GET", n.name}
		want := ask(args)
		if slices.Contains(ourRows, n.name) {
			if len(want) != 0 {
				t.Errorf("Redis has %s", n.name)
			}
			continue
		}
		if value, ok := ourDefaults[n.name]; ok {
			want = []string{strconv.Quote(n.name) + " " + strconv.Quote(value)}
		}
		if got := answer(c, args); !slices.Equal(got, want) {
			t.Errorf("got %s, Redis has %s", got, want)
		}
	}
}

// TestErrorsAgainstRedis compares what both say to values that are nonsense for most parameters.
func TestErrorsAgainstRedis(t *testing.T) {
	ask := startRedis(t)
	c := New(testEnv(t))
	for _, n := range names {
		r := &rows[n.row]
		switch {
		case slices.Contains(ourRows, n.name):
			continue
		case n.name == "maxclients": // the machine has a say
			continue
		case (r.kind == text || r.kind == list) && !r.immutable && r.check == nil: // takes nearly anything
			continue
		}
		for _, value := range []string{"nonsense", "-77777777777", "777777777777777777", ""} {
			args := []string{"CONFIG", "SET", n.name, value}
			got, want := answer(c, args), ask(args)
			if value == "" && (r.kind == memory || r.kind == share) {
				continue // to Redis nothing is 0 bytes, and so may be in range
			}
			if r.later != "" && want[0] == "OK" && strings.Contains(got[0], "not supported yet") {
				continue
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s %q\ngot  %s\nwant %s", n.name, value, got, want)
			}
		}
	}
}

// startRedis starts redis-server on a free port for the time of the test and gives a function that asks it.
func startRedis(t *testing.T) func(args []string) []string {
	t.Helper()
	program := need.Program(t, "redis-server")
	if version, _ := exec.Command(program, "--version").Output(); !strings.Contains(string(version), " v=7.0.") {
		need.Missing(t, "this is not redis 7.0, of which the defaults and texts are: %s", version)
	}
	socket := t.TempDir() + "/redis.sock"
	cmd := exec.Command(program, "--port", "0", "--unixsocket", socket, "--dir", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	log := bufio.NewReader(out)
	for {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("redis-server did not start: %v", err)
		}
		if strings.Contains(line, "eady to accept connections") || strings.Contains(line, "now ready to accept") {
			break
		}
	}
	go io.Copy(io.Discard, log)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	in := bufio.NewReader(conn)
	return func(args []string) []string {
		conn.SetDeadline(time.Now().Add(3 * time.Minute))
		fmt.Fprintf(conn, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(a), a)
		}
		return readReply(t, in)
	}
}

// readReply gives a simple reply as one line and an array as sorted lines of two strings each.
func readReply(t *testing.T, in *bufio.Reader) []string {
	t.Helper()
	head, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	kind, rest := head[0], strings.TrimRight(head[1:], "\r\n")
	n, _ := strconv.Atoi(rest)
	switch kind {
	case '$':
		buf := make([]byte, n+2)
		if _, err := io.ReadFull(in, buf); err != nil {
			t.Fatal(err)
		}
		return []string{string(buf[:n])}
	case '*':
		var lines []string
		for range n / 2 {
			name, value := readReply(t, in)[0], readReply(t, in)[0]
			lines = append(lines, strconv.Quote(name)+" "+strconv.Quote(value))
		}
		slices.Sort(lines)
		return lines
	}
	return []string{rest}
}
