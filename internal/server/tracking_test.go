package server

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fulmen/internal/resp"
)

// cacher is a client that keeps what it has read until it is told that it has changed.
type cacher struct {
	c     *proofConn
	rnd   *rand.Rand
	optIn bool
	own   bool // it is not told of its own changes
	has   map[string]string
	told  int
}

// newCacher returns one that tracks in a mode, which is what CLIENT TRACKING ON is given.
func (p *proof) newCacher(seed int, mode string) *cacher {
	x := &cacher{c: p.dial(), rnd: rand.New(rand.NewPCG(uint64(seed), 3)), has: map[string]string{}}
	x.optIn, x.own = strings.Contains(mode, "OPTIN"), strings.Contains(mode, "NOLOOP")
	x.c.do("HELLO", "3")
	if got := text(x.c.do(append([]string{"CLIENT", "TRACKING", "ON"}, strings.Fields(mode)...)...)); got != "OK" {
		p.t.Fatal(got)
	}
	return x
}

// reply reads the next reply, and all invalidations before it.
func (x *cacher) reply() resp.Value {
	for {
		v := x.c.reply()
		if v.Kind != resp.KindPush {
			return v
		}
		x.c.n++
		x.told++
		keys := v.Elems[1]
		if keys.Null {
			clear(x.has)
		}
		for _, k := range keys.Elems {
			delete(x.has, string(k.Str))
		}
	}
}

func cachedKey(rnd *rand.Rand) string { return "k" + strconv.Itoa(rnd.IntN(12)) }

// read reads some keys and keeps what they have.
func (x *cacher) read() {
	keys := make([]string, 1+x.rnd.IntN(4))
	for i := range keys {
		if keys[i] = cachedKey(x.rnd); x.optIn {
			x.c.add("CLIENT", "CACHING", "YES")
		}
		x.c.add("GET", keys[i])
	}
	x.c.flush()
	for _, key := range keys {
		if x.optIn {
			x.reply()
		}
		if v := x.reply(); v.Null {
			x.has[key] = "nothing"
		} else {
			x.has[key] = string(v.Str)
		}
	}
}

// write changes something.
func (x *cacher) write() {
	key, other, value := cachedKey(x.rnd), cachedKey(x.rnd), strconv.Itoa(x.rnd.IntN(1<<30))
	changed := []string{key}
	switch x.rnd.IntN(8) {
	case 0:
		x.c.add("DEL", key)
	case 1:
		x.c.add("RENAME", key, other)
		changed = append(changed, other)
	case 2:
		x.c.add("MSET", key, value, other, value)
		changed = append(changed, other)
	case 3:
		x.c.add("EXPIRE", key, "-1")
	case 4:
		x.c.add("MULTI")
		x.c.add("SET", key, value)
		x.c.add("APPEND", key, "x")
		x.c.add("EXEC")
	default:
		x.c.add("SET", key, value)
	}
	x.drain()
	if x.own {
		for _, k := range changed {
			delete(x.has, k)
		}
	}
}

// drain reads the replies to what was sent.
func (x *cacher) drain() {
	x.c.flush()
	for x.c.n > 0 {
		x.reply()
	}
}

// TestCachesAreTrue: several clients on all loops cache what they read and write at the same time; when all is quiet,
// and each has been told what there is to tell, nothing that one has cached is out of date. Executors other than the
// loops take part.
func TestCachesAreTrue(t *testing.T) {
	p := startProof(t, 4, 3, 30)
	p.meddlers()
	var all []*cacher
	for i, mode := range []string{
		"", "OPTIN", "NOLOOP", "BCAST", "BCAST NOLOOP PREFIX k", "BCAST PREFIX k1 PREFIX k2", "",
	} {
		all = append(all, p.newCacher(i, mode))
	}
	rounds := 3000 / proofShare
	var running sync.WaitGroup
	for _, x := range all {
		running.Go(func() {
			for range rounds {
				if x.rnd.IntN(3) > 0 {
					x.read()
				} else {
					x.write()
				}
			}
		})
	}
	running.Wait()
	p.calm()
	plain := p.dial()
	for i, x := range all {
		x.c.add("PING")
		x.drain()
		if x.told == 0 {
			t.Errorf("client %d was told nothing", i)
		}
		for key, value := range x.has {
			if i == 5 && !strings.HasPrefix(key, "k1") && !strings.HasPrefix(key, "k2") {
				continue // it does not track them
			}
			v := plain.do("GET", key)
			if is := string(v.Str); v.Null && value != "nothing" || !v.Null && is != value {
				t.Errorf("client %d has cached %s as %s, which is %v", i, key, value, v)
			}
		}
	}
}

// invalidated reads pushes until so many keys were named, and returns them in the order of their names.
func (c *proofConn) invalidated(n int) string {
	var keys []string
	for len(keys) < n {
		v := c.reply()
		c.n++
		for _, k := range v.Elems[1].Elems {
			keys = append(keys, string(k.Str))
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// tracker returns a client that tracks keys and has read some.
func (p *proof) tracker(mode string, keys ...string) *proofConn {
	c := p.dial()
	c.do("HELLO", "3")
	c.expectReply("OK", append([]string{"CLIENT", "TRACKING", "ON"}, strings.Fields(mode)...)...)
	for _, key := range keys {
		c.do("GET", key)
	}
	return c
}

// TestTrackingWithoutCommands: clients are told of keys whose time comes, and of those that are evicted.
func TestTrackingWithoutCommands(t *testing.T) {
	p := startProof(t, 8, 2, 0)
	w := p.dial()
	w.do("SET", "a", "1", "PX", "10")
	c, b := p.tracker("", "a"), p.tracker("BCAST")
	p.clock.wall.Advance(time.Second)
	for _, x := range []*proofConn{c, b} {
		if got := x.invalidated(1); got != "a" {
			t.Errorf("invalidated: %s", got)
		}
	}
	for i := range 600 {
		w.do("SET", "k"+strconv.Itoa(i), strings.Repeat("v", 4000))
	}
	w.do("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory",
		strconv.FormatInt(p.srv.usedMemory()-1<<20, 10))
	w.do("SET", "k0", "1")
	b.invalidated(700) // the writes, and more than 200 keys to make room
}

// TestTrackingLimit: of more keys than tracking-table-max-keys clients are told that they have changed, also if the
// limit falls.
func TestTrackingLimit(t *testing.T) {
	p := startProof(t, 8, 2, 0)
	w := p.dial()
	w.do("CONFIG", "SET", "tracking-table-max-keys", "100")
	c := p.tracker("")
	for i := range 250 {
		c.add("GET", "k"+strconv.Itoa(i))
	}
	c.flush()
	told := 0
	for c.n > 0 {
		if v := c.reply(); v.Kind == resp.KindPush {
			c.n++
			told++
		}
	}
	c.invalidated(150 - told)
	w.awaitInfo("tracking_total_keys", "100")
	w.do("CONFIG", "SET", "tracking-table-max-keys", "10")
	c.invalidated(90)
	w.awaitInfo("tracking_total_items", "10")
	w.awaitInfo("tracking_clients", "1")
	c.do("CLIENT", "TRACKING", "OFF")
	w.awaitInfo("tracking_total_keys", "0")
	w.awaitInfo("tracking_clients", "0")
}

// TestTrackingOfReplacedData: who tracks keys is told when a replica receives everything anew, and of SWAPDB.
func TestTrackingOfReplacedData(t *testing.T) {
	p := startProof(t, 8, 2, 0)
	c, w := p.tracker("", "a"), p.dial()
	for _, args := range [][]string{{"SWAPDB", "0", "1"}, {"DEBUG", "RELOAD"}, {"FLUSHALL"}} {
		w.do(args...)
		if v := c.reply(); v.Kind != resp.KindPush || !v.Elems[1].Null {
			t.Errorf("after %s: %s", args[0], text(v))
		}
		c.n++
	}
}

// TestOverlap: the prefix that is told of is that which comparing every pair in order finds first.
func TestOverlap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	some := func(most int) (list []string) {
		for range rnd.IntN(most) {
			text := make([]byte, rnd.IntN(5))
			for i := range text {
				text[i] = "ab\x00"[rnd.IntN(3)]
			}
			list = append(list, string(text))
		}
		return list
	}
	begins := func(p, q string) bool { return strings.HasPrefix(p, q) || strings.HasPrefix(q, p) }
	found := 0
	for range 20_000 {
		prefixes, had := some(5), some(4)
		had = slices.DeleteFunc(had, func(p string) bool { // they do not overlap with each other
			return slices.ContainsFunc(had, func(q string) bool { return p != q && begins(p, q) })
		})
		slices.Sort(had)
		had = slices.Compact(had)
		want := slices.IndexFunc(prefixes, func(p string) bool {
			others := 0
			for _, q := range slices.Concat(prefixes, had) {
				if begins(p, q) {
					others++
				}
			}
			return others > 1 // it begins itself
		})
		if got := firstOverlapping(prefixes, had); got != want {
			t.Fatalf("%q with %q: %d, want %d", prefixes, had, got, want)
		}
		if err := overlap(prefixes, had); (err != nil) != (want >= 0) {
			t.Fatalf("%q with %q: %v", prefixes, had, err)
		} else if err != nil {
			found++
		}
	}
	if found == 0 || found == 20_000 {
		t.Errorf("%d of 20,000 overlap", found)
	}
}
