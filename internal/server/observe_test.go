package server

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// TestParkedCommandsAreObserved: a command that another goroutine executes, since it had to wait for its baton, is
// shown and noted as any other, and so is one that waits for several.
func TestParkedCommandsAreObserved(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	c, other, mon, o := p.dial(), p.dial(), p.dial(), p.outsider()
	other.do("CONFIG", "SET", "slowlog-log-slower-than", "0")
	mon.do("MONITOR")
	if err := mon.nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"SET", "a", "1"}, {"MSET", "a", "1", "b", "2"}} {
		o.take(0, 1)
		p.sendParked(c, other, resp.AppendCommandStrings(nil, args...))
		o.drop()
		c.n = 1
		if got := text(c.reply()); got != "OK" {
			t.Fatal(got)
		}
		want := `"` + strings.Join(args, `" "`) + `"`
		for line := ""; !strings.HasSuffix(line, "] "+want); {
			line = text(mon.reply()) // times out if there is none
		}
	}
	slow := 0
	for _, e := range p.srv.observation.slowLog.latest(-1) {
		if name := string(e.args[0]); name == "SET" || name == "MSET" {
			slow++
		}
	}
	if slow != 2 {
		t.Errorf("the slow log has %d of 2 parked commands", slow)
	}
	if n := p.srv.durations(p.srv.table.Lookup([]byte("mset"))).Total; n != 1 {
		t.Errorf("MSET's durations count %d calls", n)
	}
}

// TestSlowMonitorIsCut: a monitor that does not read is closed at the output limit, and its end costs others nothing.
func TestSlowMonitorIsCut(t *testing.T) {
	srv := startServer(t)
	mon, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	if got := mon.do("MONITOR"); got != "OK" {
		t.Fatal(got)
	}
	if line := c.do("CLIENT", "LIST"); !strings.Contains(line, " flags=O ") {
		t.Errorf("no monitor in %s", line)
	}
	c.do("CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0")
	value := strings.Repeat("x", 64<<10)
	eventually(t, "the monitor is closed", func() bool {
		c.do("SET", "a", value)
		return !strings.Contains(c.do("CLIENT", "LIST"), " flags=O ")
	})
	if got := c.do("GET", "a"); got != value {
		t.Errorf("%d bytes", len(got))
	}
	eventually(t, "nobody monitors", func() bool {
		srv.observation.mu.Lock()
		defer srv.observation.mu.Unlock()
		return len(srv.observation.monitors) == 0
	})
	if o := srv.observers.Load(); o.FromNs == 0 {
		t.Error("calls are still shown")
	}
}

// TestMonitorBehindIsCut: lines that a monitor's loop does not take over are bounded.
func TestMonitorBehindIsCut(t *testing.T) {
	srv := startServer(t, "--event-loops", "1")
	c := dial(t, srv.Addr())
	c.do("PING")
	m := &monitor{s: srv.clients.all()[0]}
	m.posted.Store(true) // as long as no letter is delivered
	line := make([]byte, 1<<20)
	for range monitorPendingBytes/len(line) + 10 {
		m.push(line)
	}
	if n := m.pendingLines(); n > monitorPendingBytes/len(line) {
		t.Errorf("%d lines wait", n)
	}
	c.wantClosed()
}

func (m *monitor) pendingLines() (n int) {
	for line := m.lines.Load(); line != nil; line = line.next {
		n++
	}
	return n
}

// TestLatencyGraph has a graph that redis-server 7.0.15 drew.
func TestLatencyGraph(t *testing.T) {
	e := latencyEvent{name: "command", maxMs: 41}
	for i, ms := range []int64{10, 21, 15, 41} {
		e.samples = append(e.samples, latencySample{timeSec: int64(1000 + i), ms: ms})
	}
	want := "command - high 41 ms, low 10 ms (all time high 41 ms)\n" + strings.Repeat("-", 80) + "\n" +
		"   #\n   |\n o |\n_|o|\n    \n4321\nssss\n"
	if got := latencyGraph(&e, 1004); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLatencySamples: one sample a second, the longest; 160 of them.
func TestLatencySamples(t *testing.T) {
	var l latencyMonitor
	l.setThreshold(5)
	l.add("x", 4_999_999, 1000)
	for i := range int64(200) {
		l.add("x", 7e6, i*1000)
		l.add("x", 9e6, i*1000+500)
		l.add("x", 8e6, i*1000+999)
	}
	l.add("y", 300e6, 0)
	if e := l.copyOf("x"); len(e.samples) != latencySamples || e.maxMs != 9 ||
		e.samples[0] != (latencySample{40, 9}) || e.samples[159] != (latencySample{199, 9}) {
		t.Errorf("%+v", e)
	}
	if n := l.reset([]string{"x", "x", "z"}); n != 1 || len(l.all()) != 1 || l.reset(nil) != 1 {
		t.Errorf("%d reset, %v left", n, l.all())
	}
}

// TestInfoNeedsNoBaton: INFO answers while somebody else holds a shard, and in a transaction that has changed something
// it tells of that.
func TestInfoNeedsNoBaton(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	c, o := p.dial(), p.outsider()
	value := func(text, name string) string {
		_, rest, _ := strings.Cut(text, "\r\n"+name+":")
		got, _, _ := strings.Cut(rest, "\r\n")
		return got
	}
	c.do("SET", "a", "1", "PX", "100000")
	o.take(0, 1)
	held := text(c.do("INFO", "everything"))
	o.drop()
	if !strings.HasPrefix(value(held, "db0"), "keys=1,expires=1,avg_ttl=") {
		t.Errorf("the keyspace is %q", value(held, "db0"))
	}
	for _, args := range [][]string{
		{"MULTI"}, {"SET", "b", "2"}, {"GET", "b"}, {"GET", "c"}, {"INFO", "keyspace", "stats"}, {"EXEC"},
	} {
		c.add(args...)
	}
	replies := c.all()
	got := text(replies[5].Elems[3])
	if db := value("\r\n"+got, "db0"); !strings.HasPrefix(db, "keys=2,expires=1,avg_ttl=") ||
		value(got, "keyspace_hits") != "1" || value(got, "keyspace_misses") != "1" {
		t.Errorf("in a transaction INFO has %s", got)
	}
}

// TestAverageTTL: whatever happens to keys with an expiry, the average is that of those left.
func TestAverageTTL(t *testing.T) {
	const now = 1_700_000_000_000
	many := int64(10_000_000) // their sum is above 2^63
	for _, test := range []struct {
		counts shard.Counts
		want   int64
	}{
		{shard.Counts{}, 0},
		{shard.Counts{Keys: 3, Expires: 2, ExpireSumMs: 2*now + 3000}, 1500},
		{shard.Counts{Keys: 3, Expires: 2, ExpireSumMs: 2*now - 3000}, 0},
		{shard.Counts{Expires: many, ExpireSumMs: many * (now + 60_000)}, 60_000},
	} {
		if got := averageTTL(test.counts, now); got != test.want {
			t.Errorf("%+v: %d, want %d", test.counts, got, test.want)
		}
	}
}

// TestBolt: every picture stays within its width and reaches the ground.
func TestBolt(t *testing.T) {
	for seed := range uint64(200) {
		lines := strings.Split(bolt(rand.New(rand.NewPCG(seed, 0)).IntN), "\n")
		for i, line := range lines[:len(lines)-1] {
			if len(line) > 40 || strings.TrimSpace(line) == "" {
				t.Fatalf("seed %d, line %d is %q", seed, i, line)
			}
		}
	}
}
