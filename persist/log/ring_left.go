package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fulmen/persist/vfs"
)

// A ring whose server was killed, and never started again, stays until the system ends. Who wants to know of such rings
// must not try their locks: a server that starts at that moment would find its own ring locked. The system lists the
// locks that there are (/proc/locks), but in a namespace of processes only those of its own processes. So a ring says
// in which namespace it was made; what can't be told from here counts as nothing that is left.

// RingOwner says of a ring who has made it. The file has it behind the header's fields: their sum, the length of Dir,
// the namespace, Dir. Readers that don't know of it find all that they look for.
type RingOwner struct {
	Dir       string // the AOF's directory as its maker names it, an absolute path
	Namespace uint64 // of processes: pidNamespace; 0: not known
}

const (
	offOwnerSum  = headerEnd
	offOwnerLen  = offOwnerSum + 4
	offOwnerNS   = offOwnerSum + 8
	offOwnerDir  = offOwnerSum + 16
	maxOwnerDir  = headerBytes - offOwnerDir
	procLocks    = "/proc/locks"
	procPidSpace = "/proc/self/ns/pid"
	// initialPIDNamespace is the first one, whose processes all others are, too (PROC_PID_INIT_INO, linux/proc_ns.h).
	initialPIDNamespace = 0xeffffffc
)

// put writes what there is room for.
func (o *RingOwner) put(header []byte) {
	if len(o.Dir) > maxOwnerDir {
		return
	}
	order := binary.NativeEndian
	order.PutUint16(header[offOwnerLen:], uint16(len(o.Dir)))
	order.PutUint64(header[offOwnerNS:], o.Namespace)
	copy(header[offOwnerDir:], o.Dir)
	order.PutUint32(header[offOwnerSum:], o.sum(header))
}

// sum is of what put has written.
func (o *RingOwner) sum(header []byte) uint32 {
	return crc32.Checksum(header[offOwnerLen:offOwnerDir+len(o.Dir)], castagnoli)
}

// ownerOf returns what a header says, nothing if that is nothing, or damaged.
func ownerOf(header []byte) RingOwner {
	order := binary.NativeEndian
	n := int(order.Uint16(header[offOwnerLen:]))
	if n == 0 || n > maxOwnerDir {
		return RingOwner{}
	}
	o := RingOwner{
		Dir: string(header[offOwnerDir : offOwnerDir+n]), Namespace: order.Uint64(header[offOwnerNS:]),
	}
	if o.sum(header) != order.Uint32(header[offOwnerSum:]) {
		return RingOwner{}
	}
	return o
}

// fileID is what the system knows a file by.
type fileID struct {
	device, inode uint64
	owner         uint32
	regular       bool
	size          int64
}

// idOf returns it. The error wraps errors.ErrUnsupported where there is no such thing.
func idOf(fsys vfs.FS, name string) (id fileID, err error) {
	info, err := fsys.Stat(name)
	if err != nil {
		return id, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return id, fmt.Errorf("%s: %w", name, errors.ErrUnsupported)
	}
	return fileID{uint64(stat.Dev), stat.Ino, stat.Uid, info.Mode().IsRegular(), info.Size()}, nil
}

// pidNamespace returns the namespace of processes that this one is in, and lists locks of.
func pidNamespace(fsys vfs.FS) (uint64, error) {
	id, err := idOf(fsys, procPidSpace)
	return id.inode, err
}

// NewRingOwner returns the owner of a ring that this process makes for an AOF's directory.
func NewRingOwner(fsys vfs.FS, dir string) RingOwner {
	o := RingOwner{Dir: dir}
	if ns, err := pidNamespace(fsys); err == nil { // else nothing is told of the ring
		o.Namespace = ns
	}
	return o
}

// fileLocks are the files that the system says are locked.
type fileLocks struct {
	devices map[[2]uint64]bool // device and inode
	inodes  map[uint64]bool
}

// readLocks reads /proc/locks: "1: FLOCK  ADVISORY  WRITE 708 00:1a:6 0 EOF", the device in hexadecimal; what waits for
// a lock has "->" behind the number.
func readLocks(fsys vfs.FS) (*fileLocks, error) {
	text, err := fsys.ReadFile(procLocks)
	if err != nil {
		return nil, err
	}
	l := &fileLocks{map[[2]uint64]bool{}, map[uint64]bool{}}
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		for i, word := range words {
			if word != "FLOCK" || i+4 >= len(words) {
				continue
			}
			part := strings.Split(words[i+4], ":")
			if len(part) != 3 {
				break
			}
			major, err := strconv.ParseUint(part[0], 16, 32)
			minor, err2 := strconv.ParseUint(part[1], 16, 32)
			inode, err3 := strconv.ParseUint(part[2], 10, 64)
			if err = errors.Join(err, err2, err3); err != nil {
				return nil, fmt.Errorf("%s: %q: %w", procLocks, line, err)
			}
			l.devices[[2]uint64{unix.Mkdev(uint32(major), uint32(minor)), inode}] = true
			l.inodes[inode] = true
			break
		}
	}
	return l, nil
}

// LeftRing is a ring file that no process uses.
type LeftRing struct {
	Name      string
	SizeBytes int64
	Owner     RingOwner // zero if it doesn't say so
}

// LeftRings returns the rings in dir of this user that no living process has, nor one that has the owner's directory:
// which is about to read its ring, or has another. No lock is touched. mine is the name of something that this process
// has locked: where that isn't listed nothing can be told, as of rings that were made in another namespace of
// processes. unclear is how many those are. The error wraps errors.ErrUnsupported where a system lists no locks.
func LeftRings(fsys vfs.FS, dir, mine string) (left []LeftRing, unclear int, err error) {
	names, err := fsys.Glob(filepath.Join(escapePattern(dir), "fulmen-*.ring"))
	if err != nil || len(names) == 0 {
		return nil, 0, err
	}
	me, err := idOf(fsys, mine)
	if err != nil {
		return nil, 0, fmt.Errorf("log: rings: %w", err)
	}
	ns, err := pidNamespace(fsys)
	if err != nil {
		return nil, 0, fmt.Errorf("log: rings: %w", err)
	}
	ids := map[string]fileID{}
	for _, name := range names {
		id, err := idOf(fsys, name)
		if err != nil || !id.regular || id.owner != me.owner {
			continue // it is gone, or none of ours
		}
		if header, ok := ringHeader(fsys, name, id.size); ok {
			ids[name] = id
			left = append(left, LeftRing{name, id.size, ownerOf(header)})
		}
	}
	// A ring is locked before its header is there, so whoever had one of these has it still, or has ended.
	locks, err := readLocks(fsys)
	if err != nil {
		return nil, 0, fmt.Errorf("log: rings: %w", err)
	}
	kept := left[:0]
	for _, r := range left {
		id := ids[r.Name]
		now, err := idOf(fsys, r.Name)
		switch {
		case locks.devices[[2]uint64{id.device, id.inode}], err != nil, now != id, locks.owner(fsys, &r.Owner):
		case !locks.inodes[me.inode], ns != initialPIDNamespace && r.Owner.Namespace != ns:
			unclear++
		default:
			kept = append(kept, r)
		}
	}
	return kept, unclear, nil
}

// owner reports whether somebody has locked an owner's directory. The device is not looked at: some file systems list
// another one than they have.
func (l *fileLocks) owner(fsys vfs.FS, o *RingOwner) bool {
	if o.Dir == "" {
		return false
	}
	id, err := idOf(fsys, o.Dir)
	return err == nil && l.inodes[id.inode]
}

// ringHeader returns the header of a ring that is finished.
func ringHeader(fsys vfs.FS, name string, size int64) (header []byte, ok bool) {
	file, err := fsys.Open(name)
	if err != nil || size < headerBytes {
		return nil, false
	}
	header = make([]byte, headerBytes)
	n, _ := file.ReadAt(header, size-headerBytes)
	_ = file.Close() // it was only read
	order := binary.NativeEndian
	return header, n == headerBytes && order.Uint64(header) == ringMagic &&
		crc32.Checksum(header[offBoot:headerEnd], castagnoli) == order.Uint32(header[offRingSum:])
}

// escapePattern returns a pattern that only a name matches.
func escapePattern(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
