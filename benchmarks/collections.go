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
	fill   string // one command a number, ascending; "": nothing
	script string
	small  bool // on many of ten elements, not on one of many

	begin       []string                 // commands that are sent once, after the fill
	subscribers int                      // to the channel "news"
	check       func(*peer.Server) error // what must be true after each load; nil: nothing
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
)

func collections() []collection {
	return []collection{
		{name: "LPUSH, 1 M", fill: bigList, script: "LPUSH big #"},
		{name: "LPUSH, small", fill: smallList, script: "LPUSH small:# item", small: true},
		{name: "RPUSH, 1 M", fill: bigList, script: "RPUSH big #"},
		{name: "RPUSH, small", fill: smallList, script: "RPUSH small:# item", small: true},
		{name: "RPUSH and LPOP, 1 M", fill: bigList, script: "RPUSH big #; LPOP big"},
		{name: "RPUSH and LPOP, small", fill: smallList, script: "RPUSH small:# item; LPOP small:#", small: true},
		{name: "LRANGE_100, 1 M", fill: bigList, script: "LRANGE big 0 99"},
		{name: "LRANGE_100, small", fill: smallList, script: "LRANGE small:# 0 99", small: true},
		{name: "HSET, 1 M", fill: bigHash, script: "HSET big field:# yyyyyyyy"},
		{name: "HSET, small", fill: smallHash, script: "HSET small:# f5 yyyyyyyy", small: true},
		{name: "HGET, 1 M", fill: bigHash, script: "HGET big field:#"},
		{name: "HGET, small", fill: smallHash, script: "HGET small:# f5", small: true},
		{name: "HGETALL(10)", fill: smallHash, script: "HGETALL small:#", small: true},
		{name: "SADD, 1 M", fill: bigSet, script: "SADD big new:#"},
		{name: "SADD, small", fill: smallSet, script: "SADD small:# m5", small: true},
		{name: "SISMEMBER, 1 M", fill: bigSet, script: "SISMEMBER big member:#"},
		{name: "SISMEMBER, small", fill: smallSet, script: "SISMEMBER small:# m5", small: true},
		{name: "SADD and SPOP, 1 M", fill: bigSet, script: "SADD big new:#; SPOP big"},
		{name: "SADD and SPOP, small", fill: smallSet, script: "SADD small:# m11; SPOP small:#", small: true},
		{name: "ZADD, 1 M", fill: bigZSet, script: "ZADD big @ member:#"},
		{name: "ZADD, small", fill: smallZSet, script: "ZADD small:# @ m5", small: true},
		{name: "ZSCORE, 1 M", fill: bigZSet, script: "ZSCORE big member:#"},
		{name: "ZSCORE, small", fill: smallZSet, script: "ZSCORE small:# m5", small: true},
		{name: "ZRANK, 1 M", fill: bigZSet, script: "ZRANK big member:#"},
		{name: "ZRANK, small", fill: smallZSet, script: "ZRANK small:# m5", small: true},
		{name: "ZRANGEBYSCORE(10), 1 M", fill: bigZSet, script: "ZRANGEBYSCORE big # +inf LIMIT 0 10"},
		{name: "ZRANGEBYSCORE(10), small", fill: smallZSet, script: "ZRANGEBYSCORE small:# -inf +inf", small: true},
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

// collectionClient is the own generator in a closed loop, for one row.
func (b *bench) collectionClient(c collection, all *listeners) client {
	next := map[string]uint64{} // by address: what "^" stands for next
	return client{
		fill: func(ctx context.Context, s *peer.Server, work load.Work) error {
			next[s.Addr] = 0
			if c.fill != "" {
				if err := b.fillScript(ctx, s, c.fill, work.Keys); err != nil {
					return err
				}
			}
			for _, command := range c.begin {
				if s.Spec.Floor {
					break
				}
				if _, err := s.Do(strings.Fields(command)...); err != nil {
					return err
				}
			}
			return all.add(ctx, s, c.subscribers)
		},
		run: func(ctx context.Context, addr string, cpus []int, work load.Work, n uint64) (load.Result, error) {
			plan := load.Plan{
				Addr: addr, Work: work, Requests: n, Deadline: 10 * time.Minute, Seed: n, From: next[addr],
			}
			result, err := load.Child(ctx, cpus, plan, nil)
			next[addr] = result.Next
			return result, err
		},
		check: c.check,
	}
}

// compareRows measures commands on Fulmen, Redis and the floor. It returns the median of the rows' ratios to Redis and
// these, each of which should be 1 at most, and a table.
func (b *bench) compareRows(ctx context.Context, all []collection) (median stat.Figure, targets []report.Target,
	table string, err error) {
	var subjects []subject
	for _, sub := range b.subjects(b.serverCPUs, b.clientCPUs) {
		if slices.Contains([]string{peer.Fulmen, peer.Redis, peer.Floor}, sub.name) {
			subjects = append(subjects, sub)
		}
	}
	short := *b // there are many commands: each is measured for a shorter time
	short.cpuTime /= 5
	var rows [][]string
	var medians []float64
	for _, c := range all {
		if !b.chosen(c.name) {
			continue
		}
		work := b.collectionWork(c)
		var audience listeners
		g, err := short.measure(ctx, subjects, []load.Work{work}, b.collectionClient(c, &audience))
		audience.reading.Wait()
		if err != nil && strings.Contains(err.Error(), "unknown command") {
			b.logf("%s is left out: %v", c.name, err)
			continue
		}
		if err != nil {
			return median, nil, "", err
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
	head := []string{"CPU µs/command", peer.Fulmen, peer.Redis, peer.Floor, "÷ redis", "above the floor ÷ redis"}
	return stat.Of(medians), targets, report.Table(head, rows), nil
}

func (b *bench) runCollections(ctx context.Context) (outcome, error) {
	median, targets, table, err := b.compareRows(ctx, collections())
	if err != nil {
		return outcome{}, err
	}
	targets = append([]report.Target{{
		What: "median of all ratios to redis", Limit: 0.7, Unit: "×", Measured: median,
	}}, targets...)
	text := fmt.Sprintf("Client: the own generator, %d connections, pipeline 16; collections of %s elements, or %s of "+
		"10. Of two commands by turns the figure is their mean.\n\n", clients, count(b.keys), count(max(b.keys/100, 1)))
	return outcome{targets, text + table}, nil
}

// held is a collection whose memory is measured.
type held struct {
	name   string
	script string
	keys   uint64  // how many times the script is sent
	limit  float64 // 0: what Redis takes
}

func (b *bench) heldCollections() []held {
	return []held{
		{"hash of 10 fields, a key", smallHash, b.keys / 5, 210},
		{"sorted set, a member", "ZADD big # m:#", b.keys, 60},
		{"set of 10-byte strings, a member", "SADD big ~", b.keys, 30},
		{"list of 10-byte items, an item", "RPUSH big ~", b.keys, 16},
		{"set of integers, a member", "SADD big 1#", b.keys, 12},
		{"stream of two fields, an entry", "XADD big * field1 ~ field2 ~", b.keys, 0},
	}
}

// heldBytes is what an element takes on a server, by round; none if the server has no such command.
func (b *bench) heldBytes(ctx context.Context, h held, spec peer.Spec) (each []float64, err error) {
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
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", spec.Name, h.name, err)
		}
	}
	return each, nil
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
		if !b.chosen(h.name) {
			continue
		}
		row, by := []string{h.name}, map[string][]float64{}
		for _, spec := range b.keepers() {
			each, err := b.heldBytes(ctx, h, spec)
			if err != nil {
				return outcome{}, err
			}
			b.logf("%-10s %-36s %.1f B", spec.Name, h.name, each)
			by[spec.Name] = each
			row = append(row, report.Spread(stat.Of(each)))
		}
		target := report.Target{What: h.name, Limit: h.limit, Unit: "B", Measured: stat.Of(by[peer.Fulmen])}
		if h.limit == 0 {
			target.What, target.Limit, target.Unit = h.name+" ÷ redis", 1, "×"
			target.Measured = stat.Of(stat.Ratios(by[peer.Fulmen], by[peer.Redis]))
		}
		targets = append(targets, target)
		rows = append(rows, row)
	}
	text := "RSS over the empty server per element of one big collection, or per small one, written over one " +
		"connection and read when it has come to rest.\n\n"
	return outcome{targets, text + report.Table(head, rows)}, nil
}
