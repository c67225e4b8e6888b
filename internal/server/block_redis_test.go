package server_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fulmen/internal/redistest"
)

// waits are conversations with commands that wait for keys. "b! BLPOP a 0" sends a command that must come to wait;
// "b<" reads its reply; "b? BLPOP a 0" sends one whose reply comes later, though it may not wait, or not be seen to.
// BLOCKED is the number of those that wait, TIMED that of those whose wait has an end. "<b>" stands for the id of
// connection b. A time to wait is either so short that nothing depends on when it is over, or so long that all are seen
// to wait before.
var waits = map[string]string{
	"who has waited longest is served first": `
		b! BLPOP a 0
		c! BLPOP a 0
		d! BRPOP a 0
		RPUSH a 1 2
		b<
		c<
		BLOCKED
		RPUSH a 3 4
		d<
		LRANGE a 0 -1`,
	"who waits for some time only": `
		b! BLPOP a 0
		TIMED
		c! BLPOP a 1000
		d! BLMOVE a e LEFT LEFT 1000
		TIMED
		RPUSH a 1 2
		b<
		c<
		TIMED`,
	"also across several keys": `
		b! BLPOP x y z 0
		c! BLPOP z 0
		d! BLPOP y z 0
		RPUSH z 1
		b<
		RPUSH z 2
		c<
		RPUSH y 3
		d<
		EXISTS x y z`,
	"keys in the order in which they became ready": `
		b! BLPOP x y 0
		c! BLPOP x y 0
		MULTI
		RPUSH y 1
		RPUSH x 2
		EXEC
		b<
		c<`,
	"after EXEC as a whole": `
		b! BLPOP a 0
		MULTI
		RPUSH a 1
		LPUSH a 2
		LPOP a
		EXEC
		b<
		c! BLPOP a 0
		MULTI
		RPUSH a 1
		DEL a
		EXEC
		BLOCKED
		MULTI
		RPUSH a 1
		DEL a
		SET a x
		EXEC
		BLOCKED
		DEL a
		RPUSH a y
		c<`,
	"a key of another type": `
		b! BLPOP a 0
		SET a x
		BLOCKED
		DEL a
		HSET a f v
		BLOCKED
		DEL a
		RPUSH a 1
		b<
		c: BLPOP nokey 0.01`,
	"moving between lists wakes who waits for them": `
		b! BLMOVE a b LEFT LEFT 0
		c! BLMOVE b c LEFT LEFT 0
		d! BRPOPLPUSH c d 0
		e! BLPOP d 0
		RPUSH a 1
		b<
		c<
		d<
		e<
		EXISTS a b c d
		BLOCKED`,
	"a circle": `
		b! BLMOVE a b LEFT LEFT 0
		c! BLMOVE b a LEFT LEFT 0
		RPUSH a 1 2
		b<
		c<
		LRANGE a 0 -1
		LRANGE b 0 -1`,
	"a destination of another type": `
		SET s x
		b! BLMOVE a s LEFT LEFT 0
		c! BLPOP a 0
		RPUSH a 1
		b<
		c<
		BLOCKED`,
	"ways by which a key appears": `
		b! BLPOP a 0
		RPUSH q 1
		RENAME q a
		b<
		b! BLPOP a 0
		RPUSH q 2
		COPY q a
		b<
		b! BLPOP a 0
		RENAMENX q a
		b<
		SELECT 1
		RPUSH a 3
		c! BLPOP a 0
		MOVE a 0
		c<
		RPUSH a 4
		c! BLPOP a 0
		SWAPDB 0 1
		c<
		SELECT 0
		RPUSH q 3 1 2
		b! BLPOP a 0
		LMOVE q a LEFT LEFT
		b<
		b! BLPOP a 0
		RPOPLPUSH q a
		b<`,
	"pipelined behind": `
		b! BLPOP a 0
		b? INCR n
		b? BLPOP a 0
		b? INCR n
		RPUSH a 1 2
		b<
		b<
		b<
		b<
		GET n`,
	"in MULTI nobody waits": `
		MULTI
		BLPOP a 0
		BLMOVE a b LEFT LEFT 0
		BRPOPLPUSH a b 0
		BLMPOP 0 1 a LEFT
		EXEC
		BLOCKED`,
	"CLIENT UNBLOCK": `
		b! BLPOP a 0
		CLIENT UNBLOCK <b>
		b<
		b! BLMOVE a b LEFT LEFT 0
		CLIENT UNBLOCK <b> TIMEOUT
		b<
		b! BLPOP a b 0
		CLIENT UNBLOCK <b> ERROR
		b<
		CLIENT UNBLOCK <b> ERROR
		CLIENT UNBLOCK 999999
		RPUSH a 1
		BLOCKED
		LRANGE a 0 -1
		b: HELLO 3
		b! BLPOP q 0
		CLIENT UNBLOCK <b>
		b<
		b? BLPOP q 0.05
		b<
		b? BLMPOP 0.05 2 q r LEFT
		b<
		b! BLPOP q q 0
		RPUSH q 1 2
		b<
		LRANGE q 0 -1`,
	"a client that was killed takes nothing": `
		b! BLPOP a 0
		CLIENT KILL ID <b>
		BLOCKED
		RPUSH a 1
		LRANGE a 0 -1`,
	"a client that is gone takes nothing": `
		b! BLPOP a 0
		c! BLPOP a 0
		b.
		RPUSH a 1
		c<
		EXISTS a`,
	"its line, and statistics": `
		b! BLPOP a b 0
		CLIENT LIST
		RPUSH a 1
		b<
		CLIENT LIST
		b? BLMOVE none s LEFT LEFT 0.02
		b<
		STATS blpop
		STATS blmove
		STATS lpop
		STATS lmove`,
	"replies that are off": `
		b? CLIENT REPLY OFF
		b! BLPOP a 0
		RPUSH a 1
		b? CLIENT REPLY ON
		b<`,
	"sorted sets": `
		b! BZPOPMIN z 0
		c! BZPOPMAX y z 0
		d! BZMPOP 0 2 y z MAX COUNT 2
		e! BZMPOP 0 1 z MIN
		ZADD z 1 a 2 b 3 c 4 d
		b<
		c<
		d<
		EXISTS z
		BLOCKED
		ZADD z -inf f inf g
		e<
		ZRANGE z 0 -1 WITHSCORES
		b: HELLO 3
		b! BZPOPMIN q 0
		ZADD q 1.5 x
		b<
		b! BZMPOP 0 1 q MIN COUNT 10
		ZADD q 1.5 x -1 y
		b<`,
	"lists and sorted sets of one name": `
		b! BLPOP k 0
		c! BZPOPMIN k 0
		d! BLPOP k 0
		e! BZPOPMAX k 0
		ZADD k 1 a
		c<
		BLOCKED
		RPUSH k 1 2 3
		b<
		d<
		BLOCKED
		LPOP k
		ZADD k 1 x
		e<`,
	"ways by which a sorted set appears": `
		ZADD s 1 a 2 b
		SADD t a b
		b! BZPOPMIN z 0
		ZUNIONSTORE z 1 s
		b<
		DEL z
		b! BZPOPMIN z 0
		ZINTERSTORE z 2 s t WEIGHTS 2 3
		b<
		DEL z
		b! BZPOPMIN z 0
		ZDIFFSTORE z 1 s
		b<
		DEL z
		b! BZPOPMIN z 0
		ZRANGESTORE z s 1 2
		b<
		EXISTS z
		b! BZPOPMIN z 0
		ZINCRBY z 7 m
		b<
		b! BZPOPMIN z 0
		COPY s z
		b<
		DEL z
		b! BZPOPMIN z 0
		RENAME s z
		b<
		b! BLPOP l 0
		SORT t ALPHA STORE l
		b<
		DEL l
		b! BLPOP l 0
		RPUSH l2 x
		SORT l2 BY nosort STORE l
		b<`,
	"sorted sets after EXEC as a whole": `
		b! BZPOPMIN z 0
		MULTI
		ZADD z 1 a
		ZREM z a
		EXEC
		BLOCKED
		MULTI
		ZADD z 1 a 2 b
		ZPOPMIN z
		ZADD z 5 c
		EXEC
		b<
		MULTI
		BZPOPMIN z 0
		BZPOPMAX z 0
		BZMPOP 0 1 z MIN
		EXEC`,
	"statistics of sorted sets": `
		b! BZPOPMIN z 0
		STATS bzpopmin
		ZADD z 1 a
		b<
		STATS bzpopmin
		b? BZPOPMIN z 0.02
		b<
		STATS bzpopmin
		b! BZPOPMIN z 0
		CLIENT UNBLOCK <b>
		b<
		STATS bzpopmin
		b! BZPOPMIN z 0
		CLIENT UNBLOCK <b> ERROR
		b<
		STATS bzpopmin
		b! BZMPOP 0 1 z MIN
		b.
		STATS bzmpop
		ZADD z 1 a
		STATS zpopmin
		c! BZPOPMIN y 0
		SET y x
		DEL y
		STATS bzpopmin`,
	"timeouts that are none": `
		b: BLPOP a -1
		b: BLPOP a x
		b: BLPOP a nan
		b: BLPOP a inf
		b: BLPOP a 1e400
		b: BLPOP a 9223372036854775807
		b: BZPOPMIN a -0.1
		b: BLMPOP 1e300 1 a LEFT
		b: BZMPOP abc 1 a MIN
		b: BLMOVE a b LEFT LEFT -1
		b: BRPOPLPUSH a b x
		b? BLPOP a 0.000001
		b<
		BLOCKED`,
	"a pause of writes": `
		b! BLPOP a 0
		e! BZPOPMIN z 10
		CLIENT PAUSE 100000 WRITE
		e<
		c! RPUSH a 1 2
		d! BLPOP q 0
		CLIENT UNBLOCK <b>
		b<
		CLIENT UNPAUSE
		c<
		LRANGE a 0 -1
		RPUSH q x
		d<
		BLOCKED`,
	"who waits when a pause begins is served after it": `
		b! BLMOVE a q LEFT LEFT 0
		CLIENT PAUSE 100000 WRITE
		c! RPUSH a 1 2
		EXISTS a q
		CLIENT UNPAUSE
		c<
		b<
		LRANGE q 0 -1`,
	"flushed": `
		b! BLPOP a 0
		FLUSHALL
		BLOCKED
		FLUSHDB
		RPUSH a 1
		b<`,
	"what is pushed and popped in one pipeline": `
		b! BLPOP a 0
		c? RPUSH a 1 2
		c? LPOP a
		c? LPOP a
		c<
		c<
		c<
		b<`,
}

// waitTalk is one conversation with one server.
type waitTalk struct {
	conns
	addr string
	ids  map[string]string
}

// line does what a line says and returns the reply, "" for none.
func (w *waitTalk) line(t *testing.T, line string) string {
	t.Helper()
	who, rest, _ := strings.Cut(line, " ")
	mark := byte(0)
	if n := len(who); n == 2 && strings.ContainsRune("!?<:.", rune(who[1])) {
		mark, who = who[1], who[:1]
	} else {
		who, rest = "", line
	}
	for name, id := range w.ids {
		rest = strings.ReplaceAll(rest, "<"+name+">", id)
	}
	args := strings.Fields(rest)
	if w.conns[who] == nil {
		id := w.ask(t, w.addr, who, []string{"CLIENT", "ID"})
		w.ids[who] = strings.Trim(id, ":\" ")
	}
	conn := w.conns[who]
	switch mark {
	case '!':
		before := w.blocked(t)
		send(t, conn, args)
		w.await(t, before+1)
	case '?':
		send(t, conn, args)
	case '<':
		v, err := conn.Receive()
		if err != nil {
			return "EOF"
		}
		return flat(v)
	case '.':
		before := w.blocked(t)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		delete(w.conns, who)
		w.await(t, before-1)
	default:
		switch args[0] {
		case "BLOCKED":
			return fmt.Sprint(w.blocked(t))
		case "TIMED":
			return fmt.Sprint(w.clients(t, "clients_in_timeout_table"))
		case "STATS":
			text := w.ask(t, w.addr, "info", []string{"INFO", "commandstats"})
			for line := range strings.Lines(text) {
				if name, counts, ok := strings.Cut(line, ":"); ok && name == "cmdstat_"+args[1] {
					calls, _, _ := strings.Cut(counts, ",")
					_, rest, _ := strings.Cut(counts, "rejected")
					return calls + strings.TrimSpace(rest)
				}
			}
			return "none"
		}
		return w.ask(t, w.addr, who, args)
	}
	return ""
}

func send(t *testing.T, conn *redistest.Conn, args []string) {
	t.Helper()
	conn.Queue(args...)
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

// blocked returns how many clients wait.
func (w *waitTalk) blocked(t *testing.T) int {
	t.Helper()
	return w.clients(t, "blocked_clients")
}

// clients returns a number of INFO clients.
func (w *waitTalk) clients(t *testing.T, name string) (n int) {
	t.Helper()
	text := w.ask(t, w.addr, "info", []string{"INFO", "clients"})
	_, after, ok := strings.Cut(text, name+":")
	if !ok {
		t.Fatalf("INFO clients: %q", text)
	}
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// await waits until n clients wait.
func (w *waitTalk) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); w.blocked(t) != n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d clients wait, want %d", w.blocked(t), n)
		}
	}
}

// TestWaitsEqualRedis holds each conversation with redis-server and with servers of one and of eight shards.
func TestWaitsEqualRedis(t *testing.T) { waitsEqualRedis(t, waits) }

// TestStreamWaitsEqualRedis does so with those of streams.
func TestStreamWaitsEqualRedis(t *testing.T) { waitsEqualRedis(t, streamWaits) }

func waitsEqualRedis(t *testing.T, waits map[string]string) {
	for name, text := range waits {
		for _, shards := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s/%d", name, shards), func(t *testing.T) {
				t.Parallel() // most of the time they wait
				socket := filepath.Join(t.TempDir(), "redis")
				redistest.Redis("--unixsocket", socket).Start(t)
				right := &waitTalk{conns: conns{}, addr: socket, ids: map[string]string{}}
				ours := &waitTalk{conns: conns{}, addr: fulmen(shards, "--event-loops", "2").Start(t),
					ids: map[string]string{}}
				defer right.close()
				defer ours.close()
				for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
					line = strings.TrimSpace(line)
					want, got := right.line(t, line), ours.line(t, line)
					// A client of another loop is killed there, some time after CLIENT KILL has been answered.
					for until := time.Now().Add(patience); line == "BLOCKED" && got != want; {
						if got = ours.line(t, line); time.Now().After(until) {
							break
						}
					}
					if got != want {
						t.Errorf("%s\ngot  %q\nwant %q", line, got, want)
					}
				}
			})
		}
	}
}
