package server

import (
	"fmt"
	"strconv"
	"testing"

	"fulmen/internal/resp"
)

// bigScans are calls that look at all of a big value, with what fills it.
var bigScans = []struct {
	name string
	scan []string // but for the cursor
	each int      // elements of the reply a member
	add  func(i int) []string
}{
	{"ZSCAN of one score", []string{"ZSCAN", "big"}, 2, func(i int) []string {
		return []string{"ZADD", "big", "0", "m" + strconv.Itoa(i)}
	}},
	{"ZSCAN", []string{"ZSCAN", "big", "COUNT", "1000000"}, 2, func(i int) []string {
		return []string{"ZADD", "big", strconv.Itoa(i), "m" + strconv.Itoa(i)}
	}},
	{"SSCAN", []string{"SSCAN", "big", "COUNT", "1000000"}, 1, func(i int) []string {
		if i%2 == 0 {
			return []string{"SADD", "big", strconv.Itoa(i)}
		}
		return []string{"SADD", "big", "m" + strconv.Itoa(i)}
	}},
	{"HSCAN", []string{"HSCAN", "big", "COUNT", "1000000"}, 2, func(i int) []string {
		return []string{"HSET", "big", "m" + strconv.Itoa(i), "v"}
	}},
	{"HSCAN NOVALUES", []string{"HSCAN", "big", "COUNT", "1000000", "NOVALUES"}, 1, func(i int) []string {
		return []string{"HSET", "big", "m" + strconv.Itoa(i), "v"}
	}},
}

// at puts a cursor into a scan.
func at(scan []string, cursor string) []string {
	return append([]string{scan[0], scan[1], cursor}, scan[2:]...)
}

// fillBig makes the value called big.
func (p *proof) fillBig(c *proofConn, members int, add func(i int) []string) {
	c.add("DEL", "big")
	for i := range members {
		if c.add(add(i)...); c.n >= 1000 {
			c.all()
		}
	}
	c.all()
}

// membersOf adds what a reply to a scan gives to a count, and returns the cursor.
func membersOf(v resp.Value, each int, given map[string]int) (cursor string) {
	for i := 0; i < len(v.Elems[1].Elems); i += each {
		given[string(v.Elems[1].Elems[i].Str)]++
	}
	return string(v.Elems[0].Str)
}

// TestOthersAreServedDuringScans: a call of ZSCAN, SSCAN or HSCAN that looks at very many members runs in slices,
// between which others are served; in a transaction it is one piece. It gives all members, each once if none changes.
func TestOthersAreServedDuringScans(t *testing.T) {
	const members = 60_000 / proofShare
	for _, b := range bigScans {
		t.Run(b.name, func(t *testing.T) {
			p := startProof(t, 2, 1, 0)
			c, other := p.dial(), p.dial()
			p.fillBig(c, members, b.add)
			c.do("CLIENT", "SETNAME", "walker")
			walker := p.sessionOf("walker")
			var given map[string]int
			during := 0
			for round := 0; during == 0 && round < 10; round++ { // the test itself may not have been running
				given = map[string]int{}
				for cursor, calls := "0", 0; calls == 0 || cursor != "0"; calls++ {
					p.send(c, at(b.scan, cursor)...)
					c.add("ECHO", "behind")
					c.flush()
					for range 5 {
						other.do("SET", "beside", "1")
						if walker.replyBytes.Load() > 0 {
							during++
						}
					}
					cursor = membersOf(c.reply(), b.each, given)
					if got := text(c.reply()); got != "behind" {
						t.Fatal(got)
					}
				}
			}
			whole := map[string]int{}
			c.add("MULTI")
			c.add(at(append(b.scan, "COUNT", "1000000"), "0")...)
			c.add("EXEC")
			if cursor := membersOf(c.all()[2].Elems[0], b.each, whole); cursor != "0" {
				t.Errorf("the cursor in a transaction is %s", cursor)
			}
			for _, all := range []map[string]int{given, whole} {
				if len(all) != members {
					t.Errorf("%d members were given", len(all))
				}
				for m, n := range all {
					if n != 1 {
						t.Fatalf("%s was given %d times", m, n)
					}
				}
			}
			if during == 0 {
				t.Error("nobody was served meanwhile")
			}
			t.Logf("%d times others were served meanwhile", during)
		})
	}
}

// TestScansWhileTheValueChanges: scans in slices, on contended shards, of values whose members come and go, that are
// deleted, replaced and given to another key meanwhile. What stays is given.
func TestScansWhileTheValueChanges(t *testing.T) {
	const members = 3000
	for _, b := range bigScans {
		t.Run(b.name, func(t *testing.T) {
			p := startProof(t, 2, 2, 1)
			p.meddlers()
			c, writer := p.dial(), p.dial()
			p.fillBig(c, members, b.add)
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					add := b.add(members + i%500) // another than those that stay
					writer.add(add...)
					remove := map[string]string{"ZADD": "ZREM", "SADD": "SREM", "HSET": "HDEL"}[add[0]]
					member := add[2]
					if add[0] == "ZADD" {
						member = add[3]
						writer.add("ZADD", "big", "XX", strconv.Itoa(i%7), "m"+strconv.Itoa(i%members))
					}
					writer.add(remove, "big", member)
					writer.add("COPY", "big", "other", "REPLACE")
					if i%10 == 0 {
						writer.add("COPY", "other", "big", "REPLACE") // the same members, in other nodes
					}
					writer.all()
				}
			}()
			for range 5 {
				given := map[string]int{}
				for cursor, calls := "0", 0; calls == 0 || cursor != "0"; calls++ {
					cursor = membersOf(c.do(at(b.scan, cursor)...), b.each, given)
				}
				for i := range members {
					member := b.add(i)[2]
					if b.scan[0] == "ZSCAN" {
						member = b.add(i)[3]
					}
					if given[member] == 0 {
						t.Fatalf("%s was not given", member)
					}
				}
			}
			close(stop)
			<-stopped
			for _, line := range [][]string{{"DEL", "big"}, {"SET", "big", "string"}} { // with a scan under way
				p.fillBig(c, members, b.add)
				p.send(c, at(b.scan, "0")...)
				writer.do(line...)
				if v := c.reply(); len(v.Elems) != 2 && v.Err() == nil {
					t.Errorf("%s: %v", line, v)
				}
				writer.do("DEL", "big")
			}
			gone := p.dial()
			p.fillBig(c, members, b.add)
			p.send(gone, at(b.scan, "0")...)
			if err := gone.nc.Close(); err != nil {
				t.Fatal(err)
			}
			if got := text(c.do("PING")); got != "PONG" {
				t.Error(got)
			}
		})
	}
}

// TestScanStopsAtTheOutputLimit: the connection of a scan whose reply is too long is closed.
func TestScanStopsAtTheOutputLimit(t *testing.T) {
	for _, b := range bigScans[1:] {
		p := startProof(t, 2, 1, 0)
		c, other := p.dial(), p.dial()
		p.fillBig(c, 40_000/proofShare, b.add)
		other.do("CONFIG", "SET", "client-output-buffer-limit", fmt.Sprint("normal ", 50_000, " 0 0"))
		p.send(c, at(b.scan, "0")...)
		if _, err := c.r.ReadReply(); err == nil {
			t.Error(b.name, "replied")
		}
		other.do("PING")
	}
}
