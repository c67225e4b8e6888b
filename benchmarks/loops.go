package main

import (
	"context"

	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

// runLoops compares Fulmen with itself: what more event loops and shards cost where there is one core, and what
// they bring where there are two, one of them the client's.
func (b *bench) runLoops(ctx context.Context) (outcome, error) {
	fulmen, err := b.spec(peer.Fulmen)
	if err != nil {
		return outcome{}, err
	}
	const (
		one       = "1 loop, 1 shard"
		two       = "2 loops, 2 shards"
		manyShard = "1 loop, 8 shards"
		oneFree   = "1 loop, unpinned"
		twoFree   = "2 loops, unpinned"
	)
	subjectOf := func(name, loops, shards string, serverCPUs, clientCPUs []int) subject {
		spec := fulmen.With(name, "--event-loops", loops)
		if shards != "" {
			spec = spec.With(name, "--shards", shards)
		}
		return subject{name: name, spec: spec, serverCPUs: serverCPUs, clientCPUs: clientCPUs}
	}
	pinned := []subject{
		subjectOf(one, "1", "1", b.serverCPUs, b.clientCPUs),
		subjectOf(two, "2", "2", b.serverCPUs, b.clientCPUs),
		subjectOf(manyShard, "1", "8", b.serverCPUs, b.clientCPUs),
	}
	free := []subject{subjectOf(oneFree, "1", "", b.all, b.all), subjectOf(twoFree, "2", "", b.all, b.all)}
	works := b.closedWorks(1, 16)

	onOneCore, err := b.measure(ctx, pinned, works, b.closedLoop())
	if err != nil {
		return outcome{}, err
	}
	beside, err := b.measure(ctx, free, works, b.closedLoop())
	if err != nil {
		return outcome{}, err
	}
	var targets []report.Target
	for _, other := range []string{two, manyShard} {
		for _, work := range works {
			cpus := stat.Ratios(onOneCore.of(work, other, cpuUs), onOneCore.of(work, one, cpuUs))
			targets = append(targets, report.Target{
				What: work.String() + ": CPU of " + other + " ÷ " + one, Limit: 1.1, Unit: "×",
				Measured: stat.Of(cpus),
			})
		}
	}
	for _, work := range works {
		rates := stat.Ratios(beside.of(work, twoFree, perSecond), beside.of(work, oneFree, perSecond))
		targets = append(targets, report.Target{
			What:  work.String() + ": throughput of " + twoFree + " ÷ " + oneFree,
			Limit: 0.85, AtLeast: true, Unit: "×", Measured: stat.Of(rates),
		})
	}
	text := b.clientText() + "\n\nOn one pinned core:\n\n" + onOneCore.tables(one) +
		"Unpinned, the client beside the server:\n\n" + beside.tables(oneFree)
	return outcome{targets, text}, nil
}
