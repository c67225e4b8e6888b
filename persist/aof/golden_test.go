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
		k := crashCheck{watch: watch{policy: policy, ends: true, calls: &calls}}
		if err := k.run(t); err != nil || k.failed != nil {
			t.Error(err, k.failed)
		}
		compareCalls(t, policy.String(), calls)
	}
}

// compareCalls compares calls with those in testdata/calls-<name>.txt.
func compareCalls(t *testing.T, name string, calls []string) {
	t.Helper()
	got := strings.Join(calls, "\n") + "\n"
	file := filepath.Join("testdata", "calls-"+name+".txt")
	if *rewriteCalls {
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s: calls\n%s", file, got)
	}
}
