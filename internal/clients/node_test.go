//go:build !race

package clients

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/need"
)

// installed is where .ci/npm has installed what the programs in node/ import.
const installed = "../../bin/clients"

// TestNode runs each program of node/ against a server of its own.
func TestNode(t *testing.T) {
	t.Parallel()
	node := need.Program(t, "node")
	modules := nodeModules(t)
	programs, err := filepath.Glob("node/*.mjs")
	if err != nil || len(programs) < 2 {
		t.Fatal(programs, err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, path := range programs {
		name := filepath.Base(path)
		if name == "harness.mjs" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runNode(t, node, filepath.Join(dir, name))
		})
	}
}

// nodeModules gives the folder with the libraries, if they are of the versions that are wanted.
func nodeModules(t *testing.T) string {
	t.Helper()
	want, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(installed, "package-lock.json"))
	if err != nil || !bytes.Equal(got, want) {
		need.Missing(t, "the libraries of node/package-lock.json are not in bin/clients (make test installs them)")
	}
	modules, err := filepath.Abs(filepath.Join(installed, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

// runNode runs a program of node/ and does to the server what it asks for.
func runNode(t *testing.T, node, script string) {
	p := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Env = append(os.Environ(), fmt.Sprint("FULMEN_PORT=", p.port))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, stdout := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, passed := bufio.NewScanner(stdout), false
	for lines.Scan() {
		switch line := lines.Text(); line {
		case "@kill", "@restart":
			p.restart(map[string]syscall.Signal{"@kill": syscall.SIGKILL, "@restart": syscall.SIGTERM}[line])
			if _, err := fmt.Fprintln(stdin, "done"); err != nil && !errors.Is(err, syscall.EPIPE) {
				t.Error(err)
			}
		default:
			passed = strings.HasSuffix(line, " passed")
			t.Log(line)
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil || !passed {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}
