package replica

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"fulmen/internal/clock"
)

// TestFlowWords: what is said of flows is read as it was written, and nothing else is.
func TestFlowWords(t *testing.T) {
	token := NewHistory().ID
	for _, lz4 := range []bool{false, true} {
		for _, n := range []int{1, 2, MaxFlows} {
			r := FlowRequest{Number: n, LZ4: lz4}
			if got, ok := ParseFlowRequest(r.capa()); !ok || got != r {
				t.Errorf("%q: %v, %t", r.capa(), got, ok)
			}
			o := FlowOffer{Number: n, Token: token, LZ4: lz4}
			line := fmt.Sprintf("+FULLRESYNC %s 7 %s", token, o)
			if a, err := readAnswer(line); err != nil || a.Flows != o || a.Offset != 7 || a.ID != token || !a.Full {
				t.Errorf("%q: %v, %v", line, a, err)
			}
			if got, index, ok := ParseFlowName(FlowName(token, n-1)); !ok || got != token || index != n-1 {
				t.Errorf("flow %d: %q, %d, %t", n-1, got, index, ok)
			}
		}
	}
	for _, capa := range []string{
		"", "eof", "fulmen-flows", "fulmen-flows=", "fulmen-flows=1", "fulmen-flows=1,", "fulmen-flows=1,0",
		"fulmen-flows=1,-1", "fulmen-flows=1,x", "fulmen-flows=2,4", "fulmen-flows=1,4,zstd",
		"fulmen-flows=1,4,lz4,lz4", "fulmen-flows=1,99999999999999999999", "fulmen-flows=1,+4", "fulmen-flows=1,04",
		"fulmen-flows=1, 4", "fulmen-flows=1,4 ", "fulmen-flows=1,0x4", "fulmen-flows=1,1_0",
	} {
		if r, ok := ParseFlowRequest(capa); ok {
			t.Errorf("%q is taken for %v", capa, r)
		}
	}
	if r, ok := ParseFlowRequest("fulmen-flows=1,1000000"); !ok || r.Number != MaxFlows {
		t.Errorf("very many: %v, %t", r, ok)
	}
	for _, word := range []string{
		"", "fulmen-flows=1,2", "fulmen-flows=1,2," + token[1:], "fulmen-flows=1,0," + token,
		"fulmen-flows=1,65," + token, "fulmen-flows=1,2," + strings.ToUpper(token[:39]) + "X",
		"fulmen-flows=2,2," + token, "fulmen-flows=1,2," + token + ",zstd", "fulmen-flows=1,2," + token + " more",
		"fulmen-flows=1,+2," + token, "fulmen-flows=1,02," + token, "fulmen-flows=1,-2," + token,
	} {
		if a, err := readAnswer(fmt.Sprintf("+FULLRESYNC %s 7 %s", token, word)); err == nil && word != "" {
			t.Errorf("%q is taken for %v", word, a.Flows)
		}
	}
	for _, offset := range []string{"+7", "07", "-7", "", "7.0", "0x7", "99999999999999999999"} {
		if a, err := readAnswer(fmt.Sprintf("+FULLRESYNC %s %s", token, offset)); err == nil {
			t.Errorf("offset %q is taken for %d", offset, a.Offset)
		}
	}
	for _, name := range []string{
		"", token, token + ":", token + ":+1", token + ":01", token + ":00", token + ":-1", token + ":-0",
		token + ": 1", token + ":1 ", token + ":64", token + ":0x1", token + ":1:1", token + ":99999999999999999999",
	} {
		if _, index, ok := ParseFlowName(name); ok {
			t.Errorf("%q is taken for flow %d", name, index)
		}
	}
	for _, line := range []string{"$+5", "$05", "$-5", "$ 5", "$", "$5x"} {
		l := lineLink(t, line+"\r\n")
		if transfer, err := l.Expect(); err == nil {
			t.Errorf("%q is taken for %d bytes", line, transfer.SizeBytes)
		}
	}
}

// lineLink is a link to a primary that says something and nothing else.
func lineLink(t *testing.T, text string) *Link {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	go func() { _, _ = theirs.Write([]byte(text)) }()
	return &Link{o: LinkOptions{TimeoutMs: 60_000, Clock: clock.New()}, conn: ours}
}
