package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// fileCase is a kind of snapshot files.
type fileCase struct {
	name          string
	segments, lz4 bool
}

var fileCases = []fileCase{
	{"segments", true, false}, {"segments lz4", true, true}, {"plain", false, false}, {"plain lz4", false, true},
}

func (c fileCase) options(fsys vfs.FS) FileOptions {
	return FileOptions{FS: fsys, Dir: "/d", DBFilename: "dump.rdb", Segments: c.segments, LZ4: c.lz4, PID: 7}
}

// content makes up what a shard holds: tag, and n bytes of which half repeat.
func content(tag string, n int) []byte {
	random := rand.New(rand.NewPCG(uint64(n), uint64(tag[0])))
	data := []byte("REDIS0010" + tag)
	for len(data) < n {
		data = binary.LittleEndian.AppendUint64(data, random.Uint64())
		data = append(data, "xxxxxxxx"...)
	}
	return data
}

// contents makes up what the shards of a snapshot hold; one if the snapshot is plain.
func (c fileCase) contents(tag string, bytesEach int) [][]byte {
	if !c.segments {
		return [][]byte{content(tag, bytesEach)}
	}
	return [][]byte{content(tag+"0", bytesEach), content(tag+"1", bytesEach/2), content(tag+"2", 0)}
}

// write saves a snapshot; after an error it was aborted. change may be nil.
func writeFiles(o FileOptions, shards [][]byte, change func(*Files)) error {
	f, err := BeginFiles(o, FileMeta{LSN: 99, CreatedMs: 1722500000000, Shards: len(shards), Databases: 16})
	if err != nil {
		return err
	}
	if change != nil {
		change(f)
	}
	keys := make([]int64, len(shards))
	for i, data := range shards {
		keys[i] = int64(i + 1)
		var w io.Writer
		if w, err = f.Open(i); err != nil {
			break
		}
		for piece := range slices.Chunk(data, 50_000) {
			if _, err = w.Write(piece); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = f.Commit(keys)
	}
	if err != nil {
		f.Abort()
	}
	return err
}

// readFiles reads the snapshot that is found, every part to the end; nil if there is none.
func readFiles(fsys vfs.FS, dir string) ([][]byte, error) {
	src, err := Find(fsys, dir, "dump.rdb")
	if err != nil {
		return nil, err
	}
	var shards [][]byte
	for _, part := range src.Parts {
		data, err := readPart(fsys, part)
		if err != nil {
			return nil, err
		}
		shards = append(shards, data)
	}
	return shards, nil
}

func readPart(fsys vfs.FS, part Part) ([]byte, error) {
	r, err := part.Open(fsys, nil)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Finish(), r.Close())
}

func equalShards(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newDisk returns a disk with the directory /d, and what it holds lasts.
func newDisk(t testing.TB) *vfstest.Mem {
	t.Helper()
	m := vfstest.NewMem()
	must(t, m.MkdirAll("/d", 0o755))
	must(t, m.SyncDir("/"))
	return m
}

func dirNames(t testing.TB, fsys vfs.FS) string {
	t.Helper()
	names, err := fsys.ReadDir("/d")
	must(t, err)
	return strings.Join(names, " ")
}

// TestFilesRoundTrip saves one kind of snapshot after the other, and each is found as it was written, and alone.
func TestFilesRoundTrip(t *testing.T) {
	for _, before := range fileCases {
		for _, c := range fileCases {
			m := newDisk(t)
			must(t, writeFiles(before.options(m), before.contents("old", 100_000), nil))
			want := c.contents("new", 300_000)
			must(t, writeFiles(c.options(m), want, nil))
			got, err := readFiles(m, "/d")
			must(t, err)
			if !equalShards(got, want) {
				t.Errorf("%s after %s: read other bytes than written", c.name, before.name)
			}
			generation := "1"
			if before.segments {
				generation = "2"
			}
			files := "dump.rdb"
			if c.segments {
				files = strings.ReplaceAll("dump.rdb.G.0 dump.rdb.G.1 dump.rdb.G.2 dump.rdb.manifest", "G", generation)
			}
			if left := dirNames(t, m); left != files {
				t.Errorf("%s after %s: files %s, want %s", c.name, before.name, left, files)
			}
		}
	}
}

// TestFilesMeta looks at what the manifest says.
func TestFilesMeta(t *testing.T) {
	c := fileCases[1]
	m := newDisk(t)
	must(t, writeFiles(c.options(m), c.contents("a", 300_000), nil))
	src, err := Find(m, "/d", "dump.rdb")
	must(t, err)
	man := src.Manifest
	if man.LSN != 99 || man.CreatedMs != 1722500000000 || man.Databases != 16 || man.Generation != 1 || !man.LZ4 ||
		man.Keys() != 1+2+3 {
		t.Errorf("manifest %+v", man)
	}
	for i, part := range src.Parts {
		info, err := m.Stat(part.Name)
		must(t, err)
		if info.Size() != part.SizeBytes || part.Keys != int64(i+1) {
			t.Errorf("part %+v, file of %d bytes", part, info.Size())
		}
		count := atomic.Int64{}
		r, err := part.Open(m, &count)
		must(t, err)
		must(t, r.Finish())
		if count.Load() != part.SizeBytes || r.Offset() != part.SizeBytes || !r.file.part.lz4 {
			t.Errorf("read %d, offset %d of %d bytes", count.Load(), r.Offset(), part.SizeBytes)
		}
	}
	if src.Parts[0].SizeBytes > 250_000 {
		t.Errorf("%d bytes of LZ4", src.Parts[0].SizeBytes)
	}
}

// TestFilesOnDisk saves to a real directory; the lz4 program reads the segments.
func TestFilesOnDisk(t *testing.T) {
	for _, c := range fileCases {
		o := c.options(vfs.OS{})
		o.Dir, o.SyncEveryBytes = t.TempDir(), 1<<20
		want := c.contents("a", 9<<20)
		must(t, writeFiles(o, want, nil))
		got, err := readFiles(vfs.OS{}, o.Dir)
		must(t, err)
		if !equalShards(got, want) {
			t.Errorf("%s: read other bytes than written", c.name)
		}
		if !c.lz4 {
			continue
		}
		src, err := Find(vfs.OS{}, o.Dir, "dump.rdb")
		must(t, err)
		program, err := exec.LookPath("lz4")
		if err != nil {
			t.Log("no lz4 program here: not compared with it")
			continue
		}
		out, err := exec.Command(program, "-dc", src.Parts[0].Name).Output()
		must(t, err)
		if !bytes.Equal(out, want[0]) {
			t.Error("the lz4 program reads other bytes")
		}
	}
}

// TestFilesAbort gives up at every point and looks that nothing is left.
func TestFilesAbort(t *testing.T) {
	for _, c := range fileCases {
		m := newDisk(t)
		old := c.contents("old", 1000)
		must(t, writeFiles(c.options(m), old, nil))
		before := dirNames(t, m)
		f, err := BeginFiles(c.options(m), FileMeta{Shards: 3})
		must(t, err)
		w, err := f.Open(0)
		must(t, err)
		_, err = w.Write(content("new", 200_000))
		must(t, err)
		if c.segments {
			if err := f.Commit([]int64{1, 2, 3}); err == nil {
				t.Errorf("%s: committed without all segments", c.name)
			}
		}
		f.Abort()
		f.Abort()
		if _, err := w.Write([]byte("x")); err == nil {
			t.Errorf("%s: a write after Abort succeeds", c.name)
		}
		if left := dirNames(t, m); left != before {
			t.Errorf("%s: files %s, before %s", c.name, left, before)
		}
		if got, err := readFiles(m, "/d"); err != nil || !equalShards(got, old) {
			t.Errorf("%s: the snapshot before is not found: %v", c.name, err)
		}
	}
}

// logTo returns a logger that writes lines without time to a buffer.
func logTo(buffer *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(buffer, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func put(t testing.TB, fsys vfs.FS, name, text string) {
	t.Helper()
	must(t, vfs.WriteFileAtomic(fsys, filepath.Join("/d", name), []byte(text), 0o644))
}

// TestCleanUp plants what crashes leave, and what is not ours, and looks at what goes, what stays and what is logged.
func TestCleanUp(t *testing.T) {
	m := newDisk(t)
	c := fileCases[0]
	for range 3 {
		must(t, writeFiles(c.options(m), c.contents("a", 1000), nil))
	}
	ours := "dump.rdb.3.0 dump.rdb.3.1 dump.rdb.3.2 dump.rdb.manifest"
	foreign := []string{"dump.rdb", "dump.rdb.20240101.1200", "dump.rdb.1", "dump.rdb.2.x", "dump.rdb.02.1",
		"other.rdb.2.1", "temp-x.rdb", "appendonly.aof"}
	for _, name := range append([]string{"dump.rdb.1.0", "dump.rdb.2.5", "dump.rdb.4.0", "temp-77.rdb",
		"dump.rdb.manifest.tmp"}, foreign...) {
		put(t, m, name, "x")
	}
	src, err := Find(m, "/d", "dump.rdb")
	must(t, err)
	var log bytes.Buffer
	CleanUp(m, src, logTo(&log))
	want := append(strings.Fields(ours), foreign...)
	slices.Sort(want)
	if left := dirNames(t, m); left != strings.Join(want, " ") {
		t.Errorf("left: %s\nwant: %s", left, want)
	}
	wantLog := "level=INFO msg=\"removed segments that no manifest names\" files=3 first=/d/dump.rdb.1.0\n" +
		"level=INFO msg=\"removed temporary files of a save that was not finished\" files=2 " +
		"first=/d/dump.rdb.manifest.tmp\n"
	if log.String() != wantLog {
		t.Errorf("log:\n%s", log.String())
	}
	wantWarnings := []string{
		"both /d/dump.rdb.manifest (of 2024-08-01T08:13:20Z) and /d/dump.rdb are there: the former is loaded and the " +
			"next save removes the latter; to load /d/dump.rdb instead, move the manifest away and start again",
		"files named like segments that no manifest names, and that are not loaded: 1, the first is " +
			"/d/dump.rdb.20240101.1200",
	}
	if !slices.Equal(src.Warnings, wantWarnings) {
		t.Errorf("warnings: %q", src.Warnings)
	}
}

// TestLostManifest: without the manifest the segments are all there is. A start refuses to do without them, and removes
// none, unless a first save that was broken off can have left them.
func TestLostManifest(t *testing.T) {
	m := newDisk(t)
	c := fileCases[0]
	must(t, writeFiles(c.options(m), c.contents("a", 1000), nil))
	must(t, m.Remove("/d/dump.rdb.manifest"))
	src, err := Find(m, "/d", "dump.rdb")
	must(t, err)
	if len(src.Parts) != 0 || len(src.Warnings) != 1 {
		t.Errorf("found %+v", src)
	}
	before := dirNames(t, m)
	CleanUp(m, src, slog.New(slog.DiscardHandler))
	if left := dirNames(t, m); left != before {
		t.Errorf("left: %s, before: %s", left, before)
	}
	for range 5 {
		must(t, writeFiles(c.options(m), c.contents("a", 1000), nil))
	}
	must(t, m.Remove("/d/dump.rdb.manifest"))
	_, err = Find(m, "/d", "dump.rdb")
	var damage *rdb.CorruptError
	if !errors.As(err, &damage) || damage.File != "/d/dump.rdb.manifest" || !errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(damage.Reason, "dump.rdb.5.0") {
		t.Errorf("a lost manifest: %v", err)
	}
	must(t, writeFiles(c.options(m), c.contents("b", 1000), nil))
	if left := dirNames(t, m); !strings.Contains(left, "dump.rdb.1.0") || !strings.Contains(left, "dump.rdb.5.0") {
		t.Errorf("after a save: %s", left)
	}
}

// TestLostManifestBesidePlainFile: the plain file is loaded, whatever segments there are, and so are names that only
// look like segments.
func TestLostManifestBesidePlainFile(t *testing.T) {
	m := newDisk(t)
	put(t, m, "dump.rdb.20240101.1200", "x")
	if src, err := Find(m, "/d", "dump.rdb"); err != nil || len(src.Parts) != 0 || len(src.Warnings) != 1 {
		t.Errorf("a name like a segment's: %+v, %v", src, err)
	}
	put(t, m, "dump.rdb.7.0", "x")
	put(t, m, "dump.rdb", "x")
	if src, err := Find(m, "/d", "dump.rdb"); err != nil || len(src.Parts) != 1 {
		t.Errorf("a plain file: %+v, %v", src, err)
	}
}

// TestNoFiles has what is not a file in a snapshot's places: links to nowhere, directories and pipes, which nobody
// writes to. None is taken for a snapshot that is not there, and none is waited for.
func TestNoFiles(t *testing.T) {
	for what, put := range map[string]func(name string) error{
		"link":      func(name string) error { return os.Symlink("nowhere", name) },
		"directory": func(name string) error { return os.Mkdir(name, 0o755) },
		"pipe":      func(name string) error { return syscall.Mkfifo(name, 0o644) },
	} {
		for _, file := range []string{"dump.rdb", "dump.rdb.manifest"} {
			dir := t.TempDir()
			must(t, put(filepath.Join(dir, file)))
			done := make(chan error, 1)
			go func() {
				_, err := readFiles(vfs.OS{}, dir)
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), file) {
					t.Errorf("%s as a %s: %v", file, what, err)
				}
			case <-time.After(3 * time.Minute):
				t.Fatalf("%s as a %s is waited for", file, what)
			}
		}
	}
}

// TestDamagedManifest: a start refuses it, and a save while the server runs replaces it.
func TestDamagedManifest(t *testing.T) {
	m := newDisk(t)
	c := fileCases[0]
	for range 5 {
		must(t, writeFiles(c.options(m), c.contents("a", 1000), nil))
	}
	put(t, m, "dump.rdb.manifest", "damaged\n")
	if _, err := Find(m, "/d", "dump.rdb"); err == nil {
		t.Fatal("found a snapshot by a damaged manifest")
	}
	want := c.contents("b", 1000)
	must(t, writeFiles(c.options(m), want, nil))
	if left := dirNames(t, m); left != "dump.rdb.6.0 dump.rdb.6.1 dump.rdb.6.2 dump.rdb.manifest" {
		t.Errorf("after a save: %s", left)
	}
	if got, err := readFiles(m, "/d"); err != nil || !equalShards(got, want) {
		t.Errorf("after a save: %v", err)
	}
}

// TestFindNothing looks into an empty directory and into none.
func TestFindNothing(t *testing.T) {
	src, err := Find(newDisk(t), "/d", "dump.rdb")
	if err != nil || len(src.Parts) != 0 || len(src.Warnings) != 0 {
		t.Errorf("an empty directory: %+v, %v", src, err)
	}
	if _, err := Find(vfstest.NewMem(), "/d", "dump.rdb"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}
