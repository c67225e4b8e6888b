package command

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"fulmen/shard/ds/hll"
)

// TestPFCountOnAReplica: who looks at a replica's data leaves it as it is, and still has the estimate; what the primary
// or a log says to count is noted.
func TestPFCountOnAReplica(t *testing.T) {
	h := newHarness(t, 1)
	h.do("PFADD", "k", "a", "b")
	before := h.do("GET", "k")
	next := h.follow()
	h.set.Freeze(math.MaxInt64)
	h.expect("2", "PFCOUNT", "k")
	if after := h.do("GET", "k"); !bytes.Equal(after.Str, before.Str) {
		t.Errorf("%q has become %q", before.Str, after.Str)
	}
	if records := next(); len(records) != 0 {
		t.Errorf("logged: %q", records)
	}
	h.now.SetMs(0) // as for a primary's stream
	h.expect("2", "PFCOUNT", "k")
	if after := h.do("GET", "k"); bytes.Equal(after.Str, before.Str) {
		t.Error("the estimate is not noted")
	}
}

// TestUnsoundHLLStaysAsItIs: a PFADD that fails has changed nothing, whichever of its elements it failed for.
func TestUnsoundHLLStaysAsItIs(t *testing.T) {
	h := newHarness(t, 1)
	value := string(hll.AppendEmpty(nil)[:hll.HeaderBytes]) + "\x60\x00" // one half of the registers
	h.do("SET", "k", value)
	var words []string
	for i := range 20 {
		words = append(words, strings.Repeat("e", i))
	}
	h.expect("INVALIDOBJ Corrupted HLL object detected", append([]string{"PFADD", "k"}, words...)...)
	h.expect(value, "GET", "k")
	h.expect("0", "PFADD", "k")
	for _, command := range []string{"PFCOUNT", "PFMERGE"} {
		h.expect("INVALIDOBJ Corrupted HLL object detected", command, "k", "other")
	}
	h.expect("INVALIDOBJ Corrupted HLL object detected", "PFDEBUG", "TODENSE", "k")
	h.expect(value, "GET", "k")

	h.do("SET", "k", string(hll.AppendEmpty(nil)[:hll.HeaderBytes])+strings.Repeat("\x80", hll.MaxSparseBytes))
	for _, c := range [][]string{{"PFADD", "k", "a"}, {"PFMERGE", "k"}, {"PFMERGE", "x", "k"}, {"PFCOUNT", "k", "x"},
		{"PFDEBUG", "DECODE", "k"}, {"PFDEBUG", "GETREG", "k"}} {
		h.expect("INVALIDOBJ Corrupted HLL object detected", c...)
	}
	h.expect("0", "PFCOUNT", "k") // that's what it says of itself
}

func TestPFDebugRegisters(t *testing.T) {
	h := newHarness(t, 1)
	h.do("PFADD", "k", "a", "b", "c")
	sum := func() (sum int64) {
		for _, v := range h.do("PFDEBUG", "GETREG", "k").Elems {
			sum += v.Int
		}
		return sum
	}
	h.expect("sparse", "PFDEBUG", "ENCODING", "k")
	first := sum()
	h.expect("dense", "PFDEBUG", "ENCODING", "k")
	if again := sum(); first < 3 || again != first {
		t.Errorf("the sum of all ranks is %d, then %d", first, again)
	}
	h.expect("3", "PFCOUNT", "k")
	h.expect("disabled", "PFDEBUG", "simd", "ON")
	h.expect("ERR Argument must be ON or OFF", "PFDEBUG", "SIMD", "k")
}
