package server

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
)

// Linearizability: a few clients work on a few keys, and what they were told must be explained by some order of their
// operations in which each takes place at one moment between its call and its return. The model holds all keys at
// once, since operations on several are to be atomic, and who watches what: an EXEC must be refused if and only if a
// watched key was touched.

const (
	linKeys    = 4
	linClients = 6
)

// linCommand is one command; keys are numbers.
type linCommand struct {
	name string
	keys []int
	vals []string
}

// linOp is what takes place at one moment: a command, a transaction, or WATCH and UNWATCH.
type linOp struct {
	client int
	exec   bool
	cmds   []linCommand
}

// linState is the model; "" stands for no key, since no command here stores an empty string.
type linState struct {
	val   [linKeys]string
	watch [linClients]uint8 // by client: the keys it watches
	dirty uint8             // clients of which a watched key was touched
}

func (s *linState) put(key int, val string) {
	s.val[key] = val
	for c, mask := range s.watch {
		if mask&(1<<key) != 0 {
			s.dirty |= 1 << c
		}
	}
}

func (s *linState) unwatch(client int) {
	s.watch[client] = 0
	s.dirty &^= 1 << client
}

func orNil(val string) string {
	if val == "" {
		return "nil"
	}
	return val
}

// run executes a command and returns the reply.
func (s *linState) run(client int, c linCommand) string {
	k := c.keys
	switch c.name {
	case "GET":
		return orNil(s.val[k[0]])
	case "SET":
		s.put(k[0], c.vals[0])
		return "OK"
	case "GETSET":
		old := orNil(s.val[k[0]])
		s.put(k[0], c.vals[0])
		return old
	case "SETNX", "MSETNX":
		for _, key := range k {
			if s.val[key] != "" {
				return "0"
			}
		}
		for i, key := range k {
			s.put(key, c.vals[i])
		}
		return "1"
	case "APPEND":
		s.put(k[0], s.val[k[0]]+c.vals[0])
		return strconv.Itoa(len(s.val[k[0]]))
	case "INCR":
		n := int64(0)
		if v := s.val[k[0]]; v != "" {
			var err error
			if n, err = strconv.ParseInt(v, 10, 64); err != nil {
				return "ERR value is not an integer or out of range"
			}
		}
		s.put(k[0], strconv.FormatInt(n+1, 10))
		return s.val[k[0]]
	case "DEL":
		n := 0
		for _, key := range k {
			if s.val[key] != "" {
				s.put(key, "")
				n++
			}
		}
		return strconv.Itoa(n)
	case "MSET":
		for i, key := range k {
			s.put(key, c.vals[i])
		}
		return "OK"
	case "MGET":
		var all []string
		for _, key := range k {
			all = append(all, orNil(s.val[key]))
		}
		return "[" + strings.Join(all, " ") + "]"
	case "RENAME", "RENAMENX", "COPY":
		return s.move(c.name, k[0], k[1])
	case "FLUSHALL":
		for key, val := range s.val {
			if val != "" {
				s.put(key, "")
			}
		}
		return "OK"
	case "WATCH":
		for _, key := range k {
			s.watch[client] |= 1 << key
		}
		return "OK"
	case "UNWATCH":
		s.unwatch(client)
		return "OK"
	}
	panic("no such command: " + c.name)
}

// move is RENAME, RENAMENX and COPY of different keys.
func (s *linState) move(name string, from, to int) string {
	val := s.val[from]
	switch {
	case val == "" && name == "COPY":
		return "0"
	case val == "":
		return "ERR no such key"
	case s.val[to] != "" && name != "RENAME":
		return "0"
	}
	s.put(to, val)
	if name != "COPY" {
		s.put(from, "")
	}
	if name == "RENAME" {
		return "OK"
	}
	return "1"
}

func (s *linState) apply(op linOp) string {
	if !op.exec {
		return s.run(op.client, op.cmds[0])
	}
	dirty := s.dirty&(1<<op.client) != 0
	s.unwatch(op.client)
	if dirty {
		return "nil"
	}
	var replies []string
	for _, c := range op.cmds {
		replies = append(replies, s.run(op.client, c))
	}
	return "[" + strings.Join(replies, " ") + "]"
}

func linModel() porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Init: func() any { return linState{} },
		Step: func(state, input, output any) (bool, any) {
			s := state.(linState)
			got := s.apply(input.(linOp))
			return got == output.(string), s
		},
		Hash: func(state any) uint64 { return maphash.Comparable(seed, state.(linState)) },
		DescribeOperation: func(input, output any) string {
			op := input.(linOp)
			return fmt.Sprint(op.cmds, " -> ", output)
		},
	}
}

// linFault is what a client does other than it says it does.
type linFault int

const (
	sound      linFault = iota
	tornMSET            // MSET as several SETs
	tornMulti           // transactions as commands one by one
	noWatch             // WATCH is not sent
	tornRename          // RENAME as COPY and DEL
)

// linClient makes a part of a history.
type linClient struct {
	id       int
	c        *proofConn
	rnd      *rand.Rand
	now      *atomic.Int64 // the order of calls and returns
	prefix   string        // of this history's keys
	fault    linFault
	watching bool
	history  []porcupine.Operation
}

func (l *linClient) key(i int) string { return fmt.Sprintf("%sk%d", l.prefix, i) }

func (l *linClient) value() string { return strconv.Itoa(1 + l.rnd.IntN(999)) }

// some returns one to n different keys.
func (l *linClient) some(n int) []int { return l.rnd.Perm(linKeys)[:1+l.rnd.IntN(n)] }

// command makes a command up.
func (l *linClient) command() linCommand {
	names := []string{
		"GET", "GET", "GET", "SET", "SET", "GETSET", "SETNX", "APPEND", "INCR", "INCR", "DEL", "MSET", "MSET",
		"MSETNX", "MGET", "MGET", "RENAME", "RENAME", "RENAMENX", "COPY",
	}
	c := linCommand{name: names[l.rnd.IntN(len(names))]}
	if l.rnd.IntN(40) == 0 {
		return linCommand{name: "FLUSHALL"} // keys of other histories are of no use any more
	}
	most := 1
	switch c.name {
	case "DEL", "MSET", "MSETNX", "MGET":
		most = linKeys
	}
	c.keys = l.some(most)
	switch c.name {
	case "RENAME", "RENAMENX", "COPY":
		c.keys = l.rnd.Perm(linKeys)[:2]
	}
	switch c.name {
	case "SET", "GETSET", "SETNX", "APPEND", "MSET", "MSETNX":
		for range c.keys {
			c.vals = append(c.vals, l.value())
		}
	}
	return c
}

func (l *linClient) args(c linCommand) []string {
	args := []string{c.name}
	for i, key := range c.keys {
		args = append(args, l.key(key))
		if i < len(c.vals) {
			args = append(args, c.vals[i])
		}
	}
	return args
}

// op makes an operation up.
func (l *linClient) op() linOp {
	op := linOp{client: l.id}
	switch r := l.rnd.IntN(10); {
	case r == 0 && !l.watching:
		l.watching = true
		op.cmds = []linCommand{{name: "WATCH", keys: l.some(2)}}
	case r == 1 && l.watching:
		l.watching = false
		op.cmds = []linCommand{{name: "UNWATCH"}}
	case r < 4:
		l.watching = false
		op.exec = true
		for range 1 + l.rnd.IntN(3) {
			op.cmds = append(op.cmds, l.command())
		}
	default:
		op.cmds = []linCommand{l.command()}
	}
	return op
}

// send sends an operation; done reads its reply.
func (l *linClient) send(op linOp) (done func() string) {
	first := op.cmds[0]
	switch {
	case op.exec && l.fault == tornMulti:
		for _, c := range op.cmds {
			l.c.add(l.args(c)...)
		}
		return func() string {
			var all []string
			for range op.cmds {
				all = append(all, text(l.c.reply()))
			}
			return "[" + strings.Join(all, " ") + "]"
		}
	case op.exec:
		l.c.add("MULTI")
		for _, c := range op.cmds {
			l.c.add(l.args(c)...)
		}
		l.c.add("EXEC")
		return func() string {
			for range 1 + len(op.cmds) {
				l.c.reply()
			}
			return text(l.c.reply())
		}
	case first.name == "MSET" && l.fault == tornMSET:
		for i, key := range first.keys {
			l.c.add("SET", l.key(key), first.vals[i])
			l.tear()
		}
		return func() string {
			for range first.keys {
				l.c.reply()
			}
			return "OK"
		}
	case first.name == "RENAME" && l.fault == tornRename:
		from, to := l.key(first.keys[0]), l.key(first.keys[1])
		l.c.add("COPY", from, to, "REPLACE")
		l.tear()
		l.c.add("DEL", from)
		return func() string {
			copied := text(l.c.reply())
			l.c.reply()
			if copied == "0" {
				return "ERR no such key"
			}
			return "OK"
		}
	case first.name == "WATCH" && l.fault == noWatch:
		return func() string { return "OK" }
	}
	l.c.add(l.args(first)...)
	return func() string { return text(l.c.reply()) }
}

// tear sends what there is of an operation, so that others come in between.
func (l *linClient) tear() {
	l.c.flush()
	runtime.Gosched()
}

// run does n operations, some of them pipelined.
func (l *linClient) run(n int) {
	for len(l.history) < n {
		from := len(l.history)
		var done []func() string
		for range 1 + l.rnd.IntN(6)/5 { // each pipelined operation makes the proof harder
			op := l.op()
			l.history = append(l.history, porcupine.Operation{ClientId: l.id, Input: op, Call: l.now.Add(1)})
			done = append(done, l.send(op))
		}
		l.c.flush()
		for i, f := range done {
			o := &l.history[from+i]
			o.Output = f()
			o.Return = l.now.Add(1)
		}
		if l.rnd.IntN(4) == 0 {
			runtime.Gosched()
		}
	}
	if l.watching { // leave nothing to the next history
		l.watching = false
		l.c.do("UNWATCH")
	}
}

// histories makes n histories, one after the other.
func (p *proof) histories(n, ops int, fault linFault) (all [][]porcupine.Operation) {
	return p.gather(n, linClients, func(h, i int, c *proofConn, now *atomic.Int64) []porcupine.Operation {
		l := &linClient{
			id: i, c: c, rnd: rand.New(rand.NewPCG(uint64(h), uint64(i))), now: now,
			prefix: fmt.Sprintf("%d:", h), fault: fault,
		}
		l.run(ops)
		return l.history
	})
}

// gather makes n histories, one after the other, of what clients do at the same time: client i's part of history h is
// what run returns, h being another number in each call. Calls and returns are counted in now.
func (p *proof) gather(n, clients int,
	run func(h, i int, c *proofConn, now *atomic.Int64) []porcupine.Operation) (all [][]porcupine.Operation) {
	conns := make([]*proofConn, clients)
	for i := range conns {
		conns[i] = p.dial()
	}
	for range n {
		h := p.gathered
		p.gathered++
		var now atomic.Int64
		var wg sync.WaitGroup
		parts := make([][]porcupine.Operation, clients)
		for i, c := range conns {
			wg.Go(func() { parts[i] = run(h, i, c, &now) })
		}
		wg.Wait()
		all = append(all, slices.Concat(parts...))
	}
	return all
}

// countIllegal returns how many histories the model can't explain, and how many operations they all have.
func countIllegal(t testing.TB, model porcupine.Model, histories [][]porcupine.Operation) (illegal, total int) {
	for _, h := range histories {
		total += len(h)
		switch porcupine.CheckOperationsTimeout(model, h, patience) {
		case porcupine.Unknown:
			t.Fatal("porcupine could not decide in time")
		case porcupine.Illegal:
			illegal++
		}
	}
	return illegal, total
}

func TestLinearizable(t *testing.T) {
	for _, shards := range []int{1, 2, 8} {
		for _, loops := range []int{1, 2, 3, 4} {
			t.Run(fmt.Sprintf("%d shards %d loops", shards, loops), func(t *testing.T) {
				p := startProof(t, shards, loops, 3)
				p.meddlers()
				histories := p.histories(20/proofShare, 40, sound)
				for n := 0; !p.contention().both() && n < 20; n++ {
					histories = append(histories, p.histories(20/proofShare, 40, sound)...)
				}
				paths := p.mustContend()
				p.calm()
				bad, total := countIllegal(t, linModel(), histories)
				if bad > 0 {
					t.Errorf("%d histories are not linearizable", bad)
				}
				t.Logf("%d operations, %+v", total, paths)
			})
		}
	}
}

// unsoundIsNoticed fails the test unless the model can't explain some of the histories that a fault makes, ten at a
// time.
func unsoundIsNoticed(t *testing.T, name string, model porcupine.Model, ten func(p *proof) [][]porcupine.Operation) {
	t.Helper()
	p := startProof(t, 8, 2, 3)
	p.meddlers()
	bad, n := 0, 0
	for ; bad == 0 && n < 4000; n += 10 {
		bad, _ = countIllegal(t, model, ten(p))
	}
	p.calm()
	if bad == 0 {
		t.Errorf("%s: not noticed", name)
	}
	t.Logf("%s: %d of %d histories refused", name, bad, n)
}

// TestUnsoundHistoriesAreNoticed shows that the test above would notice what it is there for.
func TestUnsoundHistoriesAreNoticed(t *testing.T) {
	for name, fault := range map[string]linFault{
		"torn MSET": tornMSET, "torn MULTI": tornMulti, "no WATCH": noWatch, "torn RENAME": tornRename,
	} {
		unsoundIsNoticed(t, name, linModel(), func(p *proof) [][]porcupine.Operation {
			return p.histories(10, 12, fault)
		})
	}
}
