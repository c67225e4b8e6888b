//go:build !race

package vfs

// underRace: the race detector allocates on its own.
const underRace = false
