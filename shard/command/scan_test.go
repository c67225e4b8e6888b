package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// scanAll reads the session's database through with SCAN and gives how often each key came.
func (h *harness) scanAll(options ...string) (seen map[string]int, calls int) {
	h.t.Helper()
	seen = map[string]int{}
	for cursor := "0"; ; {
		v := h.do(append([]string{"SCAN", cursor}, options...)...)
		for _, key := range v.Elems[1].Elems {
			seen[string(key.Str)]++
		}
		calls++
		if cursor = string(v.Elems[0].Str); cursor == "0" {
			return seen, calls
		}
		if calls > 100_000 {
			h.t.Fatalf("SCAN comes to no end, its cursor is %s", cursor)
		}
	}
}

func TestScanGivesEveryKeyOnce(t *testing.T) {
	for _, shards := range []int{1, 3, 8} {
		h := newHarness(t, shards)
		for i := range 5000 {
			h.call(bytesOf([]string{"SET", "key:" + strconv.Itoa(i), "v"}))
		}
		for _, count := range []string{"1", "10", "777", "100000"} {
			seen, calls := h.scanAll("COUNT", count)
			if len(seen) != 5000 {
				t.Errorf("%d shards, COUNT %s: %d keys", shards, count, len(seen))
			}
			for key, n := range seen {
				if n != 1 {
					t.Errorf("%d shards, COUNT %s: %s came %d times", shards, count, key, n)
				}
			}
			if count == "100000" && calls != 1 {
				t.Errorf("%d shards: %d calls for a COUNT above all", shards, calls)
			}
		}
		if seen, _ := h.scanAll("MATCH", "key:1?", "COUNT", "100"); len(seen) != 10 {
			t.Errorf("%d shards: %d keys match", shards, len(seen))
		}
	}
}

// TestScanWhileKeysComeAndGo looks for the keys that are there throughout.
func TestScanWhileKeysComeAndGo(t *testing.T) {
	h := newHarness(t, 8)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		h.call(bytesOf([]string{"SET", "stays:" + strconv.Itoa(i), "v"}))
	}
	seen := map[string]int{}
	for cursor := "0"; ; {
		v := h.do("SCAN", cursor, "COUNT", "20", "MATCH", "stays:*")
		for _, key := range v.Elems[1].Elems {
			seen[string(key.Str)]++
		}
		if cursor = string(v.Elems[0].Str); cursor == "0" {
			break
		}
		for range 50 {
			name := "comes:" + strconv.Itoa(rnd.IntN(20000))
			if rnd.IntN(3) == 0 {
				h.call(bytesOf([]string{"DEL", name}))
			} else {
				h.call(bytesOf([]string{"SET", name, "v"}))
			}
		}
	}
	for i := range 2000 {
		if n := seen["stays:"+strconv.Itoa(i)]; n != 1 {
			t.Errorf("stays:%d came %d times", i, n)
		}
	}
}

// TestFewKeysComeInOneScan: without COUNT up to ten keys need no second call, however they are spread.
func TestFewKeysComeInOneScan(t *testing.T) {
	for _, shards := range []int{1, 8, 64} {
		h := newHarness(t, shards)
		for i := range scanCount - 1 {
			h.do("SET", fmt.Sprint("k", i), "v")
			if seen, calls := h.scanAll(); calls != 1 || len(seen) != i+1 {
				t.Errorf("%d shards, %d keys: %d keys in %d calls", shards, i+1, len(seen), calls)
			}
		}
	}
}

func TestParseCursor(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{"", 0, true}, {"0", 0, true}, {"007", 7, true}, {"+7", 7, true}, {"-1", 1<<64 - 1, true}, {"7\x00x", 7, true},
		{"18446744073709551615", 1<<64 - 1, true}, {"18446744073709551616", 0, false},
		{"99999999999999999999999", 0, false}, {"-", 0, false}, {"+", 0, false}, {"--1", 0, false}, {" 1", 0, false},
		{"1 ", 0, false}, {"0x1", 0, false}, {"abc", 0, false},
	} {
		if got, ok := parseCursor([]byte(c.text)); ok != c.ok || ok && got != c.want {
			t.Errorf("parseCursor(%q) = %d, %v", c.text, got, ok)
		}
	}
}

func TestExpiredKeysAreHidden(t *testing.T) {
	h := newHarness(t, 8)
	for i := range 50 {
		h.do("SET", fmt.Sprint("gone", i), "v", "PXAT", "1")
	}
	if seen, _ := h.scanAll(); len(seen) != 0 {
		t.Error("SCAN gives", seen)
	}
	h.expect("[]", "KEYS", "*")
	h.expect("0", "EXISTS", "gone1", "gone2")
	h.expect("none", "TYPE", "gone3")
	h.expect("-2", "TTL", "gone4")
	h.do("SET", "there", "v")
	for tries := 0; h.do("DBSIZE").Int > 1; tries++ { // until RANDOMKEY has met all of them, which is up to chance
		if tries == 10_000 {
			t.Fatal("what RANDOMKEY meets that has expired stays")
		}
		h.expect("there", "RANDOMKEY")
	}
	h.expect("there", "RANDOMKEY")
}

func TestRandomKeyReachesAll(t *testing.T) {
	h := newHarness(t, 8)
	h.expect("nil", "RANDOMKEY")
	missing := []string{}
	for i := range 30 {
		missing = append(missing, fmt.Sprint("k", i))
		h.do("SET", fmt.Sprint("k", i), "v")
	}
	for tries := 0; len(missing) > 0; tries++ {
		if tries == 5000 {
			t.Fatal("never given:", missing)
		}
		key := string(h.do("RANDOMKEY").Str)
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == key })
	}
}
