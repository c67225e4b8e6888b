// Package need says what becomes of a test that needs something which not every machine has: another server, root, a
// file system in memory. By hand such a test skips and says why; where CI=true it fails, so that a proof that has not
// run is never taken for one that passed.
//
// It is for tests alone.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Missing ends a test that can't run here for the reason given.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	missing(t, os.Getenv("CI") == "true", format, args...)
}

func missing(t testing.TB, ci bool, format string, args ...any) {
	t.Helper()
	if ci {
		t.Fatalf("CI=true, and "+format, args...)
		return
	}
	t.Skipf(format, args...)
}

// Program gives the path of a program.
func Program(t testing.TB, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "%s is not on PATH (make test installs it)", name)
	}
	return found
}

// Root ends a test that does something only root may.
func Root(t testing.TB, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "only root may %s", what)
	}
}

// Redis8 gives the path of a redis-server 8, which the environment variable REDIS8_SERVER names: the oracle of what is
// newer than Debian 12's 7.0.
func Redis8(t testing.TB) string {
	t.Helper()
	path := os.Getenv("REDIS8_SERVER")
	if path == "" {
		Missing(t, "REDIS8_SERVER does not name a redis-server 8 (.ci/redis8 builds one)")
	}
	return path
}

// MemoryDir returns a directory of the system's file system in memory, which is removed after the test.
func MemoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fulmen-test-")
	if err != nil {
		Missing(t, "there is no file system in memory: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
