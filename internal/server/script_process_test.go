package server

import (
	"strconv"
	"testing"
)

// TestServerEndsDuringAScript: of a script that hasn't ended when the server is killed, or ended by SHUTDOWN NOSAVE,
// nothing is left; of those before all that was acknowledged is.
func TestServerEndsDuringAScript(t *testing.T) {
	dir := t.TempDir()
	start := func() (*process, *client) {
		p := startProcess(t, "--dir", dir, "--appendonly", "yes", "--lua-time-limit", "20", "--save", "")
		return p, dial(t, p.addr)
	}
	const pair = "redis.call('SET',KEYS[1],ARGV[1]) redis.call('SET',KEYS[2],ARGV[1]) return redis.call('INCR','sum')"
	const half = "redis.call('SET',KEYS[1],'half') redis.call('INCR','sum') while true do end"
	for round := 1; round <= 4; round++ {
		p, c := start()
		if round > 1 {
			want := strconv.Itoa(round - 1)
			if got := c.do("MGET", "a", "b", "sum"); got != "["+want+" "+want+" "+want+"]" {
				t.Fatalf("round %d begins with %s", round, got)
			}
		}
		if got := c.do("EVAL", pair, "2", "a", "b", strconv.Itoa(round)); got != strconv.Itoa(round) {
			t.Fatalf("round %d: %s", round, got)
		}
		dial(t, p.addr).send("EVAL \"" + half + "\" 1 a\r\n")
		eventually(t, "the server is busy", func() bool { return c.do("PING") == busyText })
		if round%2 == 0 {
			c.send("SHUTDOWN NOSAVE\r\n")
		} else if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.done <- <-p.done
	}
	_, c := start()
	c.do("PING")
	if got := c.do("MGET", "a", "b", "sum"); got != "[4 4 4]" {
		t.Errorf("in the end: %s", got)
	}
}
