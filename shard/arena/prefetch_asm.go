//go:build amd64 || arm64

package arena

// Prefetch hints that the cache line at addr will be read. Any address will do.
//
//go:noescape
func Prefetch(addr uintptr)

// PrefetchSpan prefetches the lines from addr to addr+span-1. span must not be 0.
//
//go:noescape
func PrefetchSpan(addr, span uintptr)
