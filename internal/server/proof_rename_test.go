package server

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// shells are places of which some hold a token each; tokens are only ever moved.
const (
	shells = 24
	tokens = 7
)

func shell(i int) string { return "shell:" + strconv.Itoa(i) }

// token is a value that says who it is; some are of many pages.
func token(i int) string {
	if i%2 == 0 {
		return strconv.Itoa(i)
	}
	return strings.Repeat(strconv.Itoa(i), 20_000*i)
}

// shuffle moves tokens about by RENAMENX, RENAME there and back, through another database, in transactions.
func shuffle(c *proofConn, rnd *rand.Rand, n int, torn bool) {
	for range n {
		from, to := shell(rnd.IntN(shells)), shell(rnd.IntN(shells))
		switch rnd.IntN(5) {
		case 0:
			c.add("MULTI")
			c.add("MOVE", from, "1")
			c.add("SWAPDB", "0", "1")
			c.add("SWAPDB", "1", "0")
			c.add("SELECT", "1")
			c.add("MOVE", from, "0")
			c.add("SELECT", "0")
			c.add("EXEC")
		case 1:
			c.add("MULTI")
			c.add("RENAMENX", from, to)
			c.add("RENAMENX", to, from)
			c.add("RENAMENX", from, to)
			c.add("EXEC")
		case 2:
			if torn {
				c.add("COPY", from, to)
				c.add("DEL", from)
				break
			}
			fallthrough
		default:
			c.add("RENAMENX", from, to)
		}
		c.all()
	}
}

// TestTokensMoveByRename: whoever looks at all shells at once sees every token, once. Moving one by COPY and DEL is
// noticed. In the end the memory of each arena is what the keys are made of.
func TestTokensMoveByRename(t *testing.T) {
	for _, torn := range []bool{false, true} {
		p := startProof(t, 8, 2, 3)
		p.meddlers()
		c := p.dial()
		for i := range tokens {
			c.do("SET", shell(i), token(i))
		}
		var workers sync.WaitGroup
		for i := range 4 {
			c, rnd := p.dial(), rand.New(rand.NewPCG(uint64(i), 12))
			workers.Go(func() { shuffle(c, rnd, 1500/proofShare, torn) })
		}
		done := make(chan bool)
		go func() {
			workers.Wait()
			close(done)
		}()
		wrong, looks := lookAtShells(c, done)
		if torn != (wrong > 0) {
			t.Errorf("torn %v: %d looks of %d saw other tokens", torn, wrong, looks)
		}
		t.Logf("torn %v: %d looks of %d saw other tokens, %+v", torn, wrong, looks, p.mustContend())
		p.calm()
		p.mustBalance()
	}
}

// lookAtShells looks at all shells until done, and counts how often the tokens were not all there once.
func lookAtShells(c *proofConn, done chan bool) (wrong, looks int) {
	mget := []string{"MGET"}
	for i := range shells {
		mget = append(mget, shell(i))
	}
	var ended atomic.Bool
	go func() {
		<-done
		ended.Store(true)
	}()
	for !ended.Load() {
		seen := map[string]int{}
		for _, v := range c.do(mget...).Elems {
			if !v.Null {
				seen[string(v.Str)]++
			}
		}
		good := len(seen) == tokens
		for i := range tokens {
			good = good && seen[token(i)] == 1
		}
		if looks++; !good {
			wrong++
		}
	}
	return wrong, looks
}

// mustBalance compares each arena's used bytes with the parts of the data set that lie in it.
func (p *proof) mustBalance() {
	p.outsider().all(func() {
		set := p.srv.set
		for range 2 { // what one shard frees may be another's
			for _, s := range set.Shards {
				for !s.FreeSome(1000) {
				}
			}
		}
		parts, foreign := make([]int64, len(set.Shards)), 0
		for _, s := range set.Shards {
			for id := range set.Databases() {
				x := s.DB(id).Index()
				parts[s.ID] += x.SizeBytes()
				for cursor := uint64(0); ; {
					cursor = x.Scan(cursor, 1000, func(e index.Entry) {
						parts[s.ID] += int64(arena.UsableSize(e.SizeBytes()))
						if object.KindOf(e.Tag()) != object.StringPaged {
							return
						}
						tree.LoadPaged(e.Payload()).Blocks(set.Space, func(ref arena.Ref, size int) {
							owner := set.Space.Owner(ref)
							parts[owner] += int64(size)
							if int(owner) != s.ID {
								foreign++
							}
						})
					})
					if cursor == 0 {
						break
					}
				}
			}
		}
		for i, s := range set.Shards {
			if got := s.UsedBytes(); got != parts[i] {
				p.t.Errorf("shard %d: %d bytes used, its parts are %d", i, got, parts[i])
			}
		}
		p.t.Logf("%d nodes lie in the arena of another shard", foreign)
	})
}
