package redistest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"fulmen/internal/resp"
)

// OracleVersion is the version of the redis-server that is on PATH.
const OracleVersion = "7.0.15"

// Newer tells whether a version, as in COMMAND DOCS, is newer than the redis-server that is on PATH.
func Newer(version string) bool {
	return slices.CompareFunc(strings.Split(version, "."), strings.Split(OracleVersion, "."), func(a, b string) int {
		n, _ := strconv.Atoi(a)
		m, _ := strconv.Atoi(b)
		return cmp.Compare(n, m)
	}) > 0
}

// WithoutNewer takes out of a reply to COMMAND DOCS what is newer than the redis-server on PATH: arguments and lines of
// a history.
func WithoutNewer(v resp.Value) resp.Value {
	v.Elems = slices.DeleteFunc(slices.Clone(v.Elems), func(e resp.Value) bool {
		for i := 0; i+1 < len(e.Elems); i += 2 {
			if string(e.Elems[i].Str) == "since" {
				return Newer(string(e.Elems[i+1].Str))
			}
		}
		return len(e.Elems) == 2 && isVersion(string(e.Elems[0].Str)) && Newer(string(e.Elems[0].Str))
	})
	for i := range v.Elems {
		v.Elems[i] = WithoutNewer(v.Elems[i])
	}
	return v
}

func isVersion(s string) bool {
	return strings.Count(s, ".") == 2 && strings.Trim(s, "0123456789.") == ""
}

// WithOlderArity gives a reply to COMMAND INFO about a command the arity that it has in the redis-server on PATH, where
// a newer one has another argument.
func WithOlderArity(name string, v resp.Value) resp.Value {
	if name == "zrank" || name == "zrevrank" {
		v.Elems[0].Elems[1].Int = 3 // without WITHSCORE
	}
	return v
}
