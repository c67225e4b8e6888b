//go:build linux && !race

package snapshot

import "syscall"

// newMemory returns size zero bytes outside the Go heap: with ready they are resident already, so that nobody who
// holds a baton takes the faults.
func newMemory(size int, ready bool) []byte {
	flags := syscall.MAP_ANON | syscall.MAP_PRIVATE
	if ready {
		flags |= syscall.MAP_POPULATE
	}
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, flags)
	if err != nil {
		// Out of mappings or of address space: the heap is the second choice, losing an entry none.
		return make([]byte, size)
	}
	return mem
}

// freeMemory gives mem back. Memory that newMemory took from the heap is unknown to Munmap and left to the garbage
// collector.
func freeMemory(mem []byte) { _ = syscall.Munmap(mem) }
