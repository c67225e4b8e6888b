package server

import (
	"fmt"
	"net"
	"runtime"
	"strconv"
	"testing"
)

// TestProcessors: there are as many as the runtime has chosen while loops are alone, and one more than loops for each
// that works beside them, and one to spare.
func TestProcessors(t *testing.T) {
	p := processors{cores: 2, loops: 3}
	for _, step := range []struct{ add, want int }{{0, 2}, {2, 6}, {1, 7}, {-2, 5}, {-1, 2}} {
		p.added += step.add
		if got := p.wanted(); got != step.want {
			t.Fatalf("%d after %d more, want %d", got, step.add, step.want)
		}
	}
	p = processors{cores: 8, loops: 3, steady: 1}
	if got := p.wanted(); got != 8 {
		t.Fatalf("%d of 8, of which there are enough", got)
	}
}

// TestProcessorsWhileOthersWork: a save's workers have processors besides those of the loops until it is over, and so
// have the writer of the append-only file while somebody waits for what it writes, and who sends to replicas.
func TestProcessorsWhileOthersWork(t *testing.T) {
	loops := runtime.NumCPU() + 1
	p := startProcess(t, "--event-loops", strconv.Itoa(loops), "--rdb-key-save-delay", "100000000")
	c := dial(t, p.addr)
	alone := 0
	eventually(t, "there are as many processors as there are", func() bool {
		alone, _ = strconv.Atoi(c.info("fulmen", "processors"))
		return 0 < alone && alone < loops
	})
	expect := func(when string, want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s there are %d processors", when, want), func() bool {
			return c.info("fulmen", "processors") == strconv.Itoa(want)
		})
	}
	c.do("SET", "k", "v")
	c.do("BGSAVE")
	expect("during a save", loops+max(1, min(4, alone/4))+1)
	c.do("FLUSHALL") // gives it up
	expect("after it", alone)
	c.do("CONFIG", "SET", "appendonly", "yes", "appendfsync", "always")
	c.do("SET", "k", "v")
	expect("with an append-only file that is always synced", loops+2)
	c.do("CONFIG", "SET", "appendfsync", "everysec")
	expect("while there is nothing to write", alone)
	c.do("SET", "k", "v")
	expect("when that has been written", alone)
	c.do("CONFIG", "SET", "appendfsync", "always")
	c.do("SET", "k", "v")
	expect("when it is always synced again", loops+2)
	c.do("CONFIG", "SET", "appendonly", "no")
	expect("without it", alone)
	c.do("CONFIG", "SET", "rdb-key-save-delay", "0", "repl-diskless-sync-delay", "0")
	replica := startProcess(t)
	r := dial(t, replica.addr)
	host, port, _ := net.SplitHostPort(p.addr)
	r.do("REPLICAOF", host, port)
	expect("with a replica", loops+2)
	r.do("REPLICAOF", "NO", "ONE")
	expect("without it", alone)
}
