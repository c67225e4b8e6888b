package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
)

// input is what a subcommand reads.
type input struct {
	name     string             // for messages
	manifest *snapshot.Manifest // of one snapshot in segments that alone is read; else nil
	loose    bool               // segments without a manifest: nobody knows how many there should be
	files    []*file
}

// file is one of the files of an input.
type file struct {
	part   snapshot.Part
	path   string
	size   int64 // in bytes
	keys   int64 // that the manifest says it has; −1 if there is none
	faults int   // found so far
	read   int64 // keys read so far, by repair
}

// bytes returns the bytes of all files.
func (in *input) bytes() (sum int64) {
	for _, f := range in.files {
		sum += f.size
	}
	return sum
}

// input finds the files that were named on the command line.
func (r *run) input(names ...string) (*input, error) {
	if len(names) == 0 {
		return nil, usageError("which FILE?")
	}
	in := &input{name: strings.Join(names, ", ")}
	for _, name := range names {
		if err := r.addInput(in, name); err != nil {
			return nil, err
		}
	}
	if len(names) > 1 {
		in.manifest = nil
	}
	return in, r.stat(in)
}

// stat finds out how big the files are. One that a manifest names may be missing.
func (r *run) stat(in *input) error {
	for _, f := range in.files {
		info, err := r.Files.Stat(f.path)
		switch {
		case err == nil:
			f.size = info.Size()
		case !errors.Is(err, fs.ErrNotExist) || f.keys < 0:
			return err
		}
	}
	r.progress.total = in.bytes()
	return nil
}

const manifestSuffix = ".manifest"

// addInput adds what one name stands for: a directory with a snapshot, a manifest, or a file of a snapshot.
func (r *run) addInput(in *input, name string) error {
	info, err := r.Files.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if name, err = r.snapshotIn(name); err != nil {
			return err
		}
	}
	if base, ok := strings.CutSuffix(name, manifestSuffix); ok {
		return r.addManifest(in, filepath.Dir(base), filepath.Base(base))
	}
	in.add(snapshot.PlainPart(name))
	return nil
}

// snapshotIn finds the snapshot in a directory: its manifest or, if there is none, the plain file.
func (r *run) snapshotIn(dir string) (name string, err error) {
	base := r.text("dbfilename", "dump.rdb")
	for _, name = range []string{snapshot.ManifestName(dir, base), filepath.Join(dir, base)} {
		if _, err = r.Files.Stat(name); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s: neither %s nor a manifest of it is there (--dbfilename?): %w", dir, base, err)
}

// addManifest adds the segments that a manifest names, whether they are there or not.
func (r *run) addManifest(in *input, dir, base string) error {
	m, err := snapshot.ReadManifest(r.Files, snapshot.ManifestName(dir, base))
	if err != nil {
		return err
	}
	in.manifest = m
	for _, p := range m.Parts(dir, base) {
		in.add(p)
	}
	return nil
}

func (in *input) add(p snapshot.Part) {
	in.files = append(in.files, &file{part: p, path: p.Name, keys: p.Keys})
}

// reading is a file that is being read.
type reading struct {
	*snapshot.PartReader
	progress *progress
	told     int64
}

func (f *file) open(r *run) (*reading, error) {
	in, err := f.part.Open(r.Files, nil)
	if errors.Is(err, fs.ErrNotExist) && f.keys >= 0 {
		return nil, &rdb.CorruptError{File: f.path, Reason: "the file is missing", Err: err}
	}
	if err != nil {
		return nil, err
	}
	return &reading{PartReader: in, progress: &r.progress}, nil
}

// Read implements io.Reader.
func (in *reading) Read(p []byte) (int, error) {
	n, err := in.PartReader.Read(p)
	at := in.Offset()
	in.progress.read(int(at - in.told))
	in.told = at
	return n, err
}

// salvageInput is input for repair: where a manifest is damaged, or missing, the segments of the last generation that
// there is are read without it.
func (r *run) salvageInput() (*input, error) {
	in, err := r.input(r.args...)
	var damage *rdb.CorruptError
	if err == nil || len(r.args) != 1 || !errors.As(err, &damage) && !errors.Is(err, fs.ErrNotExist) {
		return in, err
	}
	dir, base := r.args[0], r.text("dbfilename", "dump.rdb")
	if file, ok := strings.CutSuffix(r.args[0], manifestSuffix); ok {
		dir, base = filepath.Dir(file), filepath.Base(file)
	}
	parts, findErr := snapshot.LooseParts(r.Files, dir, base)
	if findErr != nil || len(parts) == 0 {
		return nil, err
	}
	fmt.Fprintf(r.Stdout, "%v\n%d segments are read without a manifest, from %s to %s; whether there were more, or "+
		"they are whole, nothing tells\n", err, len(parts), parts[0].Name, parts[len(parts)-1].Name)
	in = &input{name: r.args[0], loose: true}
	for _, p := range parts {
		in.add(p)
	}
	return in, r.stat(in)
}

// repairedName is what a repaired snapshot is called if nothing is said.
func (r *run) repairedName() string {
	name := strings.TrimSuffix(filepath.Clean(r.args[0]), manifestSuffix)
	if info, err := r.Files.Stat(r.args[0]); err == nil && info.IsDir() {
		name = filepath.Join(name, r.text("dbfilename", "dump.rdb"))
	}
	return name + ".repaired"
}
