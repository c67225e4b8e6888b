package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/need"

	"golang.org/x/sys/unix"
)

// The tests in this file run the program, whose memory and descriptors are its own.

// idleBytes is what an idle connection may cost.
const idleBytes = 8 << 10

// TestIdleConnections: ten thousand of them cost little each and disturb nobody.
func TestIdleConnections(t *testing.T) {
	count := 10_000
	if testing.Short() || proofShare > 1 {
		count = 2000
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if files.Max < uint64(count+500) {
		count = int(files.Max) - 500
		t.Logf("the limit of open files is %d: only %d connections", files.Max, count)
	}
	p := startProcess(t, "--maxclients", strconv.Itoa(count+100))
	c := dial(t, p.addr)
	c.do("PING")
	before, _ := p.memory()
	idle := make([]net.Conn, count)
	var wg sync.WaitGroup
	for part := range slices.Chunk(idle, count/4) {
		wg.Go(func() {
			for i := range part {
				nc, err := net.Dial("tcp", p.addr)
				if err != nil {
					t.Error(err)
					return
				}
				part[i] = nc
			}
		})
	}
	wg.Wait()
	defer func() {
		for _, nc := range idle {
			_ = nc.Close() // nil after a failure
		}
	}()
	if t.Failed() {
		return
	}
	eventually(t, "all are open", func() bool {
		return c.info("clients", "connected_clients") == strconv.Itoa(count+1)
	})
	silent, _ := p.memory()
	perSilent := (silent - before) / count
	// Those that have said something cost no more.
	for _, nc := range idle {
		if _, err := io.WriteString(nc, "SET key value\r\nGET key\r\n"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("+OK\r\n$5\r\nvalue\r\n"))
		if _, err := io.ReadFull(nc, got); err != nil {
			t.Fatal(err)
		}
	}
	used, _ := p.memory()
	perUsed := (used - before) / count
	t.Logf("%d connections: %d bytes each when new, %d after a few commands", count, perSilent, perUsed)
	if perSilent > idleBytes || perUsed > idleBytes {
		t.Errorf("an idle connection costs %d and %d bytes, more than %d", perSilent, perUsed, idleBytes)
	}
	if usual := usualPing(c, 100); usual > time.Second {
		t.Errorf("a PING took %v", usual)
	}
	for _, nc := range idle {
		if err := nc.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
	}
	eventually(t, "all are gone", func() bool { return c.info("clients", "connected_clients") == "1" })
}

// usualPing returns the time in which three quarters of all PINGs are answered. What the slowest takes is the machine's
// affair, which may have other things to do.
func usualPing(c *client, times int) time.Duration {
	c.t.Helper()
	took := make([]time.Duration, times)
	for i := range took {
		began := time.Now()
		if got := c.do("PING"); got != "PONG" {
			c.t.Fatal(got)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[times*3/4]
}

// TestBigValue: a value of 200 MB that comes in pieces costs its reader's buffer and itself, takes time of the
// processor in proportion to its length, and is read again.
func TestBigValue(t *testing.T) {
	size := 200 << 20
	if testing.Short() || proofShare > 1 {
		size = 40 << 20
	}
	p := startProcess(t)
	c := dial(t, p.addr)
	c.do("PING")
	block := make([]byte, 64<<10-7) // no divisor of anything
	for i := range block {
		block[i] = byte(i * i >> 3)
	}
	set := func(key string, size int) time.Duration {
		began := p.cpuTime()
		c.send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", len(key), key, size))
		for left := size; left > 0; {
			n := min(left, len(block))
			c.send(string(block[:n]))
			left -= n
		}
		c.send("\r\n")
		c.want("OK")
		return p.cpuTime() - began
	}
	tenth := set("tenth", size/10)
	c.do("DEL", "tenth")
	before, _ := p.memory()
	whole := set("whole", size)
	after, peak := p.memory()
	eventually(t, "the query buffer is given back", func() bool {
		after, _ = p.memory()
		return after-before < size*5/4
	})
	t.Logf("SET of %d MB: %v (a tenth: %v), at most %.2f of its size, %.2f when done", size>>20, whole, tenth,
		float64(peak-before)/float64(size), float64(after-before)/float64(size))
	if peak-before > size*5/2 {
		t.Errorf("memory grew by %d MB", (peak-before)>>20)
	}
	if whole > 30*tenth+2*time.Second {
		t.Errorf("%d MB take %v, a tenth of it %v", size>>20, whole, tenth)
	}
	began := time.Now()
	c.send(bulk("GET", "whole"))
	r := bufio.NewReaderSize(c.Conn, 1<<20)
	if head, err := r.ReadString('\n'); err != nil || head != fmt.Sprintf("$%d\r\n", size) {
		t.Fatalf("%q, %v", head, err)
	}
	got := make([]byte, len(block))
	for left := size; left > 0; {
		n := min(left, len(block))
		if _, err := io.ReadFull(r, got[:n]); err != nil {
			t.Fatal(err)
		}
		if string(got[:n]) != string(block[:n]) {
			t.Fatalf("other bytes, %d before the end", left)
		}
		left -= n
	}
	after, peak = p.memory()
	t.Logf("GET: %v, at most %.2f of its size, %.2f when done", time.Since(began),
		float64(peak-before)/float64(size), float64(after-before)/float64(size))
	if peak-before > size*5/2 {
		t.Errorf("memory grew by %d MB", (peak-before)>>20)
	}
}

// neverReadBytes bounds what a client that never reads costs where values have a megabyte: what is kept before it
// stalls, the value that went beyond, and the collector's share.
const neverReadBytes = 3 << 20

// TestClientsThatNeverRead: two hundred of them cost a bounded amount of memory and don't slow down others; those
// that read after all get their replies.
func TestClientsThatNeverRead(t *testing.T) {
	clients, gets := 200, 60
	if testing.Short() || proofShare > 1 {
		clients = 40
	}
	p := startProcess(t)
	watcher := dial(t, p.addr)
	watcher.do("SET", "big", strings.Repeat("x", 1<<20))
	before, _ := p.memory()
	var stop atomic.Bool
	others := make(chan []time.Duration)
	other := dial(t, p.addr)
	go func() {
		defer other.Close()
		var took []time.Duration
		want := make([]byte, len("+OK\r\n$5\r\nvalue\r\n"))
		for !stop.Load() {
			began := time.Now()
			if _, err := io.WriteString(other, bulk("SET", "small", "value")+bulk("GET", "small")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(other.Conn, want); err != nil || string(want) != "+OK\r\n$5\r\nvalue\r\n" {
				t.Errorf("%q, %v", want, err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		others <- took
	}()
	all, ids := make([]*client, clients), make([]string, clients)
	for i := range all {
		all[i], ids[i] = notReading(t, p.addr, gets)
	}
	eventually(t, "all have stalled", func() bool {
		lines := watcher.list()
		return !slices.ContainsFunc(ids, func(id string) bool { return fieldInt(t, lines[id], "omem") < stallBytes })
	})
	rss, peak := p.memory()
	stop.Store(true)
	took := <-others
	kept := 0
	for _, line := range watcher.list() {
		kept += fieldInt(t, line, "omem")
	}
	t.Logf("%d clients that don't read: %d MB resident, at most %d MB, of them %d MB of output; others: median %v, "+
		"p99 %v, max %v of %d pairs of commands", clients, (rss-before)>>20, (peak-before)>>20, kept>>20,
		took[len(took)/2],
		took[len(took)*99/100], took[len(took)-1], len(took))
	if peak-before > clients*neverReadBytes {
		t.Errorf("memory grew by %d MB", (peak-before)>>20)
	}
	if usual := took[len(took)*3/4]; usual > time.Second {
		t.Errorf("somebody else's commands took %v", usual)
	}
	for _, c := range all[:3] {
		for range gets {
			if got := c.reply(); len(got) != 1<<20 {
				t.Fatalf("a reply of %d bytes", len(got))
			}
		}
	}
	for _, c := range all {
		_ = c.Close() // three have nothing to come
	}
	eventually(t, "all are gone", func() bool { return len(watcher.list()) == 1 })
	eventually(t, "nothing is counted for them", func() bool {
		return infoField(t, watcher, "memory", "mem_clients_normal") <= 1<<20
	})
}

// TestDescriptorsExhausted: without descriptors the server stays alive and serves those it has; as soon as some are
// free it accepts again.
func TestDescriptorsExhausted(t *testing.T) {
	p := startProcess(t, "--maxclients", "1000")
	c := dial(t, p.addr)
	c.do("PING")
	limit := uint64(p.files() + 20)
	files := unix.Rlimit{Cur: limit, Max: limit}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, &files, nil); err != nil {
		t.Fatal(err)
	}
	const extra = 60
	var open []net.Conn
	for range extra {
		nc, err := net.Dial("tcp", p.addr) // the kernel accepts up to the backlog
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		open = append(open, nc)
	}
	eventually(t, "descriptors are exhausted", func() bool {
		return strings.Contains(p.log.String(), "too many open files")
	})
	for range 100 {
		if got := c.do("INCR", "n"); got == "" || got[0] == '-' {
			t.Fatal(got)
		}
	}
	for _, nc := range open[:extra-5] {
		_ = nc.Close()
	}
	for _, nc := range open[extra-5:] { // these have waited
		if _, err := io.WriteString(nc, "PING\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("+PONG\r\n"))
		if _, err := io.ReadFull(nc, got); err != nil || string(got) != "+PONG\r\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
	dial(t, p.addr).do("PING")
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// TestConnectStorm: a thousand connections a second come and go, while others are served.
func TestConnectStorm(t *testing.T) {
	seconds, perSecond := 1, 1000
	if testing.Short() || proofShare > 1 {
		perSecond = 200
	}
	p := startProcess(t)
	c := dial(t, p.addr)
	c.do("PING")
	const peers = 5
	began := time.Now()
	var wg sync.WaitGroup
	for range peers {
		wg.Go(func() {
			for i := range seconds * perSecond / peers {
				nc, err := net.Dial("tcp", p.addr)
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					_, _ = io.WriteString(nc, "PING\r\n*2\r\n$4\r\nECH") // whether it arrives is all the same
				}
				_ = nc.(*net.TCPConn).SetLinger(0)
				_ = nc.Close()
			}
		})
	}
	usual := usualPing(c, 300)
	wg.Wait()
	t.Logf("%d connections in %v, a PING beside them in %v", seconds*perSecond, time.Since(began), usual)
	if usual > time.Second {
		t.Errorf("a PING took %v", usual)
	}
	// Where the listener's queue is full the kernel forgets a connection that is reset meanwhile: not all were seen.
	eventually(t, "all are gone", func() bool { return len(c.list()) == 1 })
	// How many is the machine's affair; a quarter of them is far below what was ever seen.
	if n := infoField(t, c, "stats", "total_connections_received"); n <= int64(seconds*perSecond/4) {
		t.Errorf("%d were accepted", n)
	}
	dial(t, p.addr).do("PING")
}

// TestShutdownWhileActive: a server that is asked to stop does, whatever its clients are about, and leaves no socket
// and no pid file behind.
func TestShutdownWhileActive(t *testing.T) {
	dir := t.TempDir()
	socket, pid := filepath.Join(dir, "s"), filepath.Join(dir, "pid")
	p := startProcess(t, "--unixsocket", socket, "--pidfile", pid, "--event-loops", "2",
		"--enable-debug-command", "yes")
	setter := dial(t, socket)
	setter.do("SET", "big", strings.Repeat("x", 1<<20))
	if got, err := os.ReadFile(pid); err != nil || strings.TrimSpace(string(got)) != strconv.Itoa(p.cmd.Process.Pid) {
		t.Errorf("the pid file has %q, %v", got, err)
	}
	var wg sync.WaitGroup
	for _, addr := range []string{p.addr, socket, p.addr, socket} {
		notReading(t, addr, 30)
		dial(t, addr).do("MULTI")
		c := dial(t, addr)
		c.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nhalf")
		busy := dial(t, addr)
		wg.Go(func() {
			script := strings.Repeat(bulk("MSET", "a", "1", "b", "2", "c", "3")+bulk("GET", "a"), 100)
			var err error
			for err == nil { // until the server has gone
				if _, err = io.WriteString(busy, script); err == nil {
					_, err = io.CopyN(io.Discard, busy, int64(len("+OK\r\n$1\r\n1\r\n")*100))
				}
			}
		})
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for _, path := range []string{socket, pid} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if !strings.Contains(p.log.String(), "bye bye") {
		t.Error("the end was not logged")
	}
}

// insideEnv has TestProtectedMode play its part inside a network namespace.
const insideEnv = "FULMEN_TEST_INSIDE_NAMESPACE"

// elsewhere is an address of documentation, which the namespace's loopback interface is given beside its own.
const elsewhere = "198.51.100.7"

// TestProtectedMode: without a password only the loopback interface is served. It needs an address that is none of
// the loopback net's, which it has in a network namespace of its own.
func TestProtectedMode(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		protectedModeInside(t)
		return
	}
	need.Root(t, "make a network namespace")
	cmd := exec.Command(os.Args[0], "-test.run=^TestProtectedMode$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if os.IsPermission(err) || (err != nil && strings.Contains(err.Error(), "operation not permitted")) {
		need.Missing(t, "network namespaces are forbidden here: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func protectedModeInside(t *testing.T) {
	if err := raiseLoopback(); err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, "--bind", "*", "--maxclients", "10")
	_, port, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	friend := dial(t, "127.0.0.1:"+port)
	stranger := func() *client { return dial(t, net.JoinHostPort(elsewhere, port)) }
	denied := func(want bool) {
		t.Helper()
		c := stranger()
		if !want {
			c.do("PING")
			return
		}
		if got := c.reply(); !strings.HasPrefix(got, "-DENIED Redis is running in protected mode because") {
			t.Errorf("got %q", got)
		}
		c.wantClosed()
	}
	denied(true)
	for _, tt := range []struct {
		param, value string
		denied       bool
	}{{"protected-mode", "no", false}, {"protected-mode", "yes", true}, {"requirepass", "secret", false}} {
		if got := friend.do("CONFIG", "SET", tt.param, tt.value); got != "OK" {
			t.Fatal(got)
		}
		denied(tt.denied)
	}
	if srv.reactor.Totals().Refused != 2 {
		t.Errorf("%d refused", srv.reactor.Totals().Refused)
	}
}

// raiseLoopback brings the loopback interface up and gives it a second address.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, name := range []string{"lo", "lo:1"} {
		req, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if name == "lo:1" {
			if err := req.SetInet4Addr(net.ParseIP(elsewhere).To4()); err != nil {
				return err
			}
			if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, req); err != nil {
				return fmt.Errorf("setting the address of %s: %w", name, err)
			}
		}
		req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
			return fmt.Errorf("bringing %s up: %w", name, err)
		}
	}
	return nil
}
