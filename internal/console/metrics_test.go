package console

import (
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// family is one metric as a scraper sees it.
type family struct {
	kind    string
	samples map[string]float64 // by series, name and labels
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$`)
	labelText  = regexp.MustCompile(`^\{([a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\}$`)
)

// parse reads the text format strictly: every family has its HELP and TYPE once and before its samples, which stand
// together, and no series appears twice.
func parse(t *testing.T, text string) map[string]*family {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line does not end")
	}
	families := map[string]*family{}
	name, helped := "", ""
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			helped, _, _ = strings.Cut(rest, " ")
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			var kind string
			name, kind, _ = strings.Cut(rest, " ")
			if families[name] != nil || helped != name ||
				!slices.Contains([]string{"counter", "gauge", "histogram"}, kind) {
				t.Errorf("line %d: %s", i+1, line)
			}
			families[name] = &family{kind, map[string]float64{}}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[2] != "" && !labelText.MatchString(m[2]) {
			t.Fatalf("line %d is no sample: %s", i+1, line)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil || math.IsNaN(value) || value < 0 {
			t.Errorf("line %d: value %s", i+1, m[3])
		}
		f := families[name]
		own := m[1] == name
		if f != nil && f.kind == "histogram" {
			own = slices.Contains([]string{name + "_bucket", name + "_sum", name + "_count"}, m[1])
		}
		if !own {
			t.Fatalf("line %d is not of family %s: %s", i+1, name, line)
		}
		series := m[1] + m[2]
		if _, twice := f.samples[series]; twice {
			t.Errorf("line %d: %s again", i+1, series)
		}
		f.samples[series] = value
		if (f.kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, f.kind)
		}
	}
	return families
}

func TestMetrics(t *testing.T) {
	_, addr := start(t, &fakeSource{status: figures()}, patientLimits())
	r, text := get(t, addr, "/metrics")
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != metricsText {
		t.Fatalf("%s, %s", r.Status, r.Header.Get("Content-Type"))
	}
	families := parse(t, text)
	for series, want := range map[string]float64{
		`process_cpu_seconds_total`:                                                 12.5,
		`process_resident_memory_bytes`:                                             11,
		`fulmen_gc_cpu_seconds_total`:                                               0.25,
		`fulmen_commands_processed_total`:                                           12,
		`fulmen_command_calls_total{command="config|get"}`:                          1,
		`fulmen_command_rejected_total{command="config|get"}`:                       4,
		`fulmen_command_seconds_total{command="get"}`:                               2e-6,
		`fulmen_error_replies_total{code="WRONG\"\\\nTYPE"}`:                        2,
		`fulmen_connections{loop="1"}`:                                              3,
		`fulmen_db_keys{db="9"}`:                                                    200,
		`fulmen_baton_hold_max_seconds{shard="0"}`:                                  0.0019,
		`fulmen_baton_long_holds_total{shard="1",by="many short, or \"none\""}`:     1,
		`fulmen_build_info{version="1.2.3",redis_version="7.2.4",go_version="go1"}`: 1,
	} {
		name, _, _ := strings.Cut(series, "{")
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		} else if got, ok := families[name].samples[series]; !ok || got != want {
			t.Errorf("%s = %v (%v), want %v; there are %q", series, got, ok, want,
				slices.Sorted(maps.Keys(families[name].samples)))
		}
	}
}

// TestHoldHistogram: buckets are cumulative, and the last is the count.
func TestHoldHistogram(t *testing.T) {
	_, addr := start(t, &fakeSource{status: figures()}, patientLimits())
	_, text := get(t, addr, "/metrics")
	const name = "fulmen_baton_hold_seconds"
	samples := parse(t, text)[name].samples
	var last float64
	bits := 0
	for bit := firstHoldBit; bit <= lastHoldBit; bit += holdBits {
		le := strconv.FormatFloat(float64(int64(1)<<bit)/1e9, 'g', -1, 64)
		n, ok := samples[name+`_bucket{shard="0",le="`+le+`"}`]
		if !ok || n < last {
			t.Errorf("le %s: %v (%v) after %v", le, n, ok, last)
		}
		last = n
		bits++
		if want := map[int]float64{10: 90, 14: 90, 16: 99, 20: 99, 22: 100}[bit]; want != 0 && n != want {
			t.Errorf("le %s: %v, want %v", le, n, want)
		}
	}
	inf, count := samples[name+`_bucket{shard="0",le="+Inf"}`], samples[name+`_count{shard="0"}`]
	if inf != 100 || count != 100 || samples[name+`_sum{shard="0"}`] != 0.005 {
		t.Errorf("+Inf %v, count %v, sum %v", inf, count, samples[name+`_sum{shard="0"}`])
	}
	if len(samples) != 2*(bits+3) {
		t.Errorf("%d samples", len(samples))
	}
}
