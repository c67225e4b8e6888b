package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// entries gives n bytes of entries whose values are random bytes, each of a length.
func entries(n, valueBytes int) []byte {
	random := rand.NewChaCha8([32]byte{1})
	value := make([]byte, valueBytes)
	var b []byte
	for len(b) < n {
		_, _ = random.Read(value) // never fails
		b = fmt.Appendf(b, "\x00\x10key:%012d\x40\x40%s", random.Uint64()%3_000_000, value)
	}
	return b[:n]
}

// frameOf writes data in pieces and returns the frame, and how long its blocks are: negative if as they were.
func frameOf(t testing.TB, data []byte, piece int) (frame []byte, blocks []int) {
	t.Helper()
	var out bytes.Buffer
	w := newLZ4Writer(&out)
	for at := 0; at < len(data); at += piece {
		part := data[at:min(at+piece, len(data))]
		n, err := w.Write(part)
		must(t, err)
		if n != len(part) {
			t.Fatalf("%d bytes written of %d", n, len(part))
		}
	}
	must(t, w.Close())
	frame = out.Bytes()
	for at := len(lz4Header); ; {
		size := binary.LittleEndian.Uint32(frame[at:])
		at += 4
		n := int(size &^ lz4Raw)
		at += n
		switch {
		case size == 0:
			if at != len(frame)-4 {
				t.Errorf("%d bytes follow the end", len(frame)-at)
			}
			return frame, blocks
		case size&lz4Raw != 0:
			n = -n
		}
		blocks = append(blocks, n)
	}
}

// TestXXH32 has sums that others have computed.
func TestXXH32(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0x02CC5D05, "a": 0x550D7456, "abc": 0x32D153FF, "Nobody inspects the spammish repetition": 0xE2293B2F,
	} {
		sum := newXXH32()
		if got := sum.sum([]byte(text)); got != want {
			t.Errorf("%q: %08x, want %08x", text, got, want)
		}
	}
	long, other := newXXH32(), newXXH32() // 4 GiB are not nothing
	long.n, other.n, other.lanes[0] = 1<<32, 1<<32, 1
	if long.sum(nil) == other.sum(nil) {
		t.Error("of 4 GiB the content doesn't count")
	}
}

// TestLZ4Frames: whatever is written in whatever pieces, another program reads the same.
func TestLZ4Frames(t *testing.T) {
	text := []byte(strings.Repeat("all work and no play ", 20_000))
	noise := entries(300_000, 1<<20)
	for name, data := range map[string][]byte{
		"nothing": nil, "a byte": {1}, "text": text, "noise": noise, "a block": text[:lz4Block],
		"a block and a byte": text[:lz4Block+1], "less than a block of noise": noise[:1000],
		"both": bytes.Join([][]byte{text, noise, text, noise[:5], text}, nil), "64": entries(1<<20, 64),
	} {
		for _, piece := range []int{1000, lz4Block, lz4Block + 17, 1 << 30} {
			frame, _ := frameOf(t, data, piece)
			got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(frame)))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s in pieces of %d: %d bytes of %d come back: %v", name, piece, len(got), len(data), err)
			}
		}
	}
}

// TestLZ4LeavesWhatHardlyShrinks: it is looked at less and less, but what shrinks is soon found again.
func TestLZ4LeavesWhatHardlyShrinks(t *testing.T) {
	const n = 64
	noise := entries(n*lz4Block, 64)
	text := []byte(strings.Repeat("all work and no play ", n*lz4Block/21+1))[:n*lz4Block]
	var out bytes.Buffer
	w := newLZ4Writer(&out)
	tries := 0
	for i := range n {
		if w.skip == 0 {
			tries++
		}
		_, err := w.Write(noise[i*lz4Block:][:lz4Block])
		must(t, err)
	}
	if out.Len() != len(lz4Header)+n*(4+lz4Block) || tries > 8 {
		t.Errorf("%d blocks of noise become %d bytes; %d are looked at", n, out.Len(), tries)
	}
	_, blocks := frameOf(t, append(bytes.Clone(noise), text...), lz4Block)
	raw := 0
	for _, size := range blocks[n:] {
		if size < 0 {
			raw++
		}
	}
	if len(blocks) != 2*n || raw > lz4MostSkipped {
		t.Errorf("%d of %d blocks of text stay as they are", raw, len(blocks)-n)
	}
	if _, blocks = frameOf(t, text, lz4Block); blocks[0] < 0 || blocks[n-1] < 0 {
		t.Errorf("text alone: %d", blocks)
	}
	// Those that shrink by just less and by just more than an eighth.
	for shrinks, want := range map[float64]bool{0.11: false, 0.14: true} {
		block := append(entries(lz4Block-int(shrinks*lz4Block), 1<<20), make([]byte, int(shrinks*lz4Block))...)
		if _, blocks := frameOf(t, block, lz4Block); (blocks[0] > 0) != want {
			t.Errorf("a block that shrinks by %v is written as %d bytes", shrinks, blocks[0])
		}
	}
}

// failing fails from the n-th byte on.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

// TestLZ4Errors: an error of what is written to comes back, wherever in the frame.
func TestLZ4Errors(t *testing.T) {
	data := entries(2*lz4Block+100, 64)
	frame, _ := frameOf(t, data, lz4Block)
	for _, left := range []int{0, 8, 12, 20, lz4Block + 12, len(frame) - 1} {
		w := newLZ4Writer(&failing{left})
		_, err := w.Write(data)
		if err == nil {
			err = w.Close()
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("after %d bytes: %v", left, err)
		}
	}
}

// BenchmarkLZ4 is what compressing and the sum of the file take, in MB of what is saved per second of processor time.
func BenchmarkLZ4(b *testing.B) {
	for name, data := range map[string][]byte{
		"values of 64": entries(lz4Block, 64), "values of 1024": entries(lz4Block, 1024),
		"noise": entries(lz4Block, 1<<20),
		"text":  []byte(strings.Repeat("all work and no play ", lz4Block/21+1))[:lz4Block],
	} {
		b.Run(name, func(b *testing.B) {
			w := newNullFile(b, fileCases[1])
			var before, after syscall.Rusage
			must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
			for b.Loop() {
				_, err := w.Write(data)
				must(b, err)
			}
			must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
			mb := float64(b.N) * lz4Block / 1e6
			b.ReportMetric(mb/(float64(after.Utime.Nano()-before.Utime.Nano())/1e9), "MB/cpu-s")
			b.ReportMetric(float64(w.sizeBytes)/1e6/mb, "ratio")
		})
	}
}
