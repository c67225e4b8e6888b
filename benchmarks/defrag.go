package main

import (
	"context"
	"fmt"
	"time"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
)

const (
	defragKeys    = 2_000_000
	defragPercent = 70 // of the keys are deleted
	defragLeast   = 16 // bytes of a value, from this
	defragMost    = 1000
)

// defragged is what one server's memory looked like in one round.
type defragged struct {
	ratios []float64 // RSS ÷ used_memory at defragTimes after the last deletion
	hold   peer.Hold
	known  bool
}

// defragTimes is when memory is looked at, after the last deletion.
func (b *bench) defragTimes() []time.Duration {
	times := []time.Duration{0, 5 * time.Second, 20 * time.Second, 60 * time.Second}
	if b.quick {
		return []time.Duration{0, 100 * time.Millisecond}
	}
	return times
}

// runDefrag fills servers with values of all sizes, deletes most of the keys at random, and watches how resident
// memory follows what is in use. Servers are as they are by default, and Redis and its kin are asked for active
// defragmentation, which they may not be built for.
func (b *bench) runDefrag(ctx context.Context) (outcome, error) {
	found := map[string][]defragged{}
	for round := range b.fewRounds(3) {
		for _, spec := range b.keepers() {
			d, err := b.defragOne(ctx, spec)
			if err != nil {
				return outcome{}, fmt.Errorf("%s: %w", spec.Name, err)
			}
			found[spec.Name] = append(found[spec.Name], d)
			b.logf("round %d  %-10s RSS/used_memory %.2f  hold p99.999 %.0f µs, max %.0f µs %v",
				round+1, spec.Name, d.ratios, d.hold.P99999Us, d.hold.MaxUs, d.hold.By)
		}
	}
	times := b.defragTimes()
	head := []string{"RSS / used_memory"}
	for _, at := range times {
		head = append(head, fmt.Sprintf("after %v", at))
	}
	head = append(head, "hold p99.999 µs")
	var rows [][]string
	var targets []report.Target
	for _, spec := range b.keepers() {
		all := found[spec.Name]
		figure := func(of func(d defragged) float64) stat.Figure {
			var values []float64
			for _, d := range all {
				values = append(values, of(d))
			}
			return stat.Of(values)
		}
		row := []string{spec.Name}
		for i := range times {
			row = append(row, report.Spread(figure(func(d defragged) float64 { return d.ratios[i] })))
		}
		hold := figure(func(d defragged) float64 { return d.hold.P99999Us })
		if len(all) > 0 && all[0].known {
			row = append(row, report.Spread(hold))
		} else {
			row = append(row, "")
		}
		rows = append(rows, row)
		if spec.Name == peer.Fulmen {
			last := figure(func(d defragged) float64 { return d.ratios[len(times)-1] })
			targets = append(targets,
				report.Target{What: "RSS / used_memory after a minute", Limit: 1.25, Unit: "", Measured: last},
				report.Target{What: "baton hold p99.999, processor time", Limit: 1000, Unit: "µs", Measured: hold})
		}
	}
	text := fmt.Sprintf("%s keys of 16 bytes with values of %d to %d bytes, %d %% of them deleted at random by DEL of "+
		"10 keys, unpinned. Holds are counted from the first deletion on.\n\n",
		count(b.defragKeys()), defragLeast, defragMost, defragPercent)
	return outcome{targets, text + b.pageSupply() + report.Table(head, rows)}, nil
}

func (b *bench) defragKeys() uint64 {
	if b.quick {
		return defragKeys / 100
	}
	return defragKeys
}

func (b *bench) defragOne(ctx context.Context, spec peer.Spec) (d defragged, err error) {
	keys := load.Keys{Prefix: "key:", To: b.defragKeys(), ValueBytes: defragLeast, MostBytes: defragMost, Seed: 1}
	err = b.with(ctx, spec, b.all, func(s *peer.Server) error {
		_, _ = s.Do("CONFIG", "SET", "activedefrag", "yes") // not every build can
		if err := b.fillKeys(ctx, s, keys); err != nil {
			return err
		}
		_, _ = s.Do("CONFIG", "RESETSTAT")
		deleted, err := load.Delete(ctx, s.Addr, keys, defragPercent)
		if err != nil {
			return err
		}
		if err := s.ExpectKeys(int64(keys.To-deleted), "after deleting"); err != nil {
			return err
		}
		end := time.Now()
		for _, at := range b.defragTimes() {
			if err := sleep(ctx, time.Until(end.Add(at))); err != nil {
				return err
			}
			rss, err := s.RSSBytes()
			if err != nil {
				return err
			}
			used, err := usedMemory(s)
			if err != nil {
				return err
			}
			d.ratios = append(d.ratios, float64(rss)/used)
		}
		if status, err := s.ReadStatus(ctx); err == nil {
			d.hold, d.known = status.Holds()
		}
		return nil
	})
	return d, err
}

// usedMemory is INFO's used_memory in bytes.
func usedMemory(s *peer.Server) (bytes float64, err error) {
	text := s.Info("memory")["used_memory"]
	if _, err := fmt.Sscan(text, &bytes); err != nil || bytes <= 0 {
		return 0, fmt.Errorf("INFO's used_memory is %q", text)
	}
	return bytes, nil
}
