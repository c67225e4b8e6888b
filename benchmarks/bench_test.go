package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/report"
	"fulmen/internal/need"
)

// TestMain lets the test binary be the generator's process, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == load.ChildCommand {
		exit(load.Serve(os.Args[2], os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	opts, err := parse([]string{"cpu", "-rounds", "3", "empty", "-sizes", "5,7", "-server", "x=y z"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(opts.scenarios, []string{"cpu", "empty"}) || opts.rounds != 3 || opts.out != "BENCHMARKS.md" {
		t.Errorf("%+v", opts)
	}
	if !slices.Equal(opts.sizes, []uint64{5, 7}) || !slices.Equal(opts.servers, []string{"x=y z"}) {
		t.Errorf("%+v", opts)
	}
	if got := strings.Join(opts.flags, " "); got != "-rounds 3 -sizes 5,7 -server 'x=y z'" {
		t.Errorf("flags %s", got)
	}
	opts, err = parse([]string{"-commands", "mset,set", "-pipelines", "16,64", "-rows", "^H"}, io.Discard)
	if works := (&bench{options: opts}).closedWorks(1, 16); err != nil || len(works) != 1 || works[0].Command != "set" {
		t.Errorf("%v, %v", works, err)
	}
	if !opts.chosen("HGET") || opts.chosen("ZHGET") || !new(options).chosen("GET") {
		t.Error("other rows are chosen")
	}
	opts, err = parse([]string{"-quick"}, io.Discard)
	if err != nil || len(opts.scenarios) != len(scenarios()) || opts.out != "-" || opts.rounds != 1 {
		t.Errorf("%+v, %v", opts, err)
	}
	for _, bad := range []string{
		"nothing", "-commands del", "-pipelines x", "-rounds 0", "-sizes 5,5", "-sizes x", "-client ab", "-frobnicate",
		"-cpu -1s", "-rows (",
	} {
		if _, err := parse(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if _, err := parse([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestHonest(t *testing.T) {
	work := load.Work{Command: "get", Pipeline: 16, Clients: 50}
	info := func(processed, errors, misses string) map[string]string {
		return map[string]string{
			"total_commands_processed": processed, "total_error_replies": errors, "keyspace_misses": misses,
		}
	}
	before := info("10", "1", "5")
	cases := []struct {
		after map[string]string
		want  string
	}{
		{nil, ""},
		{info("1000012", "1", "5"), ""},
		{info("500010", "1", "5"), "the server 500000"},
		{info("1000012", "1000001", "5"), "with an error"},
		{info("1000012", "1", "900005"), "found no key"},
	}
	for _, c := range cases {
		err := honest(before, c.after, work, 1_000_000)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: %v, want %q", c.after, err, c.want)
		}
	}
}

func TestPaymentsAddUp(t *testing.T) {
	long := payment{cpu: time.Second, result: load.Result{Commands: 100, Elapsed: time.Second, P50: 1}}
	short := payment{cpu: time.Millisecond, result: load.Result{Commands: 10, Elapsed: time.Millisecond, P50: 2}}
	for _, order := range [][]payment{{long, short}, {short, long}} {
		var sum payment
		for _, p := range order {
			sum.add(p)
		}
		if sum.cpu != 1001*time.Millisecond || sum.result.Commands != 110 || sum.result.P50 != 1 {
			t.Errorf("%+v", sum)
		}
	}
	if got := (payment{result: load.Result{Commands: 5000}}).perCommand(); got != time.Microsecond {
		t.Errorf("a load within a tick costs %v a command", got)
	}
}

func TestLongest(t *testing.T) {
	if got := longest(nil); got != "–" {
		t.Errorf("%q", got)
	}
	rs := []phaseResult{
		{hold: peer.Hold{By: map[string]float64{"a": 1, "b": 5, "none": 0}}},
		{hold: peer.Hold{By: map[string]float64{"a": 7, "c": 5, "d": 2}}},
	}
	if got := longest(rs); got != "a 7, b 5, c 5" {
		t.Errorf("%q", got)
	}
	if count(10_000_000) != "10 M" || count(1_400_000) != "1.4 M" || count(14_000) != "14 k" || count(7) != "7" {
		t.Error(count(10_000_000), count(1_400_000), count(14_000), count(7))
	}
}

// standIn makes redis-server play Fulmen and its floor; it needs redis-server and is tiny.
func standIn(t *testing.T) options {
	t.Helper()
	need.Program(t, "redis-server")
	opts, err := parse([]string{
		"-quick", "-without", "valkey,keydb",
		"-server", `fulmen=sh -c 'exec redis-server --port {port} --save ""'`,
		"-server", `floor=redis-server --port {port} --save '' --dir {dir}`,
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	opts.cpuTime, opts.loadTime, opts.keys = 20*time.Millisecond, 50*time.Millisecond, 1000
	opts.sizes = []uint64{1000, 5000}
	return opts
}

// TestReportFromEndToEnd measures two sections into a file, the second time next to the first.
func TestReportFromEndToEnd(t *testing.T) {
	opts := standIn(t)
	opts.out = filepath.Join(t.TempDir(), "BENCHMARKS.md")
	for _, name := range []string{"memory", "empty"} {
		opts.scenarios = []string{name}
		if err := run(context.Background(), opts, io.Discard, testLog{t}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(opts.out)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{
		"# Benchmarks", "## Summary", "[memory](#memory)", "[empty](#empty)", "## memory", "mean nothing", "16 + 8 B",
		"## empty", "mean nothing", "RSS of an empty server",
	} {
		next := strings.Index(string(text)[at:], want)
		if next < 0 {
			t.Fatalf("no %q, or not in its place, in:\n%s", want, text)
		}
		at += next
	}
}

func TestHolds(t *testing.T) {
	opts := standIn(t)
	opts.scenarios, opts.without = []string{"holds"}, []string{"redis", "valkey", "keydb"}
	var out strings.Builder
	if err := run(context.Background(), opts, &out, testLog{t}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"growth to 5 k keys", "SCAN", "expiry of 500 keys at once", "FLUSHALL ASYNC"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

// TestGrid measures with both clients.
func TestGrid(t *testing.T) {
	for _, client := range []string{"redis-benchmark", "own"} {
		opts := standIn(t)
		opts.client = client
		b := newBench(opts, testLog{t})
		if err := b.look(); err != nil {
			t.Fatal(err)
		}
		work := b.work("mset", 4)
		subjects := b.subjects(b.serverCPUs, b.clientCPUs)
		g, err := b.measure(context.Background(), subjects, []load.Work{work}, b.closedLoop())
		b.release()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{peer.Fulmen, peer.Redis, peer.Floor} {
			if got := g.samples[work][name]; len(got) != 1 || got[0].cpuUs <= 0 || got[0].perSecond <= 0 {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if text := g.tables(peer.Redis) + g.bars(work); strings.Count(text, "fulmen") != 2 {
			t.Errorf("tables:\n%s", text)
		}
	}
}

// TestTypes measures a row that counts, and one that needs subscribers; too short a stream is noticed.
func TestTypes(t *testing.T) {
	opts := standIn(t)
	opts.scenarios, opts.keys, opts.rows = []string{"types"}, 20_000, regexp.MustCompile("XACK|PUBLISH")
	opts.without = append(opts.without, "floor") // which stands for a server without the stream
	var out strings.Builder
	if err := run(context.Background(), opts, &out, testLog{t}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"XREADGROUP and XACK: CPU ÷ redis", "PUBLISH to 10: CPU ÷ redis"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	opts.keys = ackLag
	err := run(context.Background(), opts, io.Discard, testLog{t})
	if err == nil || !strings.Contains(err.Error(), "should be pending") {
		t.Errorf("a stream that has been read to its end: %v", err)
	}
}

func TestRunFails(t *testing.T) {
	opts := standIn(t)
	opts.scenarios = []string{"empty"}
	opts.servers = []string{"fulmen=sh -c 'echo no such parameter; exit 1'"}
	err := run(context.Background(), opts, io.Discard, testLog{t})
	if err == nil || !strings.Contains(err.Error(), "no such parameter") {
		t.Errorf("a server that does not start: %v", err)
	}
	opts.servers = []string{"fulmen=/nowhere/fulmen-server"}
	err = run(context.Background(), opts, io.Discard, testLog{t})
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("no Fulmen: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ended, standIn(t), io.Discard, testLog{t}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if s := report.Targets(nil); s != "" {
		t.Errorf("targets of nothing: %q", s)
	}
}

// testLog shows the program's log in a failing test.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
