package snapshot

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// damages calls f with every truncation of data and every flip of one of its bits, and with some bytes behind its end.
func damages(data []byte, f func(what string, at int, damaged []byte)) {
	for n := range data {
		f("cut", n, data[:n])
	}
	for i := range len(data) * 8 {
		flipped := slices.Clone(data)
		flipped[i/8] ^= 1 << (i % 8)
		f("bit flipped", i, flipped)
	}
	for _, tail := range []string{"\x00", "\n", "x", string(data)} {
		f("longer", len(data), append(slices.Clip(data), tail...))
	}
}

// TestDamagedSegment damages a segment in every way, and none is read as if it were whole.
func TestDamagedSegment(t *testing.T) {
	for _, c := range fileCases {
		if !c.segments && !c.lz4 {
			continue // the bytes of a plain RDB file are checked by who reads it as one
		}
		m := newDisk(t)
		must(t, writeFiles(c.options(m), c.contents("a", 700), nil))
		src, err := Find(m, "/d", "dump.rdb")
		must(t, err)
		part := src.Parts[0]
		data, err := m.ReadFile(part.Name)
		must(t, err)
		whole, err := readPart(m, part)
		must(t, err)
		tries := 0
		damages(data, func(what string, at int, damaged []byte) {
			tries++
			if !c.segments && !bytes.HasPrefix(damaged, []byte(lz4Magic)) {
				return // it is taken for an RDB file, which it isn't
			}
			overwrite(t, m, part.Name, damaged)
			got, err := readPart(m, part)
			if !c.segments && err == nil && (bytes.Equal(got, whole) || what == "longer") {
				return // a frame may be written in several ways, and another one may follow
			}
			var corrupt *rdb.CorruptError
			if !errors.As(err, &corrupt) || corrupt.File != part.Name {
				t.Errorf("%s, %s at %d: %v", c.name, what, at, err)
			}
		})
		if tries < 4000 {
			t.Errorf("%s: %d damages tried", c.name, tries)
		}
		overwrite(t, m, part.Name, data)
		if _, err := readPart(m, part); err != nil {
			t.Errorf("%s: undamaged again: %v", c.name, err)
		}
	}
}

func overwrite(t *testing.T, fsys vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fsys.Create(name, 0o644)
	must(t, err)
	_, err = f.Write(data)
	must(t, err)
	must(t, f.Close())
}

// TestSegmentOfAnotherSnapshot puts a valid segment of the same length, and with a right sum of Redis's at its end, in
// place of another one.
func TestSegmentOfAnotherSnapshot(t *testing.T) {
	m := newDisk(t)
	c := fileCases[0]
	a, b := c.contents("a", 700), c.contents("b", 700)
	for _, shards := range [][][]byte{a, b} {
		shards[0] = appendRedisSum(shards[0])
	}
	must(t, writeFiles(c.options(m), a, nil))
	src, err := Find(m, "/d", "dump.rdb")
	must(t, err)
	overwrite(t, m, src.Parts[0].Name, b[0])
	if _, err := readPart(m, src.Parts[0]); !errors.Is(err, rdb.ErrChecksum) {
		t.Errorf("error %v", err)
	}
}

// TestDamagedSegmentIsNotFound: what can be seen without reading is an error of Find.
func TestDamagedSegmentIsNotFound(t *testing.T) {
	c := fileCases[0]
	for what, change := range map[string]func(*vfstest.Mem) error{
		"missing": func(m *vfstest.Mem) error { return m.Remove("/d/dump.rdb.1.1") },
		"shorter": func(m *vfstest.Mem) error { return vfs.WriteFileAtomic(m, "/d/dump.rdb.1.1", []byte("x"), 0) },
		"swapped": func(m *vfstest.Mem) error { return m.Rename("/d/dump.rdb.1.0", "/d/dump.rdb.1.1") },
	} {
		m := newDisk(t)
		must(t, writeFiles(c.options(m), c.contents("a", 700), nil))
		must(t, change(m))
		_, err := Find(m, "/d", "dump.rdb")
		var corrupt *rdb.CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", what, err)
		}
		t.Log(err)
		if what == "missing" && !errors.Is(err, fs.ErrNotExist) ||
			what == "shorter" && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: wraps something else: %v", what, err)
		}
	}
}

// TestUnreadableSegment: an error of the disk is told as such, not as damage.
func TestUnreadableSegment(t *testing.T) {
	for _, c := range fileCases {
		m := newDisk(t)
		must(t, writeFiles(c.options(m), c.contents("a", 200_000), nil))
		reads := func(s vfstest.Step) bool { return s.Op == "read" }
		tap := vfstest.NewTap(m, vfstest.FailAt(2, reads, fs.ErrPermission))
		_, err := readFiles(tap, "/d")
		var corrupt *rdb.CorruptError
		if !errors.Is(err, fs.ErrPermission) || errors.As(err, &corrupt) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
