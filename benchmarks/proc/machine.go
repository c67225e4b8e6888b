package proc

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine describes where a report was measured.
type Machine struct {
	Model       string // the processor's own name
	Cores       int    // cores this process may use
	Kernel      string // "Linux 6.18.0"
	MemoryBytes int64
	System      string // the distribution's name
	THP         string // transparent huge pages: always, madvise or never
}

// ReadMachine collects what this machine says about itself; a field it keeps to itself is "unknown" or zero.
func ReadMachine() Machine {
	m := Machine{Model: "unknown", Kernel: "unknown", System: "unknown", THP: "unknown"}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Model = ParseModel(string(text))
	}
	if cpus, err := AllowedCPUs(); err == nil {
		m.Cores = len(cpus)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		m.Kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.MemoryBytes, _ = ParseStatusBytes(string(text), "MemTotal")
	}
	if text, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(text)) {
			if value, found := strings.CutPrefix(line, "PRETTY_NAME="); found {
				m.System = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
	}
	if text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err == nil {
		if _, rest, found := strings.Cut(string(text), "["); found {
			m.THP, _, _ = strings.Cut(rest, "]")
		}
	}
	return m
}

// String is the machine in one line of the report.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %.0f GiB, %s, %s, huge pages: %s",
		m.Model, m.Cores, float64(m.MemoryBytes)/(1<<30), m.System, m.Kernel, m.THP)
}

// ParseModel finds the processor's name in the text of /proc/cpuinfo.
func ParseModel(text string) string {
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
