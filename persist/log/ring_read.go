package log

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"fulmen/persist/vfs"
)

// RingError says why nothing in a ring file can be used.
type RingError struct {
	Name   string
	Reason string
	// Stale tells that it is of another life, boot or directory, or was never finished: then it has nothing that is
	// missed. Otherwise it is damaged, and what it had is lost but for what is in files.
	Stale bool
}

// Error says which file and why.
func (e *RingError) Error() string {
	if e.Stale {
		return fmt.Sprintf("log: ring %s is stale: %s", e.Name, e.Reason)
	}
	return fmt.Sprintf("log: ring %s is damaged: %s", e.Name, e.Reason)
}

// RingContent is what a life of the server has left in its ring. It owns its memory.
type RingContent struct {
	Identity RingIdentity
	Shards   []RingShard
}

// RingShard is what there is of one shard's log.
//
// The bytes are those that were published, none behind the tail. A range begins at the base of a block, which may be
// inside a frame: its beginning is in the files then, or the frame is lost. They were not looked at: frames carry sums
// (DecodeFrame).
type RingShard struct {
	Tail   uint64      // published end of the log, also of what is not in the ring; the end of a frame
	Ranges []RingRange // ascending, none empty, with holes between them
}

// RingRange is bytes of a shard's log, from a position on.
type RingRange struct {
	Pos  uint64
	Data []byte
}

// From returns the log's bytes from pos on, without a hole. ok tells that they go to the tail (none, at the tail): then
// all that was published from pos on is there. Otherwise the log went on in blocks beside the ring: what follows a hole
// was published, but no more of it was safe than the files have (SafeLSN), nor of later LSNs in other shards.
func (s *RingShard) From(pos uint64) (data []byte, ok bool) {
	for _, r := range s.Ranges {
		if end := r.Pos + uint64(len(r.Data)); r.Pos <= pos && pos < end {
			return r.Data[pos-r.Pos:], end == s.Tail
		}
	}
	return nil, pos == s.Tail
}

// ringFaults are mistakes of ReadRing that tests make on purpose.
type ringFaults struct {
	anyBoot, anyIncarnation bool
}

// ReadRing reads the ring that a process has left which was killed, and only if it is want's: written since the same
// start of the system, for the same directory and number of shards, by the incarnation that the manifest still names.
//
// Errors wrap fs.ErrNotExist if there is none, vfs.ErrLocked if its process lives, vfs.ErrNotPrivate if others had
// access to the file, errors.ErrUnsupported where there are no rings, or are a *RingError, or other errors of the
// system. The file stays as it is, until CreateRing.
//
// A header, a block's entry or a tail in which anything has changed is recognised, but for one in 2^32, or 2^20, that
// happens to fit. So no byte of another shard, position or life is returned. The bytes themselves are the caller's to
// check.
func ReadRing(fsys vfs.FS, name string, want RingIdentity) (*RingContent, error) {
	return readRing(fsys, name, want, ringFaults{})
}

func readRing(fsys vfs.FS, name string, want RingIdentity, faults ringFaults) (*RingContent, error) {
	file, err := fsys.OpenPrivate(name)
	if err != nil {
		return nil, fmt.Errorf("log: ring: %w", err)
	}
	rr := ringReader{file: file, name: name, want: want, faults: faults}
	content, err := rr.read()
	if closeErr := file.Close(); err == nil && closeErr != nil {
		return nil, fmt.Errorf("log: ring: %w", closeErr)
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}

type ringReader struct {
	file   vfs.Reader
	name   string
	want   RingIdentity
	faults ringFaults
	layout ringLayout
}

// held is a block of one shard.
type held struct {
	base uint64
	slot int
}

func (rr *ringReader) stale(format string, args ...any) error {
	return &RingError{rr.name, fmt.Sprintf(format, args...), true}
}

func (rr *ringReader) damaged(format string, args ...any) error {
	return &RingError{rr.name, fmt.Sprintf(format, args...), false}
}

func (rr *ringReader) read() (*RingContent, error) {
	if err := rr.readHeader(); err != nil {
		return nil, err
	}
	from := rr.layout.tail(0)
	text := make([]byte, rr.layout.header()-from)
	if err := rr.readAt(text, int64(from)); err != nil {
		return nil, err
	}
	blocks, err := rr.entries(text[rr.layout.entry(0)-from:])
	if err != nil {
		return nil, err
	}
	c := &RingContent{Identity: rr.want, Shards: make([]RingShard, rr.layout.shards)}
	for i := range c.Shards {
		tail := tailOfWord(binary.NativeEndian.Uint64(text[i*tailStride:]))
		if tail >= tailBeyond {
			return nil, rr.damaged("the tail of shard %d", i)
		}
		c.Shards[i].Tail = tail
		if c.Shards[i].Ranges, err = rr.ranges(blocks[i], tail); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (rr *ringReader) readAt(p []byte, offset int64) error {
	n, err := rr.file.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return rr.damaged("the file ends at %d", offset+int64(n))
	}
	return fmt.Errorf("log: ring: %w", err)
}

// readHeader finds out whose the ring is, and how big.
func (rr *ringReader) readHeader() error {
	info, err := rr.file.Stat()
	if err != nil {
		return fmt.Errorf("log: ring: %w", err)
	}
	if info.Size() == 0 {
		return rr.stale("it was not finished")
	}
	if info.Size() < headerBytes {
		return rr.damaged("%d bytes are too few", info.Size())
	}
	var header [headerBytes]byte
	if err := rr.readAt(header[:], info.Size()-headerBytes); err != nil {
		return err
	}
	order := binary.NativeEndian
	switch magic := order.Uint64(header[:]); {
	case magic == 0:
		return rr.stale("it was not finished")
	case magic != ringMagic:
		return rr.damaged("no ring ends like this")
	}
	if v := order.Uint32(header[offVersion:]); v != ringVersion {
		return rr.stale("format version %d, this program knows %d", v, ringVersion)
	}
	if crc32.Checksum(header[offBoot:headerEnd], castagnoli) != order.Uint32(header[offRingSum:]) {
		return rr.damaged("wrong checksum of the header")
	}
	var id RingIdentity
	copy(id.Boot[:], header[offBoot:])
	id.DirID = order.Uint64(header[offDirID:])
	id.Incarnation = order.Uint32(header[offLife:])
	id.Shards = int(order.Uint32(header[offRingNum:]))
	if err := rr.identify(id); err != nil {
		return err
	}
	rr.layout = ringLayout{id.Shards, int(order.Uint32(header[offBlocks:]))}
	if n := order.Uint32(header[offBlockLen:]); n != blockBytes {
		return rr.damaged("blocks of %d bytes", n)
	}
	if rr.layout.blocks > maxRingBlocks || rr.layout.size() != info.Size() {
		return rr.damaged("%d blocks in %d bytes", rr.layout.blocks, info.Size())
	}
	return nil
}

func (rr *ringReader) identify(id RingIdentity) error {
	switch {
	case id.Boot != rr.want.Boot && !rr.faults.anyBoot:
		return rr.stale("the system was started anew since")
	case id.DirID != rr.want.DirID:
		return rr.stale("it is of directory %016x, this is %016x", id.DirID, rr.want.DirID)
	case id.Incarnation != rr.want.Incarnation && !rr.faults.anyIncarnation:
		return rr.stale("it is of incarnation %d, the last one was %d", id.Incarnation, rr.want.Incarnation)
	case id.Shards != rr.want.Shards:
		return rr.stale("it is of %d shards, not %d", id.Shards, rr.want.Shards)
	}
	return nil
}

// entries returns each shard's blocks in the order of their positions.
func (rr *ringReader) entries(table []byte) ([][]held, error) {
	blocks := make([][]held, rr.layout.shards)
	for slot := range rr.layout.blocks {
		base := binary.NativeEndian.Uint64(table[slot*entryBytes:])
		word := binary.NativeEndian.Uint64(table[slot*entryBytes+8:])
		if word == 0 {
			continue
		}
		shard := int(uint32(word)) - 1
		if shard < 0 || shard >= rr.layout.shards || word != entryWord(slot, base, shard) || base >= tailBeyond {
			return nil, rr.damaged("the entry of block %d", slot)
		}
		blocks[shard] = append(blocks[shard], held{base, slot})
	}
	for i, list := range blocks {
		slices.SortFunc(list, func(a, b held) int { return cmp.Compare(a.base, b.base) })
		for j := 1; j < len(list); j++ {
			if list[j].base-list[j-1].base < blockBytes {
				return nil, rr.damaged("blocks %d and %d of shard %d overlap", list[j-1].slot, list[j].slot, i)
			}
		}
	}
	return blocks, nil
}

// ranges reads what a shard's blocks have below its tail.
func (rr *ringReader) ranges(list []held, tail uint64) (ranges []RingRange, err error) {
	for len(list) > 0 && list[0].base < tail {
		run := 1
		for run < len(list) && list[run].base == list[run-1].base+blockBytes && list[run].base < tail {
			run++
		}
		pos := list[0].base
		data := make([]byte, min(uint64(run)*blockBytes, tail-pos))
		for i, b := range list[:run] {
			part := data[i*blockBytes : min((i+1)*blockBytes, len(data))]
			if err := rr.readAt(part, int64(b.slot)*blockBytes); err != nil {
				return nil, err
			}
		}
		ranges = append(ranges, RingRange{pos, data})
		list = list[run:]
	}
	return ranges, nil
}
