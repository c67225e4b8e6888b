package aof

import (
	"fmt"
	"math"

	"fulmen/persist/vfs"
)

const (
	// Room is taken on the disk in steps of a quarter of the file, within these bounds.
	leastRoomBytes = 64 << 10
	mostRoomBytes  = 16 << 20

	// A file gets a new mark with what is written to it, once that is so much since the last one, or so much time has
	// passed; and all files get one after a sync, under always not more often than that: there each sync would take
	// the header's page along.
	markEveryBytes = 1 << 20
	markEveryNs    = 1e9

	// The system is told to forget what has lasted, in steps, but for the newest of it: this much of all files together
	// stays in its memory, for replicas that are a little behind.
	forgetStepBytes = 4 << 20
	cachedBytes     = 64 << 20
)

// incrFile is an INCR file that is being written. It belongs to the Writer's goroutine, but for the file itself while a
// job syncs it.
type incrFile struct {
	file   vfs.File
	name   string
	header Header // Pos and LSN are known once the file is begun
	end    uint64 // position behind the last byte that belongs here; noEnd for the shard's newest file

	written uint64 // position behind what was written
	synced  uint64 // … and behind what has lasted
	headed  bool   // the header was written, and not lost since
	room    int64  // offset up to which there is room
	zeroed  int64  // … and up to which zeros were written
	size    int64  // bytes written, header included

	marked   uint64 // position when the mark was written
	markedNs int64

	forgotten int64 // offset up to which the system was told to forget what there is behind the header
}

const noEnd = math.MaxUint64

// createIncr makes the INCR files of all shards for a sequence number: empty, with room for a start, and so that they
// and their names last.
func createIncr(o *Options, seq uint64) ([]*incrFile, error) {
	shards := o.Log.Shards()
	files := make([]*incrFile, 0, shards)
	for i := range shards {
		f, err := createOne(o, seq, i)
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("aof: %w", err)
		}
		files = append(files, f)
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		closeAll(files)
		return nil, fmt.Errorf("aof: %w", err)
	}
	return files, nil
}

func createOne(o *Options, seq uint64, shard int) (*incrFile, error) {
	named := File{Kind: Incr, Shard: shard, Seq: seq, Format: FormatAOF}
	f := &incrFile{name: named.Path(o.Dir, o.Name), end: noEnd}
	f.header = Header{
		DirID: o.DirID, Incarnation: o.Incarnation, Shard: shard, Shards: o.Log.Shards(), Seq: seq,
	}
	file, err := o.FS.Create(f.name, 0o644)
	if err != nil {
		return nil, err
	}
	f.file = file
	if err = f.makeRoom(1); err == nil {
		err = file.Sync()
	}
	if err != nil {
		_ = file.Close() // nothing was written to it
		return nil, err
	}
	return f, nil
}

// closeAll closes files that nothing was written to.
func closeAll(files []*incrFile) {
	for _, f := range files {
		_ = f.file.Close()
	}
}

// begin says where the file's frames begin.
func (f *incrFile) begin(pos, lsn uint64) {
	f.header.Pos, f.header.LSN = pos, lsn
	f.written, f.synced, f.marked = pos, pos, pos
}

func (f *incrFile) offset(pos uint64) int64 { return HeaderBytes + int64(pos-f.header.Pos) }

// dirty reports whether something was written that has not lasted.
func (f *incrFile) dirty() bool { return f.written > f.synced }

// makeRoom takes room on the disk for the bytes below an offset, and some more.
func (f *incrFile) makeRoom(to int64) error {
	for f.room < to {
		step := min(max(f.room/4&^4095, leastRoomBytes), mostRoomBytes)
		if err := f.file.Allocate(f.room, step); err != nil {
			return err
		}
		f.room += step
	}
	return nil
}

// fill writes zeros behind an offset up to which data is about to be written. A sync of what is written over them later
// changes nothing but content, and needs no commit of the file system's journal.
func (f *incrFile) fill(from int64, zeros []byte) error {
	if len(zeros) == 0 || from <= f.zeroed || from+int64(len(zeros)) > f.room {
		return nil
	}
	n, err := f.file.WriteAt(zeros, from)
	f.zeroed = from + int64(n)
	return err
}

// write writes p, which begins at pos, and returns how much of it was written; zeros goes behind it if it has come to
// the end of those that are there.
func (f *incrFile) write(pos uint64, p, zeros []byte) (int, error) {
	to := f.offset(pos) + int64(len(p))
	if err := f.makeRoom(to + int64(len(zeros))); err != nil {
		return 0, err
	}
	if !f.headed { // before anything is behind it: a header that is cut short is at the end of the file
		if err := f.writeHeader(); err != nil {
			return 0, err
		}
	}
	if err := f.fill(to, zeros); err != nil {
		return 0, err
	}
	n, err := f.file.WriteAt(p, f.offset(pos))
	f.written = max(f.written, pos+uint64(n))
	f.size = max(f.size, f.offset(f.written))
	return n, err
}

func (f *incrFile) writeHeader() error {
	var text [HeaderBytes]byte
	_, err := f.file.WriteAt(f.header.Append(text[:0]), 0)
	f.headed = err == nil
	return err
}

// mark has the next write note that all below an LSN was synced, if it is time.
func (f *incrFile) mark(lsn uint64, nowNs int64) {
	if lsn <= f.header.MarkLSN || lsn < f.header.LSN {
		return
	}
	if f.written-f.marked < markEveryBytes && nowNs-f.markedNs < markEveryNs {
		return
	}
	f.header.MarkLSN, f.marked, f.markedNs = lsn, f.written, nowNs
	f.headed = false
}

// markNow notes in a file with a header that all below an LSN was synced. After an error the next write does it.
func (f *incrFile) markNow(lsn uint64, nowNs int64) error {
	if lsn <= f.header.MarkLSN || lsn < f.header.LSN {
		return nil
	}
	f.header.MarkLSN, f.marked, f.markedNs = lsn, f.written, nowNs
	return f.writeHeader()
}

// lose takes back what was written since the last sync that was good, because one has failed: it will be written again
// from pos on. What lies before, and has not lasted either, is no longer in memory; it returns how much that is.
func (f *incrFile) lose(pos uint64) (gone uint64) {
	if from := min(f.end, max(pos, f.header.Pos)); f.synced < from {
		gone = min(from, f.written) - f.synced
		f.synced = from
	}
	f.written, f.headed = f.synced, false
	return gone
}

// forget has the system forget what has lasted, but for the newest bytes of it, as many as are cached. Else the files
// would take all the memory that is free, which a machine has less of than it says: on a virtual one, memory that
// nothing has used yet is made when it is touched.
func (f *incrFile) forget(cached int64) {
	to := (f.offset(f.synced) - cached) &^ (forgetStepBytes - 1)
	if to > f.forgotten {
		from := max(f.forgotten, HeaderBytes) // the header is written again and again
		f.file.Forget(from, to-from)
		f.forgotten = to
	}
}

// finish closes a file that all has been written to and synced. The room that was not used is given back.
func (f *incrFile) finish() error {
	err := f.file.Truncate(f.size)
	if closeErr := f.file.Close(); err == nil {
		err = closeErr
	}
	return err
}
