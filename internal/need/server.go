package need

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Server is fulmen-server, built from this tree once for all tests of a process. The zero value is ready.
type Server struct {
	once sync.Once
	dir  string
	err  error
}

// Path gives the path of the program. Remove is to be called when all tests are over.
func (s *Server) Path(t testing.TB) string {
	t.Helper()
	s.once.Do(func() {
		if s.dir, s.err = os.MkdirTemp("", "fulmen"); s.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", s.path(), "fulmen/cmd/fulmen-server")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does, so that most of it is built already
		if out, err := build.CombinedOutput(); err != nil {
			s.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.path()
}

func (s *Server) path() string { return filepath.Join(s.dir, "fulmen-server") }

// Remove removes what was built, if anything was.
func (s *Server) Remove() {
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // a leftover in the temporary directory is no failure
	}
}
