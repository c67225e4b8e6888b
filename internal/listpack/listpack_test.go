package listpack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestElements: whatever is appended is read back, forwards and backwards.
func TestElements(t *testing.T) {
	var want []string
	b := Begin(nil)
	add := func(s string) {
		want = append(want, s)
		b = AppendBytes(b, []byte(s))
	}
	for shift := range 64 {
		for _, d := range []int64{-1, 0, 1} {
			add(fmt.Sprint(int64(1)<<shift + d))
			add(fmt.Sprint(-(int64(1) << shift) + d))
		}
	}
	for _, s := range []string{"", "-0", "01", "+1", "9223372036854775808", "-9223372036854775809", "a", " 1"} {
		add(s)
	}
	for _, n := range []int{62, 63, 64, 65, 125, 126, 127, 4094, 4095, 4096, 1<<14 - 7, 1<<14 - 6, 1<<14 - 5, 1 << 14,
		1 << 21} {
		add(strings.Repeat("x", n))
	}
	add(fmt.Sprint(math.MinInt64))
	b = Close(b, 0, len(want))
	if int(binary.LittleEndian.Uint32(b)) != len(b) || int(binary.LittleEndian.Uint16(b[4:])) != len(want) {
		t.Errorf("header %x of %d bytes, %d elements", b[:HeaderLen], len(b), len(want))
	}
	at := HeaderLen
	var starts []int
	var e Element
	for i := range want {
		starts = append(starts, at)
		if !Read(b[at:min(at+MaxHead, len(b))], &e) {
			t.Fatalf("element %d is none", i)
		}
		got := string(b[at+e.Head : at+e.Head+e.Len])
		if e.IsNum {
			got = fmt.Sprint(e.Num)
		}
		if got != want[i] {
			t.Errorf("element %d is %.40q, want %.40q", i, got, want[i])
		}
		if next := Next(b, at); next != at+e.Size {
			t.Errorf("element %d ends at %d, and at %d", i, next, at+e.Size)
		}
		at += e.Size
	}
	if at != len(b)-1 || b[at] != End || Read(b[at:], &e) {
		t.Errorf("the end is at %d of %d", at, len(b))
	}
	for i := len(want) - 1; i >= 0; i-- {
		if at -= Back(b[:at]); at != starts[i] {
			t.Fatalf("element %d begins at %d, backwards at %d", i, starts[i], at)
		}
	}
}

// TestShortReads: an element whose head is cut off is none.
func TestShortReads(t *testing.T) {
	for _, s := range []string{"1000", "30000", "100000", "10000000", "1000000000000", strings.Repeat("x", 100),
		strings.Repeat("x", 5000)} {
		b := AppendBytes(nil, []byte(s))
		var e Element
		for n := range b {
			if Read(b[:n], &e) && n < e.Head {
				t.Errorf("%.10q is read from %d bytes", s, n)
			}
		}
		if Read(nil, &e) || Back(nil) != 0 || Back(bytes.Repeat([]byte{0x80}, 9)) != 0 {
			t.Error("nothing is an element")
		}
	}
}
