//go:build amd64 || arm64

package index

// prefetch hints that the cache line at addr will be read. Any address will do.
//
//go:noescape
func prefetch(addr uintptr)

// prefetchSpan prefetches the lines from addr to addr+span-1. span must not be 0.
//
//go:noescape
func prefetchSpan(addr, span uintptr)
