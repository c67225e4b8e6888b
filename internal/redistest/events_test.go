package redistest

import (
	"strings"
	"testing"
	"time"
)

func TestDiffEventsOfEqualServers(t *testing.T) {
	// What SORT looks up for the members of a set is in no order.
	DiffEvents(t, Redis(), Redis(), Everything().Without("sort", "sort_ro"), "KEAnm")
}

// TestDiffEventsNotices plants a server that does some commands in another way, of which only events tell.
func TestDiffEventsNotices(t *testing.T) {
	right, tested := Redis(), wrongServer(func(args []string) []string {
		if strings.EqualFold(args[0], "sinterstore") && len(args) == 3 {
			return []string{"sunionstore", args[1], args[2]}
		}
		return args
	})
	d := &differ{
		right: right.startDebugged(t), tested: tested.startDebugged(t), tolerances: Sets().tolerances(), events: "KEA",
	}
	steps := newStream(Sets(), 3, selfCommands, time.Now().Unix())
	found, err := d.play(steps)
	if err != nil || found == nil {
		t.Fatalf("not noticed: %v", err)
	}
	short := d.shrink(steps, found)
	if text := short.text("redis", "wrong"); len(short.steps) > 2 || !strings.Contains(text, "sunionstore") {
		t.Errorf("shrunk to\n%s", text)
	}
}
