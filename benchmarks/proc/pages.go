package proc

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"fulmen/benchmarks/stat"
)

// PageSupply touches so many bytes of fresh memory, page by page, and returns how much processor time the first touch
// of each took: what the machine, not a server, makes of memory that is used for the first time.
func PageSupply(bytes int) (*stat.Histogram, error) {
	memory, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("proc: memory to touch: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var h stat.Histogram
	before := threadCPU()
	for i := 0; i < bytes; i += unix.Getpagesize() {
		memory[i] = 1
		now := threadCPU()
		h.Record(now-before, 1)
		before = now
	}
	if err := unix.Munmap(memory); err != nil {
		return nil, fmt.Errorf("proc: %w", err)
	}
	return &h, nil
}

func threadCPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
