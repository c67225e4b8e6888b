package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"fulmen/benchmarks/stat"
)

// Target is a figure that was promised, beside what was measured.
type Target struct {
	What     string
	Limit    float64
	AtLeast  bool   // the limit is a lower one
	Unit     string // "×", "B", "MB", "%", "µs"
	Measured stat.Figure
}

// Reached judges by the median. A target that was not measured is not reached.
func (t Target) Reached() bool {
	if t.Measured.N == 0 {
		return false
	}
	if t.AtLeast {
		return t.Measured.Median >= t.Limit
	}
	return t.Measured.Median <= t.Limit
}

// Verdict is "reached", "**missed**" or "not measured". It is "reached, not in every round" (or the contrary) where
// the spread straddles the limit, so that nobody takes luck for proof.
func (t Target) Verdict() string {
	worst, best := t.Measured.Max, t.Measured.Min
	if t.AtLeast {
		worst, best = best, worst
	}
	within := func(v float64) bool { return v == t.Limit || (v > t.Limit) == t.AtLeast }
	switch {
	case t.Measured.N == 0:
		return "not measured"
	case t.Reached() && within(worst):
		return "reached"
	case t.Reached():
		return "reached (not in every round)"
	case within(best):
		return "**missed** (not in every round)"
	}
	return "**missed**"
}

// Targets is a section's table of verdicts, between the markers that the summary looks for; empty without targets.
func Targets(targets []Target) string {
	if len(targets) == 0 {
		return ""
	}
	var rows [][]string
	for _, t := range targets {
		sign := "≤ "
		if t.AtLeast {
			sign = "≥ "
		}
		limit, measured := sign+Number(t.Limit)+unit(t.Unit), Spread(t.Measured)
		if t.Measured.N > 0 {
			measured += unit(t.Unit)
		}
		rows = append(rows, []string{t.What, limit, measured, t.Verdict()})
	}
	return targetsBegin + Table([]string{"target", "limit", "measured", "verdict"}, rows) + targetsEnd
}

func unit(name string) string {
	if name == "" || name == "×" {
		return name
	}
	return " " + name
}

// Spread is a figure as the report shows it: the median, and in parentheses the smallest and the largest round.
func Spread(f stat.Figure) string {
	switch f.N {
	case 0:
		return "–"
	case 1:
		return Number(f.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", Number(f.Median), Number(f.Min), Number(f.Max))
}

// Number shows three significant digits, and no fewer before the decimal point than there are.
func Number(v float64) string {
	switch magnitude := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case magnitude >= 100:
		return fmt.Sprintf("%.0f", v)
	case magnitude >= 10:
		return trim(fmt.Sprintf("%.1f", v))
	case magnitude >= 0.1 || v == 0:
		return trim(fmt.Sprintf("%.2f", v))
	}
	return trim(fmt.Sprintf("%.4f", v))
}

func trim(text string) string {
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Provenance says where a section's figures come from.
type Provenance struct {
	When     time.Time
	Machine  string
	Commit   string
	Versions []string // one line a server or tool
	Missing  []string // what was looked for and is not there
	Command  string
	Quick    bool // too short to mean anything
}

// String is the provenance as the paragraph that opens a section.
func (p Provenance) String() string {
	var out strings.Builder
	if p.Quick {
		out.WriteString("> **A quick run, to see that the harness works: these figures mean nothing.**\n\n")
	}
	when := p.When.UTC().Format("2006-01-02 15:04 UTC")
	fmt.Fprintf(&out, "Measured %s at commit %s on %s.\n\n", when, p.Commit, p.Machine)
	for _, version := range p.Versions {
		fmt.Fprintf(&out, "- %s\n", version)
	}
	if len(p.Missing) > 0 {
		fmt.Fprintf(&out, "- not installed here, so not compared: %s\n", strings.Join(p.Missing, ", "))
	}
	fmt.Fprintf(&out, "\nRepeat with `%s`.\n", p.Command)
	return out.String()
}
