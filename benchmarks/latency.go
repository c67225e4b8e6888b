package main

import (
	"context"
	"fmt"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/proc"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

// runLatency measures latencies as users meet them: clients that don't wait for each other, at a rate that all
// servers can bear, each latency counted from the moment at which the command should have been sent.
func (b *bench) runLatency(ctx context.Context) (outcome, error) {
	if err := proc.ConfineSelf(b.clientCPUs); err != nil {
		return outcome{}, err
	}
	work := b.work("mix", 1)
	rate, err := b.halfRate(ctx, work)
	if err != nil {
		return outcome{}, err
	}
	results := map[string][]load.Result{}
	for round := range b.rounds {
		for i := range b.specs {
			spec := b.specs[(i+round)%len(b.specs)]
			got, err := b.openLoop(ctx, spec, work, rate)
			if err != nil {
				return outcome{}, fmt.Errorf("round %d, %s: %w", round+1, spec.Name, err)
			}
			results[spec.Name] = append(results[spec.Name], got)
			b.logf("round %d/%d  %-10s p50 %v  p99 %v  p99.9 %v  max %v",
				round+1, b.rounds, spec.Name, got.P50, got.P99, got.P999, got.Max)
		}
	}
	columns := []struct {
		name string
		of   func(load.Result) time.Duration
	}{
		{"p50 µs", func(r load.Result) time.Duration { return r.P50 }},
		{"p99 µs", func(r load.Result) time.Duration { return r.P99 }},
		{"p99.9 µs", func(r load.Result) time.Duration { return r.P999 }},
		{"max µs", func(r load.Result) time.Duration { return r.Max }},
	}
	head := []string{fmt.Sprintf("%.0f commands/s", rate)}
	for _, column := range columns {
		head = append(head, column.name, "÷ redis")
	}
	var rows [][]string
	for _, spec := range b.specs {
		row := []string{spec.Name}
		for _, column := range columns {
			values := microseconds(results[spec.Name], column.of)
			ratio := stat.Ratios(values, microseconds(results[peer.Redis], column.of))
			row = append(row, report.Spread(stat.Of(values)), report.Spread(stat.Of(ratio)))
		}
		rows = append(rows, row)
	}
	text := fmt.Sprintf("Client: the own generator on a core of its own, %d connections, GET and SET by halves "+
		"without pipelining, at random (exponential) distances, half as many a second as redis-server answers at "+
		"most; %v a round. redis-benchmark can't do this: it waits for an answer before it asks again, and so counts "+
		"a pause of the server once per connection.\n\n",
		clients, b.loadTime)
	return outcome{nil, text + report.Table(head, rows) + "\n"}, nil
}

// halfRate is half of what the reference answers in a closed loop.
func (b *bench) halfRate(ctx context.Context, work load.Work) (rate float64, err error) {
	redis, err := b.spec(peer.Redis)
	if err != nil {
		return 0, err
	}
	err = b.with(ctx, redis, b.serverCPUs, func(s *peer.Server) error {
		if err := b.fill(ctx, s, 0, work.Keys, work.ValueBytes); err != nil {
			return err
		}
		got, err := load.Child(ctx, b.clientCPUs, load.Plan{Addr: s.Addr, Work: work, Duration: b.loadTime}, nil)
		rate = got.PerSecond() / 2
		return err
	})
	return rate, err
}

func (b *bench) openLoop(
	ctx context.Context, spec peer.Spec, work load.Work, rate float64,
) (got load.Result, err error) {
	err = b.with(ctx, spec, b.serverCPUs, func(s *peer.Server) error {
		if err := b.fill(ctx, s, 0, work.Keys, work.ValueBytes); err != nil {
			return err
		}
		plan := load.Plan{Addr: s.Addr, Work: work, PerSecond: rate, Spin: len(b.clientCPUs) == 1, Seed: 1}
		plan.Duration = b.loadTime / 5 // Warms the server up.
		if _, err := load.Child(ctx, b.clientCPUs, plan, nil); err != nil {
			return err
		}
		plan.Duration, plan.Seed = b.loadTime, 2
		got, err = load.Child(ctx, b.clientCPUs, plan, nil)
		return err
	})
	return got, err
}

func microseconds(results []load.Result, of func(load.Result) time.Duration) []float64 {
	values := make([]float64, len(results))
	for i, r := range results {
		values[i] = float64(of(r)) / float64(time.Microsecond)
	}
	return values
}
