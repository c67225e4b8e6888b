package command

import (
	"math"
	"testing"

	"fulmen/internal/resp"
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

func TestBlockingRowsComeWithTheirForms(t *testing.T) {
	if rows := blockingRows(stringRows()); len(rows) != 0 {
		t.Errorf("rows that wait without the rows they are forms of: %d", len(rows))
	}
	forms := []*Row{}
	for _, name := range []string{"lpop", "rpop", "lmpop", "lmove", "rpoplpush", "zpopmin", "zpopmax", "zmpop"} {
		forms = append(forms, &Row{Info: Info{Name: name}})
	}
	rows := blockingRows(forms)
	if len(rows) != 8 {
		t.Errorf("%d rows that wait, want 8", len(rows))
	}
	for _, r := range rows {
		if !r.Waits() || r.Flags&Blocking == 0 {
			t.Errorf("%s does not wait", r.Name)
		}
	}
}
