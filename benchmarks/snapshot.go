package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/proc"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

const (
	snapshotKeys  = 3_000_000
	snapshotPairs = 5
	// A save lasts seconds here and is asked about this often.
	savePollTime = 20 * time.Millisecond
	saveTime     = 2 * time.Minute // for one save, at most
)

// saves is what is known of the saves made in one load, back to back.
type saves struct {
	seconds []float64 // wall time of each
	cutUs   []float64 // how long each stopped the server, as it says itself: fork(2), or the cut
	waitUs  []float64 // how long the batons for the cut were waited for; nil from a server without batons
	copied  float64   // most bytes that pages or entries were copied for one
}

// calmAndSaving is one pair of loads on one server: without saves and with.
type calmAndSaving struct {
	calm, saving load.Result
	saves
	extraMB float64 // memory above that before the saves, at most
}

// snapshotRun is what one server showed.
type snapshotRun struct {
	open, closed []calmAndSaving
	idle         float64 // seconds of a save while nothing else happens
	dataMB       float64 // resident, before
	loadedKeys   float64 // keys a second at start-up, on all cores
}

// runSnapshot saves back to back while clients ask, and compares with the same load without saves.
func (b *bench) runSnapshot(ctx context.Context) (outcome, error) {
	if err := proc.ConfineSelf(b.clientCPUs); err != nil {
		return outcome{}, err
	}
	found := map[string]*snapshotRun{}
	for _, name := range []string{peer.Fulmen, peer.Redis} {
		spec, err := b.spec(name)
		if err != nil {
			return outcome{}, err
		}
		run := &snapshotRun{}
		err = b.with(ctx, spec, b.serverCPUs, func(s *peer.Server) error { return b.snapshotOf(ctx, s, run) })
		if err != nil {
			return outcome{}, fmt.Errorf("%s: %w", name, err)
		}
		found[name] = run
	}
	return b.snapshotReport(found[peer.Fulmen], found[peer.Redis]), nil
}

// snapshotOf measures one server.
func (b *bench) snapshotOf(ctx context.Context, s *peer.Server, run *snapshotRun) error {
	work := b.work("mix", 1)
	work.Keys, work.RandomValues = b.snapshotKeys(), true
	if err := b.fill(ctx, s, 0, work.Keys, work.ValueBytes); err != nil {
		return err
	}
	rss, err := b.resident(ctx, s)
	if err != nil {
		return err
	}
	run.dataMB = float64(rss) / 1e6
	for range 3 {
		one, err := b.saveOnce(ctx, s)
		if err != nil {
			return err
		}
		run.idle = one.seconds[0]
	}
	plan := load.Plan{Addr: s.Addr, Work: work, Duration: b.loadTime}
	most, err := load.Child(ctx, b.clientCPUs, plan, nil)
	if err != nil {
		return err
	}
	open := plan
	open.PerSecond, open.Spin, open.Duration = most.PerSecond()/2, len(b.clientCPUs) == 1, 6*b.loadTime
	for pair := range b.snapshotPairs() {
		for _, kind := range []struct {
			plan load.Plan
			to   *[]calmAndSaving
		}{{open, &run.open}, {plan, &run.closed}} {
			kind.plan.Seed = uint64(pair)
			got, err := b.snapshotPair(ctx, s, kind.plan)
			if err != nil {
				return err
			}
			*kind.to = append(*kind.to, got)
			b.logf("pair %d  %-8s %8.0f/s  p99.9 %v, while saving %8.0f/s  p99.9 %v  %d saves of %.2f s, cut %.0f µs, "+
				"%.0f MB more", pair+1, s.Spec.Name, got.calm.PerSecond(), got.calm.P999, got.saving.PerSecond(),
				got.saving.P999, len(got.seconds), stat.Of(got.seconds).Median, slices.Max(got.cutUs), got.extraMB)
		}
	}
	ready, err := s.Restart(ctx, b.all)
	if err != nil {
		return err
	}
	if err := s.ExpectKeys(int64(work.Keys), "after a restart"); err != nil {
		return err
	}
	run.loadedKeys = float64(work.Keys) / ready.Seconds()
	return nil
}

func (b *bench) snapshotKeys() uint64 {
	if b.quick {
		return snapshotKeys / 100
	}
	return snapshotKeys
}

func (b *bench) snapshotPairs() int {
	if b.quick {
		return 1
	}
	return snapshotPairs
}

// snapshotPair runs a load without saves and with.
func (b *bench) snapshotPair(ctx context.Context, s *peer.Server, plan load.Plan) (got calmAndSaving, err error) {
	if got.calm, err = load.Child(ctx, b.clientCPUs, plan, nil); err != nil {
		return got, err
	}
	before, err := s.RSSBytes()
	if err != nil {
		return got, err
	}
	saving, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	highest := before
	go func() {
		var err error
		for err == nil && saving.Err() == nil {
			var one saves
			if one, err = b.saveOnce(ctx, s, func() {
				if now, err := s.RSSBytes(); err == nil {
					highest = max(highest, now)
				}
			}); err == nil {
				got.add(one)
			}
		}
		done <- err
	}()
	got.saving, err = load.Child(ctx, b.clientCPUs, plan, nil)
	cancel()
	err = errors.Join(err, <-done)
	got.extraMB = float64(highest-before)/1e6 + got.forked(s)
	return got, err
}

// forked is what the server's child had of its own, in MB, which is not in the server's resident memory.
func (sv *saves) forked(s *peer.Server) float64 {
	if s.Spec.Name == peer.Fulmen {
		return 0
	}
	return sv.copied / 1e6
}

func (sv *saves) add(one saves) {
	sv.seconds = append(sv.seconds, one.seconds...)
	sv.cutUs = append(sv.cutUs, one.cutUs...)
	sv.waitUs = append(sv.waitUs, one.waitUs...)
	sv.copied = max(sv.copied, one.copied)
}

// saveOnce saves and waits for the end; meanwhile is called now and then until then.
func (b *bench) saveOnce(ctx context.Context, s *peer.Server, meanwhile ...func()) (one saves, err error) {
	started := time.Now()
	if _, err := s.Do("BGSAVE"); err != nil {
		return one, err
	}
	for {
		info := s.Info("persistence")
		for _, fn := range meanwhile {
			fn()
		}
		if info["rdb_bgsave_in_progress"] == "0" {
			if info["rdb_last_bgsave_status"] != "ok" {
				return one, fmt.Errorf("a save failed: rdb_last_bgsave_status is %q", info["rdb_last_bgsave_status"])
			}
			one.seconds = []float64{time.Since(started).Seconds()}
			one.copied, _ = strconv.ParseFloat(info["rdb_last_cow_size"], 64)
			break
		}
		if time.Since(started) > saveTime {
			return one, fmt.Errorf("a save is not done after %v", saveTime)
		}
		if err := sleep(ctx, savePollTime); err != nil {
			return one, err
		}
	}
	info := s.Info("stats", "persistence", "fulmen")
	if us, err := strconv.ParseFloat(info["latest_fork_usec"], 64); err == nil {
		one.cutUs = []float64{us}
	}
	if us, err := strconv.ParseFloat(info["rdb_last_cut_wait_usec"], 64); err == nil {
		one.waitUs = []float64{us}
	}
	return one, nil
}

// snapshotReport compares the two.
func (b *bench) snapshotReport(ours, redis *snapshotRun) outcome {
	p999 := func(r load.Result) float64 { return inUs(r.P999) }
	ratio := func(of []calmAndSaving, figure func(load.Result) float64) stat.Figure {
		var values []float64
		for _, p := range of {
			values = append(values, figure(p.saving)/figure(p.calm))
		}
		return stat.Of(values)
	}
	of := func(pairs []calmAndSaving, figure func(p calmAndSaving) float64) stat.Figure {
		var values []float64
		for _, p := range pairs {
			values = append(values, figure(p))
		}
		return stat.Of(values)
	}
	all := func(run *snapshotRun) (sv saves) {
		for _, p := range slices.Concat(run.open, run.closed) {
			sv.add(p.saves)
		}
		return sv
	}
	single := func(v float64) stat.Figure { return stat.Of([]float64{v}) }
	extra := func(run *snapshotRun) stat.Figure {
		return of(run.open, func(p calmAndSaving) float64 { return p.extraMB })
	}
	oursAll, redisAll := all(ours), all(redis)
	targets := []report.Target{
		{What: "p99.9 while saving ÷ without, open loop", Limit: 1.2, Unit: "×", Measured: ratio(ours.open, p999)},
		{What: "throughput while saving ÷ without, closed loop", Limit: 0.85, Unit: "×", AtLeast: true,
			Measured: ratio(ours.closed, load.Result.PerSecond)},
		{What: "memory more while saving", Limit: max(64, ours.dataMB*0.05), Unit: "MB", Measured: extra(ours)},
		{What: "the cut, p99", Limit: 200, Unit: "µs", Measured: single(quantile(oursAll.cutUs, 0.99))},
		{What: "wall time of a save, idle, ÷ redis", Limit: 1, Unit: "×", Measured: single(ours.idle / redis.idle)},
		{What: "wall time of a save under the open loop ÷ redis", Limit: 1, Unit: "×", Measured: single(
			stat.Of(openSeconds(ours)).Median / stat.Of(openSeconds(redis)).Median)},
		{What: "keys loaded a second ÷ redis", Limit: 2, Unit: "×", AtLeast: true,
			Measured: single(ours.loadedKeys / redis.loadedKeys)},
	}
	head := []string{"", "fulmen", "redis"}
	row := func(name string, figure func(run *snapshotRun) stat.Figure) []string {
		return []string{name, report.Spread(figure(ours)), report.Spread(figure(redis))}
	}
	rows := [][]string{
		row("open loop, commands/s", func(r *snapshotRun) stat.Figure {
			return of(r.open, func(p calmAndSaving) float64 { return p.calm.PerSecond() })
		}),
		row("p99.9 without saves, µs", func(r *snapshotRun) stat.Figure {
			return of(r.open, func(p calmAndSaving) float64 { return p999(p.calm) })
		}),
		row("p99.9 while saving, µs", func(r *snapshotRun) stat.Figure {
			return of(r.open, func(p calmAndSaving) float64 { return p999(p.saving) })
		}),
		row("longest without saves, µs", func(r *snapshotRun) stat.Figure {
			return of(r.open, func(p calmAndSaving) float64 { return inUs(p.calm.Max) })
		}),
		row("longest while saving, µs", func(r *snapshotRun) stat.Figure {
			return of(r.open, func(p calmAndSaving) float64 { return inUs(p.saving.Max) })
		}),
		row("closed loop, commands/s, without saves", func(r *snapshotRun) stat.Figure {
			return of(r.closed, func(p calmAndSaving) float64 { return p.calm.PerSecond() })
		}),
		row("closed loop, commands/s, while saving", func(r *snapshotRun) stat.Figure {
			return of(r.closed, func(p calmAndSaving) float64 { return p.saving.PerSecond() })
		}),
		row("a save under the open loop, s", func(r *snapshotRun) stat.Figure { return stat.Of(openSeconds(r)) }),
		row("a save while idle, s", func(r *snapshotRun) stat.Figure { return single(r.idle) }),
		row("memory more while saving, MB", extra),
		row("resident before, MB", func(r *snapshotRun) stat.Figure { return single(r.dataMB) }),
		row("loaded at start-up, keys/s", func(r *snapshotRun) stat.Figure { return single(r.loadedKeys) }),
		{"the cut (redis: fork), p50 and p99, µs", medianAndP99(oursAll.cutUs), medianAndP99(redisAll.cutUs)},
		{"waiting for the batons before, p50 and p99, µs", medianAndP99(oursAll.waitUs), ""},
	}
	return outcome{targets, b.snapshotText() + report.Table(head, rows)}
}

// snapshotText says what was done.
func (b *bench) snapshotText() string {
	return fmt.Sprintf("%s keys of 16 bytes with random values of %d bytes; GET and SET of random keys and values by "+
		"halves, %d connections, no pipelining, server and client on a core each. Pairs of loads of %v without and "+
		"with saves back to back (BGSAVE, again as soon as INFO says it is done): an open loop at half of what the "+
		"server answers at most, latencies from the intended send times, and a closed loop of %v. Memory is the "+
		"growth of resident memory; for redis with what its child had to itself (rdb_last_cow_size). Loading is a "+
		"restart on all cores until PING is answered.\n\n",
		count(b.snapshotKeys()), valueBytes, clients, 6*b.loadTime, b.loadTime)
}

func openSeconds(run *snapshotRun) (all []float64) {
	for _, p := range run.open {
		all = append(all, p.seconds...)
	}
	return all
}

// quantile is the smallest value that at least a share q of all does not exceed.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func medianAndP99(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s, %s (of %d)", report.Number(quantile(values, 0.5)), report.Number(quantile(values, 0.99)),
		len(values))
}
