package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestReplayGivesTheSameSets replays what random commands on sets put into the log, chance among them, to a replica
// with another number of shards.
func TestReplayGivesTheSameSets(t *testing.T) {
	for seed, shards := range []int{1, 2, 8} {
		h, replica := newHarness(t, shards), newHarness(t, 8/shards)
		next := h.follow()
		rnd := rand.New(rand.NewPCG(uint64(seed), 9))
		key := func() string { return "k" + strconv.Itoa(rnd.IntN(6)) }
		member := func() string {
			if n := rnd.IntN(60); n < 58 {
				return []string{"", "m"}[n%2] + strconv.Itoa(n)
			}
			return strings.Repeat("x", rnd.IntN(5000))
		}
		for round := range 300 / RaceShare {
			for range 12 {
				h.do(randomSetCommand(rnd, key, member)...)
			}
			for _, r := range next() {
				words := strings.Split(r, "\x1f")
				if words[0] == "SPOP" {
					t.Fatalf("%q is in the log", words)
				}
				if words[0] == "SELECT" || words[0] == "MULTI" || words[0] == "EXEC" {
					continue
				}
				if v := replica.do(words...); v.Err() != nil {
					t.Fatalf("%q: %v", words, v.Err())
				}
			}
			for i := range 6 {
				k := "k" + strconv.Itoa(i)
				if want, got := h.membersOf(k), replica.membersOf(k); !slices.Equal(got, want) {
					t.Fatalf("%d shards, round %d, %s: replayed\n%q\nwant\n%q", shards, round, k, got, want)
				}
			}
		}
	}
}

func randomSetCommand(rnd *rand.Rand, key, member func() string) []string {
	switch rnd.IntN(10) {
	case 0:
		return []string{"SPOP", key()}
	case 1:
		return []string{"SPOP", key(), strconv.Itoa(rnd.IntN(60))}
	case 2:
		return []string{"SMOVE", key(), key(), member()}
	case 3:
		return []string{"SREM", key(), member(), member(), member()}
	case 4, 5:
		name := []string{"SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"}[rnd.IntN(3)]
		return []string{name, key(), key(), key()}
	}
	args := []string{"SADD", key()}
	for range 1 + rnd.IntN(12) {
		args = append(args, member())
	}
	return args
}

// membersOf gives the members of a set in order.
func (h *harness) membersOf(key string) (all []string) {
	for _, e := range h.do("SMEMBERS", key).Elems {
		all = append(all, string(e.Str))
	}
	slices.Sort(all)
	return all
}

// TestSetEffects looks at single records.
func TestSetEffects(t *testing.T) {
	for _, c := range []struct{ before, command, want string }{
		{"SADD a 1", "SADD a 1", "[]"},
		{"SADD a 1", "SADD a 1 2", "[SADD a 1 2]"},
		{"SADD a x", "SPOP a", "[SREM a x]"},
		{"SADD a x", "SPOP a 5", "[DEL a]"},
		{"SADD a x", "SPOP a 0", "[]"},
		{"SADD a x", "SREM a y", "[]"},
		{"SADD a x", "SMOVE a b x", "[SMOVE a b x]"},
		{"SADD a x", "SMOVE a b y", "[]"},
		{"SADD a x", "SUNIONSTORE b a", "[SUNIONSTORE b a]"},
		{"SADD a x", "SINTERSTORE a b c", "[DEL a]"},
		{"SADD a x", "SDIFFSTORE b c", "[]"},
	} {
		for _, shards := range []int{1, 8} {
			h := newHarness(t, shards)
			h.do(strings.Fields(c.before)...)
			next := h.follow()
			h.do(strings.Fields(c.command)...)
			records := next()
			records = slices.DeleteFunc(records, func(r string) bool {
				return strings.HasPrefix(r, "SELECT") || r == "MULTI" || r == "EXEC"
			})
			if got := strings.ReplaceAll(fmt.Sprint(records), "\x1f", " "); got != c.want {
				t.Errorf("%d shards, %s: logged %s, want %s", shards, c.command, got, c.want)
			}
		}
	}
}

// TestHugeRandomReplies are refused before anything is made for them.
func TestHugeRandomReplies(t *testing.T) {
	h := newHarness(t, 1)
	h.do("SADD", "s", "a", "b")
	for _, limit := range []int{0, 1000} {
		h.ctx.ReplyLimit, h.ctx.Overflow = limit, false
		h.call(bytesOf([]string{"SRANDMEMBER", "s", "-9223372036854775807"}))
		if !h.ctx.Overflow || len(h.ctx.Out) > 2000 {
			t.Errorf("limit %d: overflow %v, %d bytes", limit, h.ctx.Overflow, len(h.ctx.Out))
		}
	}
	h.ctx.ReplyLimit, h.ctx.Overflow = 0, false
	h.expect("2", "SCARD", "s")
}

// TestRandomMembersAreFair draws from a packed set and from one in both trees.
func TestRandomMembersAreFair(t *testing.T) {
	for _, size := range []int{10, 400} {
		h := newHarness(t, 1)
		for i := range size {
			h.do("SADD", "s", []string{"", "m"}[i%2]+strconv.Itoa(i))
		}
		const each = 200
		drawn := map[string]int{}
		for _, e := range h.do("SRANDMEMBER", "s", strconv.Itoa(-each*size)).Elems {
			drawn[string(e.Str)]++
		}
		for range each * 4 {
			reply := h.do("SRANDMEMBER", "s", strconv.Itoa(size/4)).Elems
			once := map[string]bool{}
			for _, e := range reply {
				once[string(e.Str)] = true
				drawn[string(e.Str)]++
			}
			if len(once) != size/4 {
				t.Fatalf("%d different members, want %d", len(once), size/4)
			}
		}
		for m, n := range drawn { // 2·each is the mean, some √(2·each) the deviation
			if len(drawn) != size || n < each || n > 3*each {
				t.Errorf("%d of %d members: %s was drawn %d times", len(drawn), size, m, n)
			}
		}
	}
}
