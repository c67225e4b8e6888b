package crc

import "golang.org/x/sys/cpu"

var canFold = cpu.X86.HasPCLMULQDQ

// fold64 folds p, of which there are one or more times 64 bytes, with crc being the sum of what was before, to 16 bytes
// whose sum, begun with 0, is that of p. factors are those of a sum64.
//
//go:noescape
func fold64(to *[16]byte, p []byte, crc uint64, factors *[4]uint64)
