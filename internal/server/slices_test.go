package server

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/resp"
)

// sessionOf finds the session of a connection by its name.
func (p *proof) sessionOf(name string) (s *Session) {
	for _, c := range p.srv.clients.all() {
		if n := c.name.Load(); n != nil && *n == name {
			s = c
		}
	}
	if s == nil {
		p.t.Fatal("no client named " + name)
	}
	return s
}

// send sends a command and returns when the server has its bytes.
func (p *proof) send(c *proofConn, args ...string) {
	raw := resp.AppendCommandStrings(nil, args...)
	before := p.srv.reactor.Totals().NetInputBytes
	c.raw(raw)
	c.n++
	for p.srv.reactor.Totals().NetInputBytes-before < int64(len(raw)) {
		runtime.Gosched()
	}
}

// TestOthersAreServedDuringKeys: with one loop and a KEYS that takes hundreds of slices, other clients' commands are
// answered between them, and those of the same client behind it.
func TestOthersAreServedDuringKeys(t *testing.T) {
	p := startProof(t, 4, 1, 0)
	const names = 200_000 / proofShare
	c, other := p.dial(), p.dial()
	c.do("CLIENT", "SETNAME", "walker")
	during := 0
	for round := 0; during == 0 && round < 10; round++ { // the test itself may not have been running
		during = p.serveDuringKeys(c, other, names)
	}
	if during == 0 {
		t.Error("nobody was served during KEYS")
	}
	t.Logf("%d commands served meanwhile", during)
}

// serveDuringKeys has other send commands while c waits for a KEYS, and returns how many were answered before it.
func (p *proof) serveDuringKeys(c, other *proofConn, names int) (during int) {
	t := p.t
	p.fill(names)
	walker := p.sessionOf("walker")
	p.send(c, "KEYS", "*")
	c.add("FLUSHALL") // behind it
	c.flush()
	for i := range 20 {
		if got := text(other.do("SET", fmt.Sprint("beside", i), "1")); got != "OK" {
			t.Fatal(got)
		}
		if walker.replyBytes.Load() > 0 {
			during++
		}
	}
	v := c.reply()
	if n := len(v.Elems); n < names || n > names+20 {
		t.Errorf("%d keys", n)
	}
	if got := text(c.reply()); got != "OK" {
		t.Error(got)
	}
	if n := walker.replyBytes.Load(); n != 0 {
		t.Errorf("%d bytes kept", n)
	}
	return during
}

// TestKeysInMultiIsOneMoment: inside MULTI it sees what the transaction did, and all of it.
func TestKeysInMultiIsOneMoment(t *testing.T) {
	p := startProof(t, 8, 2, 3)
	p.meddlers()
	c := p.dial()
	for i := range 50 {
		a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
		c.do("SET", a, "1")
		for _, line := range []string{"MULTI", "RENAME " + a + " " + b, "KEYS *", "SCAN 0", "DEL " + b, "EXEC"} {
			c.add(strings.Fields(line)...)
		}
		replies := c.all()
		if got, want := text(replies[5]), fmt.Sprintf("[OK [%s] [0 [%s]] 1]", b, b); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

// TestSlicesAmongOthers: KEYS and SCAN in pipelines, on contended shards, of clients that reply to nothing or go away.
func TestSlicesAmongOthers(t *testing.T) {
	p := startProof(t, 8, 2, 3)
	p.meddlers()
	const names = 4000
	p.fill(names)
	results := make(chan error)
	for i := range 6 {
		c := p.dial()
		go func() { results <- sliceClient(c, i, names) }()
	}
	for range 20 { // these don't wait for their replies
		gone := p.dial()
		p.send(gone, "KEYS", "*")
		if err := gone.nc.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%+v", p.mustContend())
}

func sliceClient(c *proofConn, i, names int) error {
	for round := range 30 / proofShare {
		c.add("GET", "key:0")
		c.add("KEYS", "key:*")
		c.add("ECHO", fmt.Sprint(i, round))
		c.add("CLIENT", "REPLY", "SKIP")
		c.add("KEYS", "key:*")
		c.n -= 2 // neither of them replies
		c.add("SCAN", "0", "COUNT", "100000", "MATCH", "key:*")
		c.add("KEYS", "nothing")
		replies := c.all()
		if len(replies) != 5 {
			return fmt.Errorf("%d replies", len(replies))
		}
		var all []string
		for _, v := range replies[1].Elems {
			all = append(all, text(v))
		}
		slices.Sort(all)
		if all = slices.Compact(all); len(all) != names || len(replies[1].Elems) != names {
			return fmt.Errorf("KEYS gives %d keys, %d different ones", len(replies[1].Elems), len(all))
		}
		if got := text(replies[2]); got != fmt.Sprint(i, round) {
			return fmt.Errorf("ECHO: %s", got)
		}
		if n := len(replies[3].Elems[1].Elems); n != names {
			return fmt.Errorf("SCAN gives %d keys", n)
		}
		if got := text(replies[4]); got != "[]" {
			return fmt.Errorf("KEYS nothing: %.60s", got)
		}
	}
	return nil
}

// TestKeysStopsAtTheOutputLimit: the connection is closed as soon as its reply is too long, and costs no more memory.
func TestKeysStopsAtTheOutputLimit(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	c, other := p.dial(), p.dial()
	for i := range 3000 {
		c.add("SET", fmt.Sprint(i, strings.Repeat("-", 1000)), "v")
	}
	c.all()
	if got := text(other.do("CONFIG", "SET", "client-output-buffer-limit", "normal 500000 0 0")); got != "OK" {
		t.Fatal(got)
	}
	c.do("CLIENT", "SETNAME", "walker")
	walker := p.sessionOf("walker")
	p.send(c, "KEYS", "*")
	if _, err := c.r.ReadReply(); err == nil {
		t.Error("replied")
	}
	if n := walker.replyBytes.Load(); n != 0 {
		t.Errorf("%d bytes kept", n)
	}
	other.do("PING")
}

// TestFlushSyncRepliesWhenAllIsFree: nothing is left to be freed then, and what stands behind it comes after.
// With ASYNC, and in a transaction, the memory is freed later.
func TestFlushSyncRepliesWhenAllIsFree(t *testing.T) {
	p := startProof(t, 4, 1, 0)
	c, other := p.dial(), p.dial()
	pending := func() (n int) {
		p.outsider().all(func() {
			for _, s := range p.srv.set.Shards {
				n += s.LazyPending()
			}
		})
		return n
	}
	const names = 200_000 / proofShare
	for _, args := range [][]string{{"FLUSHALL"}, {"FLUSHALL", "SYNC"}, {"FLUSHDB"}, {"FLUSHDB", "ASYNC"}} {
		p.fill(names)
		p.send(c, args...)
		c.add("SET", "behind", "1")
		c.flush()
		freeing := 0
		for range 5 {
			if got := text(other.do("DBSIZE")); got != "0" && got != "1" {
				t.Errorf("%s: %s keys during the flush", args, got)
			}
			if pending() > 0 {
				freeing++
			}
		}
		if got := text(c.reply()); got != "OK" {
			t.Errorf("%s: %s", args, got)
		}
		if async := args[len(args)-1] == "ASYNC"; !async {
			if n := pending(); n > 0 {
				t.Errorf("%s: %d objects wait to be freed after the reply", args, n)
			}
			t.Logf("%s: %d commands served meanwhile", args, freeing)
		}
		if got := text(c.reply()); got != "OK" {
			t.Error(got)
		}
		if got := text(c.do("GET", "behind")); got != "1" {
			t.Errorf("%s: GET %s", args, got)
		}
	}
	for _, line := range []string{
		"CLIENT REPLY OFF", "FLUSHALL SYNC", "CLIENT REPLY ON", "MULTI", "FLUSHALL SYNC", "EXEC",
	} {
		c.add(strings.Fields(line)...)
	}
	c.n -= 2
	if got := text(c.all()[3]); got != "[OK]" {
		t.Error(got)
	}
	p.mustBalance()
}
