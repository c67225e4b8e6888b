package server

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/command"
)

// pausedWriter writes without a break: commands of one key, of several, and transactions.
type pausedWriter struct {
	*client
	id   int
	sent int
}

// roundKeys is how many keys of each kind a round writes to: batches run on while a pause begins.
const roundKeys = 40

// kinds of keys; each holds the number of rounds, or as many bytes.
var kinds = []string{"n", "a", "m", "o", "t", "u"}

func (w *pausedWriter) key(kind string, i int) string { return fmt.Sprint(kind, w.id, "-", i) }

// round sends commands of each kind for many keys, all at once, and checks the replies, which say how many rounds
// there have been.
func (w *pausedWriter) round() error {
	w.bePatient()
	w.sent++
	n := strconv.Itoa(w.sent)
	var out []byte
	add := func(args ...string) { out = resp.AppendCommandStrings(out, args...) }
	for i := range roundKeys {
		add("INCR", w.key("n", i))
		add("APPEND", w.key("a", i), "x")
		if i%4 == 0 {
			add("MSET", w.key("m", i), n, w.key("o", i), n)
			add("MULTI")
			add("INCR", w.key("t", i))
			add("SET", w.key("u", i), n)
			add("EXEC")
		}
	}
	if _, err := w.Write(out); err != nil {
		return err
	}
	for i := range roundKeys {
		want := []string{n, n}
		if i%4 == 0 {
			want = append(want, "OK", "OK", "QUEUED", "QUEUED", "["+n+" OK]")
		}
		for _, want := range want {
			v, err := w.r.ReadReply()
			if err != nil {
				return err
			}
			if got := text(v); got != want {
				return fmt.Errorf("round %d, key %d: got %q, want %q", w.sent, i, got, want)
			}
		}
	}
	return nil
}

// TestPauseOfWritesIsExact has clients on all loops write as fast as they can: once CLIENT PAUSE has replied nothing
// changes, whatever was under way, and afterwards every command is executed once and in its order.
func TestPauseOfWritesIsExact(t *testing.T) {
	srv := startServer(t)
	const writers, pauses, looks = 4, 10, 4
	quit := make(chan struct{})
	failed := make(chan error, writers)
	var all [writers]*pausedWriter
	var wait sync.WaitGroup
	for i := range all {
		all[i] = &pausedWriter{client: dial(t, srv.Addr()), id: i}
		wait.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if err := all[i].round(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	keys := []string{"MGET"}
	for i := range writers {
		for k := range roundKeys {
			for _, kind := range kinds {
				keys = append(keys, all[i].key(kind, k))
			}
		}
	}
	control, readers := dial(t, srv.Addr()), [...]*client{dial(t, srv.Addr()), dial(t, srv.Addr())}
	for range pauses {
		if got := control.do("CLIENT", "PAUSE", "60000", "WRITE"); got != "OK" {
			t.Fatal(got)
		}
		before := control.do(keys...)
		for i := range looks {
			if now := readers[i%len(readers)].do(keys...); now != before {
				t.Fatalf("data changes during a pause:\nfrom %.300s\nto   %.300s", before, now)
			}
		}
		control.do("CLIENT", "UNPAUSE")
		control.do("INCR", "turn") // behind those that waited
	}
	close(quit)
	wait.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	for _, w := range all {
		n := strconv.Itoa(w.sent)
		got := control.do("MGET", w.key("n", 3), w.key("m", 8), w.key("u", 4))
		if want := "[" + strings.Join([]string{n, n, n}, " ") + "]"; got != want {
			t.Errorf("writer %d: got %s, want %s", w.id, got, want)
		}
		if w.sent < 3 {
			t.Errorf("writer %d had %d turns only", w.id, w.sent)
		}
	}
}

// untilFlag waits until a client has a flag in CLIENT LIST.
func untilFlag(t *testing.T, control *client, id, flag string) {
	t.Helper()
	for {
		line := control.do("CLIENT", "LIST", "ID", id)
		_, rest, _ := strings.Cut(line, " flags=")
		flags, _, _ := strings.Cut(rest, " ")
		if strings.Contains(flags, flag) {
			return
		}
	}
}

// TestPausedClient looks at what happens to a client that waits: it is shown, it can be killed, its command is as it
// was sent, and what it sent behind it comes after it.
func TestPausedClient(t *testing.T) {
	srv := startServer(t)
	control, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	control.do("SET", "k", "before")
	id := c.do("CLIENT", "ID")

	control.do("CLIENT", "PAUSE", "60000", "WRITE")
	c.send("set k \"an \\\"odd\\\" \\x41\"\r\nget k\r\nset k 'x' \r\nget k\r\n")
	untilFlag(t, control, id, "b")
	if got := control.do("GET", "k"); got != "before" {
		t.Errorf("a command that waits had an effect: %q", got)
	}
	control.do("CLIENT", "UNPAUSE")
	c.want("OK", `an "odd" A`, "OK", "x")

	control.do("CLIENT", "PAUSE", "60000", "WRITE")
	c.send("set k lost\r\n")
	untilFlag(t, control, id, "b")
	if got := control.do("CLIENT", "UNBLOCK", id); got != "0" {
		t.Errorf("CLIENT UNBLOCK of a client that a pause holds back: %s", got)
	}
	if got := control.do("CLIENT", "KILL", "ID", id); got != "1" {
		t.Errorf("CLIENT KILL: %s", got)
	}
	c.wantClosed()
	control.do("CLIENT", "UNPAUSE")
	if got := control.do("SET", "j", "1"); got != "OK" {
		t.Error(got)
	}
	if got := control.do("GET", "k"); got != "x" {
		t.Errorf("a killed client's command was executed: %q", got)
	}
}

// TestPausedClientThatLeaves: what a client sent that is gone before the pause ends is never executed, and it is not
// kept connected.
func TestPausedClientThatLeaves(t *testing.T) {
	srv := startServer(t)
	control, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	id := c.do("CLIENT", "ID")
	control.do("CLIENT", "PAUSE", "60000", "WRITE")
	c.send("set k ghost\r\n")
	untilFlag(t, control, id, "b")
	control.wantInfo("clients", "blocked_clients", "1")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has gone", func() bool { return control.list()[id] == "" })
	control.do("CLIENT", "UNPAUSE")
	if got := control.do("GET", "k"); got != "nil" {
		t.Errorf("its command was executed: %q", got)
	}
}

// TestPauseOfAllEnds has everything wait, CLIENT UNPAUSE included, until the time is up.
func TestPauseOfAllEnds(t *testing.T) {
	srv := startServer(t)
	control, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	began := srv.set.Clock.NowMs()
	control.do("CLIENT", "PAUSE", "100")
	control.do("CLIENT", "PAUSE", "10", "WRITE") // waits itself
	for _, x := range []*client{control, c} {
		if got := x.do("PING"); got != "PONG" {
			t.Error(got)
		}
	}
	if took := srv.set.Clock.NowMs() - began; took < 100 {
		t.Errorf("the pause of 100 ms ended after %d", took)
	}
}

// TestPauseKeepsExpiredKeys: while writes are paused keys do not expire, though nobody sees them.
func TestPauseKeepsExpiredKeys(t *testing.T) {
	srv := startServer(t)
	c := dial(t, srv.Addr())
	c.do("MULTI")
	for i := range 50 {
		c.do("SET", fmt.Sprint("k", i), "v", "PX", "1")
	}
	c.do("CLIENT", "PAUSE", "600000", "WRITE")
	if got := c.do("EXEC"); strings.Contains(got, "ERR") {
		t.Fatal(got)
	}
	for c.do("EXISTS", "k0", "k1", "k49") != "0" { // until their time has passed
	}
	ticks := srv.set.Clock.NowMs() + 50
	for srv.set.Clock.NowMs() < ticks { // the background work comes round
		if got := c.do("GET", "k7"); got != "nil" {
			t.Fatal(got)
		}
	}
	if got := c.do("DBSIZE"); got != "50" {
		t.Errorf("%s of 50 keys are left in the pause", got)
	}
	c.do("CLIENT", "UNPAUSE")
	eventually(t, "all have expired", func() bool { return c.do("DBSIZE") == "0" })
	if got := c.do("SETNX", "k3", "v"); got != "1" {
		t.Errorf("SETNX of an expired key is %s", got)
	}
}

// fakeBlock is a command that waits.
type fakeBlock struct {
	mu    sync.Mutex
	asked []bool
}

// Unblock implements blocked.
func (f *fakeBlock) Unblock(withError bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, withError)
	return len(f.asked) < 3
}

// Timed implements blocked.
func (f *fakeBlock) RoleChanged() {}

func (f *fakeBlock) Timed() bool { return false }

// TestClientUnblock uses what blocking commands use.
func TestClientUnblock(t *testing.T) {
	srv := startServer(t)
	control, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	id := c.do("CLIENT", "ID")
	n, _ := strconv.Atoi(id)
	fake := &fakeBlock{}
	var b blocked = fake
	s := srv.clients.find(uint64(n))
	s.blocked.Store(&b)
	untilFlag(t, control, id, "b")
	control.wantInfo("clients", "blocked_clients", "1")
	for i, args := range [][]string{{id}, {id, "ERROR"}, {id, "TIMEOUT"}} {
		want := strconv.Itoa(btoi(i < 2))
		if got := control.do(append([]string{"CLIENT", "UNBLOCK"}, args...)...); got != want {
			t.Errorf("%v: got %s, want %s", args, got, want)
		}
	}
	fake.mu.Lock()
	if got := fmt.Sprint(fake.asked); got != "[false true false]" {
		t.Error(got)
	}
	fake.mu.Unlock()
	s.blocked.Store(nil)
	if got := control.do("CLIENT", "UNBLOCK", id); got != "0" {
		t.Error(got)
	}
}

// TestPauseHoldsParkedCommands: a command that waited for a baton when the pause began waits for its end, too.
func TestPauseHoldsParkedCommands(t *testing.T) {
	srv := startServer(t)
	control := dial(t, srv.Addr())
	for _, args := range [][]string{{"SET", "k", "v"}, {"MSET", "k", "v", "l", "v", "m", "v"}} {
		control.do("FLUSHALL")
		c := dial(t, srv.Addr())
		id := c.do("CLIENT", "ID")
		sh := srv.set.Shards[srv.set.ShardOf([]byte("k"))]
		w := shard.Worker{Owner: srv.loops[0]}
		for !sh.Acquire(&w) { // background work has it
		}
		c.send(string(resp.AppendCommandStrings(nil, args...)))
		for !strings.Contains(control.do("CLIENT", "LIST", "ID", id), " cmd="+strings.ToLower(args[0])+" ") {
		}
		srv.pausing.begin(srv, pauseByClient, pause{endMs: srv.set.Clock.NowMs() + 600_000}, true)
		sh.Release(&w)
		untilFlag(t, control, id, "b")
		if got := control.do("EXISTS", "k", "l", "m"); got != "0" {
			t.Errorf("%v was executed in the pause", args)
		}
		control.do("CLIENT", "UNPAUSE")
		c.want("OK")
		if got := control.do("GET", "k"); got != "v" {
			t.Errorf("%v: got %q", args, got)
		}
	}
}

// TestClientKillMaxAge kills by age; MAXAGE is newer than the scripts' server.
func TestClientKillMaxAge(t *testing.T) {
	srv := startServer(t)
	control, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	other.do("PING")
	for _, c := range []struct{ want, age string }{
		{"maxage is not an integer or out of range", "x"},
		{"maxage should be greater than 0", "0"},
		{"maxage should be greater than 0", "-1"},
		{"0", "9223372036854775807"},
		{"0", "100000"},
	} {
		if got := control.do("CLIENT", "KILL", "MAXAGE", c.age); !strings.HasSuffix(got, c.want) {
			t.Errorf("MAXAGE %s: got %s, want %s", c.age, got, c.want)
		}
	}
	self, old := &Session{c: &command.Ctx{NowMs: 200_000}}, &Session{born: 100_000}
	for age, want := range map[int64]bool{99_000: true, 100_000: true, 101_000: false} {
		if f := (killFilter{minAgeMs: age}); f.matches(old, self) != want {
			t.Errorf("a client of 100 s matches MAXAGE of %d ms: %t", age, !want)
		}
	}
}
