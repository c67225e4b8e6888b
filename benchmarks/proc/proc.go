// Package proc reads what Linux says about a process and about the machine, and ties processes to cores.
//
// It knows nothing of servers or benchmarks. It is Linux only, as the figures are: CPU time and resident memory
// come from /proc.
//
// # Format
//
// /proc/PID/stat is one line: pid, the command in parentheses (which may itself hold spaces and parentheses, so
// fields are counted from the last one), then space-separated fields; the 12th and 13th after the command are utime
// and stime of all threads, dead ones included, in clock ticks of 10 ms. /proc/PID/status has lines "Name:\tvalue",
// memory in "kB" that mean 1,024 bytes.
package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of utime and stime: USER_HZ is 100 on every architecture that Go runs Linux on.
const tick = 10 * time.Millisecond

// CPU is processor time used by all threads of a process since it started, exact to 10 ms.
type CPU struct {
	User, System time.Duration
}

// Total is the time in user and kernel mode together.
func (c CPU) Total() time.Duration { return c.User + c.System }

// ReadCPU gives the processor time of process pid.
func ReadCPU(pid int) (CPU, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return CPU{}, fmt.Errorf("proc: %w", err)
	}
	return ParseStat(string(text))
}

// ParseStat takes the processor time out of the text of a /proc/PID/stat.
func ParseStat(text string) (CPU, error) {
	end := strings.LastIndexByte(text, ')')
	if end < 0 {
		return CPU{}, errors.New("proc: stat without a command name")
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 13 {
		return CPU{}, fmt.Errorf("proc: stat has %d fields after the command", len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return CPU{}, fmt.Errorf("proc: utime: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return CPU{}, fmt.Errorf("proc: stime: %w", err)
	}
	return CPU{User: time.Duration(user) * tick, System: time.Duration(system) * tick}, nil
}

// ReadRSSBytes gives the resident memory (VmRSS) of process pid. Shared file pages, such as the program's text, are
// in it.
func ReadRSSBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("proc: %w", err)
	}
	return ParseStatusBytes(string(text), "VmRSS")
}

// ParseStatusBytes finds a memory field such as VmRSS in the text of a /proc/PID/status.
func ParseStatusBytes(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		value, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(value), " ")
		if unit != "kB" {
			return 0, fmt.Errorf("proc: %s is in %q, not in kB", name, unit)
		}
		kib, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("proc: %s: %w", name, err)
		}
		return kib * 1024, nil
	}
	return 0, fmt.Errorf("proc: no %s in status", name)
}
