//go:build !linux

package clock

import "time"

// ThreadCPU returns the processor time in nanoseconds that the calling thread has used. Where the system has no
// such clock it is wall time, an upper bound.
func ThreadCPU() int64 { return int64(time.Since(began)) }
