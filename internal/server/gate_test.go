package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/internal/config"
	"fulmen/internal/need"
	"fulmen/persist/vfs"
	"fulmen/shard"
)

// stoppedDisk is a file system whose syncs of the append-only file wait, or fail, as long as a test wants that.
type stoppedDisk struct {
	vfs.OS
	mu   sync.Mutex
	open chan struct{} // closed: syncs are done
	err  error         // of syncs

	writes sync.RWMutex // held by the test: writes to INCR files wait
}

func newStoppedDisk() *stoppedDisk {
	d := &stoppedDisk{open: make(chan struct{})}
	close(d.open)
	return d
}

// stop has syncs wait from now on.
func (d *stoppedDisk) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = make(chan struct{})
}

// resume lets the syncs that wait be done, and those that come.
func (d *stoppedDisk) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.open:
	default:
		close(d.open)
	}
}

func (d *stoppedDisk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *stoppedDisk) Create(name string, perm fs.FileMode) (vfs.File, error) {
	f, err := d.OS.Create(name, perm)
	if err != nil || !strings.Contains(name, ".incr.") {
		return f, err
	}
	return &stoppedFile{f, d}, nil
}

type stoppedFile struct {
	vfs.File
	d *stoppedDisk
}

func (f *stoppedFile) Write(p []byte) (int, error) {
	f.d.writes.RLock()
	defer f.d.writes.RUnlock()
	return f.File.Write(p)
}

func (f *stoppedFile) WriteAt(p []byte, offset int64) (int, error) {
	f.d.writes.RLock()
	defer f.d.writes.RUnlock()
	return f.File.WriteAt(p, offset)
}

func (d *stoppedDisk) NewSyncer() vfs.Syncer { return &stoppedSyncer{d.OS.NewSyncer(), d} }

type stoppedSyncer struct {
	vfs.Syncer
	d *stoppedDisk
}

func (s *stoppedSyncer) SyncData(files []vfs.File, errs []error) {
	s.d.mu.Lock()
	open := s.d.open
	s.d.mu.Unlock()
	<-open
	s.d.mu.Lock()
	err := s.d.err
	s.d.mu.Unlock()
	if err == nil {
		plain := make([]vfs.File, len(files))
		for i, f := range files {
			plain[i] = f.(*stoppedFile).File
		}
		s.Syncer.SyncData(plain, errs)
		return
	}
	for i := range files {
		errs[i] = &os.PathError{Op: "fdatasync", Path: "aof", Err: err}
	}
}

// gated is a server with an append-only file on a disk that a test stops.
type gated struct {
	*Server
	t     testing.TB
	disk  *stoppedDisk
	clock *clock.Fake // nil: the real one
	log   *logBuffer
}

type gatedOptions struct {
	dir   string // "": a new one
	fake  bool   // the clock stands still
	fault gateFault
	args  []string
}

func startGated(t testing.TB, o gatedOptions) *gated {
	t.Helper()
	g := newGated(t, o)
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	<-g.loading.done
	t.Cleanup(func() {
		g.disk.resume()
		if err := g.Shutdown(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log("the server's log:\n" + g.log.String())
		}
	})
	return g
}

// ringDir returns a directory for a ring that the test may leave.
func ringDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fulmen-test-")
	if err != nil {
		t.Log("no ring: " + err.Error())
		return "no"
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// newGated returns a server that is not started.
func newGated(t testing.TB, o gatedOptions) *gated {
	t.Helper()
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	g := &gated{t: t, disk: newStoppedDisk(), log: &logBuffer{}}
	args := slices.Concat(unhurried(), []string{"--aof-ring-dir", ringDir(t),
		"--port", need.Port(t), "--bind", "127.0.0.1", "--dir", o.dir, "--shards", "4",
		"--event-loops", "2",
		"--appendonly", "yes", "--save", "", "--enable-debug-command", "yes",
	}, o.args)
	cfg, err := config.Load(args, config.Env{Version: Version, Cwd: o.dir, CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	so := Options{Config: cfg, Files: g.disk, Log: NewLogger(g.log, level), Level: level}
	if o.fake {
		g.clock = clock.NewFake(1_700_000_000_000)
		so.Clock = g.clock
	}
	if g.Server, err = New(so); err != nil {
		t.Fatal(err)
	}
	g.gate.fault = o.fault
	return g
}

// keyOn returns a key of a shard.
func (g *gated) keyOn(shard int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprintf("k%d", i); g.set.ShardOf([]byte(key)) == shard {
			return key
		}
	}
}

// guest is a client that must not get replies early.
type guest struct {
	g    *gated
	conn net.Conn
	got  []byte
}

func (g *gated) dial() *guest {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.Addr())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	return &guest{g: g, conn: conn}
}

// say sends commands, inline.
func (c *guest) say(lines ...string) {
	if _, err := c.conn.Write([]byte(strings.Join(lines, "\r\n") + "\r\n")); err != nil {
		c.g.t.Fatal(err)
	}
}

// arrived takes what has come and tells whether the connection still stands.
func (c *guest) arrived(patience time.Duration) bool {
	var buf [64 << 10]byte
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.g.t.Fatal(err)
	}
	n, err := c.conn.Read(buf[:])
	c.got = append(c.got, buf[:n]...)
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
}

// held waits until the gate holds so many bytes of all clients; an error says that this client has got something, all
// that it should get being later.
func (c *guest) held(bytes int64) error {
	until := time.Now().Add(patience)
	for {
		holds := c.g.reactor.HeldBytes()
		c.arrived(time.Millisecond)
		if len(c.got) > 0 {
			return fmt.Errorf("%q has left before it was synced", c.got)
		}
		if holds == bytes {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("the gate holds %d bytes, not %d", holds, bytes)
		}
	}
}

// gets waits for this text.
func (c *guest) gets(want string) error {
	until := time.Now().Add(patience)
	for len(c.got) < len(want) && time.Now().Before(until) {
		if !c.arrived(10 * time.Millisecond) {
			break
		}
	}
	if string(c.got) != want {
		return fmt.Errorf("got %q, want %q", c.got, want)
	}
	c.got = nil
	return nil
}

// id returns the client's id.
func (c *guest) id() string {
	c.say("CLIENT ID")
	for !strings.HasSuffix(string(c.got), "\r\n") && c.arrived(patience) {
	}
	id := strings.Trim(string(c.got), ":\r\n")
	c.got = nil
	return id
}

// ends waits for the end of the connection.
func (c *guest) ends() error {
	until := time.Now().Add(patience)
	for time.Now().Before(until) {
		if !c.arrived(10 * time.Millisecond) {
			return nil
		}
	}
	return errors.New("the connection is not closed")
}

// gateCases are the ways for something to be sent that tells of what is not synced, under always.
var gateCases = []struct {
	name string
	run  func(g *gated) error
}{
	{"pipeline", gatePipeline},
	{"transaction", gateTransaction},
	{"read of an unsynced write", gateRead},
	{"other shards are read", gateOtherShards},
	{"served by another's write", gateServed},
	{"served over shards", gateServedOverShards},
	{"wait ended", gateWaitEnded},
	{"executed by another", gateParked},
	{"slices", gateSlices},
	{"many shards", gateManyShards},
	{"CLIENT REPLY OFF", gateReplyOff},
	{"CLIENT REPLY SKIP", gateReplySkip},
	{"QUIT", gateQuit},
	{"half-close", gateHalfClose},
	{"CLIENT KILL", gateKill},
	{"RESET", gateReset},
	{"MONITOR", gateMonitor},
	{"long reply", gateLong},
	{"output limit", gateOutputLimit},
	{"PUBLISH in a transaction", gatePublish},
	{"PUBLISH behind a write", gatePublishBehind},
	{"PUBLISH behind a read", gatePublishSeen},
	{"PUBLISH of nothing", gatePublishFree},
	{"a keyspace event", gateEvent},
	{"an invalidation", gateInvalidation},
	{"PUBLISH to oneself", gateOwnMessage},
	{"PUBLISH to oneself by a script", gateScriptMessage},
	{"functions", gateFunctions},
	{"TAKE", gateTake},
}

// TestGate: under always nothing leaves that tells of what is not synced, whatever way it takes; all of it leaves, in
// order, when it is; and what tells of nothing unsynced does not wait.
func TestGate(t *testing.T) {
	for _, test := range gateCases {
		t.Run(test.name, func(t *testing.T) {
			if err := runGate(t, gateSound, test.run); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGateNotices: planted mistakes are noticed by the cases that are there for them.
func TestGateNotices(t *testing.T) {
	for _, test := range []struct {
		fault gateFault
		name  string
	}{
		{acksEarly, "pipeline"}, {acksEarly, "transaction"}, {readsEarly, "read of an unsynced write"},
		{readsEarly, "slices"}, {servedEarly, "served by another's write"}, {parkedEarly, "executed by another"},
		{acksEarly, "TAKE"}, {readsEarly, "TAKE"}, {readsEarly, "functions"},
		{pushesEarly, "PUBLISH in a transaction"}, {pushesEarly, "PUBLISH behind a write"},
		{pushesEarly, "a keyspace event"}, {pushesEarly, "an invalidation"}, {pushesEarly, "PUBLISH behind a read"},
	} {
		for _, c := range gateCases {
			if c.name == test.name {
				t.Run(fmt.Sprintf("%d %s", test.fault, c.name), func(t *testing.T) {
					if runGate(t, test.fault, c.run) == nil {
						t.Error("the mistake was not noticed")
					}
				})
			}
		}
	}
}

func runGate(t *testing.T, fault gateFault, run func(g *gated) error) error {
	g := startGated(t, gatedOptions{fault: fault, args: []string{"--appendfsync", "always"}})
	defer g.disk.resume()
	return run(g)
}

// steps runs them in order until one fails.
func steps(all ...func() error) error {
	for i, step := range all {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func gatePipeline(g *gated) error {
	c := g.dial()
	c.say("SET a 1")
	if err := c.gets("+OK\r\n"); err != nil {
		return err
	}
	g.disk.stop()
	c.say("SET a 2", "INCR b", "PING", "GET a", "SET c 3")
	if err := c.held(5 + 4 + 7 + 7 + 5); err != nil {
		return err
	}
	g.disk.resume()
	return c.gets("+OK\r\n:1\r\n+PONG\r\n$1\r\n2\r\n+OK\r\n")
}

func gateTransaction(g *gated) error {
	c, other := g.dial(), g.dial()
	g.disk.stop()
	c.say("MULTI", "SET "+g.keyOn(0)+" 1", "SET "+g.keyOn(3)+" 2", "EXEC")
	const want = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n"
	// What comes before EXEC tells of nothing, but the replies of a batch leave together.
	if err := c.held(int64(len(want))); err != nil {
		return err
	}
	other.say("GET " + g.keyOn(3))
	if err := other.held(int64(len(want) + 7)); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return c.gets(want) }, func() error { return other.gets("$1\r\n2\r\n") })
}

func gateRead(g *gated) error {
	c, other := g.dial(), g.dial()
	g.disk.stop()
	c.say("SET a 1")
	if err := c.held(5); err != nil {
		return err
	}
	other.say("GET a")
	if err := other.held(5 + 7); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return other.gets("$1\r\n1\r\n") }, func() error { return c.gets("+OK\r\n") })
}

func gateOtherShards(g *gated) error {
	c, other := g.dial(), g.dial()
	g.disk.stop()
	c.say("SET " + g.keyOn(1) + " 1")
	if err := c.held(5); err != nil {
		return err
	}
	other.say("GET "+g.keyOn(2), "PING", "INFO persistence")
	until := time.Now().Add(patience)
	for !strings.Contains(string(other.got), "aof_enabled:1") && time.Now().Before(until) {
		other.arrived(10 * time.Millisecond)
	}
	if !strings.HasPrefix(string(other.got), "$-1\r\n+PONG\r\n$") ||
		!strings.Contains(string(other.got), "aof_replies_held_bytes:5\r\n") {
		return fmt.Errorf("got %q", other.got)
	}
	g.disk.resume()
	return c.gets("+OK\r\n")
}

// waiting waits until so many clients wait for keys.
func (g *gated) waiting(n int) error {
	until := time.Now().Add(patience)
	for time.Now().Before(until) {
		blocked := 0
		for _, s := range g.clients.all() {
			blocked += btoi(s.blocked.Load() != nil)
		}
		if blocked == n {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("there are not %d clients that wait", n)
}

func gateServed(g *gated) error {
	waits, c := g.dial(), g.dial()
	waits.say("BLPOP l 0")
	if err := g.waiting(1); err != nil {
		return err
	}
	g.disk.stop()
	c.say("RPUSH l x")
	const reply = "*2\r\n$1\r\nl\r\n$1\r\nx\r\n"
	if err := waits.held(int64(len(reply) + 4)); err != nil {
		return err
	}
	if err := c.held(int64(len(reply) + 4)); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return waits.gets(reply) }, func() error { return c.gets(":1\r\n") })
}

func gateServedOverShards(g *gated) error {
	waits, c := g.dial(), g.dial()
	waits.say("BLMOVE " + g.keyOn(0) + " " + g.keyOn(3) + " LEFT LEFT 0")
	if err := g.waiting(1); err != nil {
		return err
	}
	g.disk.stop()
	c.say("RPUSH " + g.keyOn(0) + " x")
	if err := waits.held(7 + 4); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return waits.gets("$1\r\nx\r\n") }, func() error { return c.gets(":1\r\n") })
}

// gateWaitEnded: a wait that ends without anything tells of nothing new.
func gateWaitEnded(g *gated) error {
	waits, c, other := g.dial(), g.dial(), g.dial()
	id := waits.id()
	waits.say("BLPOP l 0")
	if err := g.waiting(1); err != nil {
		return err
	}
	g.disk.stop()
	c.say("SET a 1")
	if err := c.held(5); err != nil {
		return err
	}
	other.say("CLIENT UNBLOCK " + id)
	if err := other.gets(":1\r\n"); err != nil {
		return err
	}
	if err := waits.gets("*-1\r\n"); err != nil {
		return err
	}
	g.disk.resume()
	return c.gets("+OK\r\n")
}

// holdAll takes all batons, and returns what gives them back.
func (g *gated) holdAll() (release func()) {
	held := make(chan struct{})
	g.stopTx.run(func(*loop) {}, func(*shard.Seizure) { close(held) })
	<-held
	return g.stopTx.giveBack
}

func gateParked(g *gated) error {
	c, other := g.dial(), g.dial()
	c.say("PING")
	other.say("PING")
	for _, x := range []*guest{c, other} {
		if err := x.gets("+PONG\r\n"); err != nil {
			return err
		}
	}
	g.disk.stop()
	release := g.holdAll()
	c.say("SET a 1")
	other.say("APPEND a 2")
	parked := func() (n int) {
		for _, s := range g.clients.all() {
			n += btoi(s.parkedBytes.Load() > 0)
		}
		return n
	}
	eventually(g.t, "two commands are parked", func() bool { return parked() == 2 })
	release()
	if err := c.held(5 + 4); err != nil {
		return err
	}
	if err := other.held(5 + 4); err != nil {
		return err
	}
	g.disk.resume()
	for len(c.got) < 5 || len(other.got) < 4 {
		if !c.arrived(10*time.Millisecond) || !other.arrived(10*time.Millisecond) {
			return errors.New("a connection has ended")
		}
	}
	return nil
}

func gateSlices(g *gated) error {
	c, other := g.dial(), g.dial()
	g.disk.stop()
	c.say("SET a 1")
	if err := c.held(5); err != nil {
		return err
	}
	other.say("KEYS *")
	if err := other.held(5 + 11); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return other.gets("*1\r\n$1\r\na\r\n") }, func() error { return c.gets("+OK\r\n") })
}

func gateManyShards(g *gated) error {
	c, other := g.dial(), g.dial()
	g.disk.stop()
	c.say("SET " + g.keyOn(2) + " 1")
	if err := c.held(5); err != nil {
		return err
	}
	other.say("MGET "+g.keyOn(0)+" "+g.keyOn(2), "DBSIZE")
	const want = "*2\r\n$-1\r\n$1\r\n1\r\n:1\r\n"
	if err := other.held(int64(5 + len(want))); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return other.gets(want) }, func() error { return c.gets("+OK\r\n") })
}

func gateReplyOff(g *gated) error {
	c := g.dial()
	g.disk.stop()
	c.say("CLIENT REPLY OFF", "SET a 1")
	eventually(g.t, "the write is committed", func() bool { return g.set.Log.LSN() > 0 })
	c.say("PING", "CLIENT REPLY ON")
	if err := c.held(5); err != nil {
		return err
	}
	g.disk.resume()
	return c.gets("+OK\r\n")
}

func gateReplySkip(g *gated) error {
	c := g.dial()
	g.disk.stop()
	c.say("CLIENT REPLY SKIP", "SET a 1")
	eventually(g.t, "the write is committed", func() bool { return g.set.Log.LSN() > 0 })
	c.say("PING")
	if err := c.held(7); err != nil {
		return err
	}
	g.disk.resume()
	return c.gets("+PONG\r\n")
}

func gateQuit(g *gated) error {
	c := g.dial()
	g.disk.stop()
	c.say("SET a 1", "QUIT")
	if err := c.held(10); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return c.gets("+OK\r\n+OK\r\n") }, c.ends)
}

func gateHalfClose(g *gated) error {
	c := g.dial()
	g.disk.stop()
	c.say("SET a 1", "GET a")
	if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if err := c.held(12); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return c.gets("+OK\r\n$1\r\n1\r\n") }, c.ends)
}

// gateKill: who is killed gets nothing.
func gateKill(g *gated) error {
	c, other := g.dial(), g.dial()
	g.disk.stop()
	c.say("SET a 1")
	if err := c.held(5); err != nil {
		return err
	}
	other.say("CLIENT KILL TYPE normal")
	if err := steps(func() error { return other.gets(":1\r\n") }, c.ends); err != nil {
		return err
	}
	g.disk.resume()
	other.say("GET a")
	if err := other.gets("$1\r\n1\r\n"); err != nil {
		return err
	}
	eventually(g.t, "nothing is held any more", func() bool { return g.reactor.HeldBytes() == 0 })
	if len(c.got) > 0 {
		return fmt.Errorf("%q has left", c.got)
	}
	return nil
}

func gateReset(g *gated) error {
	c := g.dial()
	g.disk.stop()
	c.say("SET a 1", "RESET")
	if err := c.held(5 + 8); err != nil {
		return err
	}
	g.disk.resume()
	return c.gets("+OK\r\n+RESET\r\n")
}

// gateMonitor: lines of MONITOR don't wait.
func gateMonitor(g *gated) error {
	m, c := g.dial(), g.dial()
	m.say("MONITOR")
	if err := m.gets("+OK\r\n"); err != nil {
		return err
	}
	g.disk.stop()
	c.say("SET a 1")
	until := time.Now().Add(patience)
	for !strings.Contains(string(m.got), `"SET" "a" "1"`) && time.Now().Before(until) {
		m.arrived(10 * time.Millisecond)
	}
	if err := c.held(5); err != nil {
		return err
	}
	if !strings.Contains(string(m.got), `"SET" "a" "1"`) {
		return fmt.Errorf("the monitor got %q", m.got)
	}
	g.disk.resume()
	return c.gets("+OK\r\n")
}

// gateLong: a reply that is not copied waits, too.
func gateLong(g *gated) error {
	c := g.dial()
	value := strings.Repeat("x", 5<<20)
	g.disk.stop()
	c.say("SET a "+value[:60_000], "SETRANGE a 5242879 x", "GET a")
	want := int64(5 + 10 + 10 + 5<<20 + 2)
	if err := c.held(want); err != nil {
		return err
	}
	g.disk.resume()
	for int64(len(c.got)) < want {
		if !c.arrived(patience) {
			return errors.New("the connection has ended")
		}
	}
	return nil
}

// gateOutputLimit: at its output limit the client is not executed any more; it is not closed, and goes on.
func gateOutputLimit(g *gated) error {
	c, other := g.dial(), g.dial()
	other.say("SET long " + strings.Repeat("x", 60_000))
	if err := other.gets("+OK\r\n"); err != nil {
		return err
	}
	g.disk.stop()
	const gets = 10 * stallBytes / 60_000
	c.say(append([]string{"SET a 1"}, strings.Split(strings.Repeat("GET long,", gets)+"PING", ",")...)...)
	eventually(g.t, "the gate holds as much as it may", func() bool { return g.reactor.HeldBytes() > stallBytes })
	g.reactor.Release(0) // loops look once more
	g.flushLoops()
	if held := g.reactor.HeldBytes(); held > 2*stallBytes {
		return fmt.Errorf("%d bytes are held", held)
	}
	g.disk.resume()
	want := 5 + gets*(60_000+10) + 7
	for len(c.got) < want {
		if !c.arrived(patience) {
			return fmt.Errorf("the connection has ended after %d of %d bytes", len(c.got), want)
		}
	}
	return nil
}

// TestLogMemoryIsGivenBack: what the log has taken while the disk did not keep up does not stay with the process.
func TestLogMemoryIsGivenBack(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--aof-ring-dir", "no"}})
	c := dial(t, g.Addr())
	const peak = 64 << 20
	g.disk.writes.Lock()
	sent := 0
	for set := "SET k " + strings.Repeat("x", 50_000) + "\r\n"; g.set.Log.MemoryBytes() < peak; sent++ {
		c.send(set)
	}
	g.disk.writes.Unlock()
	for range sent {
		c.want("OK")
	}
	eventually(t, "most of it is given back", func() bool { return g.set.Log.MemoryBytes() < peak/2 })
}
