package server

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stoppedEnv is how many MiB are written while TestStoppedReplica's replica stands still; `make stopped` sets it.
const stoppedEnv = "FULMEN_STOPPED_MB"

// TestStoppedReplica: a replica that stands still while much is written costs its primary no memory beyond what is
// granted to the stream, neither with an append-only file nor without one, and goes on where it was.
func TestStoppedReplica(t *testing.T) {
	mb := 256
	if text := os.Getenv(stoppedEnv); text != "" {
		var err error
		if mb, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("from the append-only file", func(t *testing.T) {
		stopReplica(t, mb,
			"--appendonly", "yes", "--aof-history-retain-bytes", "8gb", "--auto-aof-rewrite-percentage", "0")
	})
	t.Run("from temporary files", func(t *testing.T) { stopReplica(t, mb) })
}

func stopReplica(t *testing.T, mb int, params ...string) {
	const (
		values     = 1000
		valueBytes = 10 << 10
		backlog    = 1 << 20
		granted    = backlog + 64<<20
	)
	primary := startProcess(t, append([]string{"--enable-debug-command", "yes", "--save", "",
		"--repl-diskless-sync-delay", "0", "--repl-timeout", "3600",
		"--repl-backlog-size", strconv.Itoa(backlog)}, params...)...)
	c := longDial(t, primary.addr)
	c.loaded()
	round := func(n int) {
		t.Helper()
		var text strings.Builder
		for i := range values {
			letter := string(rune('a' + (n+i)%26))
			text.WriteString(bulk("SET", "key:"+strconv.Itoa(i), strings.Repeat(letter, valueBytes)))
		}
		c.send(text.String())
		for range values {
			c.want("OK")
		}
	}
	round(0)
	host, port, _ := strings.Cut(primary.addr, ":")
	replica := startProcess(t, "--enable-debug-command", "yes", "--save", "", "--replicaof", host+" "+port,
		"--repl-timeout", "3600")
	r := longDial(t, replica.addr)
	r.loaded()
	waitLinked(t, r)
	round(1)
	sameData(t, c, r)
	before, _ := primary.memory()
	logBefore := infoField(t, c, "fulmen", "log_memory_bytes")
	if err := replica.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	most := 0
	rounds := mb << 20 / (values * valueBytes)
	for n := range rounds {
		round(n + 2)
		// On a busy machine it takes a while until the log is on the disk, and what it took in memory given back.
		eventually(t, "the log has not kept what the replica lacks", func() bool {
			return infoField(t, c, "fulmen", "log_memory_bytes") <= logBefore+granted-16<<20
		})
		rss, _ := primary.memory()
		most = max(most, rss)
	}
	if grown := most - before; grown > granted {
		t.Errorf("%d MiB more are resident, granted are %d", grown>>20, granted>>20)
	}
	t.Logf("%d MB written, resident %d MB before and at most %d MB", rounds*values*valueBytes/1e6, before/1e6, most/1e6)
	if err := replica.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for r.info("replication", "slave_repl_offset") != c.info("replication", "master_repl_offset") {
		time.Sleep(10 * time.Millisecond) // between two looks; longDial's deadline ends it
	}
	sameData(t, c, r)
	if got := c.info("stats", "sync_full"); got != "1" {
		t.Errorf("%s full syncs", got)
	}
}

// longDial is dial for a test that may last an hour.
func longDial(t *testing.T, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	return c
}
