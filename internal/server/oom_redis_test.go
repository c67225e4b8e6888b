package server_test

import (
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

// oomDialogue is what a client says before and behind a maxmemory that nothing fits into. A line that begins with "2"
// is another client's.
const oomDialogue = `
SET a 1
SET vol 2 EX 1000
CONFIG SET maxmemory 1
SET b 1
MSET a 1 b 2
GET a
DEL zz
SET
SET b
MULTI
SET c 1
EXEC
MULTI
GET a
EXEC
MULTI
DISCARD
MULTI
MULTI
DISCARD
MULTI
WATCH a
DISCARD
MULTI
NOTHING
PING
EXEC
CONFIG SET maxmemory 0
MULTI
SET c 1
2 CONFIG SET maxmemory 1
EXEC
GET c
PING
2 CONFIG SET maxmemory 0
MULTI
GET a
DEL b
2 CONFIG SET maxmemory 1
EXEC
2 CONFIG SET maxmemory 0
MULTI
INCR c
CONFIG SET maxmemory 1
SET d 2
EXEC
GET d
EXPIRE d 100
APPEND d 1
EXEC
CONFIG SET maxmemory-policy volatile-lru
GET a
EXISTS vol d
SET z 1
CONFIG SET maxmemory-policy allkeys-random
SET z 1
DBSIZE
MULTI
SET z 1
DISCARD
CONFIG SET maxmemory 0
SET z 1
OBJECT FREQ z
CONFIG SET maxmemory-policy volatile-lfu
OBJECT IDLETIME z
CONFIG SET maxmemory 1
MULTI
RESET
MULTI
QUIT`

// TestOOMAsRedis compares what is refused for lack of memory, inside transactions and outside, with redis-server.
func TestOOMAsRedis(t *testing.T) {
	theirs, ours := redistest.Redis().Start(t), fulmen(8).Start(t)
	var clients [2]*both
	for i := range clients {
		b := &both{t: t}
		b.right, b.ours = b.dial(theirs), b.dial(ours)
		clients[i] = b
	}
	for n, line := range strings.Split(strings.TrimSpace(oomDialogue), "\n") {
		who := clients[0]
		if rest, other := strings.CutPrefix(line, "2 "); other {
			who, line = clients[1], rest
		}
		right, got := who.do(strings.Fields(line)...)
		if want := string(right.Append(nil)); string(got.Append(nil)) != want {
			t.Errorf("line %d, %s: got %q, redis-server says %q", n+1, line, got.Append(nil), want)
		}
	}
}
