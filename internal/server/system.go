package server

import (
	"bytes"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"fulmen/persist/vfs"
)

// residentBytes returns the process's resident set size; 0 where /proc is missing.
func residentBytes(files vfs.FS) int64 {
	stat, err := files.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// mainThreadCPU returns the processor time of the process's first thread in seconds; 0 where /proc is missing. The
// event loops are goroutines, and run on any thread.
func mainThreadCPU(files vfs.FS) (system, user float64) {
	const ticksPerSecond = 100 // USER_HZ: what /proc counts in on every architecture that Go runs on
	pid := strconv.Itoa(os.Getpid())
	stat, err := files.ReadFile("/proc/self/task/" + pid + "/stat")
	if err != nil {
		return 0, 0
	}
	// proc(5): behind the name in parentheses come field 3 and the others; utime is field 14, stime 15.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, 0
	}
	userTicks, errUser := strconv.ParseFloat(string(fields[11]), 64)
	systemTicks, errSystem := strconv.ParseFloat(string(fields[12]), 64)
	if errUser != nil || errSystem != nil {
		return 0, 0
	}
	return systemTicks / ticksPerSecond, userTicks / ticksPerSecond
}

// totalMemory returns the machine's memory in bytes.
func totalMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// permOf turns an octal mode of the configuration into a file mode.
func permOf(mode uint32) fs.FileMode { return fs.FileMode(mode) & fs.ModePerm }

func writeFileAtomic(files vfs.FS, name string, data []byte) error {
	return vfs.WriteFileAtomic(files, name, data, 0o644)
}

// chdir changes the process's working directory (parameter dir).
func chdir(dir string) error { return unix.Chdir(dir) }
