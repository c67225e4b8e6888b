package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"fulmen/internal/crc"
	"fulmen/persist/lines"
	"fulmen/persist/rdb"
	"fulmen/persist/vfs/vfstest"
)

// appendRedisSum ends an RDB file with its sum.
func appendRedisSum(data []byte) []byte {
	return binary.LittleEndian.AppendUint64(data, crc.Sum64(data))
}

func testManifest() *Manifest {
	return &Manifest{
		Generation: 12, LSN: 8812345, CreatedMs: 1722500000000, Databases: 16, LZ4: true,
		Segments: []Segment{{70123, 0x0123456789abcdef, 1000}, {69988, 0xfedcba9876543210, 998}},
	}
}

const testManifestText = `fulmen-snapshot 1
generation 12
lsn 8812345
created-ms 1722500000000
databases 16
compression lz4
shards 2
segment 0 size 70123 crc64 0123456789abcdef keys 1000
segment 1 size 69988 crc64 fedcba9876543210 keys 998
checksum 0000000000000000
`

func TestManifestText(t *testing.T) {
	text := testManifest().AppendText([]byte("before"))
	want := strings.TrimSuffix(testManifestText, "0000000000000000\n")
	if got := string(text[len("before"):]); !strings.HasPrefix(got, want) || len(got) != len(testManifestText) {
		t.Errorf("text\n%s", got)
	}
	m, err := ParseManifest("f", text[len("before"):])
	if err != nil || !reflect.DeepEqual(m, testManifest()) {
		t.Errorf("parsed %+v, %v", m, err)
	}
	if m.Keys() != 1998 {
		t.Errorf("%d keys", m.Keys())
	}
	// The check value of CRC-64/XZ.
	if got := lines.Sum(lines.Sum(0, []byte("1234")), []byte("56789")); got != 0x995dc9bbdf1939fa {
		t.Errorf("lines.Sum is not CRC-64/XZ: %x", got)
	}
}

// TestManifestDamages damages a manifest in every way.
func TestManifestDamages(t *testing.T) {
	damages(testManifest().AppendText(nil), func(what string, at int, damaged []byte) {
		_, err := ParseManifest("f", damaged)
		var corrupt *rdb.CorruptError
		if !errors.As(err, &corrupt) || corrupt.File != "f" || corrupt.Offset > int64(len(damaged)) {
			t.Errorf("%s at %d: %v", what, at, err)
		}
	})
}

// resum gives a manifest's text a right checksum after a change.
func resum(text, from, to string) []byte {
	head, _, _ := strings.Cut(strings.Replace(text, from, to, 1), "checksum ")
	sum := binary.BigEndian.AppendUint64(nil, lines.Sum(0, []byte(head)))
	return []byte(head + "checksum " + hexOf(sum) + "\n")
}

func hexOf(p []byte) string {
	const digits = "0123456789abcdef"
	var text []byte
	for _, b := range p {
		text = append(text, digits[b>>4], digits[b&15])
	}
	return string(text)
}

// TestManifestStrict changes a manifest and gives it a right checksum.
func TestManifestStrict(t *testing.T) {
	if _, err := ParseManifest("f", resum(testManifestText, "", "")); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][3]string{
		{"fulmen-snapshot 1", "fulmen-snapshot 2", "offset 0: format version 2, this program knows 1"},
		{"generation 12", "generation 0", "0 where a number above is needed"},
		{"generation 12", "generation 012", "offset 18: not a number that fits here"},
		{"generation 12", "generation +12", "not a number"},
		{"generation 12", "generation  12", "offset 18: not the line \"generation %\""},
		{"lsn 8812345", "lsn 9223372036854775808", "offset 32: not a number"},
		{"lsn 8812345\n", "", "offset 32: not the line"},
		{"lsn 8812345", "lsn 8812345\r", "not a number"},
		{"databases 16\n", "databases 16\nfeature 1\n", "not the line"},
		{"databases 16", "databases 2147483648", "not a number"},
		{"databases 16", "databases 0", "0 where"},
		{"compression lz4", "compression zstd", "unknown compression"},
		{"shards 2", "shards 1", "not the line \"checksum %\""},
		{"shards 2", "shards 3", "not the line \"segment"},
		{"shards 2", "shards 0", "0 where"},
		{"shards 2", "shards 16385", "not a number"},
		{"segment 1", "segment 0", "not the segment that comes next"},
		{"0123456789abcdef", "0123456789ABCDEF", "not a sum of 16 digits"},
		{"0123456789abcdef", "123456789abcdef", "not a sum of 16 digits"},
	} {
		_, err := ParseManifest("f", resum(testManifestText, change[0], change[1]))
		if err == nil || !strings.Contains(err.Error(), change[2]) {
			t.Errorf("%q in place of %q: %v", change[1], change[0], err)
		}
	}
	_, err := ParseManifest("f", resum(testManifestText, "fulmen-snapshot 1", "fulmen-snapshot 2"))
	if !errors.Is(err, rdb.ErrVersion) {
		t.Errorf("another version: %v", err)
	}
	if _, err := ParseManifest("f", nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("nothing: %v", err)
	}
}

func TestReadManifest(t *testing.T) {
	m := newDisk(t)
	if _, err := ReadManifest(m, "/d/m"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	put(t, m, "m", strings.Repeat("x", maxManifestBytes+1))
	reads := vfstest.NewTap(m, func(s vfstest.Step) error {
		if s.Op == "readfile" {
			t.Error("read although it is too long")
		}
		return nil
	})
	if _, err := ReadManifest(reads, "/d/m"); err == nil {
		t.Error("too long, and no error")
	}
	most := testManifest()
	most.Segments = make([]Segment, maxShards)
	for i := range most.Segments {
		most.Segments[i] = Segment{1<<63 - 1, 1<<64 - 1, 1<<63 - 1}
	}
	if n := len(most.AppendText(nil)); n > maxManifestBytes {
		t.Errorf("the longest manifest has %d bytes", n)
	}
}

func TestSegmentNames(t *testing.T) {
	name := SegmentName("", "dump.rdb", 12, 3)
	if g, s, ok := parseSegmentName("dump.rdb", name); g != 12 || s != 3 || !ok {
		t.Errorf("%s: %d %d %v", name, g, s, ok)
	}
	for _, name := range []string{"dump.rdb", "dump.rdb.1", "dump.rdb.1.", "dump.rdb..1", "dump.rdb.0.1",
		"dump.rdb.1.01", "dump.rdb.1.16384", "dump.rdb.1.2.3", "dump.rdb.1.-1", "dump.rdb.manifest",
		"xdump.rdb.1.1", "dump.rdb1.1", "dump.rdb.9223372036854775808.1"} {
		if _, _, ok := parseSegmentName("dump.rdb", name); ok {
			t.Errorf("%s is taken for a segment", name)
		}
	}
}

// FuzzManifest: what is taken is written again exactly as it was.
func FuzzManifest(f *testing.F) {
	f.Add(testManifest().AppendText(nil))
	f.Add([]byte(testManifestText))
	f.Add(resum(testManifestText, "shards 2", "shards 16384"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// A right checksum lets the fuzzer through to what is behind it.
		for _, text := range [][]byte{data, resum(string(data), "", "")} {
			m, err := ParseManifest("f", text)
			if err != nil {
				continue
			}
			if again := m.AppendText(nil); !bytes.Equal(again, text) {
				t.Errorf("taken\n%q\nwritten again\n%q", text, again)
			}
		}
	})
}
