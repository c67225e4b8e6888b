package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// functionChanges makes random commands that change functions.
type functionChanges struct {
	r     *rand.Rand
	dumps []string
}

// next makes one; c is who is going to execute it.
func (g *functionChanges) next(c *client) []string {
	switch g.r.IntN(12) {
	case 0:
		return []string{"FUNCTION", "DELETE", g.pickLibrary()}
	case 1:
		if g.r.IntN(4) > 0 {
			return g.next(c)
		}
		return []string{"FUNCTION", "FLUSH"}
	case 2, 3:
		g.dumps = append(g.dumps, c.do("FUNCTION", "DUMP"))
		fallthrough
	case 4:
		if len(g.dumps) == 0 {
			return g.next(c)
		}
		policy := []string{"FLUSH", "APPEND", "REPLACE"}[g.r.IntN(3)]
		return []string{"FUNCTION", "RESTORE", g.dumps[g.r.IntN(len(g.dumps))], policy}
	}
	words := []string{"FUNCTION", "LOAD"}
	if g.r.IntN(3) > 0 {
		words = append(words, "REPLACE")
	}
	code := "#!lua name=" + g.pickLibrary() + "\n"
	for range 1 + g.r.IntN(3) {
		code += fmt.Sprintf("redis.register_function('f%d', function(keys) return %d end)\n", g.r.IntN(12),
			g.r.IntN(100))
	}
	return append(words, code+strings.Repeat("-- filler ", g.r.IntN(30)))
}

func (g *functionChanges) pickLibrary() string { return "lib" + strconv.Itoa(g.r.IntN(6)) }

// changeFunctions has c execute n random changes.
func changeFunctions(c *client, seed uint64, n int) {
	g := &functionChanges{r: rand.New(rand.NewPCG(seed, 7))}
	for range n {
		c.do(g.next(c)...)
	}
}

// librariesOf returns the code of all libraries, sorted.
func librariesOf(c *client) string {
	c.t.Helper()
	c.send(string(resp.AppendCommandStrings(nil, "FUNCTION", "LIST", "WITHCODE")))
	v, err := c.r.ReadReply()
	if err != nil {
		c.t.Fatalf("FUNCTION LIST: %v", err)
	}
	if e := v.Err(); e != nil {
		return e.Error() // LOADING
	}
	var codes []string
	for i := range v.Elems {
		lib := v.Elems[i].Elems
		codes = append(codes, string(lib[len(lib)-1].Str))
	}
	slices.Sort(codes)
	return strings.Join(codes, "\n----\n")
}

// wantLibraries waits until c has these libraries.
func wantLibraries(t *testing.T, c *client, want string) {
	t.Helper()
	got := ""
	eventuallyOr(t, func() bool { got = librariesOf(c); return got == want }, func() string {
		return fmt.Sprintf("libraries:\n%s\nwant:\n%s", got, want)
	})
}

// withoutNames cuts the name of what is there off an error, of which there may be several.
func withoutNames(reply string) string {
	for _, kind := range []string{"-ERR Library ", "-ERR Function "} {
		if strings.HasPrefix(reply, kind) && strings.HasSuffix(reply, " already exists") {
			return kind
		}
	}
	return reply
}

// TestFunctionsAreThoseOfRedis: random changes have the same replies and the same effect as in redis-server.
func TestFunctionsAreThoseOfRedis(t *testing.T) {
	ours := dial(t, startServer(t, "--shards", "8").Addr())
	theirs := dial(t, redistest.StartOracle(t).Addr)
	g := &functionChanges{r: rand.New(rand.NewPCG(1, 1))}
	taken := 0
	for i := range 1500 / proofShare {
		words := g.next([]*client{ours, theirs}[i%2])
		got, want := ours.do(words...), theirs.do(words...)
		if withoutNames(got) != withoutNames(want) {
			t.Fatalf("%q: %s, want %s", words, got, want)
		}
		if !strings.HasPrefix(got, "-") {
			taken++
		}
		name := "f" + strconv.Itoa(g.r.IntN(12))
		if got, want := ours.do("FCALL", name, "1", "k"), theirs.do("FCALL", name, "1", "k"); got != want {
			t.Fatalf("FCALL %s behind %q: %s, want %s", name, words, got, want)
		}
		if i%20 == 0 && librariesOf(ours) != librariesOf(theirs) {
			t.Fatalf("after %q there are\n%s\nwant\n%s", words, librariesOf(ours), librariesOf(theirs))
		}
	}
	if taken < 500/proofShare {
		t.Errorf("only %d changes were made", taken)
	}
	for _, field := range []string{"number_of_functions", "number_of_libraries"} {
		if got, want := ours.info("memory", field), theirs.info("memory", field); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
}

// TestFunctionsInSnapshots: functions are in what is saved, whatever it looks like, and in redis-server's file that is
// loaded here, and ours there.
func TestFunctionsInSnapshots(t *testing.T) {
	for _, segments := range []string{"yes", "no"} {
		dir := t.TempDir()
		srv := startServer(t, "--dir", dir, "--shards", "8", "--rdb-segments", segments,
			"--enable-debug-command", "yes")
		c := dial(t, srv.Addr())
		changeFunctions(c, 2, 60)
		want := librariesOf(c)
		wantReply(t, c, "OK", "SET", "k", "v")
		for range 2 {
			wantReply(t, c, "OK", "DEBUG", "RELOAD")
			wantLibraries(t, c, want)
		}
		wantReply(t, c, "OK", "DEBUG", "RELOAD", "MERGE", "NOFLUSH")
		wantLibraries(t, c, want)
		if err := srv.Shutdown(); err != nil {
			t.Fatal(err)
		}
		args := []string{"--dir", dir, "--shards", "3", "--save", "", "--rdb-segments", "no"}
		c = dial(t, startServer(t, args...).Addr())
		wantLibraries(t, c, want)
		wantReply(t, c, "OK", "SAVE")
		theirs := dial(t, redistest.StartOracle(t, "--dir", dir, "--enable-debug-command", "yes").Addr)
		wantLibraries(t, theirs, want)
		changeFunctions(theirs, 3, 60)
		want = librariesOf(theirs)
		wantReply(t, theirs, "OK", "SAVE")
		wantReply(t, c, "OK", "DEBUG", "RELOAD", "NOSAVE")
		wantLibraries(t, c, want)
	}
}

// A file in which a library is wrong is not loaded.
func TestLibraryThatCannotBeLoaded(t *testing.T) {
	oracle := redistest.StartOracle(t, "--rdbchecksum", "no", "--rdbcompression", "no")
	c := dial(t, oracle.Addr)
	wantReply(t, c, "lib", "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() end)")
	wantReply(t, c, "OK", "SAVE")
	saved, err := os.ReadFile(filepath.Join(oracle.Dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dump.rdb")
	wrong := strings.Replace(string(saved), "function() end", "function() enb", 1)
	if err := os.WriteFile(file, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, "--dir", filepath.Dir(file))
	err = <-srv.loadFailed
	if err == nil || !strings.Contains(err.Error(), "Error compiling function: user_function:") {
		t.Errorf("the load ends with %v", err)
	}
}

// TestFunctionsInAppendOnlyFile: every change that was acknowledged is there after kill -9, also after rewrites, whose
// BASE is an RDB file or commands, and with another number of shards.
func TestFunctionsInAppendOnlyFile(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		dir, want := t.TempDir(), ""
		args := []string{"--dir", dir, "--appendonly", "yes", "--save", "", "--aof-use-rdb-preamble", preamble,
			"--enable-debug-command", "yes"}
		for round := range 5 {
			p := startProcess(t, append(args, "--shards", strconv.Itoa([]int{8, 8, 3, 1, 8}[round]))...)
			c := dial(t, p.addr)
			wantLibraries(t, c, want)
			changeFunctions(c, uint64(round), 20)
			if round%2 == 1 {
				c.do("BGREWRITEAOF")
				changeFunctions(c, uint64(round+100), 20)
				eventually(t, "it is rewritten", func() bool {
					return c.info("persistence", "aof_rewrite_in_progress") == "0" &&
						c.info("persistence", "aof_rewrites") == "1"
				})
			}
			changeFunctions(c, uint64(round+200), 20)
			want = librariesOf(c)
			if round == 2 {
				wantReply(t, c, "OK", "DEBUG", "LOADAOF")
				wantLibraries(t, c, want)
			}
			p.kill()
		}
	}
}

// TestFunctionsOfRedisAppendOnlyFile: those in an append-only file of redis-server's, in its BASE and behind it.
func TestFunctionsOfRedisAppendOnlyFile(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		o := redistest.StartOracle(t, "--appendonly", "yes", "--aof-use-rdb-preamble", preamble)
		theirs := dial(t, o.Addr)
		changeFunctions(theirs, 5, 60)
		theirs.do("BGREWRITEAOF")
		eventually(t, "redis-server has rewritten its file", func() bool {
			return theirs.info("persistence", "aof_rewrite_in_progress") == "0" &&
				theirs.info("persistence", "aof_rewrite_scheduled") == "0"
		})
		changeFunctions(theirs, 6, 60)
		want := librariesOf(theirs)
		wantReply(t, theirs, "OK", "CONFIG", "SET", "appendfsync", "always")
		wantReply(t, theirs, "OK", "SET", "k", "v")
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(dir, os.DirFS(o.Dir)); err != nil {
			t.Fatal(err)
		}
		args := []string{"--dir", dir, "--appendonly", "yes", "--save", "", "--shards", "4"}
		srv := startServer(t, args...)
		wantLibraries(t, dial(t, srv.Addr()), want)
		if err := srv.Shutdown(); err != nil {
			t.Fatal(err)
		}
		wantLibraries(t, dial(t, startServer(t, args...).Addr()), want)
	}
}

// TestFunctionsAreReplicated: from a redis-server to one of ours to a redis-server, with everything that comes at
// first, whichever way, and with every change.
func TestFunctionsAreReplicated(t *testing.T) {
	for i, mode := range []string{"swapdb", "flush-before-load", "disabled"} {
		top, srv := followRedis(t, 8, func(c *client) { changeFunctions(c, 7, 40) }, "--repl-diskless-load", mode,
			"--repl-diskless-sync-delay", "0")
		middle := dial(t, srv.Addr())
		last := redisFollowing(t, srv.Addr())
		wantLibraries(t, middle, librariesOf(top))
		changeFunctions(top, uint64(i), 100)
		for _, c := range []*client{middle, last} {
			wantLibraries(t, c, librariesOf(top))
		}
		if n := middle.info("stats", "unexpected_error_replies"); n != "0" {
			t.Errorf("%s commands of the primary have failed", n)
		}
		top.do("DEBUG", "CHANGE-REPL-ID")
		wantReply(t, top, "OK", "FUNCTION", "FLUSH")
		top.do("CLIENT", "KILL", "TYPE", "replica")
		changeFunctions(top, uint64(i+10), 30)
		eventually(t, "everything came anew", func() bool {
			return middle.info("replication", "master_replid") == top.info("replication", "master_replid")
		})
		wantLibraries(t, middle, librariesOf(top))
		wantReply(t, middle, "OK", "REPLICAOF", "NO", "ONE")
		changeFunctions(middle, uint64(i+20), 30)
		wantLibraries(t, last, librariesOf(middle))
	}
}

// TestFunctionsAlone: redis-cli gets a file with functions and nothing else.
func TestFunctionsAlone(t *testing.T) {
	cli := need.Program(t, "redis-cli")
	srv := startServer(t)
	c := dial(t, srv.Addr())
	changeFunctions(c, 9, 40)
	wantReply(t, c, "OK", "SET", "k", "v")
	host, port, _ := net.SplitHostPort(srv.Addr())
	dir := t.TempDir()
	file := filepath.Join(dir, "dump.rdb")
	out, err := exec.Command(cli, "-h", host, "-p", port, "--functions-rdb", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	theirs := dial(t, redistest.StartOracle(t, "--dir", dir).Addr)
	wantLibraries(t, theirs, librariesOf(c))
	wantReply(t, theirs, "0", "DBSIZE")
}

// TestFunctionsFaults: mistakes would be noticed by the tests above.
func TestFunctionsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault functionsFault
		args  []string
	}{
		"unlogged": {faultFunctionsUnlogged, []string{"--appendonly", "yes"}},
		"unsaved":  {faultFunctionsUnsaved, []string{"--save", "1 1"}},
	} {
		args := append([]string{"--dir", t.TempDir()}, c.args...)
		srv := startServer(t, args...)
		srv.functions.fault.Store(uint32(c.fault))
		ours := dial(t, srv.Addr())
		changeFunctions(ours, 4, 30)
		want := librariesOf(ours)
		if err := srv.Shutdown(); err != nil {
			t.Fatal(err)
		}
		srv = startServer(t, args...)
		<-srv.loading.done
		if got := librariesOf(dial(t, srv.Addr())); got == want {
			t.Errorf("%s: nothing is missing", name)
		}
	}
	primary := dial(t, redistest.StartOracle(t, "--repl-diskless-sync-delay", "0").Addr)
	changeFunctions(primary, 6, 30)
	srv := startServer(t, "--repl-diskless-load", "swapdb")
	srv.functions.fault.Store(uint32(faultFunctionsStay))
	ours := dial(t, srv.Addr())
	changeFunctions(ours, 4, 30)
	follow(t, srv, primary.RemoteAddr().String())
	if librariesOf(ours) == librariesOf(primary) {
		t.Error("those of before don't stay")
	}
}

// TestFunctionThatRunsLong: what runs is shown to others, and can be killed by them.
func TestFunctionThatRunsLong(t *testing.T) {
	srv := startServer(t, "--shards", "2", "--busy-reply-threshold", "50")
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	wantReply(t, c, "lib", "FUNCTION", "LOAD",
		"#!lua name=lib\nredis.register_function('forever', function() while true do end end)")
	c.send(string(resp.AppendCommandStrings(nil, "FCALL", "forever", "1", "k", "a")))
	eventually(t, "the server is busy", func() bool {
		return strings.HasPrefix(other.do("GET", "k"),
			"-BUSY Redis is busy running a script. You can only call FUNCTION KILL")
	})
	stats := other.do("FUNCTION", "STATS")
	if !strings.HasPrefix(stats, "[running_script [name forever command [FCALL forever 1 k a] duration_ms ") {
		t.Errorf("FUNCTION STATS: %s", stats)
	}
	if got := other.do("SCRIPT", "KILL"); !strings.HasPrefix(got, "-BUSY ") {
		t.Errorf("SCRIPT KILL: %s", got)
	}
	wantReply(t, other, "OK", "FUNCTION", "KILL")
	if got := c.reply(); !strings.HasPrefix(got, "-ERR Script killed by user with SCRIPT KILL... script: forever") {
		t.Errorf("the call replies %s", got)
	}
	wantReply(t, other, "[running_script nil engines [LUA [libraries_count 1 functions_count 1]]]",
		"FUNCTION", "STATS")
	wantReply(t, c, "nil", "GET", "k")
}
