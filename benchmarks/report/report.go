// Package report writes BENCHMARKS.md: a document of sections, one per scenario, each of which can be measured and
// replaced without the others.
//
// It formats figures and judges them against their targets; it measures nothing.
//
// # Format
//
// A section stands between the lines
//
//	<!-- section NAME: begin -->
//	<!-- section NAME: end -->
//
// and its verdicts, if it has any, between <!-- targets: begin --> and <!-- targets: end -->. Whatever stands
// outside the sections is kept as it is. The section "summary" is made of the verdicts of all others, each time one
// of them changes.
package report

import (
	"fmt"
	"slices"
	"strings"
)

const (
	targetsBegin = "<!-- targets: begin -->\n"
	targetsEnd   = "<!-- targets: end -->\n"
	// Summary is the name of the section that lists the verdicts of all others.
	Summary = "summary"
)

func begin(name string) string { return "<!-- section " + name + ": begin -->\n" }
func end(name string) string   { return "<!-- section " + name + ": end -->\n" }

// Section gives the text of a section of the document, without its markers.
func Section(document, name string) (text string, found bool) {
	_, rest, found := strings.Cut(document, begin(name))
	if !found {
		return "", false
	}
	text, _, found = strings.Cut(rest, end(name))
	return text, found
}

// Replace puts a section into the document: in the place of its older self, else where order says it belongs among
// the sections that are there, else at the end.
func Replace(document, name, text string, order []string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	block := begin(name) + text + end(name)
	if old, found := Section(document, name); found {
		return strings.Replace(document, begin(name)+old+end(name), block, 1)
	}
	at := slices.Index(order, name)
	for i := at + 1; at >= 0 && i < len(order); i++ {
		if next := strings.Index(document, begin(order[i])); next >= 0 {
			return document[:next] + block + "\n" + document[next:]
		}
	}
	for i := at - 1; i >= 0; i-- {
		if last := strings.Index(document, end(order[i])); last >= 0 {
			last += len(end(order[i]))
			return document[:last] + "\n" + block + document[last:]
		}
	}
	if document != "" {
		document = strings.TrimRight(document, "\n") + "\n\n"
	}
	return document + block
}

// Summarise makes the summary's table from the verdicts of the sections in order.
func Summarise(document string, order []string) string {
	var rows [][]string
	for _, name := range order {
		text, _ := Section(document, name)
		_, rest, found := strings.Cut(text, targetsBegin)
		if !found || name == Summary {
			continue
		}
		table, _, _ := strings.Cut(rest, targetsEnd)
		for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if i < 2 || len(cells) != 4 {
				continue // The table's head.
			}
			for j := range cells {
				cells[j] = strings.TrimSpace(cells[j])
			}
			rows = append(rows, append([]string{"[" + name + "](#" + name + ")"}, cells...))
		}
	}
	if len(rows) == 0 {
		return "Nothing measured yet.\n"
	}
	return Table([]string{"section", "target", "limit", "measured", "verdict"}, rows)
}

// Table is a Markdown table whose columns line up in the source too. The first column is left-aligned, the others
// right-aligned.
func Table(head []string, rows [][]string) string {
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i := range min(len(row), len(head)) {
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
	}
	var out strings.Builder
	line := func(row []string) {
		out.WriteByte('|')
		for i := range head {
			cell := ""
			if i < len(row) {
				cell = row[i]
			}
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 0 {
				fmt.Fprintf(&out, " %s%s |", cell, pad)
			} else {
				fmt.Fprintf(&out, " %s%s |", pad, cell)
			}
		}
		out.WriteByte('\n')
	}
	line(head)
	for i := range head {
		if i == 0 {
			out.WriteString("| " + strings.Repeat("-", max(widths[0], 3)) + " |")
		} else {
			out.WriteString(" " + strings.Repeat("-", max(widths[i]-1, 2)) + ": |")
		}
	}
	out.WriteByte('\n')
	for _, row := range rows {
		line(row)
	}
	return out.String()
}

// Bars draws one bar per value, the longest 50 characters wide, in a code block.
func Bars(names []string, values []float64, unit string) string {
	var longest float64
	width := 0
	for i, name := range names {
		longest = max(longest, values[i])
		width = max(width, len([]rune(name)))
	}
	if longest <= 0 {
		return ""
	}
	var out strings.Builder
	out.WriteString("```text\n")
	for i, name := range names {
		bar := strings.Repeat("█", max(int(values[i]/longest*50+0.5), 0))
		pad := strings.Repeat(" ", width-len([]rune(name)))
		fmt.Fprintf(&out, "%s%s  %s %s %s\n", name, pad, bar, Number(values[i]), unit)
	}
	out.WriteString("```\n")
	return out.String()
}
