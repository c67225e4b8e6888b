package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/need"
)

// program is the program that the tests start.
var program need.Server

// process is a server in a process of its own.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	addr string
	log  *logBuffer
	done chan error // its end
}

// startProcess starts the program with these parameters and waits until it accepts connections. It is killed when
// the test ends, unless it has ended before.
func startProcess(t testing.TB, args ...string) *process {
	t.Helper()
	port := need.Port(t)
	p := &process{t: t, addr: "127.0.0.1:" + port, log: &logBuffer{}, done: make(chan error, 1)}
	p.cmd = exec.Command(program.Path(t), slices.Concat(unhurried(), []string{
		"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--shards", "8",
		"--aof-ring-dir", ringDir(t), // what a killed server leaves there goes with the test
	}, args)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if err := p.cmd.Process.Kill(); err == nil {
			<-p.done
		} else if !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if t.Failed() {
			t.Log("the server's log:\n" + p.log.String())
		}
	})
	ready := false
	eventually(t, "the server is ready", func() bool {
		select {
		case err := <-p.done:
			p.done <- err
			return true
		default:
		}
		ready = strings.Contains(p.log.String(), "Ready to accept connections tcp")
		return ready
	})
	if !ready {
		t.Fatal("the server did not start:\n" + p.log.String())
	}
	return p
}

// stop asks the server to stop and waits until it has.
func (p *process) stop() error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(patience):
		return errors.New("the server does not stop")
	}
}

// cpuTime is what the process has used of the processor, in steps of 10 ms.
func (p *process) cpuTime() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, fields, _ := bytes.Cut(stat, []byte(") ")) // the name before it may have spaces
	words := bytes.Fields(fields)
	if len(words) < 13 {
		p.t.Fatalf("%q", stat)
	}
	var ticks time.Duration
	for _, word := range words[11:13] { // utime and stime, the 14th and 15th field
		n, err := strconv.Atoi(string(word))
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// memory returns the process's resident bytes and the most that they ever were.
func (p *process) memory() (rss, peak int) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		words := bytes.Fields(line)
		if len(words) < 2 {
			continue
		}
		kb, err := strconv.Atoi(string(words[1]))
		switch string(words[0]) {
		case "VmRSS:":
			rss = kb << 10
		case "VmHWM:":
			peak = kb << 10
		default:
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return rss, peak
}

// files is the number of descriptors that the process has open.
func (p *process) files() int {
	p.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(list)
}
