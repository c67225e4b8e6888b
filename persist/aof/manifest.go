package aof

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"fulmen/persist/vfs"
)

// Manifest says which files make up an AOF, and what is known about the lives of the server that wrote them. Its slices
// belong to whoever holds it; Clone before changing one that others read.
type Manifest struct {
	DirID      uint64 // of the directory, drawn when it is made; in every INCR file and in the ring
	Databases  int
	Shards     int    // that the files are written for, 1 … log.MaxShards
	ReplID     string // 40 hexadecimal digits
	ReplID2    string // the replid of before, empty if there is none …
	ReplID2LSN uint64 // … and the position up to which it is the same history
	// Earlier are the replids before that, the last one first.
	Earlier []Ancestor
	// Position says where in that history the data is. It and the ids are true of the LSN that it names, and from there
	// on as far as no record of the last incarnation says something else.
	Position Position
	// Incarnations are the lives of the server of which there are files, and the present or last one; ascending.
	Incarnations []Incarnation
	// Files are in the order of CompareFiles.
	Files []File
}

// Ancestor is an earlier name of a history: up to a position both are the same.
type Ancestor struct {
	ReplID   string
	Position uint64
}

// MaxAncestors is how many a manifest has at most.
const MaxAncestors = 8

// Position is where in the replication stream the data is. The zero value says that positions are LSNs.
type Position struct {
	LSN    uint64 // the data as of this LSN …
	Offset uint64 // … has so many bytes of the stream
	DB     int    // the database that is selected there
	// Fixed: the stream is another server's, and what follows in the files moves the data on in it only as far as it
	// says. Otherwise what follows is the stream.
	Fixed bool
	// From is, unless Fixed, the LSN from which on the files have the stream; what they have below is something else.
	From uint64
}

// State says how an incarnation ended.
type State uint8

// The states of an incarnation.
const (
	Running State = iota // it has not ended, or nobody was left to note it
	Clean                // all that it wrote is in the files
	Unclean              // recovery has found its end
)

// String gives the word that the manifest has for a state.
func (s State) String() string { return [...]string{"running", "clean", "unclean"}[s] }

// Incarnation is one life of the server. Its frames are those of the range [StartLSN, EndLSN); what an INCR file holds
// of it beyond the end is no part of the data.
type Incarnation struct {
	Number   uint32 // in each of its frames
	StartLSN uint64
	EndLSN   uint64 // 0 while State is Running
	State    State
	// RingDir is where the ring of an incarnation is that is Running, empty if it has none: a start with another
	// aof-ring-dir has to find it, too.
	RingDir string
	// Site is where and since which start of the system an incarnation is Running; zero if that isn't known.
	Site Site
	// MissingBytes of the range are in no frame: the process was killed between taking them for commits and publishing
	// those.
	MissingBytes uint64
	HoleLSN      uint64 // the first of them, 0 if there are none, or it isn't known
}

// File is a file of an AOF.
type File struct {
	Kind        Kind
	Shard       int    // or, of a BASE, AllShards
	Seq         uint64 // from 1; a BASE holds what was there when the INCR files of the same number begin
	Incarnation uint32 // that wrote it
	LSN         uint64 // of a BASE: its cut; of an INCR file: none of its frames starts below (its header says exactly)
	CreatedMs   int64  // Unix time of a BASE's cut, or of the making of an INCR file
	Format      Format
	History     bool // loading doesn't need it, because there is a newer BASE

	// Of a BASE.
	SizeBytes int64
	CRC64     uint64 // CRC-64/XZ of the file's bytes (crc.UpdateXZ)
	Keys      int64
}

// CompareFiles is the order of Manifest.Files: by Seq, BASE before INCR, by shard.
func CompareFiles(a, b File) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Shard, b.Shard))
}

// Clone returns a copy that shares nothing with m.
func (m *Manifest) Clone() *Manifest {
	c := *m
	c.Incarnations = slices.Clone(m.Incarnations)
	c.Files = slices.Clone(m.Files)
	c.Earlier = slices.Clone(m.Earlier)
	return &c
}

// Add puts files in, keeping the order.
func (m *Manifest) Add(files ...File) {
	m.Files = append(m.Files, files...)
	slices.SortFunc(m.Files, CompareFiles)
}

// NextSeq returns a number above those of all files.
func (m *Manifest) NextSeq() uint64 {
	if len(m.Files) == 0 {
		return 1
	}
	return m.Files[len(m.Files)-1].Seq + 1
}

// Last returns the present incarnation, or the last one if the server is not running.
func (m *Manifest) Last() *Incarnation { return &m.Incarnations[len(m.Incarnations)-1] }

// Incarnation returns the incarnation of a number, or nil.
func (m *Manifest) Incarnation(number uint32) *Incarnation {
	for i := range m.Incarnations {
		if m.Incarnations[i].Number == number {
			return &m.Incarnations[i]
		}
	}
	return nil
}

// Live returns the files of a kind that loading needs, in order.
func (m *Manifest) Live(kind Kind) []File {
	var live []File
	for _, f := range m.Files {
		if f.Kind == kind && !f.History {
			live = append(live, f)
		}
	}
	return live
}

// IncrFiles returns what a manifest says about new INCR files of all shards.
func IncrFiles(shards int, seq uint64, incarnation uint32, lsn uint64, createdMs int64) []File {
	files := make([]File, shards)
	for i := range files {
		files[i] = File{
			Kind: Incr, Shard: i, Seq: seq, Incarnation: incarnation, LSN: lsn, CreatedMs: createdMs, Format: FormatAOF,
		}
	}
	return files
}

// Commit makes m the manifest that the next start finds, whatever happens once it has returned nil: it writes it beside
// its place, syncs it, renames it and syncs the directory. Every file that m names is there, synced, and its name in
// the directory is, too, or m promises what a power cut takes away. After an error the manifest of before is found, or
// m (the error of a last sync leaves that open): the files of both have to stay. An m that makes no sense is an error.
func (m *Manifest) Commit(fsys vfs.FS, dir, appendfilename string) error {
	name := ManifestName(dir, appendfilename)
	text := m.AppendText(nil)
	if _, err := ParseManifest(name, text); err != nil {
		return fmt.Errorf("aof: a manifest that can't be read again was not written: %w", err)
	}
	if err := vfs.WriteFileAtomic(fsys, name, text, 0o644); err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	return nil
}

// ReadManifest reads the manifest of the AOF called appendfilename in dir. The error is that of the file system, such
// as fs.ErrNotExist, or a *CorruptError, which wraps ErrVersion if only the version or a feature is unknown.
func ReadManifest(fsys vfs.FS, dir, appendfilename string) (*Manifest, error) {
	name := ManifestName(dir, appendfilename)
	info, err := fsys.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxManifestBytes {
		return nil, &CorruptError{File: name, Offset: maxManifestBytes, Reason: "too long for a manifest"}
	}
	data, err := fsys.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return ParseManifest(name, data)
}

// RemoveUnnamed removes the files in dir that are of the AOF called appendfilename and that m doesn't name: what a
// crash left between the making of files and the manifest that names them, or between that and their removal. It
// returns the names of those that it removed; after an error some may be left, which do no harm. Last of all it removes
// the file of BeginningName. m is committed, or has no files and there is no manifest; nobody makes files meanwhile.
func (m *Manifest) RemoveUnnamed(fsys vfs.FS, dir, appendfilename string) (removed []string, err error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("aof: %w", err)
	}
	marker := BeginningName(dir, appendfilename)
	for _, name := range names {
		_, ok := ParseName(appendfilename, name)
		if !ok || slices.ContainsFunc(m.Files, func(f File) bool { return f.Name(appendfilename) == name }) {
			continue
		}
		if removeErr := fsys.Remove(filepath.Join(dir, name)); removeErr != nil {
			err = cmp.Or(err, fmt.Errorf("aof: %w", removeErr))
			continue
		}
		removed = append(removed, name)
	}
	if err == nil && slices.Contains(names, filepath.Base(marker)) {
		if removeErr := fsys.Remove(marker); removeErr != nil {
			err = fmt.Errorf("aof: %w", removeErr)
		}
	}
	return removed, err
}
