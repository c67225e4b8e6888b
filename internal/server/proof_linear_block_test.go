package server

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Linearizability of lists and sorted sets with commands that wait: a pop that waited took place at one moment between
// its call and its return, when there was an element, and one that was given nothing at one when there was none. The
// keys l0 and l1 are lists, z0 and z1 sorted sets; elements are numbers, and a member's score is itself.

const queueClients = 5

// queueState is the model: each key's elements in their order, behind each other with a blank after each.
type queueState [4]string

var queueKeys = [4]string{"l0", "l1", "z0", "z1"}

func (s *queueState) key(name string) *string { return &s[slices.Index(queueKeys[:], name)] }

// push adds an element at one end of a list, or where it belongs in a sorted set.
func (s *queueState) push(key, element string, left bool) {
	q := s.key(key)
	switch {
	case key[0] == 'z':
		all := strings.Fields(*q)
		if !slices.Contains(all, element) {
			all = append(all, element)
		}
		slices.SortFunc(all, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
		*q = ""
		for _, e := range all {
			*q += e + " "
		}
	case left:
		*q = element + " " + *q
	default:
		*q += element + " "
	}
}

// pop takes the element at one end; false: there is none.
func (s *queueState) pop(key string, left bool) (element string, ok bool) {
	q := s.key(key)
	all := strings.Fields(*q)
	if len(all) == 0 {
		return "", false
	}
	if left {
		element, *q = all[0], (*q)[len(all[0])+1:]
	} else {
		element = all[len(all)-1]
		*q = (*q)[:len(*q)-len(element)-1]
	}
	return element, true
}

// queueOp is a command, or several in a transaction, each as its words.
type queueOp struct {
	exec bool
	cmds [][]string
}

// run executes a command and returns its reply.
func (s *queueState) run(c []string) string {
	switch name := c[0]; name {
	case "RPUSH", "LPUSH", "ZADD":
		n := len(strings.Fields(*s.key(c[1])))
		before := n
		elements := c[2:]
		if name == "ZADD" {
			elements = c[3:] // behind the score
		}
		for _, e := range elements {
			s.push(c[1], e, name == "LPUSH")
		}
		if n = len(strings.Fields(*s.key(c[1]))); name == "ZADD" {
			n -= before
		}
		return strconv.Itoa(n)
	case "LRANGE", "ZRANGE":
		return "[" + strings.Join(strings.Fields(*s.key(c[1])), " ") + "]"
	case "DEL":
		q := s.key(c[1])
		n := min(len(*q), 1)
		*q = ""
		return strconv.Itoa(n)
	case "LPOP", "RPOP":
		if e, ok := s.pop(c[1], name == "LPOP"); ok {
			return e
		}
		return "nil"
	case "LMOVE", "BLMOVE":
		if e, ok := s.pop(c[1], c[3] == "LEFT"); ok {
			s.push(c[2], e, c[4] == "LEFT")
			return e
		}
		return "nil"
	case "BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX":
		for _, key := range c[1 : len(c)-1] {
			if e, ok := s.pop(key, name == "BLPOP" || name == "BZPOPMIN"); ok {
				if name[1] == 'Z' {
					return "[" + key + " " + e + " " + e + "]"
				}
				return "[" + key + " " + e + "]"
			}
		}
		return "nil"
	}
	panic("no such command: " + c[0])
}

func (s *queueState) apply(op queueOp) string {
	if !op.exec {
		return s.run(op.cmds[0])
	}
	var replies []string
	for _, c := range op.cmds {
		replies = append(replies, s.run(c))
	}
	return "[" + strings.Join(replies, " ") + "]"
}

// servedBy returns the key of which a command that may have waited for several was given an element: not of the first
// one that has any, but of the one that was ready first, as after a transaction that pushed to both.
func servedBy(op queueOp, output string) (key string, ok bool) {
	if c := op.cmds[0]; !op.exec && strings.HasPrefix(output, "[") && c[0][0] == 'B' {
		key, _, _ = strings.Cut(output[1:], " ")
		return key, slices.Contains(c[1:len(c)-1], key)
	}
	return "", false
}

func queueModel() porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Init: func() any { return queueState{} },
		Step: func(state, input, output any) (bool, any) {
			s := state.(queueState)
			op := input.(queueOp)
			if key, ok := servedBy(op, output.(string)); ok {
				op = queueOp{cmds: [][]string{{op.cmds[0][0], key, ""}}}
			}
			got := s.apply(op)
			return got == output.(string), s
		},
		Hash: func(state any) uint64 { return maphash.Comparable(seed, state.(queueState)) },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprint(input.(queueOp).cmds, " -> ", output)
		},
	}
}

// queueFault is what a client does other than it says it does.
type queueFault int

const (
	queueSound queueFault = iota
	tornMove              // BLMOVE as BLPOP and RPUSH
	tornPushes            // transactions as commands one by one
	lostPop               // at times it says that it was given nothing
)

// queueClient makes a part of a history.
type queueClient struct {
	c       *proofConn
	id      int
	rnd     *rand.Rand
	now     *atomic.Int64
	next    *atomic.Int64 // the next element
	prefix  string        // of this history's keys
	fault   queueFault
	history []porcupine.Operation
}

func (q *queueClient) element() string { return strconv.FormatInt(q.next.Add(1), 10) }

// command makes a command up, one that may wait if wait is set.
func (q *queueClient) command(wait bool) []string {
	list, other := queueKeys[q.rnd.IntN(2)], queueKeys[q.rnd.IntN(2)]
	zset, otherZ := queueKeys[2+q.rnd.IntN(2)], queueKeys[2+q.rnd.IntN(2)]
	ends := []string{"LEFT", "RIGHT"}
	timeout := []string{"0.001", "0.004", "0.02"}[q.rnd.IntN(3)]
	n := q.rnd.IntN(20)
	if wait && n >= 9 {
		n = 9 + n%6
	} else {
		n %= 9
	}
	switch n {
	case 0, 1:
		return []string{"RPUSH", list, q.element(), q.element()}
	case 2:
		return []string{"LPUSH", list, q.element()}
	case 3, 4:
		e := q.element()
		return []string{"ZADD", zset, e, e}
	case 5:
		return []string{[]string{"LPOP", "RPOP"}[q.rnd.IntN(2)], list}
	case 6:
		return []string{"LMOVE", list, other, ends[q.rnd.IntN(2)], ends[q.rnd.IntN(2)]}
	case 7:
		if q.rnd.IntN(2) == 0 {
			return []string{"LRANGE", list, "0", "-1"}
		}
		return []string{"ZRANGE", zset, "0", "-1"}
	case 8:
		return []string{"DEL", queueKeys[q.rnd.IntN(4)]}
	case 9:
		return []string{"BLPOP", list, other, timeout}
	case 10:
		return []string{"BRPOP", list, timeout}
	case 11, 12:
		return []string{"BLMOVE", list, other, ends[q.rnd.IntN(2)], ends[q.rnd.IntN(2)], timeout}
	case 13:
		return []string{"BZPOPMIN", zset, otherZ, timeout}
	default:
		return []string{"BZPOPMAX", zset, timeout}
	}
}

// words are a command with the keys of this history.
func (q *queueClient) words(c []string) []string {
	args := slices.Clone(c)
	for i, w := range args {
		if slices.Contains(queueKeys[:], w) {
			args[i] = q.prefix + w
		}
	}
	return args
}

// do does an operation and returns the reply.
func (q *queueClient) do(op queueOp) string {
	ask := func(c []string) string { return strings.ReplaceAll(text(q.c.do(q.words(c)...)), q.prefix, "") }
	first := op.cmds[0]
	switch {
	case op.exec && q.fault == tornPushes:
		var all []string
		for _, c := range op.cmds {
			all = append(all, ask(c))
		}
		return "[" + strings.Join(all, " ") + "]"
	case op.exec:
		q.c.add("MULTI")
		for _, c := range op.cmds {
			q.c.add(q.words(c)...)
		}
		q.c.add("EXEC")
		replies := q.c.all()
		return strings.ReplaceAll(text(replies[len(replies)-1]), q.prefix, "")
	case first[0] == "BLMOVE" && q.fault == tornMove:
		popped := ask([]string{map[string]string{"LEFT": "BLPOP", "RIGHT": "BRPOP"}[first[3]], first[1], first[5]})
		if popped == "nil" {
			return popped
		}
		_, e, _ := strings.Cut(strings.Trim(popped, "[]"), " ")
		ask([]string{map[string]string{"LEFT": "LPUSH", "RIGHT": "RPUSH"}[first[4]], first[2], e})
		return e
	case first[0] == "BLPOP" && q.fault == lostPop && q.rnd.IntN(4) == 0:
		ask(first)
		return "nil"
	}
	return ask(first)
}

func (q *queueClient) run(n int) {
	for len(q.history) < n {
		op := queueOp{cmds: [][]string{q.command(true)}}
		if q.rnd.IntN(4) == 0 {
			op = queueOp{exec: true}
			for range 1 + q.rnd.IntN(3) {
				op.cmds = append(op.cmds, q.command(false))
			}
		}
		o := porcupine.Operation{ClientId: q.id, Input: op, Call: q.now.Add(1)}
		o.Output = q.do(op)
		o.Return = q.now.Add(1)
		q.history = append(q.history, o)
	}
}

// queueHistories makes n histories, one after the other, while time goes on.
func (p *proof) queueHistories(n, ops int, fault queueFault) (all [][]porcupine.Operation) {
	stop := p.passTime()
	next, from := make([]atomic.Int64, n), p.gathered
	all = p.gather(n, queueClients, func(h, i int, c *proofConn, now *atomic.Int64) []porcupine.Operation {
		q := &queueClient{
			id: i, c: c, rnd: rand.New(rand.NewPCG(uint64(h), uint64(i+100))), now: now, next: &next[h-from],
			prefix: fmt.Sprintf("%d:", h), fault: fault,
		}
		q.run(ops)
		return q.history
	})
	stop()
	return all
}

// passTime has time pass until stop is called, so that those who wait for nothing run out of it.
func (p *proof) passTime() (stop func()) {
	quit := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		c := p.dial()
		for {
			select {
			case <-quit:
				return
			default:
				p.clock.wall.Advance(time.Millisecond)
				c.do("PING")
			}
		}
	})
	return func() {
		close(quit)
		ticking.Wait()
	}
}

// countServed returns how many pops that may wait were given something.
func countServed(histories [][]porcupine.Operation) (n int) {
	for _, o := range slices.Concat(histories...) {
		if op := o.Input.(queueOp); !op.exec && op.cmds[0][0][0] == 'B' && o.Output != "nil" {
			n++
		}
	}
	return n
}

func TestWaitsAreLinearizable(t *testing.T) {
	for _, shards := range []int{1, 2, 8} {
		for _, loops := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%d shards %d loops", shards, loops), func(t *testing.T) {
				p := startProof(t, shards, loops, 3)
				p.meddlers()
				histories := p.queueHistories(20/proofShare, 30, queueSound)
				p.calm()
				bad, _ := countIllegal(t, queueModel(), histories)
				pops := countServed(histories)
				if bad > 0 {
					t.Errorf("%d histories are not linearizable", bad)
				}
				if pops == 0 {
					t.Error("no command that may wait was given anything")
				}
				t.Logf("%d commands that may wait were given something", pops)
			})
		}
	}
}

// TestUnsoundWaitsAreNoticed shows that the test above would notice what it is there for.
func TestUnsoundWaitsAreNoticed(t *testing.T) {
	for name, fault := range map[string]queueFault{
		"torn BLMOVE": tornMove, "torn transactions": tornPushes, "a pop that is lost": lostPop,
	} {
		unsoundIsNoticed(t, name, queueModel(), func(p *proof) [][]porcupine.Operation {
			return p.queueHistories(10, 15, fault)
		})
	}
}
