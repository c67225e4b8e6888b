package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fulmen/benchmarks/proc"
)

// RedisBenchmark runs the redis-benchmark found at path with n commands of the given work, on the given cores
// (none: any), until it ends or ctx does. Its command line is in RedisBenchmarkArgs.
//
// Its percentiles: p50 and p99 as it prints them, p99.9 from its distribution, at the first step not below 99.9 %
// (99.902 %).
func RedisBenchmark(ctx context.Context, path, addr string, cpus []int, work Work, n uint64) (Result, error) {
	args, err := RedisBenchmarkArgs(addr, work, n)
	if err != nil {
		return Result{}, err
	}
	out, err := run(ctx, cpus, nil, path, args...)
	if err != nil {
		return Result{}, err
	}
	return ParseRedisBenchmark(out)
}

// RedisBenchmarkArgs is the command line of redis-benchmark for a load, without the program's name.
func RedisBenchmarkArgs(addr string, work Work, n uint64) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return []string{
		"-h", host, "-p", port, "-t", work.Command, "-n", strconv.FormatUint(n, 10), "-c", strconv.Itoa(work.Clients),
		"-P", strconv.Itoa(work.Pipeline), "-r", strconv.FormatUint(work.Keys, 10), "-d", strconv.Itoa(work.ValueBytes),
	}, nil
}

// ParseRedisBenchmark reads the text that redis-benchmark 7 prints (without -q and --csv) after one test.
func ParseRedisBenchmark(text string) (Result, error) {
	var result Result
	var rate float64
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i, line := range lines {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(line, " requests completed in "):
			// The seconds in this line have two digits only; the rate below has the time in it more exactly.
			n, err := strconv.ParseUint(fields[0], 10, 64)
			if err != nil {
				return Result{}, fmt.Errorf("load: redis-benchmark: %q", line)
			}
			result.Commands = n
		case strings.Contains(line, "throughput summary:") && len(fields) > 2:
			rate, _ = strconv.ParseFloat(fields[2], 64)
		case strings.Contains(line, "% <= ") && len(fields) > 2 && result.P999 == 0:
			percent, _ := strconv.ParseFloat(strings.TrimSuffix(fields[0], "%"), 64)
			if percent >= 99.9 {
				result.P999 = milliseconds(fields[2])
			}
		case len(fields) == 6 && fields[0] == "avg" && fields[5] == "max" && i+1 < len(lines):
			if values := strings.Fields(lines[i+1]); len(values) == 6 {
				result.P50, result.P99 = milliseconds(values[2]), milliseconds(values[4])
				result.Max = milliseconds(values[5])
			}
		case strings.Contains(line, "Error from server") || strings.HasPrefix(line, "ERR"):
			return Result{}, fmt.Errorf("load: redis-benchmark: %s", strings.TrimSpace(line))
		}
	}
	if result.Commands == 0 || rate <= 0 {
		return Result{}, fmt.Errorf("load: redis-benchmark printed no result: %q", tailOf(text))
	}
	// It counts milliseconds: after less than one its rate is infinite.
	result.Elapsed = max(time.Duration(float64(result.Commands)/rate*float64(time.Second)), time.Millisecond)
	return result, nil
}

func milliseconds(text string) time.Duration {
	ms, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// run starts a program on the given cores and returns what it prints; the program is killed when ctx ends. stop, if
// not nil, becomes its standard input.
func run(ctx context.Context, cpus []int, stop *Stop, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // It ends with this program, however that ends.
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if stop != nil {
		cmd.Stdin = stop.reader
	}
	if err := proc.OnCPUs(cpus, cmd.Start); err != nil {
		return "", fmt.Errorf("load: start %s: %w", path, err)
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		said := tailOf(out.String() + errOut.String())
		return "", fmt.Errorf("load: %s %s: %w: %s", path, strings.Join(args, " "), err, said)
	}
	return out.String(), nil
}

// tailOf is the end of a program's output, enough to understand an error.
func tailOf(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 400 {
		text = "…" + text[len(text)-400:]
	}
	return text
}
