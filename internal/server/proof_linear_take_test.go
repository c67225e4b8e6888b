package server

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
)

// Linearizability of TAKE: counters with bounds, and tokens that several clients use at the same time, some of them by
// mistake for other calls. Counters and tokens are in any shards.

const (
	saleCounters = 2
	saleTokens   = 12
	saleClients  = 5
)

// saleOp is an operation. Kinds but saleTake have only a counter and an amount.
type saleOp struct {
	kind, counter, amount, floor, step int
	partial                            bool
	token                              int // 0: none; else it is the token of that number
}

const (
	saleTake  = iota
	saleOpen  // SET to the amount
	saleClose // DEL
	saleLook  // GET
	saleSwap  // a transaction that gives one back to the counter and takes one from the other
)

// saleState is the model.
type saleState struct {
	open   [saleCounters]bool
	left   [saleCounters]int
	calls  [saleTokens + 1]saleOp // with which tokens were used first
	answer [saleTokens + 1]string // "": the token is new
}

// apply executes an operation and returns its reply.
func (s *saleState) apply(op saleOp) string {
	c := op.counter
	switch op.kind {
	case saleOpen:
		s.open[c], s.left[c] = true, op.amount
		return "OK"
	case saleClose:
		was := s.open[c]
		s.open[c], s.left[c] = false, 0
		if was {
			return "1"
		}
		return "0"
	case saleLook:
		if !s.open[c] {
			return "nil"
		}
		return strconv.Itoa(s.left[c])
	case saleSwap:
		other := saleOp{counter: 1 - c, amount: 1, step: 1}
		return "[" + s.take(saleOp{counter: c, amount: -1, step: 1}) + " " + s.take(other) + "]"
	}
	if op.token == 0 {
		return s.take(op)
	}
	switch t := op.token; {
	case s.answer[t] == "":
		s.calls[t], s.answer[t] = op, s.take(op)
		return s.answer[t]
	case s.calls[t] != op:
		return "BADTOKEN Token was used with other arguments."
	default:
		return s.answer[t]
	}
}

// take is TAKE without a token.
func (s *saleState) take(op saleOp) string {
	if !s.open[op.counter] {
		return "nil"
	}
	left := &s.left[op.counter]
	amount := op.amount
	for amount > 0 && *left-amount < op.floor { // only the way down has a bound here
		if amount -= op.step; !op.partial {
			amount = 0
		}
	}
	*left -= amount
	return fmt.Sprintf("[%d %d]", amount, *left)
}

func saleModel() porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Init: func() any { return saleState{} },
		Step: func(state, input, output any) (bool, any) {
			s := state.(saleState)
			return s.apply(input.(saleOp)) == output.(string), s
		},
		Hash:              func(state any) uint64 { return maphash.Comparable(seed, state.(saleState)) },
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %v", input, output) },
	}
}

// saleFault is what a client does other than it says it does.
type saleFault int

const (
	saleSound   saleFault = iota
	noTokens              // tokens are not sent
	tornToken             // a token is looked up, and noted, in commands of its own
	tornSwap              // transactions as commands one by one
	staleRefuse           // what it sees as sold out it refuses without asking
)

// saleClient makes a part of a history.
type saleClient struct {
	c       *proofConn
	rnd     *rand.Rand
	now     *atomic.Int64
	prefix  string // of this history's keys
	fault   saleFault
	last    saleOp // with a token
	soldOut [saleCounters]bool
	history []porcupine.Operation
}

func (l *saleClient) key(counter int) string { return fmt.Sprintf("%sc%d", l.prefix, counter) }

// op makes an operation up.
func (l *saleClient) op() saleOp {
	op := saleOp{counter: l.rnd.IntN(saleCounters)}
	switch r := l.rnd.IntN(16); {
	case r == 0 || len(l.history) == 0:
		op.kind, op.amount = saleOpen, l.rnd.IntN(12)
		return op
	case r == 1 && l.rnd.IntN(3) == 0:
		op.kind = saleClose
		return op
	case r == 2:
		op.kind = saleLook
		return op
	case r < 5:
		op.kind = saleSwap
		return op
	case r < 7 && l.last.token > 0:
		return l.last // once more
	}
	return l.takeOp()
}

// takeOp makes a TAKE up. Most with the same token are the same.
func (l *saleClient) takeOp() saleOp {
	rnd, token := l.rnd, 0
	if rnd.IntN(3) > 0 {
		if token = 1 + rnd.IntN(saleTokens); rnd.IntN(8) > 0 {
			rnd = rand.New(rand.NewPCG(uint64(len(l.prefix)), uint64(token)))
		}
	}
	op := saleOp{
		counter: rnd.IntN(saleCounters), amount: 1 + rnd.IntN(3), step: 1 + rnd.IntN(4)/3, token: token,
		partial: rnd.IntN(2) == 0, floor: max(0, rnd.IntN(8)-5),
	}
	if op.amount *= op.step; rnd.IntN(4) == 0 {
		op.amount = -op.amount
	}
	if token > 0 {
		l.last = op
	}
	return op
}

// args are the words of a TAKE.
func (l *saleClient) args(op saleOp) []string {
	args := []string{"TAKE", l.key(op.counter), strconv.Itoa(op.amount), "STEP", strconv.Itoa(op.step),
		"FLOOR", strconv.Itoa(op.floor)}
	if op.partial {
		args = append(args, "PARTIAL")
	}
	if op.token > 0 && l.fault != noTokens && l.fault != tornToken {
		args = append(args, "TOKEN", l.token(op), "EX", "1000")
	}
	return args
}

func (l *saleClient) token(op saleOp) string { return fmt.Sprintf("%st%d", l.prefix, op.token) }

// do executes an operation and returns its reply.
func (l *saleClient) do(op saleOp) string {
	key := l.key(op.counter)
	switch {
	case op.kind == saleOpen:
		return text(l.c.do("SET", key, strconv.Itoa(op.amount)))
	case op.kind == saleClose:
		return text(l.c.do("DEL", key))
	case op.kind == saleLook:
		return text(l.c.do("GET", key))
	case op.kind == saleSwap && l.fault == tornSwap:
		return "[" + text(l.c.do("TAKE", key, "-1")) + " " + text(l.c.do("TAKE", l.key(1-op.counter), "1")) + "]"
	case op.kind == saleSwap:
		l.c.add("MULTI")
		l.c.add("TAKE", key, "-1")
		l.c.add("TAKE", l.key(1-op.counter), "1")
		l.c.add("EXEC")
		replies := l.c.all()
		return text(replies[len(replies)-1])
	case op.token > 0 && l.fault == tornToken:
		if seen := l.c.do("GET", l.token(op)); !seen.Null {
			if call, answer := splitCall(string(seen.Str)); call == fmt.Sprint(op) {
				return answer
			}
			return "BADTOKEN Token was used with other arguments."
		}
		got := text(l.c.do(l.args(op)...))
		l.c.do("SET", l.token(op), fmt.Sprint(op)+"|"+got)
		return got
	case l.fault == staleRefuse && l.soldOut[op.counter] && op.token == 0 && op.amount > 0:
		l.soldOut[op.counter] = false
		return "[0 0]"
	}
	got := text(l.c.do(l.args(op)...))
	l.soldOut[op.counter] = got == "[0 0]"
	return got
}

// splitCall splits what tornToken notes.
func splitCall(noted string) (call, answer string) {
	for i := range noted {
		if noted[i] == '|' {
			return noted[:i], noted[i+1:]
		}
	}
	return "", noted
}

// sales makes n histories of which each client has ops operations.
func (p *proof) sales(n, ops int, fault saleFault) [][]porcupine.Operation {
	return p.gather(n, saleClients, func(h, i int, c *proofConn, now *atomic.Int64) []porcupine.Operation {
		l := &saleClient{
			c: c, rnd: rand.New(rand.NewPCG(uint64(h), uint64(i))), now: now, prefix: fmt.Sprintf("%d:", h),
			fault: fault,
		}
		for range ops {
			op := l.op()
			o := porcupine.Operation{ClientId: i, Input: op, Call: now.Add(1)}
			o.Output = l.do(op)
			o.Return = now.Add(1)
			l.history = append(l.history, o)
		}
		return l.history
	})
}

func TestLinearizableTakes(t *testing.T) {
	for _, shards := range []int{1, 8} {
		for _, loops := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%d shards %d loops", shards, loops), func(t *testing.T) {
				p := startProof(t, shards, loops, 3)
				p.meddlers()
				histories := p.sales(60/proofShare, 40, saleSound)
				for n := 0; !p.contention().both() && n < 20; n++ {
					histories = append(histories, p.sales(20/proofShare, 40, saleSound)...)
				}
				paths := p.mustContend()
				p.calm()
				bad, total := countIllegal(t, saleModel(), histories)
				if bad > 0 {
					t.Errorf("%d histories are not linearizable", bad)
				}
				granted := 0
				for _, h := range histories {
					for _, o := range h {
						if op := o.Input.(saleOp); op.kind == saleTake && op.token > 0 && o.Output.(string)[0] == '[' {
							granted++
						}
					}
				}
				t.Logf("%d operations, %d with a token granted, %+v", total, granted, paths)
			})
		}
	}
}

// TestUnsoundTakesAreNoticed shows that the test above would notice what it is there for.
func TestUnsoundTakesAreNoticed(t *testing.T) {
	for name, fault := range map[string]saleFault{
		"no tokens": noTokens, "a token apart from the counter": tornToken, "torn MULTI": tornSwap,
		"a stale refusal": staleRefuse,
	} {
		unsoundIsNoticed(t, name, saleModel(), func(p *proof) [][]porcupine.Operation {
			return p.sales(10, 20, fault)
		})
	}
}
