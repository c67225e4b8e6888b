package redistest

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestOracleEndsWithItsTest(t *testing.T) {
	pid := 0
	t.Run("inner", func(t *testing.T) {
		oracle := StartOracle(t, "--maxmemory", "12345678")
		pid = oracle.PID
		conn, err := Dial(oracle.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		v, err := conn.Do("CONFIG", "GET", "maxmemory")
		if err != nil || len(v.Elems) != 2 || string(v.Elems[1].Str) != "12345678" {
			t.Errorf("CONFIG GET maxmemory: %v, %v", v, err)
		}
	})
	if pid == 0 {
		t.Skip("no oracle")
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d still runs (%v)", pid, err)
	}
}

func TestOracleThatCannotStart(t *testing.T) {
	binary := Lookup(t, "redis-server")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--port", port}, "Address already in use"}, // what StartOracle looks for
		{[]string{"--nonsense", "1"}, "nonsense"},
	} {
		oracle, err := startOracle(t, binary, test.args)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, %v", test.args, oracle, err)
		}
	}
}

// noteTB notes how a test is ended.
type noteTB struct {
	testing.TB
	note string
}

func (n *noteTB) Fatalf(format string, args ...any) {
	n.note = "fatal: " + fmt.Sprintf(format, args...)
}
func (n *noteTB) Skipf(format string, args ...any) { n.note = "skip: " + fmt.Sprintf(format, args...) }

func TestMissingOracle(t *testing.T) {
	for ci, want := range map[bool]string{false: "skip: redis-server", true: "fatal: redistest: redis-server"} {
		n := &noteTB{TB: t}
		if missing(n, "redis-server", ci); !strings.HasPrefix(n.note, want) {
			t.Errorf("CI=%v: %s", ci, n.note)
		}
	}
}
