package rdb

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// document is the file that a description of the format takes apart, written by Redis 5.0.14.
const document = "REDIS0009\xfa\x09redis-ver\x065.0.14\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc2\xde\x67\x5f\x62" +
	"\xfa\x08used-mem\xc2\x40\x15\x0f\x00\xfa\x0caof-preamble\xc0\x00" +
	"\xfe\x00\xfb\x01\x00\x00\x05hello\x03aai\xfe\x01\xfb\x01\x00\x00\x05hello\x05atome" +
	"\xfe\x02\xfb\x01\x00\x00\x05hello\x05ginee\xff\x67\x09\xf2\x9d\xeb\xea\xec\xbc"

func TestDocument(t *testing.T) {
	want := `aux "redis-ver" "5.0.14"
aux "redis-bits" "64"
aux "ctime" "1650419678"
aux "used-mem" "988480"
aux "aof-preamble" "0"
select 0
resize 1 0
db0 "hello" type 0 string "aai"
select 1
resize 1 0
db1 "hello" type 0 string "atome"
select 2
resize 1 0
db2 "hello" type 0 string "ginee"`
	lines, err := play(t, strings.NewReader(document), ReadOptions{})
	if got := strings.Join(lines, "\n"); got != want || err != nil {
		t.Errorf("%v, %s", err, got)
	}
}

// TestParts has every opcode, and what may stand before a key.
func TestParts(t *testing.T) {
	module := "\x81" + string([]byte{0x86, 0x56, 0x57, 0x12, 0x7D, 0xE0, 0xE8, 0x01}) // any
	data := "\x01\x05\x02\x42\x00\x03....\x04........\x05\x03abc\x05\xC0\x07\x00"
	want := `aux "k" "-3"
slot 5 70000 3
function "#!lua" "" ""
function "code" "lib" "LUA"
function "code2" "lib" "LUA"
module hlZXEn3g6
select 7
db7 "e" type 0 expire 1700000000123 string "v"
db7 "s" type 0 expire 1000000000000 string "v"
db7 "i" type 0 expire 5 idle 300 string "v"
db7 "f" type 0 freq 255 string "v"
db7 "0" type 0 expire 1 string "v"
db7 "-5" type 0 expire 1 string "v"
db7 "-1" type 0 string "v"
db7 "-1s" type 0 string "v"
db7 "m" type 7 module hlZXEn3g6 ` + ErrUnsupported.Error() + `
db7 "last" type 0 string "v"`
	in := file(12,
		"\xFA\x01k\xC0\xFD", "\xF4\x05\x80\x00\x01\x11\x70\x03", "\xF5\x05#!lua",
		"\xF6\x03lib\x03LUA\x01\x04desc\x04code", "\xF6\x03lib\x03LUA\x00\x05code2",
		"\xF7"+module+"\x02\x01"+data, "\xFE\x07",
		"\xFC\x7B\x68\xE5\xCF\x8B\x01\x00\x00\x00\x01e\x01v", "\xFD\x00\xCA\x9A\x3B\x00\x01s\x01v",
		"\xFC\x05\x00\x00\x00\x00\x00\x00\x00\xF8\x41\x2C\x00\x01i\x01v", "\xF9\xFF\x00\x01f\x01v",
		"\xFC\x00\x00\x00\x00\x00\x00\x00\x00\x00\x010\x01v", "\xFC\xFB\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00\x02-5\x01v",
		"\xFC\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00\x02-1\x01v", "\xFD\xFF\xFF\xFF\xFF\x00\x03-1s\x01v",
		"\x07\x01m"+module+data, "\x00\x04last\x01v",
	)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(in), "byte by byte": iotest.OneByteReader(bytes.NewReader(in)),
		"its end with the data": iotest.DataErrReader(bytes.NewReader(in)),
	} {
		lines, err := play(t, r, ReadOptions{})
		if got := strings.Join(lines, "\n"); got != want || err != nil {
			t.Errorf("%s: %v, %s", name, err, got)
		}
	}
}

func TestVersions(t *testing.T) {
	for version := 1; version <= MaxVersion; version++ {
		lines, err := play(t, bytes.NewReader(file(version, "\x00\x01k\x01v")), ReadOptions{})
		if err != nil || len(lines) != 1 {
			t.Errorf("%d: %q, %v", version, lines, err)
		}
	}
	for _, version := range []int{0, 13, 9999} {
		_, err := play(t, bytes.NewReader(file(version)), ReadOptions{})
		if !errors.Is(err, ErrVersion) {
			t.Errorf("%d: %v", version, err)
		}
	}
	for _, head := range []string{"redis0010", "REDIS001", "REDIS00x0", "VALKEY080", ""} {
		var corrupt *CorruptError
		if _, err := play(t, strings.NewReader(head), ReadOptions{}); !errors.As(err, &corrupt) {
			t.Errorf("%q: %v", head, err)
		}
	}
}

func TestChecksum(t *testing.T) {
	good := file(10, "\x00\x01k\x01v")
	wrong, none := bytes.Clone(good), bytes.Clone(good)
	wrong[len(wrong)-1] ^= 1
	clear(none[len(none)-8:])
	for _, test := range []struct {
		name string
		in   []byte
		o    ReadOptions
		want error
	}{
		{"right", good, ReadOptions{}, nil},
		{"wrong", wrong, ReadOptions{}, ErrChecksum},
		{"wrong, not looked at", wrong, ReadOptions{SkipChecksum: true}, nil},
		{"none", none, ReadOptions{}, nil},
		{"cut", good[:len(good)-1], ReadOptions{}, io.ErrUnexpectedEOF},
		{"cut, not looked at", good[:len(good)-1], ReadOptions{SkipChecksum: true}, io.ErrUnexpectedEOF},
	} {
		lines, err := play(t, bytes.NewReader(test.in), test.o)
		if !errors.Is(err, test.want) || len(lines) != 1 {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	r := NewReader(bytes.NewReader(good), "")
	for {
		if _, err := r.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if r.Checksum() == 0 || r.Version() != 10 || r.Offset() != int64(len(good)) {
		t.Errorf("checksum %x, version %d, offset %d", r.Checksum(), r.Version(), r.Offset())
	}
}

// TestAfterTheEnd: data there are an error, unless they were announced; then they are left for who reads on.
func TestAfterTheEnd(t *testing.T) {
	for _, version := range []int{3, 10} {
		in := append(file(version, "\x00\x01k\x01v"), "*1\r\n"...)
		var corrupt *CorruptError
		_, err := play(t, bytes.NewReader(in), ReadOptions{File: "x.rdb"})
		if !errors.As(err, &corrupt) || corrupt.Offset != int64(len(in)-4) || corrupt.File != "x.rdb" {
			t.Errorf("version %d: %v", version, err)
		}
		rest := bytes.NewReader(in)
		r := NewReaderOptions(rest, ReadOptions{Embedded: true})
		for err = nil; err == nil; {
			_, err = r.Next()
		}
		left, _ := io.ReadAll(rest)
		if err != io.EOF || string(r.Buffered())+string(left) != "*1\r\n" {
			t.Errorf("version %d: %v, %q, %q", version, err, r.Buffered(), left)
		}
	}
}

// TestReadErrors: an input that fails is no corrupt file, not even if it says of itself that it ends too early.
func TestReadErrors(t *testing.T) {
	in := file(10, "\x00\x01k\x01v")
	for n := range len(in) + 1 {
		for _, fault := range []error{io.ErrUnexpectedEOF, errors.New("input/output error")} {
			failing := io.MultiReader(bytes.NewReader(in[:n]), iotest.ErrReader(fault))
			_, err := play(t, failing, ReadOptions{File: "x.rdb"})
			var corrupt *CorruptError
			if !errors.Is(err, fault) || errors.As(err, &corrupt) || !strings.Contains(err.Error(), "x.rdb") {
				t.Fatalf("after %d bytes of %d: %v", n, len(in), err)
			}
		}
	}
	if _, err := play(t, idle{}, ReadOptions{}); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestCorruptParts(t *testing.T) {
	for _, test := range []struct{ name, part, reason string }{
		{"a type that is none", "\x08\x01k\x01v", "8 is no type"},
		{"a type of a later version", "\x1A\x01k\x01v", "26 is no type"},
		{"an old module's value", "\x06\x01k\x01v", "release candidates"},
		{"an opcode that is none", "\xF3\x01k", "243 is no type"},
		{"an expiry without a key", "\xFC........\xFE\x00", "opcode 254 where a key is due"},
		{"a string for a database", "\xFE\xC0\x01", "a length is due"},
		{"a database beyond all", "\xFE\x80\x80\x00\x00\x00", "no number of a database"},
		{"a length that is none", "\xFE\x82\x00\x00\x00\x00", "0x82 begins no length"},
		{"a form of a string that is none", "\x00\x01k\xC4\x01", "4 is no form"},
		{"the same in a key", "\x00\xC4\x01v", "4 is no form"},
		{"LZF that is none", "\x00\x01k\xC3\x02\x03\x20\x00", "cannot be unpacked"},
		{"LZF that says too much", "\x00\x01k\xC3\x02\x80\x7F\xFF\xFF\xFF\x00a", "cannot be unpacked"},
		{"a node of a list that is none", "\x12\x01k\x01\x03\x00", "3 is no kind of a list's node"},
		{"a module's data without a moment", "\xF7\x01\x01\x00\x00", "when they are to be loaded"},
		{"a module's datum that is none", "\xF7\x01\x02\x00\x06", "6 is no code"},
	} {
		_, err := play(t, bytes.NewReader(file(10, test.part)), ReadOptions{})
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(corrupt.Reason, test.reason) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestLengths: every way of writing one.
func TestLengths(t *testing.T) {
	for _, test := range []struct {
		in   string
		want uint64
	}{
		{"\x00", 0}, {"\x3F", 63}, {"\x40\x40", 64}, {"\x7F\xFF", 1<<14 - 1}, {"\x80\x00\x00\x40\x00", 1 << 14},
		{"\x80\xFF\xFF\xFF\xFF", 1<<32 - 1}, {"\x81\x00\x00\x00\x01\x00\x00\x00\x00", 1 << 32},
		{"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 1<<64 - 1}, {"\x81\x00\x00\x00\x00\x00\x00\x00\x01", 1},
	} {
		s := source{buf: []byte(test.in), end: len(test.in)}
		if n, err := s.length(); n != test.want || err != nil || s.at != s.end {
			t.Errorf("%x: %d, %v", test.in, n, err)
		}
	}
}

// TestSkipping: a value that is skipped or taken raw leaves the reader where decoding it does.
func TestSkipping(t *testing.T) {
	in := file(10, "\x00\x01a\x01v", "\x01\x01b\x02\x01x\xC1\x01\x02", "\x00\x01c\xC3\x06\x0B\x02abc\xC0\x02",
		"\x00\x01d\x01v")
	for round := range 4 {
		r := NewReader(iotest.OneByteReader(bytes.NewReader(in)), "")
		var keys, raw string
		for {
			e, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			keys += string(e.Key)
			switch round {
			case 1:
				err = r.Skip()
			case 2:
				err = r.Value(Discard{})
			case 3:
				var b []byte
				b, err = r.Raw([]byte("<"))
				raw += string(b)
			}
			if err != nil {
				t.Fatal(err)
			}
			if round > 0 && (r.Skip() == nil || r.Value(Discard{}) == nil) {
				t.Error("a value is read twice")
			}
		}
		if keys != "abcd" {
			t.Errorf("round %d: %q", round, keys)
		}
		if want := "<\x01v<\x02\x01x\xC1\x01\x02<\xC3\x06\x0B\x02abc\xC0\x02<\x01v"; round == 3 && raw != want {
			t.Errorf("%q", raw)
		}
	}
}
