package console

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

// writeMetrics writes one snapshot in Prometheus's text format. The package's own types of metrics would have to be
// kept up to date beside the server's counters; as a writer of a set it gives each scrape one consistent look. Its
// switch for HELP and TYPE lines is global to the process, and its figures of the process stop the world
// (runtime.ReadMemStats), so both are done here.
func (c *Console) writeMetrics(w io.Writer) {
	st := c.source.Status()
	p := &page{w}
	p.process(st)
	p.commands(st)
	p.network(st)
	p.memory(st)
	p.keyspace(st)
	p.persistence(&st.Persistence)
	p.holds(st.Shards)
}

// page is a metrics page in the making. A family's samples follow its head.
type page struct{ w io.Writer }

func (p *page) head(name, kind, help string) {
	fmt.Fprintf(p.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (p *page) counter(name, help string, n int64) {
	p.head(name, "counter", help)
	p.count(name, n)
}

func (p *page) gauge(name, help string, n int64) {
	p.head(name, "gauge", help)
	p.level(name, n)
}

// count and level write one sample; a counter that is being reset may look negative for a moment.
func (p *page) count(series string, n int64) {
	metrics.WriteCounterUint64(p.w, series, uint64(max(n, 0)))
}
func (p *page) level(series string, n int64) {
	metrics.WriteGaugeUint64(p.w, series, uint64(max(n, 0)))
}

func (p *page) seconds(name, kind, help string, seconds float64) {
	p.head(name, kind, help)
	metrics.WriteGaugeFloat64(p.w, name, seconds)
}

// labelled names a series: labelled("x", "db", "0") is x{db="0"}.
func labelled(name string, pairs ...string) string {
	var b strings.Builder
	b.WriteString(name)
	before := byte('{')
	for i := 0; i < len(pairs); i += 2 {
		b.WriteByte(before)
		b.WriteString(pairs[i])
		b.WriteString(`="`)
		b.WriteString(labelEscapes.Replace(pairs[i+1]))
		b.WriteByte('"')
		before = ','
	}
	b.WriteByte('}')
	return b.String()
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (p *page) process(st *Status) {
	p.head("fulmen_build_info", "gauge", "Versions, as labels.")
	p.level(labelled("fulmen_build_info", "version", st.Version, "redis_version", st.RedisVersion,
		"go_version", st.GoVersion), 1)
	p.gauge("fulmen_uptime_seconds", "Seconds since the start.", st.UptimeSeconds)
	p.seconds("process_cpu_seconds_total", "counter", "CPU time of the process, user and system.", st.ProcessCPUSeconds)
	p.gauge("process_resident_memory_bytes", "Resident set size.", st.RSSBytes)
	p.seconds("fulmen_gc_cpu_seconds_total", "counter", "CPU time of the garbage collector, idle time excluded.",
		st.GCCPUSeconds)
	p.gauge("fulmen_go_heap_bytes", "Objects on the Go heap.", st.GoHeapBytes)
}

func (p *page) commands(st *Status) {
	p.counter("fulmen_commands_processed_total", "Commands executed or refused.", st.CommandsProcessed)
	p.gauge("fulmen_commands_per_second", "Commands per second over the last 1.6 s.", st.Throughput.CommandsPerSecond)
	for _, family := range []struct {
		name, help string
		of         func(*Command) int64
	}{
		{"fulmen_command_calls_total", "Executions of a command.", func(c *Command) int64 { return c.Calls }},
		{"fulmen_command_failed_total", "Executions that ended in an error.",
			func(c *Command) int64 { return c.Failed }},
		{"fulmen_command_rejected_total", "Commands refused before execution.",
			func(c *Command) int64 { return c.Rejected }},
	} {
		p.head(family.name, "counter", family.help)
		for i := range st.Latency.Commands {
			cmd := &st.Latency.Commands[i]
			p.count(labelled(family.name, "command", cmd.Name), family.of(cmd))
		}
	}
	const seconds = "fulmen_command_seconds_total"
	p.head(seconds, "counter", "Time that executions of a command took.")
	for _, cmd := range st.Latency.Commands {
		metrics.WriteCounterFloat64(p.w, labelled(seconds, "command", cmd.Name), cmd.TotalUs/1e6)
	}
	const errors = "fulmen_error_replies_total"
	p.head(errors, "counter", "Error replies by code.")
	for _, code := range slices.Sorted(maps.Keys(st.Errors)) {
		p.count(labelled(errors, "code", code), st.Errors[code])
	}
}

func (p *page) network(st *Status) {
	p.counter("fulmen_net_input_bytes_total", "Bytes received from clients.", st.Throughput.InputBytes)
	p.counter("fulmen_net_output_bytes_total", "Bytes sent to clients.", st.Throughput.OutputBytes)
	c := &st.Connections
	const loops = "fulmen_connections"
	p.head(loops, "gauge", "Open client connections by event loop.")
	for i, n := range c.PerLoop {
		p.level(labelled(loops, "loop", strconv.Itoa(i)), n)
	}
	p.gauge("fulmen_connections_limit", "Parameter maxclients.", c.Limit)
	p.counter("fulmen_connections_accepted_total", "Connections accepted, refused ones included.", c.Accepted)
	p.counter("fulmen_connections_refused_total", "Connections refused: too many, or protected mode.", c.Refused)
	p.counter("fulmen_connections_failed_total", "Connections that could not be accepted.", c.Failed)
	const closed = "fulmen_connections_limit_closed_total"
	p.head(closed, "counter", "Connections closed because a buffer reached its limit.")
	p.count(labelled(closed, "buffer", "query"), c.QueryLimitCloses)
	p.count(labelled(closed, "buffer", "output"), c.OutputLimitCloses)
}

func (p *page) memory(st *Status) {
	m := &st.Memory
	p.gauge("fulmen_memory_used_bytes", "Bytes that count against maxmemory.", m.UsedBytes)
	p.gauge("fulmen_memory_peak_bytes", "Peak of fulmen_memory_used_bytes.", m.PeakBytes)
	p.gauge("fulmen_memory_limit_bytes", "Parameter maxmemory, 0 for none.", m.LimitBytes)
	p.gauge("fulmen_memory_arena_bytes", "Keys, values and indexes.", m.ArenaBytes)
	p.gauge("fulmen_memory_arena_mapped_bytes", "Arena memory made accessible so far.", m.ArenaMappedBytes)
	p.gauge("fulmen_memory_arena_free_bytes", "Mapped arena memory that no shard holds.", m.ArenaFreeBytes)
	p.gauge("fulmen_memory_index_bytes", "Indexes, part of the arenas.", m.IndexBytes)
	p.gauge("fulmen_memory_client_bytes", "Connections and their buffers.", m.ClientBytes)
	p.gauge("fulmen_memory_log_bytes", "The in-memory log.", m.LogBytes)
}

func (p *page) keyspace(st *Status) {
	const keys, expires = "fulmen_db_keys", "fulmen_db_expires"
	p.head(keys, "gauge", "Keys by database.")
	for _, db := range st.Keyspace {
		p.level(labelled(keys, "db", strconv.Itoa(db.DB)), db.Keys)
	}
	p.head(expires, "gauge", "Keys with an expiry by database.")
	for _, db := range st.Keyspace {
		p.level(labelled(expires, "db", strconv.Itoa(db.DB)), db.Expires)
	}
	e := &st.Events
	p.counter("fulmen_keyspace_hits_total", "Lookups by commands that read, with a key found.", e.Hits)
	p.counter("fulmen_keyspace_misses_total", "Lookups by commands that read, without.", e.Misses)
	p.counter("fulmen_changes_total", "Changes to keys since the start.", e.Changes)
	p.counter("fulmen_expired_keys_total", "Keys deleted because their time had come.", e.ExpiredKeys)
	p.counter("fulmen_inbox_tasks_total", "Commands executed by another loop than their own.", e.InboxTasks)
	p.counter("fulmen_batons_handed_over_total", "Batons given to transactions that waited for several.", e.HandedOver)
	p.counter("fulmen_lazy_freed_total", "Objects freed in the background.", e.LazyFreed)
	p.gauge("fulmen_lazy_pending", "Objects that wait to be freed.", e.LazyPending)
	p.counter("fulmen_background_cut_short_total", "Slices of background work that used up their time.", e.CutShort)
}

func (p *page) persistence(s *Persistence) {
	flag := func(name, help string, on bool) {
		n := int64(0)
		if on {
			n = 1
		}
		p.gauge(name, help, n)
	}
	flag("fulmen_loading", "Whether a snapshot is being loaded.", s.Loading)
	p.gauge("fulmen_load_keys", "Keys that the last load, or the one under way, has loaded.", s.LoadedKeys)
	flag("fulmen_save_in_progress", "Whether a snapshot is being saved.", s.Saving)
	p.seconds("fulmen_save_progress_ratio", "gauge", "How much of the keys of the save under way is saved.",
		s.SavePercent/100)
	p.gauge("fulmen_save_buffer_bytes", "Memory that the save under way occupies.", s.BufferBytes)
	p.gauge("fulmen_changes_since_last_save", "Changes that would be lost with the process.", s.Changes)
	p.counter("fulmen_saves_total", "Saves begun.", s.Saves)
	flag("fulmen_last_save_ok", "Whether the last save in the background was good.", s.LastOK)
	flag("fulmen_writes_refused", "Whether commands that write are refused because a save has failed.", s.WritesRefused)
	p.gauge("fulmen_last_save_timestamp_seconds", "When the last good save ended.", s.LastUnix)
	p.seconds("fulmen_last_save_duration_seconds", "gauge", "How long the last save took.", s.LastSeconds)
	p.gauge("fulmen_last_save_bytes", "Bytes of the last snapshot before LZ4.", s.LastBytes)
	p.gauge("fulmen_last_save_keys", "Keys of the last snapshot.", s.LastKeys)
	p.gauge("fulmen_last_save_copied_bytes", "Bytes that writers copied for the last save.", s.CopiedBytes)
	p.seconds("fulmen_last_cut_seconds", "gauge", "For how long the last save held all batons.", s.CutUs/1e6)
	p.counter("fulmen_writers_held_back_total", "Times that writers waited for the memory of a save.", s.WritersHeld)
}

// The histogram of holds is shown with a bucket for every power of four from about 1 µs to about 1 s.
const (
	firstHoldBit, lastHoldBit = 10, 30
	holdBits                  = 2
)

func (p *page) holds(shards []Shard) {
	const keys, bytes = "fulmen_shard_keys", "fulmen_shard_bytes"
	p.head(keys, "gauge", "Keys by shard.")
	for i := range shards {
		p.level(labelled(keys, "shard", strconv.Itoa(shards[i].ID)), shards[i].Keys)
	}
	p.head(bytes, "gauge", "Arena bytes in use by shard.")
	for i := range shards {
		p.level(labelled(bytes, "shard", strconv.Itoa(shards[i].ID)), shards[i].Bytes)
	}
	const hold = "fulmen_baton_hold_seconds"
	p.head(hold, "histogram", "How long a shard's baton was held.")
	for i := range shards {
		p.histogram(hold, strconv.Itoa(shards[i].ID), &shards[i].Holds)
	}
	const longest = "fulmen_baton_hold_max_seconds"
	p.head(longest, "gauge", "The longest hold of a shard's baton.")
	for i := range shards {
		series := labelled(longest, "shard", strconv.Itoa(shards[i].ID))
		metrics.WriteGaugeFloat64(p.w, series, shards[i].Holds.MaxUs/1e6)
	}
	const long, longMax = "fulmen_baton_long_holds_total", "fulmen_baton_long_hold_max_seconds"
	p.head(long, "counter", "Holds of 1 ms and more, by the command or job that took most of the time.")
	for i := range shards {
		for _, l := range shards[i].Holds.Long {
			p.count(labelled(long, "shard", strconv.Itoa(shards[i].ID), "by", l.Name), l.Count)
		}
	}
	p.head(longMax, "gauge", "The longest of them.")
	for i := range shards {
		for _, l := range shards[i].Holds.Long {
			series := labelled(longMax, "shard", strconv.Itoa(shards[i].ID), "by", l.Name)
			metrics.WriteGaugeFloat64(p.w, series, l.MaxUs/1e6)
		}
	}
}

func (p *page) histogram(name, shard string, h *Holds) {
	var seen uint64
	i := 0
	for bit := firstHoldBit; bit <= lastHoldBit; bit += holdBits {
		for ; i < len(h.buckets) && h.buckets[i].UpToNs <= 1<<bit; i++ {
			seen += h.buckets[i].Count
		}
		le := strconv.FormatFloat(float64(int64(1)<<bit)/1e9, 'g', -1, 64)
		metrics.WriteCounterUint64(p.w, labelled(name+"_bucket", "shard", shard, "le", le), seen)
	}
	metrics.WriteCounterUint64(p.w, labelled(name+"_bucket", "shard", shard, "le", "+Inf"), h.Count)
	metrics.WriteCounterFloat64(p.w, labelled(name+"_sum", "shard", shard), h.TotalUs/1e6)
	metrics.WriteCounterUint64(p.w, labelled(name+"_count", "shard", shard), h.Count)
}
