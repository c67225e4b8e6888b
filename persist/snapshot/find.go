package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fulmen/persist/lines"
	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
)

// Source is a snapshot that was found, or that there is none.
type Source struct {
	Dir, DBFilename string
	Manifest        *Manifest // nil: there is a plain file, or nothing
	Parts           []Part    // the files to read; none: there is no snapshot
	// Warnings are for the log: what somebody might expect to be loaded and is not, and what to do.
	Warnings []string
}

// Find looks for the snapshot in a directory and changes nothing. If it is in segments, they are all there and of the
// right length. Errors are those of the file system, or a *rdb.CorruptError, which may be one of a missing file, the
// manifest included: segments that no first save can have left tell that there was one.
func Find(fsys vfs.FS, dir, dbfilename string) (*Source, error) {
	src := &Source{Dir: dir, DBFilename: dbfilename}
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	plain := filepath.Join(dir, dbfilename)
	hasPlain := slices.Contains(names, dbfilename)
	m, err := ReadManifest(fsys, ManifestName(dir, dbfilename))
	switch {
	case err == nil:
		src.Manifest = m
		if hasPlain {
			src.warn("both %s (of %s) and %s are there: the former is loaded and the next save removes the latter; "+
				"to load %s instead, move the manifest away and start again", ManifestName(dir, dbfilename),
				time.UnixMilli(m.CreatedMs).UTC().Format(time.RFC3339), plain, plain)
		}
		if err := src.findSegments(fsys); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist) || slices.Contains(names, ManifestName("", dbfilename)):
		return nil, err // also of a symbolic link to nowhere
	case hasPlain:
		info, err := fsys.Stat(plain)
		if err != nil {
			return nil, err
		}
		src.Parts = []Part{{Name: plain, SizeBytes: info.Size(), Keys: -1}}
	default:
		if err := lostManifest(dir, dbfilename, names); err != nil {
			return nil, err
		}
	}
	if astray := segmentsOf(dbfilename, names, src.astray); len(astray) > 0 {
		src.warn("files named like segments that no manifest names, and that are not loaded: %d, the first is %s",
			len(astray), filepath.Join(dir, astray[0]))
	}
	return src, nil
}

// lostManifest is the error of segments without a manifest and without a plain file beside them. Those of generation 1
// can be what a crash during the very first save has left, when there was nothing to lose; later ones follow a
// manifest. To begin with nothing would be to have the next saves remove what is left of the data.
func lostManifest(dir, dbfilename string, names []string) error {
	firsts := segmentsOf(dbfilename, names, func(g uint64) bool {
		return g > 1 && slices.Contains(names, SegmentName("", dbfilename, g, 0))
	})
	if len(firsts) == 0 {
		return nil
	}
	return &rdb.CorruptError{
		File: ManifestName(dir, dbfilename), Err: fs.ErrNotExist,
		Reason: fmt.Sprintf("the manifest is missing, and segments of it are there, such as %s (to begin with "+
			"nothing, move them away)", firsts[0]),
	}
}

// Files returns the paths of all that the snapshot is made of, the manifest, if there is one, first.
func (src *Source) Files() (paths []string) {
	if src.Manifest != nil {
		paths = append(paths, ManifestName(src.Dir, src.DBFilename))
	}
	for i := range src.Parts {
		paths = append(paths, src.Parts[i].Name)
	}
	return paths
}

func (src *Source) warn(format string, args ...any) {
	src.Warnings = append(src.Warnings, fmt.Sprintf(format, args...))
}

// astray says of a generation that its segments are neither the snapshot's nor for CleanUp to remove.
func (src *Source) astray(generation uint64) bool {
	return src.Manifest == nil || generation > src.Manifest.Generation+1
}

// findSegments makes parts of a manifest's segments.
func (src *Source) findSegments(fsys vfs.FS) error {
	m := src.Manifest
	for i, part := range m.Parts(src.Dir, src.DBFilename) {
		info, err := fsys.Stat(part.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return &rdb.CorruptError{
				File: ManifestName(src.Dir, src.DBFilename), Offset: m.offset(i),
				Reason: part.Name + " is missing", Err: err,
			}
		}
		if err != nil {
			return err
		}
		if err := part.checkSize(info.Size()); err != nil {
			return err
		}
		src.Parts = append(src.Parts, part)
	}
	return nil
}

// Parts returns the files that a manifest names, whether they are there or not.
func (m *Manifest) Parts(dir, dbfilename string) []Part {
	parts := make([]Part, len(m.Segments))
	for i, s := range m.Segments {
		parts[i] = Part{
			Name: SegmentName(dir, dbfilename, m.Generation, i), SizeBytes: s.SizeBytes, Keys: s.Keys,
			segment: &m.Segments[i], lz4: m.LZ4,
		}
	}
	return parts
}

// LooseParts returns the segments of the highest generation that there is in a directory, in order, whatever a manifest
// says: for what can be done when it is lost.
func LooseParts(fsys vfs.FS, dir, dbfilename string) ([]Part, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	highest := uint64(0)
	segmentsOf(dbfilename, names, func(g uint64) bool {
		highest = max(highest, g)
		return false
	})
	names = segmentsOf(dbfilename, names, func(g uint64) bool { return g == highest })
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	var parts []Part
	for _, name := range names {
		parts = append(parts, PlainPart(filepath.Join(dir, name)))
	}
	return parts, nil
}

// Part is a file of a snapshot: an RDB file complete in itself, or an LZ4 frame of one.
type Part struct {
	Name      string
	SizeBytes int64 // of the file
	Keys      int64 // in it; -1: not known
	segment   *Segment
	lz4       bool
	embedded  bool      // other data may follow
	unknown   bool      // whether it is LZ4 is seen from its first bytes
	stream    io.Reader // in place of a file
}

func (p *Part) checkSize(size int64) error {
	if p.segment == nil || size == p.SizeBytes {
		return nil
	}
	e := &rdb.CorruptError{
		File: p.Name, Offset: min(size, p.SizeBytes),
		Reason: fmt.Sprintf("the file has %d bytes, its manifest says %d", size, p.SizeBytes),
	}
	if size < p.SizeBytes {
		e.Err = io.ErrUnexpectedEOF
	}
	return e
}

// segmentsOf picks the segments of generations that are wanted from names.
func segmentsOf(dbfilename string, names []string, wanted func(generation uint64) bool) []string {
	var picked []string
	for _, name := range names {
		if g, _, ok := parseSegmentName(dbfilename, name); ok && wanted(g) {
			picked = append(picked, name)
		}
	}
	return picked
}

// removeAll removes files of a directory that nobody needs, and logs what became of it.
func removeAll(fsys vfs.FS, dir string, names []string, log *slog.Logger, what string) {
	removed := 0
	for _, name := range names {
		switch err := fsys.Remove(filepath.Join(dir, name)); {
		case err == nil:
			removed++
		case !errors.Is(err, fs.ErrNotExist):
			log.Warn("a file that is not needed any more can't be removed", "what", what, "error", err)
		}
	}
	if removed > 0 {
		log.Info("removed "+what, "files", removed, "first", filepath.Join(dir, names[0]))
	}
}

// CleanUp removes what saves that were broken off, by a crash or a power cut, have left beside the snapshot that Find
// has found: segments of the generations around the manifest's, and temporary files. It is called at start, once it is
// certain that no other server uses the directory. What can't be removed is logged; it does no harm.
//
// Nothing is removed before the directory is synced: what is found now will be found after a power cut, too. Without a
// manifest no segment is removed: the manifest may have been lost, and they are all there is.
func CleanUp(fsys vfs.FS, src *Source, log *slog.Logger) {
	names, err := fsys.ReadDir(src.Dir)
	if err == nil {
		err = fsys.SyncDir(src.Dir)
	}
	if err != nil {
		log.Warn("what earlier saves have left can't be removed", "error", err)
		return
	}
	if m := src.Manifest; m != nil {
		left := segmentsOf(src.DBFilename, names, func(g uint64) bool { return g != m.Generation && !src.astray(g) })
		removeAll(fsys, src.Dir, left, log, "segments that no manifest names")
	}
	removeTemporary(fsys, src.Dir, src.DBFilename, names, log)
}

// CleanUpTemporary removes what saves and transfers that were broken off have left in a directory whose snapshot is of
// no interest.
func CleanUpTemporary(fsys vfs.FS, dir, dbFilename string, log *slog.Logger) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		log.Warn("what earlier saves have left can't be removed", "error", err)
		return
	}
	removeTemporary(fsys, dir, dbFilename, names, log)
}

func removeTemporary(fsys vfs.FS, dir, dbFilename string, names []string, log *slog.Logger) {
	half := ManifestName("", dbFilename) + ".tmp"
	temporary := slices.DeleteFunc(names, func(name string) bool {
		return name == dbFilename || name != half && !isTemporary(name)
	})
	removeAll(fsys, dir, temporary, log, "temporary files of a save that was not finished")
}

// isTemporary says whether a name is that of a plain file while it is written.
func isTemporary(name string) bool {
	rest, ok := strings.CutPrefix(name, "temp-")
	if !ok {
		return false
	}
	rest, ok = strings.CutSuffix(rest, ".rdb")
	time, pid, both := strings.Cut(rest, ".") // of a transfer from a primary; else it is a number alone
	if !both {
		pid = time
	}
	_, isNumber := lines.ParseNumber(pid)
	_, isTime := lines.ParseNumber(time)
	return ok && isNumber && isTime
}
