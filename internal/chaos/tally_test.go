package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tally counts what was done and what came of it, over all rounds.
type tally struct {
	mu      sync.Mutex
	steps   map[string]int
	cuts    int
	kills   int
	checks  int
	told    int
	jobs    int
	written int64
	read    int64
	resyncs map[class]*resyncs
}

// class is what a resynchronization follows.
type class struct {
	after string
	kept  string // where the history is kept, as far as is promised; empty: nowhere
}

type resyncs struct{ partial, full int }

func newTally() *tally { return &tally{steps: map[string]int{}, resyncs: map[class]*resyncs{}} }

// add changes the tally under its lock.
func (a *tally) add(do func(*tally)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	do(a)
}

// resynced counts how a replica came back: full or partial.
func (a *tally) resynced(c class, full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.resyncs[c]
	if n == nil {
		n = &resyncs{}
		a.resyncs[c] = n
	}
	if full {
		n.full++
	} else {
		n.partial++
	}
}

func (a *tally) report() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "%d link cuts, %d kills; %d comparisons; %d commands, %d looks at accounts, %d acknowledged "+
		"keys, %d entries of queues\n", a.cuts, a.kills, a.checks, a.written, a.read, a.told, a.jobs)
	var lines []string
	for name, n := range a.steps {
		lines = append(lines, fmt.Sprintf("  %4d × %s", n, name))
	}
	slices.Sort(lines)
	fmt.Fprintf(&text, "%s\nresynchronizations:\n", strings.Join(lines, "\n"))
	lines = lines[:0]
	for c, n := range a.resyncs {
		kept := "nothing promised"
		if c.kept != "" {
			kept = "kept in the " + c.kept
		}
		lines = append(lines, fmt.Sprintf("  %-23s %-19s: %4d partial, %4d full", c.after, kept, n.partial, n.full))
	}
	slices.Sort(lines)
	text.WriteString(strings.Join(lines, "\n"))
	return text.String()
}

// judge fails the test if too few of the resynchronizations were partial that had to be.
func (a *tally) judge(t *testing.T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var sum resyncs
	for c, n := range a.resyncs {
		if c.kept != "" {
			sum.partial += n.partial
			sum.full += n.full
		}
	}
	if all := sum.full + sum.partial; sum.full > (all+19)/20 { // one of a few says nothing
		t.Errorf("where the history was kept %d of %d resynchronizations were full", sum.full, all)
	}
}
