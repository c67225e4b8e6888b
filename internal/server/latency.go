package server

import (
	"sync"

	"fulmen/internal/resp"
	"fulmen/internal/stats"
	"fulmen/shard/command"
)

// latencySamples is how many samples of an event are kept: one a second in which it happened.
const latencySamples = 160

// latencyUnitNs is the unit of thresholds and samples: what takes less is no event.
const latencyUnitNs = 1_000_000

// latencySample is the longest that an event took in one second.
type latencySample struct {
	timeSec, ms int64
}

// latencyEvent is what is known of one event: its latest samples, the oldest first, and the longest of all.
type latencyEvent struct {
	name    string
	samples []latencySample
	maxMs   int64
}

// latencyMonitor keeps the events that took long. Safe from any goroutine; its lock is taken for such events and by
// LATENCY.
type latencyMonitor struct {
	mu          sync.Mutex
	thresholdMs int64
	events      []*latencyEvent // in the order of their first occurrence
}

func (l *latencyMonitor) setThreshold(ms int64) {
	l.mu.Lock()
	l.thresholdMs = ms
	l.mu.Unlock()
}

// add notes that an event took ns nanoseconds, if that is long.
func (l *latencyMonitor) add(event string, ns, nowMs int64) {
	ms, now := ns/latencyUnitNs, nowMs/1000
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.thresholdMs == 0 || ms < l.thresholdMs {
		return
	}
	e := l.find(event)
	if e == nil {
		e = &latencyEvent{name: event}
		l.events = append(l.events, e)
	}
	e.maxMs = max(e.maxMs, ms)
	if n := len(e.samples); n > 0 && e.samples[n-1].timeSec == now {
		e.samples[n-1].ms = max(e.samples[n-1].ms, ms)
		return
	}
	if len(e.samples) == latencySamples {
		e.samples = append(e.samples[:0], e.samples[1:]...)
	}
	e.samples = append(e.samples, latencySample{now, ms})
}

// find returns an event or nil; with the lock held.
func (l *latencyMonitor) find(name string) *latencyEvent {
	for _, e := range l.events {
		if e.name == name {
			return e
		}
	}
	return nil
}

// copyOf returns a copy of the event with that name, which is in no particular case; without samples if there is none.
func (l *latencyMonitor) copyOf(name string) (e latencyEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.find(name); found != nil {
		e = *found
		e.samples = append([]latencySample(nil), found.samples...)
	}
	return e
}

// all returns copies of all events.
func (l *latencyMonitor) all() []latencyEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]latencyEvent, 0, len(l.events))
	for _, e := range l.events {
		c := *e
		c.samples = append([]latencySample(nil), e.samples...)
		out = append(out, c)
	}
	return out
}

// reset forgets the named events, all of them if none is named, and returns their number.
func (l *latencyMonitor) reset(names []string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(names) == 0 {
		n, l.events = len(l.events), nil
		return n
	}
	for _, name := range names {
		for i, e := range l.events {
			if e.name == name {
				l.events = append(l.events[:i:i], l.events[i+1:]...)
				n++
				break
			}
		}
	}
	return n
}

func latencyRow() *command.Row {
	sub := func(name string, arity int, summary, args string, run func(*Session) error) *command.Row {
		return &command.Row{Info: command.Info{
			Name: name, Arity: arity, Group: "server", Since: "2.8.13", Summary: summary, Complexity: "O(1)",
			Flags: command.Admin | command.NoScript | command.Loading | command.Stale, Args: args,
			Tips: []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"},
		}, RunSession: onSession(run)}
	}
	reset := sub("reset", -2, "Reset latency data for one or more events.", "event?*", cmdLatencyReset)
	reset.Tips = []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	histogram := sub("histogram", -2, "Return the cumulative distribution of latencies of a subset of commands or all.",
		"command?*", cmdLatencyHistogram)
	histogram.Since = "7.0.0"
	histogram.Complexity = "O(N) where N is the number of commands with latency information being retrieved."
	help := sub("help", 2, "Show helpful text about the different subcommands.", "", cmdLatencyHelp)
	help.Flags, help.Tips = command.Loading|command.Stale, nil
	return &command.Row{Info: command.Info{
		Name: "latency", Arity: -2, Group: "server", Since: "2.8.13",
		Summary: "A container for latency diagnostics commands", Complexity: "Depends on subcommand.",
	}, Subs: []*command.Row{
		sub("doctor", 2, "Return a human readable latency analysis report.", "", cmdLatencyDoctor),
		sub("graph", 3, "Return a latency graph for the event.", "event", cmdLatencyGraph),
		help,
		histogram,
		sub("history", 3, "Return timestamp-latency samples for the event.", "event", cmdLatencyHistory),
		sub("latest", 2, "Return the latest latency samples for all events.", "", cmdLatencyLatest),
		reset,
	}}
}

// LATENCY LATEST
func cmdLatencyLatest(s *Session) error {
	events := s.srv.observation.latency.all()
	c := s.c
	c.Array(len(events))
	for _, e := range events {
		last := e.samples[len(e.samples)-1]
		c.Array(4)
		c.BulkString(e.name)
		c.Int(last.timeSec)
		c.Int(last.ms)
		c.Int(e.maxMs)
	}
	return nil
}

// LATENCY HISTORY event
func cmdLatencyHistory(s *Session) error {
	e := s.srv.observation.latency.copyOf(cString(s.c.Args[2]))
	s.c.Array(len(e.samples))
	for _, sample := range e.samples {
		s.c.Array(2)
		s.c.Int(sample.timeSec)
		s.c.Int(sample.ms)
	}
	return nil
}

// LATENCY RESET [event [event ...]]
func cmdLatencyReset(s *Session) error {
	var names []string
	for _, a := range s.c.Args[2:] {
		names = append(names, cString(a))
	}
	s.c.Int(int64(s.srv.observation.latency.reset(names)))
	return nil
}

// LATENCY GRAPH event
func cmdLatencyGraph(s *Session) error {
	name := cString(s.c.Args[2])
	e := s.srv.observation.latency.copyOf(name)
	if len(e.samples) == 0 {
		return resp.Errorf("ERR", "No samples available for event '%s'", name)
	}
	s.c.Verbatim("txt", latencyGraph(&e, s.srv.set.Clock.NowMs()/1000))
	return nil
}

// LATENCY DOCTOR
func cmdLatencyDoctor(s *Session) error {
	v := s.srv.cfg.Values()
	s.c.Verbatim("txt", latencyReport(s.srv.observation.latency.all(), v))
	return nil
}

// LATENCY HISTOGRAM [command [command ...]]
func cmdLatencyHistogram(s *Session) error {
	var rows []*command.Row
	add := func(row *command.Row) {
		if s.srv.rowTotals(row.Index).Calls > 0 {
			rows = append(rows, row)
		}
	}
	if len(s.c.Args) == 2 {
		for _, row := range s.srv.table.All() {
			add(row)
		}
	}
	for _, name := range s.c.Args[2:] {
		row := s.srv.table.LookupFull(name)
		if row == nil {
			continue
		}
		if row.Run != nil || row.RunSession != nil {
			add(row)
		}
		for _, sub := range row.Subs {
			add(sub)
		}
	}
	durations := make([]*stats.Counts, 0, len(rows))
	kept := rows[:0]
	for _, row := range rows {
		if d := s.srv.durations(row); d.Total > 0 {
			kept, durations = append(kept, row), append(durations, d)
		}
	}
	s.c.Map(len(kept))
	for i, row := range kept {
		s.c.BulkString(row.FullName)
		s.histogram(durations[i])
	}
	return nil
}

// durations sums a row's durations over the loops.
func (srv *Server) durations(row *command.Row) *stats.Counts {
	sum := &stats.Counts{}
	for _, l := range srv.loops {
		l.calls.SumDurations(row.Index, sum)
	}
	return sum
}

// histogram replies durations as LATENCY HISTOGRAM shows them.
func (s *Session) histogram(d *stats.Counts) {
	type step struct {
		us   int64
		upTo uint64
	}
	var steps []step
	d.Steps(func(us int64, upTo uint64) { steps = append(steps, step{us, upTo}) })
	c := s.c
	c.Map(2)
	c.BulkString("calls")
	c.Int(int64(d.Total))
	c.BulkString("histogram_usec")
	c.Map(len(steps))
	for _, x := range steps {
		c.Int(x.us)
		c.Int(int64(x.upTo))
	}
}

// latencyHelp is the text of LATENCY HELP but for what Help adds.
const latencyHelp = `DOCTOR
    Return a human readable latency analysis report.
GRAPH <event>
    Return an ASCII latency graph for the <event> class.
HISTORY <event>
    Return time-latency samples for the <event> class.
LATEST
    Return the latest latency samples for all events.
RESET [<event> ...]
    Reset latency data of one or more <event> classes.
    (default: reset all data for all event classes)
HISTOGRAM [COMMAND ...]
    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.
    If no commands are specified then all histograms are replied.
`

// LATENCY HELP
func cmdLatencyHelp(s *Session) error {
	s.c.Help(latencyHelp)
	return nil
}
