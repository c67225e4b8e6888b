package vfs

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A thread that gives way is as nice as this, and where the kernel has slices of a thread's own (Linux 6.12) these are
// short, for the sake of event loops on the same processor.
const (
	threadNice    = 10
	threadSliceNs = 200_000
)

// OwnThread has the calling goroutine run on a thread of its own that ends with it and gives way to others. What the
// system refuses of that is left out.
func OwnThread() {
	runtime.LockOSThread() // and never unlocked: the runtime doesn't use the thread again
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Nice: threadNice, Runtime: threadSliceNs}, 0)
}

// GiveWay lets others have the processor that wait for it. It takes about 0.3 µs where nobody does. The system call is
// one that the Go runtime knows of: it takes away what belongs to this thread if it needs that to stop the world.
//
// A thread that works for long calls it every 50 µs or so: the kernel looks at slices only when somebody wakes and when
// its clock ticks, every 4 ms as a rule, so one whose turn has come would keep a loop waiting for as long as that,
// whatever its niceness. What it offers is taken if others wait; the kernel gives its share back in as small portions.
func GiveWay() { _, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// asideBytes is how long a file may be that is removed on the caller's thread. The kernel lets go of a file's pages
// before the call returns: 1 to 4 ms for 100 MB.
const asideBytes = 1 << 20

// remove removes a file, a long one on a thread that gives way.
func remove(name string) error {
	if info, err := os.Lstat(name); err != nil || info.Size() < asideBytes {
		return os.Remove(name)
	}
	done := make(chan error, 1)
	go func() {
		OwnThread()
		done <- os.Remove(name)
	}()
	return <-done
}
