package server

import (
	"fmt"
	"strings"

	"fulmen/internal/config"
)

// A latency graph has so many rows, each in so many steps from nothing to a full character, and a line of this length
// below its title.
const (
	graphRows    = 4
	graphSteps   = "_o#"
	graphColumns = 80
)

// latencyGraph draws an event's samples: a column each, below them their age.
func latencyGraph(e *latencyEvent, nowSec int64) string {
	low, high := e.samples[0].ms, e.samples[0].ms
	for _, s := range e.samples {
		low, high = min(low, s.ms), max(high, s.ms)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n", e.name, high, low, e.maxMs)
	b.WriteString(strings.Repeat("-", graphColumns) + "\n")
	for from := 0; from < len(e.samples); from += graphColumns {
		if from > 0 {
			b.WriteByte('\n')
		}
		part := e.samples[from:min(from+graphColumns, len(e.samples))]
		drawColumns(&b, part, low, max(high-low, 1))
		drawAges(&b, part, nowSec)
	}
	return b.String()
}

// drawColumns draws samples as columns whose height is their distance from low in terms of span.
func drawColumns(b *strings.Builder, samples []latencySample, low, span int64) {
	const full = graphRows * len(graphSteps)
	for row := range graphRows {
		below := (graphRows - row - 1) * len(graphSteps)
		for _, s := range samples {
			step := int(min((s.ms-low)*int64(full)/span, int64(full-1))) - below
			switch {
			case step < 0:
				b.WriteByte(' ')
			case step < len(graphSteps):
				b.WriteByte(graphSteps[step])
			default:
				b.WriteByte('|')
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString(strings.Repeat(" ", len(samples)) + "\n")
}

// drawAges writes the age of each sample below it, from top to bottom.
func drawAges(b *strings.Builder, samples []latencySample, nowSec int64) {
	ages := make([]string, len(samples))
	longest := 0
	for i, s := range samples {
		ages[i] = age(nowSec - s.timeSec)
		longest = max(longest, len(ages[i]))
	}
	for row := range longest {
		for _, text := range ages {
			if row < len(text) {
				b.WriteByte(text[row])
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
}

// age words seconds in the largest unit that gives a number above 0.
func age(sec int64) string {
	switch {
	case sec < 60:
		return fmt.Sprintf("%ds", sec)
	case sec < 3600:
		return fmt.Sprintf("%dm", sec/60)
	case sec < 86400:
		return fmt.Sprintf("%dh", sec/3600)
	}
	return fmt.Sprintf("%dd", sec/86400)
}

// latencyReport is LATENCY DOCTOR's text: what was noted, and what may help.
func latencyReport(events []latencyEvent, v *config.Values) string {
	if len(events) == 0 {
		if v.LatencyFromMs == 0 {
			return "The latency monitor is off. \"CONFIG SET latency-monitor-threshold <milliseconds>\" makes it " +
				"note commands and background work that take as long.\n"
		}
		return fmt.Sprintf("Nothing has taken %d ms or longer since the latency monitor was turned on.\n",
			v.LatencyFromMs)
	}
	var b strings.Builder
	b.WriteString("Some events took longer than latency-monitor-threshold:\n\n")
	advice := map[string]bool{}
	var order []string
	advise := func(text string) {
		if !advice[text] {
			advice[text] = true
			order = append(order, text)
		}
	}
	for i := range events {
		e := &events[i]
		average, deviation, period := e.summary()
		fmt.Fprintf(&b, "%d. %s: %d latency spikes (average %dms, mean deviation %dms, period %.2f sec). "+
			"Worst all time event %dms.\n", i+1, e.name, len(e.samples), average, deviation,
			float64(period)/float64(len(e.samples)), e.maxMs)
		adviseFor(e.name, v, advise)
	}
	if len(order) > 0 {
		b.WriteString("\nWhat may help:\n\n- " + strings.Join(order, "\n- ") + "\n")
	}
	return b.String()
}

// adviseFor gives advice on one event.
func adviseFor(event string, v *config.Values, advise func(text string)) {
	switch event {
	case "command":
		switch {
		case v.SlowLogFromUs < 0 || v.SlowLogEntries == 0:
			advise("The slow log is off. 'CONFIG SET slowlog-log-slower-than " + fmt.Sprint(v.LatencyFromMs*1000) +
				"' and a slowlog-max-len above 0 make it show which commands are slow.")
		case v.SlowLogFromUs/1000 > v.LatencyFromMs:
			advise("The slow log notes only commands that are slower than what the latency monitor notes. " +
				"'CONFIG SET slowlog-log-slower-than " + fmt.Sprint(v.LatencyFromMs*1000) + "' makes them agree.")
		}
		advise("SLOWLOG GET shows which commands are slow, with their arguments. INFO commandstats and " +
			"LATENCY HISTOGRAM show how slow they are as a rule.")
	case "fast-command":
		advise("Commands that touch one element take long only if their thread does not run or waits for memory: " +
			"look at the load of the machine, at neighbours on the same host and at swapping.")
	case "expire-cycle":
		advise("Deleting expired keys was interrupted: its slices are of 100 µs. Look at the load of the machine.")
	case "eviction-cycle", "eviction-del":
		advise("Much was evicted at once: raise maxmemory, or make lower limits in small steps.")
	}
}

// summary returns the average and the mean deviation of the samples in milliseconds, and the seconds since which they
// come at most.
func (e *latencyEvent) summary() (average, deviation, periodSec int64) {
	n := int64(len(e.samples))
	sum := int64(0)
	for _, s := range e.samples {
		sum += s.ms
	}
	average = sum / n
	for _, s := range e.samples {
		deviation += max(average-s.ms, s.ms-average)
	}
	return average, deviation / n, max(e.samples[n-1].timeSec-e.samples[0].timeSec, 1)
}
