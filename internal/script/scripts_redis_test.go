package script

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

var programs = flag.Int("programs", 2000, "how many random programs are compared with redis-server")

// oracle runs scripts on a redis-server.
type oracle struct {
	t    testing.TB
	conn *redistest.Conn
}

func startOracle(t testing.TB) *oracle {
	return &oracle{t, dialOracle(t)}
}

// eval runs a script with the keys and arguments of testKeys and testArgs and returns its reply as it was sent.
func (o *oracle) eval(source string) string {
	o.t.Helper()
	args := append([]string{"EVAL", source, fmt.Sprint(len(testKeys))}, testKeys...)
	v, err := o.conn.Do(append(args, testArgs...)...)
	if err != nil {
		o.t.Fatalf("redis-server on %q: %v", source, err)
	}
	return string(v.Append(nil))
}

var (
	testKeys = []string{"k1", "k2"}
	testArgs = []string{"a1", "a2"}
)

func TestScriptsAgainstRedis(t *testing.T) {
	text, err := os.ReadFile("testdata/scripts.txt")
	if err != nil {
		t.Fatal(err)
	}
	redis := startOracle(t)
	r := NewEngine(noRows, Limits{}).NewRunner(newFakeHost())
	n := 0
	for _, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		n++
		source := strings.ReplaceAll(line, `\N`, "\n")
		if got, want := eval(t, r, source, testKeys, testArgs), redis.eval(source); got != want {
			t.Errorf("%s\nredis: %q\nours:  %q", line, want, got)
		}
	}
	if n < 500 {
		t.Errorf("only %d scripts", n)
	}
}
