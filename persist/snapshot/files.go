package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"fulmen/persist/vfs"
)

// Saving to files. What must outlive a power cut is in the order of the steps:
//
//	segments                                          one plain file
//	1 write, sync and close every segment             write, sync and close temp-<pid>.rdb
//	2 sync the directory: their names last            rename it to dbfilename, sync the directory
//	3 write the manifest beside its place, sync it,   remove a manifest, which would go before it,
//	  rename it into place, sync the directory        and sync the directory
//	4 remove what the manifest before named,          remove the segments that it named
//	  and a plain file
//
// Until 3 is through the snapshot of before is whole and found; from then on the new one is. Step 4 is tidying: if it
// fails, or a power cut undoes it, that is logged and made up for by a later save or the next start (CleanUp).
//
// If the very last sync of 3 fails, nobody can tell which of two manifests is on the disk. Then the save has failed,
// but the files of both stay.

// SyncEveryBytes is the usual FileOptions.SyncEveryBytes: rdb-save-incremental-fsync yes.
const SyncEveryBytes = 32 << 20

// FileOptions say where and how a snapshot is written to files.
type FileOptions struct {
	FS         vfs.FS
	Dir        string
	DBFilename string // without a directory
	// Segments: a file for each shard, and a manifest; else one file.
	Segments bool
	// LZ4: each file is an LZ4 frame of an RDB file. Else the bytes are written as they come.
	LZ4 bool
	// commands: each file has commands in RESP instead (SegmentOptions.Commands).
	commands bool
	// SyncEveryBytes has what was written sent to the disk each time that it has come to so much, over all files; 0:
	// at the end only, when there may be gigabytes to wait for.
	SyncEveryBytes int64
	Limiter        *Limiter     // shared by all files, and by whom else it is given to; nil: no limit
	Log            *slog.Logger // nil: nothing is logged
	PID            int          // for the name of the temporary file; 0: the process's own
}

// FileMeta is what a snapshot's files say about the whole of it.
type FileMeta struct {
	LSN       uint64
	CreatedMs int64
	Shards    int // with segments: how many
	Databases int
}

// Files is a snapshot while it is written to files. Its methods are called by one goroutine after the other; the
// writers from Open by one goroutine each.
type Files struct {
	o         FileOptions
	meta      FileMeta
	log       *slog.Logger
	steps     []fileStep  // of Commit
	cancelled func() bool // tells that it is going to be aborted; nil: nothing tells

	last       uint64   // generation of the manifest that is there, 0: none
	generation uint64   // of this save, with segments
	names      []string // of the files, if they are not a snapshot of its own (SegmentSink)
	files      []*segmentFile
	keys       []int64 // of each file, told to Commit
	undecided  bool    // the manifest may or may not be on the disk
	over       bool    // committed or aborted
}

// fileStep is a step of Commit. Tests put them into a wrong order, or leave one out.
type fileStep struct {
	name string
	run  func(*Files) error
}

// segmentSteps and plainSteps are what Commit does.
func segmentSteps() []fileStep {
	return []fileStep{
		{"finish", (*Files).finishAll},
		{"sync names", (*Files).syncDir},
		{"manifest", (*Files).writeManifest},
		{"tidy", (*Files).removeReplaced},
	}
}

func plainSteps() []fileStep {
	return []fileStep{
		{"finish", (*Files).finishAll},
		{"rename", (*Files).renamePlain},
		{"sync names", (*Files).syncDir},
		{"remove manifest", (*Files).removeManifest},
		{"tidy", (*Files).removeReplaced},
	}
}

// BeginFiles begins a snapshot. The directory exists; nobody else writes snapshots to it. After an error there is
// nothing to abort.
func BeginFiles(o FileOptions, meta FileMeta) (*Files, error) {
	if o.PID == 0 {
		o.PID = os.Getpid()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Files{o: o, meta: meta, log: o.Log, steps: plainSteps()}
	names, err := o.FS.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	f.last = f.lastGeneration(names)
	n := 1
	if o.Segments {
		f.generation, f.steps, n = f.last+1, segmentSteps(), meta.Shards
		// A save that was broken off by a crash has used the same generation.
		removeAll(o.FS, o.Dir, segmentsOf(o.DBFilename, names, func(g uint64) bool { return g == f.generation }),
			f.log, "segments of a save that was not finished")
	}
	f.files = make([]*segmentFile, n)
	f.keys = make([]int64, n)
	return f, nil
}

// lastGeneration returns the generation of the manifest. One that is damaged counts like the highest of all segments;
// then nothing that it may name is overwritten, and it is this save that helps.
func (f *Files) lastGeneration(names []string) uint64 {
	m, err := ReadManifest(f.o.FS, f.manifestName())
	if err == nil {
		return m.Generation
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	f.log.Warn("the manifest of the last snapshot can't be read; it will be replaced", "error", err)
	highest := uint64(0)
	for _, name := range names {
		if g, _, ok := parseSegmentName(f.o.DBFilename, name); ok {
			highest = max(highest, g)
		}
	}
	return highest
}

func (f *Files) manifestName() string { return ManifestName(f.o.Dir, f.o.DBFilename) }
func (f *Files) plainName() string    { return filepath.Join(f.o.Dir, f.o.DBFilename) }

// fileName is the name under which file i is written.
func (f *Files) fileName(i int) string {
	switch {
	case f.names != nil:
		return f.names[i]
	case f.o.Segments:
		return SegmentName(f.o.Dir, f.o.DBFilename, f.generation, i)
	}
	return filepath.Join(f.o.Dir, fmt.Sprintf("temp-%d.rdb", f.o.PID))
}

// Open begins the file of shard i, or the plain file, i being 0. What is written to it goes through a buffer. It is not
// closed by the caller; an error of a Write is that of all that follow, and of Commit.
func (f *Files) Open(i int) (io.Writer, error) {
	file, err := f.o.FS.Create(f.fileName(i), 0o644)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	f.files[i] = newSegmentFile(file, f)
	return f.files[i], nil
}

// Commit makes the snapshot the one that the next start finds, whatever happens once it has returned nil. All files
// were opened and written in whole; keys are the numbers of keys in them. After an error the one of before is found as
// long as there is no word to the contrary in the error, and Abort has to be called.
func (f *Files) Commit(keys []int64) error {
	copy(f.keys, keys)
	for _, step := range f.steps {
		if err := step.run(f); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	f.over = true
	return nil
}

// finishAll writes out, syncs and closes the files.
func (f *Files) finishAll() error {
	for i, file := range f.files {
		if file == nil {
			return fmt.Errorf("%s was never opened", f.fileName(i))
		}
		if err := file.finish(); err != nil {
			return err
		}
	}
	return nil
}

func (f *Files) syncDir() error { return f.o.FS.SyncDir(f.o.Dir) }

func (f *Files) writeManifest() error {
	m := Manifest{
		Generation: f.generation, LSN: f.meta.LSN, CreatedMs: f.meta.CreatedMs, Databases: f.meta.Databases,
		LZ4: f.o.LZ4, Segments: make([]Segment, len(f.files)),
	}
	for i, file := range f.files {
		m.Segments[i] = Segment{SizeBytes: file.sizeBytes, CRC64: file.sum, Keys: f.keys[i]}
	}
	err := vfs.WriteFileAtomic(f.o.FS, f.manifestName(), m.AppendText(nil), 0o644)
	if err == nil {
		return nil
	}
	now, readErr := ReadManifest(f.o.FS, f.manifestName())
	if readErr == nil && now.Generation != f.generation || errors.Is(readErr, fs.ErrNotExist) {
		return err
	}
	f.undecided = true
	return fmt.Errorf("%w (either this snapshot or the one before will be found after a power cut; both are kept)", err)
}

func (f *Files) renamePlain() error { return f.o.FS.Rename(f.fileName(0), f.plainName()) }

// removeManifest removes a manifest, so that it is the plain file that is found. Only when that lasts its segments may
// go, else a power cut could bring back a manifest that names nothing.
func (f *Files) removeManifest() error {
	err := f.o.FS.Remove(f.manifestName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = f.syncDir()
	}
	if err != nil {
		return fmt.Errorf("%w (the snapshot before, in segments, may be found in place of the new one)", err)
	}
	f.log.Info("removed the manifest of a snapshot in segments, replaced by a plain file", "file", f.manifestName())
	return nil
}

// removeReplaced removes the files of the snapshot of before. It never fails: they do no harm.
func (f *Files) removeReplaced() error {
	names, err := f.o.FS.ReadDir(f.o.Dir)
	if err != nil {
		f.log.Warn("the files of the snapshot before can't be removed", "error", err)
		return nil
	}
	old := segmentsOf(f.o.DBFilename, names, func(g uint64) bool { return g <= f.last })
	removeAll(f.o.FS, f.o.Dir, old, f.log, "segments of the snapshot before")
	if !f.o.Segments {
		return nil
	}
	for _, name := range names {
		if name == f.o.DBFilename {
			removeAll(f.o.FS, f.o.Dir, []string{name}, f.log, "plain file of the snapshot before")
		}
	}
	return nil
}

// Abort gives the snapshot up: its files are closed and removed. After Commit has succeeded it does nothing.
func (f *Files) Abort() {
	if f.over {
		return
	}
	f.over = true
	removed := []string(nil)
	for i, file := range f.files {
		if file != nil {
			file.drop()
			removed = append(removed, filepath.Base(f.fileName(i)))
		}
	}
	if !f.undecided {
		removeAll(f.o.FS, f.o.Dir, removed, f.log, "files of a snapshot that was given up")
	}
}
