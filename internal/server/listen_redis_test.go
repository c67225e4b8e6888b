package server_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/config"
	"fulmen/internal/redistest"
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
		if _, err := startWith(t, params...); err == nil || !strings.Contains(err.Error(), "not listen anywhere") {
			t.Errorf("%q: started, or: %v", params, err)
		}
	}
}

// TestUnixSocketInTheWay starts a server whose socket has the name of a file, which goes, and of a directory.
func TestUnixSocketInTheWay(t *testing.T) {
	at := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(at, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv, err := startWith(t, "--port", "0", "--unixsocket", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	c, err := redistest.Dial(at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if v, err := c.Do("PING"); err != nil || string(v.Append(nil)) != "+PONG\r\n" {
		t.Errorf("PING: %v, %v", v, err)
	}
	if _, err := startWith(t, "--port", "0", "--unixsocket", t.TempDir()); err == nil {
		t.Error("a socket has replaced a directory")
	}
}

// startWith starts a server with these parameters in a directory of its own.
func startWith(t *testing.T, params ...string) (*server.Server, error) {
	t.Helper()
	dir := t.TempDir()
	cfg, err := config.Load(append(params, "--dir", dir, "--save", ""), config.Env{
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
	return srv, srv.Start()
}
