package config

import "fulmen/internal/resp"

const errUnbalanced = reason("Unbalanced quotes in configuration line")

// splitArgs splits a line into words, which may be quoted; see resp.SplitArgs.
func splitArgs(line string) ([]string, error) {
	split, ok := resp.SplitArgs([]byte(line), nil)
	if !ok {
		return nil, errUnbalanced
	}
	words := make([]string, len(split))
	for i, w := range split {
		words[i] = string(w)
	}
	return words, nil
}

// quote gives s in double quotes so that splitArgs gives s back; bytes that do not print become \xHH.
func quote(s string) string { return string(resp.AppendQuoted(nil, s)) }

// quoteWord quotes s only where a file needs it.
func quoteWord(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '\\' {
			return quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
