package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
)

// compareModel is what the commands of Redis 8.4 should do, which no packaged server knows: by their documentation.
type compareModel struct {
	vals, until map[string]string // expiries as their SETs named them
}

func digestOf(val string) string { return fmt.Sprintf("%016x", xxh3.HashString(val)) }

// allows tells whether a condition holds, and what it replies if it is none.
func (m *compareModel) allows(key, word, arg string) (ok bool, failure string) {
	val, found := m.vals[key]
	switch word {
	case "NX":
		return !found, ""
	case "XX":
		return found, ""
	case "":
		return true, ""
	}
	if !found {
		return word == "IFNE" || word == "IFDNE", ""
	}
	if strings.HasPrefix(word, "IFD") {
		if len(arg) != 16 {
			return false, "ERR must be exactly 16 hexadecimal characters"
		}
		val, arg = digestOf(val), strings.ToLower(arg)
	}
	return (val == arg) == strings.HasSuffix(word, "EQ"), ""
}

// set does a SET and gives its reply.
func (m *compareModel) set(key, val, word, arg, ttl string, get bool) string {
	old, found := m.vals[key]
	if !found {
		old = "nil"
	}
	ok, failure := m.allows(key, word, arg)
	switch {
	case failure != "":
		return failure
	case ok:
		m.store(key, val, ttl)
	}
	switch {
	case get:
		return old
	case ok:
		return "OK"
	}
	return "nil"
}

func (m *compareModel) store(key, val, ttl string) {
	m.vals[key] = val
	if ttl != "KEEPTTL" {
		m.until[key] = ttl
	}
}

func (m *compareModel) del(key string) {
	delete(m.vals, key)
	delete(m.until, key)
}

// comparison makes a condition, with an argument if it has one.
func (g commandGen) comparison(m *compareModel, key string, words ...string) (word, arg string) {
	word = g.pick(words...)
	val := m.vals[key]
	switch {
	case !strings.HasPrefix(word, "IF"):
		return word, ""
	case g.IntN(8) == 0:
		return word, g.pick("", "x", strings.Repeat("0", 16), "zzzzzzzzzzzzzzzz", strings.Repeat("a", 17))
	case g.IntN(2) == 0:
		val += "x"
	}
	if strings.HasPrefix(word, "IFD") {
		val = digestOf(val)
		if g.IntN(3) == 0 {
			val = strings.ToUpper(val)
		}
	}
	return word, val
}

func words(all ...string) (some []string) {
	for _, w := range all {
		if w != "" {
			some = append(some, w)
		}
	}
	return some
}

// TestCompareAndSet compares random calls of SET IFEQ and its kin, DELEX, DIGEST and MSETEX with the model.
func TestCompareAndSet(t *testing.T) {
	for seed, shards := range []int{1, 8} {
		h := newHarness(t, shards)
		m := &compareModel{map[string]string{}, map[string]string{}}
		g := commandGen{rand.New(rand.NewPCG(uint64(seed), 84))}
		later := strconv.Itoa(testNowMs + 1_000_000)
		for range 20_000 / RaceShare {
			key, val := "k"+strconv.Itoa(g.IntN(6)), g.pick("", "a", "12", strings.Repeat("v", 5000))
			ttl := g.pick("", "", "KEEPTTL", later)
			expiry := words(ttl)
			if ttl == later {
				expiry = []string{"PXAT", later}
			}
			switch g.IntN(8) {
			case 0, 1, 2:
				word, arg := g.comparison(m, key, "IFEQ", "IFNE", "IFDEQ", "IFDNE", "NX", "XX", "")
				args := append([]string{"SET", key, val}, expiry...)
				if args = append(args, words(word)...); strings.HasPrefix(word, "IF") {
					args = append(args, arg)
				}
				get := g.IntN(3) == 0
				if get {
					args = append(args, "GET")
				}
				h.expect(m.set(key, val, word, arg, ttl, get), args...)
			case 3, 4:
				word, arg := g.comparison(m, key, "IFEQ", "IFNE", "IFDEQ", "IFDNE", "")
				args := []string{"DELEX", key}
				if word != "" {
					args = append(args, word, arg)
				}
				ok, want := m.allows(key, word, arg)
				if _, found := m.vals[key]; !found {
					ok, want = false, ""
				}
				if ok {
					m.del(key)
				}
				if want == "" {
					want = strconv.Itoa(count(ok))
				}
				h.expect(want, args...)
			case 5:
				want := "nil"
				if v, found := m.vals[key]; found {
					want = digestOf(v)
				}
				h.expect(want, "DIGEST", key)
			case 6:
				other, word := "k"+strconv.Itoa(g.IntN(6)), g.pick("", "NX", "XX")
				args := append([]string{"MSETEX", "2", key, val, other, "o"}, expiry...)
				one, _ := m.allows(key, word, "")
				two, _ := m.allows(other, word, "")
				if one && two {
					m.store(key, val, ttl)
					m.store(other, "o", ttl)
				}
				h.expect(strconv.Itoa(count(one && two)), append(args, words(word)...)...)
			default:
				want := "-2"
				if _, found := m.vals[key]; found {
					if want = m.until[key]; want == "" || want == "KEEPTTL" {
						want = "-1"
					}
				}
				h.expect(want, "PEXPIRETIME", key)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

// TestDigestOfHoles: what was never written to counts as zeros.
func TestDigestOfHoles(t *testing.T) {
	h := newHarness(t, 1)
	h.do("SETRANGE", "k", "1000000", "abc")
	h.do("SETRANGE", "k", "50000", strings.Repeat("x", 9000))
	h.expect(digestOf(string(h.do("GET", "k").Str)), "DIGEST", "k")
}

// TestConditionsExclude: of the conditions of SET one can be given, in any order.
func TestConditionsExclude(t *testing.T) {
	h := newHarness(t, 1)
	all := [][]string{{"NX"}, {"XX"}, {"IFEQ", "v"}, {"IFNE", "v"}, {"IFDEQ", "v"}, {"IFDNE", "v"}}
	for i, one := range all {
		for j, two := range all {
			if i != j {
				h.expect("ERR syntax error", append(append([]string{"SET", "k", "v"}, one...), two...)...)
			}
		}
		if len(one) == 2 {
			h.expect("ERR syntax error", "SET", "k", "v", one[0])
		}
	}
	h.do("SET", "k", "v")
	h.expect("OK", "SET", "k", "w", "IFEQ", "x", "IFEQ", "v")
	h.expect("w", "GET", "k")
}
