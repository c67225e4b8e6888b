package vfs

import (
	"sync"
	"sync/atomic"
)

// Syncer syncs many files at the same time. It belongs to one goroutine at a time.
type Syncer interface {
	// SyncData is File.SyncData of files that are open and were opened by the FS that the Syncer is of, all at the same
	// time where the system can, which takes about as long as the slowest. errs has as many elements as files and gets
	// the error of each, or nil.
	SyncData(files []File, errs []error)
	// Waits reports whether SyncData of so many files keeps a processor of the Go scheduler, and not the goroutine
	// alone, while it waits for the disk, as a system call does for up to some milliseconds.
	Waits(files int) bool
	// Close frees what the Syncer holds of the system. It is not used any more.
	Close() error
}

// threads is the Syncer for systems without a better way: a thread for each file that is being synced.
type threads struct{}

// threadsAtOnce bounds the threads that wait for disks.
const threadsAtOnce = 16

// SyncData implements Syncer.
func (threads) SyncData(files []File, errs []error) {
	if len(files) == 1 {
		errs[0] = files[0].SyncData()
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(len(files), threadsAtOnce) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(files)); i = next.Add(1) - 1 {
				errs[i] = files[i].SyncData()
			}
		})
	}
	wg.Wait()
}

// Waits implements Syncer.
func (threads) Waits(int) bool { return true }

// Close implements Syncer.
func (threads) Close() error { return nil }

// OneByOne is the Syncer of file systems whose tests want one call after the other: File.SyncData of each in order.
type OneByOne struct{}

// SyncData implements Syncer.
func (OneByOne) SyncData(files []File, errs []error) {
	for i, f := range files {
		errs[i] = f.SyncData()
	}
}

// Waits implements Syncer.
func (OneByOne) Waits(int) bool { return true }

// Close implements Syncer.
func (OneByOne) Close() error { return nil }
