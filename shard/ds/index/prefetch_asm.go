//go:build amd64 || arm64

package index

// prefetch hints that the cache line at addr will be read. Any address will do.
//
//go:noescape
func prefetch(addr uintptr)

// prefetchTwo prefetches the line at addr and the next one.
//
//go:noescape
func prefetchTwo(addr uintptr)
