package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"fulmen/internal/resp"
	"fulmen/persist/vfs"
)

// Redis's append-only files. They are found where Redis finds them, read in place, and never changed, moved or removed:
// whoever wants to go back to Redis has them as they were. Redis itself would go on writing to the last of them, so it
// moves a single file into appenddirname and cuts off a torn tail; here nothing is written to them, so neither is
// needed. They become ours when a BASE of what they have brought is there and our manifest is committed. Our manifest
// takes the place of Redis's, which has the same name; Foreign.Keep leaves a copy of that beside it.

// Foreign is an append-only file of Redis's.
type Foreign struct {
	// Manifest is the path of Redis's manifest; empty if it is a single file, as versions before 7 have written.
	Manifest string
	// Files are the files to be loaded, in order: a BASE, if there is one, and INCR files.
	Files []ForeignFile

	text []byte // of the manifest
}

// ForeignFile is one of Redis's files.
type ForeignFile struct {
	Path      string
	Kind      Kind
	Seq       uint64 // 0: no manifest names it
	SizeBytes int64  // when it was found
}

// manifestMagic is how a manifest of ours begins.
const manifestMagic = "fulmen-aof "

// KeptSuffix is what the copy of Redis's manifest has behind its name.
const KeptSuffix = ".redis"

// FindForeign looks for an append-only file of Redis's: a manifest in the directory appenddirname of dir, else a file
// appendfilename in dir. It returns nil if there is none, or a manifest of ours. Errors are those of the file system
// and *ForeignError, whose text is complete.
func FindForeign(fsys vfs.FS, dir, appenddirname, appendfilename string) (*Foreign, error) {
	single := filepath.Join(dir, appendfilename)
	name := ManifestName(filepath.Join(dir, appenddirname), appendfilename)
	info, err := fsys.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := fsys.Stat(single); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return OpenForeign(fsys, single)
	case err != nil:
		return nil, err
	case info.Size() > maxManifestBytes:
		return nil, &ForeignError{Kind: ForeignManifest, File: name, Reason: "The AOF manifest file is too long"}
	}
	f, err := OpenForeign(fsys, name)
	if err != nil || f == nil {
		return nil, err
	}
	// Redis may have been stopped while it moved the file of a version before 7 to its new place.
	if len(f.Files) == 1 && filepath.Base(f.Files[0].Path) == appendfilename {
		if _, err := fsys.Stat(f.Files[0].Path); errors.Is(err, fs.ErrNotExist) {
			f.Files[0].Path = single
		}
	}
	return f, f.stat(fsys)
}

// OpenForeign is FindForeign for a manifest (a name that ends in .manifest) or a single file. The files that a manifest
// names need not be there; FindForeign makes sure.
func OpenForeign(fsys vfs.FS, name string) (*Foreign, error) {
	if !strings.HasSuffix(name, ".manifest") {
		f := &Foreign{Files: []ForeignFile{{Path: name, Kind: Base}}}
		return f, f.stat(fsys)
	}
	data, err := fsys.ReadFile(name)
	if err != nil || bytes.HasPrefix(data, []byte(manifestMagic)) {
		return nil, err
	}
	f := &Foreign{Manifest: name, text: data}
	f.Files, err = ParseForeignManifest(name, data)
	return f, err
}

// stat finds out how long the files are.
func (f *Foreign) stat(fsys vfs.FS) error {
	for i := range f.Files {
		info, err := fsys.Stat(f.Files[i].Path)
		if errors.Is(err, fs.ErrNotExist) {
			return &ForeignError{Kind: ForeignMissing, File: f.Files[i].Path, Err: err}
		}
		if err != nil {
			return err
		}
		f.Files[i].SizeBytes = info.Size()
	}
	return nil
}

// Paths returns the paths of all that it is made of, the manifest, if there is one, first.
func (f *Foreign) Paths() (paths []string) {
	if f.Manifest != "" {
		paths = append(paths, f.Manifest)
	}
	for i := range f.Files {
		paths = append(paths, f.Files[i].Path)
	}
	return paths
}

// Bytes is how many bytes all files have.
func (f *Foreign) Bytes() (sum int64) {
	for i := range f.Files {
		sum += f.Files[i].SizeBytes
	}
	return sum
}

// Keep leaves a copy of Redis's manifest, with KeptSuffix, before ours takes its place. It returns its path, which is
// empty if there is no manifest to keep.
func (f *Foreign) Keep(fsys vfs.FS) (string, error) {
	if f.Manifest == "" {
		return "", nil
	}
	name := f.Manifest + KeptSuffix
	if err := vfs.WriteFileAtomic(fsys, name, f.text, 0o644); err != nil {
		return "", fmt.Errorf("aof: a copy of Redis's manifest: %w", err)
	}
	return name, nil
}

// maxForeignLine is the longest line of a manifest that Redis reads, without its end.
const maxForeignLine = 1023

// ParseForeignManifest takes the text of Redis's manifest; name is its path, beside which its files are. It returns
// the files to be loaded, without those of history. Errors are *ForeignError, in Redis's words.
//
// The text is lines of pairs of a key and a value, both as Redis quotes them: file, seq, and type, which is b (base,
// once at most), h (history) or i (incr, ascending by seq). Other keys are passed over.
func ParseForeignManifest(name string, data []byte) ([]ForeignFile, error) {
	m := foreignManifest{dir: filepath.Dir(name)}
	reason := ""
	offset, number := int64(0), 0
	if len(data) == 0 {
		reason = "Found an empty AOF manifest"
	}
	for reason == "" && len(data) > 0 {
		number++
		end := bytes.IndexByte(data, '\n')
		line := data[:max(end, 0)]
		switch {
		case data[0] == '#' && end < 0:
			return m.all(), nil
		case data[0] == '#' && end <= maxForeignLine:
		case end < 0 || end > maxForeignLine:
			reason = "The AOF manifest file contains too long line"
		default:
			reason = m.line(bytes.Clone(bytes.Trim(line, " \t\r\n")))
		}
		if reason == "" {
			data = data[end+1:]
			offset += int64(end + 1)
		}
	}
	if reason != "" {
		return nil, &ForeignError{Kind: ForeignManifest, File: name, Offset: offset, Line: number, Reason: reason}
	}
	return m.all(), nil
}

// foreignManifest is what a manifest of Redis's has said so far.
type foreignManifest struct {
	dir  string
	base []ForeignFile
	incr []ForeignFile
}

func (m *foreignManifest) all() []ForeignFile { return append(m.base, m.incr...) }

// line takes a line, and returns what is wrong with it.
func (m *foreignManifest) line(line []byte) (reason string) {
	const badFormat = "Invalid AOF manifest file format"
	words, ok := resp.SplitArgs(line, nil)
	if !ok || len(words) < 6 || len(words)%2 != 0 {
		return badFormat
	}
	var f ForeignFile
	var name, kind string
	for i := 0; i < len(words); i += 2 {
		value := string(words[i+1])
		switch strings.ToLower(string(words[i])) {
		case "file":
			name = value
			if value == "." || value == ".." || strings.ContainsAny(value, "/\\") {
				return "File can't be a path, just a filename"
			}
		case "seq":
			f.Seq, _ = strconv.ParseUint(value, 10, 63) // 0, which is refused, if it is no number
		case "type":
			kind = value
		}
	}
	if name == "" || f.Seq == 0 || kind == "" {
		return badFormat
	}
	f.Path = filepath.Join(m.dir, name)
	switch kind[0] {
	case 'h':
	case 'b':
		if len(m.base) > 0 {
			return "Found duplicate base file information"
		}
		m.base = append(m.base, f)
	case 'i':
		f.Kind = Incr
		if n := len(m.incr); n > 0 && f.Seq <= m.incr[n-1].Seq {
			return "Found a non-monotonic sequence number"
		}
		m.incr = append(m.incr, f)
	default:
		return "Unknown AOF file type"
	}
	return ""
}
