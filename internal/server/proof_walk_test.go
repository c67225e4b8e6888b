package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"fulmen/persist/rdb"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// walkedIndex is one database of one shard at a cut.
type walkedIndex struct {
	name     string
	shard    int
	x        *index.Index
	shadow   map[string]entry
	seen     map[string]entry // written by whoever shows an entry, under the shard's baton
	twice    string
	stepping bool // the walk itself is at it, not somebody who changes something
	byOthers int  // shown by those
	done     bool
}

// cut begins a walk over everything: a transaction over all shards, in which the shadow is copied as well. torn is a
// fault: the shards are cut one after the other.
func (p *proof) cut(o *outsider, id uint16, torn bool) (all []*walkedIndex) {
	if !torn {
		o.take(p.srv.allShards...)
		defer o.drop()
	}
	for i := range p.srv.set.Shards {
		if torn {
			o.take(i)
		}
		all = p.cutShard(all, i, id)
		if torn {
			o.drop()
		}
	}
	return all
}

func (p *proof) cutShard(all []*walkedIndex, i int, id uint16) []*walkedIndex {
	content := p.contents()
	for db := range p.srv.set.Databases() {
		w := &walkedIndex{
			name: fmt.Sprintf("walk %d, shard %d, db %d", id, i, db), shard: i,
			x: p.srv.set.Shards[i].DB(db).Index(), seen: map[string]entry{},
		}
		w.shadow = dumpIndex(w.x, content)
		w.x.BeginWalk(id, func(e index.Entry) {
			key := string(e.Key())
			if _, ok := w.seen[key]; ok {
				w.twice = key
			}
			w.seen[key] = content(e)
			if !w.stepping {
				w.byOthers++
			}
		})
		all = append(all, w)
	}
	return all
}

// contents returns a function that gives the whole content of an entry: of a string it is that, of a collection what a
// file has, in the order of its nodes.
func (p *proof) contents() func(e index.Entry) entry {
	serialised := p.serialised()
	return func(e index.Entry) entry {
		if object.TypeOf(e.Tag()) == object.String {
			return p.entryOf(e)
		}
		return serialised(e)
	}
}

// serialised returns a function that gives what a file should have of an entry: its type and its value.
func (p *proof) serialised() func(e index.Entry) entry {
	set := p.srv.set
	var d rdb.Dumper
	o := rdb.WriteOptions{Space: set.Space, Hash: func(m []byte) uint64 { return set.Key(m).Hash }}
	return func(e index.Entry) entry {
		dump := d.Append(nil, e, o)
		return entry{string(dump[:len(dump)-dumpTail]), e.ExpireAt()}
	}
}

// dumpTail is what DUMP has behind a value: two bytes of a version and eight of a sum.
const dumpTail = 2 + 8

// step goes on with the walk of one index, or ends it.
func (w *walkedIndex) step(o *outsider, budget int) {
	o.take(w.shard)
	defer o.drop()
	w.stepping = true
	if w.done = w.x.WalkStep(budget); w.done {
		w.x.EndWalk()
	}
	w.stepping = false
}

// walkOn goes on with the walks by turns until all are done.
func walkOn(o *outsider, all []*walkedIndex, rnd *rand.Rand) {
	for left := slices.Clone(all); len(left) > 0; {
		i := rnd.IntN(len(left))
		if left[i].step(o, 1+rnd.IntN(60)); left[i].done {
			left = slices.Delete(left, i, i+1)
		}
	}
}

// TestWalksUnderLoad: a walk that is cut at any moment, while clients write at full speed, keys expire and databases
// are flushed, shows every key of the cut once and as it was then, whoever shows it.
func TestWalksUnderLoad(t *testing.T) {
	for _, n := range []struct{ shards, loops int }{{1, 2}, {8, 2}, {3, 3}} {
		t.Run(fmt.Sprintf("%d shards %d loops", n.shards, n.loops), func(t *testing.T) {
			p := startProof(t, n.shards, n.loops, 3)
			rnd := rand.New(rand.NewPCG(4, 4))
			poured, walks, keys, byOthers := make(chan bool), 0, 0, 0
			const names = 6000
			p.fill(names)
			f := flood{seed: 6, connections: 5, each: 8000 / proofShare, keys: names, flush: 1000}
			go func() {
				p.pour(f)
				close(poured)
			}()
			o := p.outsider()
			for id := uint16(1); poured != nil; id++ {
				all := p.cut(o, id, false)
				walkOn(o, all, rnd)
				for _, w := range all {
					if d := difference(w.seen, w.shadow); d != "" || w.twice != "" {
						t.Errorf("%s: %s (shown twice: %q)", w.name, d, w.twice)
					}
					keys += len(w.shadow)
					byOthers += w.byOthers
				}
				walks++
				select {
				case <-poured:
					poured = nil
				default:
				}
				if t.Failed() {
					break
				}
			}
			if poured != nil {
				<-poured
			}
			if walks < 3 || keys < 3*names || byOthers == 0 {
				t.Errorf("%d walks over %d keys in all, %d shown by writers", walks, keys, byOthers)
			}
			t.Logf("%d walks over %d keys in all, %d of them shown by writers, %d commands meanwhile, %+v",
				walks, keys, byOthers, f.connections*f.each, p.contention())
		})
	}
}

// TestCutIsOneMoment: while money is moved about between the shards, every walk shows the whole of it. Cutting shard
// by shard is noticed.
func TestCutIsOneMoment(t *testing.T) {
	for _, torn := range []bool{false, true} {
		p := startProof(t, 8, 2, 3)
		m := newMoney(p, 2)
		stop := m.keepMoving()
		o, rnd, wrong, walks := p.outsider(), rand.New(rand.NewPCG(8, 8)), 0, uint16(0)
		for walks < 300/proofShare || torn && wrong == 0 && walks < 6000 {
			walks++
			all := p.cut(o, walks, torn)
			walkOn(o, all, rnd)
			sum := 0
			for _, w := range all {
				for key, e := range w.seen {
					n, err := strconv.Atoi(e.val)
					if err != nil {
						t.Error(key, err)
					}
					sum += n
				}
			}
			if sum != m.each*len(m.accounts) {
				wrong++
			}
		}
		stop()
		if torn != (wrong > 0) {
			t.Errorf("torn %v: %d walks show another sum", torn, wrong)
		}
		t.Logf("torn %v: %d walks of %d show another sum; %d moves meanwhile",
			torn, wrong, walks, m.moved.Load())
	}
}
