package snapshot

import (
	"bytes"
	"io/fs"
	"testing"

	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// nullFS takes what is written and forgets it.
type nullFS struct{ vfs.FS }

func (n nullFS) Create(name string, perm fs.FileMode) (vfs.File, error) {
	f, err := n.FS.Create(name, perm)
	return nullFile{f}, err
}

type nullFile struct{ vfs.File }

func (nullFile) Write(p []byte) (int, error) { return len(p), nil }

func newNullFile(t testing.TB, c fileCase) *segmentFile {
	t.Helper()
	m := vfstest.NewMem()
	must(t, m.MkdirAll("/d", 0o755))
	o := c.options(nullFS{m})
	o.SyncEveryBytes = SyncEveryBytes
	f, err := BeginFiles(o, FileMeta{Shards: 1})
	must(t, err)
	w, err := f.Open(0)
	must(t, err)
	return w.(*segmentFile)
}

// TestWritingAllocatesNothing: once a file is under way.
func TestWritingAllocatesNothing(t *testing.T) {
	for _, c := range fileCases {
		w := newNullFile(t, c)
		data := content("a", 64<<10)
		allocs := testing.AllocsPerRun(100, func() {
			_, err := w.Write(data)
			must(t, err)
		})
		if allocs > 0 {
			t.Errorf("%s: %v allocations for 64 KiB", c.name, allocs)
		}
	}
}

// BenchmarkFilesWrite is what a worker spends below the codec, without the disk.
func BenchmarkFilesWrite(b *testing.B) {
	data := content("a", 64<<10)
	for _, c := range fileCases[:2] {
		b.Run(c.name, func(b *testing.B) {
			w := newNullFile(b, c)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				_, err := w.Write(data)
				must(b, err)
			}
		})
	}
}

// BenchmarkFilesRead is what a loader spends below the codec, with the file in memory.
func BenchmarkFilesRead(b *testing.B) {
	for _, c := range fileCases[:2] {
		b.Run(c.name, func(b *testing.B) {
			m := newDisk(b)
			data := content("a", 4<<20)
			must(b, writeFiles(c.options(m), [][]byte{data}, nil))
			src, err := Find(m, "/d", "dump.rdb")
			must(b, err)
			b.SetBytes(int64(len(data)))
			buffer := bytes.NewBuffer(make([]byte, 0, len(data)+bytes.MinRead))
			for b.Loop() {
				buffer.Reset()
				r, err := src.Parts[0].Open(m, nil)
				must(b, err)
				_, err = buffer.ReadFrom(r)
				must(b, err)
				must(b, r.Finish())
				must(b, r.Close())
			}
		})
	}
}
