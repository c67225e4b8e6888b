package replica

import (
	"strings"
	"testing"
)

func TestHistoryShift(t *testing.T) {
	first := NewHistory()
	if len(first.ID) != IDDigits || first.ID2 != NoID || first.SecondOffset != NoSecond {
		t.Fatalf("%+v", first)
	}
	second := first.Shift(100)
	if second.ID == first.ID || second.ID2 != first.ID || second.SecondOffset != 101 {
		t.Fatalf("%+v after %+v", second, first)
	}
	if third := second.Shift(200); third.ID2 != second.ID || third.SecondOffset != 201 {
		t.Fatalf("%+v after %+v", third, second)
	}
}

// TestHistoryHas: 100 bytes are common, so the byte numbered 101 is the last that the old history may ask for: it has
// all before it, and none of its own.
func TestHistoryHas(t *testing.T) {
	first := NewHistory()
	second := first.Shift(100)
	for _, c := range []struct {
		h      History
		id     string
		offset int64
		want   bool
	}{
		{first, first.ID, 1, true},
		{first, strings.ToUpper(first.ID), 1 << 60, true},
		{first, second.ID, 1, false},
		{first, NoID, 1, false},
		{first, NoID, -1, false},
		{second, second.ID, 1, true},
		{second, first.ID, 1, true},
		{second, first.ID, 101, true},
		{second, first.ID, 102, false},
		{second, NoID, 1, false},
		{second, "?", -1, false},
	} {
		if got := c.h.Has(c.id, c.offset); got != c.want {
			t.Errorf("%+v.Has(%s, %d) = %v", c.h, c.id, c.offset, got)
		}
	}
}
