package rdb

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// packed is a ziplist or a listpack of these elements; those that look like integers are put there as such.
func packed(kind containerKind, elements ...string) string {
	if kind == ziplist {
		return makeZiplist(elements...)
	}
	return makeListpack(elements...)
}

func makeListpack(elements ...string) string {
	b := make([]byte, listpackHeaderLen)
	for _, e := range elements {
		from := len(b)
		b = appendListpackElement(b, e)
		b = append(b, backwards(len(b)-from)...)
	}
	return string(endListpack(b, len(elements)))
}

func endListpack(b []byte, n int) []byte {
	b = append(b, containerEnd)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint16(b[4:], uint16(min(n, unknownCount)))
	return b
}

// backwards is how a length stands behind a listpack's element: the greatest of two bytes or more takes one more.
func backwards(n int) []byte {
	greatest := n == 1<<14-1 || n == 1<<21-1
	b := []byte{byte(n & 0x7F)}
	for n >>= 7; n > 0; n >>= 7 {
		b[0] |= 0x80
		b = slices.Insert(b, 0, byte(n&0x7F))
	}
	if greatest {
		b[0] |= 0x80
		b = slices.Insert(b, 0, 0)
	}
	return b
}

func appendListpackElement(b []byte, e string) []byte {
	n, err := strconv.ParseInt(e, 10, 64)
	switch {
	case err == nil && strconv.FormatInt(n, 10) == e:
		return appendListpackInt(b, n)
	case len(e) < 64:
		b = append(b, 0x80|byte(len(e)))
	case len(e) < 4096:
		b = append(b, 0xE0|byte(len(e)>>8), byte(len(e)))
	default:
		b = binary.LittleEndian.AppendUint32(append(b, 0xF0), uint32(len(e)))
	}
	return append(b, e...)
}

func appendListpackInt(b []byte, n int64) []byte {
	switch {
	case n >= 0 && n < 128:
		return append(b, byte(n))
	case n >= -4096 && n < 4096:
		return append(b, 0xC0|byte(n>>8)&0x1F, byte(n))
	}
	code, size := fitting(n)
	return append(append(b, []byte{0xF1, 0xF2, 0xF3, 0xF4}[code]), little(n, size)...)
}

// fitting is the smallest of 2, 3, 4 and 8 bytes that hold n, and its index.
func fitting(n int64) (i, size int) {
	for i, size = range []int{2, 3, 4, 8} {
		if half := int64(1) << (8*size - 1); size == 8 || n >= -half && n < half {
			break
		}
	}
	return i, size
}

func little(n int64, size int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n))[:size] }

func makeZiplist(elements ...string) string {
	b := make([]byte, ziplistHeaderLen)
	last := len(b)
	for _, e := range elements {
		prev := len(b) - last
		last = len(b)
		if prev < 254 {
			b = append(b, byte(prev))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, 254), uint32(prev))
		}
		b = appendZiplistElement(b, e)
	}
	return string(endZiplist(b, last, len(elements)))
}

func endZiplist(b []byte, last, n int) []byte {
	b = append(b, containerEnd)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], uint32(last))
	binary.LittleEndian.PutUint16(b[8:], uint16(min(n, unknownCount)))
	return b
}

func appendZiplistElement(b []byte, e string) []byte {
	n, err := strconv.ParseInt(e, 10, 64)
	switch {
	case err == nil && strconv.FormatInt(n, 10) == e:
		switch code, size := fitting(n); {
		case n >= 0 && n <= 12:
			return append(b, 0xF1+byte(n))
		case n >= -128 && n < 128:
			return append(b, 0xFE, byte(n))
		default:
			return append(append(b, []byte{0xC0, 0xF0, 0xD0, 0xE0}[code]), little(n, size)...)
		}
	case len(e) < 64:
		b = append(b, byte(len(e)))
	case len(e) < 1<<14:
		b = append(b, 0x40|byte(len(e)>>8), byte(len(e)))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0x80), uint32(len(e)))
	}
	return append(b, e...)
}

// elementsOf walks a container.
func elementsOf(kind containerKind, data string) (elements []string, reason string) {
	s := source{buf: []byte(str(data)), end: len(str(data))}
	if err := s.open(kind); err != nil {
		return nil, err.Error()
	}
	for s.c.next(&s.e[0]) {
		elements = append(elements, string(s.e[0].text()))
	}
	if err := s.closed(); err != nil {
		return nil, err.Error()
	}
	return elements, ""
}

// edges has an element for each way of writing one, at both ends of what it is for.
func edges() []string {
	elements := []string{"", "x", "012", "+1", "1.5", "-0", "9223372036854775808"}
	for _, n := range []int64{0, 12, 13, 127, 128, 4095, 4096, 1<<15 - 1, 1 << 15, 1<<23 - 1, 1 << 23, 1<<31 - 1,
		1 << 31,
		math.MaxInt64} {
		elements = append(elements, strconv.FormatInt(n, 10), strconv.FormatInt(-n-1, 10), strconv.FormatInt(-n, 10))
	}
	for _, n := range []int{63, 64, 123, 124, 125, 126, 127, 128, 240, 247, 248, 249, 250, 251, 252, 253, 254, 255,
		256, 4095, 4096, 1<<14 - 7, 1<<14 - 6, 1<<14 - 5, 1<<14 - 1, 1 << 14, 1<<14 + 9, 1 << 16, 1<<21 - 7,
		1<<21 - 6, 1<<21 - 5, 1 << 21} {
		elements = append(elements, strings.Repeat("s", n), "n")
	}
	return elements
}

func TestContainers(t *testing.T) {
	for _, kind := range []containerKind{ziplist, listpack} {
		for _, want := range [][]string{nil, {"a"}, {"1"}, edges(), slices.Repeat([]string{"x", "5"}, 32767),
			slices.Repeat([]string{"y"}, 65535), slices.Repeat([]string{"z"}, 70_000)} {
			got, reason := elementsOf(kind, packed(kind, want...))
			if reason != "" || !slices.Equal(got, want) {
				t.Errorf("%s of %d: %d, %s", containerNames[kind], len(want), len(got), reason)
			}
		}
	}
}

// TestZiplistLiberties are ways of writing that no version chooses but all read.
func TestZiplistLiberties(t *testing.T) {
	b := append(make([]byte, ziplistHeaderLen), 0, 1, 'a')
	b = append(b, 254, 3, 0, 0, 0, 0x80|0x15, 0, 0, 0, 1, 'b') // a short length in long form; bits of no meaning
	got, reason := elementsOf(ziplist, string(endZiplist(b, ziplistHeaderLen+3, 2)))
	if reason != "" || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q, %s", got, reason)
	}
}

// TestBrokenContainers breaks one in every way and wants each noticed.
func TestBrokenContainers(t *testing.T) {
	for kind, elements := range map[containerKind][]string{ziplist: {"ab", "300", "c"}, listpack: {"ab", "300", "c"}} {
		good := packed(kind, elements...)
		name := containerNames[kind]
		for n := range len(good) {
			if _, reason := elementsOf(kind, good[:n]); reason == "" {
				t.Errorf("%s: cut to %d bytes it is accepted", name, n)
			}
		}
		if _, reason := elementsOf(kind, good+"\xFF"); reason == "" {
			t.Errorf("%s: with a byte more it is accepted", name)
		}
		for i := range good {
			for bit := range 8 {
				bad := []byte(good)
				bad[i] ^= 1 << bit
				got, reason := elementsOf(kind, string(bad))
				if reason == "" && slices.Equal(got, elements) {
					t.Errorf("%s: bit %d of byte %d means nothing", name, bit, i)
				}
			}
		}
	}
	for _, test := range []struct {
		name, reason string
		kind         containerKind
		elements     string
		n, last      int
	}{
		{"no elements where one is said to be", "another number", listpack, "", 1, 0},
		{"one where none is said to be", "another number", listpack, "\x81a\x02", 0, 0},
		{"an end before the end", "before its last byte", listpack, "\x81a\x02\xFF\x00\x01", 1, 0},
		{"a string beyond the end", "malformed", listpack, "\x8Fa\x02", 1, 0},
		{"a long string beyond the end", "malformed", listpack, "\xF0\xFF\xFF\xFF\xFFa\x02", 1, 0},
		{"a string without its length", "malformed", listpack, "\xF0\x01", 1, 0},
		{"half of a length", "malformed", listpack, "\xE1", 1, 0},
		{"a number beyond the end", "malformed", listpack, "\xF4\x01\x02", 1, 0},
		{"a number one byte short", "malformed", listpack, "\xF1\x01", 1, 0},
		{"a string one byte short", "malformed", listpack, "\x82a", 1, 0},
		{"a code that is none", "malformed", listpack, "\xF5a\x02", 1, 0},
		{"another length behind", "another length", listpack, "\x81a\x03", 1, 0},
		{"a length in more bytes than it takes", "another length", listpack, "\x81a\x00\x82", 1, 0},
		{"no length behind", "another length", listpack, "\x81a", 1, 0},
		{"a length in fewer bytes than Redis takes", "another length", listpack,
			"\xF0\xFA\x3F\x00\x00" + strings.Repeat("x", 0x3FFA) + "\x7F\xFF", 1, 0},

		{"no elements where one is said to be", "another number", ziplist, "", 1, 10},
		{"another length before", "another length", ziplist, "\x00\x01a\x04\x01b", 2, 13},
		{"a first with a length before", "another length", ziplist, "\x01\x01a", 1, 10},
		{"the last elsewhere", "another place", ziplist, "\x00\x01a\x03\x01b", 2, 10},
		{"an end before the end", "before its last byte", ziplist, "\x00\x01a\xFF\x00\x00", 1, 10},
		{"half of a long length before", "beyond the end", ziplist, "\xFE\x00\x00", 1, 10},
		{"a string beyond the end", "malformed", ziplist, "\x00\x0Fa", 1, 10},
		{"a long string beyond the end", "malformed", ziplist, "\x00\x80\xFF\xFF\xFF\xFFa", 1, 10},
		{"half of a length", "malformed", ziplist, "\x00\x41", 1, 10},
		{"no code", "malformed", ziplist, "\x00", 1, 10},
		{"a number beyond the end", "malformed", ziplist, "\x00\xE0\x01", 1, 10},
		{"a number one byte short", "malformed", ziplist, "\x00\xC0\x01", 1, 10},
		{"a string one byte short", "malformed", ziplist, "\x00\x02a", 1, 10},
		{"a code that is none", "malformed", ziplist, "\x00\xC1\x01\x02", 1, 10},
	} {
		b := make([]byte, listpackHeaderLen)
		var data string
		if test.kind == ziplist {
			b = make([]byte, ziplistHeaderLen)
			data = string(endZiplist(append(b, test.elements...), test.last, test.n))
		} else {
			data = string(endListpack(append(b, test.elements...), test.n))
		}
		if _, reason := elementsOf(test.kind, data); !strings.Contains(reason, test.reason) {
			t.Errorf("%s, %s: %q", containerNames[test.kind], test.name, reason)
		}
	}
}
