//go:build !amd64 && !arm64

package index

// prefetch does nothing on this architecture.
func prefetch(uintptr) {}

// prefetchTwo does nothing on this architecture.
func prefetchTwo(uintptr) {}
