package report

import (
	"strings"
	"testing"
	"time"

	"fulmen/benchmarks/stat"
)

func TestReplaceKeepsTheRest(t *testing.T) {
	order := []string{"summary", "cpu", "memory", "empty"}
	doc := "# Title\n\nWritten by hand.\n"
	doc = Replace(doc, "memory", "m1", order)
	doc = Replace(doc, "empty", "e1\n", order)
	doc = Replace(doc, "cpu", "c1", order)
	doc = Replace(doc, "summary", "s1", order)
	doc = Replace(doc, "other", "o1", order)
	doc += "\nAt the end.\n"
	want := []string{"# Title", "Written by hand.", "s1", "c1", "m1", "e1", "o1", "At the end."}
	at := 0
	for _, part := range want {
		next := strings.Index(doc[at:], part)
		if next < 0 {
			t.Fatalf("%q is not after the others in:\n%s", part, doc)
		}
		at += next
	}
	changed := Replace(doc, "memory", "m2\nm3", order)
	if got, _ := Section(changed, "memory"); got != "m2\nm3\n" {
		t.Errorf("section = %q", got)
	}
	if back := Replace(changed, "memory", "m1", order); back != doc {
		t.Errorf("the rest changed:\n%s\nwas:\n%s", back, doc)
	}
	if _, found := Section(doc, "nothing"); found {
		t.Error("a section that isn't there was found")
	}
}

func TestSummaryFollowsSections(t *testing.T) {
	order := []string{"summary", "cpu", "empty"}
	if got := Summarise("", order); got != "Nothing measured yet.\n" {
		t.Errorf("empty summary %q", got)
	}
	doc := Replace("", "cpu", "text\n"+Targets([]Target{
		{What: "GET", Limit: 0.5, Unit: "×", Measured: stat.Of([]float64{0.4, 0.42, 0.45})},
	}), order)
	doc = Replace(doc, "empty", Targets([]Target{{What: "RSS", Limit: 32, Unit: "MB"}}), order)
	got := Summarise(doc, order)
	for _, want := range []string{
		"[cpu](#cpu)", "0.42 (0.4–0.45)×", "reached", "[empty](#empty)", "not measured", "≤ 32 MB",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestVerdicts(t *testing.T) {
	atLeast := func(values ...float64) Target {
		return Target{Limit: 0.85, AtLeast: true, Measured: stat.Of(values)}
	}
	cases := []struct {
		target Target
		want   string
	}{
		{Target{Limit: 1}, "not measured"},
		{Target{Limit: 1, Measured: stat.Of([]float64{0.8, 0.9, 1})}, "reached"},
		{Target{Limit: 1, Measured: stat.Of([]float64{0.8, 0.9, 1.1})}, "reached (not in every round)"},
		{Target{Limit: 1, Measured: stat.Of([]float64{0.8, 1.1, 1.2})}, "**missed** (not in every round)"},
		{Target{Limit: 1, Measured: stat.Of([]float64{1.1, 1.2})}, "**missed**"},
		{atLeast(0.85, 0.9), "reached"},
		{atLeast(0.8, 0.9, 0.9), "reached (not in every round)"},
		{atLeast(0.7, 0.8, 0.9), "**missed** (not in every round)"},
		{atLeast(0.7), "**missed**"},
	}
	for _, c := range cases {
		if got := c.target.Verdict(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.target, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	cases := map[float64]string{
		0: "0", 0.01234: "0.0123", 0.5: "0.5", 1.239: "1.24", 12.34: "12.3", 123.4: "123", 45678: "45678", -2.5: "-2.5",
	}
	for v, want := range cases {
		if got := Number(v); got != want {
			t.Errorf("Number(%g) = %q, want %q", v, got, want)
		}
	}
}

func TestTableLinesUp(t *testing.T) {
	got := Table([]string{"a", "µs"}, [][]string{{"long name", "1"}, {"b", "22.5 µs"}, {"c"}})
	lines := strings.Split(strings.TrimSpace(got), "\n")
	for _, line := range lines {
		if len([]rune(line)) != len([]rune(lines[0])) {
			t.Errorf("columns don't line up:\n%s", got)
		}
	}
	if bars := Bars([]string{"a", "bb"}, []float64{1, 2}, "µs"); strings.Count(bars, "█") != 75 {
		t.Errorf("bars:\n%s", bars)
	}
}

func TestProvenance(t *testing.T) {
	p := Provenance{When: time.Unix(0, 0), Machine: "m", Commit: "c", Command: "go run", Quick: true}
	p.Versions, p.Missing = []string{"v"}, []string{"x", "y"}
	for _, want := range []string{
		"mean nothing", "1970-01-01 00:00 UTC at commit c on m", "- v\n", "x, y", "`go run`",
	} {
		if !strings.Contains(p.String(), want) {
			t.Errorf("no %q in\n%s", want, p)
		}
	}
}
