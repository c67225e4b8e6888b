package command

import (
	"fmt"
	"testing"
)

// BenchmarkPFAdd adds elements that mostly change nothing, to a dense HyperLogLog, and to sparse ones of 200 elements.
func BenchmarkPFAdd(b *testing.B) {
	for _, size := range []int{200, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := newHarness(b, 1)
			var commands [][][]byte
			for i := range size {
				args := bytesOf([]string{"PFADD", "k", fmt.Sprint("element:", i)})
				h.call(args)
				commands = append(commands, args)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				h.call(commands[i%size])
			}
		})
	}
}
