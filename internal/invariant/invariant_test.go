package invariant

import (
	"strings"
	"testing"
)

func TestCheckPassesSilently(t *testing.T) {
	Check(true, "never seen")
	if n := testing.AllocsPerRun(100, func() { Check(true, "never seen") }); n != 0 {
		t.Fatalf("a passing check allocates %v times", n)
	}
}

func TestCheckPanicsWithPrefix(t *testing.T) {
	defer func() {
		got, _ := recover().(string)
		if !strings.HasPrefix(got, "BUG: ") || !strings.Contains(got, "arena: double free") {
			t.Fatalf("panic text %q", got)
		}
	}()
	Check(false, "arena: double free")
}
