package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"fulmen/persist/aof"
	"fulmen/persist/snapshot"
	"fulmen/persist/vfs"
)

// aofInput is an append-only file that a subcommand is about: ours or one of Redis's.
type aofInput struct {
	dir, name string        // of our manifest
	manifest  *aof.Manifest // ours; nil: it is Redis's
	foreign   *aof.Foreign

	// Of ours.
	files    vfs.FS   // that has the INCR files
	memory   *overlay // files, if a ring has something to add; else nil
	ringLost bool     // the ring is damaged
}

// manifestName is the path of our manifest.
func (in *aofInput) manifestName() string { return aof.ManifestName(in.dir, in.name) }

// bases are those BASE files of an append-only file of ours that are RDB files; their size, sum and keys its manifest
// says.
func (r *run) bases(in *aofInput) (*input, error) {
	bases := &input{}
	var names []string
	for _, f := range in.manifest.Live(aof.Base) {
		if f.Format != aof.FormatRDB {
			continue
		}
		name := f.Path(in.dir, in.name)
		names = append(names, name)
		bases.add(snapshot.SegmentPart(name, snapshot.Segment{SizeBytes: f.SizeBytes, CRC64: f.CRC64, Keys: f.Keys}))
	}
	bases.name = strings.Join(names, ", ")
	return bases, r.stat(bases)
}

// aofInput tells whether the arguments name an append-only file: a manifest of one, the directory that has it, a data
// directory without a snapshot that has this directory in it, or a single file of Redis's, which begins as one or has
// the ending .aof. It returns nil if they name a snapshot.
func (r *run) aofInput(args []string) (*aofInput, error) {
	if len(args) != 1 {
		return nil, nil
	}
	name := args[0]
	info, err := r.Files.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if name, err = r.aofManifestIn(name); name == "" {
			return nil, err
		}
	}
	start, err := r.start(name)
	if err != nil {
		return nil, err
	}
	base, isManifest := strings.CutSuffix(name, manifestSuffix)
	switch {
	case isManifest && bytes.HasPrefix(start, []byte("fulmen-aof ")):
		in := &aofInput{dir: filepath.Dir(base), name: filepath.Base(base), files: r.Files}
		in.manifest, err = aof.ReadManifest(r.Files, in.dir, in.name)
		return in, err
	case isManifest && bytes.HasPrefix(start, []byte("fulmen-")):
		return nil, nil
	case isManifest || strings.HasPrefix(string(start), "*") || strings.HasSuffix(name, ".aof"):
		in := &aofInput{}
		in.foreign, err = aof.OpenForeign(r.Files, name)
		return in, err
	}
	return nil, nil
}

// aofManifestIn finds the manifest of an append-only file in a directory or, unless that has a snapshot, one below it.
// "" is none.
func (r *run) aofManifestIn(dir string) (string, error) {
	literal := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
	found, err := r.aofManifests(filepath.Join(literal, "*"+manifestSuffix))
	if err != nil || len(found) == 1 {
		return strings.Join(found, ""), err
	}
	if _, err := r.snapshotIn(dir); err == nil {
		return "", nil
	}
	loose, err := snapshot.LooseParts(r.Files, dir, r.text("dbfilename", "dump.rdb"))
	if err != nil || len(loose) > 0 {
		return "", err
	}
	below, err := r.aofManifests(filepath.Join(literal, "*", "*"+manifestSuffix))
	if found = append(found, below...); len(found) > 1 {
		err = fmt.Errorf("%s: which of these? %s", dir, strings.Join(found, ", "))
	}
	if err != nil {
		return "", err
	}
	return strings.Join(found, ""), nil
}

// aofManifests are those of the files of a pattern that are manifests of append-only files, ours or Redis's, whatever
// appendfilename is.
func (r *run) aofManifests(pattern string) (found []string, err error) {
	names, err := r.Files.Glob(pattern)
	for _, name := range names {
		start, startErr := r.start(name)
		err = errors.Join(err, startErr)
		if strings.HasSuffix(name, ".aof"+manifestSuffix) || bytes.HasPrefix(start, []byte("fulmen-aof ")) ||
			bytes.HasPrefix(start, []byte("file ")) {
			found = append(found, name)
		}
	}
	return found, err
}

// start returns the first bytes of a file.
func (r *run) start(name string) (start []byte, err error) {
	file, err := r.Files.Open(name)
	if err != nil {
		return nil, err
	}
	start = make([]byte, 16)
	n, err := io.ReadFull(file, start)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return start[:n], errors.Join(err, file.Close())
}

// snapshotOrAOF runs one of two: what is to be done with an append-only file, or with a snapshot.
func (r *run) snapshotOrAOF(args []string, forAOF func(*aofInput) error, forSnapshot func() error) error {
	in, err := r.aofInput(args)
	switch {
	case errors.Is(err, fs.ErrNotExist): // said better elsewhere
		return forSnapshot()
	case err != nil:
		return r.damagedAOF(err)
	case in == nil:
		return forSnapshot()
	}
	return r.damagedAOF(forAOF(in))
}
