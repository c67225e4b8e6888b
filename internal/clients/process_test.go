//go:build !race

package clients

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
)

// patience is for anything that must come.
const patience = 3 * time.Minute

// flagServer has the tests run against a redis-server, which shows that they ask for nothing that Redis doesn't do.
var flagServer = flag.String("server", "", "the redis-server to use instead of the program of this tree")

// program is the server that the tests start.
var program need.Server

// TestMain removes the program that was built.
func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

// process is a server in a process of its own, which keeps its port and its directory over restarts.
type process struct {
	t    testing.TB
	port string
	addr string
	dir  string

	binary string
	args   []string
	cmd    *exec.Cmd
	done   chan error // its end
}

// startServer starts the program with an append-only file and with these parameters, and waits until it answers. What
// it has replied to is there after a kill. It is killed when the test ends.
func startServer(t testing.TB, args ...string) *process {
	t.Helper()
	port := need.Port(t)
	p := &process{
		t: t, port: port, addr: "127.0.0.1:" + port, dir: t.TempDir(),
		binary: *flagServer, args: []string{"--appendonly", "yes", "--appendfsync", "always"},
	}
	if p.binary == "" {
		p.binary = program.Path(t)
		p.args = []string{"--appendonly", "yes", "--aof-ring-dir", need.MemoryDir(t), "--shards", "4"}
	}
	p.args = append(p.args, args...)
	p.start()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		if t.Failed() {
			p.explain()
		}
	})
	return p
}

func (p *process) logPath() string { return filepath.Join(p.dir, "log") }

func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.binary, append([]string{
		"--port", p.port, "--bind", "127.0.0.1", "--dir", p.dir,
	}, p.args...)...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, done := p.cmd, make(chan error, 1)
	p.done = done
	go func() { done <- cmd.Wait() }()
	eventually(p.t, "the server answers", func() bool {
		select {
		case err := <-done:
			done <- err
			p.explain()
			p.t.Fatalf("the server has ended: %v", err)
		default:
		}
		return p.answers()
	})
}

// answers tells whether the server has loaded its data.
func (p *process) answers() bool {
	c, err := redistest.Dial(p.addr)
	if err != nil {
		return false
	}
	defer c.Close()
	v, err := c.Do("PING")
	return err == nil && v.Err() == nil
}

// signal sends the process a signal and waits until it has ended.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.done:
		p.done <- err
	case <-time.After(patience):
		p.t.Fatalf("the server does not end by %v", sig)
	}
}

// restart ends the server by a signal and starts it again.
func (p *process) restart(sig syscall.Signal) {
	p.t.Helper()
	p.signal(sig)
	p.start()
}

// explain prints the end of the server's log.
func (p *process) explain() {
	const most = 4 << 10
	data, err := os.ReadFile(p.logPath())
	p.t.Logf("the server's log (%v):\n%s", err, data[max(0, len(data)-most):])
}

// eventually waits for what must come.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for wait := time.Millisecond; !is(); wait = min(2*wait, 50*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting until %s", what)
		}
		time.Sleep(wait)
	}
}

// bounded is a context for one test.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	t.Cleanup(cancel)
	return ctx
}

// next receives what must come.
func next[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatal("nothing comes")
	}
	return v
}

// must panics on an error: what is asked for can't fail unless the server does.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
