package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Status is what a server says about itself on its monitoring port. It is read tolerantly, by the names of the
// figures wherever they stand: a benchmark must not fail because a field has moved. A figure that isn't there is
// not known.
type Status struct {
	figures map[string]float64 // names as they stand, with every parent's name before, joined by dots
	root    any
}

// ReadStatus asks the server's /status and /metrics. It fails only if neither answers.
func (s *Server) ReadStatus(ctx context.Context) (Status, error) {
	status := Status{figures: map[string]float64{}}
	text, statusErr := get(ctx, "http://"+s.HTTP+"/status")
	if statusErr == nil {
		statusErr = status.addJSON(text)
	}
	text, metricsErr := get(ctx, "http://"+s.HTTP+"/metrics")
	if metricsErr == nil {
		status.addMetrics(text)
	}
	if statusErr != nil && metricsErr != nil {
		return status, fmt.Errorf("peer: %s shows no status: %w", s.Spec.Name, statusErr)
	}
	return status, nil
}

func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, response.Status)
	}
	return string(body), nil
}

func (st *Status) addJSON(text string) error {
	if err := json.Unmarshal([]byte(text), &st.root); err != nil {
		return fmt.Errorf("peer: status: %w", err)
	}
	st.flatten("", st.root)
	return nil
}

func (st *Status) flatten(path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			st.flatten(path+"."+name, inner)
		}
	case float64:
		st.figures[strings.TrimPrefix(path, ".")] = v
	}
}

// addMetrics reads the Prometheus text format; labelled series of one name are added up.
func (st *Status) addMetrics(text string) {
	sums := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found || strings.HasPrefix(name, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(strings.Fields(value)[0], 64); err == nil {
			name, _, _ = strings.Cut(name, "{")
			sums[name] += v
		}
	}
	for name, v := range sums {
		if _, known := st.figures[name]; !known {
			st.figures[name] = v
		}
	}
}

// Figure finds a figure by its name: the first of the names that the server has, at any depth, with or without a
// prefix such as "fulmen_".
func (st Status) Figure(names ...string) (float64, bool) {
	for _, name := range names {
		if v, ok := st.figures[name]; ok {
			return v, true
		}
		for path, v := range st.figures {
			if strings.HasSuffix(path, "."+name) || path == "fulmen_"+name {
				return v, true
			}
		}
	}
	return 0, false
}

// Hold is how long a shard's baton was held at most, in µs.
type Hold struct {
	MaxUs    float64
	P99999Us float64
	By       map[string]float64 // the longest hold of each holder, by name
}

// Holds is the worst of all shards, and false if the server doesn't say. Where it counts both wall and processor
// time the latter is taken, because on a shared machine wall time is also other people's.
func (st Status) Holds() (worst Hold, known bool) {
	root, _ := st.root.(map[string]any)
	shards, _ := root["shards"].([]any)
	worst.By = map[string]float64{}
	for _, shard := range shards {
		fields, _ := shard.(map[string]any)
		holds, _ := fields["holds"].(map[string]any)
		if holds == nil {
			continue
		}
		by := holds["by"]
		if cpu, found := holds["cpu"].(map[string]any); found {
			holds = cpu
			if inner, found := cpu["by"]; found {
				by = inner
			}
		}
		known = true
		longest, _ := number(holds, "max", "cpu_max", "max_cpu")
		tailUs, _ := number(holds, "p99999", "p99_999", "cpu_p99999", "p99999_cpu")
		worst.MaxUs = max(worst.MaxUs, longest)
		worst.P99999Us = max(worst.P99999Us, tailUs)
		for name, us := range holders(by) {
			worst.By[name] = max(worst.By[name], us)
		}
	}
	return worst, known
}

// holders understands {"name": µs}, {"name": {"max": µs}} and [{"name": "…", "max": µs}].
func holders(by any) map[string]float64 {
	found := map[string]float64{}
	add := func(name string, value any) {
		switch v := value.(type) {
		case float64:
			found[name] = v
		case map[string]any:
			if us, ok := number(v, "max", "cpu_max", "longest", "worst"); ok {
				found[name] = us
			}
		}
	}
	switch v := by.(type) {
	case map[string]any:
		for name, value := range v {
			add(name, value)
		}
	case []any:
		for _, item := range v {
			fields, _ := item.(map[string]any)
			for _, key := range []string{"name", "by", "what", "holder"} {
				if name, ok := fields[key].(string); ok {
					add(name, item)
					break
				}
			}
		}
	}
	return found
}

// number is the first of the named figures in µs; a name may carry its unit (_us, _ns, _ms).
func number(fields map[string]any, names ...string) (float64, bool) {
	for _, name := range names {
		for unit, us := range map[string]float64{"": 1, "_us": 1, "_ns": 1e-3, "_ms": 1e3} {
			if v, ok := fields[name+unit].(float64); ok {
				return v * us, true
			}
		}
	}
	return 0, false
}
