package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

const (
	floodMB     = 64      // maxmemory under the flood
	floodWrites = 4000000 // of keys that fit several times over
	floodKeys   = 10000000
	cacheMB     = 8 // maxmemory of the cache
	cacheReads  = 150000
	cacheKeys   = 400000
)

// evicted is what one server did with too little memory in one round.
type evicted struct {
	overshoot float64 // peak used_memory ÷ maxmemory under the flood
	cpuUs     float64 // server CPU per SET there
	hitRate   float64 // of the second half of the reads, as a cache
}

// runEviction floods servers with more than they may keep, and uses them as caches.
func (b *bench) runEviction(ctx context.Context) (outcome, error) {
	var targets []report.Target
	var rows [][]string
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu"} {
		found := map[string][]evicted{}
		for round := range b.fewRounds(3) {
			for _, spec := range b.keepers() {
				e, err := b.evictOne(ctx, spec, policy)
				if err != nil {
					return outcome{}, fmt.Errorf("%s, %s: %w", spec.Name, policy, err)
				}
				found[spec.Name] = append(found[spec.Name], e)
				b.logf("round %d  %-10s %s  peak/maxmemory %.4f  %.2f µs a SET  hit rate %.4f",
					round+1, spec.Name, policy, e.overshoot, e.cpuUs, e.hitRate)
			}
		}
		figure := func(name string, of func(e evicted) float64) stat.Figure {
			var values []float64
			for _, e := range found[name] {
				values = append(values, of(e))
			}
			return stat.Of(values)
		}
		for _, spec := range b.keepers() {
			rows = append(rows, []string{spec.Name, policy,
				report.Spread(figure(spec.Name, func(e evicted) float64 { return e.overshoot })),
				report.Spread(figure(spec.Name, func(e evicted) float64 { return e.cpuUs })),
				report.Spread(figure(spec.Name, func(e evicted) float64 { return e.hitRate }))})
		}
		behind := figure(peer.Redis, func(e evicted) float64 { return e.hitRate }).Median -
			figure(peer.Fulmen, func(e evicted) float64 { return e.hitRate }).Median
		targets = append(targets,
			report.Target{What: policy + ": peak used_memory ÷ maxmemory", Limit: 1.02, Unit: "",
				Measured: figure(peer.Fulmen, func(e evicted) float64 { return e.overshoot })},
			report.Target{What: policy + ": hit rate of redis − ours", Limit: 0.02, Unit: "",
				Measured: stat.Of([]float64{behind})})
	}
	text := fmt.Sprintf("The flood: SETs of %s random keys with values of %d bytes from %d connections at pipeline "+
		"16, unpinned, with a maxmemory of %d MB. The cache: GETs of %s keys with a Zipf distribution (s = 1.02), "+
		"each that finds nothing followed by a SET, with a maxmemory of %d MB.\n\n",
		count(floodKeys), valueBytes, clients, floodMB, count(cacheKeys), cacheMB)
	head := []string{"", "policy", "peak ÷ maxmemory", "server CPU per SET in µs", "hit rate"}
	return outcome{targets, text + report.Table(head, rows)}, nil
}

func (b *bench) evictOne(ctx context.Context, spec peer.Spec, policy string) (e evicted, err error) {
	err = b.with(ctx, spec, b.all, func(s *peer.Server) error {
		if err := setMemory(s, floodMB, policy); err != nil {
			return err
		}
		work := b.work("set", 16)
		work.Keys = floodKeys
		writes := uint64(floodWrites)
		if b.quick {
			writes /= 100
		}
		before, err := s.CPU()
		if err != nil {
			return err
		}
		if _, err := b.closedLoop().run(ctx, s.Addr, b.all, work, writes); err != nil {
			return err
		}
		after, err := s.CPU()
		if err != nil {
			return err
		}
		e.cpuUs = float64((after.Total() - before.Total()).Nanoseconds()) / 1000 / float64(writes)
		var peak float64
		if _, err := fmt.Sscan(s.Info("memory")["used_memory_peak"], &peak); err != nil {
			return fmt.Errorf("INFO's used_memory_peak: %w", err)
		}
		e.overshoot = peak / (floodMB << 20)
		if _, err := s.Do("FLUSHALL"); err != nil {
			return err
		}
		if err := setMemory(s, cacheMB, policy); err != nil {
			return err
		}
		e.hitRate, err = b.hitRate(ctx, s)
		return err
	})
	return e, err
}

func setMemory(s *peer.Server, mb int, policy string) error {
	_, err := s.Do("CONFIG", "SET", "maxmemory", fmt.Sprintf("%dmb", mb), "maxmemory-policy", policy)
	return err
}

// hitRate uses the server as a cache and returns the share of the second half of the reads that find their key.
func (b *bench) hitRate(ctx context.Context, s *peer.Server) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	conn, err := peer.Dial(ctx, s.Addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.02, 10, cacheKeys)
	value := strings.Repeat("v", valueBytes)
	reads, hits := cacheReads, 0
	if b.quick {
		reads /= 100
	}
	for i := range reads {
		key := fmt.Sprintf("key:%016x", zipf.Uint64()*0x9e3779b97f4a7c15)
		reply, err := conn.Do("GET", key)
		if err != nil {
			return 0, err
		}
		switch {
		case reply.Null:
			if _, err := conn.Do("SET", key, value); err != nil {
				return 0, err
			}
		case i >= reads/2:
			hits++
		}
	}
	return float64(hits) / float64(reads-reads/2), nil
}
