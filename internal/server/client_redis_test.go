package server_test

import (
	"slices"
	"strings"
	"testing"
)

// newerFields are the fields of CLIENT LIST that redis-server 7.0 does not have.
var newerFields = []string{"watch", "lib-name", "lib-ver"}

// changingFields are those whose value is not the same on two servers.
var changingFields = []string{"id", "addr", "laddr", "fd", "age", "idle", "qbuf", "qbuf-free", "multi-mem", "rbs",
	"rbp", "tot-mem"}

// clientFields parses a line of CLIENT LIST.
func clientFields(line string) (names []string, values map[string]string) {
	values = map[string]string{}
	for field := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(field, "=")
		if !slices.Contains(newerFields, name) {
			names = append(names, name)
			values[name] = value
		}
	}
	return names, values
}

// TestClientLineEqualsRedis compares a client's line field by field with redis-server, in several states.
func TestClientLineEqualsRedis(t *testing.T) {
	b := dialBoth(t)
	for _, state := range [][][]string{
		{{"PING"}},
		{{"CLIENT", "SETNAME", "joe"}, {"SELECT", "3"}},
		{{"CLIENT", "NO-EVICT", "ON"}, {"HELLO", "3"}},
		{{"WATCH", "a", "b"}, {"SET", "a", "1"}},
		{{"CLIENT", "NO-EVICT", "OFF"}, {"RESET"}}, // RESET switches it off since Redis 7.2
		{{"CLIENT", "REPLY", "ON"}, {"WATCH", "x"}, {"GET", "x"}},
		{{"UNWATCH"}, {"HELLO", "2", "SETNAME", "jim"}},
		{{"HELLO", "3"}, {"SUBSCRIBE", "a"}, {"PSUBSCRIBE", "b"}, {"SSUBSCRIBE", "c"}, {"SUBSCRIBE", "b"}},
		{{"UNSUBSCRIBE", "a"}, {"UNSUBSCRIBE", "b"}, {"PUNSUBSCRIBE"}, {"SUNSUBSCRIBE"}},
	} {
		for _, args := range state {
			b.do(args...)
		}
		kind := "normal"
		if state[0][0] == "HELLO" {
			kind = "pubsub"
		}
		for _, ask := range [][]string{{"CLIENT", "INFO"}, {"CLIENT", "LIST"}, {"client", "list", "type", kind}} {
			right, ours := b.do(ask...)
			// A client that was here before may be in the oracle's list: the last line is the asker's.
			want, wantValues := clientFields(lastLine(string(right.Str)))
			got, values := clientFields(lastLine(string(ours.Str)))
			if !slices.Equal(got, want) {
				t.Errorf("%v: got  fields %v\nwant %v", ask, got, want)
			}
			// Ours is asked through a unix socket.
			if values["flags"] = strings.Replace(values["flags"], "U", "", 1); values["flags"] == "" {
				values["flags"] = "N"
			}
			for _, name := range want {
				if !slices.Contains(changingFields, name) && values[name] != wantValues[name] {
					t.Errorf("%v behind %v: %s is %q, want %q", ask, state, name, values[name], wantValues[name])
				}
			}
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[len(lines)-1]
}
