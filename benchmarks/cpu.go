package main

import (
	"context"
	"fmt"
	"slices"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

// valueBytes and clients are those of redis-benchmark runs that people compare: -d 64 -c 50.
const (
	valueBytes = 64
	clients    = 50
)

func (b *bench) work(command string, pipeline int) load.Work {
	return load.Work{Command: command, Pipeline: pipeline, Clients: clients, Keys: b.keys, ValueBytes: valueBytes}
}

// closedWorks are GET and SET at the given pipeline depths, those of them that the options name.
func (b *bench) closedWorks(depths ...int) []load.Work {
	var works []load.Work
	for _, depth := range depths {
		for _, command := range []string{"get", "set"} {
			if slices.Contains(b.commands, command) && slices.Contains(b.pipelines, depth) {
				works = append(works, b.work(command, depth))
			}
		}
	}
	return works
}

// clientText says which client a section used and why.
func (b *bench) clientText() string {
	if b.clientPath == "" {
		return fmt.Sprintf("Client: the own generator, %d connections, %d random keys, values of %d bytes.",
			clients, b.keys, valueBytes)
	}
	return fmt.Sprintf("Client: `redis-benchmark -c %d -r %d -d %d -P <pipeline> -t <command> -n <requests>`, since "+
		"that is what people compare with; its keys are uniformly random. The number of requests follows from the "+
		"server's speed: at least %v of server CPU. All keys exist before.", clients, b.keys, valueBytes, b.cpuTime)
}

// subjects are all installed servers on the given cores.
func (b *bench) subjects(serverCPUs, clientCPUs []int) []subject {
	var subjects []subject
	for _, spec := range b.specs {
		subjects = append(subjects, subject{
			name: spec.Name, spec: spec, serverCPUs: serverCPUs, clientCPUs: clientCPUs,
		})
	}
	return subjects
}

func (b *bench) runCPU(ctx context.Context) (outcome, error) {
	mset := b.work("mset", 16)
	works := b.closedWorks(1, 16, 64)
	if slices.Contains(b.commands, "mset") && slices.Contains(b.pipelines, mset.Pipeline) {
		works = append(works, mset)
	}
	g, err := b.measure(ctx, b.subjects(b.serverCPUs, b.clientCPUs), works, b.closedLoop())
	if err != nil {
		return outcome{}, err
	}
	var targets []report.Target
	for _, work := range works {
		limit := map[int]float64{1: 1, 16: 0.5, 64: 0.35}[work.Pipeline]
		if work == mset {
			limit = 0.3
		}
		targets = append(targets, report.Target{
			What: work.String() + ": CPU ÷ redis", Limit: limit, Unit: "×",
			Measured: stat.Of(stat.Ratios(g.of(work, peer.Fulmen, cpuUs), g.of(work, peer.Redis, cpuUs))),
		})
	}
	for _, work := range works {
		if work.Pipeline > 1 && work != mset {
			targets = append(targets, report.Target{
				What: work.String() + ": (ours − floor) ÷ (redis − floor)", Limit: 0.3, Unit: "×",
				Measured: g.aboveFloor(work),
			})
		}
	}
	text := b.clientText() + "\n\n" + g.bars(b.work("get", 16), b.work("set", 16)) + g.tables(peer.Redis)
	return outcome{targets, text}, nil
}

// aboveFloor compares Fulmen with the reference free of what the kernel and the engine cost.
func (g *grid) aboveFloor(work load.Work) stat.Figure {
	ours, theirs := g.of(work, peer.Fulmen, cpuUs), g.of(work, peer.Redis, cpuUs)
	return stat.Of(stat.AboveFloor(ours, theirs, g.of(work, peer.Floor, cpuUs)))
}

func (b *bench) runUnpinned(ctx context.Context) (outcome, error) {
	works := b.closedWorks(1, 16)
	g, err := b.measure(ctx, b.subjects(b.all, b.all), works, b.closedLoop())
	if err != nil {
		return outcome{}, err
	}
	return outcome{nil, b.clientText() + "\n\n" + g.tables(peer.Redis)}, nil
}

func (b *bench) runMemtier(ctx context.Context) (outcome, error) {
	works := []load.Work{b.work("mix", 1), b.work("mix", 16)}
	memtier := client{firstKey: load.MemtierFirstKey, run: func(
		ctx context.Context, addr string, cpus []int, work load.Work, n uint64,
	) (load.Result, error) {
		return load.Memtier(ctx, b.memtier, addr, cpus, work, n)
	}}
	g, err := b.measure(ctx, b.subjects(b.serverCPUs, b.clientCPUs), works, memtier)
	if err != nil {
		return outcome{}, err
	}
	text := "Client: memtier_benchmark, one thread, GET and SET by halves, uniformly random keys that exist before, " +
		"`--distinct-client-seed --randomize`; server and client pinned.\n\n"
	return outcome{nil, text + g.tables(peer.Redis)}, nil
}
