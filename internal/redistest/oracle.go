package redistest

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"fulmen/internal/need"
)

// Server is something to test: a name for messages, and a function that starts one and gives its address, host:port or
// the path of a unix socket. What Start starts ends with the test that it was given (t.Cleanup).
type Server struct {
	Name  string
	Start func(t testing.TB) (addr string)
	// Debugged is Start of one that allows DEBUG; nil: Start's does.
	Debugged func(t testing.TB) (addr string)
	// Tiny says that encodings change at other sizes than by default (TinyLimits): of scripts, what tells of them is
	// not compared.
	Tiny bool
}

// TinyLimits are parameters with which every form of a value and every change from one to another are met with a few
// small elements.
func TinyLimits() []string {
	return []string{
		"--hash-max-listpack-entries", "2", "--hash-max-listpack-value", "4", "--list-max-listpack-size", "2",
		"--list-compress-depth", "1", "--set-max-intset-entries", "2",
		"--zset-max-listpack-entries", "2", "--zset-max-listpack-value", "4",
	}
}

// Redis is the real redis-server with these arguments after its configuration, as in Redis("--maxmemory", "1mb").
func Redis(args ...string) Server {
	return Server{
		Name:     "redis",
		Start:    func(t testing.TB) string { return StartOracle(t, args...).Addr },
		Debugged: func(t testing.TB) string { return StartOracle(t, append(allowDebug(), args...)...).Addr },
	}
}

// Redis8 is a redis-server 8 with these arguments after its configuration, for what is not the same in the one on PATH.
// Without one (need.Redis8) the test skips, or fails if CI=true.
func Redis8(args ...string) Server {
	return Server{Name: "redis-8", Start: func(t testing.TB) string {
		t.Helper()
		return startOracles(t, need.Redis8(t), append(allowDebug(), args...)).Addr
	}}
}

// allowDebug are parameters that allow DEBUG, which compares values.
func allowDebug() []string { return []string{"--enable-debug-command", "yes"} }

// startDebugged starts a server that allows DEBUG.
func (s *Server) startDebugged(t testing.TB) (addr string) {
	if s.Debugged != nil {
		return s.Debugged(t)
	}
	return s.Start(t)
}

// Oracle is a running redis-server.
type Oracle struct {
	Addr string // 127.0.0.1:port
	Dir  string // its working directory, empty at the start and removed after the test
	PID  int
}

// StartOracle starts the redis-server on PATH, without persistence, on a free port, with an hour's patience for links,
// with these arguments last, and waits until it accepts connections. It is killed when the test ends. Without one the
// test skips, or fails if CI=true.
func StartOracle(t testing.TB, args ...string) *Oracle {
	t.Helper()
	return startOracles(t, need.Program(t, "redis-server"), args)
}

func startOracles(t testing.TB, binary string, args []string) *Oracle {
	t.Helper()
	oracle, err := startOracle(t, binary, args)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return oracle
}

func startOracle(t testing.TB, binary string, args []string) (*Oracle, error) {
	port, dir := need.Port(t), t.TempDir()
	command := exec.Command(binary, append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
		"--repl-timeout", "3600",
	}, args...)...)
	command.Dir = dir
	process, err := startProcess(command, "Ready to accept connections")
	if err != nil {
		return nil, err
	}
	t.Cleanup(process.kill)
	return &Oracle{Addr: "127.0.0.1:" + port, Dir: dir, PID: command.Process.Pid}, nil
}

// process is a program that runs until it is killed.
type process struct {
	command *exec.Cmd
	drained chan struct{} // closed when its output has ended
}

// startProcess starts a program and waits, reading its output, until it prints a line with the word ready. The rest of
// its output is thrown away.
func startProcess(command *exec.Cmd, ready string) (*process, error) {
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, drained: make(chan struct{})}
	reader := bufio.NewReader(output)
	var said strings.Builder
	for {
		line, err := reader.ReadString('\n')
		said.WriteString(line)
		if strings.Contains(line, ready) {
			break
		}
		if err != nil {
			close(p.drained)
			p.kill()
			return nil, fmt.Errorf("%s ended before it said %q:\n%s", command.Path, ready, said.String())
		}
	}
	go func() {
		defer close(p.drained)
		_, _ = io.Copy(io.Discard, reader) // until it ends, however it ends
	}()
	return p, nil
}

// kill ends the program and waits for its end.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended by itself
	<-p.drained
	_ = p.command.Wait() // "signal: killed"
}
