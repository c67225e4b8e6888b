package server

import (
	"io"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/config"
	"fulmen/internal/resp"
)

// infoField asks INFO for a number.
func infoField(t *testing.T, c *client, section, name string) int64 {
	t.Helper()
	_, rest, found := strings.Cut(c.do("INFO", section), "\r\n"+name+":")
	digits, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !found || err != nil {
		t.Fatalf("INFO %s has no number %s (%q)", section, name, digits)
	}
	return n
}

// queue has a client keep about n bytes in a transaction, in small commands.
func (c *client) queue(n int) {
	c.t.Helper()
	c.do("MULTI")
	const piece = 32 << 10
	for range n / piece {
		if got := c.do("SET", "k", strings.Repeat("x", piece)); got != "QUEUED" {
			c.t.Fatal(got)
		}
	}
}

// TestMonitorIsEvicted: a client in MONITOR that doesn't read goes itself, and nobody else for what it holds.
func TestMonitorIsEvicted(t *testing.T) {
	srv := startServer(t, "--maxmemory-clients", "1mb")
	monitor, load, idle := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	idle.do("PING")
	if got := monitor.do("MONITOR"); got != "OK" {
		t.Fatal(got)
	}
	value := strings.Repeat("x", 50<<10)
	for range 2000 { // the sockets take the first megabytes
		if got := load.do("SET", "k", value); got != "OK" {
			t.Fatal(got)
		}
		if infoField(t, load, "stats", "evicted_clients") > 0 {
			break
		}
	}
	if got := idle.do("PING"); got != "PONG" {
		t.Error(got)
	}
	load.wantInfo("stats", "evicted_clients", "1")
}

// TestBiggestClientIsEvicted fills clients in several ways: the one that holds the most goes, unless it is protected.
func TestBiggestClientIsEvicted(t *testing.T) {
	srv, log := startLogged(t, "--maxmemory-clients", "4mb")
	control, big, small := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	control.do("CLIENT", "NO-EVICT", "ON")
	big.queue(2 << 20)
	small.queue(1 << 20)
	if n := infoField(t, control, "stats", "evicted_clients"); n != 0 {
		t.Fatalf("%d clients were evicted below the limit", n)
	}
	last := dial(t, srv.Addr())
	last.queue(3 << 19) // the sum is too much, and the biggest is another one
	big.wantClosed()
	if got := small.do("EXEC"); !strings.HasPrefix(got, "[OK OK ") {
		t.Error(got)
	}
	if got := last.do("DISCARD"); got != "OK" {
		t.Error(got)
	}
	if n := infoField(t, control, "stats", "evicted_clients"); n != 1 {
		t.Errorf("evicted_clients is %d", n)
	}
	log.wantLogged(t, 1, "Evicting client: id=")

	// The one that grows is the biggest itself: by a query that is not complete, by keys it watches.
	half := dial(t, srv.Addr())
	head := "*2\r\n$3\r\nGET\r\n$50000000\r\n"
	_, _ = io.WriteString(half, head+strings.Repeat("x", 5<<20)) // it may be closed before all is sent
	half.wantClosed()
	watcher := dial(t, srv.Addr())
	for i := range 12 {
		key := strconv.Itoa(i) + strings.Repeat("w", 200<<10)
		_, _ = watcher.Write(resp.AppendCommandStrings(nil, "WATCH", key)) // it may be closed already
	}
	for n := 0; ; n++ {
		if _, err := watcher.r.ReadReply(); err != nil {
			break
		}
		if n == 11 {
			t.Fatal("a client that watches big keys was not evicted")
		}
	}

	// Protected clients count, and are spared.
	safe := dial(t, srv.Addr())
	safe.do("CLIENT", "NO-EVICT", "ON")
	safe.queue(5 << 20)
	if got := safe.do("DISCARD"); got != "OK" {
		t.Error(got)
	}
	eventually(t, "what it kept is no longer counted", func() bool {
		return infoField(t, control, "memory", "mem_clients_normal") < 2<<20
	})
	if got := control.do("CONFIG", "RESETSTAT"); got != "OK" {
		t.Error(got)
	}
	if n := infoField(t, control, "stats", "evicted_clients"); n != 0 {
		t.Errorf("evicted_clients after RESETSTAT is %d", n)
	}

	// A limit that is lowered takes effect at once. What safe has given up is counted when its reply has left.
	eventually(t, "the memory of safe to be given back", func() bool { return srv.clientExcess() <= 0 })
	small2 := dial(t, srv.Addr())
	small2.queue(1 << 20)
	if got := control.do("CONFIG", "SET", "maxmemory-clients", "300kb"); got != "OK" {
		t.Error(got)
	}
	small2.wantClosed()
}

// TestClientMemoryIsBounded has 200 clients keep as much as they can: together never more than the limit and what one
// command brings, per loop. Those that are about to be closed come on top until their loop has its turn.
func TestClientMemoryIsBounded(t *testing.T) {
	const limit, value, clients = 8 << 20, 64 << 10, 200
	srv := startServer(t, "--maxmemory-clients", strconv.Itoa(limit))
	control := dial(t, srv.Addr())
	control.do("CLIENT", "NO-EVICT", "ON")
	command := string(resp.AppendCommandStrings(nil, "SET", "k", strings.Repeat("x", value)))
	var all []*client
	for range clients {
		c := dial(t, srv.Addr())
		c.send("MULTI\r\n")
		all = append(all, c)
	}
	most, mostKept := int64(0), int64(0)
	for range 4 {
		for _, c := range all {
			_, _ = io.WriteString(c, command) // most of them are closed soon
		}
		for range 20 {
			most = max(most, infoField(t, control, "memory", "mem_clients_normal"))
			mostKept = max(mostKept, srv.clientExcess())
		}
	}
	t.Logf("the most was %d bytes over a limit of %d", most-limit, limit)
	if mostKept > 4*value*int64(len(srv.loops)) {
		t.Errorf("clients that stay held %d bytes more than the limit", mostKept)
	}
	// While one loop does not run all its clients may be doomed: no more than the limit.
	if over := most - limit; over > limit*5/4 {
		t.Errorf("clients held %d bytes more than the limit", over)
	}
	eventually(t, "most of them are evicted", func() bool {
		return infoField(t, control, "stats", "evicted_clients") >= 100
	})
	if got := control.do("PING"); got != "PONG" {
		t.Error(got)
	}
	for _, c := range all {
		_ = c.Close() // evicted ones are closed
	}
	control.wantInfo("clients", "connected_clients", "1")
	eventually(t, "nothing is doomed", func() bool { return srv.clientEvictor.doomed.Load() == 0 })
	eventually(t, "one idle client holds little", func() bool {
		return infoField(t, control, "memory", "mem_clients_normal") <= 100<<10
	})
}

func TestClientLimit(t *testing.T) {
	for _, test := range []struct{ clients, memory, want int64 }{
		{0, 1 << 30, 0}, {1 << 20, 0, 1 << 20}, {1, 0, 128 << 10}, {-5, 0, 0}, {-5, 1 << 30, 53687091},
		{-100, 1 << 30, 1 << 30}, {-1, 1 << 20, 128 << 10},
	} {
		v := &config.Values{MaxMemoryClients: test.clients, MaxMemoryBytes: test.memory}
		if got := clientLimit(v); got != test.want {
			t.Errorf("%d of %d: got %d, want %d", test.clients, test.memory, got, test.want)
		}
	}
}
