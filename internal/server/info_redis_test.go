package server_test

import (
	"slices"
	"strings"
	"testing"
)

// infoSection is one section of INFO: names of fields in their order.
type infoSection struct {
	title  string
	fields []string
}

func parseInfo(text string) (sections []infoSection) {
	for line := range strings.SplitSeq(text, "\r\n") {
		name, _, isField := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "# "):
			sections = append(sections, infoSection{title: line})
		case isField:
			last := &sections[len(sections)-1]
			last.fields = append(last.fields, name)
		}
	}
	return sections
}

// TestInfoHasRedisFields compares the names of sections and fields, and their order, with redis-server.
func TestInfoHasRedisFields(t *testing.T) {
	b := dialBoth(t)
	for _, args := range [][]string{
		{"SET", "a", "1"}, {"SET", "b", "2", "EX", "1000"}, {"SELECT", "3"}, {"SET", "c", "3"}, {"GET"}, {"NOTHING"},
		{"CLIENT", "NOTHING"}, {"EXEC"}, {"AUTH", "nobody", "x"}, {"HELLO", "9"}, {"INCRBY", "c", "x"}, {"INFO"},
		{"MULTI"}, {"NOTHING"}, {"EXEC"}, {"MULTI"}, {"SELECT", "99"}, {"EXEC"}, {"CLIENT", "LIST"},
	} {
		b.do(args...)
	}
	for _, ask := range []string{
		"everything", "all", "default", "module_list", "MODULES", "latencystats", "keyspace\x00x", "nothing",
	} {
		right, ours := b.do("INFO", ask)
		want, got := parseInfo(string(right.Str)), parseInfo(string(ours.Str))
		if n := len(got); n > 0 && got[n-1].title == "# Fulmen" {
			got = got[:n-1]
		}
		if len(want) != len(got) {
			t.Fatalf("INFO %q: got sections %v, want %v", ask, got, want)
		}
		for i := range want {
			compareSections(t, want[i], got[i])
		}
	}
}

func compareSections(t *testing.T, want, got infoSection) {
	t.Helper()
	if want.title != got.title {
		t.Errorf("got section %q, want %q", got.title, want.title)
	}
	got.fields = slices.DeleteFunc(got.fields, func(name string) bool { return !slices.Contains(want.fields, name) })
	if want.title == "# Commandstats" || want.title == "# Latencystats" { // both in the order of their tables
		slices.Sort(want.fields)
		slices.Sort(got.fields)
	}
	if !slices.Equal(got.fields, want.fields) {
		t.Errorf("%s: got  %v\nwant %v", want.title, got.fields, want.fields)
	}
}

// TestStatisticsEqualRedis compares what commands count as: calls, rejected and failed ones, errors by code.
func TestStatisticsEqualRedis(t *testing.T) {
	b := dialBoth(t)
	for _, args := range [][]string{
		{"CONFIG", "RESETSTAT"}, {"NOTHING"}, {"GET"}, {"CLIENT", "NOTHING"}, {"CLIENT", "KILL"}, {"SELECT", "x"},
		{"EXEC"}, {"EXEC", "x"}, {"MULTI"}, {"NOTHING"}, {"EXEC"}, {"MULTI"}, {"SELECT", "77"}, {"PING"}, {"EXEC"},
		{"DEBUG", "NOTHING"}, {"MULTI"}, {"SHUTDOWN"}, {"DISCARD"}, {"RESET"}, {"AUTH", "x"}, {"HELLO", "9"},
		{"SET", "a", "b", "XX", "GT"}, {"MULTI"}, {"EXEC", "x"}, {"INCR", "a"}, {"WATCH", "a"}, {"MULTI"}, {"EXEC"},
	} {
		b.do(args...)
	}
	for _, section := range []string{"errorstats", "commandstats"} {
		right, ours := b.do("INFO", section)
		if want, got := counts(string(right.Str)), counts(string(ours.Str)); !slices.Equal(got, want) {
			t.Errorf("INFO %s:\ngot  %q\nwant %q", section, got, want)
		}
	}
}

// counts returns the lines of a section, sorted, without times.
func counts(text string) (lines []string) {
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\r\n") {
		name, fields, _ := strings.Cut(line, ":")
		kept := slices.DeleteFunc(strings.Split(fields, ","), func(field string) bool {
			return strings.HasPrefix(field, "usec")
		})
		lines = append(lines, name+":"+strings.Join(kept, ","))
	}
	slices.Sort(lines)
	return lines
}
