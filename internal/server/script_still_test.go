package server

import (
	"fmt"
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

// still is a script that stands still after its first write until it is told to go on.
type still struct {
	t            testing.TB
	caller, gate *client
	other        *client // for others' commands
}

// standStill has a script run that has set a to half, and will set a and b, which are in different shards, to whole.
// wide: it holds all batons. It goes on when nobody subscribes to the channel gate any more.
func standStill(t testing.TB, srv *Server, wide bool) *still {
	t.Helper()
	x := &still{t: t, caller: dial(t, srv.Addr()), gate: dial(t, srv.Addr()), other: dial(t, srv.Addr())}
	x.gate.send("SUBSCRIBE gate\r\n")
	x.gate.reply()
	script := "redis.call('SET',KEYS[1],'half') while redis.call('PUBSUB','NUMSUB','gate')[2] > 0 do end " +
		"for i = 1, 3000 do redis.call('INCR',KEYS[2]) end " +
		"redis.call('SET',KEYS[1],'whole') redis.call('SET',KEYS[2],'whole') return 'over'"
	if wide {
		script = "if #ARGV > 0 then redis.call('GET',ARGV[1]) end " + script
	}
	x.caller.send(spoken("EVAL", script, "2", "a", "b"))
	eventually(t, "the script stands still", func() bool { return srv.scripts.running.count() == 1 })
	return x
}

// goOn has the script go on, and waits for its end.
func (x *still) goOn() {
	x.t.Helper()
	if err := x.gate.Close(); err != nil {
		x.t.Error(err)
	}
	x.caller.want("over")
}

// later sends a command whose reply will come on the channel.
func later(c *client, args ...string) <-chan string {
	c.send(spoken(args...))
	reply := make(chan string, 1)
	go func() { reply <- c.reply() }()
	return reply
}

// waits fails the test if there is a reply though the script stands still, and others have been served many times.
func (x *still) waits(what string, reply <-chan string) {
	x.t.Helper()
	for range 50 {
		x.other.do("PING")
	}
	select {
	case got := <-reply:
		x.t.Errorf("%s has replied %q in the middle of a script", what, got)
	default:
	}
}

// wantWhole wants all that the script has done to be there, and what others have done since.
func wantWhole(t *testing.T, srv *Server) {
	t.Helper()
	c := dial(t, srv.Addr())
	eventually(t, "it is loaded", func() bool { return c.do("PING") == "PONG" })
	if got := c.do("MGET", "a", "b"); got != "[whole whole]" {
		t.Errorf("of the script there is %s", got)
	}
}

// wantEqual waits until a replica has what its primary has, and compares; of the script it never has a part.
func wantEqual(t *testing.T, primary, replica *Server) {
	t.Helper()
	p, r := dial(t, primary.Addr()), dial(t, replica.Addr())
	eventually(t, "the replica has everything", func() bool {
		if got := r.do("MGET", "a", "b"); strings.Contains(got, "half") || got == "[whole nil]" {
			t.Errorf("the replica has %s", got)
		}
		return r.info("replication", "role") == "slave" && r.info("replication", "master_link_status") == "up" &&
			r.info("replication", "slave_repl_offset") == p.info("replication", "master_repl_offset")
	})
	if got, want := r.do("DEBUG", "DIGEST"), p.do("DEBUG", "DIGEST"); got != want {
		t.Errorf("the replica's digest is %s, the primary's %s", got, want)
	}
}

// eachWidth runs a test with scripts that hold some batons and all.
func eachWidth(t *testing.T, test func(t *testing.T, wide bool)) {
	for _, wide := range []bool{false, true} {
		t.Run(fmt.Sprint("all batons ", wide), func(t *testing.T) { test(t, wide) })
	}
}

// quickSync are parameters of a primary that doesn't wait for other replicas.
var quickSync = []string{"--repl-diskless-sync-delay", "0", "--busy-reply-threshold", "0"}

// TestFullSyncDuringAScript: a replica that comes while a script stands still gets all that it does, or none.
func TestFullSyncDuringAScript(t *testing.T) {
	eachWidth(t, func(t *testing.T, wide bool) {
		srv, replica := startServer(t, quickSync...), startServer(t)
		x := standStill(t, srv, wide)
		host, port, _ := strings.Cut(srv.Addr(), ":")
		r := dial(t, replica.Addr())
		wantReply(t, r, "OK", "REPLICAOF", host, port)
		eventually(t, "the replica has asked", func() bool {
			return x.other.info("replication", "connected_slaves") == "1"
		})
		if got := r.do("GET", "a"); got != "nil" {
			t.Errorf("the replica has %s", got)
		}
		x.goOn()
		wantReply(t, x.other, "OK", "SET", "c", "1")
		wantEqual(t, srv, replica)
		wantWhole(t, replica)
	})
}

// TestPartialSyncDuringAScript: a replica that comes back while a script stands still gets it as one transaction.
func TestPartialSyncDuringAScript(t *testing.T) {
	eachWidth(t, func(t *testing.T, wide bool) {
		srv := startServer(t, append(quickSync, "--repl-ping-replica-period", "1000")...)
		first := dialReplica(t, srv)
		id, lsn := first.full()
		x := standStill(t, srv, wide)
		_ = first.Close()
		back := dialReplica(t, srv)
		back.say(fmt.Sprintf("PSYNC %s %d", id, lsn+1))
		if got := back.line(); got != "+CONTINUE "+id {
			t.Fatal(got)
		}
		x.goOn()
		wantReply(t, x.other, "OK", "SET", "c", "1")
		var stream []byte
		last := record("EXEC") + record("SET", "c", "1")
		for !strings.HasSuffix(string(stream), record("SET", "c", "1")) {
			stream = append(stream, back.take(1)...)
		}
		text := string(stream)
		if !strings.HasPrefix(text, record("MULTI")) || !strings.HasSuffix(text, last) ||
			strings.Count(text, "EXEC") != 1 || strings.Count(text, "half") != 1 || strings.Count(text, "whole") != 2 {
			t.Errorf("the stream has %.300q … %.300q", text, text[max(len(text)-300, 0):])
		}
	})
}

// TestPauseDuringAScript: CLIENT PAUSE has replied when the script is over; what it holds back isn't executed any more.
func TestPauseDuringAScript(t *testing.T) {
	eachWidth(t, func(t *testing.T, wide bool) {
		for kind, ms := range map[string]string{"ALL": "50", "WRITE": "1000000"} { // nobody can end the former
			srv := startServer(t, quickSync...)
			x := standStill(t, srv, wide)
			c, d := dial(t, srv.Addr()), dial(t, srv.Addr())
			paused := later(c, "CLIENT", "PAUSE", ms, kind)
			x.waits("CLIENT PAUSE", paused)
			x.goOn()
			if got := <-paused; got != "OK" {
				t.Error(got)
			}
			writes := later(d, "EVAL", "return redis.call('SET',KEYS[1],'x')", "1", "c")
			if kind == "WRITE" {
				wantWhole(t, srv)
				wantReply(t, x.other, "nil", "GET", "c")
				wantReply(t, c, "OK", "CLIENT", "UNPAUSE")
			}
			if got := <-writes; got != "OK" {
				t.Error(got)
			}
			wantWhole(t, srv)
		}
	})
}

// TestFollowDuringAScript: a server that becomes a replica while a script stands still, in the middle of its writes,
// has in the end what its primary has; one that becomes a primary goes on with it.
func TestFollowDuringAScript(t *testing.T) {
	eachWidth(t, func(t *testing.T, wide bool) {
		primary, srv := startServer(t, quickSync...), startServer(t, quickSync...)
		wantReply(t, dial(t, primary.Addr()), "OK", "MSET", "a", "1", "b", "2", "c", "3")
		x := standStill(t, srv, wide)
		host, port, _ := strings.Cut(primary.Addr(), ":")
		c := dial(t, srv.Addr())
		following := later(c, "REPLICAOF", host, port)
		for range 50 {
			x.other.do("PING")
		}
		x.goOn()
		if got := <-following; got != "OK" {
			t.Error(got)
		}
		wantEqual(t, primary, srv)
		wantReply(t, c, "OK", "CONFIG", "SET", "replica-read-only", "no")
		x = standStill(t, srv, wide)
		promoted := later(c, "REPLICAOF", "NO", "ONE")
		for range 50 {
			x.other.do("PING")
		}
		x.goOn()
		if got := <-promoted; got != "OK" {
			t.Error(got)
		}
		wantReply(t, c, "OK", "SET", "c", "4")
		wantWhole(t, srv)
	})
}

// TestFailoverDuringAScript: the replica that takes over has all that the script has done.
func TestFailoverDuringAScript(t *testing.T) {
	eachWidth(t, func(t *testing.T, wide bool) {
		srv, replica := startServer(t, quickSync...), startServer(t, quickSync...)
		follow(t, replica, srv.Addr())
		c := dial(t, srv.Addr())
		eventually(t, "the replica is online", func() bool {
			return strings.Contains(c.do("INFO", "replication"), ",state=online,")
		})
		x := standStill(t, srv, wide)
		failing := later(c, "FAILOVER")
		for range 50 {
			x.other.do("PING")
		}
		if got := dial(t, replica.Addr()).info("replication", "role"); got != "slave" {
			t.Errorf("in the middle of the script the replica's role is %s", got)
		}
		x.goOn()
		if got := <-failing; got != "OK" {
			t.Error(got)
		}
		wantEqual(t, replica, srv)
		wantWhole(t, replica)
	})
}

// TestLogDuringAScript: what is asked of the append-only file or the snapshot while a script stands still is done when
// that is over, and has all that it has done: at the next start it is there.
func TestLogDuringAScript(t *testing.T) {
	for _, test := range []struct {
		before, command, want string
		waits                 bool
	}{
		{"yes", "BGREWRITEAOF", "Background append only file rewriting started", false},
		{"yes", "CONFIG SET appendonly no", "OK", false},
		{"no", "CONFIG SET appendonly yes", "OK", false},
		{"yes", "DEBUG RELOAD", "OK", true},
		{"no", "DEBUG RELOAD", "OK", true},
		{"yes", "BGSAVE", "Background saving started", true},
		{"no", "SAVE", "OK", true},
		{"yes", "FLUSHALL", "OK", true},
	} {
		eachWidth(t, func(t *testing.T, wide bool) {
			dir := t.TempDir()
			start := func(logged string) *Server {
				srv := startServer(t, append(quickSync, "--dir", dir, "--appendonly", logged)...)
				<-srv.loading.done
				return srv
			}
			srv := start(test.before)
			x := standStill(t, srv, wide)
			c := dial(t, srv.Addr())
			reply := later(c, strings.Fields(test.command)...)
			if test.waits {
				x.waits(test.command, reply)
			}
			x.goOn()
			if got := <-reply; got != test.want {
				t.Errorf("%s: %s", test.command, got)
			}
			if test.command == "FLUSHALL" {
				wantReply(t, c, "0", "DBSIZE")
				wantReply(t, c, "OK", "MSET", "a", "whole", "b", "whole")
			}
			wantWhole(t, srv)
			wantReply(t, c, "OK", "SET", "c", "1")
			if (test.before == "no") != strings.HasPrefix(test.command, "CONFIG") { // there is no append-only file
				wantReply(t, c, "OK", "SAVE")
				if err := srv.Shutdown(); err != nil {
					t.Fatal(err)
				}
				srv = start("no")
			} else {
				eventually(t, "the append-only file is there", func() bool {
					return srv.aof.enabled() && !srv.aof.rewrites.busy()
				})
				if err := srv.Shutdown(); err != nil {
					t.Fatal(err)
				}
				srv = start("yes")
			}
			wantWhole(t, srv)
			wantReply(t, dial(t, srv.Addr()), "1", "GET", "c")
		})
	}
}

// TestBusyAsRedis: what servers of both kinds refuse while a script makes them busy.
func TestBusyAsRedis(t *testing.T) {
	o := redistest.StartOracle(t, "--lua-time-limit", "20", "--enable-debug-command", "yes")
	srv := startServer(t, "--lua-time-limit", "20")
	var replies [2][]string
	for i, addr := range []string{o.Addr, srv.Addr()} {
		dial(t, addr).send("EVAL \"" + endless + "\" 0\r\n")
		c := dial(t, addr)
		eventually(t, "it is busy", func() bool { return c.do("PING") == busyText })
		for _, words := range []string{
			"CLIENT PAUSE 1", "CLIENT PAUSE 1 WRITE", "CLIENT UNPAUSE", "REPLICAOF NO ONE", "REPLICAOF 127.0.0.1 1",
			"FAILOVER", "FAILOVER ABORT", "BGREWRITEAOF", "BGSAVE", "SAVE", "CONFIG SET appendonly yes",
			"DEBUG RELOAD", "SYNC", "PSYNC ? -1", "REPLCONF capa eof", "ROLE", "INFO", "SCRIPT EXISTS x",
			"SCRIPT FLUSH", "FUNCTION STATS", "FUNCTION LIST", "FUNCTION KILL", "EVAL x 0", "FCALL f 0",
			"SUBSCRIBE c", "WATCH a", "MULTI", "GET a", "EXEC", "MULTI", "DISCARD", "SHUTDOWN ABORT", "SHUTDOWN SAVE",
			"SHUTDOWN x", "SCRIPT KILL",
		} {
			replies[i] = append(replies[i], words+": "+c.do(strings.Fields(words)...))
		}
	}
	for i, want := range replies[0] {
		if replies[1][i] != want {
			t.Errorf("got %q, redis-server says %q", replies[1][i], want)
		}
	}
}
