//go:build !amd64 && !arm64

package index

// prefetch does nothing on this architecture.
func prefetch(uintptr) {}

// prefetchSpan does nothing on this architecture.
func prefetchSpan(uintptr, uintptr) {}
