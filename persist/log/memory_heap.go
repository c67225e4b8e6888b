//go:build !linux || race

package log

// newMemory returns size zero bytes. The race detector watches only memory of the Go heap, so that is
// where blocks are under -race.
func newMemory(size int) []byte { return make([]byte, size) }

func freeMemory([]byte) {}
