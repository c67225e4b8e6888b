package snapshot

import (
	"bytes"
	"fmt"
	"hash/crc64"
	"io"
	"path/filepath"
	"strconv"
	"strings"

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
// The sums are CRC-64/XZ. Redis's CRC-64, the one at the end of an RDB file, won't do: over a file that ends in its own
// sum it comes to 0 whatever is in the file (and with another start value, to something that depends on the length
// only), so one segment could stand in for another of the same length.

const (
	manifestVersion = 1
	// maxManifestBytes bounds what is read: lines of the most segments.
	maxManifestBytes = 1 << 21
	maxShards        = 16384
)

var sumTable = crc64.MakeTable(crc64.ECMA)

// sum64 returns the CRC-64/XZ of some bytes followed by p, sum being that of the former; 0 begins.
func sum64(sum uint64, p []byte) uint64 { return crc64.Update(sum, sumTable, p) }

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
	generation, okFirst := parseNumber(first)
	n, okSecond := parseNumber(second)
	return generation, int(n), okFirst && okSecond && generation > 0 && n < maxShards
}

// parseNumber takes a decimal number below 2⁶³ as the manifest has them.
func parseNumber(word string) (uint64, bool) {
	n, err := strconv.ParseUint(word, 10, 63)
	return n, err == nil && strconv.FormatUint(n, 10) == word
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
	return fmt.Appendf(dst, "checksum %016x\n", sum64(0, dst[from:]))
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
	p := &manifestParser{file: file, all: data, rest: data}
	m := p.manifest()
	if p.err != nil {
		return nil, p.err
	}
	return m, nil
}

// manifestParser reads line by line. After the first error all reading gives zeros.
type manifestParser struct {
	file  string
	all   []byte
	rest  []byte
	begin int // offset of the line read last
	err   error
}

func (p *manifestParser) manifest() *Manifest {
	if version := p.number("fulmen-snapshot %", maxManifestNumber); version != manifestVersion {
		p.failWith(rdb.ErrVersion, "format version %d, this program knows %d", version, manifestVersion)
	}
	m := &Manifest{
		Generation: p.number("generation %", maxManifestNumber),
		LSN:        p.number("lsn %", maxManifestNumber),
		CreatedMs:  int64(p.number("created-ms %", maxManifestNumber)),
		Databases:  int(p.number("databases %", 1<<31-1)),
	}
	switch word := p.line("compression %", 1); word[0] {
	case "none":
	case "lz4":
		m.LZ4 = true
	default:
		p.fail("unknown compression")
	}
	shards := p.number("shards %", maxShards)
	if shards == 0 || m.Generation == 0 || m.Databases == 0 {
		p.fail("0 where a number above is needed")
	}
	for i := uint64(0); i < shards && p.err == nil; i++ {
		m.Segments = append(m.Segments, p.segment(i))
	}
	sum := sum64(0, p.all[:len(p.all)-len(p.rest)])
	if word := p.line("checksum %", 1); p.hex(word[0]) != sum {
		p.failWith(rdb.ErrChecksum, "wrong checksum")
	}
	if len(p.rest) > 0 {
		p.begin = len(p.all) - len(p.rest)
		p.fail("bytes behind the last line")
	}
	return m
}

// maxManifestNumber is the greatest number that a manifest may have.
const maxManifestNumber = 1<<63 - 1

func (p *manifestParser) segment(i uint64) Segment {
	words := p.line("segment % size % crc64 % keys %", 4)
	if p.decimal(words[0], maxShards) != i {
		p.fail("not the segment that comes next")
	}
	return Segment{
		SizeBytes: int64(p.decimal(words[1], maxManifestNumber)),
		CRC64:     p.hex(words[2]),
		Keys:      int64(p.decimal(words[3], maxManifestNumber)),
	}
}

// line reads a line that has the words of form, where % stands for any word; it returns what stood for the n of them.
func (p *manifestParser) line(form string, n int) []string {
	found := make([]string, 0, n)
	p.begin = len(p.all) - len(p.rest)
	text, rest, ok := bytes.Cut(p.rest, []byte("\n"))
	if !ok {
		p.failWith(io.ErrUnexpectedEOF, "ends too early")
		return found[:n]
	}
	want, words := strings.Split(form, " "), strings.Split(string(text), " ")
	same := len(want) == len(words)
	for i := 0; i < len(want) && same; i++ {
		if want[i] == "%" {
			found = append(found, words[i])
		} else {
			same = want[i] == words[i]
		}
	}
	if !same {
		p.fail("not the line %q", form)
	}
	p.rest = rest
	return found[:n]
}

func (p *manifestParser) number(form string, most uint64) uint64 {
	return p.decimal(p.line(form, 1)[0], most)
}

func (p *manifestParser) decimal(word string, most uint64) uint64 {
	n, ok := parseNumber(word)
	if !ok || n > most {
		p.fail("not a number that fits here")
	}
	return n
}

func (p *manifestParser) hex(word string) uint64 {
	n, err := strconv.ParseUint(word, 16, 64)
	if err != nil || fmt.Sprintf("%016x", n) != word {
		p.fail("not a sum of 16 digits")
	}
	return n
}

func (p *manifestParser) fail(reason string, args ...any) { p.failWith(nil, reason, args...) }

// failWith notes an error at the line read last, unless there is one already.
func (p *manifestParser) failWith(err error, reason string, args ...any) {
	if p.err == nil {
		p.err = &rdb.CorruptError{File: p.file, Offset: int64(p.begin), Reason: fmt.Sprintf(reason, args...), Err: err}
	}
}
