// Package glob matches names against the patterns of KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL rules.
//
// It is not path.Match: there are no separators, and a pattern is never malformed.
//
// # Format
//
//	?        any byte
//	*        any bytes, none too
//	[abc]    one of these; [a-z] a range, its ends in either order; [^abc] none of these;
//	         without ] it goes to the pattern's end
//	\x       the byte x, also inside brackets
//	other    itself
//
// Where Redis 7.0's stringmatchlen does something odd on purpose or not, so does this: a range takes its end even if
// that is ']'; bytes in ranges are compared as signed; an escaped byte in brackets never ignores case; and nothing
// but the empty pattern matches the empty name.
//
// # Invariants
//
//  1. The work is at most len(pattern) * len(s) steps, whatever they are: only the last '*' met is ever taken up
//     again, because a later place for an earlier one could match nothing that the last one doesn't.
package glob

import "bytes"

// Match reports whether all of s matches pattern; with nocase, letters of ASCII match in either case. It keeps neither
// and allocates nothing.
func Match(pattern, s []byte, nocase bool) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, i := 0, 0
	star, from := -1, 0 // what comes after the last '*', and where in s it was tried last
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				p = skipStars(pattern, p)
				if p == len(pattern) {
					return true
				}
				star, from = p, i
				if from = nextPlace(pattern[star], s, from, nocase); from < 0 {
					return false
				}
				i = from
			}
			if next, ok := matchByte(pattern, p, s[i], nocase); ok {
				p = next
				i++
				continue
			}
		}
		if star < 0 || from+1 == len(s) {
			return false
		}
		if from = nextPlace(pattern[star], s, from+1, nocase); from < 0 {
			return false
		}
		p, i = star, from
	}
	return skipStars(pattern, p) == len(pattern)
}

// IsLiteral reports whether pattern has no special byte, so that it matches only itself.
func IsLiteral(pattern []byte) bool { return !bytes.ContainsAny(pattern, `*?[\`) }

// skipStars returns the first place at or after p where pattern has no '*'.
func skipStars(pattern []byte, p int) int {
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p
}

// nextPlace returns the first place in s, at or after from, where a pattern that begins with c may match; -1 if there
// is none.
func nextPlace(c byte, s []byte, from int, nocase bool) int {
	if nocase || c == '?' || c == '[' || c == '\\' {
		return from
	}
	if s[from] == c {
		return from
	}
	i := bytes.IndexByte(s[from:], c)
	if i < 0 {
		return -1
	}
	return from + i
}

// matchByte reports whether c matches the element at pattern[p], which is no '*', and where the next element begins.
func matchByte(pattern []byte, p int, c byte, nocase bool) (next int, ok bool) {
	switch want := pattern[p]; want {
	case '?':
		return p + 1, true
	case '[':
		return matchClass(pattern, p+1, c, nocase)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
		fallthrough
	default:
		want = pattern[p]
		return p + 1, want == c || nocase && lower(want) == lower(c)
	}
}

// matchClass is matchByte for a class, where p is behind its '['.
func matchClass(pattern []byte, p int, c byte, nocase bool) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	for p < len(pattern) && pattern[p] != ']' {
		switch left := len(pattern) - p; {
		case left >= 2 && pattern[p] == '\\':
			ok = ok || pattern[p+1] == c
			p += 2
		case left >= 3 && pattern[p+1] == '-':
			ok = ok || inRange(pattern[p], pattern[p+2], c, nocase)
			p += 3
		default:
			ok = ok || pattern[p] == c || nocase && lower(pattern[p]) == lower(c)
			p++
		}
	}
	return min(p+1, len(pattern)), ok != not
}

// inRange reports whether c is between a and b, as C's signed char compares them. The order of a and b is settled
// before case is ignored.
func inRange(a, b, c byte, nocase bool) bool {
	from, to := min(int8(a), int8(b)), max(int8(a), int8(b))
	if nocase {
		from, to, c = int8(lower(byte(from))), int8(lower(byte(to))), lower(c)
	}
	return from <= int8(c) && int8(c) <= to
}

// lower is C's tolower.
func lower(c byte) byte {
	if c-'A' < 26 {
		c += 'a' - 'A'
	}
	return c
}
