package server

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
)

// Linearizability of a stream with a consumer group: each entry is delivered to one consumer, in the order in which
// entries were added, and is pending until it is acknowledged.

const groupClients = 5

// groupState is the model. Entries are numbers, in lists with a blank behind each.
type groupState struct {
	fresh   string // added and not delivered
	pending string
	added   int
}

// The operations, with what they reply.
const (
	groupAdd     = iota // adds `value`; nothing
	groupAddBoth        // adds `value` and the number behind it in a transaction; nothing
	groupRead           // delivers up to `value` entries, and may wait; the entries
	groupAck            // acknowledges `value`; whether it was pending
	groupPending        // how many are pending
	groupLen            // how many entries there are
)

type groupOp struct{ kind, value int }

// apply executes an operation and returns its reply.
func (s *groupState) apply(op groupOp) string {
	entry := strconv.Itoa(op.value) + " "
	switch op.kind {
	case groupAdd:
		s.fresh += entry
		s.added++
	case groupAddBoth:
		s.fresh += entry + strconv.Itoa(op.value+1) + " "
		s.added += 2
	case groupRead:
		given := ""
		for range op.value {
			e, rest, ok := strings.Cut(s.fresh, " ")
			if !ok {
				break
			}
			given += e + " "
			s.fresh = rest
		}
		all := strings.Fields(s.pending + given)
		slices.Sort(all)
		s.pending = strings.Join(append(all, ""), " ")
		return given
	case groupAck:
		all := strings.Fields(s.pending)
		i := slices.Index(all, strconv.Itoa(op.value))
		if i < 0 {
			return "0"
		}
		s.pending = strings.Join(append(slices.Delete(all, i, i+1), ""), " ")
		return "1"
	case groupPending:
		return strconv.Itoa(len(strings.Fields(s.pending)))
	case groupLen:
		return strconv.Itoa(s.added)
	}
	return ""
}

func groupModel() porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Init: func() any { return groupState{} },
		Step: func(state, input, output any) (bool, any) {
			s := state.(groupState)
			return s.apply(input.(groupOp)) == output.(string), s
		},
		Hash:              func(state any) uint64 { return maphash.Comparable(seed, state.(groupState)) },
		DescribeOperation: func(input, output any) string { return fmt.Sprint(input.(groupOp), " -> ", output) },
	}
}

// groupFault is what a client does other than it says it does.
type groupFault int

const (
	groupSound  groupFault = iota
	readsTwice             // at times what it is given is read by somebody else, too
	losesEntry             // at times it says that it was given nothing
	tornEntries            // transactions as commands one by one
)

// groupClient makes a part of a history.
type groupClient struct {
	c       *proofConn
	id      int
	rnd     *rand.Rand
	now     *atomic.Int64
	next    *atomic.Int64 // the next entry
	key     string
	fault   groupFault
	mine    []string // delivered here and not acknowledged
	history []porcupine.Operation
}

// add adds entries.
func (g *groupClient) add(values ...int) {
	if len(values) > 1 && g.fault != tornEntries {
		g.c.add("MULTI")
		defer func() { g.c.add("EXEC"); g.c.all() }()
	}
	for _, v := range values {
		g.c.add("XADD", g.key, "*", "v", strconv.Itoa(v))
		if g.fault == tornEntries {
			g.c.all()
		}
	}
	if len(values) == 1 {
		g.c.all()
	}
}

// read reads up to n entries and returns them.
func (g *groupClient) read(n int) (given string) {
	args := []string{"XREADGROUP", "GROUP", "g", strconv.Itoa(g.id), "COUNT", strconv.Itoa(n)}
	if g.rnd.IntN(3) > 0 {
		args = append(args, "BLOCK", strconv.Itoa(1+g.rnd.IntN(20)))
	}
	v := g.c.do(append(args, "STREAMS", g.key, ">")...)
	if v.Null {
		return ""
	}
	for _, e := range v.Elems[0].Elems[1].Elems {
		g.mine = append(g.mine, string(e.Elems[0].Str), string(e.Elems[1].Elems[1].Str))
		given += string(e.Elems[1].Elems[1].Str) + " "
	}
	switch {
	case g.fault == losesEntry && g.rnd.IntN(4) == 0:
		return ""
	case g.fault == readsTwice && g.rnd.IntN(2) == 0:
		g.c.do("XGROUP", "SETID", g.key, "g", "0")
	}
	return given
}

// op makes an operation up, does it and returns the reply.
func (g *groupClient) op() (op groupOp, reply string) {
	switch n := g.rnd.IntN(12); {
	case n < 3:
		op = groupOp{groupAdd, int(g.next.Add(2))}
		g.add(op.value)
	case n == 3:
		op = groupOp{groupAddBoth, int(g.next.Add(2))}
		g.add(op.value, op.value+1)
	case n == 4:
		op = groupOp{groupPending, 0}
		reply = text(g.c.do("XPENDING", g.key, "g").Elems[0])
	case n == 5:
		op = groupOp{groupLen, 0}
		reply = text(g.c.do("XLEN", g.key))
	case n < 9 && len(g.mine) > 0:
		op.kind = groupAck
		op.value, _ = strconv.Atoi(g.mine[1])
		reply = text(g.c.do("XACK", g.key, "g", g.mine[0]))
		g.mine = g.mine[2:]
	default:
		op = groupOp{groupRead, 1 + g.rnd.IntN(3)}
		reply = g.read(op.value)
	}
	return op, reply
}

// groupHistories makes n histories, one after the other, while time goes on.
func (p *proof) groupHistories(n, ops int, fault groupFault) (all [][]porcupine.Operation) {
	stop := p.passTime()
	defer stop()
	next, from := make([]atomic.Int64, n), p.gathered
	maker := p.dial()
	for h := range n {
		maker.do("XGROUP", "CREATE", fmt.Sprint("x", from+h), "g", "0", "MKSTREAM")
	}
	return p.gather(n, groupClients, func(h, i int, c *proofConn, now *atomic.Int64) []porcupine.Operation {
		g := &groupClient{
			id: i, c: c, rnd: rand.New(rand.NewPCG(uint64(h), uint64(i+200))), now: now, next: &next[h-from],
			key: fmt.Sprint("x", h), fault: fault,
		}
		for len(g.history) < ops {
			o := porcupine.Operation{ClientId: i, Call: now.Add(1)}
			o.Input, o.Output = g.op()
			o.Return = now.Add(1)
			g.history = append(g.history, o)
		}
		return g.history
	})
}

func TestGroupsAreLinearizable(t *testing.T) {
	for _, shards := range []int{1, 8} {
		for _, loops := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d shards %d loops", shards, loops), func(t *testing.T) {
				p := startProof(t, shards, loops, 3)
				p.meddlers()
				histories := p.groupHistories(20/proofShare, 30, groupSound)
				p.calm()
				if bad, _ := countIllegal(t, groupModel(), histories); bad > 0 {
					t.Errorf("%d histories are not linearizable", bad)
				}
				given := 0
				for _, o := range slices.Concat(histories...) {
					if o.Input.(groupOp).kind == groupRead && o.Output != "" {
						given++
					}
				}
				if given == 0 {
					t.Error("nothing was delivered")
				}
			})
		}
	}
}

// TestUnsoundGroupsAreNoticed shows that the test above would notice what it is there for.
func TestUnsoundGroupsAreNoticed(t *testing.T) {
	for name, fault := range map[string]groupFault{
		"delivered twice": readsTwice, "lost": losesEntry, "torn transactions": tornEntries,
	} {
		unsoundIsNoticed(t, name, groupModel(), func(p *proof) [][]porcupine.Operation {
			return p.groupHistories(10, 15, fault)
		})
	}
}
