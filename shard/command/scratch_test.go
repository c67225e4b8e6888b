package command

import (
	"strconv"
	"strings"
	"testing"
)

// TestScratchIsLetGo: what a call needs much memory for is not kept for the next ones.
func TestScratchIsLetGo(t *testing.T) {
	h := newHarness(t, 1)
	h.follow() // so that there are effects
	big := strings.Repeat("x", 2*keptScratch)
	positions := []string{"GEOADD", "geo"}
	members := []string{"RPUSH", "many"}
	for i := range 20_000 {
		positions = append(positions, "1", "2", strconv.Itoa(i))
		members = append(members, "a")
	}
	h.do("RPUSH", "list", big)
	h.do("SADD", "set", big, "a", "b")
	h.do("HSET", "hash", big, "1")
	h.do("SET", "string", big)
	h.do(members...)
	for _, args := range [][]string{
		positions, {"LMOVE", "list", "other", "LEFT", "RIGHT"}, {"LPOS", "many", "a", "COUNT", "0"},
		{"HSCAN", "hash", "0", "MATCH", "x*"}, {"DUMP", "string"}, {"SPOP", "set"}, {"SPOP", "set"}, {"SPOP", "set"},
		{"BITOP", "NOT", "d", "string"},
	} {
		h.ctx.scratch = nil
		h.do(args...)
		if n := cap(h.ctx.scratch); n > keptScratch {
			t.Errorf("%s keeps %d bytes", args[0], n)
		}
	}
	if n := cap(h.ctx.search.words); n > keptFound {
		t.Errorf("GEOADD keeps room for %d words", n)
	}
}
