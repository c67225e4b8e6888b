package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/invariant"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// streamEffects are commands on streams, one behind the other, and what they put into the log; lines that begin with a
// blank.
const streamEffects = `
XADD s 1 f v
  XADD s 1 f v
XADD s 1 f v
XADD s * f v
  XADD s NOW-0 f v
XADD s * f v
  XADD s NOW-1 f v
XADD s NOMKSTREAM MAXLEN 2 NOW-* f v
  XADD s NOMKSTREAM MAXLEN 2 NOW-2 f v
XADD s MAXLEN ~ 1 LIMIT 9 NOW-5 f v
  XADD s MAXLEN = 3 LIMIT 9 NOW-5 f v
XADD s MINID ~ 5 NOW-6 f v
  XADD s MINID = NOW-1 NOW-6 f v
XADD none NOMKSTREAM * f v
XTRIM s MAXLEN ~ 2
XTRIM s MAXLEN 3
  XTRIM s MAXLEN 3
XTRIM s MINID ~ NOW-9 LIMIT 2
XTRIM s MINID ~ NOW-9 LIMIT 0
  XTRIM s MINID = 18446744073709551615-18446744073709551615 LIMIT 0
XTRIM s MAXLEN ~ 2
DEL s
  DEL s
XADD s 1 f v
  XADD s 1 f v
XADD s 2 f v
  XADD s 2 f v
XADD s 3 f v
  XADD s 3 f v
XDEL s 9
XDEL s 3 9
  XDEL s 3 9
XSETID s 7 MAXDELETEDID 3
  XSETID s 7 MAXDELETEDID 3
XADD s 8 f v
  XADD s 8 f v
XGROUP CREATE s g $
  XGROUP CREATE s g $
XGROUP CREATE s g 0
XGROUP SETID s g 0 ENTRIESREAD 0
  XGROUP SETID s g 0 ENTRIESREAD 0
XREADGROUP GROUP g c COUNT 2 STREAMS s >
  XCLAIM s g c 0 1-0 2-0 TIME NOW RETRYCOUNT 1 FORCE JUSTID LASTID 2-0
  XGROUP SETID s g 2-0 ENTRIESREAD -1
XREADGROUP GROUP g c NOACK STREAMS s >
  XGROUP SETID s g 8-0 ENTRIESREAD 4
XREADGROUP GROUP g c STREAMS s >
XREADGROUP GROUP g other STREAMS s 0
  XGROUP CREATECONSUMER s g other
XREADGROUP GROUP g other STREAMS s 0
XCLAIM s g c 0 1 RETRYCOUNT 1 TIME NOW JUSTID
  XCLAIM s g c 0 1-0 TIME NOW RETRYCOUNT 1 FORCE JUSTID LASTID 8-0
XREADGROUP GROUP g c STREAMS s 0
  XCLAIM s g c 0 1-0 2-0 TIME NOW RETRYCOUNT 2 FORCE JUSTID LASTID 8-0
XCLAIM s g third 0 2 9
  XCLAIM s g third 0 2-0 TIME NOW RETRYCOUNT 3 FORCE JUSTID LASTID 8-0
XCLAIM s g nobody 1000 1 2
XREADGROUP GROUP g c STREAMS s 0
  XCLAIM s g c 0 1-0 TIME NOW RETRYCOUNT 3 FORCE JUSTID LASTID 8-0
XAUTOCLAIM s g c 0 2
  XCLAIM s g c 0 2-0 TIME NOW RETRYCOUNT 4 FORCE JUSTID LASTID 8-0
XCLAIM s g c 0 1 2 IDLE 1 RETRYCOUNT 7 JUSTID
  XCLAIM s g c 0 1-0 2-0 TIME NOW-1 RETRYCOUNT 7 FORCE JUSTID LASTID 8-0
XDEL s 1 2
  XDEL s 1 2
XCLAIM s g c 0 1
  XACK s g 1-0
XAUTOCLAIM s g c 0 0
  XACK s g 2-0
XCLAIM s g c 0 1 LASTID 9
  XGROUP SETID s g 9-0 ENTRIESREAD 4
XACK s g 1 2
XCLAIM s g c 0 8 FORCE RETRYCOUNT 0
  XCLAIM s g c 0 8-0 TIME NOW RETRYCOUNT 0 FORCE JUSTID LASTID 9-0
XACK s g 8 9
  XACK s g 8 9
XGROUP CREATECONSUMER s g c
XGROUP CREATECONSUMER s g d
  XGROUP CREATECONSUMER s g d
XGROUP DELCONSUMER s g d
  XGROUP DELCONSUMER s g d
XGROUP DELCONSUMER s g d
XGROUP DESTROY s g
  XGROUP DESTROY s g
XGROUP DESTROY s g
XADD k 1 f v
  XADD k 1 f v
XGROUP CREATE k g 0
  XGROUP CREATE k g 0
XGROUP CREATE s g 0
  XGROUP CREATE s g 0
XREADGROUP GROUP g c STREAMS s k > >
  XCLAIM s g c 0 8-0 TIME NOW RETRYCOUNT 1 FORCE JUSTID LASTID 8-0
  XGROUP SETID s g 8-0 ENTRIESREAD 4
  XCLAIM k g c 0 1-0 TIME NOW RETRYCOUNT 1 FORCE JUSTID LASTID 1-0
  XGROUP SETID k g 1-0 ENTRIESREAD 1
`

func TestStreamEffects(t *testing.T) {
	h := newHarness(t, 1)
	next := h.follow()
	text := strings.NewReplacer("NOW-1 RETRY", strconv.Itoa(testNowMs-1)+" RETRY", "NOW", strconv.Itoa(testNowMs)).
		Replace(streamEffects)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for len(lines) > 0 {
		command := lines[0]
		want := []string{}
		for lines = lines[1:]; len(lines) > 0 && lines[0][0] == ' '; lines = lines[1:] {
			want = append(want, strings.TrimSpace(lines[0]))
		}
		reply := h.do(strings.Fields(command)...)
		got := []string{}
		for _, r := range next() {
			if r = strings.ReplaceAll(r, "\x1f", " "); r != "MULTI" && r != "EXEC" && !strings.HasPrefix(r, "SELECT") {
				got = append(got, r)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\nlogs %q,\nwant %q\nreply %s", command, got, want, brief(reply))
		}
	}
}

// TestStreamReplay executes random commands on streams and replays their log into an empty set of shards, as if it came
// from a file: all that streams and groups are must be the same, but for when consumers were last seen.
func TestStreamReplay(t *testing.T) {
	for seed, shards := range []int{1, 8} {
		h, replica := newHarness(t, shards), newHarness(t, 8/shards)
		replica.now.SetMs(0) // no time passes, see Ctx.obeys
		next := h.follow()
		grammar := append(redistest.Streams(), redistest.Moving()...)
		for i, args := range redistest.Stream(grammar, rand.Uint64(), 6000/RaceShare, testNowMs/1000) {
			h.ctx.DBID = 0
			h.call(bytesOf(args))
			h.now.Advance(time.Duration(i%7) * time.Millisecond)
			for _, r := range next() {
				switch words := strings.Split(r, "\x1f"); words[0] {
				case "SELECT":
					replica.ctx.DBID, _ = strconv.Atoi(words[1])
				case "MULTI", "EXEC":
				default:
					if reply := replica.call(bytesOf(words)); reply[0] == '-' {
						t.Fatalf("%d: %q: %s", seed, words, reply)
					}
				}
			}
			if i%500 != 0 {
				continue
			}
			for db := range 3 {
				want, got := h.streams(db), replica.streams(db)
				if want != got {
					t.Fatalf("%d shards, db %d, after %q: replayed\n%s\nwant\n%s", shards, db, args, got, want)
				}
			}
		}
	}
}

// streams tells all of the streams that random commands make.
func (h *harness) streams(db int) (all string) {
	defer func(db int) { h.ctx.DBID = db }(h.ctx.DBID)
	h.ctx.DBID = db
	keys := h.do("KEYS", "*")
	slices.SortFunc(keys.Elems, func(a, b resp.Value) int { return strings.Compare(string(a.Str), string(b.Str)) })
	for _, key := range keys.Elems {
		v := h.do("XINFO", "STREAM", string(key.Str), "FULL", "COUNT", "0")
		for i := range v.Elems {
			forgetSeen(&v.Elems[i])
		}
		all += fmt.Sprintf("%q %s\n", key.Str, brief(v))
	}
	return all
}

// forgetSeen empties the times in a reply at which consumers were seen.
func forgetSeen(v *resp.Value) {
	for i := range v.Elems {
		if i > 0 && string(v.Elems[i-1].Str) == "seen-time" {
			v.Elems[i] = resp.Value{Kind: resp.KindInt}
		}
		forgetSeen(&v.Elems[i])
	}
}

// TestStreamsAllocateNothing adds entries, trims and reads.
func TestStreamsAllocateNothing(t *testing.T) {
	value := strings.Repeat("v", 64)
	h := newHarness(t, 8)
	var commands [][][]byte
	for _, args := range [][]string{
		{"XADD", "x", "MAXLEN", "~", "1000", "*", "f", value}, {"XADD", "x", "MAXLEN", "500", "*", "f", "1", "g", "2"},
		{"XLEN", "x"}, {"XRANGE", "x", "-", "+", "COUNT", "10"}, {"XREVRANGE", "x", "+", "-", "COUNT", "10"},
		{"XREAD", "COUNT", "10", "STREAMS", "x", "0"}, {"XREAD", "STREAMS", "x", "$"},
	} {
		commands = append(commands, bytesOf(args))
	}
	n := testing.AllocsPerRun(600, func() {
		for _, args := range commands {
			if reply := h.call(args); reply[0] == '-' {
				t.Fatalf("%s", reply)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestGroupsAllocateNothing delivers entries and acknowledges them, with the log read and without.
func TestGroupsAllocateNothing(t *testing.T) {
	for _, logging := range []bool{false, true} {
		if logging && invariant.Enabled {
			continue // the log reads what it has written, to see that it is right
		}
		h := newHarness(t, 8)
		next := func() []string { return nil }
		if logging {
			next = h.follow()
		}
		h.do("XGROUP", "CREATE", "x", "g", "0", "MKSTREAM")
		h.do("XADD", "x", "1-1", "f", "v")
		read := bytesOf([]string{"XREADGROUP", "GROUP", "g", "c", "COUNT", "10", "STREAMS", "x", ">"})
		again := bytesOf([]string{"XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", "0"})
		claim := bytesOf([]string{"XCLAIM", "x", "g", "d", "0", "1-1"})
		auto := bytesOf([]string{"XAUTOCLAIM", "x", "g", "c", "0", "0"})
		ack := bytesOf([]string{"XACK", "x", "g", "1-1"})
		back := bytesOf([]string{"XGROUP", "SETID", "x", "g", "0"})
		n := testing.AllocsPerRun(200, func() {
			for _, args := range [][][]byte{read, again, claim, auto, ack, back} {
				if reply := h.call(args); reply[0] == '-' {
					t.Fatalf("%s", reply)
				}
			}
		})
		if n != 0 {
			t.Errorf("logging %v: %v allocations", logging, n)
		}
		next()
	}
}
