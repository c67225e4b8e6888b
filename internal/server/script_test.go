package server

import (
	"strconv"
	"strings"
	"testing"
)

const (
	busyText   = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
	killedText = "-ERR Script killed by user with SCRIPT KILL... script: "
	endless    = "while true do end"
)

// TestScriptStandsStill: a script that goes on for long holds nobody up whose keys are in other shards, on its own loop
// neither, and those who wait for its batons get to see all that it has done.
func TestScriptStandsStill(t *testing.T) {
	srv := startServer(t, "--event-loops", "1", "--busy-reply-threshold", "0")
	c, other, waits := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	const script = "local n = 0 while redis.call('GET',KEYS[1]) ~= 'x' do n = n + 1 redis.call('INCR',KEYS[2]) " +
		"if n > 200000 then redis.call('SET',KEYS[1],'x') end end return n"
	c.send("EVAL \"" + script + "\" 2 {a}stop {a}n\r\n")
	eventually(t, "the script stands still", func() bool { return other.info("clients", "connected_clients") != "" })
	waits.send("MGET {a}stop {a}n\r\n")
	rounds := 0
	for reply := make(chan string, 1); ; rounds++ {
		if rounds == 0 {
			go func() { reply <- waits.reply() }()
		}
		if got := other.do("INCR", "{b}n"); got != strconv.Itoa(rounds+1) {
			t.Fatalf("round %d: %s", rounds, got)
		}
		select {
		case got := <-reply:
			if got != "[x 200001]" {
				t.Errorf("who waited saw %s", got)
			}
			if got := c.reply(); got != "200001" {
				t.Errorf("the script returned %s", got)
			}
			if rounds < 10 {
				t.Errorf("others had %d rounds", rounds)
			}
			return
		default:
		}
	}
}

// TestBusyScript: what redis-server does with a script that is in the way.
func TestBusyScript(t *testing.T) {
	srv, log := startLogged(t, "--lua-time-limit", "50")
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	waits, queues := dial(t, srv.Addr()), dial(t, srv.Addr())
	queues.do("MULTI")
	queues.do("GET", "k")
	c.send("EVAL \"" + endless + "\" 1 k\r\n")
	eventually(t, "the script holds its batons", func() bool { return srv.scripts.running.count() == 1 })
	if got := other.do("SCRIPT", "EXISTS", "x"); got != "[0]" && got != busyText {
		t.Error(got)
	}
	waits.send("GET k\r\nPING\r\n")
	queues.send("EXEC\r\n")
	eventually(t, "the server is busy", func() bool { return other.do("PING") == busyText })
	waits.want(busyText, busyText)
	queues.want("-EXECABORT Transaction discarded because of: " + busyText[1:])
	for _, q := range []string{"GET other", "EVAL x 0", "CONFIG GET port", "SHUTDOWN", "SHUTDOWN SAVE", "INFO"} {
		if got := other.do(strings.Fields(q)...); got != busyText {
			t.Errorf("%s: %s", q, got)
		}
	}
	for _, q := range []string{"MULTI", "DISCARD", "UNWATCH", "HELLO 2", "RESET"} {
		if got := other.do(strings.Fields(q)...); got == busyText {
			t.Errorf("%s is refused", q)
		}
	}
	other.send("SCRIPT KILL\r\n")
	other.want("OK")
	if got := c.reply(); !strings.HasPrefix(got, killedText) {
		t.Errorf("the script replied %s", got)
	}
	for _, x := range []*client{c, other, waits, queues} {
		if got := x.do("PING"); got != "PONG" {
			t.Errorf("afterwards: %s", got)
		}
	}
	if got := other.do("SCRIPT", "KILL"); got != "-NOTBUSY No scripts in execution right now." {
		t.Error(got)
	}
	log.wantLogged(t, 1, "Slow script detected: still in execution after ")
	log.wantLogged(t, 1, "Lua script killed by user with SCRIPT KILL.")
}

// TestKillSurvivesPcall: what a script catches doesn't keep it running.
func TestKillSurvivesPcall(t *testing.T) {
	srv := startServer(t, "--lua-time-limit", "1")
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	for _, script := range []string{
		"while true do pcall(function() while true do end end) end",
		"local f f = function() while true do redis.pcall('GET','k') end end while true do pcall(f) end",
		"coroutine.wrap(function() while true do end end)()",
		"string.rep('a',30):find(string.rep('a*',30)..'b')",
	} {
		c.send("EVAL \"" + script + "\" 0\r\n")
		eventually(t, "the script is killed", func() bool { return other.do("SCRIPT", "KILL") == "OK" })
		if got := c.reply(); !strings.HasPrefix(got, killedText) {
			t.Errorf("%s replied %s", script, got)
		}
	}
}

// TestUnkillableScript: a script that has written goes on, whoever wants it killed; its caller's going doesn't stop it,
// and all that it has done is there.
func TestUnkillableScript(t *testing.T) {
	srv := startServer(t, "--lua-time-limit", "1")
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	other.do("SET", "{k}go", "1")
	c.send("EVAL \"redis.call('SET',KEYS[1],1) local n = 0 repeat n = n + 1 until n > " +
		strconv.Itoa(30_000_000/proofShare) + " return redis.call('SET',KEYS[1],2)\" 1 k\r\n")
	const unkillable = "-UNKILLABLE Sorry the script already executed write commands against the dataset."
	eventually(t, "it can't be killed", func() bool {
		return strings.HasPrefix(other.do("SCRIPT", "KILL"), unkillable)
	})
	_ = c.Close()
	eventually(t, "the script is over", func() bool { return other.do("GET", "k") == "2" })
	if n := srv.scripts.running.count(); n != 0 {
		t.Errorf("%d scripts run", n)
	}
}

// TestScriptsWithoutKeysAreBounded: connections whose scripts need no batons, or whose transactions have such ones,
// wait when too many stand still.
func TestScriptsWithoutKeysAreBounded(t *testing.T) {
	srv := startServer(t, "--event-loops", "1", "--busy-reply-threshold", "0")
	const script = "EVAL \"" + endless + "\" 0\r\n"
	transaction := dial(t, srv.Addr())
	transaction.send("MULTI\r\n" + script)
	transaction.want("OK", "QUEUED")
	for range maxStanding {
		dial(t, srv.Addr()).send(script)
	}
	running := &srv.scripts.running
	eventually(t, "as many as may stand still", func() bool { return running.count() == maxStanding })
	transaction.send("EXEC\r\n")
	dial(t, srv.Addr()).send(script)
	eventually(t, "the others are there", func() bool { return running.count()+srv.waitingSessions() == maxStanding+2 })
	if n, states := running.count(), srv.scripts.states.Load(); n != maxStanding || states > maxStanding+1 {
		t.Errorf("%d scripts run, in %d Lua states", n, states)
	}
	other := dial(t, srv.Addr())
	eventually(t, "nobody waits", func() bool {
		other.do("SCRIPT", "KILL")
		return srv.waitingSessions() == 0
	})
}

// TestServerEndsDuringATransaction: of a transaction whose script stands still when the server ends nothing more is
// executed, no other script either.
func TestServerEndsDuringATransaction(t *testing.T) {
	srv := startServer(t)
	c := dial(t, srv.Addr())
	c.send("MULTI\r\nEVAL \"" + endless + "\" 1 k\r\nEVAL \"return 1\" 1 k\r\nCONFIG SET maxclients 77\r\nEXEC\r\n")
	eventually(t, "the script stands still", func() bool { return srv.scripts.running.count() == 1 })
	if err := srv.Shutdown(); err != nil {
		t.Error(err)
	}
	if n := srv.cfg.Values().MaxClients; n == 77 {
		t.Error("the transaction went on")
	}
}

// TestBusyScriptAndFlush: a command that has been executed and frees memory before it replies is not refused because a
// script has taken the baton meanwhile.
func TestBusyScriptAndFlush(t *testing.T) {
	srv := startServer(t, "--shards", "1", "--enable-debug-command", "yes", "--lua-time-limit", "1")
	c, caller, other := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
	for range 5 {
		wantReply(t, c, "OK", "DEBUG", "POPULATE", "100000")
		c.send("FLUSHALL SYNC\r\n")
		caller.send("EVAL \"" + endless + "\" 1 k\r\n")
		eventually(t, "the script is killed", func() bool {
			return other.do("PING") == busyText && other.do("SCRIPT", "KILL") == "OK"
		})
		if got := caller.reply(); !strings.HasPrefix(got, killedText) {
			t.Errorf("the script replied %s", got)
		}
		if got, left := c.reply(), other.do("DBSIZE"); (got == "OK") != (left == "0") {
			t.Errorf("FLUSHALL replied %s, and %s keys are left", got, left)
		}
	}
}

// TestScriptComesWhileLookedFor: a script that is loaded at the moment at which it is called is found, or not, and has
// the batons of its keys.
func TestScriptComesWhileLookedFor(t *testing.T) {
	srv, log := startLogged(t, "--shards", "8", "--event-loops", "2")
	c, loader := dial(t, srv.Addr()), dial(t, srv.Addr())
	const source = "return redis.call('GET',KEYS[1])"
	sha := loader.do("SCRIPT", "LOAD", source)
	calls := strings.Repeat("EVALSHA "+sha+" 1 k\r\n", 50)
	loads := strings.Repeat("SCRIPT FLUSH\r\nSCRIPT LOAD \""+source+"\"\r\n", 25)
	for range 200 / proofShare {
		c.send(calls)
		loader.send(loads)
		for range 50 {
			if got := c.reply(); got != "nil" && !strings.HasPrefix(got, "-NOSCRIPT") {
				t.Fatal(got)
			}
			loader.reply()
		}
	}
	log.wantLogged(t, 0, "BUG")
}

// TestSaveGoesOnDuringAScript: a save that is under way comes to its end, though a script keeps the baton it needs.
func TestSaveGoesOnDuringAScript(t *testing.T) {
	srv := startServer(t, "--shards", "1", "--enable-debug-command", "yes")
	c, caller := dial(t, srv.Addr()), dial(t, srv.Addr())
	wantReply(t, c, "OK", "DEBUG", "POPULATE", "100000")
	for range 20 {
		wantReply(t, c, "Background saving started", "BGSAVE")
		caller.send("EVAL \"" + endless + "\" 1 k\r\n")
		eventually(t, "the script stands still", func() bool { return srv.scripts.running.count() == 1 })
		saving := srv.saver.Running() != nil
		eventually(t, "the save is over", func() bool { return srv.saver.Running() == nil })
		wantReply(t, c, "OK", "SCRIPT", "KILL")
		caller.reply()
		if saving {
			return
		}
	}
	t.Error("all saves were over before the script had the baton")
}
