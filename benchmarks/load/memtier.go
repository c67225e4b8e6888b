package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// MemtierFirstKey is the number of the first key of memtier_benchmark's loads. It writes numbers without leading
// zeros, so only numbers of 12 digits give keys of 16 bytes.
const MemtierFirstKey = 100_000_000_000

// Memtier runs the memtier_benchmark found at path with about n commands, GET and SET by halves, on the given cores
// (none: any). Its clients draw different keys, which they don't do unless told.
func Memtier(ctx context.Context, path, addr string, cpus []int, work Work, n uint64) (Result, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	each := max(n/uint64(work.Clients), 1)
	out, err := run(ctx, cpus, nil, path, "-s", host, "-p", port,
		"--threads", "1", "--clients", strconv.Itoa(work.Clients), "--requests", strconv.FormatUint(each, 10),
		"--pipeline", strconv.Itoa(work.Pipeline), "--ratio", "1:1",
		"--data-size", strconv.Itoa(work.ValueBytes), "--key-prefix", "key:", "--key-pattern", "R:R",
		"--key-minimum", strconv.FormatUint(MemtierFirstKey, 10),
		"--key-maximum", strconv.FormatUint(MemtierFirstKey+work.Keys-1, 10),
		"--distinct-client-seed", "--randomize", "--hide-histogram")
	if err != nil {
		return Result{}, err
	}
	return ParseMemtier(out, each*uint64(work.Clients))
}

// ParseMemtier reads the table that memtier_benchmark prints after commands commands: the line of totals, by the
// names of its columns.
func ParseMemtier(text string, commands uint64) (Result, error) {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if fields[0] == "Type" {
			// "Avg. Latency" and "p50 Latency" are one column each.
			names = strings.Fields(strings.ReplaceAll(line, " Latency", "_Latency"))
		}
		if fields[0] != "Totals" || len(fields) != len(names) {
			continue
		}
		result := Result{Commands: commands}
		for i, name := range names {
			switch name {
			case "Ops/sec":
				rate, err := strconv.ParseFloat(fields[i], 64)
				if err != nil || rate <= 0 {
					return Result{}, fmt.Errorf("load: memtier_benchmark: %q", line)
				}
				result.Elapsed = time.Duration(float64(commands) / rate * float64(time.Second))
			case "p50_Latency":
				result.P50 = milliseconds(fields[i])
			case "p99_Latency":
				result.P99 = milliseconds(fields[i])
			case "p99.9_Latency":
				result.P999 = milliseconds(fields[i])
			}
		}
		if result.Elapsed > 0 {
			return result, nil
		}
	}
	return Result{}, errors.New("load: memtier_benchmark printed no totals: " + tailOf(text))
}
