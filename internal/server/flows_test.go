package server

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulmen/internal/resp"
	"fulmen/persist/snapshot"
)

// Full syncs by flows, between two servers of ours.

// flowWire stands between a primary and its replicas, and damages what comes by flows as it is told.
type flowWire struct {
	t      testing.TB
	ln     net.Listener
	target string

	mu      sync.Mutex
	damage  flowDamage    // nil: none
	longest [64]int64     // how much has come by each flow on one connection
	ends    chan struct{} // closed: what stands still goes on to its end

	done atomic.Int64 // pieces of damage
}

// flowDamage is told of each piece that comes by a flow, and where it begins. It returns what goes on instead, and what
// becomes of the connection then.
type flowDamage func(index int, at int64, p []byte) ([]byte, wireEnd)

// wireEnd is what becomes of a connection.
type wireEnd int

const (
	wireGoesOn wireEnd = iota
	wireCloses
	wireStalls
)

// acceptEach has each connection that comes served on a goroutine of its own, until the listener is closed; all have
// ended when Wait returns.
func acceptEach(ln net.Listener, serve func(net.Conn)) *sync.WaitGroup {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return // it was closed
			}
			running.Go(func() { serve(nc) })
		}
	})
	return &running
}

func startFlowWire(t testing.TB, target string) *flowWire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &flowWire{t: t, ln: ln, target: target, ends: make(chan struct{})}
	running := acceptEach(ln, w.forward)
	t.Cleanup(func() {
		_ = ln.Close()
		w.heal()
		running.Wait()
	})
	return w
}

// harm has what comes by flows damaged from now on.
func (w *flowWire) harm(d flowDamage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.damage = d
}

// heal ends all damage.
func (w *flowWire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.damage = nil
	close(w.ends)
	w.ends = make(chan struct{})
}

// everyFlowCloses has all flows break off at their beginning.
func everyFlowCloses(int, int64, []byte) ([]byte, wireEnd) { return nil, wireCloses }

// harmNext is harm of who has tried before: nothing that is under way slips through between two kinds of damage. It
// returns how much damage there was before.
func (w *flowWire) harmNext(d flowDamage) (before int64) {
	w.t.Helper()
	before = w.done.Load()
	w.harm(everyFlowCloses)
	eventually(w.t, "nothing comes", func() bool { return w.done.Load() > before })
	before = w.done.Load()
	w.harm(d)
	return before
}

// forward serves a connection.
func (w *flowWire) forward(replica net.Conn) {
	defer replica.Close()
	primary, err := net.Dial("tcp", w.target)
	if err != nil {
		return // the replica comes back
	}
	defer primary.Close()
	var flow atomic.Int64 // 1 + its index
	var both sync.WaitGroup
	both.Go(func() {
		defer primary.Close()
		buf := make([]byte, 16<<10)
		for {
			n, err := replica.Read(buf)
			if _, after, ok := bytes.Cut(buf[:n], []byte("fulmen-flow\r\n")); ok {
				_, digits, _ := bytes.Cut(after, []byte(":"))
				digits, _, _ = bytes.Cut(digits, []byte("\r"))
				index, _ := strconv.Atoi(string(digits))
				flow.Store(int64(index) + 1)
			}
			if _, err := primary.Write(buf[:n]); err != nil {
				return
			}
			if err != nil {
				return
			}
		}
	})
	w.bring(replica, primary, &flow)
	_, _ = replica.Close(), primary.Close()
	both.Wait()
}

// bring takes to the replica what the primary sends.
func (w *flowWire) bring(replica, primary net.Conn, flow *atomic.Int64) {
	buf := make([]byte, 16<<10)
	at, counts := int64(0), false
	for {
		n, err := primary.Read(buf)
		p, end := buf[:n], wireGoesOn
		index := int(flow.Load()) - 1
		counts = counts || index >= 0 && bytes.HasPrefix(p, []byte("+FLOW"))
		w.mu.Lock()
		damage, ends := w.damage, w.ends
		if counts {
			w.longest[index] = max(w.longest[index], at+int64(n))
		}
		w.mu.Unlock()
		if counts && damage != nil {
			before := string(p)
			if p, end = damage(index, at, p); end != wireGoesOn || string(p) != before {
				w.done.Add(1)
			}
		}
		if counts {
			at += int64(n)
		}
		if _, err := replica.Write(p); err != nil || end == wireCloses {
			return
		}
		if end == wireStalls {
			<-ends
			return
		}
		if err != nil {
			return
		}
	}
}

// hasFlows tells whether a replica has begun to receive so many.
func hasFlows(log *logBuffer, n int) bool {
	return strings.Contains(log.String(), fmt.Sprintf("flows: %d", n))
}

// TestFlowsBringEverything: all types, expiries, several databases and functions come by flows while clients write,
// whatever the numbers of shards are.
func TestFlowsBringEverything(t *testing.T) {
	for i, c := range []struct{ primary, replica int }{
		{1, 1}, {1, 2}, {1, 8}, {2, 1}, {2, 2}, {2, 8}, {8, 1}, {8, 2}, {8, 8},
	} {
		t.Run(fmt.Sprintf("%d to %d", c.primary, c.replica), func(t *testing.T) {
			srv := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", strconv.Itoa(c.primary))
			ours := dial(t, srv.Addr())
			fillAllTypes(ours, uint64(i))
			ours.do("DEBUG", "POPULATE", "3000", "many", "64")
			ours.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
			params := []string{"--shards", strconv.Itoa(c.replica), "--repl-flows", "5"}
			if i%2 == 1 {
				params = append(params, "--repl-compression", "lz4")
			}
			wait := play(t, srv.Addr(), uint64(i), 300)
			replica, log := startLogged(t, params...)
			theirs := dial(t, replica.Addr())
			theirs.do("SET", "old", "data")
			follow(t, replica, srv.Addr())
			wait()
			sameData(t, ours, theirs)
			if !hasFlows(log, min(5, c.primary)) {
				t.Error("it has not come by flows")
			}
			if got, want := theirs.do("FUNCTION", "LIST"), ours.do("FUNCTION", "LIST"); got != want {
				t.Errorf("functions: %s, want %s", got, want)
			}
			ours.wantInfo("replication", "connected_slaves", "1")
			eventually(t, "it is online", func() bool {
				return strings.Contains(ours.info("replication", "slave0"), "state=online")
			})
		})
	}
}

// flowPair is a primary and a server that has data of its own and is about to follow it through a wire.
type flowPair struct {
	primary, replica *Server
	log              *logBuffer
	ours, theirs     *client
	wire             *flowWire
}

const flowKeys = 20_000

func startFlowPair(t *testing.T, params ...string) *flowPair {
	t.Helper()
	p := &flowPair{primary: startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "4")}
	p.ours = dial(t, p.primary.Addr())
	p.ours.do("DEBUG", "POPULATE", strconv.Itoa(flowKeys), "key", "64")
	p.wire = startFlowWire(t, p.primary.Addr())
	p.replica, p.log = startLogged(t, append([]string{"--repl-flows", "3"}, params...)...)
	p.replica.upstream.retryAfter = 50 * time.Millisecond
	p.theirs = dial(t, p.replica.Addr())
	p.fillOld()
	return p
}

// fillOld gives the replica data of its own.
func (p *flowPair) fillOld() { p.theirs.do("DEBUG", "POPULATE", "1000", "old") }

// linked tells whether the replica has received everything.
func (p *flowPair) linked() bool { return p.theirs.info("replication", "master_link_status") == "up" }

// begin has the replica follow.
func (p *flowPair) begin(t *testing.T) {
	t.Helper()
	host, port, err := net.SplitHostPort(p.wire.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got := p.theirs.do("REPLICAOF", host, port); got != "OK" {
		t.Fatal(got)
	}
}

// atByte is damage at a place of one flow.
func atByte(flow int, place int64, d func(p []byte) ([]byte, wireEnd)) flowDamage {
	return func(index int, at int64, p []byte) ([]byte, wireEnd) {
		if i := place - at; index == flow && i >= 0 && i < int64(len(p)) {
			keep, end := d(p[i:])
			return append(p[:i:i], keep...), end
		}
		return p, wireGoesOn
	}
}

// flowDamages are what may become of a flow.
var flowDamages = map[string]func(p []byte) ([]byte, wireEnd){
	"killed":  func([]byte) ([]byte, wireEnd) { return nil, wireCloses },
	"stalled": func([]byte) ([]byte, wireEnd) { return nil, wireStalls },
	"flipped": func(p []byte) ([]byte, wireEnd) {
		return append([]byte{p[0] ^ 0x10}, p[1:]...), wireGoesOn
	},
	"short": func(p []byte) ([]byte, wireEnd) { return p[1:], wireGoesOn },
}

// flowTimeouts are after how many seconds without a byte a replica tries again. Where that is not what the damage is
// found by, a machine that stands still is to cut no connection.
var flowTimeouts = map[string]string{"killed": "3600", "stalled": "3", "flipped": "3600", "short": "3600"}

// helloBytes is more than a primary says on a flow before the data. A mark that has been changed there is noticed by
// nothing but the time.
const helloBytes = 150

// TestDamagedFlows: a flow that breaks off, stands still, or is changed, wherever, costs a replica nothing: it has its
// old data, and tries again until it has the new one.
func TestDamagedFlows(t *testing.T) {
	for name, damage := range flowDamages {
		for _, lz4 := range []string{"no", "lz4"} {
			t.Run(name+" "+lz4, func(t *testing.T) {
				t.Parallel()
				p := startFlowPair(t, "--repl-compression", lz4, "--repl-timeout", flowTimeouts[name])
				follow(t, startServer(t, "--repl-flows", "3", "--repl-compression", lz4), p.wire.ln.Addr().String())
				p.wire.mu.Lock()
				lengths := p.wire.longest
				p.wire.mu.Unlock()
				p.replica.upstream.fault = faultInsistsOnFlows
				want := p.theirs.do("DEBUG", "DIGEST")
				p.wire.harm(everyFlowCloses)
				p.begin(t)
				for i, part := range []float64{0, rand.Float64(), rand.Float64(), 1} {
					flow, place := i%3, int64(0)
					if i > 0 { // they are never quite as long again
						place = helloBytes + int64(part*(0.95*float64(lengths[flow])-helloBytes))
					}
					before := p.wire.harmNext(atByte(flow, place, damage))
					eventually(t, "it is damaged, or means the same", func() bool {
						return p.wire.done.Load() >= before+2 || p.linked()
					})
					if name == "flipped" && lz4 == "lz4" && p.linked() { // which has several ways to say one thing
						sameData(t, p.ours, p.theirs)
						p.anew(t)
					}
					if got := p.theirs.do("DEBUG", "DIGEST"); got != want {
						t.Fatalf("byte %d of flow %d: the old data has changed", place, flow)
					}
				}
				p.wire.heal()
				waitLinked(t, p.theirs)
				sameData(t, p.ours, p.theirs)
				checkShadowFreed(t, p.replica)
			})
		}
	}
}

// anew has the replica begin once more, with its old data. All flows break off at first.
func (p *flowPair) anew(t *testing.T) {
	t.Helper()
	p.wire.harm(everyFlowCloses)
	wantReply(t, p.theirs, "OK", "REPLICAOF", "NO", "ONE")
	wantReply(t, p.theirs, "OK", "FLUSHALL")
	p.fillOld()
	p.begin(t)
}

// TestMissingFlow: one of the flows can't be opened, or another one comes in its place.
func TestMissingFlow(t *testing.T) {
	p := startFlowPair(t)
	p.replica.upstream.fault = faultInsistsOnFlows
	want := p.theirs.do("DEBUG", "DIGEST")
	p.wire.harm(everyFlowCloses)
	p.begin(t)
	for name, damage := range map[string]flowDamage{
		"refused": atByte(1, 0, func([]byte) ([]byte, wireEnd) { return []byte("-ERR no\r\n"), wireGoesOn }),
		"closed":  atByte(2, 0, func([]byte) ([]byte, wireEnd) { return nil, wireCloses }),
		"another one": atByte(2, 0, func(p []byte) ([]byte, wireEnd) {
			return bytes.Replace(p, []byte("+FLOW 2"), []byte("+FLOW 1"), 1), wireGoesOn
		}),
		"of another sync": atByte(0, 0, func(p []byte) ([]byte, wireEnd) {
			return append([]byte("+FLOW 0 "+fakeID), p[len("+FLOW 0 ")+40:]...), wireGoesOn
		}),
		"without a mark": atByte(0, 0, func(p []byte) ([]byte, wireEnd) {
			line, _, _ := bytes.Cut(p, []byte("\n"))
			return append(line, "\n$100\r\n"...), wireGoesOn
		}),
	} {
		before := p.wire.harmNext(damage)
		eventually(t, name+": it happens", func() bool { return p.wire.done.Load() >= before+2 })
		if got := p.theirs.do("DEBUG", "DIGEST"); got != want {
			t.Fatalf("%s: the old data has changed", name)
		}
	}
	p.wire.heal()
	waitLinked(t, p.theirs)
	sameData(t, p.ours, p.theirs)
}

// syncWithoutFlows has a server follow a primary that has no room for flows' connections, the server having a fault,
// and tells whether it comes to have the data.
func syncWithoutFlows(t *testing.T, fault upstreamFault) bool {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "2", "--maxclients", "2")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "1000")
	replica, log := startLogged(t, "--repl-flows", "2")
	replica.upstream.retryAfter, replica.upstream.fault = 10*time.Millisecond, fault
	theirs := dial(t, replica.Addr())
	host, port, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	theirs.do("REPLICAOF", host, port)
	eventually(t, "it has the data, or has tried often", func() bool {
		return theirs.info("replication", "master_link_status") == "up" ||
			strings.Count(log.String(), "Opening flow") > 5
	})
	if theirs.info("replication", "master_link_status") != "up" {
		return false
	}
	sameData(t, ours, theirs)
	log.wantLogged(t, 1, "the next attempt goes without")
	if strings.Contains(log.String(), "flows: ") {
		t.Error("it has come by flows")
	}
	ours.do("CONFIG", "SET", "maxclients", "100")
	ours.do("DEBUG", "CHANGE-REPL-ID")
	ours.do("CLIENT", "KILL", "TYPE", "replica")
	eventually(t, "flows are asked for again", func() bool { return hasFlows(log, 2) })
	waitLinked(t, theirs)
	sameData(t, ours, theirs)
	return true
}

// TestFlowsThatCannotBeOpened: a replica that can't open its flows gets the data as Redis's do.
func TestFlowsThatCannotBeOpened(t *testing.T) {
	if !syncWithoutFlows(t, 0) {
		t.Error("it never comes to have the data")
	}
	if syncWithoutFlows(t, faultInsistsOnFlows) {
		t.Error("nobody has noticed")
	}
}

// brokenSync has one of three flows break off in the middle, the replica having a fault, and tells whether the old data
// has stayed.
func brokenSync(t *testing.T, fault upstreamFault) bool {
	p := startFlowPair(t)
	p.replica.upstream.fault = fault
	want := p.theirs.do("DEBUG", "DIGEST")
	p.wire.harm(atByte(2, 200_000, flowDamages["killed"]))
	p.begin(t)
	eventually(t, "it fails, or is taken for good", func() bool {
		text := p.log.String()
		return strings.Contains(text, "Failed trying to load the MASTER") || strings.Contains(text, "Swapped active DB")
	})
	return p.theirs.do("DEBUG", "DIGEST") == want
}

// TestSwapBeforeLastFlowIsNoticed plants the fault that what has come replaces the data though a flow has not come to
// its end.
func TestSwapBeforeLastFlowIsNoticed(t *testing.T) {
	if !brokenSync(t, 0) {
		t.Error("the old data has changed")
	}
	if brokenSync(t, faultSwapsEarly) {
		t.Error("nobody has noticed")
	}
}

// TestUnsummedFlowIsNoticed plants the fault that flows have no sum: then a byte of a value may change on the way.
func TestUnsummedFlowIsNoticed(t *testing.T) {
	changed := func(_ int, _ int64, p []byte) ([]byte, wireEnd) {
		return bytes.ReplaceAll(p, []byte("value:77"), []byte("value:78")), wireGoesOn
	}
	for _, fault := range []replicationFault{0, faultFlowUnsummed} {
		p := startFlowPair(t)
		p.primary.replication.fault.Store(fault)
		p.wire.harm(changed)
		p.begin(t)
		eventually(t, "something is changed, again, or comes so", func() bool {
			return p.wire.done.Load() > 1000 || p.linked()
		})
		up := p.linked()
		if noticed := !up || p.theirs.do("DEBUG", "DIGEST") == p.ours.do("DEBUG", "DIGEST"); noticed != (fault == 0) {
			t.Errorf("fault %d: link up: %t, noticed: %t", fault, up, noticed)
		}
	}
}

// syncUnderWrites has a replica follow while somebody writes new keys without pause, and tells whether it comes to have
// the same data.
func syncUnderWrites(t *testing.T, fault replicationFault) bool {
	p := startFlowPair(t)
	p.primary.replication.fault.Store(fault)
	stop, over := make(chan struct{}), make(chan struct{})
	nc := connect(t, p.primary.Addr())
	go func() {
		defer close(over)
		r := resp.NewReader(nc)
		for i := 0; ; i++ {
			var batch []byte
			for k := range 200 {
				batch = resp.AppendCommandStrings(batch, "SET", fmt.Sprint("new:", i, ":", k), "x")
			}
			if _, err := nc.Write(batch); err != nil {
				t.Error(err)
				return
			}
			for range 200 {
				if _, err := r.ReadReply(); err != nil {
					t.Error(err)
					return
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	p.begin(t)
	waitLinked(t, p.theirs)
	close(stop)
	<-over
	p.ours.do("SET", "last", "x") // it comes when all that comes has come
	eventually(t, "all has come", func() bool { return p.theirs.do("GET", "last") == "x" })
	return p.ours.do("DEBUG", "DIGEST") == p.theirs.do("DEBUG", "DIGEST")
}

// TestLateStreamIsNoticed plants the fault that the stream of a replica begins behind the cut.
func TestLateStreamIsNoticed(t *testing.T) {
	if !syncUnderWrites(t, 0) {
		t.Error("the data differs")
	}
	for range 20 {
		if !syncUnderWrites(t, faultStreamLate) {
			return
		}
	}
	t.Error("nobody has noticed")
}

// asker is a raw replica that has asked for flows and been offered some.
type asker struct {
	*rawReplica
	srv   *Server
	lsn   int64
	token string
}

func askForFlows(t *testing.T, srv *Server, capa string) *asker {
	t.Helper()
	a := newAsker(t, srv, capa)
	a.offered()
	return a
}

// newAsker is an asker that has not been answered yet.
func newAsker(t *testing.T, srv *Server, capa string) *asker {
	t.Helper()
	a := &asker{rawReplica: dialReplica(t, srv), srv: srv}
	a.say("REPLCONF capa " + capa)
	if got := a.line(); got != "+OK" {
		t.Fatal(got)
	}
	a.say("PSYNC ? -1")
	return a
}

// offered waits for the offer.
func (a *asker) offered() {
	a.t.Helper()
	words := strings.Fields(a.line())
	if len(words) != 4 {
		a.t.Fatalf("no offer: %q", words)
	}
	a.lsn, _ = strconv.ParseInt(words[2], 10, 64)
	list := strings.Split(words[3], ",")
	if list[0] != "fulmen-flows=1" || len(list) < 3 || len(list[2]) != 40 {
		a.t.Fatalf("the offer is %q", words[3])
	}
	a.token = list[2]
}

// open opens a flow, and returns its first line.
func (a *asker) open(name string) (*rawReplica, string) {
	a.t.Helper()
	c := dialReplica(a.t, a.srv)
	c.say("REPLCONF fulmen-flow " + name)
	return c, c.line()
}

// wantEnd fails the test unless the connection ends.
func (c *rawReplica) wantEnd(why string) {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.r); err != nil {
		if late, ok := err.(net.Error); ok && late.Timeout() {
			c.t.Errorf("%s: the connection is open", why)
		}
	}
}

// refusedFlow is what who has no right to a flow is told.
const refusedFlow = "-ERR No such flow, or it was opened already, or its time is over"

// TestStrangersGetNoFlow: only who has the token of a sync that is under way gets a flow of it, and each only once.
func TestStrangersGetNoFlow(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "2")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "1000")
	if got := ours.do("REPLCONF", "fulmen-flow", fakeID+":0"); got != refusedFlow {
		t.Errorf("without a sync: %s", got)
	}
	a := askForFlows(t, srv, "fulmen-flows=1,9")
	for _, name := range []string{
		"", ":", ":0", fakeID, fakeID + ":0", a.token, a.token + ":", a.token + ":2", a.token + ":-1", a.token + ":x",
		a.token[1:] + ":0", a.token + "0:0", strings.ToUpper(a.token) + "X:0", a.token + ":99999999999999999999",
	} {
		if got := ours.do("REPLCONF", "fulmen-flow", name); got != refusedFlow {
			t.Errorf("%q: %s", name, got)
		}
	}
	name := a.token + ":0"
	for _, say := range []string{
		"PING\r\nREPLCONF fulmen-flow " + name, "MULTI\r\nREPLCONF fulmen-flow " + name + "\r\nEXEC",
	} {
		c := dialReplica(t, srv)
		c.say(say)
		got := c.line()
		for !strings.Contains(got, "pending output") {
			got = c.line()
		}
	}
	first, hello := a.open(name)
	if want := "+FLOW 0 "; !strings.HasPrefix(hello, want) {
		t.Fatalf("%q, want %q", hello, want)
	}
	if _, got := a.open(name); got != refusedFlow {
		t.Errorf("a second time: %s", got)
	}
	first.say("SET by-a-flow 1")
	second, _ := a.open(a.token + ":1")
	for _, c := range []*rawReplica{first, second} {
		mark, ok := strings.CutPrefix(c.line(), "$EOF:")
		if !ok {
			t.Fatal("no mark")
		}
		c.takeTo(mark)
	}
	a.say("REPLCONF ACK " + strconv.FormatInt(a.lsn, 10))
	eventually(t, "it is online", func() bool {
		return strings.Contains(ours.info("replication", "slave0"), "state=online")
	})
	first.wantEnd("it has everything")
	if got := ours.do("EXISTS", "by-a-flow"); got != "0" {
		t.Error("what a flow has said was executed")
	}
	ours.do("SET", "k", "v")
	if got := a.take(len(record("SET", "k", "v"))); got != record("SET", "k", "v") {
		t.Errorf("the stream is %q", got)
	}
	if _, got := a.open(a.token + ":1"); got != refusedFlow {
		t.Errorf("afterwards: %s", got)
	}
}

// takeTo reads up to a mark.
func (c *rawReplica) takeTo(mark string) (data []byte) {
	c.t.Helper()
	for !bytes.HasSuffix(data, []byte(mark)) {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatal(err)
		}
		data = append(data, b)
	}
	return data
}

// TestFlowsEndWithTheirReplica: with the connection that has asked for them, and if they are not fetched in time.
func TestFlowsEndWithTheirReplica(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "2")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "1000")
	a := askForFlows(t, srv, "fulmen-flows=1,2,lz4")
	flow, hello := a.open(a.token + ":0")
	if !strings.HasPrefix(hello, "+FLOW 0 ") {
		t.Fatal(hello)
	}
	_ = a.Close()
	flow.wantEnd("its replica has gone")
	if _, got := a.open(a.token + ":1"); got != refusedFlow {
		t.Errorf("after its replica has gone: %s", got)
	}
	ours.wantInfo("replication", "connected_slaves", "0")
	a = askForFlows(t, srv, "fulmen-flows=1,2") // it has ten seconds
	a.open(a.token + ":1")
	a.wantEnd("a flow was not fetched")
	ours.wantInfo("replication", "connected_slaves", "0")
	ours.wantInfo("persistence", "rdb_bgsave_in_progress", "0")
}

// TestLateReplicaFailsNoOther: a replica that opens none of its flows is dropped alone. Those that share the walk with
// it, and have come, get their data then.
func TestLateReplicaFailsNoOther(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "1000", "--repl-diskless-sync-max-replicas", "2",
		"--shards", "8")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "1000")
	late := newAsker(t, srv, "fulmen-flows=1,8")
	ours.wantInfo("replication", "connected_slaves", "1")
	a := askForFlows(t, srv, "fulmen-flows=1,8")
	late.offered()
	var flows []*rawReplica
	for i := range 8 {
		flow := dialReplica(t, srv)
		flow.say(fmt.Sprintf("REPLCONF fulmen-flow %s:%d", a.token, i))
		flows = append(flows, flow)
	}
	for i, flow := range flows {
		if got := flow.line(); !strings.HasPrefix(got, fmt.Sprintf("+FLOW %d ", i)) {
			t.Fatal(got)
		}
		flow.takeTo(strings.TrimPrefix(flow.line(), "$EOF:"))
	}
	late.wantEnd("it has opened no flow")
	a.say("REPLCONF ACK " + strconv.FormatInt(a.lsn, 10))
	eventually(t, "it is online", func() bool {
		return strings.Contains(ours.info("replication", "slave0"), "state=online")
	})
}

// TestFlowsGivenUp: what gives up a full sync that is under way, with all batons held, waits for no replica.
func TestFlowsGivenUp(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "2", "--repl-timeout", "3600")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "20000", "key", "2000") // more than sockets have room for
	a := askForFlows(t, srv, "fulmen-flows=1,2")
	for i := range 2 {
		if _, hello := a.open(fmt.Sprintf("%s:%d", a.token, i)); !strings.HasPrefix(hello, "+FLOW ") {
			t.Fatal(hello)
		}
	}
	job := srv.replication.syncUnderWay()
	eventually(t, "everything has been walked", func() bool {
		return job.save.Progress().Phase == snapshot.PhaseCommitting
	})
	if got := ours.do("DEBUG", "RELOAD"); got != "OK" {
		t.Fatal(got)
	}
	a.wantEnd("it has to ask again")
}

// TestEarlyAckEndsNoFlows: who acknowledges less than what it loads is there, but has not loaded it.
func TestEarlyAckEndsNoFlows(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "1")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "1000")
	a := askForFlows(t, srv, "fulmen-flows=1,1")
	f := (*srv.replication.followers.Load())[0]
	f.offer.Load().heardMs.Store(0)
	a.say(fmt.Sprint("REPLCONF ACK ", a.lsn-1))
	eventually(t, "it is heard", func() bool { return f.offer.Load().heardMs.Load() > 0 || f.is(online) })
	flow, hello := a.open(a.token + ":0")
	if !strings.HasPrefix(hello, "+FLOW 0 ") {
		t.Fatal(hello)
	}
	flow.takeTo(strings.TrimPrefix(flow.line(), "$EOF:"))
	a.say("REPLCONF ACK " + strconv.FormatInt(a.lsn, 10))
	eventually(t, "it is online", func() bool { return f.is(online) })
}

// TestFlowsNeedAuth: each connection of a replica's is authenticated, and strangers are refused before anything else.
func TestFlowsNeedAuth(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--requirepass", "secret")
	ours := dial(t, srv.Addr())
	if got := ours.do("REPLCONF", "fulmen-flow", fakeID+":0"); !strings.HasPrefix(got, "-NOAUTH") {
		t.Error(got)
	}
	ours.do("AUTH", "secret")
	ours.do("DEBUG", "POPULATE", "1000")
	replica, log := startLogged(t, "--masterauth", "secret", "--masteruser", "default", "--repl-flows", "2")
	follow(t, replica, srv.Addr())
	sameData(t, ours, dial(t, replica.Addr()))
	if !hasFlows(log, 2) {
		t.Error("it has not come by flows")
	}
}

// TestNoFlows: where one of the two doesn't want them everything comes as a replica of Redis's gets it.
func TestNoFlows(t *testing.T) {
	for _, c := range []struct{ primary, replica []string }{
		{[]string{"--repl-flows", "0"}, nil},
		{nil, []string{"--repl-flows", "0"}},
		{[]string{"--repl-diskless-sync", "no"}, nil},
		{nil, []string{"--repl-diskless-load", "disabled"}},
	} {
		srv := startServer(t, append([]string{"--repl-diskless-sync-delay", "0"}, c.primary...)...)
		ours := dial(t, srv.Addr())
		ours.do("DEBUG", "POPULATE", "1000")
		replica, log := startLogged(t, c.replica...)
		follow(t, replica, srv.Addr())
		sameData(t, ours, dial(t, replica.Addr()))
		if strings.Contains(log.String(), "flows: ") {
			t.Errorf("%q: it has come by flows", c)
		}
	}
}

// TestFlowsShareAWalk: replicas with and without flows are served by one walk.
func TestFlowsShareAWalk(t *testing.T) {
	srv, log := startLogged(t, "--repl-diskless-sync-delay", "1000", "--repl-diskless-sync-max-replicas", "4")
	ours := dial(t, srv.Addr())
	fillAllTypes(ours, 7)
	ours.do("DEBUG", "POPULATE", "5000", "key", "64")
	var all []*client
	host, port, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	var logs []*logBuffer
	for _, params := range [][]string{
		{"--repl-flows", "3"}, {"--repl-flows", "2", "--repl-compression", "lz4"}, {"--repl-flows", "0"},
	} {
		replica, log := startLogged(t, params...)
		all, logs = append(all, dial(t, replica.Addr())), append(logs, log)
	}
	for _, c := range all {
		c.do("REPLICAOF", host, port)
	}
	ours.wantInfo("replication", "connected_slaves", "3")
	raw := dialReplica(t, srv)
	raw.full()
	for _, c := range all {
		waitLinked(t, c)
		sameData(t, ours, c)
	}
	if !hasFlows(logs[0], 2) || !hasFlows(logs[1], 2) || strings.Contains(logs[2].String(), "flows: ") {
		t.Error("not those have got flows that wanted some")
	}
	log.wantLogged(t, 1, "Starting BGSAVE for SYNC")
}

// TestStreamComesBesideFlows: the stream is sent while the data is, and a replica that takes neither in for a while is
// not given up as long as it says that it is there.
func TestStreamComesBesideFlows(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-timeout", "4", "--repl-ping-replica-period", "100")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", strconv.Itoa(flowKeys), "key", "64")
	replica := startServer(t, "--repl-flows", "2", "--key-load-delay", "1000000") // it does not come to an end
	theirs := dial(t, replica.Addr())
	host, port, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	theirs.do("REPLICAOF", host, port)
	eventually(t, "it loads", func() bool {
		return theirs.info("replication", "master_sync_in_progress") == "1" && received(theirs) > 0
	})
	value := strings.Repeat("v", 1<<20)
	for i := range 64 { // more than sockets have room for
		ours.do("SET", fmt.Sprint("big:", i), value)
	}
	eventually(t, "some of the stream is sent while it loads", func() bool {
		for _, f := range *srv.replication.followers.Load() { // another one if it has been given up meanwhile
			pin := f.pin.Load()
			if f.loading() != nil && pin != nil && f.feed.Sent() > (*pin).LSN() {
				return true
			}
		}
		return false
	})
	theirs.do("CONFIG", "SET", "key-load-delay", "600") // for all three times repl-timeout
	waitLinked(t, theirs)                               // else it is given up at every attempt
	sameData(t, ours, theirs)
}

// TestUnevenFlows: a flow may stand still for longer than repl-timeout, at its beginning and behind its last byte, as
// long as something comes by another one.
func TestUnevenFlows(t *testing.T) {
	p := startFlowPair(t, "--repl-timeout", "2")
	var far atomic.Bool // flow 0, of the attempt that is under way
	p.wire.harm(func(index int, at int64, piece []byte) ([]byte, wireEnd) {
		switch {
		case index == 0: // some 30 pieces
			far.Store(at > 300_000)
			time.Sleep(120 * time.Millisecond)
		case index == 1 && at > 0:
			for !far.Load() {
				time.Sleep(time.Millisecond)
			}
		}
		return piece, wireGoesOn
	})
	p.begin(t)
	waitLinked(t, p.theirs)
	sameData(t, p.ours, p.theirs)
}
