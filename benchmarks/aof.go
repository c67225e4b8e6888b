package main

import (
	"context"
	"fmt"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/proc"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

// replayKeys are the SETs that a start-up has to replay.
const replayKeys = 2_000_000

// runAOF measures what an append-only file costs: throughput where every reply waits for the disk, processor time
// where none does, and the start-up that replays it.
func (b *bench) runAOF(ctx context.Context) (outcome, error) {
	always, err := b.logged("always", 1)
	if err != nil {
		return outcome{}, err
	}
	everysec, err := b.logged("everysec", 16)
	if err != nil {
		return outcome{}, err
	}
	replay, err := b.replays(ctx)
	if err != nil {
		return outcome{}, err
	}
	cl := ownClient()
	synced, err := b.measure(ctx, always.subjects, always.works, cl)
	if err != nil {
		return outcome{}, err
	}
	second, err := b.measure(ctx, everysec.subjects, everysec.works, cl)
	if err != nil {
		return outcome{}, err
	}
	return b.aofReport(synced, second, replay), nil
}

// aofPlan is what is compared under one policy.
type aofPlan struct {
	subjects []subject
	works    []load.Work
}

const (
	withLog    = " with AOF"
	withoutLog = " without"
)

// logged are Fulmen and the reference with an append-only file, and without, under SETs.
func (b *bench) logged(policy string, pipeline int) (plan aofPlan, err error) {
	for _, name := range []string{peer.Fulmen, peer.Redis} {
		spec, err := b.spec(name)
		if err != nil {
			return plan, err
		}
		plan.subjects = append(plan.subjects,
			subject{name: name + withLog, spec: withAOF(spec, policy), serverCPUs: b.serverCPUs,
				clientCPUs: b.clientCPUs},
			subject{name: name + withoutLog, spec: spec, serverCPUs: b.serverCPUs, clientCPUs: b.clientCPUs})
	}
	work := b.work("set", pipeline)
	work.RandomValues = true
	plan.works = []load.Work{work}
	return plan, nil
}

// withAOF is a server with an append-only file that is not rewritten: what is measured is the log. A rewrite is a save,
// which redis-server makes in a process that its processor time does not have.
func withAOF(spec peer.Spec, policy string) peer.Spec {
	spec = spec.With(spec.Name, "--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0")
	spec.Logs = true
	return spec
}

// replays are the commands a second that each server's start-up replays, by round. It writes on all cores, too: with
// another number of shards everything would be written anew at the start.
func (b *bench) replays(ctx context.Context) (map[string][]float64, error) {
	if err := proc.ConfineSelf(b.clientCPUs); err != nil {
		return nil, err
	}
	keys := b.replayKeys()
	found := map[string][]float64{}
	for round := range b.fewRounds(3) {
		for _, name := range []string{peer.Fulmen, peer.Redis} {
			spec, err := b.spec(name)
			if err != nil {
				return nil, err
			}
			err = b.with(ctx, withAOF(spec, "everysec"), b.all, func(s *peer.Server) error {
				run := load.Keys{Prefix: "key:", To: keys, ValueBytes: valueBytes, Seed: 1, Single: true}
				if err := b.fillKeys(ctx, s, run); err != nil {
					return err
				}
				ready, err := s.Restart(ctx, b.all)
				if err != nil {
					return err
				}
				if err := s.ExpectKeys(int64(keys), "after a restart"); err != nil {
					return err
				}
				found[name] = append(found[name], float64(keys)/ready.Seconds())
				b.logf("round %d  %-8s replays %.0f commands/s", round+1, name, float64(keys)/ready.Seconds())
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return found, nil
}

func (b *bench) replayKeys() uint64 {
	if b.quick {
		return replayKeys / 100
	}
	return replayKeys
}

func (b *bench) aofReport(synced, second *grid, replay map[string][]float64) outcome {
	column := func(g *grid, name string, of func(sample) float64) []float64 { return g.of(g.works[0], name, of) }
	ratio := func(g *grid, a, b string, of func(sample) float64) stat.Figure {
		return stat.Of(stat.Ratios(column(g, a, of), column(g, b, of)))
	}
	const ours, redis = peer.Fulmen, peer.Redis
	targets := []report.Target{
		{What: "always, SET, pipeline 1: throughput ÷ redis", Limit: 2, Unit: "×", AtLeast: true,
			Measured: ratio(synced, ours+withLog, redis+withLog, perSecond)},
		{What: "everysec, SET, pipeline 16: CPU ÷ without AOF", Limit: 1.1, Unit: "×",
			Measured: ratio(second, ours+withLog, ours+withoutLog, cpuUs)},
		{What: "replay at start-up, commands/s ÷ redis", Limit: 2, Unit: "×", AtLeast: true,
			Measured: stat.Of(stat.Ratios(replay[ours], replay[redis]))},
	}
	row := func(name string) []string {
		spread := func(values []float64) string { return report.Spread(stat.Of(values)) }
		return []string{
			name, spread(column(synced, name, perSecond)), spread(column(synced, name, cpuUs)),
			spread(column(second, name, perSecond)), spread(column(second, name, cpuUs)),
		}
	}
	head := []string{"SET", "always, pipeline 1: /s", "CPU µs", "everysec, pipeline 16: /s", "CPU µs"}
	var rows [][]string
	for _, name := range []string{ours + withLog, redis + withLog, ours + withoutLog, redis + withoutLog} {
		rows = append(rows, row(name))
	}
	text := fmt.Sprintf("Client: the own generator, %d connections, random keys and values of %d bytes, server and "+
		"client on a core each, no automatic rewrites; the rows without a log are under the same load. Replay: %s "+
		"SETs on all cores, a restart there until PING is answered: %s commands/s, redis %s.\n\n", clients, valueBytes,
		count(b.replayKeys()), report.Spread(stat.Of(replay[ours])), report.Spread(stat.Of(replay[redis])))
	return outcome{targets, text + report.Table(head, rows)}
}
