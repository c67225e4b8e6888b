package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"fulmen/persist/vfs"
)

// sysmonSlackNs is how late the kernel may wake the Go runtime's monitor.
const sysmonSlackNs = 1_000_000

// CalmSysmon gives the thread of the Go runtime's monitor (sysmon) a timer slack of 1 ms instead of 50 µs.
//
// sysmon sleeps for 20 µs at a time as long as it finds something to do, and an event loop that sleeps in epoll_wait
// now and then, on a machine or in a set of processors with no idle one besides, is that: it takes the loop's
// processor away, which the loop takes back when it wakes. On one core, at pipeline 16, that was 4,000 wake-ups a
// second, a tenth to a quarter of the server's processor time, with the loop thrown off the core each time; with the
// slack it is 1,000 and 1.6 %. What sysmon is for can wait: preemption comes after 10 ms anyway.
//
// The runtime has no switch for this, so the thread is found as the oldest but the main one: sysmon is started before
// any of the program's own code. An error says why it was left as it is, which costs time and nothing else: the
// kernel demands CAP_SYS_NICE for other threads than the caller's own.
func CalmSysmon(files vfs.FS) error {
	tid, err := oldestThread(files)
	if err != nil {
		return fmt.Errorf("reactor: finding the runtime's monitor: %w", err)
	}
	f, err := files.OpenAppend("/proc/"+strconv.Itoa(tid)+"/timerslack_ns", 0)
	if err != nil {
		return fmt.Errorf("reactor: %w", err)
	}
	_, err = f.Write(strconv.AppendInt(nil, sysmonSlackNs, 10))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reactor: %w", err)
	}
	return nil
}

// oldestThread returns the id of the process's oldest thread but the main one.
func oldestThread(files vfs.FS) (tid int, err error) {
	names, err := files.Glob("/proc/self/task/*/stat")
	if err != nil {
		return 0, err
	}
	oldest := uint64(0)
	for _, name := range names {
		stat, err := files.ReadFile(name)
		if err != nil {
			continue // the thread has ended meanwhile
		}
		id, started, err := threadStart(stat)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		if id == os.Getpid() {
			continue
		}
		if tid == 0 || started < oldest || started == oldest && id < tid {
			tid, oldest = id, started
		}
	}
	if tid == 0 {
		return 0, errors.New("there is no other thread")
	}
	return tid, nil
}

// threadStart reads a thread's id and its time of start, in ticks since the system's, from its stat file (proc(5)):
// fields 1 and 22. Field 2, the name in parentheses, may hold anything.
func threadStart(stat []byte) (tid int, started uint64, err error) {
	end := bytes.LastIndexByte(stat, ')')
	first, _, found := bytes.Cut(stat, []byte{' '})
	if end < 0 || !found {
		return 0, 0, errors.New("unknown format")
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 20 {
		return 0, 0, errors.New("unknown format")
	}
	tid, err = strconv.Atoi(string(first))
	if err != nil {
		return 0, 0, err
	}
	started, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return tid, started, err
}
