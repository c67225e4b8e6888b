package console

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"fulmen/internal/need"
)

// fakeSource is a server with made-up figures.
type fakeSource struct {
	status Status
	sick   error
	asked  chan struct{} // if set, Status announces itself here …
	answer chan struct{} // … and waits for this
}

func (f *fakeSource) Health() error { return f.sick }

func (f *fakeSource) Status() *Status {
	if f.asked != nil {
		f.asked <- struct{}{}
		<-f.answer
	}
	st := f.status
	return &st
}

// figures fills every field with something that can be told apart.
func figures() Status {
	st := Status{
		Version: "1.2.3", RedisVersion: "7.2.4", GoVersion: "go1", RunID: "abc", ProcessID: 7, UptimeSeconds: 8,
		GCCPUSeconds: 0.25, ProcessCPUSeconds: 12.5, GoHeapBytes: 9, UsedMemoryBytes: 10, RSSBytes: 11,
		CommandsProcessed: 12,
		Latency: Latency{MeanUs: 1.5, Calls: 3, Commands: []Command{
			{Name: "get", Calls: 2, MeanUs: 1, TotalUs: 2}, {Name: "config|get", Calls: 1, Failed: 1, Rejected: 4},
		}},
		Connections: Connections{Current: 5, PerLoop: []int64{2, 3}},
		Keyspace:    []Database{{DB: 0, Keys: 100, Expires: 1}, {DB: 9, Keys: 200}},
		Errors:      map[string]int64{"ERR": 1, "WRONG\"\\\nTYPE": 2},
	}
	for id := range 2 {
		h := NewHolds([]HoldBucket{{1000, 90}, {50_000, 9}, {2_000_000, 1}}, 5_000_000, 1_900_000)
		h.Long = []LongHold{{Name: "many short, or \"none\"", Count: 1, MaxUs: 1900}}
		h.By = map[string]float64{"many short, or \"none\"": 1900}
		st.Shards = append(st.Shards, Shard{ID: id, Keys: 3, Bytes: 4, Holds: h})
	}
	return st
}

// patientLimits are a server's but for the time that clients have: a machine that stands still makes a test late.
func patientLimits() limits {
	l := standardLimits
	l.header, l.request, l.reply, l.idle = time.Hour, time.Hour, time.Hour, time.Hour
	return l
}

// start serves the source on a port of its own; what net/http logs is dropped.
func start(t *testing.T, source Source, l limits) (c *Console, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:"+need.Port(t))
	if err != nil {
		t.Fatal(err)
	}
	c = newConsole(source, func(string) {}, l)
	c.Serve(ln)
	t.Cleanup(func() { <-c.Stop() })
	return c, ln.Addr().String()
}

func get(t *testing.T, addr, path string) (*http.Response, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

func TestStatusIsJSON(t *testing.T) {
	source := &fakeSource{status: figures()}
	_, addr := start(t, source, patientLimits())
	r, body := get(t, addr, "/status")
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s, %s", r.Status, r.Header.Get("Content-Type"))
	}
	// The library for JSON must write what the standard one does.
	var got, want any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	standard, err := json.Marshal(source.status)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(standard, &want); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"keyspace"} {
		if _, ok := got.(map[string]any)[list].([]any); !ok {
			t.Errorf("%s is no list", list)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %s\nwant %s", body, standard)
	}
}

// TestNamesForBenchmarks holds the names that the benchmarks read.
func TestNamesForBenchmarks(t *testing.T) {
	_, addr := start(t, &fakeSource{status: figures()}, patientLimits())
	_, body := get(t, addr, "/status")
	var st struct {
		GCCPUSeconds      float64 `json:"gc_cpu_seconds"`
		ProcessCPUSeconds float64 `json:"process_cpu_seconds"`
		GoHeapBytes       float64 `json:"go_heap_bytes"`
		UsedMemoryBytes   float64 `json:"used_memory_bytes"`
		RSSBytes          float64 `json:"rss_bytes"`
		CommandsProcessed float64 `json:"commands_processed"`
		Shards            []struct {
			ID    int `json:"id"`
			Holds struct {
				Count    float64 `json:"count"`
				TotalUs  float64 `json:"total_us"`
				P50Us    float64 `json:"p50_us"`
				P99Us    float64 `json:"p99_us"`
				P999Us   float64 `json:"p999_us"`
				P99999Us float64 `json:"p99999_us"`
				MaxUs    float64 `json:"max_us"`
				Long     []struct {
					Name  string  `json:"name"`
					Count float64 `json:"count"`
					MaxUs float64 `json:"max_us"`
				} `json:"long"`
				By map[string]float64 `json:"by"`
			} `json:"holds"`
		} `json:"shards"`
	}
	if err := json.Unmarshal([]byte(body), &st); err != nil {
		t.Fatal(err)
	}
	if st.GCCPUSeconds != 0.25 || st.ProcessCPUSeconds != 12.5 || st.GoHeapBytes != 9 || st.UsedMemoryBytes != 10 ||
		st.RSSBytes != 11 || st.CommandsProcessed != 12 || len(st.Shards) != 2 || st.Shards[1].ID != 1 {
		t.Fatalf("%+v", st)
	}
	h := st.Shards[0].Holds
	if h.Count != 100 || h.TotalUs != 5000 || h.P50Us != 1 || h.P99Us != 50 || h.P999Us != 1900 ||
		h.P99999Us != 1900 || h.MaxUs != 1900 {
		t.Errorf("%+v", h)
	}
	if len(h.Long) != 1 || h.Long[0].Count != 1 || h.Long[0].MaxUs != 1900 || h.By[h.Long[0].Name] != 1900 {
		t.Errorf("%+v", h)
	}
}

func TestEmptyHolds(t *testing.T) {
	h := NewHolds(nil, 0, 0)
	if h.Count != 0 || h.P50Us != 0 || h.P99999Us != 0 {
		t.Errorf("%+v", h)
	}
	h = NewHolds([]HoldBucket{{7, 0}, {15, 1}, {31, 0}}, 12, 12)
	if h.P50Us != 0.012 || h.P99999Us != 0.012 {
		t.Errorf("one hold: %+v", h)
	}
}

// TestEmptyStatus: lists are lists and no figure is not a number, also when there is nothing.
func TestEmptyStatus(t *testing.T) {
	_, addr := start(t, &fakeSource{}, patientLimits())
	_, body := get(t, addr, "/status")
	if strings.Contains(body, "null") {
		t.Error(body)
	}
	if _, page := get(t, addr, "/metrics"); parse(t, page) == nil {
		t.Error("no metrics")
	}
}

func TestHealth(t *testing.T) {
	source := &fakeSource{}
	_, addr := start(t, source, patientLimits())
	if r, body := get(t, addr, "/healthz"); r.StatusCode != http.StatusOK || body != "ok\n" {
		t.Errorf("%s %q", r.Status, body)
	}
	sick := &fakeSource{sick: errors.New("loading")}
	_, addr = start(t, sick, patientLimits())
	if r, body := get(t, addr, "/healthz"); r.StatusCode != http.StatusServiceUnavailable || body != "loading\n" {
		t.Errorf("%s %q", r.Status, body)
	}
}

func TestRoutes(t *testing.T) {
	_, addr := start(t, &fakeSource{status: figures()}, patientLimits())
	for _, c := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", "/", "", 200}, {"GET", "/status/", "", 404}, {"GET", "/debug/pprof/", "", 404},
		{"GET", "/metrics?x=1", "", 200}, {"HEAD", "/status", "", 200}, {"HEAD", "/healthz", "", 200},
		{"POST", "/status", "", 405}, {"DELETE", "/", "", 405}, {"OPTIONS", "*", "", 400},
		{"POST", "/status", "x", 413}, {"GET", "/metrics", "{}", 413},
	} {
		conn := dial(t, addr)
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s",
			c.method, c.path, len(c.body), c.body)
		r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.method})
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != c.code {
			t.Errorf("%s %s %q: %s, want %d", c.method, c.path, c.body, r.Status, c.code)
		}
		if c.code == 413 && !r.Close {
			t.Errorf("%s %s: the connection stays after a body", c.method, c.path)
		}
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// readClosed reads until the peer closes, which the test's own time limit bounds.
func readClosed(conn net.Conn) string {
	text, _ := io.ReadAll(conn) // a reset is a close, too
	return string(text)
}

// TestHostileClients: whoever sends slowly, much or nothing is cut off.
func TestHostileClients(t *testing.T) {
	l := patientLimits()
	l.header, l.request, l.idle = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	_, addr := start(t, &fakeSource{status: figures()}, l)
	for name, send := range map[string]string{
		"nothing":         "",
		"half a header":   "GET /status HTTP/1.1\r\nHost: localhost\r\nX-A: ",
		"idle afterwards": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a body promised": "POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\nabc",
		"a body in chunks": "POST /status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"ffffffff\r\nabc",
		"no http": "*1\r\n$4\r\nPING\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, addr)
			io.WriteString(conn, send)
			readClosed(conn)
		})
	}
	t.Run("a long header", func(t *testing.T) {
		conn := dial(t, addr)
		io.WriteString(conn, "GET /status HTTP/1.1\r\nHost: localhost\r\n")
		line := "X-A: " + strings.Repeat("a", 1000) + "\r\n"
		sent := 0
		for ; sent < 100<<20; sent += len(line) {
			if _, err := io.WriteString(conn, line); err != nil {
				break
			}
		}
		if sent >= 100<<20 {
			t.Error("100 MB of header were taken")
		}
	})
	// And the console goes on. The limits are so short that this test's own request may need several tries.
	for {
		r, err := http.Get("http://" + addr + "/status")
		if err == nil {
			r.Body.Close()
			break
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	l := patientLimits()
	l.conns = 3
	_, addr := start(t, &fakeSource{status: figures()}, l)
	var held []net.Conn
	for range l.conns {
		conn := dial(t, addr)
		// An answer shows that the connection was accepted; it stays open.
		io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	over := dial(t, addr)
	io.WriteString(over, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if text := readClosed(over); text != "" {
		t.Errorf("one connection too many got %q", text)
	}
	// One that goes makes room; the server notices some time after we have closed.
	held[0].Close()
	for {
		conn := dial(t, addr)
		io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			break
		}
	}
}

func TestReportsAreBounded(t *testing.T) {
	source := &fakeSource{status: figures(), asked: make(chan struct{}), answer: make(chan struct{})}
	l := patientLimits()
	l.reports, l.wait = 1, time.Millisecond
	_, addr := start(t, source, l)
	var first sync.WaitGroup
	first.Go(func() {
		if r, _ := get(t, addr, "/status"); r.StatusCode != http.StatusOK {
			t.Errorf("the first: %s", r.Status)
		}
	})
	<-source.asked
	r, _ := get(t, addr, "/metrics")
	if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("the second at the same time: %s", r.Status)
	}
	if r, _ := get(t, addr, "/healthz"); r.StatusCode != http.StatusOK {
		t.Errorf("health meanwhile: %s", r.Status)
	}
	source.answer <- struct{}{}
	first.Wait()
}

// TestStop: the address is free at once, idle connections are closed, a running request may end, and afterwards
// nobody is in the source.
func TestStop(t *testing.T) {
	source := &fakeSource{status: figures(), asked: make(chan struct{}), answer: make(chan struct{})}
	l := patientLimits()
	l.drain = time.Minute
	c, addr := start(t, source, l)
	idle := dial(t, addr)
	io.WriteString(idle, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if r, _ := get(t, addr, "/status"); r.StatusCode != http.StatusOK {
			t.Errorf("the running request: %s", r.Status)
		}
	})
	<-source.asked
	done := c.Stop()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the address is not free: %v", err)
	}
	ln.Close()
	readClosed(idle)
	select {
	case <-done:
		t.Error("done with a request in the source")
	default:
	}
	source.answer <- struct{}{}
	running.Wait()
	<-done
	<-c.Stop() // again
	late, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Serve(late)
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener given to a stopped console: %v", err)
	}
}

// TestStopCutsOff: a request that does not come to its end is not waited for.
func TestStopCutsOff(t *testing.T) {
	l := patientLimits()
	l.drain = time.Millisecond
	c, addr := start(t, &fakeSource{status: figures()}, l)
	slow := dial(t, addr)
	io.WriteString(slow, "GET /status HTTP/1.1\r\nHost: localhost\r\nX-A: ")
	busy := dial(t, addr)
	io.WriteString(busy, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(busy), nil); err != nil {
		t.Fatal(err)
	}
	<-c.Stop()
	readClosed(slow)
}
