package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
)

// MaxShards is the most shards a log has: their bitmap must fit in an annotation line.
const MaxShards = 256

// MaxLine is the most bytes the annotation of a frame has: a time and a piece's line, each with its \r\n.
const MaxLine = timeLine + 115

// LineSummed is the offset in an annotation's last line from where on the frame's sum covers it.
const LineSummed = 10

const (
	timeLine   = 16 // bytes of the line that says the time, if there is one
	plainLine  = 49 // bytes of a plain frame's line
	pieceFixed = 72 // bytes of a piece's line without its bitmap
	pieceMost  = MaxLine - timeLine

	timeWord = "#TS:" // ten digits follow

	kindPlain = 'F'
	kindPiece = 'T'

	// Offsets of fields in a line; each follows a space, but for the first.
	offSum         = 2
	offIncarnation = 11
	offStart       = 20
	offLen         = 37
	offBefore      = 48
	offWhole       = 59
	offShards      = 70

	maxFrameBytes = 1<<40 - 1 // what ten digits hold
)

const bitmapDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bitmapValue holds 1 + the value of each bitmap digit, and 0 for other bytes.
var bitmapValue = func() (t [256]byte) {
	for i := range bitmapDigits {
		t[bitmapDigits[i]] = byte(i) + 1
	}
	return t
}()

// ErrIncomplete says that a frame's bytes end before the frame does.
var ErrIncomplete = errors.New("log: incomplete frame")

// CorruptError reports bytes that are no frame. Offset counts from the start of the bytes given.
type CorruptError struct {
	Offset int64
	Reason string
}

// Error says where and why.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("log: corrupt frame at offset %d: %s", e.Offset, e.Reason)
}

// ShardSet is a set of shard numbers below MaxShards.
type ShardSet [MaxShards / 64]uint64

// Add puts shard i into the set.
func (s *ShardSet) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Has reports whether shard i is in the set.
func (s *ShardSet) Has(i int) bool { return s[i>>6]>>(i&63)&1 != 0 }

// Len returns the number of shards in the set.
func (s *ShardSet) Len() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Header is what an annotation line says.
type Header struct {
	Incarnation uint32
	Start, End  uint64 // own range: the records are these bytes of the merged stream
	TxStart     uint64 // range of the whole commit; as Start and End in a plain frame
	TxEnd       uint64
	Shards      ShardSet // who holds a piece of the commit; empty in a plain frame
	Piece       bool     // the commit has pieces in other shards' logs
	TimeSec     int64    // Unix time that this frame and those behind it are of; 0: as those before it
	Sum         uint32   // CRC-32C of records and line, as the line says
}

// Len returns the number of record bytes that follow the line.
func (h *Header) Len() uint64 { return h.End - h.Start }

// AddSum adds p to a running CRC-32C, which begins with 0.
func AddSum(sum uint32, p []byte) uint32 { return crc32.Update(sum, castagnoli, p) }

// sumAnnotation returns the sum of an annotation: of the line that says the time, if there is one, and of the other
// from LineSummed on.
func sumAnnotation(time, line []byte) uint32 {
	return AddSum(AddSum(0, time), line[LineSummed:])
}

// Frame is a decoded frame; its slices alias the bytes it was decoded from.
type Frame struct {
	Header
	Line    []byte // its annotation
	Records []byte
}

// DecodeHeader decodes the annotation that data begins with. n is its length; n == 0 without an
// error says that data ends before it does. Errors are *CorruptError. The sum is not checked.
func DecodeHeader(data []byte) (h Header, n int, err error) {
	if !isTime(data) {
		return decodeLine(data)
	}
	if len(data) < timeLine {
		return h, 0, nil
	}
	sec, ok := parseTime(data)
	if !ok {
		return h, 0, &CorruptError{0, "malformed annotation of the time"}
	}
	h, n, err = decodeLine(data[timeLine:])
	if n > 0 {
		h.TimeSec = sec
		n += timeLine
	}
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		corrupt.Offset += timeLine
	}
	return h, n, err
}

// isTime tells whether an annotation begins with the line that says the time. The other ones have a digit there.
func isTime(data []byte) bool {
	return len(data) > 2 && data[1] == timeWord[1] && data[2] == timeWord[2]
}

// parseTime reads the line that data begins with, which has timeLine bytes.
func parseTime(data []byte) (sec int64, ok bool) {
	for _, c := range data[len(timeWord) : timeLine-2] {
		if c < '0' || c > '9' {
			return 0, false
		}
		sec = sec*10 + int64(c-'0')
	}
	return sec, sec > 0 && string(data[:len(timeWord)]) == timeWord && string(data[timeLine-2:timeLine]) == "\r\n"
}

// putTime writes the line that says the time.
func putTime(line *[timeLine]byte, sec int64) {
	copy(line[:], timeWord+"0000000000\r\n")
	for i := timeLine - 3; i >= len(timeWord); i-- {
		line[i] = byte('0' + sec%10)
		sec /= 10
	}
}

// decodeLine is DecodeHeader for an annotation without a time.
func decodeLine(data []byte) (h Header, n int, err error) {
	if len(data) > 0 && data[0] != '#' {
		return h, 0, &CorruptError{0, "no annotation line"}
	}
	if len(data) > 1 && data[1] != kindPlain && data[1] != kindPiece {
		return h, 0, &CorruptError{1, "unknown kind of annotation"}
	}
	if len(data) < plainLine {
		return h, 0, nil
	}
	sum, ok1 := parseHex8(data[offSum:])
	inc, ok2 := parseHex8(data[offIncarnation:])
	start, ok3 := parseHex16(data[offStart:])
	size, ok4 := parseHex10(data[offLen:])
	if !(ok1 && ok2 && ok3 && ok4 && data[10] == ' ' && data[19] == ' ' && data[36] == ' ') {
		return h, 0, &CorruptError{offSum, "malformed annotation line"}
	}
	h = Header{Incarnation: inc, Start: start, End: start + size, TxStart: start, TxEnd: start + size, Sum: sum}
	if h.End < h.Start {
		return Header{}, 0, &CorruptError{offStart, "range beyond the last LSN"}
	}
	if data[1] == kindPlain {
		if data[47] != '\r' || data[48] != '\n' {
			return Header{}, 0, &CorruptError{47, "malformed annotation line"}
		}
		if size == 0 {
			return Header{}, 0, &CorruptError{offLen, "plain frame without records"}
		}
		return h, plainLine, nil
	}
	n, err = decodePiece(data, &h)
	if n == 0 {
		h = Header{}
	}
	return h, n, err
}

// decodePiece decodes what the line of a piece has more than that of a plain frame.
func decodePiece(data []byte, h *Header) (n int, err error) {
	if len(data) < offShards {
		return 0, nil
	}
	before, ok1 := parseHex10(data[offBefore:])
	whole, ok2 := parseHex10(data[offWhole:])
	if !(ok1 && ok2 && data[47] == ' ' && data[58] == ' ' && data[69] == ' ') {
		return 0, &CorruptError{47, "malformed annotation line"}
	}
	if before > h.Start || before+h.Len() > whole || h.Start-before+whole < whole {
		return 0, &CorruptError{offBefore, "own range outside the whole"}
	}
	h.Piece, h.TxStart, h.TxEnd = true, h.Start-before, h.Start-before+whole
	for i := offShards; i < pieceMost && i < len(data); i++ {
		if data[i] == '\r' {
			if i+1 == len(data) {
				return 0, nil
			}
			if data[i+1] != '\n' || h.Shards.Len() < 2 || whole == 0 {
				return 0, &CorruptError{int64(i), "malformed annotation line"}
			}
			return i + 2, nil
		}
		v := uint64(bitmapValue[data[i]]) - 1
		bit := (i - offShards) * 6
		if v > 63 || bit+bits.Len64(v) > MaxShards {
			return 0, &CorruptError{int64(i), "malformed list of shards"}
		}
		h.Shards[bit>>6] |= v << (bit & 63)
		if bit&63 > 58 && bit>>6+1 < len(h.Shards) {
			h.Shards[bit>>6+1] |= v >> (64 - bit&63)
		}
	}
	if len(data) < pieceMost {
		return 0, nil
	}
	return 0, &CorruptError{offShards, "annotation line without end"}
}

// DecodeFrame decodes and checks the frame that data begins with. n is its length in bytes; n == 0
// without an error says that data ends before the frame does (a torn tail, or more is to come). Errors
// are *CorruptError. Nothing is allocated, whatever lengths data claims. The records' sum is checked,
// their syntax is not (see ForEachRecord).
func DecodeFrame(data []byte) (f Frame, n int, err error) {
	h, line, err := DecodeHeader(data)
	if line == 0 {
		return Frame{}, 0, err
	}
	return DecodeBody(h, line, data)
}

// DecodeBody is DecodeFrame where DecodeHeader has found h, in so many bytes, at the head of data.
func DecodeBody(h Header, line int, data []byte) (f Frame, n int, err error) {
	if uint64(len(data)-line) < h.Len() {
		return Frame{}, 0, nil
	}
	n = line + int(h.Len())
	f = Frame{Header: h, Line: data[:line:line], Records: data[line:n:n]}
	lead := h.Lead()
	if AddSum(sumAnnotation(f.Line[:lead], f.Line[lead:]), f.Records) != h.Sum {
		return Frame{}, 0, &CorruptError{offSum, "checksum mismatch"}
	}
	return f, n, nil
}

// Lead returns the length of the line that says the time.
func (h *Header) Lead() int {
	if h.TimeSec == 0 {
		return 0
	}
	return timeLine
}

// putPlain writes what all lines of plain frames of an incarnation have in common.
func putPlain(line []byte, incarnation uint32) {
	copy(line, "#F00000000 00000000 0000000000000000 0000000000\r\n")
	putHex8(line[offIncarnation:], incarnation)
}

// putPiece writes what the lines of all pieces of h's commit have in common, with a bitmap of so many
// digits, and returns their length.
func (h *Header) putPiece(line *[pieceMost]byte, digits int) int {
	putPlain(line[:], h.Incarnation)
	line[1], line[47], line[58], line[69] = kindPiece, ' ', ' ', ' '
	putHex10(line[offWhole:], h.TxEnd-h.TxStart)
	for i := range digits {
		bit := i * 6
		v := h.Shards[bit>>6] >> (bit & 63)
		if bit&63 > 58 && bit>>6+1 < len(h.Shards) {
			v |= h.Shards[bit>>6+1] << (64 - bit&63)
		}
		line[offShards+i] = bitmapDigits[v&63]
	}
	n := pieceFixed + digits
	line[n-2], line[n-1] = '\r', '\n'
	return n
}

// bitmapWidth returns the digits of a bitmap of so many shards.
func bitmapWidth(shards int) int { return (shards + 5) / 6 }

// putHex8 writes v as 8 hexadecimal digits: the nibbles are spread over the bytes of a word, and those
// above 9 moved on to the letters, all at once.
func putHex8(dst []byte, v uint32) { binary.BigEndian.PutUint64(dst, hex8(v)) }

func hex8(v uint32) uint64 {
	x := uint64(v)
	x = (x<<16 | x) & 0x0000ffff0000ffff
	x = (x<<8 | x) & 0x00ff00ff00ff00ff
	x = (x<<4 | x) & 0x0f0f0f0f0f0f0f0f
	letters := (x + 0x0606060606060606) >> 4 & 0x0101010101010101
	return x + 0x3030303030303030 + letters*('a'-'0'-10)
}

// putHex10 writes the low 40 bits of v as 10 digits.
func putHex10(dst []byte, v uint64) {
	high := uint16('0'<<8 | '0')
	if v > math.MaxUint32 {
		high = uint16(hex8(uint32(v>>32) & 0xff))
	}
	binary.BigEndian.PutUint16(dst, high)
	putHex8(dst[2:], uint32(v))
}

// unhex8 returns the value of 8 digits that are known to be digits.
func unhex8(x uint64) uint32 {
	x = x&0x0f0f0f0f0f0f0f0f + x>>6&0x0101010101010101*9
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16)
}

func unhex10(src []byte) uint64 {
	high := unhex8(uint64(binary.BigEndian.Uint16(src)) | 0x3030303030300000)
	return uint64(high)<<32 | uint64(unhex8(binary.BigEndian.Uint64(src[2:])))
}

func parseHex8(src []byte) (uint32, bool) {
	x := binary.BigEndian.Uint64(src)
	v := unhex8(x)
	return v, hex8(v) == x
}

func parseHex10(src []byte) (uint64, bool) {
	x := uint64(binary.BigEndian.Uint16(src)) | 0x3030303030300000
	high := unhex8(x)
	low, ok := parseHex8(src[2:])
	return uint64(high)<<32 | uint64(low), ok && hex8(high) == x
}

func parseHex16(src []byte) (uint64, bool) {
	high, ok1 := parseHex8(src)
	low, ok2 := parseHex8(src[8:])
	return uint64(high)<<32 | uint64(low), ok1 && ok2
}
