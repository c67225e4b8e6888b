package snapshot

import (
	"fmt"
	"path/filepath"
	"strings"

	"fulmen/persist/lines"
	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
)

// The files of a snapshot.
//
// With segments, a snapshot of generation g in the directory dir, with dbfilename dump.rdb, is
//
//	dir/dump.rdb.<g>.<shard>   a segment for each shard, 0 …: a complete RDB file, or an LZ4 frame of one
//	dir/dump.rdb.manifest      names them; put into place last, so it never names what is not there in whole
//
// Without, it is dir/dump.rdb alone: an RDB file, or an LZ4 frame of one. If both are there the manifest counts.
// Generations are counted from 1, each one more than the manifest that it takes the place of.
//
// The manifest is text. It looks exactly like this: the same lines in the same order, one space between words, decimal
// numbers without leading zeros, sums of 16 digits in lower-case hexadecimal, each line ended by one line feed:
//
//	fulmen-snapshot 1                                              the version of the format
//	generation 12
//	lsn 8812345                                                    of the log at the cut
//	created-ms 1722500000000                                       Unix time of the cut
//	databases 16
//	compression lz4                                                of the files as a whole; or none
//	shards 2                                                       how many segments follow, 1 … 16384
//	segment 0 size 70123 crc64 0123456789abcdef keys 1000          bytes of the file, their sum, keys in it
//	segment 1 size 69988 crc64 fedcba9876543210 keys 998
//	checksum 00112233aabbccdd                                      of all lines before
//
// Whatever is not like this is refused, and so is a version that is not known: who adds a line counts it up.
//
// The text and its sums are those of package lines.

const (
	manifestVersion = 1
	// maxManifestBytes bounds what is read: lines of the most segments.
	maxManifestBytes = 1 << 21
	maxShards        = 16384
)

// Manifest says which files make up a snapshot in segments.
type Manifest struct {
	Generation uint64 // from 1
	LSN        uint64 // of the log at the cut
	CreatedMs  int64  // Unix time of the cut
	Databases  int
	LZ4        bool      // the segments are LZ4 frames
	Segments   []Segment // by shard
}

// Segment is what a manifest says about the file of one shard.
type Segment struct {
	SizeBytes int64
	CRC64     uint64 // CRC-64/XZ of the file's bytes
	Keys      int64
}

// ManifestName returns the name of the manifest that goes with dbfilename.
func ManifestName(dir, dbfilename string) string {
	return filepath.Join(dir, dbfilename+".manifest")
}

// SegmentName returns the name of a shard's segment.
func SegmentName(dir, dbfilename string, generation uint64, shard int) string {
	return filepath.Join(dir, fmt.Sprintf("%s.%d.%d", dbfilename, generation, shard))
}

// parseSegmentName undoes SegmentName, for a name without its directory.
func parseSegmentName(dbfilename, name string) (generation uint64, shard int, ok bool) {
	rest, ok := strings.CutPrefix(name, dbfilename+".")
	if !ok {
		return 0, 0, false
	}
	first, second, ok := strings.Cut(rest, ".")
	if !ok {
		return 0, 0, false
	}
	generation, okFirst := lines.ParseNumber(first)
	n, okSecond := lines.ParseNumber(second)
	return generation, int(n), okFirst && okSecond && generation > 0 && n < maxShards
}

// Keys returns how many keys all segments have.
func (m *Manifest) Keys() int64 {
	keys := int64(0)
	for _, s := range m.Segments {
		keys += s.Keys
	}
	return keys
}

// AppendText appends the manifest as it is written.
func (m *Manifest) AppendText(dst []byte) []byte {
	from := len(dst)
	dst = m.appendHead(dst)
	for i := range m.Segments {
		dst = m.appendSegment(dst, i)
	}
	return lines.AppendChecksum(dst, from)
}

func (m *Manifest) appendHead(dst []byte) []byte {
	compression := "none"
	if m.LZ4 {
		compression = "lz4"
	}
	return fmt.Appendf(dst, "fulmen-snapshot %d\ngeneration %d\nlsn %d\ncreated-ms %d\ndatabases %d\n"+
		"compression %s\nshards %d\n",
		manifestVersion, m.Generation, m.LSN, m.CreatedMs, m.Databases, compression, len(m.Segments))
}

func (m *Manifest) appendSegment(dst []byte, i int) []byte {
	s := m.Segments[i]
	return fmt.Appendf(dst, "segment %d size %d crc64 %016x keys %d\n", i, s.SizeBytes, s.CRC64, s.Keys)
}

// offset returns where a segment's line begins.
func (m *Manifest) offset(segment int) int64 {
	text := m.appendHead(nil)
	for i := range segment {
		text = m.appendSegment(text, i)
	}
	return int64(len(text))
}

// ReadManifest reads the manifest called name. The error is that of the file system, such as fs.ErrNotExist, or a
// *rdb.CorruptError, which wraps rdb.ErrVersion if only the version is wrong.
func ReadManifest(fsys vfs.FS, name string) (*Manifest, error) {
	info, err := fsys.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := regular(name, info); err != nil {
		return nil, err
	}
	if info.Size() > maxManifestBytes {
		return nil, &rdb.CorruptError{File: name, Offset: maxManifestBytes, Reason: "too long for a manifest"}
	}
	data, err := fsys.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return ParseManifest(name, data)
}

// ParseManifest takes the text of a manifest; file is its name for errors, which are *rdb.CorruptError.
func ParseManifest(file string, data []byte) (*Manifest, error) {
	p := manifestParser{lines.NewParser(data)}
	m := p.manifest()
	if e := p.Err(); e != nil {
		err := e.Err
		if err == lines.ErrChecksum {
			err = rdb.ErrChecksum
		}
		return nil, &rdb.CorruptError{File: file, Offset: e.Offset, Reason: e.Reason, Err: err}
	}
	return m, nil
}

// manifestParser reads the lines that a manifest has.
type manifestParser struct{ *lines.Parser }

func (p manifestParser) manifest() *Manifest {
	if version := p.Number("fulmen-snapshot %", lines.MaxNumber); version != manifestVersion {
		p.FailWith(rdb.ErrVersion, "format version %d, this program knows %d", version, manifestVersion)
	}
	m := &Manifest{
		Generation: p.Number("generation %", lines.MaxNumber),
		LSN:        p.Number("lsn %", lines.MaxNumber),
		CreatedMs:  int64(p.Number("created-ms %", lines.MaxNumber)),
		Databases:  int(p.Number("databases %", 1<<31-1)),
	}
	switch word := p.Line("compression %"); word[0] {
	case "none":
	case "lz4":
		m.LZ4 = true
	default:
		p.Fail("unknown compression")
	}
	shards := p.Number("shards %", maxShards)
	if shards == 0 || m.Generation == 0 || m.Databases == 0 {
		p.Fail("0 where a number above is needed")
	}
	for i := uint64(0); i < shards && p.Err() == nil; i++ {
		m.Segments = append(m.Segments, p.segment(i))
	}
	p.Checksum()
	return m
}

func (p manifestParser) segment(i uint64) Segment {
	words := p.Line("segment % size % crc64 % keys %")
	if p.Decimal(words[0], maxShards) != i {
		p.Fail("not the segment that comes next")
	}
	return Segment{
		SizeBytes: int64(p.Decimal(words[1], lines.MaxNumber)),
		CRC64:     p.Hex(words[2]),
		Keys:      int64(p.Decimal(words[3], lines.MaxNumber)),
	}
}
