package redistest

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"fulmen/internal/need"
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
	binary := need.Program(t, "redis-server")
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
		{[]string{"--port", port}, "Address already in use"},
		{[]string{"--nonsense", "1"}, "nonsense"},
	} {
		oracle, err := startOracle(t, binary, test.args)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, %v", test.args, oracle, err)
		}
	}
}
