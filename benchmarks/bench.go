package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/proc"
	"fulmen/benchmarks/report"
)

// bench is one run of the program.
type bench struct {
	options
	log        io.Writer
	specs      []peer.Spec // what is installed, the floor and the reference among them
	missing    []string
	clientPath string // redis-benchmark; empty: the own generator takes its place
	memtier    string // memtier_benchmark; empty if it isn't installed
	all        []int  // the cores this machine lets us use
	serverCPUs []int  // the cores of a pinned server: nil if there are not two
	clientCPUs []int
	machine    string
	versions   map[string]string // what the servers started so far say they are, by name
	estimates  map[string]time.Duration
}

// scenario is one section of the report.
type scenario struct {
	name  string
	title string
	run   func(*bench, context.Context) (outcome, error)
}

// outcome is what a scenario found.
type outcome struct {
	targets []report.Target
	text    string // Markdown, after the verdicts
}

// scenarios lists them in the order of the report.
func scenarios() []scenario {
	return []scenario{
		{"cpu", "server CPU per command, server and client pinned to a core each", (*bench).runCPU},
		{"unpinned", "the same where the scheduler chooses the cores", (*bench).runUnpinned},
		{"collections", "server CPU per command on lists, hashes, sets and sorted sets", (*bench).runCollections},
		{"types", "server CPU per command on streams, HyperLogLogs and positions, and of PUBLISH", (*bench).runTypes},
		{"memtier", "the same under memtier_benchmark", (*bench).runMemtier},
		{"push", "server CPU per message that is published to subscribers", (*bench).runPush},
		{"flashsale", "server CPU per unit sold by a script, and by TAKE in its place", (*bench).runFlashSale},
		{"latency", "latency of an open loop at half of redis-server's maximum rate", (*bench).runLatency},
		{"loops", "Fulmen with more event loops and shards", (*bench).runLoops},
		{"memory", "resident memory per key, Go heap and GC", (*bench).runMemory},
		{"collection-memory", "resident memory per element of collections", (*bench).runCollectionMemory},
		{"eviction", "maxmemory: overshoot under a flood of writes, and hit rates as a cache", (*bench).runEviction},
		{"defrag", "resident memory after most keys were deleted at random", (*bench).runDefrag},
		{"snapshot", "latency and throughput while snapshots are taken", (*bench).runSnapshot},
		{"aof", "what an append-only file costs", (*bench).runAOF},
		{"replication", "full synchronization, and what a replica costs", (*bench).runReplication},
		{"empty", "resident memory of an empty server and of a small one", (*bench).runEmpty},
		{"holds", "how long a shard's baton is held, at most", (*bench).runHolds},
	}
}

const preface = `# Benchmarks

Written by ` + "`go run ./benchmarks` (`make report`)" + `; each section below is measured and replaced by itself.
It says of which commit its figures are; a row of the summary has the commit of its section.

How to read it:

- **Server CPU per command** is the figure to watch: user and system time of all threads of the server, from /proc,
  divided by the commands it executed. Throughput on a small machine mostly measures the load generator.
- The **floor** is a server on Fulmen's own engine that parses and answers the same bytes without a keyspace: what no
  server on this engine can go below. (ours − floor) ÷ (redis − floor) compares servers free of the kernel's share.
- Servers are started fresh for every measurement, one at a time, in interleaved rounds whose order rotates. A figure is
  the median of the rounds, with the smallest and the largest in parentheses. Ratios are taken within a round, because
  the machine's speed drifts.
- A target is *reached* if the median reaches it.
- 1 MB is 1,000,000 bytes.

`

func newBench(opts options, log io.Writer) *bench {
	return &bench{
		options: opts, log: log, machine: proc.ReadMachine().String(),
		versions: map[string]string{}, estimates: map[string]time.Duration{},
	}
}

// release gives this process back the cores that a scenario took from it.
func (b *bench) release() {
	if err := proc.ConfineSelf(b.all); err != nil {
		b.logf("%v", err)
	}
}

func run(ctx context.Context, opts options, out, log io.Writer) error {
	b := newBench(opts, log)
	if err := b.look(); err != nil {
		return err
	}
	defer b.release()
	var order []string
	for _, s := range scenarios() {
		order = append(order, s.name)
	}
	order = append([]string{report.Summary}, order...)
	for _, s := range scenarios() {
		if !slices.Contains(opts.scenarios, s.name) {
			continue
		}
		if s.name == "memtier" && b.memtier == "" {
			b.logf("memtier: memtier_benchmark is not on PATH, left out")
			continue
		}
		b.logf("%s: %s", s.name, s.title)
		started := time.Now()
		found, err := s.run(b, ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		text := fmt.Sprintf("## %s\n\n%s\n\n%s\n%s%s", s.name, sentence(s.title), b.provenance(ctx, s.name),
			paragraph(report.Targets(found.targets)), found.text)
		if err := b.write(out, s.name, text, order); err != nil {
			return err
		}
		b.logf("%s: done in %v", s.name, time.Since(started).Round(time.Second))
	}
	return nil
}

// look finds out what is there to measure with and on.
func (b *bench) look() error {
	specs := peer.Known(b.bin)
	for _, text := range b.servers {
		spec, err := peer.ParseSpec(text)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(specs, func(s peer.Spec) bool { return s.Name == spec.Name }); i >= 0 {
			specs[i] = spec
		} else {
			specs = append(specs, spec)
		}
	}
	for _, spec := range specs {
		switch {
		case slices.Contains(b.without, spec.Name):
		case spec.Installed():
			b.specs = append(b.specs, spec)
		case spec.Name == peer.Fulmen || spec.Name == peer.Redis:
			return fmt.Errorf("%s is needed and not there: make build; apt-get install redis-server redis-tools",
				spec.Args[0])
		default:
			b.missing = append(b.missing, spec.Program())
		}
	}
	var err error
	if b.memtier, err = exec.LookPath("memtier_benchmark"); err != nil {
		b.missing = append(b.missing, "memtier_benchmark")
	}
	if b.client == "redis-benchmark" {
		if b.clientPath, err = exec.LookPath("redis-benchmark"); err != nil {
			b.missing = append(b.missing, "redis-benchmark (the own generator takes its place)")
		}
	}
	if b.all, err = proc.AllowedCPUs(); err != nil {
		return err
	}
	if slices.Contains(b.all, b.serverCPU) && slices.Contains(b.all, b.clientCPU) && b.serverCPU != b.clientCPU {
		b.serverCPUs, b.clientCPUs = []int{b.serverCPU}, []int{b.clientCPU}
	} else {
		b.serverCPUs, b.clientCPUs = b.all, b.all
		b.missing = append(b.missing, "two cores to pin server and client to (everything is unpinned)")
	}
	if len(b.missing) > 0 {
		b.logf("missing: %s", strings.Join(b.missing, ", "))
	}
	return nil
}

// spec is an installed server by name.
func (b *bench) spec(name string) (peer.Spec, error) {
	for _, spec := range b.specs {
		if spec.Name == name {
			return spec, nil
		}
	}
	return peer.Spec{}, fmt.Errorf("this scenario needs %s", name)
}

// keepers are the installed servers that keep keys: all but the floor.
func (b *bench) keepers() []peer.Spec {
	return slices.DeleteFunc(slices.Clone(b.specs), func(s peer.Spec) bool { return s.Floor })
}

// start starts a server and remembers what it says it is.
func (b *bench) start(ctx context.Context, spec peer.Spec, cpus []int) (*peer.Server, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := peer.Start(ctx, spec, cpus)
	if err == nil && b.versions[spec.Name] == "" {
		b.versions[spec.Name] = strings.TrimSpace(spec.Name+" "+s.Version()) + ": `" + spec.String() + "`"
	}
	return s, err
}

// with runs fn with a server that is stopped afterwards; a server that dies meanwhile is an error.
func (b *bench) with(ctx context.Context, spec peer.Spec, cpus []int, fn func(*peer.Server) error) error {
	s, err := b.start(ctx, spec, cpus)
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Stop())
}

// provenance says where a section's figures come from, and forgets the servers of this section.
func (b *bench) provenance(ctx context.Context, name string) report.Provenance {
	p := report.Provenance{
		When: time.Now(), Machine: b.machine, Commit: commit(ctx), Quick: b.quick, Missing: b.missing,
		Command: strings.Join(append([]string{"go run ./benchmarks", name}, b.flags...), " "),
	}
	for _, line := range b.versions {
		p.Versions = append(p.Versions, line)
	}
	slices.Sort(p.Versions)
	clear(b.versions)
	if b.clientPath != "" {
		p.Versions = append(p.Versions, "load: "+peer.Version(ctx, b.clientPath))
	}
	if b.memtier != "" && name == "memtier" {
		p.Versions = append(p.Versions, "load: "+peer.Version(ctx, b.memtier))
	}
	p.Versions = append(p.Versions, "Go: "+runtime.Version())
	return p
}

// commit names the checked-out commit, with "and local changes" if files differ from it, the report itself aside.
func commit(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(out))
	status := exec.CommandContext(ctx, "git", "status", "--porcelain", "-uno", "--", ".", ":!BENCHMARKS.md")
	changes, err := status.Output()
	if err != nil || len(changes) > 0 {
		name += " and local changes"
	}
	return name
}

// write puts a section into the report, and the summary with it.
func (b *bench) write(out io.Writer, name, text string, order []string) error {
	if b.out == "-" {
		_, err := io.WriteString(out, text+"\n")
		return err
	}
	document := preface
	old, err := os.ReadFile(b.out)
	switch {
	case err == nil:
		document = string(old)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	document = report.Replace(document, name, text, order)
	document = report.Replace(document, report.Summary, "## Summary\n\n"+report.Summarise(document, order), order)
	fresh := b.out + ".new"
	if err := os.WriteFile(fresh, []byte(document), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, b.out)
}

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(b.log, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// fill gives a server the keys from to to−1 as redis-benchmark names them; the floor keeps none.
func (b *bench) fill(ctx context.Context, s *peer.Server, from, to uint64, valueBytes int) error {
	if s.Spec.Floor {
		return nil
	}
	return b.fillKeys(ctx, s, load.Keys{Prefix: "key:", From: from, To: to, ValueBytes: valueBytes, Seed: from + 1})
}

// fillKeys writes keys within a time that no server should need.
func (b *bench) fillKeys(ctx context.Context, s *peer.Server, keys load.Keys) error {
	limit := time.Minute + time.Duration(keys.To-keys.From)*50*time.Microsecond
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := load.Fill(ctx, s.Addr, keys)
	if err != nil && strings.Contains(err.Error(), "unknown command 'MSET'") {
		keys.Single = true
		err = load.Fill(ctx, s.Addr, keys)
	}
	return err
}

func sentence(title string) string { return strings.ToUpper(title[:1]) + title[1:] + "." }

func paragraph(text string) string {
	if text == "" {
		return ""
	}
	return text + "\n"
}
