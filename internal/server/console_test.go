package server

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fulmen/internal/config"
	"fulmen/internal/console"
	"fulmen/internal/need"
	"fulmen/internal/resp"
	"fulmen/persist/vfs"
)

// consoleOn has the server listen on a port that nobody uses, and returns its address.
func consoleOn(t *testing.T, c *proofConn) (addr string) {
	t.Helper()
	port := need.Port(t)
	if got := text(c.do("CONFIG", "SET", "http-port", port)); got != "OK" {
		t.Fatal(got)
	}
	return "127.0.0.1:" + port
}

// scrape gets a page on a connection of its own.
func scrape(addr, path string) (int, string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + addr + path)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, string(body), err
}

func mustScrape(t *testing.T, addr, path string) string {
	t.Helper()
	code, body, err := scrape(addr, path)
	if err != nil || code != http.StatusOK {
		t.Fatalf("%s: %d %v %s", path, code, err, body)
	}
	return body
}

func statusOf(t *testing.T, addr string) *console.Status {
	t.Helper()
	var st console.Status
	if err := json.Unmarshal([]byte(mustScrape(t, addr, "/status")), &st); err != nil {
		t.Fatal(err)
	}
	return &st
}

// settled makes sure that the counts of c's commands are published: a loop does so after it has replied, and whoever
// else has executed some, as it had the baton, before it gives that back.
func settled(c *proofConn) {
	c.do("PING")
	c.p.outsider().all(func() {})
}

func TestConsoleIsOffByDefault(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	if v := p.srv.cfg.Values(); v.HTTPPort != 0 || p.srv.console.running != nil {
		t.Errorf("http-port %d, running %v", v.HTTPPort, p.srv.console.running)
	}
	for _, addr := range p.srv.cfg.Values().HTTPBind {
		if ip := net.ParseIP(strings.TrimPrefix(addr, "-")); !ip.IsLoopback() {
			t.Errorf("http-bind is %s by default", addr)
		}
	}
}

func TestConsoleFigures(t *testing.T) {
	p := startProof(t, 4, 2, 0)
	c := p.dial()
	addr := consoleOn(t, c)
	const keys = 50
	for i := range keys {
		c.add("SET", "k"+strconv.Itoa(i), "v")
		c.add("GET", "k"+strconv.Itoa(i))
	}
	c.add("EXPIRE", "k0", "1000")
	c.add("SELECT", "3")
	c.add("SET", "x", "1", "EX", "100")
	c.add("SET", "y", "1")
	c.add("GET", "nothing")
	c.add("HELLO", "9")
	c.add("GET")
	c.all()
	settled(c)
	st := statusOf(t, addr)
	want := []console.Database{{DB: 0, Keys: keys, Expires: 1}, {DB: 3, Keys: 2, Expires: 1}}
	if len(st.Keyspace) != 2 || st.Keyspace[0] != want[0] || st.Keyspace[1] != want[1] {
		t.Errorf("keyspace %+v, want %+v", st.Keyspace, want)
	}
	byName := map[string]console.Command{}
	for _, cmd := range st.Latency.Commands {
		byName[cmd.Name] = cmd
	}
	if g := byName["get"]; g.Calls != keys+1 || g.Rejected != 1 || g.TotalUs <= 0 || g.MeanUs <= 0 {
		t.Errorf("get %+v", g)
	}
	if h := byName["hello"]; h.Failed != 1 || st.Errors["NOPROTO"] != 1 || st.Errors["ERR"] < 1 {
		t.Errorf("hello %+v, errors %v", h, st.Errors)
	}
	if st.Latency.MeanUs <= 0 || st.CommandsProcessed < 2*keys+7 {
		t.Errorf("%d commands, mean %v µs", st.CommandsProcessed, st.Latency.MeanUs)
	}
	checkShards(t, st, 4, keys+2)
	if st.Connections.Current != 1 || len(st.Connections.PerLoop) != 2 || st.Connections.Accepted != 1 {
		t.Errorf("connections %+v", st.Connections)
	}
	if m := st.Memory; m.ArenaBytes <= 0 || m.IndexBytes <= 0 || m.IndexBytes >= m.ArenaBytes || m.RSSBytes <= 0 ||
		m.UsedBytes < m.ArenaBytes || m.PeakBytes < m.UsedBytes || m.ClientBytes <= 0 || st.GoHeapBytes <= 0 {
		t.Errorf("memory %+v", m)
	}
	if st.ProcessCPUSeconds <= 0 || st.Throughput.InputBytes < 1000 || st.Throughput.OutputBytes < 100 {
		t.Errorf("%v s of CPU, throughput %+v", st.ProcessCPUSeconds, st.Throughput)
	}
	metrics := mustScrape(t, addr, "/metrics")
	for _, line := range []string{
		`fulmen_db_keys{db="3"} 2`, `fulmen_command_calls_total{command="get"} 51`,
		`fulmen_connections_accepted_total 1`,
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("%s is not in\n%s", line, metrics)
		}
	}

	c.do("FLUSHALL")
	c.do("CONFIG", "RESETSTAT")
	settled(c)
	if st := statusOf(t, addr); len(st.Keyspace) != 0 || st.CommandsProcessed > 3 || st.Connections.Accepted != 0 {
		t.Errorf("after a reset: %+v", st)
	}
}

// checkShards compares the shards with each other and with the number of keys.
func checkShards(t *testing.T, st *console.Status, shards int, keys int64) {
	t.Helper()
	if len(st.Shards) != shards {
		t.Fatalf("%d shards", len(st.Shards))
	}
	for i, s := range st.Shards {
		keys -= s.Keys
		h := s.Holds
		if s.ID != i || h.Count == 0 || h.TotalUs <= 0 || h.P50Us > h.P99Us || h.P99Us > h.P999Us ||
			h.P999Us > h.P99999Us || h.P99999Us > h.MaxUs || h.MaxUs > h.TotalUs || len(h.By) != len(h.Long) {
			t.Errorf("shard %d: %+v", i, s)
		}
	}
	if keys != 0 {
		t.Errorf("%d keys are missing in the shards", keys)
	}
}

// TestConsoleNeedsNoBaton: with every baton taken the console answers all the same.
func TestConsoleNeedsNoBaton(t *testing.T) {
	p := startProof(t, 4, 1, 0)
	c := p.dial()
	addr := consoleOn(t, c)
	p.outsider().all(func() {
		for _, path := range []string{"/status", "/metrics", "/healthz"} {
			mustScrape(t, addr, path)
		}
	})
}

// TestConsoleNamesLongHolds: who held a baton for a millisecond or more is in /status.
func TestConsoleNamesLongHolds(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	c := p.dial()
	addr := consoleOn(t, c)
	c.do("DEBUG", "SLEEP", "0.003")
	// Where background work had a baton when it came, that executes the command, and gives batons back after the reply.
	eventually(t, "the holds are published", func() bool {
		none := func(s console.Shard) bool { return len(s.Holds.Long) == 0 }
		return !slices.ContainsFunc(statusOf(t, addr).Shards, none)
	})
	for _, s := range statusOf(t, addr).Shards {
		var n int64
		for _, long := range s.Holds.Long {
			n += long.Count
			if s.Holds.By[long.Name] != long.MaxUs {
				t.Errorf("%+v", s.Holds)
			}
		}
		if s.Holds.By["debug"] < 3000 || n == 0 || s.Holds.MaxUs < 3000 {
			t.Errorf("shard %d: %+v", s.ID, s.Holds)
		}
	}
}

func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// TestConsoleMoves: CONFIG SET moves the console, turns it off, and leaves it alone if it fails.
func TestConsoleMoves(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	c := p.dial()
	first := consoleOn(t, c)
	mustScrape(t, first, "/healthz")
	second := consoleOn(t, c)
	mustScrape(t, second, "/healthz")
	if _, _, err := scrape(first, "/healthz"); !refused(err) {
		t.Errorf("the old address after a move: %v", err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for _, args := range [][]string{
		{"CONFIG", "SET", "http-port", port},
		{"CONFIG", "SET", "maxmemory", "1mb", "http-port", port},
		{"CONFIG", "SET", "http-bind", "127.0.0.1 203.0.113.77"},
	} {
		if v := c.do(args...); v.Kind != resp.KindError || !strings.Contains(string(v.Str), "CONFIG SET failed") {
			t.Errorf("%q: %s", args, v.Str)
		}
		mustScrape(t, second, "/healthz")
	}
	if v := p.srv.cfg.Values(); v.MaxMemoryBytes != 0 || p.srv.memory.Load().limit != 0 {
		t.Error("a refused CONFIG SET has changed something")
	}

	if v := c.do("CONFIG", "SET", "http-bind", "127.0.0.1 -203.0.113.77"); text(v) != "OK" {
		t.Errorf("an address that may be missing: %s", v.Str)
	}
	mustScrape(t, second, "/healthz")
	if v := c.do("CONFIG", "SET", "http-port", "0"); text(v) != "OK" {
		t.Errorf("turning it off: %s", v.Str)
	}
	if _, _, err := scrape(second, "/healthz"); !refused(err) {
		t.Errorf("after turning it off: %v", err)
	}
}

// TestConsoleUnderLoad scrapes while clients work and the console moves, for the race detector.
func TestConsoleUnderLoad(t *testing.T) {
	p := startProof(t, 4, 2, 0)
	control := p.dial()
	addr := consoleOn(t, control)
	var clients sync.WaitGroup
	for i := range 2 {
		c := p.dial()
		clients.Go(func() {
			for n := range 100 {
				for k := range 16 {
					c.add("SET", strconv.Itoa((n*16+k)*(i+1)%300), "v", "EX", "100")
					c.add("DEL", strconv.Itoa(k))
				}
				c.all()
			}
		})
	}
	for i := range 12 {
		mustScrape(t, addr, "/status")
		mustScrape(t, addr, "/metrics")
		if i == 6 {
			addr = consoleOn(t, control)
		}
	}
	clients.Wait()
	keys, err := strconv.ParseInt(text(control.do("DBSIZE")), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if st := statusOf(t, addr); len(st.Keyspace) != 1 || st.Keyspace[0].Keys != keys {
		t.Errorf("%+v, DBSIZE is %d", st.Keyspace, keys)
	}
}

// TestConsoleEndsWithTheServer: after Shutdown nobody listens, and CONFIG SET does not wake it up again.
func TestConsoleEndsWithTheServer(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	addr := consoleOn(t, p.dial())
	if err := p.srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := scrape(addr, "/healthz"); !refused(err) {
		t.Errorf("after Shutdown: %v", err)
	}
	if err := p.srv.console.apply(p.srv, p.srv.cfg.Values()); err != nil || p.srv.console.running != nil {
		t.Errorf("it is back: %v", err)
	}
	if err := (consoleSource{p.srv}).Health(); err == nil {
		t.Error("a server that was shut down is healthy")
	}
}

// TestConsoleAddressTaken: a server whose console can't listen does not start.
func TestConsoleAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg, err := config.Load([]string{
		"--port", need.Port(t), "--bind", "127.0.0.1",
		"--http-port", strconv.Itoa(taken.Addr().(*net.TCPAddr).Port), "--http-bind", "127.0.0.1",
	}, config.Env{Version: Version, Cwd: t.TempDir(), CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := New(Options{Config: cfg, Files: vfs.OS{}, Log: NewLogger(t.Output(), &slog.LevelVar{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err == nil || !strings.Contains(err.Error(), "http console") {
		t.Errorf("Start: %v", err)
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
	}
}

// TestHealthNoticesStuckLoops has a command take long: the console says so, and that it is over.
func TestHealthNoticesStuckLoops(t *testing.T) {
	port := need.Port(t)
	srv := startServer(t, "--http-port", port)
	addr := "127.0.0.1:" + port
	if code, body, err := scrape(addr, "/healthz"); err != nil || code != http.StatusOK {
		t.Fatal(code, body, err)
	}
	c := dial(t, srv.Addr())
	// Where the test itself does not run meanwhile it sees nothing: then there is another try, twice as long.
	body := ""
	for seconds := 4.5; body == "" && seconds < 100; seconds *= 2 {
		done := make(chan string)
		go func() { done <- c.do("DEBUG", "SLEEP", strconv.FormatFloat(seconds, 'f', 1, 64)) }()
		for ended := false; !ended; {
			select {
			case got := <-done:
				if ended = true; got != "OK" {
					t.Error(got)
				}
			default:
				code, text, err := scrape(addr, "/healthz")
				if err != nil {
					t.Fatal(err)
				}
				if code == http.StatusServiceUnavailable {
					body = text
				}
			}
		}
	}
	if !strings.Contains(body, "has not come round for ") {
		t.Errorf("the reason is %q", body)
	}
	eventually(t, "it is healthy again", func() bool {
		code, _, err := scrape(addr, "/healthz")
		return err == nil && code == http.StatusOK
	})
}
