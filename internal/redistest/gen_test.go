package redistest

import (
	"strings"
	"testing"
)

// TestSpoiltScansGetNoCursor: however its name is written, no scan gets a cursor that is none of its server's.
func TestSpoiltScansGetNoCursor(t *testing.T) {
	scans := 0
	for _, args := range Stream(Sets(), 1, 200_000, 1_700_000_000) {
		if !strings.EqualFold(args[0], "sscan") || len(args) < 3 {
			continue
		}
		scans++
		if cursor := args[2]; cursor == "-1" || cursor == "9223372036854775808" {
			t.Errorf("%q", args)
		}
	}
	if scans < 1000 {
		t.Errorf("only %d scans", scans)
	}
}
