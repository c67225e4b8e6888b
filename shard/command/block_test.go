package command

import (
	"math"
	"testing"

	"fulmen/internal/resp"
	"fulmen/shard/object"
)

func TestTimeouts(t *testing.T) {
	const now = 1_000_000
	for _, test := range []struct {
		text  string
		until int64
		err   error
	}{
		{"0", 0, nil},
		{"-0", 0, nil},
		{"-0.0001", 0, nil}, // -0.1 ms, rounded up
		{"1", now + 1000, nil},
		{"0.0001", now + 1, nil},
		{"1e-400", now + 1, nil},
		{"0.1234", now + 124, nil},
		{"0x10", now + 16000, nil},
		{"9223372036854775", math.MaxInt64, nil},
		{"1e400", 0, resp.ErrTimeoutNegative},
		{"1e30", 0, resp.ErrTimeoutNegative},
		{"inf", 0, resp.ErrTimeoutNegative},
		{"-inf", 0, resp.ErrTimeoutNegative},
		{"-1", 0, resp.ErrTimeoutNegative},
		{"nan", 0, resp.ErrTimeoutNotFloat},
		{"1e5000", 0, resp.ErrTimeoutNotFloat},
		{"", 0, resp.ErrTimeoutNotFloat},
		{"1 ", 0, resp.ErrTimeoutNotFloat},
		{"x", 0, resp.ErrTimeoutNotFloat},
	} {
		c := Ctx{NowMs: now, Args: [][]byte{nil, []byte(test.text)}}
		until, err := c.timeout(1)
		if until != test.until || err != test.err {
			t.Errorf("timeout %q: %d, %v, want %d, %v", test.text, until, err, test.until, test.err)
		}
	}
}

// TestBlockingRows: the commands that wait, and no others, are flagged as blocking.
func TestBlockingRows(t *testing.T) {
	n := 0
	for _, r := range Rows() {
		if waits := r.WaitsFor != object.String; waits != (r.Flags&Blocking != 0) {
			t.Errorf("%s waits: %v", r.Name, waits)
		} else if waits {
			n++
		}
	}
	if n != 10 {
		t.Errorf("%d commands wait, want 10", n)
	}
}
