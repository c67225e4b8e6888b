package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/resp"
)

// slice executes a command in the shortest slices there are, each under the baton of its shard, with between called
// after each, and gives the reply.
func (h *harness) slice(between func(), args ...string) resp.Value {
	h.t.Helper()
	row := h.table.Lookup([]byte(args[0]))
	c := &h.ctx
	c.Cut(Mark{})
	c.Args, c.Keys, c.NowMs = bytesOf(args), nil, h.now.NowMs()
	var s Sliced
	done := s.Begin(c, row)
	for !done {
		c.Args, c.NowMs = bytesOf(args), h.now.NowMs()
		held := h.set.Shards[s.Shard()]
		if !held.Acquire(&h.w) {
			h.t.Fatal("the baton is taken")
		}
		done = s.Run(c, 0)
		held.Release(&h.w)
		out := c.Reply
		c.Reply = Reply{}
		if between != nil && !done {
			between()
		}
		c.Reply = out
	}
	s.Finish(c)
	return h.parse(h.out())
}

// churn lets keys come and go, many at a time, so that indexes grow and shrink.
type churn struct {
	h    *harness
	rnd  *rand.Rand
	want int // keys that come and go
	have int
}

func (ch *churn) step() {
	if ch.rnd.IntN(50) == 0 {
		ch.want = ch.rnd.IntN(2) * ch.rnd.IntN(30_000)
	}
	for range ch.rnd.IntN(100) {
		switch {
		case ch.have < ch.want:
			ch.h.call(bytesOf([]string{"SET", "comes:" + strconv.Itoa(ch.have), "v"}))
			ch.have++
		case ch.have > ch.want:
			ch.have--
			ch.h.call(bytesOf([]string{"DEL", "comes:" + strconv.Itoa(ch.have)}))
		}
	}
	for _, s := range ch.h.set.Shards {
		s.ShrinkSome(500)
	}
}

// TestKeysInSlices: what is there throughout comes once, whatever comes and goes meanwhile, indexes grow and shrink.
func TestKeysInSlices(t *testing.T) {
	for seed, shards := range []int{1, 3, 8} {
		h := newHarness(t, shards)
		ch := &churn{h: h, rnd: rand.New(rand.NewPCG(uint64(seed), 4)), want: 20_000}
		for i := range 3000 {
			h.call(bytesOf([]string{"SET", "stays:" + strconv.Itoa(i), "v"}))
		}
		rounds := 0
		const passes = (12 + RaceShare - 1) / RaceShare
		for range passes {
			seen := map[string]int{}
			v := h.slice(func() { ch.step(); rounds++ }, "KEYS", "*s*")
			for _, key := range v.Elems {
				seen[string(key.Str)]++
			}
			for i := range 3000 {
				if n := seen["stays:"+strconv.Itoa(i)]; n != 1 {
					t.Fatalf("%d shards: stays:%d came %d times", shards, i, n)
				}
			}
		}
		if rounds < passes*30 {
			t.Errorf("%d shards: only %d slices", shards, rounds)
		}
	}
}

// TestScanGuarantees: the same for whole iterations of SCAN with any options, in slices and in one piece by turns.
func TestScanGuarantees(t *testing.T) {
	for seed, shards := range []int{1, 2, 8, 13} {
		h := newHarness(t, shards)
		rnd := rand.New(rand.NewPCG(uint64(seed), 8))
		ch := &churn{h: h, rnd: rnd, want: 20_000}
		for i := range 1000 {
			h.call(bytesOf([]string{"SET", "stays:" + strconv.Itoa(i), "v"}))
		}
		for range 10 / RaceShare {
			options := [][]string{
				{"MATCH", "stays:*"}, {"count", strconv.Itoa(1 + rnd.IntN(500))}, {"TYPE", "string"},
			}
			rnd.Shuffle(len(options), func(i, j int) { options[i], options[j] = options[j], options[i] })
			given := slices.Concat(options...)
			seen := map[string]int{}
			for cursor := "0"; ; ch.step() {
				var v resp.Value
				if args := append([]string{"SCAN", cursor}, given...); rnd.IntN(2) == 0 {
					v = h.slice(ch.step, args...)
				} else {
					v = h.do(args...)
				}
				for _, key := range v.Elems[1].Elems {
					seen[string(key.Str)]++
				}
				if cursor = string(v.Elems[0].Str); cursor == "0" {
					break
				}
			}
			if len(seen) != 1000 {
				t.Fatalf("%d shards: SCAN %q gives %d keys", shards, given, len(seen))
			}
			for key, n := range seen {
				if n != 1 {
					t.Fatalf("%d shards: SCAN %q gives %s %d times", shards, given, key, n)
				}
			}
		}
	}
}

// TestSlicesReplyAsOneHold: without changes in between it makes no difference whether a command runs in slices.
func TestSlicesReplyAsOneHold(t *testing.T) {
	h := newHarness(t, 8)
	for i := range 2000 {
		h.do("SET", fmt.Sprint("key:", i), "v")
	}
	h.do("SET", strings.Repeat("long", 50_000), "v")
	for _, args := range [][]string{
		{"KEYS", "*"}, {"KEYS", "key:1?"}, {"KEYS", "nothing"}, {"KEYS", ""}, {"KEYS", "*long*"},
		{"SCAN", "0"}, {"SCAN", "0", "COUNT", "1"}, {"SCAN", "0", "COUNT", "100000"}, {"SCAN", "3", "MATCH", "*9"},
		{"SCAN", "99999999999999", "TYPE", "list"}, {"SCAN", "-1"}, {"SCAN", "x"}, {"SCAN", "0", "COUNT"},
		{"SCAN", "0", "COUNT", "0"}, {"SCAN", "0", "COUNT", "x"}, {"SCAN", "0", "TYPE"}, {"SCAN", "0", "nonsense", "1"},
	} {
		want := h.do(args...).Append(nil)
		if got := h.slice(nil, args...).Append(nil); string(got) != string(want) {
			t.Errorf("%q: %.60q in slices, %.60q in one hold", args, got, want)
		}
	}
}

// TestSlicesAreCounted: as one call, with its errors, and held to the limit of a reply.
func TestSlicesAreCounted(t *testing.T) {
	h := newHarness(t, 2)
	for i := range 500 {
		h.do("SET", fmt.Sprint("key:", i), "v")
	}
	counts := func(name string) (st CallStat) {
		row := h.table.Lookup([]byte(name))
		h.ctx.Calls.Flush(func(i int, s *CallStat) {
			if i == row.Index {
				st = *s
			}
		})
		return st
	}
	counts("keys")
	h.slice(nil, "KEYS", "*")
	if st := counts("keys"); st.Calls != 1 || st.Failed != 0 || st.Ns < 0 {
		t.Errorf("KEYS: %+v", st)
	}
	h.slice(nil, "SCAN", "x")
	if st := counts("scan"); st.Calls != 1 || st.Failed != 1 {
		t.Errorf("SCAN: %+v", st)
	}
	h.ctx.ReplyLimit = 1000
	row := h.table.Lookup([]byte("KEYS"))
	var s Sliced
	h.ctx.Out, h.ctx.Args = nil, bytesOf([]string{"KEYS", "*"})
	s.Begin(&h.ctx, row)
	for n := 0; ; n++ {
		held := h.set.Shards[s.Shard()]
		held.Acquire(&h.w)
		done := s.Run(&h.ctx, 0)
		held.Release(&h.w)
		if done {
			break
		}
	}
	if s.Bytes() > 3000 {
		t.Errorf("%d bytes of a reply that is too long", s.Bytes())
	}
	s.Finish(&h.ctx)
	if !h.ctx.Overflow || s.Bytes() != 0 {
		t.Errorf("overflow %v, %d bytes kept", h.ctx.Overflow, s.Bytes())
	}
}

// TestScansLeaveTheRest: HSCAN and its like look at a bounded number of elements in their call and in each slice after
// it, if they may, and reply the same as in one piece.
func TestScansLeaveTheRest(t *testing.T) {
	const members = 5000
	h := newHarness(t, 2)
	for i := range members {
		m := fmt.Sprint("m", i)
		h.do("HSET", "h", m, "v")
		h.do("SADD", "s", m)
		h.do("ZADD", "z", fmt.Sprint(i), m)
		h.do("ZADD", "one", "0", m)
	}
	for _, scan := range [][]string{
		{"HSCAN", "h", "0", "COUNT", "1000000"}, {"HSCAN", "h", "0", "COUNT", "2000", "NOVALUES", "MATCH", "m1*"},
		{"SSCAN", "s", "0", "COUNT", "1000000"}, {"ZSCAN", "z", "0", "COUNT", "1000000"},
		{"ZSCAN", "one", "0"}, {"ZSCAN", "one", "0", "COUNT", "1000000"},
	} {
		whole := h.do(scan...)
		h.ctx.MayBlock = true
		h.call(bytesOf(scan))
		h.ctx.MayBlock = false
		job := h.ctx.TakeThen()
		if job == nil {
			t.Errorf("%q: nothing was left", scan)
			continue
		}
		slices, most := 0, len(h.ctx.Out)
		for done := false; !done; slices++ {
			at := len(h.ctx.Out)
			h.tx.Acquire(&h.w)
			done = job.Slice(&h.ctx)
			h.tx.Release(&h.w)
			most = max(most, len(h.ctx.Out)-at)
		}
		items := h.ctx.Out
		h.ctx.Out = nil
		job.Head(&h.ctx)
		got := h.parse(append(h.ctx.Out, items...))
		if brief(got) != brief(whole) {
			t.Errorf("%q: %.100s in slices, %.100s in one piece", scan, brief(got), brief(whole))
		}
		if most > 20_000 || slices < 10 {
			t.Errorf("%q: %d slices, one of which replied %d bytes", scan, slices, most)
		}
	}
}

// TestZScanGivesAsManyAsAsked: where many members share a score ZSCAN may give more than COUNT of them, not fewer.
func TestZScanGivesAsManyAsAsked(t *testing.T) {
	h := newHarness(t, 1)
	for i := range 5000 {
		h.do("ZADD", "one", "0", fmt.Sprint("m", i))
	}
	for _, count := range []int{10, 200, 600, 1000} {
		if n := len(h.do("ZSCAN", "one", "0", "COUNT", fmt.Sprint(count)).Elems[1].Elems) / 2; n < count {
			t.Errorf("COUNT %d: %d members", count, n)
		}
	}
}

// TestLooked: what KEYS and SCAN say that they have looked at in a shard are the keys that they could have named.
func TestLooked(t *testing.T) {
	h := newHarness(t, 4)
	var all []string
	for i := range 3000 {
		all = append(all, "k"+strconv.Itoa(i))
		h.call(bytesOf([]string{"SET", all[i], "v"}))
	}
	for _, command := range []string{
		"KEYS *", "KEYS k1*", "SCAN 0 COUNT 300", "SCAN 0 COUNT 5000 MATCH k2*", "SCAN 0",
	} {
		args, looked := strings.Fields(command), map[string]bool{}
		c := &h.ctx
		c.Cut(Mark{})
		c.Args, c.Keys, c.NowMs = bytesOf(args), nil, h.now.NowMs()
		var s Sliced
		for done := s.Begin(c, h.table.Lookup([]byte(args[0]))); !done; {
			number := s.Shard()
			held := h.set.Shards[number]
			if !held.Acquire(&h.w) {
				t.Fatal("the baton is taken")
			}
			done = s.Run(c, 0)
			held.Release(&h.w)
			for _, name := range all {
				if h.set.ShardOf([]byte(name)) == number && s.Looker().Looked(h.set.Key([]byte(name))) {
					looked[name] = true
				}
			}
		}
		s.Finish(c)
		v := h.parse(h.out())
		if args[0] == "SCAN" {
			v = v.Elems[1]
		}
		if len(v.Elems) != len(looked) || len(looked) == 0 {
			t.Errorf("%s: %d keys, %d looked at", command, len(v.Elems), len(looked))
		}
		for _, name := range v.Elems {
			if !looked[string(name.Str)] {
				t.Errorf("%s: %s was not looked at", command, name.Str)
			}
		}
	}
}
