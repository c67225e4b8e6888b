package shard

import (
	"sync"
	"testing"
)

// TestLimitIsExact: shards that find too many keys in all tables at the same time don't take out more than that.
func TestLimitIsExact(t *testing.T) {
	for range 200 {
		var sum trackingState
		sum.keys.Store(1000)
		sum.maxKeys.Store(10)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for sum.dropOne() {
				}
			})
		}
		wg.Wait()
		if keys := sum.keys.Load(); keys != 10 || sum.over() {
			t.Fatalf("%d keys are left of 1000 for a limit of 10", keys)
		}
	}
}
