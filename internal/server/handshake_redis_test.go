package server

import (
	"bufio"
	"fmt"
	"io"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// saidTo returns what a server replies to a command on a connection of its own, up to the reply to the ECHO behind it.
func saidTo(t *testing.T, addr string, args ...string) (all string) {
	t.Helper()
	nc := connect(t, addr)
	defer nc.Close()
	out := resp.AppendCommandStrings(nil, args...)
	if _, err := nc.Write(resp.AppendCommandStrings(out, "ECHO", "behind")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF || line == "behind\r\n" {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all += line
	}
}

// TestNumbersOfHandshakes: what replicas, and those who make them some, write in place of a number is refused where
// redis-server refuses it, and not answered where that does not answer.
func TestNumbersOfHandshakes(t *testing.T) {
	right := redistest.StartOracle(t).Addr
	ours := startServer(t).Addr()
	for _, n := range []string{
		"+1", "01", "1 ", " 1", "1\n", "-0", "", "x", "0x1", "1e1", "1_0", "9223372036854775808",
		"-9223372036854775809", "99999999999999999999999",
	} {
		for _, cmd := range [][]string{
			{"REPLCONF", "listening-port", n}, {"REPLCONF", "rdb-only", n}, {"REPLCONF", "ack", n}, {"PSYNC", "?", n},
			{"REPLCONF", "ack", n, "listening-port", n}, {"REPLCONF", "listening-port", n, "ack", "1"},
			{"REPLCONF", "capa", n}, {"REPLICAOF", "127.0.0.1", n}, {"SLAVEOF", "no", n}, {"FAILOVER", "TIMEOUT", n},
			{"FAILOVER", "TO", "127.0.0.1", n}, {"PSYNC", fakeID, n}, {"PSYNC", "?", n, "FAILOVER"},
		} {
			if want, got := saidTo(t, right, cmd...), saidTo(t, ours, cmd...); got != want {
				t.Errorf("%q: %q, redis-server says %q", cmd, got, want)
			}
		}
	}
	for _, n := range []int64{-1, 0, 1, 65535, 65536, 1 << 40} {
		for _, cmd := range [][]string{{"REPLCONF", "listening-port"}, {"REPLCONF", "rdb-only"}, {"REPLCONF", "ack"}} {
			cmd := append(cmd, fmt.Sprint(n))
			if want, got := saidTo(t, right, cmd...), saidTo(t, ours, cmd...); got != want {
				t.Errorf("%q: %q, redis-server says %q", cmd, got, want)
			}
		}
	}
}
