package rdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// transcript reads a file and writes down all that comes; with short, strings that can be are taken by ShortString.
// taken counts these.
func transcript(t *testing.T, in io.Reader, short bool, limit int) (text string, taken int) {
	var all strings.Builder
	r := NewReaderOptions(in, ReadOptions{SkipChecksum: true})
	for {
		var s ShortString
		if short && r.ShortString(&s, limit) {
			fmt.Fprintf(&all, "%d key %q in %d expires %d: string %s\n", r.Offset(), s.Key, s.DB, s.ExpireAtMs,
				quote(s.Value))
			taken++
			if len(s.Key)+len(s.Value) > limit {
				t.Errorf("%d bytes, limit %d", len(s.Key)+len(s.Value), limit)
			}
			continue
		}
		e, err := r.Next()
		if err == nil && e.Kind != EventKey {
			fmt.Fprintf(&all, "%d %+v\n", r.Offset(), e)
			continue
		}
		if err != nil {
			fmt.Fprintf(&all, "%d %v", r.Offset(), errors.Join(err))
			return all.String(), taken
		}
		key := bytes.Clone(e.Key)
		b := recorder{t: t}
		if e.Type == TypeString {
			err = r.Value(&b)
		} else {
			err = r.Skip()
		}
		if err != nil {
			fmt.Fprintf(&all, "%d %v", r.Offset(), errors.Join(err))
			return all.String(), taken
		}
		fmt.Fprintf(&all, "%d key %q in %d expires %d: %s\n", r.Offset(), key, e.DB, e.ExpireAtMs, b.text())
	}
}

// fileOfStrings is a file of strings of many lengths, with and without expiry, and what may stand between.
func fileOfStrings() []byte {
	var parts []string
	for n := range 400 {
		v := strings.Repeat("v", n*n%7000)
		key := strings.Repeat("k", n%100)
		switch n % 7 {
		case 0:
			parts = append(parts, "\xFC"+ms(uint64(n)*1000), "\x00"+str(key)+str(v))
		case 1:
			parts = append(parts, "\xFC"+ms(1<<64-1), "\x00"+str(key)+str(v))
		case 2:
			parts = append(parts, "\x00"+str(key)+"\xC0\x07")
		case 3:
			parts = append(parts, "\xFE"+string(rune(n%16)), "\x00"+str(key)+str(v))
		case 4:
			parts = append(parts, "\xF9\x03", "\x00"+str(key)+str(v))
		default:
			parts = append(parts, "\x00"+str(key)+str(v))
		}
	}
	return file(10, parts...)
}

// TestShortString: whatever is taken by ShortString is what Next and Value would have given, wherever the window ends.
func TestShortString(t *testing.T) {
	inputs := [][]byte{[]byte(document), fileOfStrings()}
	for _, path := range goldenFiles(t) {
		inputs = append(inputs, readFile(t, path+".rdb"))
	}
	for i, in := range inputs {
		for _, step := range []int{1 << 30, 1, 7, 1000} {
			for _, limit := range []int{1 << 20, 1 << 10, 0} {
				want, _ := transcript(t, bytes.NewReader(in), false, 0)
				got, taken := transcript(t, &stepReader{in: in, step: step}, true, limit)
				if got != want {
					t.Fatalf("file %d, step %d, limit %d:\n%s\nwant\n%s", i, step, limit, got, want)
				}
				if i == 1 && step > 1000 && limit == 1<<20 && taken < 250 {
					t.Errorf("only %d are taken, step %d", taken, step)
				}
			}
		}
	}
	whole := fileOfStrings()
	for n := range 3000 { // an end anywhere
		want, _ := transcript(t, bytes.NewReader(whole[:n]), false, 0)
		if got, _ := transcript(t, bytes.NewReader(whole[:n]), true, 1000); got != want {
			t.Fatalf("%d bytes:\n%s\nwant\n%s", n, got, want)
		}
	}
}

func FuzzShortString(f *testing.F) {
	for _, path := range goldenFiles(f) {
		f.Add(readFile(f, path+".rdb"), uint16(1000))
	}
	f.Add([]byte(document), uint16(3))
	f.Add(fileOfStrings()[:4000], uint16(70))
	f.Fuzz(func(t *testing.T, in []byte, step uint16) {
		want, _ := transcript(t, bytes.NewReader(in), false, 0)
		got, _ := transcript(t, &stepReader{in: in, step: int(step) + 1}, true, 1000)
		if got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}
