package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/resp"
)

// awaitInfo waits until a field of INFO has a value.
func (c *proofConn) awaitInfo(field, want string) {
	for {
		for line := range strings.Lines(text(c.do("INFO", "everything"))) {
			if strings.TrimSpace(line) == field+":"+want {
				return
			}
		}
	}
}

// waiters begin commands that wait for a key, one after the other.
func (p *proof) waiters(control *proofConn, n int, args ...string) (all []*proofConn) {
	for i := range n {
		c := p.dial()
		c.add(args...)
		c.flush()
		control.awaitInfo("blocked_clients", strconv.Itoa(i+1))
		all = append(all, c)
	}
	return all
}

// served returns which of the waiters is given the next element, which all of them wait for.
func (p *proof) firstServed(fault waitFault) (order []string) {
	p.srv.waitFault = fault
	control := p.dial()
	all := p.waiters(control, 3, "BLPOP", "k", "0")
	for i := range all {
		control.do("RPUSH", "k", strconv.Itoa(i))
	}
	for _, c := range all {
		order = append(order, text(c.reply()))
	}
	return order
}

// TestWaitersAreServedInOrder: who has waited longest is served first; serving them the other way round is noticed.
func TestWaitersAreServedInOrder(t *testing.T) {
	const want = "[[k 0] [k 1] [k 2]]"
	for _, fault := range []waitFault{waitSound, servesLastFirst} {
		if got := fmt.Sprint(startProof(t, 2, 2, 0).firstServed(fault)); (got == want) != (fault == waitSound) {
			t.Errorf("fault %d: %s", fault, got)
		}
	}
}

// TestClosedWaiterTakesNothing: an element that comes when the client has gone stays; it is noticed if it doesn't.
func TestClosedWaiterTakesNothing(t *testing.T) {
	for _, fault := range []waitFault{waitSound, servesClosed} {
		p := startProof(t, 2, 2, 0)
		p.srv.waitFault = fault
		control := p.dial()
		for _, args := range [][]string{{"BLPOP", "k", "0"}, {"BZPOPMIN", "z", "0"}} {
			c := p.waiters(control, 1, args...)[0]
			if err := c.nc.Close(); err != nil {
				t.Fatal(err)
			}
			control.awaitInfo("connected_clients", "1")
		}
		control.do("RPUSH", "k", "x")
		control.do("ZADD", "z", "1", "x")
		got := text(control.do("LLEN", "k")) + text(control.do("ZCARD", "z"))
		if (got == "11") != (fault == waitSound) {
			t.Errorf("fault %d: %s elements are left", fault, got)
		}
	}
}

// TestWaiterIsEvicted: maxmemory-clients closes a client that waits, too, and it takes nothing then.
func TestWaiterIsEvicted(t *testing.T) {
	p := startProof(t, 2, 1, 0)
	control := p.dial()
	control.do("CLIENT", "NO-EVICT", "ON")
	waiter := p.dial()
	args := []string{"BLPOP"}
	for i := range 3000 {
		args = append(args, fmt.Sprint(strings.Repeat("long", 20), i))
	}
	waiter.add(append(args, "0")...)
	waiter.flush()
	control.awaitInfo("blocked_clients", "1")
	control.awaitInfo("total_blocking_keys", "3000")
	control.do("CONFIG", "SET", "maxmemory-clients", "500000")
	control.awaitInfo("evicted_clients", "1")
	control.awaitInfo("blocked_clients", "0")
	control.awaitInfo("total_blocking_keys", "0")
	if _, err := waiter.r.ReadReply(); err == nil {
		t.Error("it was given a reply")
	}
	control.do("RPUSH", args[1], "x")
	if got := text(control.do("LLEN", args[1])); got != "1" {
		t.Errorf("%s elements are left", got)
	}
}

// TestShutdownWithWaiters: the server ends while commands wait, also behind a pause, and no client is given anything.
func TestShutdownWithWaiters(t *testing.T) {
	p := startProof(t, 4, 2, 3)
	p.meddlers()
	control := p.dial()
	all := p.waiters(control, 20, "BLMPOP", "0", "3", "a", "b", "c", "LEFT")
	control.do("CLIENT", "PAUSE", "100000", "WRITE")
	pushes := p.dial()
	pushes.add("RPUSH", "a", "1")
	pushes.flush()
	control.awaitInfo("blocked_clients", "21")
	p.calm()
	if err := p.srv.Shutdown(); err != nil {
		t.Error(err)
	}
	for _, c := range append(all, pushes) {
		if v, err := c.r.ReadReply(); err == nil {
			t.Errorf("replied %s", text(v))
		}
	}
}

// TestTenThousandWaiters has as many clients as there may be wait for the same few keys, in a process of its own: they
// cost little memory each, are served in their order, and are gone afterwards without a trace.
func TestTenThousandWaiters(t *testing.T) {
	const clients, perKey = 9000 / proofShare, 3000 / proofShare
	srv := startProcess(t, "--maxclients", "10000", "--tcp-backlog", "1024")
	control := dial(t, srv.addr)
	before := infoField(t, control, "memory", "used_memory_rss")
	conns := make([]net.Conn, clients)
	readers := make([]*resp.Reader, clients)
	for i := range conns {
		c, err := net.Dial("tcp", srv.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i], readers[i] = c, resp.NewReader(c)
		key := fmt.Sprint("k", i/perKey)
		if _, err := c.Write(resp.AppendCommandStrings(nil, "BLPOP", key, "none", "1000")); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 { // so that their order is known
			control.wantInfo("clients", "blocked_clients", strconv.Itoa(i+1))
		}
	}
	if n := infoField(t, control, "clients", "total_blocking_keys"); n != clients/perKey+1 {
		t.Errorf("%d keys are waited for", n)
	}
	if n := infoField(t, control, "clients", "clients_in_timeout_table"); n != clients {
		t.Errorf("%d have a timeout", n)
	}
	each := (infoField(t, control, "memory", "used_memory_rss") - before) / clients
	counted := infoField(t, control, "memory", "mem_clients_normal") / clients
	if each > 16<<10 || counted > 8<<10 {
		t.Errorf("a waiter takes %d bytes, %d are counted", each, counted)
	}
	t.Logf("a waiter takes %d bytes, %d are counted", each, counted)
	list := []string{"RPUSH", "k1"}
	for i := range perKey {
		list = append(list, strconv.Itoa(i))
	}
	if got := control.do(list...); got != strconv.Itoa(perKey) {
		t.Errorf("RPUSH: %s", got)
	}
	for i := perKey; i < 2*perKey; i++ {
		v, err := readers[i].ReadReply()
		if err != nil {
			t.Fatal(err)
		}
		// Within a hundred any order is right: they came on several loops.
		if n, _ := strconv.Atoi(string(v.Elems[1].Str)); n/100 != (i-perKey)/100 {
			t.Fatalf("waiter %d of its key was given element %d", i-perKey, n)
		}
	}
	for _, c := range conns[:perKey] {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	control.wantInfo("clients", "blocked_clients", strconv.Itoa(perKey))
	if got := control.do("RPUSH", "k0", "x"); got != "1" || control.do("LLEN", "k0") != "1" {
		t.Error("somebody who is gone was served")
	}
	control.wantInfo("clients", "total_blocking_keys", "2")
}
