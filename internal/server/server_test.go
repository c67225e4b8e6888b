package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fulmen/internal/config"
	"fulmen/internal/need"
	"fulmen/internal/resp"
	"fulmen/persist/vfs"
	"fulmen/reactor"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet's pool of goroutines for enrolling connections is one of the process.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
		goleak.Cleanup(func(code int) {
			program.Remove()
			os.Exit(code)
		}),
	)
}

// patience bounds every wait of a test: with the race detector, on a machine that is busy otherwise, seconds become
// minutes.
const patience = 3 * time.Minute

// logBuffer collects a server's log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// wantLogged waits until the log has a text n times, and fails the test if it has it more often. Lines are written by
// loops and background work when they come to it, which may be after their effect was seen.
func (b *logBuffer) wantLogged(t testing.TB, n int, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q is logged", text), func() bool { return strings.Count(b.String(), text) >= n })
	if got := strings.Count(b.String(), text); got > n {
		t.Errorf("%q is logged %d times, want %d", text, got, n)
	}
}

// unhurried are parameters of servers whose links last for as long as a test takes: no replica that says nothing, and
// no primary, is given up, and the stream has nothing but what the test has brought.
func unhurried() []string {
	return []string{"--repl-timeout", "3600", "--repl-ping-replica-period", "1000"}
}

// startServer starts a server with these parameters, on a free port of the loopback interface unless they name
// one, and stops it when the test ends.
func startServer(t testing.TB, args ...string) *Server {
	t.Helper()
	srv, _ := startLogged(t, args...)
	return srv
}

// startLogged is startServer for a test that reads the log.
func startLogged(t testing.TB, args ...string) (*Server, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	srv, err := tryServer(t, log, args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log("the server's log:\n" + log.String())
		}
	})
	return srv, log
}

func tryServer(t testing.TB, log io.Writer, args []string) (*Server, error) {
	t.Helper()
	dir := t.TempDir()
	args = slices.Concat(unhurried(), []string{
		"--port", need.Port(t), "--bind", "127.0.0.1", "--dir", dir, "--shards", "8",
		"--event-loops", "2", "--enable-debug-command", "yes", "--save", "", "--aof-ring-dir", ringDir(t),
	}, args)
	cfg, err := config.Load(args, config.Env{Version: Version, Cwd: dir, CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	srv, err := New(Options{Config: cfg, Files: vfs.OS{}, Log: NewLogger(log, level), Level: level})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		return nil, err
	}
	return srv, nil
}

// client is a connection of a test to a server, in raw bytes. What it sends or waits for has patience from then on.
type client struct {
	net.Conn
	t testing.TB
	r *resp.Reader

	ownDeadline bool // the test has set one, for all that comes
}

// SetDeadline implements net.Conn for a test that waits for longer, or shorter.
func (c *client) SetDeadline(at time.Time) error {
	c.ownDeadline = true
	return c.Conn.SetDeadline(at)
}

// bePatient puts the deadline off.
func (c *client) bePatient() {
	c.t.Helper()
	if c.ownDeadline {
		return
	}
	if err := c.Conn.SetDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, net.ErrClosed) {
		c.t.Fatal(err)
	}
}

// dial connects to host:port, or to a unix socket.
func dial(t testing.TB, addr string) *client {
	t.Helper()
	return wrap(t, connect(t, addr))
}

func connect(t testing.TB, addr string) net.Conn {
	t.Helper()
	network := "tcp"
	if strings.Contains(addr, "/") {
		network = "unix"
	}
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// wrap makes a client of a connection, which the end of the test closes.
func wrap(t testing.TB, nc net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { _ = nc.Close() }) // most tests have closed it
	c := &client{Conn: nc, t: t, r: resp.NewReader(nc)}
	c.bePatient()
	return c
}

// send sends raw bytes.
func (c *client) send(text string) {
	c.t.Helper()
	c.bePatient()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatalf("sending %d bytes: %v", len(text), err)
	}
}

// do sends a command and returns its reply in one word.
func (c *client) do(args ...string) string {
	c.t.Helper()
	c.send(string(resp.AppendCommandStrings(nil, args...)))
	return c.reply()
}

// reply reads a reply.
func (c *client) reply() string {
	c.t.Helper()
	c.bePatient()
	v, err := c.r.ReadReply()
	if err != nil {
		c.t.Fatalf("reading a reply: %v", err)
	}
	if e := v.Err(); e != nil {
		return "-" + e.Error()
	}
	return text(v)
}

// want fails the test unless the replies are these.
func (c *client) want(replies ...string) {
	c.t.Helper()
	for i, want := range replies {
		if got := c.reply(); got != want {
			c.t.Fatalf("reply %d of %d is %.200q, want %.200q", i+1, len(replies), got, want)
		}
	}
}

// wantClosed fails the test unless the server sends nothing more and closes.
func (c *client) wantClosed() {
	c.t.Helper()
	c.bePatient()
	if v, err := c.r.ReadReply(); err == nil {
		c.t.Fatalf("got %.200q, want the end of the connection", text(v))
	} else if os.IsTimeout(err) {
		c.t.Fatal("the connection is still open")
	}
}

// eventually fails the test unless ok becomes true in time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	eventuallyOr(t, ok, func() string { return what })
}

// eventuallyOr is eventually for a test that has something to tell of what it saw last.
func eventuallyOr(t testing.TB, ok func() bool, what func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what())
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

// info returns a field of INFO.
func (c *client) info(section, field string) string {
	c.t.Helper()
	for line := range strings.Lines(c.do("INFO", section)) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok && name == field {
			return value
		}
	}
	c.t.Fatalf("INFO %s has no %s", section, field)
	return ""
}

// wantInfo waits until a field of INFO has a value.
func (c *client) wantInfo(section, field, want string) {
	c.t.Helper()
	got := ""
	eventuallyOr(c.t, func() bool { got = c.info(section, field); return got == want }, func() string {
		return fmt.Sprintf("%s is %s, want %s", field, got, want)
	})
}

// field returns a field of a line of CLIENT LIST.
func field(line, name string) string {
	for _, pair := range strings.Fields(line) {
		if n, value, ok := strings.Cut(pair, "="); ok && n == name {
			return value
		}
	}
	return ""
}

func fieldInt(t testing.TB, line, name string) int {
	t.Helper()
	n, err := strconv.Atoi(field(line, name))
	if err != nil {
		t.Fatalf("%s in %q: %v", name, line, err)
	}
	return n
}

// errand is a letter that has a loop call a function.
type errand struct {
	reactor.Letter
	run func()
}

// Deliver implements reactor.Recipient.
func (e *errand) Deliver(*reactor.Loop, *reactor.Letter) { e.run() }

// onLoop returns a letter that has the loop it is posted to call fn.
func onLoop(fn func()) *reactor.Letter {
	e := &errand{run: fn}
	e.To = e
	return &e.Letter
}
