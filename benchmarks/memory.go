package main

import (
	"context"
	"fmt"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/proc"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

// fewRounds is enough for what hardly varies from round to round: resident memory, and maxima over millions of
// commands.
func (b *bench) fewRounds(n int) int { return min(b.rounds, n) }

// resident waits until the server's memory has come to rest (tables still moving, pages still being given back), at
// most 15 s.
func (b *bench) resident(ctx context.Context, s *peer.Server) (bytes int64, err error) {
	step, calm := 250*time.Millisecond, 0
	if b.quick {
		step /= 10
	}
	for range 60 {
		now, err := s.RSSBytes()
		if err != nil {
			return 0, err
		}
		if difference := now - bytes; difference > -64<<10 && difference < 64<<10 {
			calm++
		} else {
			calm = 0
		}
		bytes = now
		if calm == 4 {
			break
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(step):
		}
	}
	return bytes, nil
}

// footprint is what one server needs for keys of one size, in one round.
type footprint struct {
	perKey    []float64 // bytes of RSS over the empty server, at each of the sizes
	worst     float64
	heapMB    float64 // Go heap at the largest size; 0 if the server doesn't say
	gcPercent float64 // GC CPU of process CPU under random SETs at the largest size
	runtime   bool    // whether the server says anything of a Go runtime
}

func (b *bench) runMemory(ctx context.Context) (outcome, error) {
	if err := proc.ConfineSelf(b.clientCPUs); err != nil {
		return outcome{}, err
	}
	values := []int{64, 8}
	found := map[int]map[string][]footprint{}
	for _, bytes := range values {
		found[bytes] = map[string][]footprint{}
		for round := range b.fewRounds(3) {
			for _, spec := range b.keepers() {
				f, err := b.footprint(ctx, spec, bytes)
				if err != nil {
					return outcome{}, fmt.Errorf("%s, values of %d bytes: %w", spec.Name, bytes, err)
				}
				found[bytes][spec.Name] = append(found[bytes][spec.Name], f)
				b.logf("round %d  %-10s 16+%d B: %.1f B/key, Go heap %.1f MB, GC %.2f %%",
					round+1, spec.Name, bytes, f.perKey, f.heapMB, f.gcPercent)
			}
		}
	}
	var targets []report.Target
	text := "RSS per key over the empty server, keys of 16 bytes, random values, loaded over one connection by MSET " +
		"of 10 keys; each size is reached by adding to the one before, and read when RSS has come to rest (at most " +
		"15 s).\n\n"
	for _, bytes := range values {
		limit := map[int]float64{64: 100, 8: 48}[bytes]
		ours := found[bytes][peer.Fulmen]
		targets = append(targets, report.Target{
			What: fmt.Sprintf("RSS per key, 16 + %d B, worst size", bytes), Limit: limit, Unit: "B",
			Measured: over(ours, func(f footprint) float64 { return f.worst }),
		})
		text += b.memoryTable(bytes, found[bytes]) + "\n"
	}
	largest := fmt.Sprintf(" at %s keys", count(b.sizes[len(b.sizes)-1]))
	for _, bytes := range values {
		ours := found[bytes][peer.Fulmen]
		if len(ours) == 0 || !ours[0].runtime {
			ours = nil
		}
		name := fmt.Sprintf("%s, 16 + %d B", largest, bytes)
		targets = append(targets, report.Target{
			What: "Go heap" + name, Limit: 100, Unit: "MB",
			Measured: over(ours, func(f footprint) float64 { return f.heapMB }),
		}, report.Target{
			What: "GC CPU" + name, Limit: 2, Unit: "%",
			Measured: over(ours, func(f footprint) float64 { return f.gcPercent }),
		})
	}
	text += fmt.Sprintf("GC CPU is GC ÷ process CPU as Fulmen's own runtime counts them, over %v of SETs of random "+
		"keys at pipeline 16 (own generator).\n", b.loadTime)
	return outcome{targets, text}, nil
}

func (b *bench) memoryTable(bytes int, found map[string][]footprint) string {
	head := []string{fmt.Sprintf("16 + %d B: bytes per key at", bytes)}
	for _, size := range b.sizes {
		head = append(head, count(size))
	}
	head = append(head, "worst")
	var rows [][]string
	for _, spec := range b.keepers() {
		row := []string{spec.Name}
		for i := range b.sizes {
			row = append(row, report.Spread(over(found[spec.Name], func(f footprint) float64 { return f.perKey[i] })))
		}
		worst := over(found[spec.Name], func(f footprint) float64 { return f.worst })
		rows = append(rows, append(row, report.Spread(worst)))
	}
	return report.Table(head, rows)
}

func over(found []footprint, figure func(footprint) float64) stat.Figure {
	var values []float64
	for _, f := range found {
		values = append(values, figure(f))
	}
	return stat.Of(values)
}

// footprint fills a fresh server step by step.
func (b *bench) footprint(ctx context.Context, spec peer.Spec, valueBytes int) (f footprint, err error) {
	err = b.with(ctx, spec, b.serverCPUs, func(s *peer.Server) error {
		empty, err := b.resident(ctx, s)
		if err != nil {
			return err
		}
		from := uint64(0)
		for _, size := range b.sizes {
			if err := b.fill(ctx, s, from, size, valueBytes); err != nil {
				return err
			}
			from = size
			if err := s.ExpectKeys(int64(size), "after loading"); err != nil {
				return err
			}
			full, err := b.resident(ctx, s)
			if err != nil {
				return err
			}
			perKey := float64(full-empty) / float64(size)
			f.perKey = append(f.perKey, perKey)
			f.worst = max(f.worst, perKey)
		}
		return b.runtimeFigures(ctx, s, valueBytes, &f)
	})
	return f, err
}

// runtimeFigures asks a Go server for its heap and its GC's share of CPU while keys change. A server without a
// status page has none.
func (b *bench) runtimeFigures(ctx context.Context, s *peer.Server, valueBytes int, f *footprint) error {
	before, err := s.ReadStatus(ctx)
	if err != nil {
		return nil // Peers have no such page.
	}
	work := b.work("set", 16)
	work.Keys, work.ValueBytes = b.sizes[len(b.sizes)-1], valueBytes
	plan := load.Plan{Addr: s.Addr, Work: work, Duration: b.loadTime}
	if _, err := load.Child(ctx, b.clientCPUs, plan, nil); err != nil {
		return err
	}
	after, err := s.ReadStatus(ctx)
	if err != nil {
		return err
	}
	spent := func(names ...string) (float64, bool) {
		to, known := after.Figure(names...)
		from, _ := before.Figure(names...)
		return to - from, known
	}
	gc, known1 := spent("gc_cpu_seconds", "go_gc_cpu_seconds", "go_gc_cpu_seconds_total")
	process, known2 := spent("process_cpu_seconds", "process_cpu_seconds_total")
	heap, known3 := after.Figure("go_heap_bytes", "heap_bytes", "go_memstats_heap_inuse_bytes")
	if known1 && known2 && known3 && process > 0 {
		f.runtime, f.heapMB, f.gcPercent = true, heap/1e6, 100*gc/process
	}
	return nil
}

// count shows a number of keys as 10 M or 14 k.
func count(n uint64) string {
	switch {
	case n >= 1_000_000:
		return report.Number(float64(n)/1e6) + " M"
	case n >= 1000:
		return report.Number(float64(n)/1e3) + " k"
	}
	return fmt.Sprint(n)
}

func (b *bench) runEmpty(ctx context.Context) (outcome, error) {
	const few = 1000
	type pair struct{ empty, small []float64 }
	found := map[string]*pair{}
	for range b.fewRounds(5) {
		for _, spec := range b.keepers() {
			if found[spec.Name] == nil {
				found[spec.Name] = &pair{}
			}
			err := b.with(ctx, spec, b.all, func(s *peer.Server) error {
				empty, err := b.resident(ctx, s)
				if err != nil {
					return err
				}
				if err := b.fill(ctx, s, 0, few, valueBytes); err != nil {
					return err
				}
				small, err := b.resident(ctx, s)
				found[spec.Name].empty = append(found[spec.Name].empty, float64(empty)/1e6)
				found[spec.Name].small = append(found[spec.Name].small, float64(small)/1e6)
				return err
			})
			if err != nil {
				return outcome{}, err
			}
		}
	}
	var rows [][]string
	for _, spec := range b.keepers() {
		p := found[spec.Name]
		rows = append(rows, []string{spec.Name, report.Spread(stat.Of(p.empty)), report.Spread(stat.Of(p.small))})
	}
	var targets []report.Target
	if ours := found[peer.Fulmen]; ours != nil {
		targets = []report.Target{
			{What: "RSS of an empty server", Limit: 32, Unit: "MB", Measured: stat.Of(ours.empty)},
			{What: "RSS with 1,000 small keys", Limit: 40, Unit: "MB", Measured: stat.Of(ours.small)},
		}
	}
	text := fmt.Sprintf("Servers as they start by default, unpinned; keys of 16 bytes, values of %d.\n\n", valueBytes)
	return outcome{targets, text + report.Table([]string{"RSS in MB", "empty", "1,000 keys"}, rows)}, nil
}
