package script

import (
	"testing"

	"fulmen/internal/resp"
)

// stockHost replies as a server with a stock does.
type stockHost struct{ fakeHost }

func (h *stockHost) Call(args [][]byte) []byte {
	switch string(args[0]) {
	case "GET":
		h.reply = resp.AppendBulkString(h.reply[:0], "100000")
	case "SISMEMBER":
		h.reply = resp.AppendInt(h.reply[:0], 0)
	default:
		h.reply = resp.AppendInt(h.reply[:0], 1)
	}
	return h.reply
}

func BenchmarkRun(b *testing.B) {
	for _, bench := range []struct{ name, source string }{
		{"return1", "return 1"},
		{"get", "return redis.call('GET', KEYS[1])"},
		{"flashsale", flashSale},
		{"loop1000", "local n = 0 for i = 1, 1000 do n = n + i end return n"},
		{"table100", "local t = {} for i = 1, 100 do t[#t+1] = i .. ':' end return table.concat(t)"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := NewEngine(noRows, Limits{}).NewRunner(&stockHost{})
			s, err := r.engine.Compile([]byte(bench.source))
			if err != nil {
				b.Fatal(err)
			}
			keys, args := byteSlices([]string{"{s}stock", "{s}buyers"}), byteSlices([]string{"buyer:1", "1"})
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				if dst, err = r.Run(dst[:0], 2, s, keys, args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewRunner(b *testing.B) {
	e := NewEngine(noRows, Limits{})
	b.ReportAllocs()
	for b.Loop() {
		e.NewRunner(newFakeHost())
	}
}
