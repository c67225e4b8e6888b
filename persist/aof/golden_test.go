package aof

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewriteCalls = flag.Bool("rewrite-calls", false, "write testdata/calls-*.txt anew")

// TestCalls compares the calls of the file system that change something, in the life that crash tests run through, with
// those in testdata, in order.
func TestCalls(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec, No} {
		var calls []string
		k := crashCheck{policy: policy, ends: true, calls: &calls}
		if err := k.run(t); err != nil || k.failed != nil {
			t.Error(err, k.failed)
		}
		got := strings.Join(calls, "\n") + "\n"
		name := filepath.Join("testdata", "calls-"+policy.String()+".txt")
		if *rewriteCalls {
			must(t, os.MkdirAll("testdata", 0o755))
			must(t, os.WriteFile(name, []byte(got), 0o644))
		}
		want, err := os.ReadFile(name)
		must(t, err)
		if got != string(want) {
			t.Errorf("%s: calls\n%s", name, got)
		}
	}
}
