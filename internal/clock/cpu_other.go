//go:build !linux

package clock

import "time"

// ThreadCPU returns the processor time in nanoseconds that the calling thread has used. Where the system has no
// such clock it is wall time, an upper bound.
func ThreadCPU() int64 { return int64(time.Since(began)) }

// ProcessCPU returns the processor time in nanoseconds that all threads of the process have used; wall time here, too.
func ProcessCPU() int64 { return ThreadCPU() }

// ThreadID returns the calling thread's number, or 0 where the system has none to give.
func ThreadID() int { return 0 }
