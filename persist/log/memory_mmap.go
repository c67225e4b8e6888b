//go:build linux && !race

package log

import "syscall"

// newMemory returns size zero bytes outside the Go heap, so that a log of gigabytes neither feeds nor
// delays the garbage collector, and memory is resident only where it was written.
func newMemory(size int) []byte {
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		// Out of mappings or of address space: the heap is the second choice, losing a record none.
		return make([]byte, size)
	}
	return mem
}

// freeMemory gives mem back. Memory that newMemory took from the heap is unknown to Munmap and left to
// the garbage collector.
func freeMemory(mem []byte) {
	_ = syscall.Munmap(mem)
}
