package replica

import (
	"fmt"
	"strings"
	"testing"
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
		"fulmen-flows=1,4,lz4,lz4", "fulmen-flows=1,99999999999999999999",
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
	} {
		if a, err := readAnswer(fmt.Sprintf("+FULLRESYNC %s 7 %s", token, word)); err == nil && word != "" {
			t.Errorf("%q is taken for %v", word, a.Flows)
		}
	}
}
