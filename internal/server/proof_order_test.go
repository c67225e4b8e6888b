package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fulmen/internal/resp"
)

// money is a bank whose accounts lie in all shards. Whoever looks sees the same sum, at every instant.
type money struct {
	p        *proof
	accounts []string
	each     int
	blind    bool // a fault: nothing is watched
	done     atomic.Bool
	moved    atomic.Int64
	refused  atomic.Int64 // by EXEC: somebody else was faster
	looks    atomic.Int64
}

func newMoney(p *proof, perShard int) *money {
	m := &money{p: p, each: 1000}
	c := p.dial()
	for i := range perShard {
		for shard := range p.srv.set.Shards {
			key := p.keyOf(fmt.Sprintf("account%d:", i), shard)
			m.accounts = append(m.accounts, key)
			c.do("SET", key, strconv.Itoa(m.each))
		}
	}
	return m
}

// teller moves money until it has made n moves.
func (m *money) teller(c *proofConn, rnd *rand.Rand, n int) error {
	for i := 0; i < n; {
		pick := rnd.Perm(len(m.accounts))
		a, b := m.accounts[pick[0]], m.accounts[pick[1]]
		amount := 1 + rnd.IntN(20)
		ok, err := true, error(nil)
		switch rnd.IntN(6) {
		case 0: // nothing is read, so nothing needs to be watched
			c.add("MULTI")
			c.add("DECRBY", a, strconv.Itoa(amount))
			c.add("INCRBY", b, strconv.Itoa(amount))
			c.add("EXEC")
			c.all()
		case 1:
			ok, err = m.optimistic(c, a, b, amount, func(x, y string) {
				c.add("SET", a, x)
				c.add("SET", b, y)
			})
		case 2:
			ok, err = m.optimistic(c, a, b, amount, func(x, y string) { c.add("MSET", a, x, b, y) })
		case 4, 5:
			if err := m.script(c, rnd, a, b, amount); err != nil {
				return err
			}
		case 3: // deletes on its way, and parts of it are visible to nobody
			ok, err = m.optimistic(c, a, b, amount, func(x, y string) {
				c.add("DEL", a, b)
				c.add("APPEND", b, y)
				c.add("GETSET", a, x)
			})
		}
		if err != nil {
			return err
		}
		if ok {
			m.moved.Add(1)
			i++
		} else {
			m.refused.Add(1)
		}
	}
	return nil
}

// transferScripts move an amount: the first two say which keys they touch, the others don't. Some go on for long in the
// middle, or fail in the end, which takes nothing back.
var transferScripts = []string{
	"redis.call('DECRBY',KEYS[1],ARGV[1]) redis.call('INCRBY',KEYS[2],ARGV[1])",
	"redis.call('DECRBY',KEYS[1],ARGV[1]) for i=1,3000 do end redis.call('INCRBY',KEYS[2],ARGV[1]) error('in the end')",
	"redis.call('DECRBY',ARGV[2],ARGV[1]) redis.call('INCRBY',ARGV[3],ARGV[1])",
	"local a,b=redis.call('GET',ARGV[2]),redis.call('GET',ARGV[3]) for i=1,3000 do end " +
		"redis.call('MSET',ARGV[2],a-ARGV[1],ARGV[3],b+ARGV[1]) redis.call('NOSUCH')",
}

// script moves money by a script, in a transaction or alone.
func (m *money) script(c *proofConn, rnd *rand.Rand, a, b string, amount int) error {
	which := rnd.IntN(len(transferScripts))
	args := []string{"EVAL", transferScripts[which], "0", strconv.Itoa(amount), a, b}
	if which < 2 {
		args = []string{"EVAL", transferScripts[which], "2", a, b, strconv.Itoa(amount)}
	}
	multi := rnd.IntN(3) == 0
	if multi {
		c.add("MULTI")
		c.add("INCRBY", a, "5")
	}
	c.add(args...)
	if multi {
		c.add("DECRBY", a, "5")
		c.add("EXEC")
	}
	replies := c.all()
	last := replies[len(replies)-1]
	if multi {
		last = last.Elems[1]
	}
	if e := last.Err(); e != nil && !strings.Contains(e.Error(), "in the end") &&
		!strings.Contains(e.Error(), "Unknown Redis command") {
		return e
	}
	return nil
}

// optimistic reads both accounts and writes what change queues, unless somebody else has written meanwhile.
func (m *money) optimistic(c *proofConn, a, b string, amount int, change func(x, y string)) (bool, error) {
	if m.blind {
		c.add("PING")
	} else {
		c.add("WATCH", a, b)
	}
	c.add("MGET", a, b)
	have := c.all()[1].Elems
	x, err1 := strconv.Atoi(text(have[0]))
	y, err2 := strconv.Atoi(text(have[1]))
	if err := errors.Join(err1, err2); err != nil {
		return false, err
	}
	c.add("MULTI")
	change(strconv.Itoa(x-amount), strconv.Itoa(y+amount))
	c.add("EXEC")
	replies := c.all()
	exec := replies[len(replies)-1]
	return !exec.Null, exec.Err()
}

// look reads all accounts and compares the sum.
func (m *money) look(c *proofConn) error {
	var values []resp.Value
	switch m.looks.Load() % 3 {
	case 0:
		const script = "local r={} for i,k in ipairs(KEYS) do r[i]=redis.call('GET',k) end return r"
		values = c.do(append([]string{"EVAL", script, strconv.Itoa(len(m.accounts))}, m.accounts...)...).Elems
	case 1:
		c.add("MULTI")
		for _, a := range m.accounts {
			c.add("GET", a)
		}
		c.add("EXEC")
		values = c.all()[len(m.accounts)+1].Elems
	default:
		values = c.do(append([]string{"MGET"}, m.accounts...)...).Elems
	}
	sum := 0
	for _, v := range values {
		n, err := strconv.Atoi(text(v))
		if err != nil {
			return err
		}
		sum += n
	}
	if want := m.each * len(m.accounts); sum != want || len(values) != len(m.accounts) {
		return fmt.Errorf("the sum is %d, want %d", sum, want)
	}
	m.looks.Add(1)
	return nil
}

func TestTransfers(t *testing.T) {
	for _, n := range []struct{ shards, loops int }{{1, 2}, {2, 2}, {8, 1}, {8, 2}, {8, 4}, {7, 3}} {
		t.Run(fmt.Sprintf("%d shards %d loops", n.shards, n.loops), func(t *testing.T) {
			p := startProof(t, n.shards, n.loops, 3)
			p.meddlers()
			m := newMoney(p, 2+8/n.shards)
			if err := m.run(300 / proofShare); err != nil {
				t.Error(err)
			}
			t.Logf("%d moves, %d refused, %d looks, %+v",
				m.moved.Load(), m.refused.Load(), m.looks.Load(), p.mustContend())
		})
	}
}

// TestBlindTransfersAreNoticed plants a fault: accounts are read and written without being watched.
func TestBlindTransfersAreNoticed(t *testing.T) {
	p := startProof(t, 8, 2, 3)
	m := newMoney(p, 1)
	m.blind = true
	err := m.run(1000)
	for tries := 1; err == nil && tries < 20; tries++ { // the tellers may have worked one after the other
		m.done.Store(false)
		err = m.run(1000)
	}
	if err == nil {
		t.Error("not noticed")
	}
	t.Logf("after %d moves: %v", m.moved.Load(), err)
}

// TestFaultyScriptsAreNoticed plants faults: a script is taken for one that touches its keys only, and batons are given
// back while it stands still.
func TestFaultyScriptsAreNoticed(t *testing.T) {
	for name, fault := range map[string]scriptFault{
		"judged narrowly": judgesNarrowly, "batons go back early": letsGoEarly,
	} {
		t.Run(name, func(t *testing.T) {
			p := startProof(t, 8, 2, 3)
			p.srv.scripts.fault.Store(uint32(fault))
			m := newMoney(p, 1)
			err := m.run(1000)
			for tries := 1; err == nil && tries < 60; tries++ { // few scripts stand still
				m.done.Store(false)
				err = m.run(1000)
			}
			if err == nil {
				t.Error("not noticed")
			}
			t.Logf("after %d moves: %v", m.moved.Load(), err)
		})
	}
}

// keepMoving has tellers move money until stop is called.
func (m *money) keepMoving() (stop func()) {
	results := make(chan error)
	const tellers = 4
	for i := range tellers {
		c, rnd := m.p.dial(), rand.New(rand.NewPCG(uint64(i), 6))
		go func() {
			var err error
			for err == nil && !m.done.Load() {
				err = m.teller(c, rnd, 10)
			}
			results <- err
		}()
	}
	return func() {
		m.done.Store(true)
		for range tellers {
			if err := <-results; err != nil {
				m.p.t.Error(err)
			}
		}
	}
}

// run has five tellers move money and two others look at it. It returns the first error.
func (m *money) run(moves int) error {
	results := make(chan error)
	const tellers, lookers = 5, 2
	var at sync.WaitGroup
	for i := range tellers {
		c, rnd := m.p.dial(), rand.New(rand.NewPCG(uint64(i), 5))
		at.Add(1)
		go func() {
			err := m.teller(c, rnd, moves)
			at.Done()
			results <- err
		}()
	}
	for range lookers {
		c := m.p.dial()
		go func() {
			var err error
			for err == nil && !m.done.Load() {
				err = m.look(c)
			}
			results <- err
		}()
	}
	at.Wait()
	m.done.Store(true)
	var first error
	for range tellers + lookers {
		if err := <-results; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// TestProgramOrderAcrossShards: one connection sets data and then, in another shard, a flag that says so. Whoever
// sees the flag sees the data: also in a pipeline, whose reads are done in order as well.
func TestProgramOrderAcrossShards(t *testing.T) {
	for _, n := range []struct{ shards, loops int }{{2, 1}, {2, 2}, {8, 3}} {
		t.Run(fmt.Sprintf("%d shards %d loops", n.shards, n.loops), func(t *testing.T) {
			p := startProof(t, n.shards, n.loops, 3)
			p.meddlers()
			var wg sync.WaitGroup
			for pair := range 3 {
				from, to := pair%n.shards, (pair+1)%n.shards
				data := p.keyOf(fmt.Sprintf("data%d:", pair), from)
				more := p.keyOf(fmt.Sprintf("more%d:", pair), (to+1)%n.shards)
				ready := p.keyOf(fmt.Sprintf("ready%d:", pair), to)
				writer, reader := p.dial(), p.dial()
				last := 1500 / proofShare
				wg.Go(func() {
					for i := 1; i <= last; {
						n := 0
						for ; n < 5 && i <= last; n++ {
							v := strconv.Itoa(i)
							writer.add("SET", data, v)
							writer.add("MSET", more, v, data+"'", v)
							writer.add("SET", ready, v)
							i++
						}
						writer.all()
					}
				})
				wg.Go(func() {
					for polls := 0; ; polls++ {
						if polls%2 == 0 {
							reader.add("GET", ready)
							reader.add("GET", data)
							reader.add("GET", more)
						} else {
							reader.n = 0
							flag := reader.do("GET", ready)
							reader.add("ECHO", text(flag))
							reader.add("GET", data)
							reader.add("MGET", more)
						}
						v := reader.all()
						flag, _ := strconv.Atoi(text(v[0]))
						seen, _ := strconv.Atoi(text(v[1]))
						other := text(v[2])
						if v[2].Elems != nil {
							other = text(v[2].Elems[0])
						}
						also, _ := strconv.Atoi(other)
						if seen < flag || also < flag {
							t.Errorf("ready says %d, data %d, more %d", flag, seen, also)
							return
						}
						if flag == last {
							return
						}
					}
				})
			}
			wg.Wait()
			t.Logf("%+v", p.mustContend())
		})
	}
}
