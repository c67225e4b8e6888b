package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"fulmen/internal/resp"
)

// TestParkedWithHalfACommandBehind: a command waits for its baton while behind it, in the same read, there are a whole
// command and a part of another. Both are offered to the parser once more, from the whole one's beginning on.
func TestParkedWithHalfACommandBehind(t *testing.T) {
	p := startProof(t, 1, 1, 0)
	c, other, o := p.dial(), p.dial(), p.outsider()
	whole := resp.AppendCommandStrings(nil, "SET", "a", "1")
	whole = resp.AppendCommandStrings(whole, "SET", "bb", "22")
	last := resp.AppendCommandStrings(nil, "GET", "a")
	for cut := range len(last) {
		o.take(0)
		p.sendParked(c, other, append(append([]byte(nil), whole...), last[:cut]...))
		o.drop()
		c.raw(last[cut:])
		c.n = 3
		for _, want := range []string{"OK", "OK", "1"} {
			if got := text(c.reply()); got != want {
				t.Fatalf("cut at %d of the last command: reply %q, want %q", cut, got, want)
			}
		}
	}
}

// TestParkedWithInlineCommandsBehind: what is parsed again must not have been changed by parsing it.
func TestParkedWithInlineCommandsBehind(t *testing.T) {
	p := startProof(t, 1, 1, 0)
	c, other, o := p.dial(), p.dial(), p.outsider()
	o.take(0)
	p.sendParked(c, other,
		[]byte("SET a 1\r\nSET b \"two words\"\r\n\r\nSET c 'three \\'words'\r\nGET b\r\nMGET a c\r\n"))
	o.drop()
	c.n = 5
	for _, want := range []string{"OK", "OK", "OK", "two words", "[1 three 'words]"} {
		if got := text(c.reply()); got != want {
			t.Fatalf("reply %q, want %q", got, want)
		}
	}
}

// TestParkedWithAProtocolErrorBehind: the replies before the error come first, and the error once.
func TestParkedWithAProtocolErrorBehind(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	other, o := p.dial(), p.outsider()
	for _, whole := range [][]string{{"MSET", "a", "1", "b", "2"}, {"SET", "a", "1"}} {
		for _, between := range []string{"", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "GET a\r\n"} {
			c := p.dial()
			o.take(0, 1)
			p.sendParked(c, other, append(resp.AppendCommandStrings(nil, whole...), between+"*1\r\n+4\r\nPING\r\n"...))
			o.drop()
			if got := text(c.reply()); got != "OK" {
				t.Fatalf("reply %q", got)
			}
			if between != "" {
				if got := text(c.reply()); got != "1" {
					t.Fatalf("reply %q", got)
				}
			}
			if got := text(c.reply()); got != "ERR Protocol error: expected '$', got '+'" {
				t.Fatalf("reply %q", got)
			}
			if _, err := c.r.ReadReply(); err == nil {
				t.Error("the connection is still open")
			}
		}
	}
}

// TestParkedIsCountedBeforeItsReply: who has the reply to a command that somebody else has executed finds it counted.
func TestParkedIsCountedBeforeItsReply(t *testing.T) {
	p := startProof(t, 1, 1, 0)
	c, other, o := p.dial(), p.dial(), p.outsider()
	executor := o.worker.Owner.(*loop).shared
	for n := range int64(3) {
		o.take(0)
		p.sendParked(c, other, resp.AppendCommandStrings(nil, "SET", "a", "1"))
		o.drop()
		c.n++
		if got := text(c.reply()); got != "OK" || executor.total.Load() != n+1 {
			t.Fatalf("reply %q, %d commands are counted, want %d", got, executor.total.Load(), n+1)
		}
	}
}

// TestClosedWhileParked: clients that go while a command of theirs waits leave nothing behind.
func TestClosedWhileParked(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	other, o := p.dial(), p.outsider()
	for _, line := range []string{
		"SET a 1", "MSET a 1 b 2 c 3", "WATCH a b c", "MULTI\r\nSET a 1\r\nSET b 1\r\nEXEC", "QUIT\r\nSET a 1",
		"DBSIZE",
	} {
		c := p.dial()
		o.take(0, 1)
		p.sendParked(c, other, []byte(line+"\r\nPING\r\n"))
		if err := c.nc.Close(); err != nil {
			t.Fatal(err)
		}
		o.drop()
		if got := text(other.do("DBSIZE")); got == "" {
			t.Fatal("no reply")
		}
	}
	for p.srv.reactor.ConnCount() > 1 {
		other.do("PING")
	}
	o.all(func() {})
}

// scramble sends p in pieces of random length.
func scramble(c *proofConn, rnd *rand.Rand, p []byte) {
	for len(p) > 0 {
		n := min(1+rnd.IntN(200), len(p))
		c.raw(p[:n])
		p = p[n:]
	}
}

// TestRepliesInOrder: pipelines over all shards, of commands of one key, of several keys, of none, inline commands,
// errors and transactions, sent in pieces that end anywhere, on contended shards. Each connection has keys of its
// own, so each reply is known.
func TestRepliesInOrder(t *testing.T) {
	for _, n := range []struct{ shards, loops int }{{1, 1}, {2, 2}, {8, 1}, {8, 3}} {
		t.Run(fmt.Sprintf("%d shards %d loops", n.shards, n.loops), func(t *testing.T) {
			p := startProof(t, n.shards, n.loops, 3)
			p.meddlers()
			results := make(chan error)
			const clients = 6
			for id := range clients {
				c, rnd := p.dial(), rand.New(rand.NewPCG(uint64(id), 3))
				go func() {
					var err error
					for i := 0; i < 30/proofShare && err == nil; i++ {
						err = ordered(c, rnd, id)
					}
					results <- err
				}()
			}
			for range clients {
				if err := <-results; err != nil {
					t.Error(err)
				}
			}
			t.Logf("%+v", p.mustContend())
		})
	}
}

// ordered sends one pipeline and compares its replies.
func ordered(c *proofConn, rnd *rand.Rand, id int) error {
	model := map[string]string{}
	var want []string
	out := resp.AppendCommandStrings(nil, "SET", "unused", "")
	want = append(want, "OK")
	key := func() string { return fmt.Sprintf("c%d:%d", id, rnd.IntN(12)) }
	set := func(k, v string) { model[k] = v }
	get := func(k string) string {
		if v, ok := model[k]; ok {
			return v
		}
		return "nil"
	}
	for i := range 12 {
		k := fmt.Sprintf("c%d:%d", id, i)
		out = resp.AppendCommandStrings(out, "DEL", k)
		want = append(want, "*")
	}
	for i := range 80 {
		k, v := key(), fmt.Sprintf("v%d", i)
		switch rnd.IntN(9) {
		case 0, 1:
			out = resp.AppendCommandStrings(out, "SET", k, v)
			set(k, v)
			want = append(want, "OK")
		case 2, 3:
			out = resp.AppendCommandStrings(out, "GET", k)
			want = append(want, get(k))
		case 4:
			k2 := key()
			out = resp.AppendCommandStrings(out, "MSET", k, v, k2, v+"'")
			set(k, v)
			set(k2, v+"'")
			want = append(want, "OK")
		case 5:
			k2 := key()
			out = resp.AppendCommandStrings(out, "MGET", k, k2)
			want = append(want, "["+get(k)+" "+get(k2)+"]")
		case 6:
			out = append(out, fmt.Sprintf("set %s \"%s \\x41\"\r\nping \"%s\"\r\nnonsense\r\n", k, v, v)...)
			set(k, v+" A")
			want = append(want, "OK", v, "ERR unknown command 'nonsense', with args beginning with: ")
		case 7:
			k2 := key()
			for _, args := range [][]string{{"MULTI"}, {"SET", k, v}, {"GET", k2}, {"GET", k}, {"EXEC"}} {
				out = resp.AppendCommandStrings(out, args...)
			}
			set(k, v)
			want = append(want, "OK", "QUEUED", "QUEUED", "QUEUED", "[OK "+get(k2)+" "+v+"]")
		case 8:
			big := strings.Repeat(v, 100+rnd.IntN(3000))
			out = resp.AppendCommandStrings(out, "GETSET", k, big)
			want = append(want, get(k))
			set(k, big)
		}
	}
	c.n = len(want)
	sent := make(chan struct{})
	go func() { scramble(c, rnd, out); close(sent) }()
	for i, w := range want {
		if got := text(c.reply()); got != w && w != "*" {
			return fmt.Errorf("connection %d, reply %d: %.80q, want %.80q", id, i, got, w)
		}
	}
	<-sent
	return nil
}
