package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/persist/log"
)

// fakeTarget is what MIGRATE sends to: it hands each command it gets to the test and replies what that says.
type fakeTarget struct {
	host, port string
	came       chan []string // a command came
	reply      chan string   // without line end; "close" closes the connection
	conns      atomic.Int32
}

func newFakeTarget(t *testing.T) *fakeTarget {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeTarget{came: make(chan []string, 100), reply: make(chan string, 100)}
	f.host, f.port, _ = net.SplitHostPort(ln.Addr().String())
	stop := make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.conns.Add(1)
			go f.serve(c, stop)
		}
	}()
	return f
}

func (f *fakeTarget) serve(c net.Conn, stop chan struct{}) {
	defer c.Close()
	r := resp.NewReader(bufio.NewReader(c))
	for {
		v, err := r.ReadReply() // commands are arrays of bulk strings
		if err != nil {
			return
		}
		var args []string
		for _, e := range v.Elems {
			args = append(args, string(e.Str))
		}
		f.came <- args
		select {
		case reply := <-f.reply:
			if reply == "close" {
				return
			}
			if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
				return
			}
		case <-stop:
			return
		}
	}
}

// next takes the next command.
func (f *fakeTarget) next(t *testing.T) []string {
	t.Helper()
	select {
	case args := <-f.came:
		return args
	case <-time.After(patience):
		t.Fatal("nothing came to the target")
		return nil
	}
}

// wants takes the next command and fails the test unless its first words are these; then it replies.
func (f *fakeTarget) wants(t *testing.T, reply string, words ...string) []string {
	t.Helper()
	args := f.next(t)
	for i, w := range words {
		if i >= len(args) || args[i] != w {
			t.Fatalf("the target got %.60q, want %q", args, words)
		}
	}
	f.reply <- reply
	return args
}

// migrate sends a MIGRATE of one key, with a time limit far off.
func (f *fakeTarget) migrate(c *client, key string, options ...string) {
	args := append([]string{"MIGRATE", f.host, f.port, key, "0", "600000"}, options...)
	c.send(string(resp.AppendCommandStrings(nil, args...)))
}

func wantReply(t *testing.T, c *client, want string, args ...string) {
	t.Helper()
	if got := c.do(args...); got != want {
		t.Fatalf("%.80q: %.200q, want %q", args, got, want)
	}
}

// TestMigrateBetweenServers migrates values of all types to redis-server and back, with all options, and compares the
// replies with those of redis-server where that is the source.
func TestMigrateBetweenServers(t *testing.T) {
	srv := startServer(t)
	source, target := redistest.StartOracle(t), redistest.StartOracle(t)
	locked := redistest.StartOracle(t, "--requirepass", "secret")
	ours, theirs, there := dial(t, srv.Addr()), dial(t, source.Addr), dial(t, target.Addr)
	host, port, _ := net.SplitHostPort(target.Addr)
	_, lockedPort, _ := net.SplitHostPort(locked.Addr)
	fill := func(c *client) {
		c.do("FLUSHALL")
		c.do("SET", "string", "text")
		c.do("SET", "number", "12345")
		c.do("SET", "long", strings.Repeat("long ", 100_000))
		c.do("SET", "due", "v", "PXAT", "4000000000000")
		c.do("RPUSH", "list", "a", "b", strings.Repeat("c", 10_000))
		c.do("SADD", "ints", "1", "2", "3")
		c.do("SADD", "set", "a", "b", "3")
		c.do("ZADD", "zset", "1", "a", "-inf", "b")
		c.do("HSET", "hash", "f", "v", "g", "w")
	}
	for _, c := range []*client{ours, theirs} {
		there.do("FLUSHALL")
		fill(c)
	}
	m := func(key, db string, options ...string) []string {
		return append([]string{"MIGRATE", host, port, key, db, "600000"}, options...)
	}
	locked8 := func(options ...string) []string {
		return append([]string{"MIGRATE", host, lockedPort, "string", "0", "600000", "COPY"}, options...)
	}
	var got [2][]string
	for i, c := range []*client{theirs, ours} {
		there.do("FLUSHALL")
		for _, args := range [][]string{
			m("string", "0"), m("string", "0"), m("", "0"), m("number", "3", "COPY"), m("number", "3"),
			m("number", "3", "REPLACE"), m("", "0", "KEYS", "long", "due", "none", "list"), m("", "0", "KEYS", "none"),
			m("", "0", "COPY", "KEYS", "ints", "ints"), m("", "2", "KEYS", "ints", "set", "zset", "hash"),
			m("x", "0", "KEYS", "y"), m("set", "99"), m("set", "0", "NONSENSE"), m("set", "0", "AUTH"),
			m("set", "0", "AUTH2", "x"),
			m("set", "0", "AUTH", "wrong"), locked8(), locked8("AUTH", "wrong"), locked8("AUTH", "secret"),
			locked8("AUTH2", "default", "secret", "REPLACE"), locked8("AUTH2", "nobody", "secret"),
			{"MIGRATE", host, port, "set", "x", "1"}, {"MIGRATE", host, port, "set", "0", "x"},
			{"MIGRATE", host, port, "set"}, {"SET", "more", "v"}, {"MIGRATE", host, "1", "more", "0", "1000"},
			{"MIGRATE", "no.such.host.invalid", "1", "more", "0", "1000"},
		} {
			got[i] = append(got[i], fmt.Sprintf("%.90q: %s", args, c.do(args...)))
		}
		got[i] = append(got[i], "left: "+c.do("DBSIZE")+" there: "+there.do("INFO", "keyspace"))
		for _, probe := range [][]string{
			{"GET", "string"}, {"STRLEN", "long"}, {"PEXPIRETIME", "due"}, {"LLEN", "list"}, {"SELECT", "2"},
			{"ZRANGE", "zset", "0", "-1", "WITHSCORES"}, {"HGET", "hash", "g"}, {"SCARD", "set"}, {"SELECT", "3"},
			{"GET", "number"}, {"SELECT", "0"},
		} {
			got[i] = append(got[i], fmt.Sprint(probe, there.do(probe...)))
		}
	}
	for i := range got[0] {
		right, tested := got[0][i], got[1][i]
		if strings.Contains(right, "avg_ttl") { // which is a moment's
			right, tested = strings.Split(right, "avg_ttl")[0], strings.Split(tested, "avg_ttl")[0]
		}
		if right != tested && !strings.HasPrefix(right, "[PEXPIRETIME") {
			t.Errorf("redis: %s\nfulmen: %s", right, tested)
		}
	}
	_, ourPort, _ := net.SplitHostPort(srv.Addr())
	fill(there)
	ours.do("FLUSHALL")
	wantReply(t, there, "OK", "MIGRATE", "127.0.0.1", ourPort, "", "5", "600000", "KEYS", "string", "number", "long",
		"due", "list", "ints", "set", "zset", "hash")
	wantReply(t, ours, "OK", "SELECT", "5")
	wantReply(t, ours, "9", "DBSIZE")
	wantReply(t, ours, "text", "GET", "string")
	wantReply(t, ours, "500000", "STRLEN", "long")
	wantReply(t, ours, "2", "ZCARD", "zset")
}

// TestMigrateHoldsNobodyUp: while the target is thinking others use the very keys, and their changes arrive.
func TestMigrateHoldsNobodyUp(t *testing.T) {
	srv := startServer(t)
	f := newFakeTarget(t)
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	wantReply(t, c, "OK", "SET", "k", "one")
	wantReply(t, c, "OK", "SET", "same", "one")
	f.migrate(c, "", "KEYS", "k", "same")
	f.wants(t, "+OK", "SELECT", "0")
	first := f.next(t)
	wantReply(t, other, "one", "GET", "k")
	wantReply(t, other, "OK", "SET", "k", "two")
	f.reply <- "+OK"
	f.wants(t, "+OK", "RESTORE", "same", "0")
	again := f.wants(t, "+OK", "RESTORE", "k", "0")
	if again[3] == first[3] || len(first) != 4 || len(again) != 5 || again[4] != "REPLACE" {
		t.Errorf("what changed was sent as %q, and then as %q", first, again)
	}
	c.want("OK")
	wantReply(t, other, "0", "EXISTS", "k", "same")
}

func TestMigrateOfWhatChanges(t *testing.T) {
	srv := startServer(t)
	f := newFakeTarget(t)
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	wantReply(t, c, "1", "INCR", "k")
	wantReply(t, c, "OK", "SET", "gone", "v")
	f.migrate(c, "", "KEYS", "k", "gone")
	f.wants(t, "+OK", "SELECT", "0")
	for i := range migrateRounds {
		if args := f.next(t); args[1] != "k" {
			t.Fatalf("round %d: %q", i, args)
		}
		wantReply(t, other, fmt.Sprint(i+2), "INCR", "k")
		f.reply <- "+OK"
		if i == 0 {
			wantReply(t, other, "1", "DEL", "gone")
			f.wants(t, "+OK", "RESTORE", "gone")
		}
	}
	c.want("-" + errMigrateChanging.Error())
	wantReply(t, other, fmt.Sprint(migrateRounds+1), "GET", "k")
	wantReply(t, other, "0", "EXISTS", "gone")
}

// TestMigrateFailures: what the target has not acknowledged is still here.
func TestMigrateFailures(t *testing.T) {
	srv := startServer(t)
	f := newFakeTarget(t)
	c := dial(t, srv.Addr())
	for _, key := range []string{"a", "b", "c"} {
		wantReply(t, c, "OK", "SET", key, "v")
	}
	f.migrate(c, "", "KEYS", "a", "b", "c")
	f.wants(t, "+OK", "SELECT", "0")
	f.wants(t, "-BUSYKEY Target key name already exists.", "RESTORE", "a")
	f.wants(t, "+OK", "RESTORE", "b")
	f.wants(t, "-ERR another", "RESTORE", "c")
	c.want("-ERR Target instance replied with error: BUSYKEY Target key name already exists.")
	wantReply(t, c, "2", "EXISTS", "a", "b", "c")

	// The database is selected once more after an error; then the connection ends in the middle.
	f.migrate(c, "", "KEYS", "a", "c")
	f.wants(t, "+OK", "SELECT", "0")
	f.wants(t, "+OK", "RESTORE", "a")
	f.wants(t, "close", "RESTORE", "c")
	c.want("-IOERR error or timeout reading to target instance")
	wantReply(t, c, "1", "EXISTS", "a", "b", "c")

	// A connection that is kept saves SELECT; one that fails at once is replaced.
	f.migrate(c, "c", "COPY")
	f.wants(t, "+OK", "SELECT", "0")
	f.wants(t, "+OK", "RESTORE", "c")
	c.want("OK")
	if n := c.info("stats", "migrate_cached_sockets"); n != "1" {
		t.Errorf("%s connections are kept", n)
	}
	before := f.conns.Load()
	f.migrate(c, "c", "COPY")
	f.wants(t, "close", "RESTORE", "c")
	f.wants(t, "+OK", "SELECT", "0")
	f.wants(t, "+OK", "RESTORE", "c")
	c.want("OK")
	if n := f.conns.Load() - before; n != 1 {
		t.Errorf("%d connections were made", n)
	}
	f.migrate(c, "c")
	f.wants(t, "close", "RESTORE", "c")
	f.wants(t, "close", "SELECT", "0")
	c.want("-IOERR error or timeout reading to target instance")
	wantReply(t, c, "1", "EXISTS", "c")

	// A target that does not reply. In a short time not even the connection may be made.
	got := ""
	for ms := 1; got != "-"+errMigrateRead.Error(); ms *= 2 {
		got = c.do("MIGRATE", f.host, f.port, "c", "0", strconv.Itoa(ms))
		if !strings.HasPrefix(got, "-IOERR error or timeout ") || ms > 1e5 {
			t.Fatalf("%d ms: %s", ms, got)
		}
	}
	wantReply(t, c, "1", "EXISTS", "c")
}

// TestMigrateSettles: deleting waits for the end of a pause, and happens also if the client has gone.
func TestMigrateSettles(t *testing.T) {
	srv := startServer(t)
	f := newFakeTarget(t)
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	wantReply(t, c, "OK", "SET", "k", "v")
	f.migrate(c, "k")
	f.wants(t, "+OK", "SELECT", "0")
	f.next(t)
	wantReply(t, other, "OK", "CLIENT", "PAUSE", "600000", "WRITE")
	f.reply <- "+OK"
	eventually(t, "the session waits for the end of the pause", func() bool {
		return other.info("clients", "blocked_clients") == "1"
	})
	wantReply(t, other, "1", "EXISTS", "k")
	wantReply(t, other, "OK", "CLIENT", "UNPAUSE")
	c.want("OK")
	wantReply(t, other, "0", "EXISTS", "k")

	wantReply(t, c, "OK", "SET", "k", "v")
	f.migrate(c, "k")
	f.next(t)
	wantReply(t, other, "1", "CLIENT", "KILL", "TYPE", "normal")
	eventually(t, "the client has gone", func() bool { return other.info("clients", "connected_clients") == "1" })
	wantReply(t, other, "1", "EXISTS", "k")
	f.reply <- "+OK"
	eventually(t, "the key is deleted", func() bool { return other.do("EXISTS", "k") == "0" })

	c = dial(t, srv.Addr())
	wantReply(t, c, "OK", "SET", "k", "v")
	f.migrate(c, "k")
	f.next(t)
	wantReply(t, other, "OK", "CLIENT", "PAUSE", "600000", "WRITE")
	f.reply <- "+OK"
	eventually(t, "the session waits", func() bool { return other.info("clients", "blocked_clients") == "1" })
	wantReply(t, other, "1", "CLIENT", "KILL", "TYPE", "normal")
	eventually(t, "the client has gone", func() bool { return other.info("clients", "connected_clients") == "1" })
	wantReply(t, other, "OK", "CLIENT", "UNPAUSE")
	wantReply(t, other, "1", "EXISTS", "k")
}

// TestMigrateInMulti: it is refused, and dooms the transaction.
func TestMigrateInMulti(t *testing.T) {
	c := dial(t, startServer(t).Addr())
	wantReply(t, c, "OK", "MULTI")
	wantReply(t, c, "-ERR Command not allowed inside a transaction", "MIGRATE", "h", "1", "k", "0", "1")
	wantReply(t, c, "-EXECABORT Transaction discarded because of previous errors.", "EXEC")
}

// TestMigrateLogs: what has left is a DEL in the log.
func TestMigrateLogs(t *testing.T) {
	srv := startServer(t)
	f := newFakeTarget(t)
	c := dial(t, srv.Addr())
	o := (&proof{srv: srv}).outsider()
	var hold *log.Hold
	o.all(func() { hold = srv.set.Log.Attach() })
	reader, err := hold.Merged(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	defer reader.Close()
	wantReply(t, c, "OK", "SET", "k", "v")
	f.migrate(c, "k")
	f.wants(t, "+OK", "SELECT", "0")
	f.wants(t, "+OK", "RESTORE", "k")
	c.want("OK")
	var words []string
	if err := log.ForEachIn(reader.Append(nil, 1<<20), func(args [][]byte) error {
		words = append(words, fmt.Sprintf("%s", args))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(words, " "); !strings.HasSuffix(got, "[SET k v] [DEL k]") {
		t.Errorf("logged: %s", got)
	}
}

// TestMigrateEndsWithTheServer: a target that never replies does not keep it.
func TestMigrateEndsWithTheServer(t *testing.T) {
	srv, err := tryServer(t, os.Stderr, []string{"--loglevel", "warning"})
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeTarget(t)
	c := dial(t, srv.Addr())
	wantReply(t, c, "OK", "SET", "k", "v")
	f.migrate(c, "k")
	f.next(t)
	if err := srv.Shutdown(); err != nil {
		t.Error(err)
	}
}
