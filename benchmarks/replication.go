package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/proc"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

const (
	syncKeys = 3_000_000
	syncTime = 5 * time.Minute // for one full synchronization, at most
	// How often a replica is asked whether it has everything.
	syncPollTime = 10 * time.Millisecond

	withReplica    = " with a replica"
	withoutReplica = " without"
)

// fullSync is what a full synchronization took.
type fullSync struct {
	keysPerSecond                  float64
	primarySeconds, replicaSeconds float64 // of the processor, without child processes
}

// runReplication measures how long a replica takes to receive everything, and what one costs the primary that writes.
func (b *bench) runReplication(ctx context.Context) (outcome, error) {
	syncs, err := b.fullSyncs(ctx)
	if err != nil {
		return outcome{}, err
	}
	var subjects []subject
	follower, err := b.spec(peer.Redis)
	if err != nil {
		return outcome{}, err
	}
	for _, name := range []string{peer.Fulmen, peer.Redis} {
		spec, err := b.spec(name)
		if err != nil {
			return outcome{}, err
		}
		spec = spec.With(name, "--repl-diskless-sync-delay", "0")
		subjects = append(subjects,
			subject{name: name + withReplica, spec: spec, serverCPUs: b.serverCPUs, clientCPUs: b.clientCPUs,
				follower: &follower},
			subject{name: name + withoutReplica, spec: spec, serverCPUs: b.serverCPUs, clientCPUs: b.clientCPUs})
	}
	work := b.work("set", 16)
	work.RandomValues = true
	g, err := b.measure(ctx, subjects, []load.Work{work}, ownClient())
	if err != nil {
		return outcome{}, err
	}
	return b.replicationReport(syncs, g), nil
}

// fullSyncs has a replica of each kind receive everything from a primary of the same kind, by round.
func (b *bench) fullSyncs(ctx context.Context) (map[string][]fullSync, error) {
	if err := proc.ConfineSelf(b.all); err != nil {
		return nil, err
	}
	found := map[string][]fullSync{}
	for round := range b.fewRounds(3) {
		for _, name := range []string{peer.Fulmen, peer.Redis} {
			spec, err := b.spec(name)
			if err != nil {
				return nil, err
			}
			spec = spec.With(name, "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes")
			err = b.with(ctx, spec, b.all, func(primary *peer.Server) error {
				keys := load.Keys{Prefix: "key:", To: b.syncKeys(), ValueBytes: valueBytes, Seed: 1, Single: true}
				if err := b.fillKeys(ctx, primary, keys); err != nil {
					return err
				}
				return b.with(ctx, spec, b.all, func(replica *peer.Server) error {
					got, err := b.fullSync(ctx, primary, replica)
					if err == nil {
						found[name] = append(found[name], got)
						b.logf("round %d  %-8s %.0f keys/s, primary %.2f s, replica %.2f s", round+1, name,
							got.keysPerSecond, got.primarySeconds, got.replicaSeconds)
					}
					return err
				})
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return found, nil
}

func (b *bench) syncKeys() uint64 {
	if b.quick {
		return syncKeys / 100
	}
	return syncKeys
}

// fullSync has a replica receive everything, and compares.
func (b *bench) fullSync(ctx context.Context, primary, replica *peer.Server) (got fullSync, err error) {
	before, err := processors(primary, replica)
	if err != nil {
		return got, err
	}
	began := time.Now()
	if err := follow(ctx, replica, primary); err != nil {
		return got, err
	}
	elapsed := time.Since(began)
	after, err := processors(primary, replica)
	if err != nil {
		return got, err
	}
	if err := replica.ExpectKeys(int64(b.syncKeys()), "on the replica"); err != nil {
		return got, err
	}
	ours, err := primary.Do("DEBUG", "DIGEST")
	if err != nil {
		return got, err
	}
	theirs, err := replica.Do("DEBUG", "DIGEST")
	if err == nil && ours.Text != theirs.Text {
		err = errors.New("the replica has other data")
	}
	return fullSync{
		keysPerSecond:  float64(b.syncKeys()) / elapsed.Seconds(),
		primarySeconds: (after[0] - before[0]).Seconds(), replicaSeconds: (after[1] - before[1]).Seconds(),
	}, err
}

// processors returns the processor time that servers have used.
func processors(servers ...*peer.Server) (used []time.Duration, err error) {
	for _, s := range servers {
		cpu, cpuErr := s.CPU()
		err = errors.Join(err, cpuErr)
		used = append(used, cpu.Total())
	}
	return used, err
}

// follow makes a server a replica and waits until the link is up.
func follow(ctx context.Context, replica, primary *peer.Server) error {
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		return err
	}
	if _, err := replica.Do("REPLICAOF", host, port); err != nil {
		return err
	}
	tick := time.NewTicker(syncPollTime)
	defer tick.Stop()
	for replica.Info("replication")["master_link_status"] != "up" {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not become a replica: %w", replica.Spec.Name, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

func (b *bench) replicationReport(syncs map[string][]fullSync, g *grid) outcome {
	const ours, redis = peer.Fulmen, peer.Redis
	column := func(name string, of func(fullSync) float64) (values []float64) {
		for _, s := range syncs[name] {
			values = append(values, of(s))
		}
		return values
	}
	speed := func(s fullSync) float64 { return s.keysPerSecond }
	cpu := func(name string) []float64 { return g.of(g.works[0], name, cpuUs) }
	targets := []report.Target{
		{What: "full synchronization, keys/s ÷ a redis pair", Limit: 1.5, Unit: "×", AtLeast: true,
			Measured: stat.Of(stat.Ratios(column(ours, speed), column(redis, speed)))},
		{What: "SET, pipeline 16: CPU with a replica ÷ without", Limit: 1.15, Unit: "×",
			Measured: stat.Of(stat.Ratios(cpu(ours+withReplica), cpu(ours+withoutReplica)))},
	}
	spread := func(values []float64) string { return report.Spread(stat.Of(values)) }
	var rows [][]string
	for _, name := range []string{ours, redis} {
		rows = append(rows, []string{
			name, spread(column(name, speed)),
			spread(column(name, func(s fullSync) float64 { return s.primarySeconds })),
			spread(column(name, func(s fullSync) float64 { return s.replicaSeconds })),
			spread(cpu(name + withReplica)), spread(cpu(name + withoutReplica)),
		})
	}
	head := []string{"", "full sync, keys/s", "primary's CPU s", "replica's CPU s",
		"SET, pipeline 16: CPU µs with a replica", "without"}
	text := fmt.Sprintf("Full synchronization: %s random values of %d bytes, `repl-diskless-sync-delay 0`, a pair of "+
		"the same kind on all cores, from REPLICAOF until the link is up; then digests are compared. The processor "+
		"time of redis-server is without its child, which writes the data. SET: %d connections of the own generator, "+
		"server and client on a core each; the replica is a redis-server on the client's core.\n\n",
		count(b.syncKeys()), valueBytes, clients)
	return outcome{targets, text + report.Table(head, rows)}
}
