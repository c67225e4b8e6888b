package main

import (
	"context"
	"errors"
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

// phase is something big that happens to a server with many keys.
type phase struct {
	name  string
	probe bool // whether a probe asks meanwhile; not where the load needs the client's core for itself
	// before prepares it, outside of what is measured; may be nil.
	before func() error
	run    func() error
}

// phaseResult is one phase of one server in one round.
type phaseResult struct {
	seconds float64
	probe   load.Result
	hold    peer.Hold
	known   bool // whether the server shows its holds
}

// runHolds lets big things happen to a server with many keys, alone on its core, and asks it afterwards how long
// each shard's baton was held. A probe beside it shows what a client noticed; that works with any server.
func (b *bench) runHolds(ctx context.Context) (outcome, error) {
	if err := proc.ConfineSelf(b.clientCPUs); err != nil {
		return outcome{}, err
	}
	var names []string
	results := map[string]map[string][]phaseResult{} // by server, then by phase
	for round := range b.fewRounds(3) {
		for _, spec := range b.keepers() {
			if spec.Name != peer.Fulmen && spec.Name != peer.Redis {
				continue
			}
			if results[spec.Name] == nil {
				results[spec.Name] = map[string][]phaseResult{}
			}
			err := b.with(ctx, spec, b.serverCPUs, func(s *peer.Server) error {
				for _, p := range b.phases(ctx, s) {
					got, err := b.phase(ctx, s, p)
					if err != nil {
						return fmt.Errorf("%s: %w", p.name, err)
					}
					results[spec.Name][p.name] = append(results[spec.Name][p.name], got)
					b.logf("round %d  %-8s %-28s %6.1f s  probe p99.9 %v  hold p99.999 %.0f µs, max %.0f µs",
						round+1, spec.Name, p.name, got.seconds, got.probe.P999, got.hold.P99999Us, got.hold.MaxUs)
					if !slices.Contains(names, p.name) {
						names = append(names, p.name)
					}
				}
				return nil
			})
			if err != nil {
				return outcome{}, fmt.Errorf("%s: %w", spec.Name, err)
			}
		}
	}
	return b.holdsReport(names, results), nil
}

func (b *bench) phases(ctx context.Context, s *peer.Server) []phase {
	keys := b.sizes[len(b.sizes)-1]
	expiring := min(keys/10, 1_000_000)
	var due time.Time
	closed := func(command string, sequential bool, plan load.Plan) error {
		plan.Addr, plan.Work, plan.Sequential = s.Addr, b.work(command, 16), sequential
		plan.Work.Keys = keys
		_, err := load.Child(ctx, b.clientCPUs, plan, nil)
		return err
	}
	return []phase{
		{name: "growth to " + count(keys) + " keys", run: func() error {
			return closed("set", true, load.Plan{Requests: keys, Deadline: 10 * time.Minute})
		}},
		{name: "GET and SET", run: func() error { return closed("mix", false, load.Plan{Duration: b.loadTime}) }},
		{name: "SCAN of all keys", probe: true, run: func() error { return scan(ctx, s, int64(keys)) }},
		{name: "expiry of " + count(expiring) + " keys at once", probe: true,
			before: func() error {
				due = time.Now().Add(time.Second + time.Duration(expiring)*5*time.Microsecond)
				err := b.fillKeys(ctx, s, load.Keys{
					Prefix: "exp:", To: expiring, ValueBytes: valueBytes, ExpireAtMs: due.UnixMilli(),
				})
				if err != nil {
					return err
				}
				if time.Now().After(due) {
					b.logf("loading took so long that keys expired meanwhile: expiry is spread over it")
				}
				return sleep(ctx, time.Until(due)-100*time.Millisecond)
			},
			run: func() error {
				return poll(ctx, 2*time.Minute, func() (bool, error) {
					n, err := s.KeyCount()
					return n <= int64(keys), err
				})
			}},
		{name: "FLUSHALL ASYNC", probe: true, run: func() error {
			if _, err := s.Do("FLUSHALL", "ASYNC"); err != nil {
				return err
			}
			_, err := b.resident(ctx, s)
			return err
		}},
	}
}

// phase runs one phase and reads the holds of this phase alone, if the server forgets the older ones at CONFIG
// RESETSTAT.
func (b *bench) phase(ctx context.Context, s *peer.Server, p phase) (got phaseResult, err error) {
	if p.before != nil {
		if err := p.before(); err != nil {
			return got, err
		}
	}
	_, _ = s.Do("CONFIG", "RESETSTAT") // A server without it shows the maximum so far.
	started := time.Now()
	if p.probe {
		got.probe, err = b.probed(ctx, s, p.run)
	} else {
		err = p.run()
	}
	if err != nil {
		return got, err
	}
	got.seconds = time.Since(started).Seconds()
	if status, err := s.ReadStatus(ctx); err == nil {
		got.hold, got.known = status.Holds()
	}
	return got, nil
}

// probed runs fn while a probe asks for random keys a thousand times a second, and gives the latencies that it saw.
func (b *bench) probed(ctx context.Context, s *peer.Server, fn func() error) (load.Result, error) {
	stop, err := load.NewStop()
	if err != nil {
		return load.Result{}, err
	}
	defer stop.Close()
	work := b.work("get", 1)
	work.Keys, work.Clients = b.sizes[len(b.sizes)-1], 10
	plan := load.Plan{Addr: s.Addr, Work: work, PerSecond: 1000, Deadline: 15 * time.Minute}
	type answer struct {
		result load.Result
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		result, err := load.Child(ctx, b.clientCPUs, plan, stop)
		done <- answer{result, err}
	}()
	err = errors.Join(sleep(ctx, 50*time.Millisecond), fn(), sleep(ctx, 50*time.Millisecond))
	stop.Now()
	got := <-done
	return got.result, errors.Join(err, got.err)
}

// pageSupply says what the first touch of a page costs on this machine: a hold that needs new memory can't be shorter.
func (b *bench) pageSupply() string {
	bytes := 4 << 30
	if b.quick {
		bytes = 16 << 20
	}
	h, err := proc.PageSupply(bytes)
	if err != nil {
		return "The first touch of pages could not be measured: " + err.Error() + ".\n\n"
	}
	return fmt.Sprintf("On this machine the first touch of a page of fresh memory, in a program that does nothing "+
		"else, takes %.0f µs of processor time (median), %.0f µs (p99.9), %.0f µs (p99.999), %.0f µs (longest of "+
		"%s): a hold that touches new memory can't be shorter.\n\n",
		inUs(h.Quantile(0.5)), inUs(h.Quantile(0.999)), inUs(h.Quantile(0.99999)), inUs(h.Max()), count(h.Total()))
}

func inUs(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// scan goes over the whole keyspace once.
func scan(ctx context.Context, s *peer.Server, keys int64) error {
	var seen int64
	for cursor := "0"; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		reply, err := s.Do("SCAN", cursor, "COUNT", "100")
		if err != nil {
			return err
		}
		if len(reply.Items) != 2 {
			return fmt.Errorf("SCAN answered %d items", len(reply.Items))
		}
		seen += int64(len(reply.Items[1].Items))
		if cursor = reply.Items[0].Text; cursor == "0" {
			break
		}
	}
	if seen < keys {
		return fmt.Errorf("SCAN gave %d of %d keys", seen, keys)
	}
	return nil
}

func (b *bench) holdsReport(names []string, results map[string]map[string][]phaseResult) outcome {
	var targets []report.Target
	text := "The server alone on its core. Each row is one phase; the holds are those that the server itself counted " +
		"in it (/status, worst shard). The probe asks for a random key a thousand times a second in an open loop, " +
		"from the client's core, which it shares with the load: latencies above the hold are mostly the client's " +
		"own.\n\n" + b.pageSupply()
	figure := func(rs []phaseResult, of func(phaseResult) float64) stat.Figure {
		var values []float64
		for _, r := range rs {
			values = append(values, of(r))
		}
		return stat.Of(values)
	}
	for _, server := range []string{peer.Fulmen, peer.Redis} {
		var rows [][]string
		for _, name := range names {
			rs := results[server][name]
			known := slices.DeleteFunc(slices.Clone(rs), func(r phaseResult) bool { return !r.known })
			probed := slices.DeleteFunc(slices.Clone(rs), func(r phaseResult) bool { return r.probe.Commands == 0 })
			tail := figure(known, func(r phaseResult) float64 { return r.hold.P99999Us })
			if server == peer.Fulmen {
				targets = append(targets, report.Target{
					What: "baton hold p99.999, " + name, Limit: 1000, Unit: "µs", Measured: tail,
				})
			}
			rows = append(rows, []string{
				name, report.Spread(figure(rs, func(r phaseResult) float64 { return r.seconds })),
				report.Spread(tail),
				report.Spread(figure(known, func(r phaseResult) float64 { return r.hold.MaxUs })), longest(known),
				report.Spread(figure(probed, func(r phaseResult) float64 { return inMs(r.probe.P50) })),
				report.Spread(figure(probed, func(r phaseResult) float64 { return inMs(r.probe.P999) })),
				report.Spread(figure(probed, func(r phaseResult) float64 { return inMs(r.probe.Max) })),
			})
		}
		text += report.Table([]string{
			server, "s", "hold p99.999 µs", "hold max µs", "longest by (µs)",
			"probe p50 ms", "probe p99.9 ms", "probe max ms",
		}, rows) + "\n"
	}
	return outcome{targets, text}
}

// longest names the three longest holders of all rounds.
func longest(rs []phaseResult) string {
	worst := map[string]float64{}
	for _, r := range rs {
		for name, us := range r.hold.By {
			worst[name] = max(worst[name], us)
		}
	}
	var names []string
	for name, us := range worst {
		if us > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(x, y string) int {
		if worst[x] != worst[y] {
			if worst[x] > worst[y] {
				return -1
			}
			return 1
		}
		return strings.Compare(x, y)
	})
	var parts []string
	for _, name := range names[:min(len(names), 3)] {
		parts = append(parts, fmt.Sprintf("%s %s", name, report.Number(worst[name])))
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, ", ")
}

// poll asks every 10 ms until done, an error, or the limit.
func poll(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	for {
		ready, err := done()
		if ready || err != nil {
			return err
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
