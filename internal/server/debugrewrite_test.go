package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/config"
	"fulmen/internal/need"
	"fulmen/persist/vfs"
)

// TestDebugRewriteAll: DEBUG CONFIG-REWRITE-FORCE-ALL writes parameters that are at their defaults, too, and fails
// where there is no file.
func TestDebugRewriteAll(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.conf")
	const mine = "# mine\nsave \"\"\nenable-debug-command yes\n"
	if err := os.WriteFile(name, []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load([]string{name, "--port", need.Port(t), "--bind", "127.0.0.1", "--dir", dir},
		config.Env{Version: Version, Cwd: dir, CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	srv, err := New(Options{Config: cfg, Files: vfs.OS{}, Log: NewLogger(t.Output(), level), Level: level})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	c := dial(t, srv.Addr())
	if got := c.do("DEBUG", "CONFIG-REWRITE-FORCE-ALL"); got != "OK" {
		t.Fatal(got)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), mine) || !strings.Contains(string(text), "\ntcp-backlog 511\n") {
		t.Errorf("the file is\n%s", text)
	}
	bare := dial(t, startServer(t, "--enable-debug-command", "yes").Addr())
	const failed = "-ERR CONFIG-REWRITE-FORCE-ALL failed: "
	if got := bare.do("DEBUG", "CONFIG-REWRITE-FORCE-ALL"); !strings.HasPrefix(got, failed) {
		t.Error(got)
	}
}
