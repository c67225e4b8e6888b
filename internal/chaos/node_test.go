package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// program is built unless -server names one.
var program need.Server

// serverBinary is the program to test: the one that -server names, or one built from this tree.
func serverBinary(t testing.TB) string {
	t.Helper()
	if *flagServer != "" {
		return *flagServer
	}
	return program.Path(t)
}

// TestMain removes the program that was built.
func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

// kind is what a server is.
type kind string

const (
	ours  kind = "fulmen"
	redis kind = "redis"
)

// spec is what a server is started as.
type spec struct {
	kind      kind
	shards    int // of ours
	logs      bool
	saves     bool // at its end
	diskless  bool
	loads     string // repl-diskless-load
	backlogMB int
	fsync     string // appendfsync, if not the default
	flows     int    // repl-flows, of ours
	packed    bool   // with lz4
}

func drawSpec(rnd *rand.Rand, k kind) spec {
	s := spec{
		kind: k, shards: []int{1, 2, 8}[rnd.IntN(3)], logs: rnd.IntN(3) > 0, saves: rnd.IntN(2) == 0,
		diskless: rnd.IntN(2) == 0, loads: []string{"disabled", "swapdb"}[rnd.IntN(2)],
		backlogMB: []int{1, 64}[rnd.IntN(2)],
	}
	if k == ours {
		s.flows, s.packed = []int{-1, 0, 1, 3}[rnd.IntN(4)], rnd.IntN(2) == 0
	}
	return s
}

// takesFlows tells whether the server, a replica, gets everything anew by several connections from one that is like
// above.
func (s spec) takesFlows(above spec) bool {
	return s.kind == ours && s.loads == "swapdb" && s.flows != 0 &&
		above.kind == ours && above.diskless && above.flows != 0
}

// String gives the spec in short.
func (s spec) String() string {
	text := string(s.kind)
	if s.kind == ours {
		text += fmt.Sprintf("/%d flows=%d", s.shards, s.flows)
	}
	for word, has := range map[string]bool{
		"+aof": s.logs, "+save": s.saves, "+diskless": s.diskless, "+lz4": s.packed,
	} {
		if has {
			text += word
		}
	}
	return fmt.Sprintf("%s load=%s backlog=%dmb", text, s.loads, s.backlogMB)
}

// timeoutSeconds is the servers' repl-timeout.
const timeoutSeconds = 5

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (s spec) args() []string {
	save := ""
	if s.saves {
		save = "3600 1"
	}
	args := []string{
		"--appendonly", yesNo(s.logs), "--save", save, "--repl-diskless-sync", yesNo(s.diskless),
		"--repl-diskless-sync-delay", "0", "--repl-backlog-size", strconv.Itoa(s.backlogMB) + "mb",
		"--repl-timeout", strconv.Itoa(timeoutSeconds), "--repl-ping-replica-period", "1",
		"--enable-debug-command", "yes", "--repl-diskless-load", s.loads,
	}
	if s.kind == ours {
		args = append(args, "--shards", strconv.Itoa(s.shards), "--aof-history-retain-bytes", "256mb",
			"--repl-flows", strconv.Itoa(s.flows))
		if s.packed {
			args = append(args, "--repl-compression", "lz4")
		}
	}
	if s.fsync != "" {
		args = append(args, "--appendfsync", s.fsync)
	}
	return args
}

// node is a server of a round, which may be running or not.
type node struct {
	r     *round
	name  string
	spec  spec
	addr  string
	port  string
	dir   string
	proxy *proxy // before it

	follows *node // nil: it is a primary
	cmd     *exec.Cmd
	done    chan error      // the process's end
	ctl     *redistest.Conn // of the round's goroutine
}

func newNode(r *round, name string, s spec) *node {
	port := need.Port(r.t)
	n := &node{r: r, name: name, spec: s, port: port, addr: "127.0.0.1:" + port, dir: r.t.TempDir()}
	n.proxy = startProxy(r.t, n.addr)
	return n
}

func (n *node) logPath() string { return filepath.Join(n.dir, "log") }

// start starts the process and waits until it answers.
func (n *node) start() {
	n.r.t.Helper()
	binary, args := "redis-server", []string(nil)
	if n.spec.kind == ours {
		binary, args = serverBinary(n.r.t), []string{"--aof-ring-dir", n.r.ringDir}
	} else {
		binary = need.Program(n.r.t, binary)
	}
	args = append(args, "--port", n.port, "--bind", "127.0.0.1", "--dir", n.dir)
	args = append(args, n.spec.args()...)
	if n.follows != nil {
		args = append(args, "--replicaof", "127.0.0.1 "+strconv.Itoa(n.follows.proxy.port))
	}
	log, err := os.OpenFile(n.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		n.r.t.Fatal(err)
	}
	defer log.Close()
	n.cmd = exec.Command(binary, args...)
	n.cmd.Dir, n.cmd.Stdout, n.cmd.Stderr = n.dir, log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		n.r.t.Fatal(err)
	}
	cmd, done := n.cmd, make(chan error, 1)
	n.done = done
	go func() { done <- cmd.Wait() }()
	n.r.noteProcess(n, cmd.Process)
	n.r.eventually(n.name+" answers", func() bool {
		select {
		case err := <-n.done:
			n.done <- err
			n.r.fatalf("%s has ended: %v", n.name, err)
		default:
		}
		return n.connect()
	})
}

// connect connects to the server and tells whether it answers.
func (n *node) connect() bool {
	conn, err := redistest.Dial(n.addr)
	if err != nil {
		return false
	}
	if v, err := conn.Do("PING"); err != nil || v.Err() != nil {
		_ = conn.Close() // it is not ready
		return false
	}
	n.ctl = conn
	return true
}

// signal sends the process a signal and waits until it has ended.
func (n *node) signal(sig syscall.Signal) {
	n.r.t.Helper()
	var children []int
	if sig == syscall.SIGKILL {
		children = n.children()
	}
	if err := n.cmd.Process.Signal(sig); err != nil {
		n.r.fatalf("%s: %v", n.name, err)
	}
	n.endAll(children)
	n.r.eventually(n.name+" ends by "+sig.String(), func() bool {
		select {
		case err := <-n.done:
			n.done <- err
			return true
		case <-time.After(time.Second):
		}
		// redis-server forgets what it was asked for while it writes its first append-only file.
		if err := n.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			n.r.fatalf("%s: %v", n.name, err)
		}
		return false
	})
	_ = n.ctl.Close() // it was closed by the server
}

// end ends the process for good.
func (n *node) end() {
	if n.cmd == nil {
		return
	}
	children := n.children()
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.r.t.Error(err)
	}
	<-n.done
	n.endAll(children)
}

// children are the processes that redis-server has forked, which saves and rewrites files. They outlive it, and go on
// writing where the next one, or nobody, expects anything. The server stands still from now on, so that there are no
// more.
func (n *node) children() (pids []int) {
	if n.spec.kind != redis {
		return nil
	}
	pid := n.cmd.Process.Pid
	if err := n.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return nil // it has ended
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		n.r.t.Error(err)
	}
	for _, word := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			n.r.t.Error(err)
		}
		pids = append(pids, child)
	}
	return pids
}

// endAll kills processes that are not this one's children, and waits until they have ended.
func (n *node) endAll(pids []int) {
	for _, pid := range pids {
		for end := time.Now().Add(patience); alive(pid); time.Sleep(time.Millisecond) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			if time.Now().After(end) {
				n.r.t.Errorf("%s: process %d does not end", n.name, pid)
				break
			}
		}
	}
}

// alive tells whether a process has not ended. Who has nobody to ask how it ended stays as a zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, fields, _ := strings.Cut(string(stat), ") ") // behind the name
	return err == nil && !strings.HasPrefix(fields, "Z")
}

// do sends a command, and gives its reply as text.
func (n *node) do(args ...string) string {
	n.r.t.Helper()
	v, err := n.ctl.Do(args...)
	if err != nil {
		n.r.fatalf("%s: %v", n.name, err)
	}
	return text(v)
}

// text is a reply as text.
func text(v resp.Value) string {
	switch {
	case v.Null:
		return "nil"
	case v.Kind == resp.KindInt:
		return strconv.FormatInt(v.Int, 10)
	case v.Err() != nil:
		return "-" + v.Err().Error()
	case v.Kind == resp.KindArray:
		var all []string
		for _, elem := range v.Elems {
			all = append(all, text(elem))
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	return string(v.Str)
}

// must is do for what has to reply OK.
func (n *node) must(args ...string) {
	n.r.t.Helper()
	if got := n.do(args...); got != "OK" {
		n.r.fatalf("%s: %q: %s", n.name, args, got)
	}
}

// info gives the fields of a section of INFO.
func (n *node) info(section string) map[string]string {
	n.r.t.Helper()
	fields := map[string]string{}
	for line := range strings.Lines(n.do("INFO", section)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// follow makes the server a replica of another one, through that one's proxy, or with nil a primary.
func (n *node) follow(other *node) {
	n.r.t.Helper()
	n.follows = other
	if other == nil {
		n.must("REPLICAOF", "NO", "ONE")
		return
	}
	n.must("REPLICAOF", "127.0.0.1", strconv.Itoa(other.proxy.port))
}

// linked tells whether a replica's link is up.
func (n *node) linked() bool {
	n.r.t.Helper()
	fields := n.info("replication")
	return fields["role"] == "slave" && fields["master_link_status"] == "up" && fields["master_sync_in_progress"] == "0"
}

// lastLog is the end of the server's log.
func (n *node) lastLog() string {
	const most = 12 << 10
	data, err := os.ReadFile(n.logPath())
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-most):])
}

// lastRefusal is what the server's log says of the last partial resynchronization.
func (n *node) lastRefusal() (last string) {
	for line := range strings.Lines(n.lastLog()) {
		if strings.Contains(line, "artial resync") {
			last = strings.TrimSpace(line)
		}
	}
	return last
}
