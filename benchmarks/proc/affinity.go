package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// AllowedCPUs lists the cores that this thread may run on, ascending.
func AllowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("proc: sched_getaffinity: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// OnCPUs runs fn on a thread that is tied to the given cores. A process that fn starts is tied to them from its
// first instruction, with all the threads it will ever have: affinity is inherited. Afterwards the thread gets its
// old cores back. No cores means: as it is.
func OnCPUs(cpus []int, fn func() error) error {
	if len(cpus) == 0 {
		return fn()
	}
	runtime.LockOSThread()
	var old unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("proc: sched_getaffinity: %w", err)
	}
	set := setOf(cpus)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("proc: tie to cores %v: %w", cpus, err)
	}
	err := fn()
	if restoreErr := unix.SchedSetaffinity(0, &old); restoreErr != nil {
		// The thread stays locked: it must not serve other goroutines from the wrong core.
		return errors.Join(err, fmt.Errorf("proc: restore cores: %w", restoreErr))
	}
	runtime.UnlockOSThread()
	return err
}

// ConfineSelf ties every thread of this process to the given cores. Threads made later inherit them from the thread
// that makes them. Threads that the runtime starts meanwhile are met by going over the list until it holds nothing
// new.
func ConfineSelf(cpus []int) error {
	set := setOf(cpus)
	done := map[int]bool{}
	for range 10 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("proc: %w", err)
		}
		fresh := false
		for _, thread := range threads {
			tid, err := strconv.Atoi(thread.Name())
			if err != nil || done[tid] {
				continue
			}
			done[tid], fresh = true, true
			if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("proc: tie thread %d to cores %v: %w", tid, cpus, err)
			}
		}
		if !fresh {
			return nil
		}
	}
	return nil
}

func setOf(cpus []int) (set unix.CPUSet) {
	for _, cpu := range slices.Compact(slices.Clone(cpus)) {
		set.Set(cpu)
	}
	return set
}
