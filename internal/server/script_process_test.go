package server

import (
	"strconv"
	"strings"
	"syscall"
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

// TestSignalDuringAScript: as with redis-server, SIGTERM ends the server when the script is over that runs, and that is
// over when it has ended or is killed. Until then the end can be given up, and had at once by SHUTDOWN NOSAVE and
// SIGINT, with and without a save in the end and an append-only file.
func TestSignalDuringAScript(t *testing.T) {
	const clean, wrote = endless, "redis.call('SET',KEYS[1],'half') " + endless
	for i, test := range []struct {
		script string
		then   func(p *process, c *client)
		code   int
	}{
		{clean, func(_ *process, c *client) { wantReply(t, c, "OK", "SCRIPT", "KILL") }, 0},
		{clean, func(_ *process, c *client) { c.send("SHUTDOWN NOSAVE\r\n") }, 0},
		{wrote, func(_ *process, c *client) { c.send("SHUTDOWN NOSAVE\r\n") }, 0},
		{wrote, func(p *process, _ *client) { p.signal(syscall.SIGINT) }, 1},
		{clean, func(p *process, c *client) {
			wantReply(t, c, "OK", "SHUTDOWN", "ABORT")
			wantReply(t, c, "OK", "SCRIPT", "KILL")
			wantReply(t, c, "-ERR No shutdown in progress.", "SHUTDOWN", "ABORT")
			wantReply(t, c, "OK", "SET", "after", "1")
			p.signal(syscall.SIGTERM)
		}, 0},
	} {
		save, logged := []string{"", "900 1"}[i%2], []string{"yes", "no"}[i/2%2]
		p := startProcess(t, "--lua-time-limit", "20", "--save", save, "--appendonly", logged)
		c := dial(t, p.addr)
		dial(t, p.addr).send("EVAL \"" + test.script + "\" 1 a\r\n")
		eventually(t, "the server is busy", func() bool { return c.do("PING") == busyText })
		p.signal(syscall.SIGTERM)
		eventually(t, "it waits for the script", func() bool {
			return strings.Contains(p.log.String(), "Waiting for a script")
		})
		p.signal(syscall.SIGTERM)
		eventually(t, "the second signal came", func() bool {
			return strings.Contains(p.log.String(), "Received SIGTERM while ending")
		})
		wantReply(t, c, busyText, "PING")
		test.then(p, c)
		p.done <- <-p.done
		if code := p.cmd.ProcessState.ExitCode(); code != test.code {
			t.Errorf("%d: it ended with code %d, want %d:\n%s", i, code, test.code, p.log)
		}
	}
}

// TestScriptEndsBeforeTheServer: a script that has written when SIGTERM or SHUTDOWN comes is executed to its end, and
// all that it has done is there at the next start.
func TestScriptEndsBeforeTheServer(t *testing.T) {
	const script = "redis.call('SET',KEYS[1],1) local n = 0 repeat n = n + 1 until n > 10000000 " +
		"return redis.call('INCR',KEYS[1])"
	for i, logged := range []string{"yes", "no"} {
		args := []string{"--dir", t.TempDir(), "--appendonly", logged, "--save", []string{"", "900 1"}[i]}
		p := startProcess(t, args...)
		c, other := dial(t, p.addr), dial(t, p.addr)
		c.send("EVAL \"" + script + "\" 1 k\r\n")
		eventually(t, "the script runs", func() bool {
			return other.info("memory", "number_of_cached_scripts") == "1"
		})
		if i == 0 {
			p.signal(syscall.SIGTERM)
		} else {
			other.send("SHUTDOWN\r\n")
		}
		p.done <- <-p.done
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("it ended with code %d:\n%s", code, p.log)
		}
		if got := c.reply(); got != "2" {
			t.Errorf("the script replied %s", got)
		}
		p = startProcess(t, args...)
		wantReply(t, dial(t, p.addr), "2", "GET", "k")
	}
}

// signal sends a signal to the process.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Error(err)
	}
}
