package command

import "testing"

// BenchmarkList measures hot commands of a big list without a server.
func BenchmarkList(b *testing.B) {
	for _, c := range [][]string{
		{"LPUSH", "big", "xxx"}, {"RPUSH", "big", "xxx"}, {"LPOP", "big"}, {"RPOP", "big"},
		{"LRANGE", "big", "0", "99"},
		{"GET", "str"},
	} {
		b.Run(c[0], func(b *testing.B) {
			h := newHarness(b, 1)
			h.call(bytesOf([]string{"SET", "str", "xxx"}))
			fill := bytesOf([]string{"RPUSH", "big", "xxx"})
			for range 200_000 + b.N {
				h.call(fill)
			}
			args := bytesOf(c)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				h.call(args)
			}
		})
	}
}
