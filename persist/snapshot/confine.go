package snapshot

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxCPUs is how many processors a list may name.
const maxCPUs = 1024

// ParseCPUs reads a list of processors as bgsave_cpulist and taskset have it: numbers and ranges with an optional
// step, `0,2,8-14:2`, with commas between. It returns the numbers in the order of the list; none for an empty one.
func ParseCPUs(list string) (cpus []int, err error) {
	if list == "" {
		return nil, nil
	}
	for item := range strings.SplitSeq(list, ",") {
		span, stepText, hasStep := strings.Cut(strings.TrimSpace(item), ":")
		from, to, isSpan := strings.Cut(span, "-")
		if !isSpan {
			to = from
		}
		step := 1
		lo, err1 := strconv.Atoi(from)
		hi, err2 := strconv.Atoi(to)
		if hasStep {
			if step, err = strconv.Atoi(stepText); err != nil || !isSpan {
				step = 0
			}
		}
		if err1 != nil || err2 != nil || step < 1 || lo < 0 || hi < lo || hi >= maxCPUs {
			return nil, fmt.Errorf("snapshot: %q is no list of processors", list)
		}
		for cpu := lo; cpu <= hi; cpu += step {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// A worker's thread gives way to others: it is as nice as this, and where the kernel has slices of a thread's own
// (Linux 6.12) these are short, for the sake of an event loop on the same processor. But the kernel looks at a slice
// only when somebody wakes and when its clock ticks, every 4 ms as a rule: a worker whose turn had come kept the loop
// waiting for as long as that, whatever its niceness, and p99.9 while saving was that. So it offers the processor
// itself, after breathBytes of what it encodes, some 50 µs, and around each write to a sink. What it offers is taken
// if others wait, and then its share is given back to it by the kernel in as small portions.
const (
	workerNice    = 10
	workerSliceNs = 200_000
	breathBytes   = 16 << 10
)

// giveWay lets others have the processor that wait for it. It takes about 0.3 µs where nobody does. The system call is
// one that the Go runtime knows of: it takes away what belongs to this thread if it needs that to stop the world.
func giveWay() { _, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// confine has the calling goroutine run on the processors that the request names, on a thread of its own that ends with
// it and gives way to others. What the system refuses of that is left out: it is no reason not to save, and as in Redis
// processors that aren't there are of no effect.
func (v *Save) confine() {
	runtime.LockOSThread() // and never unlocked: the runtime doesn't use the thread again
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Nice: workerNice, Runtime: workerSliceNs}, 0)
	cpus, err := ParseCPUs(v.request.CPUs)
	if err != nil || len(cpus) == 0 {
		return
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	_ = unix.SchedSetaffinity(0, &set)
}
