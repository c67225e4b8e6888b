package server

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// list returns the lines of CLIENT LIST by id.
func (c *client) list() map[string]string {
	c.t.Helper()
	lines := map[string]string{}
	for line := range strings.Lines(c.do("CLIENT", "LIST")) {
		lines[field(line, "id")] = strings.TrimSpace(line)
	}
	return lines
}

// TestClientKill: clients in all states are killed by others; the killer is told how many.
func TestClientKill(t *testing.T) {
	srv := startServer(t)
	killer := dial(t, srv.Addr())
	killer.do("SET", "big", strings.Repeat("x", 1<<20))
	states := map[string]func(c *client){
		"idle":           func(*client) {},
		"half a command": func(c *client) { c.send("*2\r\n$3\r\nGET\r\n$10\r\nabc") },
		"inside MULTI":   func(c *client) { c.do("MULTI"); c.do("SET", "a", "b") },
		"watching":       func(c *client) { c.do("WATCH", "a", "b", "c") },
		"not reading":    func(c *client) { c.send(strings.Repeat(bulk("GET", "big"), 100)) },
	}
	for name, state := range states {
		victim := dial(t, srv.Addr())
		id := victim.do("CLIENT", "ID")
		state(victim)
		if name == "not reading" {
			eventually(t, "it is stalled", func() bool { return field(killer.list()[id], "omem") != "0" })
		}
		if got := killer.do("CLIENT", "KILL", "ID", id); got != "1" {
			t.Errorf("%s: killed %s", name, got)
		}
		eventually(t, name+" is gone", func() bool { return killer.list()[id] == "" })
		if name != "not reading" {
			victim.wantClosed()
		}
	}
	if got := killer.do("EXISTS", "a"); got != "0" {
		t.Error("what was queued has been executed")
	}
}

// TestClientKillForms: by address, by both kinds of address, all at once.
func TestClientKillForms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	srv := startServer(t, "--unixsocket", path)
	killer := dial(t, srv.Addr())
	me := killer.do("CLIENT", "ID")
	var victim *client
	for _, network := range []string{srv.Addr(), path} {
		victim = dial(t, network)
		id := victim.do("CLIENT", "ID")
		addr := field(killer.list()[id], "addr")
		if network == path && addr != path+":0" {
			t.Errorf("a unix socket's address is %s", addr)
		}
		if got := killer.do("CLIENT", "KILL", addr); got != "OK" {
			t.Errorf("killing %s: %s", addr, got)
		}
		victim.wantClosed()
		if got := killer.do("CLIENT", "KILL", addr); got != "-ERR No such client" {
			t.Errorf("killing %s again: %s", addr, got)
		}
	}
	victims := []*client{dial(t, srv.Addr()), dial(t, path), dial(t, srv.Addr())}
	for _, v := range victims {
		v.do("PING")
	}
	if got := killer.do("CLIENT", "KILL", "LADDR", srv.Addr(), "ADDR", path+":0"); got != "0" {
		t.Errorf("killed %s that match one of two addresses", got)
	}
	if got := killer.do("CLIENT", "KILL", "TYPE", "normal"); got != "3" {
		t.Errorf("killed %s, want 3", got)
	}
	for _, v := range victims {
		v.wantClosed()
	}
	eventually(t, "only the killer is left", func() bool {
		lines := killer.list()
		return len(lines) == 1 && lines[me] != ""
	})
	// Oneself goes after the reply, and nothing that comes behind is executed.
	killer.send(bulk("MULTI") + bulk("CLIENT", "KILL", "ID", me, "SKIPME", "no") + bulk("SET", "in", "1") +
		bulk("EXEC") +
		bulk("SET", "behind", "1"))
	killer.want("OK", "QUEUED", "QUEUED", "[1 OK]")
	killer.wantClosed()
	c := dial(t, srv.Addr())
	if in, behind := c.do("EXISTS", "in"), c.do("EXISTS", "behind"); in != "1" || behind != "0" {
		t.Errorf("in: %s, behind: %s", in, behind)
	}
}

// TestKilledExecutesNothing: what a client sends when its killer has been replied to is not executed, even where its
// loop has not heard of it yet.
func TestKilledExecutesNothing(t *testing.T) {
	srv := startServer(t)
	victim, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	id, err := strconv.ParseUint(victim.do("CLIENT", "ID"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	srv.clients.find(id).killNow.Store(true) // and no letter comes
	victim.send(bulk("SET", "k", "v"))
	victim.wantClosed()
	if got := other.do("EXISTS", "k"); got != "0" {
		t.Error("it was executed")
	}
}

// TestQueryBufferLimit: what is collected of one command, and what MULTI queues.
func TestQueryBufferLimit(t *testing.T) {
	srv, log := startLogged(t, "--client-query-buffer-limit", "1mb")
	watcher := dial(t, srv.Addr())

	c := dial(t, srv.Addr())
	id := c.do("CLIENT", "ID")
	c.send("*2\r\n$4\r\nECHO\r\n$100000000\r\n" + strings.Repeat("x", 900_000))
	eventually(t, "the query buffer is seen", func() bool { return fieldInt(t, watcher.list()[id], "qbuf") > 900_000 })
	if line := watcher.list()[id]; fieldInt(t, line, "tot-mem") < 900_000 {
		t.Errorf("not counted: %s", line)
	}
	c.send(strings.Repeat("x", 200_000))
	c.wantClosed()

	c = dial(t, srv.Addr())
	id = c.do("CLIENT", "ID")
	c.do("MULTI")
	value := strings.Repeat("x", 100_000)
	for i := range 10 {
		c.do("SET", "k", value)
		if mem := fieldInt(t, watcher.list()[id], "multi-mem"); mem < (i+1)*100_000 || mem > (i+1)*101_000 {
			t.Errorf("%d commands queued, multi-mem is %d", i+1, mem)
		}
	}
	c.send(bulk("SET", "k", value))
	c.wantClosed()
	watcher.wantInfo("stats", "client_query_buffer_limit_disconnections", "2")
	log.wantLogged(t, 2, "reached max query buffer length")
	if got := watcher.do("EXISTS", "k"); got != "0" {
		t.Error("what was queued has been executed")
	}
	eventually(t, "nothing is counted any more", func() bool { return srv.clientMemory.Load() < 100_000 })
}

// TestStrangersOutput: who has not authenticated may not make the server keep output.
func TestStrangersOutput(t *testing.T) {
	srv := startServer(t, "--requirepass", "secret")
	c := dial(t, srv.Addr())
	flood := strings.Repeat("PING\r\n", 10_000)
	var err error
	for sent := 0; err == nil; sent += len(flood) {
		if sent > 100<<20 {
			t.Fatal("100 MB of commands without reading a reply")
		}
		_, err = c.Write([]byte(flood))
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatal("neither read nor closed")
	}
	watcher := dial(t, srv.Addr())
	watcher.do("AUTH", "secret")
	watcher.wantInfo("stats", "client_output_buffer_limit_disconnections", "1")
}

// notReading sends GETs of a value of a megabyte and reads nothing.
func notReading(t testing.TB, addr string, times int) (c *client, id string) {
	t.Helper()
	c = dial(t, addr)
	id = c.do("CLIENT", "ID")
	c.send(strings.Repeat(bulk("GET", "big"), times))
	return c, id
}

// TestOutputLimits: hard ones at once, soft ones after their time; nobody else is cut.
func TestOutputLimits(t *testing.T) {
	for _, tt := range []struct {
		name, limit string
		times       int
		atLeast     time.Duration
		cut         bool
	}{
		{"hard", "normal 8mb 0 0", 60, 0, true},
		{"soft", "normal 0 2mb 1", 60, time.Second, true},
		{"hard before soft", "normal 8mb 2mb 1000", 60, 0, true},
		{"soft, but not above", "normal 0 40mb 1", 30, 0, false},
		{"none", "normal 0 0 0", 60, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // most of the time they wait
			srv, log := startLogged(t)
			watcher := dial(t, srv.Addr())
			watcher.do("SET", "big", strings.Repeat("x", 1<<20))
			if got := watcher.do("CONFIG", "SET", "client-output-buffer-limit", tt.limit); got != "OK" {
				t.Fatal(got)
			}
			began := time.Now()
			c, id := notReading(t, srv.Addr(), tt.times)
			if !tt.cut {
				eventually(t, "it is seen in CLIENT LIST", func() bool {
					return fieldInt(t, watcher.list()[id], "omem") > 100_000
				})
				for range 1500 * time.Millisecond / tickOfTest {
					time.Sleep(tickOfTest) // there is nothing to wait for but the time
				}
				if watcher.list()[id] == "" {
					t.Error("cut")
				}
				return
			}
			eventually(t, "it is cut", func() bool { return watcher.list()[id] == "" })
			if took := time.Since(began); took < tt.atLeast {
				t.Errorf("cut after %v", took)
			}
			watcher.wantInfo("stats", "client_output_buffer_limit_disconnections", "1")
			log.wantLogged(t, 1, "overcoming of output buffer limits")
			_ = c.Close()
		})
	}
}

// tickOfTest is how long a test sleeps between two looks.
const tickOfTest = 20 * time.Millisecond

// TestStalledClientsGoOn: clients that read after all get every reply, in order.
func TestStalledClientsGoOn(t *testing.T) {
	srv := startServer(t)
	watcher := dial(t, srv.Addr())
	const clients, keys, times = 8, 7, 120
	value := func(k int) string { return strings.Repeat(fmt.Sprintf("%09d,", k), 20_000) }
	for k := range keys {
		watcher.do("SET", fmt.Sprint("big", k), value(k))
	}
	all := make([]*client, clients)
	ids := make([]string, clients)
	for i := range all {
		all[i] = dial(t, srv.Addr())
		ids[i] = all[i].do("CLIENT", "ID")
		var script strings.Builder
		for n := range times {
			script.WriteString(bulk("GET", fmt.Sprint("big", (i+n)%keys)) + bulk("ECHO", strconv.Itoa(n)))
		}
		all[i].send(script.String())
	}
	eventually(t, "all have stalled", func() bool {
		lines := watcher.list()
		for _, id := range ids {
			if fieldInt(t, lines[id], "omem") < stallBytes {
				return false
			}
		}
		return true
	})
	for i, line := range watcher.list() {
		if omem := fieldInt(t, line, "omem"); omem > stallBytes+flushBytes+300_000 {
			t.Errorf("client %s has %d bytes of output", i, omem)
		}
	}
	if got := watcher.do("PING"); got != "PONG" {
		t.Error(got)
	}
	for i, c := range all {
		for n := range times {
			c.want(value((i+n)%keys), strconv.Itoa(n))
		}
	}
	eventually(t, "nothing is kept", func() bool {
		for _, line := range watcher.list() {
			if field(line, "omem") != "0" || fieldInt(t, line, "tot-mem") > 100_000 {
				return false
			}
		}
		return true
	})
}

// TestTimeout: silent clients are closed; who is not silent stays, and who waits, subscribes or follows.
func TestTimeout(t *testing.T) {
	p := startProof(t, 8, 2, 0, "--timeout", "10", "--repl-diskless-sync-delay", "0",
		"--repl-ping-replica-period", "1000") // its clock stands still
	silent, half, busy := dial(t, p.path), dial(t, p.path), dial(t, p.path)
	waiter, subscriber, follower := dial(t, p.path), dial(t, p.path), dialReplicaAt(t, p.path)
	subscriber.do("SUBSCRIBE", "news")
	waiter.send("BLPOP list 0\r\n")
	follower.full()
	id := silent.do("CLIENT", "ID")
	halfID := half.do("CLIENT", "ID")
	half.send("*2\r\n$4\r\nECHO\r\n$10\r\nabc")
	eventually(t, "half a command has come", func() bool { return fieldInt(t, busy.list()[halfID], "qbuf") > 0 })
	busy.wantInfo("clients", "blocked_clients", "1")
	for range 2 {
		p.clock.wall.Advance(9 * time.Second)
		if got := busy.do("PING"); got != "PONG" {
			t.Fatal(got)
		}
	}
	eventually(t, "the silent ones are closed", func() bool {
		lines := busy.list()
		return lines[id] == "" && lines[halfID] == ""
	})
	silent.wantClosed()
	half.wantClosed()
	for range 3 { // loops look once a second
		p.clock.wall.Advance(5 * time.Second)
		before := [2]int64{p.srv.loops[0].cameRoundMs.Load(), p.srv.loops[1].cameRoundMs.Load()}
		eventually(t, "the loops have looked", func() bool {
			busy.do("PING")
			return p.srv.loops[0].cameRoundMs.Load() > before[0] && p.srv.loops[1].cameRoundMs.Load() > before[1]
		})
	}
	if got := busy.do("PUBLISH", "news", "x"); got != "1" {
		t.Errorf("%s subscribers are left", got)
	}
	want := record("PUBLISH", "news", "x")
	if got := follower.take(len(want)); got != want {
		t.Errorf("the stream has %q", got)
	}
	busy.do("RPUSH", "list", "x")
	waiter.want("[list x]")
}

// TestMaxClients: one more is told so and closed, and let in when another one has gone.
func TestMaxClients(t *testing.T) {
	srv := startServer(t, "--maxclients", "3")
	clients := []*client{dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())}
	for _, c := range clients {
		c.do("PING")
	}
	for range 2 {
		c := dial(t, srv.Addr())
		c.want("-ERR max number of clients reached")
		c.wantClosed()
	}
	clients[0].wantInfo("stats", "rejected_connections", "2")
	if got := clients[0].do("CONFIG", "SET", "maxclients", "4"); got != "OK" {
		t.Error(got)
	}
	c := dial(t, srv.Addr())
	c.do("PING")
	_ = c.Close()
	eventually(t, "it is gone", func() bool { return len(clients[0].list()) == 3 })
	dial(t, srv.Addr()).do("PING")
}

// TestTCPKeepAlive: what CONFIG SET says holds for connections from then on.
func TestTCPKeepAlive(t *testing.T) {
	srv := startServer(t, "--tcp-keepalive", "120")
	if got := srv.keepAlive(); got != 2*time.Minute {
		t.Error(got)
	}
	c := dial(t, srv.Addr())
	c.do("CONFIG", "SET", "tcp-keepalive", "0")
	if got := srv.keepAlive(); got != 0 {
		t.Error(got)
	}
	dial(t, srv.Addr()).do("PING")
}

// TestShutdownInProcess: sessions in all states, commands that wait for batons among them, end with the server.
func TestShutdownInProcess(t *testing.T) {
	p := startProof(t, 8, 3, 5)
	p.meddlers()
	setter := dial(t, p.path)
	setter.do("SET", "big", strings.Repeat("x", 1<<20))
	var wg sync.WaitGroup
	for i := range 6 {
		notReading(t, p.path, 20)
		dial(t, p.path).do("MULTI")
		watching := dial(t, p.path)
		watching.do("WATCH", "a", "b")
		watching.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nhalf")
		busy := dial(t, p.path)
		wg.Go(func() {
			script := strings.Repeat(bulk("MSET", "a", "1", "b", "2", "c", "3")+bulk("GET", "a"), 50)
			if i == 0 { // its replies are owed when the server stops
				_, _ = io.WriteString(busy, script)
				_ = busy.Conn.(*net.UnixConn).CloseWrite()
			}
			for i != 0 {
				if _, err := io.WriteString(busy, script); err != nil {
					return // the server has gone
				}
				select {
				case p.kicks <- struct{}{}:
				default:
				}
				if _, err := io.CopyN(io.Discard, busy, int64(len("+OK\r\n$1\r\n1\r\n")*50)); err != nil {
					return
				}
			}
		})
	}
	eventually(t, "they are at work", func() bool { return p.srv.commandsProcessed() > 5000 })
	p.calm()
	if err := p.srv.Shutdown(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if n, used := len(p.srv.clients.all()), p.srv.clientMemory.Load(); n != 0 || used != 0 {
		t.Errorf("%d sessions are left, %d bytes are counted", n, used)
	}
}
