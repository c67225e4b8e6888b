package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	if got := string(appendKey(nil, "key:", 1234567)); got != "key:000001234567" || len(got) != keyBytes {
		t.Errorf("key %q", got)
	}
	digits := []byte("999999999999")
	if putDigits(digits, 42); string(digits) != "000000000042" {
		t.Errorf("digits %q", digits)
	}
}

// TestRepliesInPieces cuts a stream of replies at every byte.
func TestRepliesInPieces(t *testing.T) {
	stream := "+OK\r\n$5\r\nhe\r\nl\r\n$-1\r\n:17\r\n$0\r\n\r\n_\r\n*3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n+x\r\n*-1\r\n"
	for cut := 0; cut <= len(stream); cut++ {
		var r replies
		first, err := r.feed([]byte(stream[:cut]))
		if err != nil {
			t.Fatal(err)
		}
		second, err := r.feed([]byte(stream[cut:]))
		if err != nil || first+second != 8 {
			t.Fatalf("cut at %d: %d + %d replies, %v", cut, first, second, err)
		}
	}
	for _, bad := range []string{"-ERR no\r\n", "\r\n", "$x\r\n", "*x\r\n", "*1\r\n-E\r\n",
		strings.Repeat("x", maxLine+1)} {
		if _, err := new(replies).feed([]byte(bad)); err == nil {
			t.Errorf("%.20q was accepted", bad)
		}
	}
}

const redisBenchmarkText = "MSET (10 keys): rps=0.0 (overall: 0.0) avg_msec=-nan (overall: -nan)\r      \r" +
	`====== MSET (10 keys) ======
  20000 requests completed in 0.21 seconds
  50 parallel clients
  64 bytes payload

Latency by percentile distribution:
0.000% <= 0.863 milliseconds (cumulative count 16)
99.805% <= 15.431 milliseconds (cumulative count 19968)
99.902% <= 15.487 milliseconds (cumulative count 19984)
100.000% <= 15.575 milliseconds (cumulative count 20000)

Cumulative distribution of latencies:
99.120% <= 15.103 milliseconds (cumulative count 19824)
100.000% <= 16.103 milliseconds (cumulative count 20000)

Summary:
  throughput summary: 95693.77 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        7.942     0.856     6.495    14.431    15.079    15.575

`

func TestParseRedisBenchmark(t *testing.T) {
	got, err := ParseRedisBenchmark(redisBenchmarkText)
	if err != nil {
		t.Fatal(err)
	}
	us := time.Microsecond
	want := Result{Commands: 20000, Elapsed: got.Elapsed, P50: 6495 * us, P99: 15079 * us, P999: 15487 * us}
	want.Max = 15575 * us
	if got != want || int(got.PerSecond()) != 95693 {
		t.Errorf("got %+v (%f/s), want %+v", got, got.PerSecond(), want)
	}
	brief, err := ParseRedisBenchmark(strings.Replace(redisBenchmarkText, "95693.77", "inf", 1))
	if err != nil || brief.Elapsed != time.Millisecond {
		t.Errorf("less than a millisecond: %+v, %v", brief, err)
	}
	for _, bad := range []string{"", "Could not connect", "Error from server: ERR no\n" + redisBenchmarkText} {
		if _, err := ParseRedisBenchmark(bad); err == nil {
			t.Errorf("%.30q was accepted", bad)
		}
	}
}

// store is a server that understands just what the loads send, and remembers it.
type store struct {
	mu     sync.Mutex
	values map[string]string
	sets   int
	gets   int
	expire string
	answer string // instead of the right one
}

func startStore(t *testing.T) (*store, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s := &store{values: map[string]string{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s, listener.Addr().String()
}

func (s *store) serve(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	number := func() int {
		line, _ := in.ReadString('\n')
		n, _ := strconv.Atoi(strings.Trim(line, "*$\r\n"))
		return n
	}
	for {
		if in.Buffered() == 0 {
			out.Flush()
		}
		args := make([]string, number())
		if len(args) == 0 {
			return
		}
		for i := range args {
			text := make([]byte, number()+2)
			if _, err := io.ReadFull(in, text); err != nil {
				return
			}
			args[i] = string(text[:len(text)-2])
		}
		out.WriteString(s.run(args))
	}
}

func (s *store) run(args []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != "" {
		return s.answer
	}
	switch args[0] {
	case "GET":
		s.gets++
		value := s.values[args[1]]
		return "$" + strconv.Itoa(len(value)) + "\r\n" + value + "\r\n"
	case "SET":
		s.sets++
		s.values[args[1]] = args[2]
		if len(args) == 5 && args[3] == "PXAT" {
			s.expire = args[4]
		}
	case "MSET":
		for i := 1; i+1 < len(args); i += 2 {
			s.values[args[i]] = args[i+1]
		}
	case "DEL":
		for _, key := range args[1:] {
			delete(s.values, key)
		}
	}
	return "+OK\r\n"
}

func TestFill(t *testing.T) {
	s, addr := startStore(t)
	ctx := context.Background()
	if err := Fill(ctx, addr, Keys{Prefix: "key:", From: 5, To: 5028, ValueBytes: 13, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	distinct := map[string]bool{}
	for key, value := range s.values {
		if len(key) != keyBytes || len(value) != 13 {
			t.Fatalf("%q = %q", key, value)
		}
		distinct[value] = true
	}
	if len(s.values) != 5023 || len(distinct) != 5023 || s.values["key:000000005027"] == "" {
		t.Errorf("%d keys, %d values", len(s.values), len(distinct))
	}
	s.mu.Unlock()
	if err := Fill(ctx, addr, Keys{Prefix: "exp:", To: 11, ValueBytes: 8, ExpireAtMs: 12345}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	if s.sets != 11 || s.expire != "12345" {
		t.Errorf("%d SETs with expiry %q", s.sets, s.expire)
	}
	s.mu.Unlock()
	if err := Fill(ctx, addr, Keys{Prefix: "mix:", To: 500, ValueBytes: 3, MostBytes: 9, Seed: 2}); err != nil {
		t.Fatal(err)
	}
	n, err := Delete(ctx, addr, Keys{Prefix: "mix:", To: 500, Seed: 7}, 70)
	if err != nil || n < 300 || n > 400 {
		t.Errorf("deleted %d of 500, %v", n, err)
	}
	s.mu.Lock()
	sizes, left := map[int]bool{}, uint64(0)
	for key, value := range s.values {
		if strings.HasPrefix(key, "mix:") {
			sizes[len(value)] = true
			left++
		}
	}
	if len(sizes) != 7 || !sizes[3] || !sizes[9] || left != 500-n {
		t.Errorf("%d keys left after deleting %d, sizes %v", left, n, sizes)
	}
	s.mu.Unlock()
	if err := Fill(ctx, addr, Keys{Prefix: "one:", To: 7, ValueBytes: 8, Single: true}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	if s.sets != 18 || len(s.values["one:000000000006"]) != 8 {
		t.Errorf("%d SETs", s.sets)
	}
	s.answer = "-OOM no\r\n"
	s.mu.Unlock()
	err = Fill(ctx, addr, Keys{Prefix: "key:", To: 100_000, ValueBytes: 64})
	if err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("refused fill: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := Fill(ended, addr, Keys{Prefix: "key:", To: 10}); err == nil {
		t.Error("fill after its time")
	}
}

func TestGenerateClosedLoop(t *testing.T) {
	for _, command := range []string{"get", "set", "mset", "mix"} {
		for _, pipeline := range []int{1, 16} {
			s, addr := startStore(t)
			work := Work{Command: command, Pipeline: pipeline, Clients: 5, Keys: 100, ValueBytes: 10}
			got, err := Generate(Plan{Addr: addr, Work: work, Requests: 3000, Seed: 3}, nil)
			if err != nil {
				t.Fatalf("%s: %v", work, err)
			}
			if got.Commands < 3000 || got.Commands > 3100 || got.P50 <= 0 || got.P99 < got.P50 || got.Max < got.P999 {
				t.Errorf("%s: %+v", work, got)
			}
			s.mu.Lock()
			if command != "get" && len(s.values) < 90 {
				t.Errorf("%s: wrote %d of 100 keys", work, len(s.values))
			}
			if command == "mix" && (s.gets < 1000 || s.sets < 1000) {
				t.Errorf("%s: %d GETs, %d SETs", work, s.gets, s.sets)
			}
			s.mu.Unlock()
		}
	}
}

func TestGenerateSequential(t *testing.T) {
	s, addr := startStore(t)
	work := Work{Command: "set", Pipeline: 4, Clients: 3, Keys: 1200, ValueBytes: 1}
	if _, err := Generate(Plan{Addr: addr, Work: work, Sequential: true, Requests: 1200}, nil); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.values) != 1200 {
		t.Errorf("wrote %d of 1200 keys", len(s.values))
	}
}

func TestGenerateOpenLoop(t *testing.T) {
	for _, spin := range []bool{false, true} {
		_, addr := startStore(t)
		work := Work{Command: "mix", Pipeline: 1, Clients: 4, Keys: 100, ValueBytes: 10}
		got, err := Generate(Plan{Addr: addr, Work: work, PerSecond: 20_000, Spin: spin, Requests: 2000, Seed: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		// 2000 commands at 20,000 a second take 100 ms; a busy machine may be late, never early.
		if got.Commands < 2000 || got.Elapsed < 80*time.Millisecond || got.P50 <= 0 {
			t.Errorf("spin %v: %+v", spin, got)
		}
	}
}

func TestGenerateEndsWithItsInput(t *testing.T) {
	_, addr := startStore(t)
	stop, err := NewStop()
	if err != nil {
		t.Fatal(err)
	}
	defer stop.Close()
	work := Work{Command: "get", Pipeline: 1, Clients: 2, Keys: 10}
	plan := Plan{Addr: addr, Work: work, UntilEOF: true, Deadline: time.Minute}
	stop.Now()
	if _, err := Generate(plan, stop.reader); err != nil {
		t.Error(err)
	}
}

func TestGenerateFails(t *testing.T) {
	s, addr := startStore(t)
	work := Work{Command: "get", Pipeline: 1, Clients: 1, Keys: 1}
	for name, plan := range map[string]Plan{
		"nobody listens":  {Addr: "127.0.0.1:1", Work: work, Requests: 1},
		"no such command": {Addr: addr, Work: Work{Command: "del", Pipeline: 1, Clients: 1, Keys: 1}, Requests: 1},
		"no clients":      {Addr: addr, Requests: 1},
		"past deadline":   {Addr: addr, Work: work, UntilEOF: true, Deadline: time.Millisecond},
	} {
		if _, err := Generate(plan, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s.mu.Lock()
	s.answer = "-ERR no\r\n"
	s.mu.Unlock()
	_, err := Generate(Plan{Addr: addr, Work: work, Requests: 1}, nil)
	if err == nil || !strings.Contains(err.Error(), "ERR no") {
		t.Errorf("error reply: %v", err)
	}
}

// TestMain lets the test binary be the generator's process, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == ChildCommand {
		if err := Serve(os.Args[2], os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestChild(t *testing.T) {
	_, addr := startStore(t)
	work := Work{Command: "set", Pipeline: 2, Clients: 2, Keys: 10, ValueBytes: 3}
	got, err := Child(context.Background(), []int{0}, Plan{Addr: addr, Work: work, Requests: 100}, nil)
	if err != nil || got.Commands != 100 {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = Child(context.Background(), nil, Plan{Addr: addr}, nil)
	if err == nil || !strings.Contains(err.Error(), "needs clients") {
		t.Errorf("failing child: %v", err)
	}
	stop, err := NewStop()
	if err != nil {
		t.Fatal(err)
	}
	defer stop.Close()
	stop.Now()
	plan := Plan{Addr: addr, Work: work, Deadline: time.Minute}
	if _, err := Child(context.Background(), nil, plan, stop); err != nil {
		t.Error(err)
	}
}

func TestParseMemtier(t *testing.T) {
	text := `
ALL STATS
Type       Ops/sec   Hits/sec  Misses/sec  Avg. Latency   p50 Latency   p99 Latency  p99.9 Latency    KB/sec
------------------------------------------------------------------------------------------------------------
Sets      50000.00        ---         ---       0.50000       0.40000       0.90000        1.50000   5000.00
Totals   100000.00   50000.00        0.00       0.52000       0.41500       0.95100        1.59900  10000.00
`
	got, err := ParseMemtier(text, 200_000)
	us := time.Microsecond
	want := Result{Commands: 200_000, Elapsed: 2 * time.Second, P50: 415 * us, P99: 951 * us, P999: 1599 * us}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseMemtier("connection refused", 1); err == nil {
		t.Error("nothing was accepted")
	}
}

// TestScriptNumbers: a command's own number is the same wherever it stands, another one is drawn for each "@", and
// commands take turns.
func TestScriptNumbers(t *testing.T) {
	g := &generator{plan: Plan{Work: Work{Script: "ZADD z# # @ m:#; GET ~", Pipeline: 4, Keys: 1000}, Sequential: true}}
	var c link
	if err := c.prepare(g.plan.Work); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		g.putKeys(&c, c.digits)
		words := strings.FieldsFunc(string(c.template), func(r rune) bool { return r == '\r' || r == '\n' })
		text := strings.Join(words, " ")
		at := 4 * round
		for i := range 2 {
			own := fmt.Sprintf("%012d", at+2*i)
			zadd := words[i*16 : i*16+11]
			if zadd[4] != "z"+own || zadd[6] != own || zadd[8] == own || zadd[10] != "m:"+own {
				t.Errorf("round %d: %q", round, text)
			}
			if get := words[i*16+11 : i*16+16]; get[4] != fmt.Sprintf("%010d", at+2*i+1) || get[3] != "$10" {
				t.Errorf("round %d: %q", round, text)
			}
		}
	}
	var d link
	g = &generator{plan: Plan{Work: Work{Script: "A ^ 1.%; B #", Pipeline: 4, Keys: 10}}, sent: 7}
	if err := d.prepare(g.plan.Work); err != nil {
		t.Fatal(err)
	}
	g.putKeys(&d, d.digits)
	one := string(d.template)
	g.putKeys(&d, d.digits)
	two := string(d.template)
	for i, text := range []string{one, two} {
		words := strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' })
		if n := 7 + 2*i; words[4] != fmt.Sprintf("%012d", n) || len(words[6]) != 14 || words[6] == "1.000000000000" {
			t.Errorf("round %d: %q", i, words)
		}
	}
	if one == two {
		t.Error("the same numbers are drawn again")
	}
	if err := new(link).prepare(Work{Script: "GET a; GET b; GET c", Pipeline: 16}); err == nil {
		t.Error("three commands fit a pipeline of 16")
	}
}
