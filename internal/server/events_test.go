package server

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// events subscribes to all keyspace events, and to a channel besides.
func (p *proof) events() *proofConn {
	c := p.dial()
	for _, pattern := range []string{"__keyevent@*__:*", "besides"} {
		c.do("PSUBSCRIBE", pattern)
	}
	return c
}

// hears reads messages: what comes behind the colon of the channel, and the message.
func (c *proofConn) hears(n int) (got []string) {
	for range n {
		v := c.reply()
		channel := text(v.Elems[2])
		got = append(got, channel[strings.LastIndexByte(channel, ':')+1:]+" "+text(v.Elems[3]))
	}
	return got
}

// TestEventsOfTime: keys that expire are told of, whether somebody comes across them or not.
func TestEventsOfTime(t *testing.T) {
	p := startProof(t, 8, 2, 50)
	sub, c := p.events(), p.dial()
	c.do("CONFIG", "SET", "notify-keyspace-events", "EAn")
	c.do("SET", "a", "1", "PX", "10")
	p.clock.wall.Advance(time.Second)
	want := []string{"new a", "set a", "expire a", "expired a"}
	if got := sub.hears(4); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	c.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	c.do("SET", "b", "1", "PXAT", "1")
	c.do("SET", "b", "2")
	want = []string{"new b", "set b", "expire b", "expired b", "new b", "set b"}
	if got := sub.hears(6); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEventsOfTransactions: messages and events of a transaction, whose keys are in several shards, come in the order
// in which it has caused them.
func TestEventsOfTransactions(t *testing.T) {
	p := startProof(t, 8, 2, 50)
	p.meddlers()
	sub, c := p.events(), p.dial()
	c.do("CONFIG", "SET", "notify-keyspace-events", "Eg$")
	for range 300 / proofShare {
		c.do("MULTI")
		var want []string
		for _, key := range []string{"a", "b", "c", "d"} {
			c.do("SET", key, "1")
			c.do("PUBLISH", "besides", key)
			c.do("RENAME", key, "{"+key+"}2")
			c.do("MSET", key, "1", "x", "2", "{"+key+"}2", "3")
			want = append(want, "set "+key, "besides "+key, "rename_from "+key, "rename_to {"+key+"}2",
				"set "+key, "set x", "set {"+key+"}2")
		}
		c.do("EXEC")
		if got := sub.hears(len(want)); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// TestNoEventsOfLoads: what a load puts in its place has not happened.
func TestNoEventsOfLoads(t *testing.T) {
	p := startProof(t, 8, 2, 50)
	sub, c := p.events(), p.dial()
	c.do("CONFIG", "SET", "notify-keyspace-events", "EAnm")
	c.do("SET", "a", strings.Repeat("long", 3000))
	c.do("RPUSH", "l", "1", "2")
	c.do("DEBUG", "RELOAD")
	c.do("DEL", "a")
	want := []string{"new a", "set a", "new l", "rpush l", "del a"}
	if got := sub.hears(5); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEventsOfEviction: there is one for each key that was evicted.
func TestEventsOfEviction(t *testing.T) {
	p := startProof(t, 8, 2, 50)
	sub, c := p.events(), p.dial()
	c.do("CONFIG", "SET", "notify-keyspace-events", "Ee")
	value := strings.Repeat("v", 4000)
	for i := range 1000 {
		c.do("SET", "k"+strconv.Itoa(i), value)
	}
	limit := p.srv.usedMemory() - 1<<20
	c.do("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", strconv.FormatInt(limit, 10))
	c.do("SET", "k0", value)
	gone := map[string]bool{}
	for len(gone) < 100 { // a MiB is more than 200 of them
		for _, event := range sub.hears(1) {
			name, key, _ := strings.Cut(event, " ")
			if name != "evicted" || gone[key] {
				t.Fatalf("got %s", event)
			}
			gone[key] = true
		}
	}
}
