package glob

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// What KEYS of redis-server 7.0.15 answers.
var cases = []struct {
	pattern, s string
	want       bool
}{
	{"", "", true}, {"", "a", false}, {"*", "", false}, {"**", "", false}, {"?", "", false},
	{"*", "a", true}, {"***", "abc", true}, {"?", "a", true}, {"?", "ab", false}, {"a?c", "abc", true},
	{"h*llo", "heeeello", true}, {"h*llo", "hllo", true}, {"h*llo", "hell", false},
	{"*a*b", "xaxb", true}, {"*a*b", "xaxbx", false}, {"a*", "a", true}, {"a**", "a", true}, {"a*?", "a", false},
	{"h[ae]llo", "hello", true}, {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true},
	{"h[^e]llo", "hello", false},
	{"h[a-b]llo", "hbllo", true}, {"h[b-a]llo", "hallo", true}, {"h[a-b]llo", "hcllo", false},
	{"[a-z][0-9]*", "q7xyz", true},
	{`\*`, "*", true}, {`\*`, "a", false}, {`a\?c`, "a?c", true}, {`a\?c`, "abc", false}, {`\`, `\`, true},
	{`a\`, `a\`, true},
	{`[\]]`, "]", true}, {`[\-a]`, "-", true}, {`[\a]`, "a", true}, {`[\`, `\`, true},
	{"[", "[", false}, {"[", "a", false}, {"[a", "a", true}, {"[a", "b", false}, {"[ab", "b", true}, {"[^", "a", true},
	{"[^a", "a", false}, {"[]", "a", false}, {"[]a]", "a]", false}, {"[^]", "a", true}, {"[a-]", "a", true},
	{"[a-]", "-", false},
	{"[a-]", "_", true}, {"[a-", "-", true}, {"[a-", "a", true}, {"[^]]", "a]", true},
	{"[\x80-\xff]", "\x90", true}, {"[a-\xff]", "b", false}, {"[a-\xff]", "A", true}, {"[a-\xff]", "\x80", false},
	{"a\x00b", "a\x00b", true}, {"*\x00*", "a\x00b", true}, {"A", "a", false},
}

func TestMatch(t *testing.T) {
	for _, c := range cases {
		if got := Match([]byte(c.pattern), []byte(c.s), false); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

func TestMatchNoCase(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"GET*", "getrange", true}, {"get*", "GETRANGE", true}, {"[G]et", "get", true}, {"[^g]et", "GET", false},
		{"[a-c]", "B", true}, {"[A-C]", "b", true}, {`\G`, "g", true}, {`[\G]`, "g", false}, {`[\G]`, "G", true},
		{"[Z-a]", "z", false}, {"[Z-a]", "_", false}, {"*RANGE", "getrange", true}, {"\xc4", "\xe4", false},
	} {
		if got := Match([]byte(c.pattern), []byte(c.s), true); got != c.want {
			t.Errorf("Match(%q, %q, nocase) = %v", c.pattern, c.s, got)
		}
	}
}

// matchSlowly is the definition: every place for every star.
func matchSlowly(pattern, s string, nocase bool) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		for i := range len(s) + 1 {
			if matchSlowly(pattern[1:], s[i:], nocase) {
				return true
			}
		}
		return false
	case s == "":
		return false
	}
	next, ok := matchByte([]byte(pattern), 0, s[0], nocase)
	return ok && matchSlowly(pattern[next:], s[1:], nocase)
}

func TestMatchAgainstDefinition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func(alphabet string, n int) string {
		var b strings.Builder
		for range rnd.IntN(n) {
			b.WriteByte(alphabet[rnd.IntN(len(alphabet))])
		}
		return b.String()
	}
	matched := 0
	for range 100_000 {
		pattern, s, nocase := word(`aab***?[]^-\B`, 10), word("aabbB-]", 8), rnd.IntN(2) == 0
		if s == "" {
			continue
		}
		got := Match([]byte(pattern), []byte(s), nocase)
		if want := matchSlowly(pattern, s, nocase); got != want {
			t.Fatalf("Match(%q, %q, %v) = %v", pattern, s, nocase, got)
		}
		if got {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matches", matched)
	}
}

// With backtracking into every star these would not end in a lifetime.
func TestHostilePatterns(t *testing.T) {
	s := []byte(strings.Repeat("a", 5_000))
	for _, pattern := range []string{
		strings.Repeat("a*", 2_000) + "b", strings.Repeat("*a", 2_000) + "b", strings.Repeat("*?", 2_000) + "b",
		strings.Repeat("*[a-z]", 1_000) + "[^a]", strings.Repeat("?*", 5_001), strings.Repeat("*", 100_000) + "b",
	} {
		if Match([]byte(pattern), s, false) || Match([]byte(pattern), s, true) {
			t.Errorf("%.20q matches", pattern)
		}
	}
}

func TestIsLiteral(t *testing.T) {
	for pattern, want := range map[string]bool{"": true, "maxmemory": true, "a]-^": true, "a*": false, "?": false,
		"[": false, `\a`: false} {
		if IsLiteral([]byte(pattern)) != want {
			t.Errorf("IsLiteral(%q) = %v", pattern, !want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	pattern, s := []byte("user:*:[a-z]*"), []byte("user:1000:name")
	if n := testing.AllocsPerRun(100, func() { Match(pattern, s, false) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzMatch(f *testing.F) {
	for _, c := range cases {
		f.Add([]byte(c.pattern), []byte(c.s), false)
	}
	f.Fuzz(func(t *testing.T, pattern, s []byte, nocase bool) {
		got := Match(pattern, s, nocase)
		if len(pattern) <= 8 && len(s) <= 12 && len(s) > 0 && got != matchSlowly(string(pattern), string(s), nocase) {
			t.Fatalf("Match(%q, %q, %v) = %v", pattern, s, nocase, got)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	pattern, s := []byte("user:*:name"), []byte("user:1000:name")
	for b.Loop() {
		Match(pattern, s, false)
	}
}
