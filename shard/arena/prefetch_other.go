//go:build !amd64 && !arm64

package arena

// Prefetch does nothing on this architecture.
func Prefetch(uintptr) {}

// PrefetchSpan does nothing on this architecture.
func PrefetchSpan(uintptr, uintptr) {}
