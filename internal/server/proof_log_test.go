package server

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fulmen/internal/resp"
	"fulmen/persist/log"
)

// numbered is a client that numbers what it writes, and notes how far the log was when it was told of it.
type numbered struct {
	p    *proof
	c    *proofConn
	id   int
	rnd  *rand.Rand
	lsns []uint64 // by number: the LSN when the reply had come
}

// run sends n writes, of one key, of several, in transactions, pipelined or not.
func (w *numbered) run(n int) {
	for len(w.lsns) < n {
		for range 1 + w.rnd.IntN(6) {
			w.write()
		}
		w.c.flush()
		for w.c.n > 0 {
			w.c.reply()
			w.lsns = append(w.lsns, w.p.srv.set.Log.LSN())
		}
	}
}

// write adds commands; the number of each is that of its reply.
func (w *numbered) write() {
	number := func(ahead int) string { return fmt.Sprintf("%d:%d", w.id, len(w.lsns)+w.c.n+ahead) }
	key := func() string { return "k" + strconv.Itoa(w.rnd.IntN(40)) }
	switch w.rnd.IntN(5) {
	case 0:
		v := number(0)
		w.c.add("MSET", key(), v, key(), v, key(), v)
	case 1:
		v := number(3) // what counts is EXEC's reply
		w.c.add("MULTI")
		w.c.add("SET", key(), v)
		w.c.add("SET", key(), v)
		w.c.add("EXEC")
	case 2:
		w.c.add("GETSET", key(), number(0))
	default:
		w.c.add("SET", key(), number(0))
	}
}

// TestLogKeepsOrder: what one connection writes is in the log in the order in which it was written, whatever shards
// it went to, and its place in the log was taken before the reply was sent: so a prefix of the log holds everything
// that led to what it holds, and the LSN of a reply is known when the reply is made.
func TestLogKeepsOrder(t *testing.T) {
	for _, n := range []struct{ shards, loops int }{{1, 2}, {8, 1}, {8, 3}} {
		t.Run(fmt.Sprintf("%d shards %d loops", n.shards, n.loops), func(t *testing.T) {
			p := startProof(t, n.shards, n.loops, 3)
			p.meddlers()
			r := p.record()
			clients := make([]*numbered, 6)
			var wg sync.WaitGroup
			for i := range clients {
				w := &numbered{p: p, c: p.dial(), id: i, rnd: rand.New(rand.NewPCG(uint64(i), 9))}
				clients[i] = w
				wg.Go(func() { w.run(3000 / proofShare) })
			}
			wg.Wait()
			r.end()
			records := 0
			last := make([]int, len(clients))
			at := r.hold.LSN() // of the record's end
			if err := log.ForEachIn(r.merged, func(args [][]byte) error {
				records++
				at += recordLen(args)
				if name := string(args[0]); name == "MULTI" || name == "EXEC" || name == "SELECT" {
					return nil
				}
				who, what, _ := strings.Cut(string(args[2]), ":")
				id, err := strconv.Atoi(who)
				if err != nil {
					return err
				}
				number, err := strconv.Atoi(what)
				if err != nil {
					return err
				}
				if number < last[id] {
					return fmt.Errorf("number %d of connection %d is behind number %d", number, id, last[id])
				}
				last[id] = number
				if told := clients[id].lsns[number]; told < at {
					return fmt.Errorf("number %d of connection %d ends at %d, but was told of at %d",
						number, id, at, told)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			t.Logf("%d records, %+v", records, p.mustContend())
		})
	}
}

// recordLen is the length of a record.
func recordLen(args [][]byte) uint64 {
	n := len(fmt.Sprintf("*%d\r\n", len(args)))
	for _, a := range args {
		n += len(fmt.Sprintf("$%d\r\n", len(a))) + len(a) + 2
	}
	return uint64(n)
}

// TestManyWaitForOneShard: more clients than a drain serves wait for one baton; all are answered, in order of their
// commands' arrival for each, and nothing is done twice.
func TestManyWaitForOneShard(t *testing.T) {
	p := startProof(t, 2, 2, 0)
	o := p.outsider()
	const clients, each = 300, 4
	key := p.keyOf("counter", 1)
	conns := make([]*proofConn, clients)
	for i := range conns {
		conns[i] = p.dial()
	}
	o.take(1)
	before, size := p.srv.reactor.Totals().NetInputBytes, int64(0)
	for i, c := range conns {
		for n := range each {
			if (i+n)%10 == 0 {
				c.add("MGET", key, p.keyOf("other", 0))
			} else {
				c.add("INCR", key)
			}
		}
		size += int64(len(c.out))
		c.flush()
	}
	for p.srv.reactor.Totals().NetInputBytes-before < size {
		runtime.Gosched()
	}
	for range 8 { // on both loops: what they have taken in is parked when they answer
		p.dial().do("PING")
	}
	o.drop()
	want := 0
	for i, c := range conns {
		last := 0
		for n := range each {
			v := c.reply()
			if (i+n)%10 == 0 {
				continue
			}
			want++
			if int(v.Int) <= last {
				t.Errorf("client %d: reply %v after %d", i, v, last)
			}
			last = int(v.Int)
		}
	}
	if got := text(conns[0].do("GET", key)); got != strconv.Itoa(want) {
		t.Errorf("counted %s, want %d", got, want)
	}
	paths := p.contention()
	if paths.drained < clients {
		t.Errorf("not contended: %+v", paths)
	}
	t.Logf("%+v", paths)
}

// TestCommittedBeforeTheReply: also what a command does that had to wait is in the log when it is answered.
func TestCommittedBeforeTheReply(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	c, other, o := p.dial(), p.dial(), p.outsider()
	defer p.record().end()
	for _, args := range [][]string{{"SET", "a", "1"}, {"MSET", "a", "1", "b", "2"}, {"INCR", "a"}, {"FLUSHALL"}} {
		before := p.srv.set.Log.LSN()
		o.take(0, 1)
		p.sendParked(c, other, resp.AppendCommandStrings(nil, args...))
		o.drop()
		c.n++
		reply := c.reply()
		if lsn := p.srv.set.Log.LSN(); lsn == before {
			t.Errorf("%s: reply %v while the log went from %d to %d", args, reply, before, lsn)
		}
	}
}
