package lzf

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestVectors is the format by hand: inputs that are exactly one outcome.
func TestVectors(t *testing.T) {
	for _, test := range []struct{ packed, want string }{
		{"\x00a", "a"},
		{"\x02abc", "abc"},
		{"\x00a\x20\x00", "aaaa"},                             // l = 1: 3 bytes from distance 1
		{"\x02abc\xC0\x02", "abcabcabcab"},                    // l = 6: 8 bytes from distance 3
		{"\x00a\xE0\x00\x00", "a" + strings.Repeat("a", 9)},   // the shortest long one
		{"\x00a\xE0\xFF\x00", "a" + strings.Repeat("a", 264)}, // the longest
		{"\x01ab\xE0\x05\x01\x00c", "ab" + "abababababab" + "abc"},
	} {
		got, err := AppendDecompress([]byte("x"), []byte(test.packed), uint64(len(test.want)))
		if err != nil || string(got) != "x"+test.want {
			t.Errorf("%q gives %q, %v", test.packed, got, err)
		}
		for _, size := range []int{0, len(test.want) - 1, len(test.want) + 1} {
			if got, err := AppendDecompress([]byte("x"), []byte(test.packed), uint64(size)); err == nil ||
				string(got) != "x" {
				t.Errorf("%q as %d bytes gives %q, %v", test.packed, size, got, err)
			}
		}
	}
}

func TestCorrupt(t *testing.T) {
	for _, test := range []struct {
		name, packed string
		size         uint64
	}{
		{"a literal without its bytes", "\x02ab", 3},
		{"a copy without its offset", "\x00a\x20", 4},
		{"a long copy without its length", "\x00a\xE0", 10},
		{"a long copy without its offset", "\x00a\xE0\x00", 10},
		{"a copy from before the start", "\x00a\x20\x01", 4},
		{"a copy at the start", "\x20\x00", 3},
		{"a size beyond all expansion", "\x00a", 1 << 60},
		{"nothing, said to be something", "", 1},
	} {
		if _, err := AppendDecompress(nil, []byte(test.packed), test.size); err != ErrCorrupt {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestNoMemoryForForgedSizes: what is taken stays in proportion to what is there.
func TestNoMemoryForForgedSizes(t *testing.T) {
	src := bytes.Repeat([]byte{0}, 100)
	var got []byte
	if n := testing.AllocsPerRun(10, func() { got, _ = AppendDecompress(nil, src, 1<<40) }); n != 0 || got != nil {
		t.Errorf("%v allocations, %d bytes", n, len(got))
	}
}

func inputs() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 20_000)
	text := make([]byte, 100_000)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	for i := range text {
		text[i] = "abcdefgh     "[r.IntN(13)]
	}
	const needle = "a needle that comes again"
	apart := func(n int) []byte { return []byte(needle + string(random[:n-len(needle)]) + needle) }
	return map[string][]byte{
		"one byte": []byte("x"), "three": []byte("xxx"), "four": []byte("xxxx"), "random": random, "text": text,
		"zeros": make([]byte, 100_000), "pattern": bytes.Repeat([]byte("0123456789"), 1000),
		"farthest": apart(maxOffset),
		"too far":  apart(maxOffset + 1),
	}
}

func TestRoundTrip(t *testing.T) {
	var c Compressor
	for name, src := range inputs() {
		packed, ok := c.AppendCompress([]byte("x"), src, 2*len(src)+1)
		if !ok {
			t.Fatalf("%s: no room", name)
		}
		got, err := AppendDecompress(nil, packed[1:], uint64(len(src)))
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%s: comes back wrong: %v", name, err)
		}
		var fresh Compressor
		if again, _ := fresh.AppendCompress([]byte("x"), src, 2*len(src)+1); !bytes.Equal(again, packed) {
			t.Errorf("%s: the output depends on what was compressed before", name)
		}
		n := len(packed) - 1
		if _, ok := c.AppendCompress(nil, src, n); !ok {
			t.Errorf("%s: %d bytes are not enough for %d", name, n, n)
		}
		if out, ok := c.AppendCompress([]byte("x"), src, n-1); ok || string(out) != "x" {
			t.Errorf("%s: a limit of %d is passed", name, n-1)
		}
	}
}

// TestRatio says what compression is to be had.
func TestRatio(t *testing.T) {
	var c Compressor
	for name, most := range map[string]int{"zeros": 1200, "pattern": 140, "text": 65_000} {
		src := inputs()[name]
		if packed, _ := c.AppendCompress(nil, src, len(src)); len(packed) > most {
			t.Errorf("%s: %d bytes become %d", name, len(src), len(packed))
		}
	}
	if _, ok := c.AppendCompress(nil, inputs()["random"], 20_000); ok {
		t.Error("random bytes are compressed")
	}
}

// TestBaseWraps: when positions run out, all begins anew.
func TestBaseWraps(t *testing.T) {
	src := bytes.Repeat([]byte("abcdefgh"), 100)
	var fresh Compressor
	want, _ := fresh.AppendCompress(nil, src, len(src))
	c := Compressor{base: 1<<32 - 1 - maxInput - 1}
	for range 3 {
		got, ok := c.AppendCompress(nil, src, len(src))
		if !ok || !bytes.Equal(got, want) {
			t.Fatalf("base %d: differs", c.base)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	var c Compressor
	src := inputs()["text"]
	packed, _ := c.AppendCompress(nil, src, len(src))
	packed, out := make([]byte, 0, len(src)), append([]byte(nil), packed...)
	if n := testing.AllocsPerRun(10, func() { packed, _ = c.AppendCompress(packed[:0], src, len(src)) }); n != 0 {
		t.Errorf("compress: %v allocations", n)
	}
	back := make([]byte, 0, len(src))
	if n := testing.AllocsPerRun(10, func() { back, _ = AppendDecompress(back[:0], out, uint64(len(src))) }); n != 0 {
		t.Errorf("decompress: %v allocations", n)
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, src := range inputs() {
		f.Add(src)
	}
	var c Compressor
	f.Fuzz(func(t *testing.T, src []byte) {
		packed, ok := c.AppendCompress(nil, src, Bound(len(src)))
		if !ok {
			if len(src) > 0 {
				t.Fatal("longer than literals")
			}
			return
		}
		if got, err := AppendDecompress(nil, packed, uint64(len(src))); err != nil || !bytes.Equal(got, src) {
			t.Fatalf("comes back wrong: %v", err)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	f.Add([]byte("\x02abc\xC0\x02"), uint64(11))
	f.Add([]byte("\x00a\xE0\xFF\x00"), uint64(265))
	f.Fuzz(func(t *testing.T, src []byte, size uint64) {
		got, err := AppendDecompress(nil, src, size)
		if err == nil && uint64(len(got)) != size {
			t.Fatalf("%d bytes, not %d", len(got), size)
		}
		if cap(got) > len(src)*MaxRatio*2+64 {
			t.Fatalf("%d bytes taken for %d", cap(got), len(src))
		}
	})
}

// record is what such strings often are: a small JSON document, 300 bytes.
func record() []byte {
	return []byte(`{"id":1234567,"name":"Ada Lovelace","email":"ada@example.org","tags":["admin","editor","reader"],` +
		`"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z","address":{"street":"1 Main Street",` +
		`"city":"London","country":"GB"},"balance":{"amount":100000,"currency":"GBP"},"active":true,"verified":true}`)
}

func benchInputs() map[string][]byte {
	all := inputs()
	return map[string][]byte{"text": all["text"], "record": record(), "random": all["random"], "zeros": all["zeros"]}
}

func BenchmarkCompress(b *testing.B) {
	for name, src := range benchInputs() {
		b.Run(name, func(b *testing.B) {
			var c Compressor
			out := make([]byte, 0, len(src))
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				out, _ = c.AppendCompress(out[:0], src, len(src)-4)
			}
		})
	}
}

func BenchmarkDecompress(b *testing.B) {
	for name, src := range benchInputs() {
		b.Run(name, func(b *testing.B) {
			var c Compressor
			packed, _ := c.AppendCompress(nil, src, 2*len(src))
			out := make([]byte, 0, len(src))
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				out, _ = AppendDecompress(out[:0], packed, uint64(len(src)))
			}
		})
	}
}
