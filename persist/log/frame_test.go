package log

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// frameBytes builds a frame without the package's writing side, but for the fields of the line.
func frameBytes(h Header, shards int, records []byte) []byte {
	var line [pieceMost]byte
	n := plainLine
	if h.Piece {
		n = h.putPiece(&line, bitmapWidth(shards))
		putHex10(line[offBefore:], h.Start-h.TxStart)
	} else {
		putPlain(line[:], h.Incarnation)
	}
	putHex8(line[offStart:], uint32(h.Start>>32))
	putHex8(line[offStart+8:], uint32(h.Start))
	putHex10(line[offLen:], h.End-h.Start)
	var time []byte
	if h.TimeSec > 0 {
		time = fmt.Appendf(nil, "#TS:%010d\r\n", h.TimeSec)
	}
	putHex8(line[offSum:], AddSum(AddSum(AddSum(0, time), line[LineSummed:n]), records))
	return append(append(time, line[:n]...), records...)
}

func pieceHeader(start, before, size, whole uint64, shards ...int) Header {
	h := Header{
		Incarnation: 7, Start: start, End: start + size, Piece: true,
		TxStart: start - before, TxEnd: start - before + whole,
	}
	for _, s := range shards {
		h.Shards.Add(s)
	}
	return h
}

// TestGolden holds the format still.
func TestGolden(t *testing.T) {
	l := New(8, Limits{})
	l.SetLSN(0x123456789abc)
	l.SetIncarnation(0x2a)
	h := l.Resume()
	defer h.Close()
	l.Shard(1).Stage(0, []byte("SET"), []byte("k"), []byte("v"))
	l.Shard(1).Commit(true)
	l.Shard(1).Stage(3, []byte("DEL"), []byte("k"))
	l.Shard(7).Stage(0, []byte("DEL"), []byte("x"))
	l.Commit([]*ShardLog{l.Shard(0), l.Shard(1), l.Shard(7)}, true)
	l.StageBarrier([]*ShardLog{l.Shard(1), l.Shard(7)}, 0, []byte("RENAME"), []byte("k"), []byte("x"))
	l.Commit([]*ShardLog{l.Shard(1), l.Shard(7)}, true)

	sel3, sel0 := encode("SELECT", "3"), encode("SELECT", "0")
	want := map[int]string{
		1: "#F831813f1 0000002a 0000123456789abc 000000001b\r\n" + encode("SET", "k", "v") +
			"#T00000000 0000002a 0000123456789ad7 0000000051 0000000000 0000000073 CC\r\n" +
			encode("MULTI") + sel3 + encode("DEL", "k") + sel0 +
			"#T00000000 0000002a 0000123456789b4a 000000001e 0000000000 000000001e CC\r\n" +
			encode("RENAME", "k", "x"),
		7: "#T00000000 0000002a 0000123456789b28 0000000022 0000000051 0000000073 CC\r\n" +
			encode("DEL", "x") + encode("EXEC") +
			"#T00000000 0000002a 0000123456789b68 0000000000 000000001e 000000001e CC\r\n",
	}
	for shard, w := range want {
		r, err := h.Chunks(shard, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := string(r.Next(1 << 20))
		r.Close()
		for at := 0; at < len(w); { // sums are checked by decoding; only the first is written out above
			f, n, err := DecodeFrame([]byte(got)[at:])
			if n == 0 {
				t.Fatalf("shard %d at %d: %v in\n%q\n%q", shard, at, err, got, w)
			}
			if shard != 1 || at != 0 {
				w = w[:at+2] + string(f.Line[2:10]) + w[at+10:]
			}
			at += n
		}
		if got != w {
			t.Errorf("shard %d:\n%q, want\n%q", shard, got, w)
		}
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for shards := 2; shards <= MaxShards; shards++ {
		var in []int
		for i := range shards {
			if rnd.IntN(3) == 0 || i >= shards-2 {
				in = append(in, i)
			}
		}
		h := pieceHeader(1<<63+rnd.Uint64N(1<<60), rnd.Uint64N(1<<39), 3, 1<<40-1, in...)
		h.TimeSec = int64(shards%2) * rnd.Int64N(1e10)
		f, n, err := DecodeFrame(append(frameBytes(h, shards, []byte("abc")), "rest"...))
		if err != nil || string(f.Records) != "abc" || n != len(f.Line)+3 || len(f.Line) > MaxLine {
			t.Fatalf("%d shards: %d bytes, %v", shards, n, err)
		}
		f.Sum = 0
		if !reflect.DeepEqual(f.Header, h) {
			t.Fatalf("%d shards: %+v, want %+v", shards, f.Header, h)
		}
		if f.Shards.Len() != len(in) {
			t.Fatalf("%d shards: %d in the set, want %d", shards, f.Shards.Len(), len(in))
		}
	}
	if pieceFixed+bitmapWidth(MaxShards) != pieceMost || pieceMost >= 128 {
		t.Fatal("the longest line is not pieceMost, or does not fit in Redis's buffer")
	}
}

// sampleFrames are valid frames of all kinds.
func sampleFrames() [][]byte {
	rec := []byte(encode("SET", "key", "value"))
	return [][]byte{
		frameBytes(Header{Start: 5, End: 5 + uint64(len(rec))}, 8, rec),
		frameBytes(pieceHeader(1000, 100, uint64(len(rec)), 300, 0, 5, 7), 8, rec),
		frameBytes(pieceHeader(1000, 300, 0, 300, 3, 200, 255), 256, nil),
		frameBytes(Header{Start: 5, End: 5 + uint64(len(rec)), TimeSec: 1_700_000_000}, 8, rec),
	}
}

func TestFlipsAreDetected(t *testing.T) {
	for _, frame := range sampleFrames() {
		for i := range frame {
			for bit := range 8 {
				frame[i] ^= 1 << bit
				// A longer range may make it incomplete, which the frames that follow in a file refute.
				if f, n, err := DecodeFrame(frame); n != 0 || err != nil && !isCorrupt(err) {
					t.Fatalf("flip of bit %d in byte %d of %q: %d bytes, %v, %+v", bit, i, frame, n, err, f)
				}
				frame[i] ^= 1 << bit
			}
		}
	}
}

func isCorrupt(err error) bool {
	var c *CorruptError
	return errors.As(err, &c)
}

func TestTornFrames(t *testing.T) {
	for _, frame := range sampleFrames() {
		for n := range frame {
			if _, used, err := DecodeFrame(frame[:n]); used != 0 || err != nil {
				t.Fatalf("first %d bytes of %q: %d bytes, %v", n, frame, used, err)
			}
		}
		if _, used, err := DecodeFrame(frame); used != len(frame) || err != nil {
			t.Fatalf("%q: %d bytes, %v", frame, used, err)
		}
	}
}

func TestMalformedFrames(t *testing.T) {
	plain, piece := sampleFrames()[0], sampleFrames()[1]
	change := func(frame []byte, at int, s string) []byte {
		return append(append(append([]byte(nil), frame[:at]...), s...), frame[at+len(s):]...)
	}
	for name, data := range map[string][]byte{
		"no annotation":         []byte(encode("PING")),
		"timestamp annotation":  []byte("#TS:1234567890\r\n" + strings.Repeat("x", 200)),
		"time alone":            append([]byte("#TS:1234567890\r\n"), "#TS:1234567890\r\n"+string(plain)...),
		"no time":               append([]byte("#TS:0000000000\r\n"), plain...),
		"time without end":      append([]byte("#TS:12345678901\n"), plain...),
		"another time":          change(sampleFrames()[3], 5, "8"),
		"upper-case digits":     change(plain, offStart, "000000000000000A"),
		"no separator":          change(plain, 36, "_"),
		"no end of line":        change(plain, 48, "\r"),
		"empty plain frame":     frameBytes(Header{Start: 5, End: 5}, 8, nil),
		"range over the end":    change(plain, offStart, "ffffffffffffffff"),
		"before above start":    change(piece, offBefore, "00000003e9"),
		"own outside the whole": change(piece, offWhole, "0000000060"),
		"one shard":             frameBytes(pieceHeader(9, 0, 0, 9, 3), 8, nil),
		"no whole":              frameBytes(pieceHeader(9, 0, 0, 0, 3, 4), 8, nil),
		"bad digit":             change(piece, offShards, "*"),
		"shard 256":             change(sampleFrames()[2], pieceMost-3, "Q"),
		"long bitmap":           change(sampleFrames()[2], pieceMost-2, "AA"),
	} {
		for _, tail := range []string{"", strings.Repeat("#", 200)} {
			if _, n, err := DecodeFrame(append(data[:len(data):len(data)], tail...)); n != 0 || !isCorrupt(err) {
				t.Errorf("%s: %d bytes, %v", name, n, err)
			}
		}
	}
}

func TestForEachRecord(t *testing.T) {
	records := encode("MULTI") + encode("SELECT", "1") + encode("SET", "MULTI", "EXEC") + encode("SELECT", "0") +
		encode("EXEC")
	frame := frameBytes(Header{Start: 1, End: 1 + uint64(len(records))}, 1, []byte(records))
	var got []string
	collect := func(args [][]byte) error {
		got = append(got, string(bytes.Join(args, []byte(" "))))
		return nil
	}
	if err := ForEachRecord(frame, collect); err != nil {
		t.Fatal(err)
	}
	if want := []string{"SELECT 1", "SET MULTI EXEC", "SELECT 0"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	if err := ForEachRecord(frame[:len(frame)-1], collect); err != ErrIncomplete {
		t.Fatal(err)
	}
	if err := ForEachRecord(append(frame, ' '), collect); !isCorrupt(err) {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := ForEachRecord(frame, func([][]byte) error { return stop }); err != stop {
		t.Fatal(err)
	}
	torn := frameBytes(Header{Start: 1, End: 5}, 1, []byte("*1\r\n"))
	if err := ForEachRecord(torn, collect); err != ErrIncomplete {
		t.Fatal(err)
	}
}

func TestMalformedRecords(t *testing.T) {
	for _, s := range []string{
		"PING\r\n", "*0\r\n", "*-1\r\n", "*01\r\n$1\r\na\r\n", "*1\r\n:1\r\n", "*1\r\n$-1\r\n", "*1\r\n$1\r\nabc",
		"*1\n$1\r\na\r\n", "*\r\n", "*9999999999999\r\n", "*1\r\n$1x\r\n",
	} {
		if _, n, err := DecodeRecord([]byte(s), nil); n != 0 || !isCorrupt(err) {
			t.Errorf("%q: %d bytes, %v", s, n, err)
		}
	}
	whole := encode("SET", "k", strings.Repeat("v", 300))
	for n := range whole {
		if _, used, err := DecodeRecord([]byte(whole[:n]), nil); used != 0 || err != nil {
			t.Errorf("%q: %d bytes, %v", whole[:n], used, err)
		}
	}
}

func TestPutRecord(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 99, 100, 255, 256, 999, 1000, 123456} {
		args := []string{"SET", strings.Repeat("k", n), ""}
		for len(args) < n && len(args) < 300 {
			args = append(args, "x")
		}
		dst := make([]byte, recordBound(bytesOf(args)))
		if got := string(dst[:putRecord(dst, bytesOf(args))]); got != encode(args...) {
			t.Fatalf("%d: %.40q", n, got)
		}
	}
}

func TestJoinSums(t *testing.T) {
	data := make([]byte, 300000)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	for _, cut := range []int{0, 1, 7, 4096, 299999, 300000} {
		a, b := data[:cut], data[cut:]
		if got, want := joinSums(AddSum(0, a), AddSum(0, b), uint64(len(b))), AddSum(0, data); got != want {
			t.Errorf("cut at %d: %08x, want %08x", cut, got, want)
		}
	}
	// Lengths that cannot be tried with bytes: 2^35 zeros are 2^34 and 2^34 zeros.
	s := joinSums(joinSums(1, 0, 1<<34), 0, 1<<34)
	if got := joinSums(1, 0, 1<<35); got != s {
		t.Errorf("%08x, want %08x", got, s)
	}
}

func FuzzDecodeFrame(f *testing.F) {
	for _, frame := range sampleFrames() {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, n, err := DecodeHeader(data)
		if err != nil && (n != 0 || !isCorrupt(err)) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if n == 0 {
			return
		}
		// One header has one line.
		lead := h.Lead()
		again := frameBytes(h, (n-lead-pieceFixed)*6, nil)
		copy(again[lead+offSum:], data[lead+offSum:lead+LineSummed])
		if !bytes.Equal(again, data[:n]) {
			t.Fatalf("%q is encoded as %q", data[:n], again)
		}
		if h.TxStart > h.Start || h.Start > h.End || h.End > h.TxEnd {
			t.Fatalf("%+v", h)
		}
		// With the right sum, it is a frame as far as its bytes go.
		if uint64(len(data)-n) >= h.Len() {
			end := n + int(h.Len())
			putHex8(data[lead+offSum:], AddSum(AddSum(0, data[:lead]), data[lead+LineSummed:end]))
			frame, used, err := DecodeFrame(data)
			if err != nil || used != end || len(frame.Records) != end-n {
				t.Fatalf("%d bytes, %v", used, err)
			}
			_ = ForEachRecord(data[:end], func([][]byte) error { return nil })
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(encode("SET", "key", "value")))
	f.Add([]byte(encode("")))
	f.Fuzz(func(t *testing.T, data []byte) {
		args, n, err := DecodeRecord(data, nil)
		if n == 0 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, recordBound(args))
		if got := dst[:putRecord(dst, args)]; !bytes.Equal(got, data[:n]) {
			t.Fatalf("%q is encoded as %q", data[:n], got)
		}
	})
}
