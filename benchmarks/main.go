// Program benchmarks measures Fulmen against its peers on this machine and writes the report, BENCHMARKS.md.
//
//	go run ./benchmarks [flags] [scenario…]
//
// Without a scenario (or with "core") it runs them all; each replaces its own section of the report. The figure to
// watch is server CPU per command, and its ratio to redis-server of the same round: throughput on a small machine
// mostly measures the load generator.
//
// It is no test: it judges figures against their targets in the report, and fails only if it could not measure.
//
// # Ownership
//
// One goroutine runs the scenarios one after the other, with one server alive at a time. Servers and load
// generators are child processes, started by packages peer and load, on cores that the scenario names. The program
// itself stays on the client's cores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fulmen/benchmarks/load"
)

// options are the command line.
type options struct {
	scenarios []string
	rounds    int
	cpuTime   time.Duration // server CPU of one measurement, at least
	loadTime  time.Duration // duration of a load that is not counted in server CPU
	quick     bool
	out       string
	servers   []string // name=command
	without   []string
	bin       string
	serverCPU int
	clientCPU int
	client    string
	commands  []string
	pipelines []int
	rows      *regexp.Regexp // nil: all
	keys      uint64
	sizes     []uint64
	timeout   time.Duration
	flags     []string // as they were given, for the report
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == load.ChildCommand {
		exit(load.Serve(os.Args[2], os.Stdin, os.Stdout))
	}
	opts, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		exit(err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	late := fmt.Errorf("not done within %v (-timeout)", opts.timeout)
	ctx, cancelTime := context.WithTimeoutCause(ctx, opts.timeout, late)
	defer cancelTime()
	err = run(ctx, opts, os.Stdout, os.Stderr)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// parse reads the command line; flags and scenarios may come in any order.
func parse(args []string, errOut io.Writer) (options, error) {
	opts := options{
		sizes:     []uint64{1_000_000, 1_400_000, 2_000_000, 10_000_000},
		commands:  []string{"get", "set", "mset"},
		pipelines: []int{1, 16, 64},
	}
	set := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	set.SetOutput(errOut)
	set.IntVar(&opts.rounds, "rounds", 7, "interleaved rounds")
	set.DurationVar(&opts.cpuTime, "cpu", 5*time.Second, "server CPU of one measurement, at least")
	set.DurationVar(&opts.loadTime, "load", 5*time.Second, "duration of an open-loop load")
	set.BoolVar(&opts.quick, "quick", false, "one tiny round, to see that it works; the report goes to standard output")
	set.StringVar(&opts.out, "o", "", "`file` whose sections are replaced, or - (default BENCHMARKS.md)")
	set.StringVar(&opts.bin, "bin", "bin", "`folder` of fulmen-server and fulmen-floor")
	set.IntVar(&opts.serverCPU, "server-cpu", 0, "`core` of a pinned server")
	set.IntVar(&opts.clientCPU, "client-cpu", 1, "`core` of a pinned client")
	set.StringVar(&opts.client, "client", "redis-benchmark", "`client` of closed loops: redis-benchmark or own")
	set.Uint64Var(&opts.keys, "keys", 1_000_000, "keys of all scenarios but memory and holds")
	set.DurationVar(&opts.timeout, "timeout", 6*time.Hour, "give up after this time")
	set.Func("server", "`name=command` instead of the built-in one ({port}, {http}, {dir} are filled in); repeatable",
		func(text string) error { opts.servers = append(opts.servers, text); return nil })
	set.Func("without", "`names` of servers to leave out, separated by commas",
		func(text string) error { opts.without = strings.Split(text, ","); return nil })
	set.Func("commands", "`names`, of get,set,mset, that cpu, unpinned and loops measure",
		func(text string) error { opts.commands = strings.Split(text, ","); return nil })
	set.Func("pipelines", "`depths`, of 1,16,64, that cpu, unpinned and loops measure",
		func(text string) (err error) { opts.pipelines, err = parseDepths(text); return err })
	set.Func("rows", "`pattern` of the rows that collections, collection-memory and types measure",
		func(text string) (err error) { opts.rows, err = regexp.Compile(text); return err })
	set.Func("sizes", "`numbers` of keys in scenario memory, ascending, separated by commas; holds uses the last",
		func(text string) (err error) { opts.sizes, err = parseSizes(text); return err })
	set.Usage = func() {
		fmt.Fprint(errOut, "usage: go run ./benchmarks [flags] [scenario…]\n\nscenarios (none, or core: all):\n")
		for _, s := range scenarios() {
			fmt.Fprintf(errOut, "  %-10s%s\n", s.name, s.title)
		}
		fmt.Fprint(errOut, "\nflags:\n")
		set.PrintDefaults()
	}
	for {
		if err := set.Parse(args); err != nil {
			return opts, err
		}
		for _, word := range args[:len(args)-set.NArg()] {
			opts.flags = append(opts.flags, quote(word))
		}
		if set.NArg() == 0 {
			break
		}
		opts.scenarios = append(opts.scenarios, set.Arg(0))
		args = set.Args()[1:]
	}
	return opts, opts.complete()
}

// quote makes a word fit for a shell's command line.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t'\"\\${}<>|&;*?()`") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// complete checks the options and fills in what depends on others.
func (o *options) complete() error {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	if len(o.scenarios) == 0 || slices.Contains(o.scenarios, "core") {
		o.scenarios = names
	}
	for _, name := range o.scenarios {
		if !slices.Contains(names, name) {
			return fmt.Errorf("unknown scenario %q; there are: core %s", name, strings.Join(names, " "))
		}
	}
	if o.quick {
		o.rounds, o.cpuTime, o.loadTime, o.keys = 1, 100*time.Millisecond, 300*time.Millisecond, 20_000
		for i := range o.sizes {
			o.sizes[i] /= 100
		}
	}
	if o.out == "" {
		o.out = "BENCHMARKS.md"
		if o.quick {
			o.out = "-"
		}
	}
	if o.client != "redis-benchmark" && o.client != "own" {
		return fmt.Errorf("-client is redis-benchmark or own, not %q", o.client)
	}
	for _, command := range o.commands {
		if !slices.Contains([]string{"get", "set", "mset"}, command) {
			return fmt.Errorf("-commands are get, set and mset, not %q", command)
		}
	}
	if o.rounds < 1 || o.cpuTime <= 0 || o.loadTime <= 0 || o.keys < 1 {
		return errors.New("-rounds, -cpu, -load and -keys must be positive")
	}
	return nil
}

// chosen tells whether the row of a table is to be measured.
func (o *options) chosen(row string) bool { return o.rows == nil || o.rows.MatchString(row) }

func parseDepths(text string) ([]int, error) {
	var depths []int
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		depths = append(depths, n)
	}
	return depths, nil
}

func parseSizes(text string) ([]uint64, error) {
	var sizes []uint64
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return nil, err
		}
		if n == 0 || (len(sizes) > 0 && n <= sizes[len(sizes)-1]) {
			return nil, errors.New("sizes must ascend")
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}
