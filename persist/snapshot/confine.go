package snapshot

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"fulmen/persist/vfs"
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

// breathBytes is how much of what it encodes a worker lets pass between two offers of its processor, some 50 µs.
const breathBytes = 16 << 10

// confine has the calling goroutine run on the processors that the request names, on a thread of its own that ends with
// it and gives way to others. What the system refuses of that is left out: it is no reason not to save, and as in Redis
// processors that aren't there are of no effect.
func (v *Save) confine() {
	vfs.OwnThread()
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
