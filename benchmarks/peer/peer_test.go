package peer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/need"
)

func redis(t *testing.T) Spec {
	t.Helper()
	for _, spec := range Known("bin") {
		if spec.Name == Redis && spec.Installed() {
			return spec
		}
	}
	need.Missing(t, "redis-server is not on PATH")
	return Spec{}
}

// TestServerLife starts a real server, asks it everything, and stops it.
func TestServerLife(t *testing.T) {
	spec := redis(t)
	s, err := Start(context.Background(), spec, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	before, known := s.Processed()
	if _, err := s.Do("SET", "a", "1"); err != nil {
		t.Error(err)
	}
	if after, _ := s.Processed(); !known || after != before+2 { // The SET and the INFO before it.
		t.Errorf("processed %d, then %d", before, after)
	}
	if _, err := s.Do("GET"); err == nil || !strings.Contains(err.Error(), "wrong number") {
		t.Errorf("wrong arity: %v", err)
	}
	if reply, err := s.Do("GET", "b"); err != nil || !reply.Null {
		t.Errorf("GET b: %+v, %v", reply, err)
	}
	if reply, err := s.Do("SCAN", "0"); err != nil || len(reply.Items) != 2 || reply.Items[1].Items[0].Text != "a" {
		t.Errorf("SCAN: %+v, %v", reply, err)
	}
	if n, err := s.KeyCount(); err != nil || n != 1 {
		t.Errorf("%d keys, %v", n, err)
	}
	if rss, err := s.RSSBytes(); err != nil || rss < 1<<20 {
		t.Errorf("RSS %d, %v", rss, err)
	}
	if _, err := s.CPU(); err != nil {
		t.Error(err)
	}
	if reply, err := s.Do("CONFIG", "GET", "save"); err != nil || reply.Items[1].Text != "" {
		t.Errorf("persistence is on: %+v, %v", reply, err)
	}
	if s.Version() == "" || !strings.Contains(Version(context.Background(), spec.Args[0]), "Redis") {
		t.Errorf("versions %q, %q", s.Version(), Version(context.Background(), spec.Args[0]))
	}
	if _, err := s.ReadStatus(context.Background()); err == nil {
		t.Error("redis-server has a /status")
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	if _, err := s.CPU(); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("CPU of a dead server: %v", err)
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	for command, want := range map[string]string{
		"x=sh -c 'echo cannot bind >&2; exit 3'": "cannot bind",
		"x=/does/not/exist":                      "no such file",
	} {
		spec, err := ParseSpec(command)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Start(context.Background(), spec, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", command, err)
		}
	}
	spec, _ := ParseSpec("x=sleep 60")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Start(ctx, spec, nil); err == nil {
		t.Error("a server that never answers has started")
	}
}

func TestServerThatDies(t *testing.T) {
	s, err := Start(context.Background(), redis(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Do("SHUTDOWN", "NOSAVE")
	<-s.exited
	if _, err := s.Do("PING"); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("PING to a dead server: %v", err)
	}
	if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("stopping a dead server: %v", err)
	}
}

func TestParseSpec(t *testing.T) {
	spec, err := ParseSpec("old=redis-server  --port {port} --save '' --dir '/a b'")
	want := []string{"redis-server", "--port", "{port}", "--save", "", "--dir", "/a b"}
	if err != nil || spec.Name != "old" || !slices.Equal(spec.Args, want) || spec.Floor {
		t.Errorf("%+v, %v", spec, err)
	}
	if got := spec.String(); got != "redis-server --port {port} --save '' --dir '/a b'" {
		t.Errorf("String() = %s", got)
	}
	if more := spec.With("new", "--x"); more.Name != "new" || len(more.Args) != 8 || len(spec.Args) != 7 {
		t.Errorf("With: %+v", more)
	}
	for _, bad := range []string{"redis-server", "=x", "a=", "a='x"} {
		if _, err := ParseSpec(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	spec = Spec{Args: []string{filepath.Join(t.TempDir(), "nothing")}}
	if spec.Installed() || spec.Program() != "nothing" {
		t.Errorf("%+v is installed", spec)
	}
	if _, err := exec.LookPath("sh"); err == nil && !(Spec{Args: []string{"sh"}}).Installed() {
		t.Error("sh is not installed")
	}
}

func TestParseInfo(t *testing.T) {
	info := ParseInfo("# Server\r\nredis_version:7.2.0\r\nexecutable:/a:b\r\n\r\n# Stats\r\nx:1\r\n")
	if len(info) != 3 || info["executable"] != "/a:b" || info["x"] != "1" {
		t.Errorf("%v", info)
	}
}

func TestTail(t *testing.T) {
	var end tail
	for range 1000 {
		end.Write([]byte("0123456789\n"))
	}
	end.Write([]byte("last"))
	if text := end.String(); !strings.HasSuffix(text, "\n  last") || len(end.text) != tailBytes {
		t.Errorf("%d bytes kept, ending %q", len(end.text), text[len(text)-20:])
	}
}

func TestStatus(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"process":{"gc_cpu_seconds":1.5,"cpu":2},"shards":[
			{"holds":{"max_us":12,"p99999_us":9,"by":{"expire":12,"split":{"max_us":4}}}},
			{"holds":{"max":2,"cpu":{"max_ns":30000,"p99_999_us":7},
				"by":[{"name":"expire","max_us":8},{"name":"flush","max_us":30}]}},
			{"other":1}]}`))
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("# HELP x\nfulmen_go_heap_bytes 4096\nops{shard=\"0\"} 2\nops{shard=\"1\"} 3\n"))
	})
	web := httptest.NewServer(mux)
	defer web.Close()
	s := &Server{HTTP: strings.TrimPrefix(web.URL, "http://")}
	status, err := s.ReadStatus(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"gc_cpu_seconds": 1.5, "go_heap_bytes": 4096, "ops": 5} {
		if got, ok := status.Figure("unknown", name); !ok || got != want {
			t.Errorf("%s = %g, %v", name, got, ok)
		}
	}
	if _, ok := status.Figure("nothing"); ok {
		t.Error("an unknown figure was found")
	}
	worst, known := status.Holds()
	if !known || worst.MaxUs != 30 || worst.P99999Us != 9 {
		t.Errorf("holds %+v", worst)
	}
	if worst.By["expire"] != 12 || worst.By["split"] != 4 || worst.By["flush"] != 30 {
		t.Errorf("by %v", worst.By)
	}
	if _, known := (Status{}).Holds(); known {
		t.Error("holds from nothing")
	}
}
