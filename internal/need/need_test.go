package need

import (
	"fmt"
	"strings"
	"testing"
)

// noteTB notes how a test is ended.
type noteTB struct {
	testing.TB
	note string
}

func (n *noteTB) Fatalf(format string, args ...any) {
	n.note = "fatal: " + fmt.Sprintf(format, args...)
}
func (n *noteTB) Skipf(format string, args ...any) { n.note = "skip: " + fmt.Sprintf(format, args...) }

func TestMissing(t *testing.T) {
	for ci, want := range map[bool]string{false: "skip: no disk", true: "fatal: CI=true, and no disk"} {
		n := &noteTB{TB: t}
		if missing(n, ci, "no %s", "disk"); !strings.HasPrefix(n.note, want) {
			t.Errorf("CI=%v: %s", ci, n.note)
		}
	}
}
