package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/proc"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

// collection is a command on collections, with what there is before.
type collection struct {
	name   string
	fill   string // one command a number, ascending
	script string
	small  bool // on many of ten elements, not on one of many
}

const (
	smallHash = "HSET small:# f0 xxxxxxxx f1 xxxxxxxx f2 xxxxxxxx f3 xxxxxxxx f4 xxxxxxxx f5 xxxxxxxx f6 xxxxxxxx " +
		"f7 xxxxxxxx f8 xxxxxxxx f9 xxxxxxxx"
	smallList = "RPUSH small:# item0 item1 item2 item3 item4 item5 item6 item7 item8 item9"
	smallSet  = "SADD small:# m0 m1 m2 m3 m4 m5 m6 m7 m8 m9"
	smallZSet = "ZADD small:# 0 m0 1 m1 2 m2 3 m3 4 m4 5 m5 6 m6 7 m7 8 m8 9 m9"
	bigList   = "RPUSH big #"
	bigHash   = "HSET big field:# xxxxxxxx"
	bigSet    = "SADD big member:#"
	bigZSet   = "ZADD big # member:#"
	bigStream = "XADD big #-1 f xxxxxxxx g #"
)

func collections() []collection {
	return []collection{
		{"LPUSH, 1 M", bigList, "LPUSH big #", false},
		{"LPUSH, small", smallList, "LPUSH small:# item", true},
		{"RPUSH, 1 M", bigList, "RPUSH big #", false},
		{"RPUSH, small", smallList, "RPUSH small:# item", true},
		{"RPUSH and LPOP, 1 M", bigList, "RPUSH big #; LPOP big", false},
		{"RPUSH and LPOP, small", smallList, "RPUSH small:# item; LPOP small:#", true},
		{"LRANGE_100, 1 M", bigList, "LRANGE big 0 99", false},
		{"LRANGE_100, small", smallList, "LRANGE small:# 0 99", true},
		{"HSET, 1 M", bigHash, "HSET big field:# yyyyyyyy", false},
		{"HSET, small", smallHash, "HSET small:# f5 yyyyyyyy", true},
		{"HGET, 1 M", bigHash, "HGET big field:#", false},
		{"HGET, small", smallHash, "HGET small:# f5", true},
		{"HGETALL(10)", smallHash, "HGETALL small:#", true},
		{"SADD, 1 M", bigSet, "SADD big new:#", false},
		{"SADD, small", smallSet, "SADD small:# m5", true},
		{"SISMEMBER, 1 M", bigSet, "SISMEMBER big member:#", false},
		{"SISMEMBER, small", smallSet, "SISMEMBER small:# m5", true},
		{"SADD and SPOP, 1 M", bigSet, "SADD big new:#; SPOP big", false},
		{"SADD and SPOP, small", smallSet, "SADD small:# m11; SPOP small:#", true},
		{"ZADD, 1 M", bigZSet, "ZADD big @ member:#", false},
		{"ZADD, small", smallZSet, "ZADD small:# @ m5", true},
		{"ZSCORE, 1 M", bigZSet, "ZSCORE big member:#", false},
		{"ZSCORE, small", smallZSet, "ZSCORE small:# m5", true},
		{"ZRANK, 1 M", bigZSet, "ZRANK big member:#", false},
		{"ZRANK, small", smallZSet, "ZRANK small:# m5", true},
		{"ZRANGEBYSCORE(10), 1 M", bigZSet, "ZRANGEBYSCORE big # +inf LIMIT 0 10", false},
		{"ZRANGEBYSCORE(10), small", smallZSet, "ZRANGEBYSCORE small:# -inf +inf", true},
		{"XADD, 1 M", bigStream, "XADD big * f xxxxxxxx g #", false},
		{"XRANGE(10), 1 M", bigStream, "XRANGE big # + COUNT 10", false},
		{"XREAD(10), 1 M", bigStream, "XREAD COUNT 10 STREAMS big #", false},
	}
}

// work is the collection's load: the elements of a big one, or the small ones, are as many as keys.
func (b *bench) collectionWork(c collection) load.Work {
	keys := b.keys
	if c.small {
		keys = max(keys/100, 1)
	}
	return load.Work{Command: c.name, Script: c.script, Pipeline: 16, Clients: clients, Keys: keys}
}

// fillScript gives a server what a script writes for the numbers below keys.
func (b *bench) fillScript(ctx context.Context, s *peer.Server, script string, keys uint64) error {
	if s.Spec.Floor {
		return nil
	}
	plan := load.Plan{
		Addr: s.Addr, Requests: keys, Sequential: true, Deadline: 5 * time.Minute,
		Work: load.Work{Command: "fill", Script: script, Pipeline: 10, Clients: 1, Keys: keys},
	}
	_, err := load.Child(ctx, b.clientCPUs, plan, nil)
	return err
}

func (b *bench) runCollections(ctx context.Context) (outcome, error) {
	var subjects []subject
	for _, sub := range b.subjects(b.serverCPUs, b.clientCPUs) {
		if slices.Contains([]string{peer.Fulmen, peer.Redis, peer.Floor}, sub.name) {
			subjects = append(subjects, sub)
		}
	}
	short := *b // there are many commands: each is measured for a shorter time
	short.cpuTime /= 5
	var targets []report.Target
	var rows [][]string
	var medians []float64
	for _, c := range collections() {
		work := b.collectionWork(c)
		cl := ownClient()
		cl.fill = func(ctx context.Context, s *peer.Server, work load.Work) error {
			return b.fillScript(ctx, s, c.fill, work.Keys)
		}
		g, err := short.measure(ctx, subjects, []load.Work{work}, cl)
		if err != nil && strings.Contains(err.Error(), "unknown command") {
			b.logf("%s is left out: %v", c.name, err)
			continue
		}
		if err != nil {
			return outcome{}, err
		}
		ratio := stat.Of(stat.Ratios(g.of(work, peer.Fulmen, cpuUs), g.of(work, peer.Redis, cpuUs)))
		medians = append(medians, ratio.Median)
		targets = append(targets, report.Target{What: c.name + ": CPU ÷ redis", Limit: 1, Unit: "×", Measured: ratio})
		row := []string{c.name}
		for _, name := range []string{peer.Fulmen, peer.Redis, peer.Floor} {
			row = append(row, report.Spread(stat.Of(g.of(work, name, cpuUs))))
		}
		rows = append(rows, append(row, report.Spread(ratio), report.Spread(g.aboveFloor(work))))
	}
	targets = append([]report.Target{{
		What: "median of all ratios to redis", Limit: 0.7, Unit: "×", Measured: stat.Of(medians),
	}}, targets...)
	text := fmt.Sprintf("Client: the own generator, %d connections, pipeline 16; collections of %s elements, or %s of "+
		"10. Of two commands by turns the figure is their mean.\n\n", clients, count(b.keys), count(max(b.keys/100, 1)))
	head := []string{"CPU µs/command", peer.Fulmen, peer.Redis, peer.Floor, "÷ redis", "above the floor ÷ redis"}
	return outcome{targets, text + report.Table(head, rows)}, nil
}

// held is a collection whose memory is measured.
type held struct {
	name   string
	script string
	keys   uint64 // how many times the script is sent
	limit  float64
}

func (b *bench) heldCollections() []held {
	return []held{
		{"hash of 10 fields, a key", smallHash, b.keys / 5, 210},
		{"sorted set, a member", "ZADD big # m:#", b.keys, 60},
		{"set of 10-byte strings, a member", "SADD big ~", b.keys, 30},
		{"list of 10-byte items, an item", "RPUSH big ~", b.keys, 16},
		{"set of integers, a member", "SADD big 1#", b.keys, 12},
	}
}

func (b *bench) runCollectionMemory(ctx context.Context) (outcome, error) {
	if err := proc.ConfineSelf(b.clientCPUs); err != nil {
		return outcome{}, err
	}
	var targets []report.Target
	var rows [][]string
	head := []string{"bytes of RSS"}
	for _, spec := range b.keepers() {
		head = append(head, spec.Name)
	}
	for _, h := range b.heldCollections() {
		row := []string{h.name}
		for _, spec := range b.keepers() {
			var each []float64
			for range b.fewRounds(3) {
				err := b.with(ctx, spec, b.serverCPUs, func(s *peer.Server) error {
					empty, err := b.resident(ctx, s)
					if err != nil {
						return err
					}
					if err := b.fillScript(ctx, s, h.script, h.keys); err != nil {
						return err
					}
					full, err := b.resident(ctx, s)
					each = append(each, float64(full-empty)/float64(h.keys))
					return err
				})
				if err != nil && strings.Contains(err.Error(), "unknown command") {
					b.logf("%s, %s is left out: %v", spec.Name, h.name, err)
					break
				}
				if err != nil {
					return outcome{}, fmt.Errorf("%s, %s: %w", spec.Name, h.name, err)
				}
			}
			if b.logf("%-10s %-36s %.1f B", spec.Name, h.name, each); spec.Name == peer.Fulmen {
				targets = append(targets, report.Target{
					What: h.name, Limit: h.limit, Unit: "B", Measured: stat.Of(each),
				})
			}
			row = append(row, report.Spread(stat.Of(each)))
		}
		rows = append(rows, row)
	}
	text := "RSS over the empty server per element of one big collection, or per small one, written over one " +
		"connection and read when it has come to rest.\n\n"
	return outcome{targets, text + report.Table(head, rows)}, nil
}
