package log

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"fulmen/persist/vfs"
)

// A ring file lasts for one boot of one machine, so its numbers are in the machine's byte order, and those that change
// while it is used are words that are stored as one:
//
//	blocks   mem of each block, blockBytes each
//	tails    for each shard, in a cache line of its own: tailWord of the published tail
//	table    for each block: its base, a word; shard + 1, 4 bytes, and their sum, 4 bytes, one word: 0 if it is free
//	…        to the boundary of a page
//	header   a page: magic, version, sum of what follows, boot id, directory id, incarnation, shards, size and number
//	         of blocks; and behind these who has made it: RingOwner
//
// The header comes last so that blocks lie on the boundaries of huge pages, and the magic is stored last of all.
const (
	ringVersion   = 1
	ringMagic     = 0x474e49524d4c5546 // "FULMRING" in little-endian order
	maxRingBlocks = 1 << 16
	tailStride    = cacheLine
	entryBytes    = 16

	headerBytes = 4096
	offVersion  = 8
	offRingSum  = 12
	offBoot     = 16
	offDirID    = 32
	offLife     = 40
	offRingNum  = 44 // shards
	offBlockLen = 48
	offBlocks   = 52
	headerEnd   = 56
)

// A tail is stored added to one constant and multiplied by another, an odd one. That is undone without loss, and makes
// a word in which a bit has changed, or zero, read as a position that no log gets to.
const (
	tailAddend  = 0x6c62272e07bb0142
	tailFactor  = 0x9e3779b97f4a7c15
	tailInverse = 0xf1de83e19937733d // tailFactor × tailInverse = 1 mod 2^64
	tailBeyond  = 1 << 44            // no log in memory is as long
)

func tailWord(tail uint64) uint64 { return (tail + tailAddend) * tailFactor }

func tailOfWord(word uint64) uint64 { return word*tailInverse - tailAddend }

// RingIdentity says whose a ring is.
type RingIdentity struct {
	Boot        [16]byte // which start of the operating system: BootID
	DirID       uint64   // of the AOF's directory
	Incarnation uint32   // of the frames in it
	Shards      int
}

// BootID returns the number that the operating system has drawn when it was started, which is as long as memory lasts.
func BootID(fsys vfs.FS) (id [16]byte, err error) {
	const name = "/proc/sys/kernel/random/boot_id"
	text, err := fsys.ReadFile(name)
	if err != nil {
		return id, fmt.Errorf("log: %w", err)
	}
	digits := strings.ReplaceAll(strings.TrimSpace(string(text)), "-", "")
	n, err := hex.Decode(id[:], []byte(digits[:min(len(digits), 2*len(id))]))
	if err != nil || n != len(id) || len(digits) != 2*len(id) {
		return id, fmt.Errorf("log: %s: %q is no boot id", name, text)
	}
	return id, nil
}

// RingName returns the name of the ring file of an AOF directory in dir.
func RingName(dir string, dirID uint64) string {
	return filepath.Join(dir, fmt.Sprintf("fulmen-%016x.ring", dirID))
}

// RingOptions say what ring to make.
type RingOptions struct {
	FS  vfs.FS
	Dir string // on a file system in memory, like /dev/shm

	// SizeBytes is what the blocks take, rounded to whole ones; at least two a shard, at most 64 GiB.
	SizeBytes int64
	Identity  RingIdentity
	Owner     RingOwner
}

// Ring is a file in memory that a log's blocks lie in, so that what is published outlives the process, see ReadRing. A
// Log uses one after UseRing. Methods may be called by any goroutine.
type Ring struct {
	// Immutable.
	fs       vfs.FS
	name     string
	identity RingIdentity
	mem      []byte
	layout   ringLayout

	mu     sync.Mutex
	shared vfs.Shared
	free   *block // blocks that nobody holds, by block.free
	idle   int    // … and their number
	used   bool   // by a Log
	closed bool

	entryLate bool // tests only: a block's entry is not written when it is taken
}

// ringLayout is where in the file what is.
type ringLayout struct {
	shards, blocks int
}

func (l ringLayout) tail(shard int) int  { return l.blocks*blockBytes + shard*tailStride }
func (l ringLayout) entry(block int) int { return l.tail(l.shards) + block*entryBytes }

func (l ringLayout) header() int {
	return (l.entry(l.blocks) + headerBytes - 1) &^ (headerBytes - 1)
}

func (l ringLayout) size() int64 { return int64(l.header() + headerBytes) }

// CreateRing makes a ring file for a new life of the server, in place of one that an earlier life has left: what is in
// that must have been recovered before. Where there can be no ring the error wraps vfs.ErrNotMemory,
// errors.ErrUnsupported, syscall.ENOSPC, vfs.ErrNotPrivate (a file, or a directory, that others have a hand in),
// vfs.ErrLocked (another process uses the directory's ring), or another error of the system: it is the caller's to go
// on without one.
func CreateRing(o RingOptions) (*Ring, error) {
	id := o.Identity
	if id.Shards < 1 || id.Shards > MaxShards {
		return nil, fmt.Errorf("log: a ring for %d shards", id.Shards)
	}
	layout := ringLayout{id.Shards, int(min(max(o.SizeBytes/blockBytes, 2*int64(id.Shards)), maxRingBlocks))}
	name := RingName(o.Dir, id.DirID)
	if err := removeLeft(o.FS, name); err != nil {
		return nil, fmt.Errorf("log: ring: %w", err)
	}
	shared, err := o.FS.CreateShared(name, layout.size())
	if err != nil {
		return nil, fmt.Errorf("log: ring: %w", err)
	}
	r := &Ring{fs: o.FS, name: name, identity: id, mem: shared.Bytes(), layout: layout, shared: shared}
	for i := range id.Shards {
		r.tail(i).Store(tailWord(0))
	}
	for i := layout.blocks - 1; i >= 0; i-- {
		at := i * blockBytes
		r.free = &block{mem: r.mem[at : at+blockBytes : at+blockBytes], ring: r, slot: i, free: r.free}
	}
	r.idle = layout.blocks
	header := r.mem[layout.header():]
	id.put(header, layout.blocks)
	o.Owner.put(header)
	r.word(layout.header()).Store(ringMagic)
	return r, nil
}

// removeLeft removes the file of an earlier life, if there is one, while nobody else can.
func removeLeft(fsys vfs.FS, name string) error {
	left, err := fsys.OpenPrivate(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = fsys.Remove(name)
	if closeErr := left.Close(); err == nil {
		err = closeErr
	}
	return err
}

// put writes a header but for its magic.
func (id *RingIdentity) put(header []byte, blocks int) {
	order := binary.NativeEndian
	order.PutUint32(header[offVersion:], ringVersion)
	copy(header[offBoot:], id.Boot[:])
	order.PutUint64(header[offDirID:], id.DirID)
	order.PutUint32(header[offLife:], id.Incarnation)
	order.PutUint32(header[offRingNum:], uint32(id.Shards))
	order.PutUint32(header[offBlockLen:], blockBytes)
	order.PutUint32(header[offBlocks:], uint32(blocks))
	order.PutUint32(header[offRingSum:], crc32.Checksum(header[offBoot:headerEnd], castagnoli))
}

func (r *Ring) word(at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&r.mem[at])) }

func (r *Ring) tail(shard int) *atomic.Uint64 { return r.word(r.layout.tail(shard)) }

// Name returns the name of the file.
func (r *Ring) Name() string { return r.name }

// SizeBytes returns the size of the file.
func (r *Ring) SizeBytes() int64 { return r.layout.size() }

// take returns a block for a shard's log from base on, nil if all are in use.
func (r *Ring) take(base uint64, shard int) *block {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.free
	if b == nil || r.closed {
		return nil
	}
	r.free, b.free = b.free, nil
	r.idle--
	if !r.entryLate {
		r.enter(b.slot, base, shard)
	}
	return b
}

// enter writes a block's entry, before the first byte for its new shard is published: first what it says, which counts
// for nothing yet.
func (r *Ring) enter(slot int, base uint64, shard int) {
	at := r.layout.entry(slot)
	r.word(at).Store(base)
	r.word(at + 8).Store(entryWord(slot, base, shard))
}

// entryWord returns the second word of an entry.
func entryWord(slot int, base uint64, shard int) uint64 {
	var text [20]byte
	binary.LittleEndian.PutUint64(text[:], base)
	binary.LittleEndian.PutUint64(text[8:], uint64(slot))
	binary.LittleEndian.PutUint32(text[16:], uint32(shard))
	return uint64(crc32.Checksum(text[:], castagnoli))<<32 | uint64(shard+1)
}

// give takes back a block that nobody holds any more.
func (r *Ring) give(b *block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.word(r.layout.entry(b.slot) + 8).Store(0)
	b.free = r.free
	r.free = b
	r.idle++
	r.unmap()
}

// idleBlocks returns how many blocks are free.
func (r *Ring) idleBlocks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idle
}

func (r *Ring) use(used bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if used && (r.used || r.closed) {
		panic("BUG: log: ring used twice, or after it was closed")
	}
	r.used = used
	r.unmap()
}

// Close removes the file: at a clean stop, once everything is in files and synced, or after UseRing(nil). The memory
// stays for as long as a Log uses it, which takes no new blocks of it any more, or somebody holds blocks. Closing twice
// is allowed.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.fs.Remove(r.name) // locked as long as it is mapped, so it is ours
	r.unmap()
	if err != nil {
		return fmt.Errorf("log: ring: %w", err)
	}
	return nil
}

// unmap gives back the memory of a closed ring once nobody is in it.
func (r *Ring) unmap() {
	if !r.closed || r.used || r.idle < r.layout.blocks || r.shared == nil {
		return
	}
	_ = r.shared.Close() // what there is to lose was lost with the name
	r.shared, r.mem, r.free = nil, nil, nil
}
