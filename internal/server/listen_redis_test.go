package server_test

import (
	"log/slog"
	"strings"
	"testing"

	"fulmen/internal/config"
	"fulmen/internal/server"
	"fulmen/persist/vfs"
)

// TestNowhereToListen takes all addresses away, which closes the port and spares what is connected, and starts a server
// that has none at all.
func TestNowhereToListen(t *testing.T) {
	b := dialBoth(t)
	for _, args := range [][]string{
		{"CONFIG", "SET", "bind", "127.0.0.1"}, {"CONFIG", "SET", "bind", ""}, {"CONFIG", "GET", "bind"},
		{"CONFIG", "SET", "bind", "", "maxmemory", "100mb"}, {"CONFIG", "SET", "bind", "127.0.0.1"},
		{"CONFIG", "GET", "bind"},
	} {
		right, ours := b.do(args...)
		if got, want := ours.String(), right.String(); got != want {
			t.Errorf("%q: got %s, want %s", args, got, want)
		}
	}
	for _, params := range [][]string{{"--port", "0"}, {"--bind", ""}} {
		dir := t.TempDir()
		cfg, err := config.Load(append(params, "--dir", dir), config.Env{
			Version: server.Version, Cwd: dir, CPUs: 2, Files: vfs.OS{},
		})
		if err != nil {
			t.Fatal(err)
		}
		level := &slog.LevelVar{}
		srv, err := server.New(server.Options{
			Config: cfg, Files: vfs.OS{}, Log: server.NewLogger(t.Output(), level), Level: level,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Start(); err == nil || !strings.Contains(err.Error(), "not listen anywhere") {
			t.Errorf("%q: started, or: %v", params, err)
		}
	}
}
