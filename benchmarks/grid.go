package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/proc"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

// client is a load generator.
type client struct {
	firstKey uint64 // the number of the first of the keys that it uses
	// run puts a server under n commands of a work.
	run func(ctx context.Context, addr string, cpus []int, work load.Work, n uint64) (load.Result, error)
	// fill gives a server what the work needs; nil: its keys.
	fill func(ctx context.Context, s *peer.Server, work load.Work) error
	// check says what is wrong with the server after a load, the floor aside; nil: nothing.
	check func(s *peer.Server) error
}

// subject is a server in the cores it is measured on.
type subject struct {
	name       string
	spec       peer.Spec
	serverCPUs []int
	clientCPUs []int
	follower   *peer.Spec // that is its replica, on the client's cores; nil: it has none
	script     string     // what it is sent in place of the work's Script; empty: that
}

// sample is one measurement: one server, one work, one round.
type sample struct {
	cpuUs     float64 // server CPU per command
	perSecond float64
	p50Ms     float64
	p99Ms     float64
	p999Ms    float64
	busy      float64 // server CPU ÷ time: 1 is a whole core
}

// grid holds the samples of subjects under works, by round.
type grid struct {
	subjects []subject
	works    []load.Work
	samples  map[load.Work]map[string][]sample
}

// measure fills a grid: in each round every subject under every work, the subjects of a work one right after the
// other, in an order that rotates from round to round. Every sample is taken from a server started for it.
func (b *bench) measure(ctx context.Context, subjects []subject, works []load.Work, cl client) (*grid, error) {
	g := &grid{subjects: subjects, works: works, samples: map[load.Work]map[string][]sample{}}
	for _, work := range works {
		g.samples[work] = map[string][]sample{}
	}
	for round := range b.rounds {
		for _, work := range works {
			for i := range subjects {
				sub := subjects[(i+round)%len(subjects)]
				got, err := b.sample(ctx, sub, work, cl)
				if err != nil {
					return nil, fmt.Errorf("round %d, %s, %s: %w", round+1, sub.name, work, err)
				}
				g.samples[work][sub.name] = append(g.samples[work][sub.name], got)
				b.logf("round %d/%d  %-22s %-22s %6.2f µs  %7.0f/s  busy %.0f %%",
					round+1, b.rounds, work, sub.name, got.cpuUs, got.perSecond, 100*got.busy)
			}
		}
	}
	return g, nil
}

// sample measures one subject under one work.
func (b *bench) sample(ctx context.Context, sub subject, work load.Work, cl client) (got sample, err error) {
	if err := proc.ConfineSelf(sub.clientCPUs); err != nil {
		return sample{}, err
	}
	// Even a client much slower than any seen here would be done by then.
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute+20*b.cpuTime)
	defer cancel()
	err = b.with(ctx, sub.spec, sub.serverCPUs, func(s *peer.Server) error {
		fill := cl.fill
		if fill == nil {
			fill = func(ctx context.Context, s *peer.Server, work load.Work) error {
				return b.fill(ctx, s, cl.firstKey, cl.firstKey+work.Keys, work.ValueBytes)
			}
		}
		if err := fill(ctx, s, work); err != nil {
			return err
		}
		if sub.follower == nil {
			got, err = b.loadUntilPaid(ctx, s, sub, work, cl)
			return err
		}
		return b.with(ctx, *sub.follower, sub.clientCPUs, func(replica *peer.Server) error {
			if err := follow(ctx, replica, s); err != nil {
				return err
			}
			got, err = b.loadUntilPaid(ctx, s, sub, work, cl)
			return err
		})
	})
	return got, err
}

// loadUntilPaid loads the server until it has used the CPU time asked for. A short load before warms it and, where
// this subject has not been seen yet under this work, tells how many commands that will take.
func (b *bench) loadUntilPaid(
	ctx context.Context, s *peer.Server, sub subject, work load.Work, cl client,
) (sample, error) {
	key := sub.name + ", " + work.String() + fmt.Sprint(sub.serverCPUs)
	if sub.script != "" {
		work.Script = sub.script
	}
	warmUp := uint64(20_000 * min(work.Pipeline, 16))
	if work.Command == "mset" {
		warmUp /= 5
	}
	if b.quick {
		warmUp /= 10
	}
	if b.estimates[key] == 0 { // a few commands tell whether so many would take longer than what is measured
		probe, err := b.paid(ctx, s, sub, work, cl, warmUp/32)
		if err != nil {
			return sample{}, err
		}
		warmUp = min(warmUp, uint64(b.cpuTime/probe.perCommand())+1)
	} else {
		warmUp = uint64(b.cpuTime/b.estimates[key])/10 + 1
	}
	warm, err := b.paid(ctx, s, sub, work, cl, warmUp)
	if err != nil {
		return sample{}, err
	}
	if b.estimates[key] == 0 {
		b.estimates[key] = warm.perCommand()
	}
	var sum payment
	for range 10 {
		rest := b.cpuTime - sum.cpu
		if rest < b.cpuTime/100 {
			break
		}
		n := uint64(1.03*float64(rest)/float64(b.estimates[key])) + uint64(work.Clients*work.Pipeline)
		more, err := b.paid(ctx, s, sub, work, cl, n)
		if err != nil {
			return sample{}, err
		}
		b.estimates[key] = more.perCommand()
		sum.add(more)
	}
	r := sum.result
	return sample{
		cpuUs:     float64(sum.cpu) / float64(time.Microsecond) / float64(r.Commands),
		perSecond: r.PerSecond(),
		p50Ms:     inMs(r.P50), p99Ms: inMs(r.P99), p999Ms: inMs(r.P999),
		busy: float64(sum.cpu) / float64(r.Elapsed),
	}, nil
}

// payment is what a load cost the server.
type payment struct {
	cpu    time.Duration
	result load.Result
}

// perCommand is never 0: a load too short to cost a clock tick is taken for half of one.
func (p payment) perCommand() time.Duration {
	return max(max(p.cpu, 5*time.Millisecond)/time.Duration(p.result.Commands), 1)
}

// add joins two loads; the percentiles are those of the longer one.
func (p *payment) add(more payment) {
	sum := more.result
	if p.result.Commands > more.result.Commands {
		sum = p.result
	}
	sum.Commands = p.result.Commands + more.result.Commands
	sum.Elapsed = p.result.Elapsed + more.result.Elapsed
	p.result = sum
	p.cpu += more.cpu
}

// paid runs one load and counts the server's CPU. The client's count of commands is the one that counts; the
// server's own serves to catch a client or a server that miscounts, and its counters of errors and misses one that
// doesn't do the work.
func (b *bench) paid(
	ctx context.Context, s *peer.Server, sub subject, work load.Work, cl client, n uint64,
) (payment, error) {
	infoBefore := s.Info("stats")
	cpuBefore, err := s.CPU()
	if err != nil {
		return payment{}, err
	}
	result, err := cl.run(ctx, s.Addr, sub.clientCPUs, work, n)
	if err != nil {
		return payment{}, err
	}
	cpuAfter, err := s.CPU()
	if err != nil {
		return payment{}, err
	}
	if result.Commands == 0 || result.Elapsed <= 0 {
		return payment{}, fmt.Errorf("the client did nothing: %+v", result)
	}
	if err := honest(infoBefore, s.Info("stats"), work, result.Commands); err != nil {
		return payment{}, err
	}
	if cl.check != nil && !s.Spec.Floor {
		if err := cl.check(s); err != nil {
			return payment{}, err
		}
	}
	return payment{cpu: cpuAfter.Total() - cpuBefore.Total(), result: result}, nil
}

// honest compares what the client says it did with what the server says; a server that does not say is believed.
func honest(before, after map[string]string, work load.Work, commands uint64) error {
	grown := func(name string) (float64, bool) {
		from, err1 := strconv.ParseFloat(before[name], 64)
		to, err2 := strconv.ParseFloat(after[name], 64)
		return to - from, err1 == nil && err2 == nil
	}
	if work.Calls {
		return nil
	}
	// What is under way when the client stops counting, the client's own questions, and the last batch of keys loaded
	// before: a server with several threads may count it after having answered it.
	slack := float64(commands)/50 + float64(2*work.Clients*work.Pipeline) + 1000
	if n, known := grown("total_commands_processed"); known && math.Abs(n-float64(commands)) > slack {
		return fmt.Errorf("the client counts %d commands, the server %.0f", commands, n)
	}
	if n, known := grown("total_error_replies"); known && n > 10 {
		return fmt.Errorf("the server answered %.0f of %d commands with an error", n, commands)
	}
	if n, known := grown("keyspace_misses"); known && n > slack {
		return fmt.Errorf("%.0f of %d commands found no key", n, commands)
	}
	return nil
}

// closedLoop is the reference client, redis-benchmark, or the own generator in its place.
func (b *bench) closedLoop() client {
	if b.clientPath == "" {
		return ownClient()
	}
	return client{run: func(
		ctx context.Context, addr string, cpus []int, work load.Work, n uint64,
	) (load.Result, error) {
		return load.RedisBenchmark(ctx, b.clientPath, addr, cpus, work, n)
	}}
}

// ownClient is the own generator in a closed loop.
func ownClient() client {
	return client{run: func(
		ctx context.Context, addr string, cpus []int, work load.Work, n uint64,
	) (load.Result, error) {
		plan := load.Plan{Addr: addr, Work: work, Requests: n, Deadline: 10 * time.Minute, Seed: n}
		return load.Child(ctx, cpus, plan, nil)
	}}
}

// of collects one figure of a subject under a work, by round.
func (g *grid) of(work load.Work, name string, figure func(sample) float64) []float64 {
	var values []float64
	for _, s := range g.samples[work][name] {
		values = append(values, figure(s))
	}
	return values
}

func cpuUs(s sample) float64     { return s.cpuUs }
func perSecond(s sample) float64 { return s.perSecond }

// table shows one work: a row per subject, with the ratio of its CPU to the reference's.
func (g *grid) table(work load.Work, reference string) string {
	var rows [][]string
	for _, sub := range g.subjects {
		figure := func(f func(sample) float64) string { return report.Spread(stat.Of(g.of(work, sub.name, f))) }
		ratio := stat.Of(stat.Ratios(g.of(work, sub.name, cpuUs), g.of(work, reference, cpuUs)))
		rows = append(rows, []string{
			sub.name, figure(cpuUs), report.Spread(ratio),
			figure(func(s sample) float64 { return s.perSecond / 1000 }),
			figure(func(s sample) float64 { return s.p50Ms }), figure(func(s sample) float64 { return s.p99Ms }),
			figure(func(s sample) float64 { return s.p999Ms }), figure(func(s sample) float64 { return 100 * s.busy }),
		})
	}
	return report.Table([]string{
		work.String(), "CPU µs/command", "÷ " + reference, "k commands/s", "p50 ms", "p99 ms", "p99.9 ms", "busy %",
	}, rows)
}

// tables shows all works.
func (g *grid) tables(reference string) string {
	text := ""
	for _, work := range g.works {
		text += g.table(work, reference) + "\n"
	}
	return text
}

// bars draws the CPU per command of the given works.
func (g *grid) bars(works ...load.Work) string {
	var names []string
	var values []float64
	for _, work := range works {
		for _, sub := range g.subjects {
			names = append(names, work.String()+"  "+sub.name)
			values = append(values, stat.Of(g.of(work, sub.name, cpuUs)).Median)
		}
	}
	return "Server CPU per command:\n\n" + report.Bars(names, values, "µs") + "\n"
}

func inMs(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
