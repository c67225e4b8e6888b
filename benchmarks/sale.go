package main

import (
	"context"
	"fmt"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

// runFlashSale measures what it costs to sell a unit of one counter to the holder of a token: with the script that
// shops run, and with the command that does the same; and what a script costs that does nothing.
func (b *bench) runFlashSale(ctx context.Context) (outcome, error) {
	const (
		take      = peer.Fulmen + " TAKE"
		oneShard  = peer.Fulmen + ", 1 shard"
		returnOne = "return 1"
		// counts of units and tokens that no load uses up
		units, tokens = "1000000000000000", 1_000_000_000_000
	)
	ours, err := b.spec(peer.Fulmen)
	if err != nil {
		return outcome{}, err
	}
	theirs, err := b.spec(peer.Redis)
	if err != nil {
		return outcome{}, err
	}
	pinned := func(name string, spec peer.Spec, script string) subject {
		return subject{name: name, spec: spec, serverCPUs: b.serverCPUs, clientCPUs: b.clientCPUs, script: script}
	}
	scripted := []subject{
		pinned(peer.Fulmen, ours.With(peer.Fulmen, "--shards", "8"), ""),
		pinned(oneShard, ours.With(oneShard, "--shards", "1"), ""), pinned(peer.Redis, theirs, ""),
	}
	cl := ownClient()
	cl.fill = func(_ context.Context, s *peer.Server, _ load.Work) error {
		for _, args := range [][]string{
			{"SET", "{sale}:stock", units}, {"SCRIPT", "LOAD", load.FlashSale}, {"SCRIPT", "LOAD", returnOne},
		} {
			if _, err := s.Do(args...); err != nil {
				return err
			}
		}
		return nil
	}
	work := func(name, script string) load.Work {
		return load.Work{Command: name, Script: script, Pipeline: 16, Clients: clients, Keys: tokens, Calls: true}
	}
	sale := work("a unit sold", "EVALSHA "+load.SHA1(load.FlashSale)+" 2 {sale}:stock {sale}:order:# 1 3600")
	one := work("EVALSHA of return 1", "EVALSHA "+load.SHA1(returnOne)+" 0")
	short := *b
	short.cpuTime /= 5 // tokens stay, and take memory
	command := pinned(take, ours.With(take, "--shards", "8"), "TAKE {sale}:stock 1 TOKEN {sale}:order:# EX 3600")
	sold, err := short.measure(ctx, append(scripted, command), []load.Work{sale}, cl)
	if err != nil {
		return outcome{}, err
	}
	empty, err := short.measure(ctx, scripted, []load.Work{one}, cl)
	if err != nil {
		return outcome{}, err
	}
	target := func(g *grid, work load.Work, what, name, base string, limit float64) report.Target {
		ratio := stat.Of(stat.Ratios(g.of(work, name, cpuUs), g.of(work, base, cpuUs)))
		return report.Target{What: what, Limit: limit, Unit: "×", Measured: ratio}
	}
	text := fmt.Sprintf("Client: the own generator, %d connections, pipelines of 16; one counter, each call with "+
		"another token, both in one shard. All do the same: with the script of `load.FlashSale`, or with TAKE.\n\n",
		clients)
	return outcome{[]report.Target{
		target(sold, sale, "TAKE: CPU ÷ the script on redis", take, peer.Redis, 0.6),
		target(sold, sale, "the script: CPU ÷ redis", peer.Fulmen, peer.Redis, 1.3),
		target(sold, sale, "the script: CPU with 8 shards ÷ with 1", peer.Fulmen, oneShard, 1.05),
		target(empty, one, "EVALSHA of return 1: CPU ÷ redis", peer.Fulmen, peer.Redis, 1.2),
	}, text + sold.tables(peer.Redis) + empty.tables(peer.Redis)}, nil
}
