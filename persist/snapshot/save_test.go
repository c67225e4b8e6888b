package snapshot

import (
	"fmt"
	"testing"

	"fulmen/persist/rdb"
)

// TestSaveAtOnce: a save has everything, whatever the form of its sinks.
func TestSaveAtOnce(t *testing.T) {
	for _, shards := range []int{1, 3, 8} {
		w := newWorld(t, shards, 0, 1)
		for i := range 20_000 {
			w.do(i%3, "SET", fmt.Sprint("key:", i), fmt.Sprint("value ", i))
			if i%10 == 0 {
				w.do(i%3, "PEXPIRE", fmt.Sprint("key:", i), "1000")
			}
		}
		segments := &memSink{form: Form{WriteOptions: rdb.WriteOptions{Checksum: true}}}
		merged := &memSink{form: Form{Merged: true}}
		v, sh := w.cut(segments, merged)
		if err := w.finish(v, sh); err != nil {
			t.Error(err)
		}
		if len(segments.streams) != shards || len(merged.streams) != 1 {
			t.Errorf("%d and %d streams", len(segments.streams), len(merged.streams))
		}
	}
}
