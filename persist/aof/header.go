package aof

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

	"fulmen/persist/log"
)

// An INCR file begins with two lines of fixed length, which a reader of RESP AOFs skips as annotations. The numbers are
// lower-case hexadecimal of fixed width:
//
//	#I<crc:8> <version:2> <directory:16> <incarnation:8> <shard:4> <shards:4> <seq:8> <pos:16> <lsn:16>\r\n
//	#S<crc:8> <lsn:16>\r\n
//
//	crc        CRC-32C of what follows on the line, from the space on; on the second line of the whole first line, and
//	           then of that: a mark in a wrong file is noticed
//	pos, lsn   of the first frame: its position in the shard's log, and an LSN that no frame starts below
//	#S's lsn   the mark: when it was written, all of the merged stream below was synced, in the files of all shards
//
// Both lie in one sector of the disk, which is written whole or not at all, so the mark is changed where it is. It is
// what tells damage from a write that a power cut has interrupted: a hole in the merged stream below the greatest mark
// of an incarnation is damage, as what it had was on the disk. The mark is written after each sync, under always once a
// second, so it lasts from the next sync on. What else tells is in recover_behind.go.

const (
	headerVersion = 1
	identLine     = 94 // bytes of the first line
	markLine      = 29 // … and of the second
	// HeaderBytes is how many bytes an INCR file has before its first frame.
	HeaderBytes = identLine + markLine
)

// Header is what the first lines of an INCR file say.
type Header struct {
	DirID       uint64
	Incarnation uint32
	Shard       int
	Shards      int
	Seq         uint64 // below 1<<32
	Pos         uint64 // in the shard's log of the first frame
	LSN         uint64 // no frame starts below
	MarkLSN     uint64 // everything of the merged stream below was synced once; 0: nothing is known
}

// Append appends the HeaderBytes of the header to dst.
func (h *Header) Append(dst []byte) []byte {
	from := len(dst)
	dst = append(dst, "#I00000000"...)
	dst = fmt.Appendf(dst, " %02x %016x %08x %04x %04x %08x %016x %016x", headerVersion, h.DirID, h.Incarnation,
		h.Shard, h.Shards, h.Seq, h.Pos, h.LSN)
	putSum(dst[from:], log.AddSum(0, dst[from+10:]))
	dst = append(dst, '\r', '\n')
	mark := len(dst)
	dst = append(dst, "#S00000000"...)
	dst = fmt.Appendf(dst, " %016x", h.MarkLSN)
	putSum(dst[mark:], log.AddSum(log.AddSum(0, dst[from:mark]), dst[mark+10:]))
	return append(dst, '\r', '\n')
}

// putSum puts a sum into a line that begins with two characters before it.
func putSum(line []byte, sum uint32) {
	const digits = "0123456789abcdef"
	for i := range 8 {
		line[2+i] = digits[sum>>(28-4*i)&15]
	}
}

// ParseHeader takes the first HeaderBytes of an INCR file, or all of a shorter one; file is its name for errors. They
// are ErrNoHeader if nothing of the file has lasted, which leaves it without frames, and *CorruptError.
func ParseHeader(file string, data []byte) (Header, error) {
	if len(data) < HeaderBytes || len(bytes.Trim(data[:HeaderBytes], "\x00")) == 0 {
		return Header{}, ErrNoHeader
	}
	p := fieldParser{text: data[:HeaderBytes]}
	sum := p.hex("#I", 8)
	version := p.hex(" ", 2)
	h := Header{
		DirID: p.hex(" ", 16), Incarnation: uint32(p.hex(" ", 8)), Shard: int(p.hex(" ", 4)),
		Shards: int(p.hex(" ", 4)), Seq: p.hex(" ", 8), Pos: p.hex(" ", 16), LSN: p.hex(" ", 16),
	}
	p.literal("\r\n")
	markSum := p.hex("#S", 8)
	h.MarkLSN = p.hex(" ", 16)
	p.literal("\r\n")
	corrupt := func(offset int, err error, reason string) (Header, error) {
		return Header{}, &CorruptError{File: file, Offset: int64(offset), Reason: reason, Err: err}
	}
	if p.bad {
		return corrupt(p.at, nil, "malformed header")
	}
	first, second := data[:identLine], data[identLine:HeaderBytes]
	if uint64(log.AddSum(0, first[10:identLine-2])) != sum {
		return corrupt(0, ErrChecksum, "wrong checksum of the header")
	}
	if uint64(log.AddSum(log.AddSum(0, first), second[10:markLine-2])) != markSum {
		return corrupt(identLine, ErrChecksum, "wrong checksum of the header's second line")
	}
	if version != headerVersion {
		return corrupt(11, ErrVersion, fmt.Sprintf("format version %d, this program knows %d", version, headerVersion))
	}
	if h.Shards > log.MaxShards || h.Shard >= h.Shards || h.Seq == 0 || h.MarkLSN != 0 && h.MarkLSN < h.LSN {
		return corrupt(11, nil, "header with numbers that don't fit together")
	}
	return h, nil
}

// ReadHeader reads the header of an INCR file; errors are those of ParseHeader and of reading.
func ReadHeader(r io.ReaderAt, file string) (Header, error) {
	var text [HeaderBytes]byte
	n, err := r.ReadAt(text[:], 0)
	if err != nil && err != io.EOF {
		return Header{}, fmt.Errorf("aof: %w", err)
	}
	return ParseHeader(file, text[:n])
}

// fieldParser takes a line apart. After the first thing that is not as it should be, bad is set and at stays there.
type fieldParser struct {
	text []byte
	at   int
	bad  bool
}

func (p *fieldParser) literal(want string) {
	if !p.bad && !bytes.HasPrefix(p.text[p.at:], []byte(want)) {
		p.bad = true
	}
	if !p.bad {
		p.at += len(want)
	}
}

// hex takes digits lower-case hexadecimal digits behind before.
func (p *fieldParser) hex(before string, digits int) uint64 {
	p.literal(before)
	if p.bad {
		return 0
	}
	word := string(p.text[p.at : p.at+digits])
	v, err := strconv.ParseUint(word, 16, 64)
	if err != nil || fmt.Sprintf("%0*x", digits, v) != word {
		p.bad = true
		return 0
	}
	p.at += digits
	return v
}
