package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"fulmen/internal/crc"
	"fulmen/internal/resp"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// A BASE is RDB files (package snapshot) or, with aof-use-rdb-preamble no, commands: one file a shard either way. Those
// of commands are loaded here, each on the lane of its shard: no two of them have a key in common.

// LoadBase has the commands of those live BASE files executed that have commands. p is told how far it is. Errors are
// those of Load.
func LoadBase(o *LoadOptions, p *LoadProgress) error {
	var files []File
	for _, f := range o.Manifest.Live(Base) {
		if f.Format == FormatAOF {
			files = append(files, f)
			p.TotalBytes.Add(f.SizeBytes)
		}
	}
	errs := make([]error, len(files))
	var all sync.WaitGroup
	for i := range files {
		all.Go(func() { errs[i] = loadBase(o, &files[i], p) })
	}
	all.Wait()
	err := errors.Join(errs...)
	var damaged *CorruptError
	if errors.As(err, &damaged) {
		err = &adviceError{err, fmt.Sprintf("No start does without this BASE: put it back from a copy. `fulmen-check "+
			"repair --fix %s` cuts it, of which you should make a backup before, where it can't be read, and what is "+
			"left can be loaded as a file of Redis's", damaged.File)}
	}
	return err
}

// loadBase loads one file.
func loadBase(o *LoadOptions, f *File, p *LoadProgress) error {
	path := f.Path(o.Dir, o.Name)
	var parts [1][]byte
	return ReadBase(o.FS, path, f, func(records []byte, n int64) error {
		parts[0] = records
		_, commands, err := o.Applier.Apply(max(f.Shard, 0), parts[:])
		p.Commands.Add(int64(commands))
		p.ReadBytes.Add(n)
		if err != nil {
			return fmt.Errorf("aof: %s: %w", path, err)
		}
		return nil
	})
}

// ReadBase reads the commands of a BASE file, of which a manifest says what f has, and gives them to visit some at a
// time: records are whole ones, valid until it returns, and begin in database 0, with a SELECT before them if need be;
// of the file they are n bytes. Errors are those of the file system, visit's, and *CorruptError: also after the last
// visit, where the file is not as long as the manifest says, or its sum differs.
func ReadBase(fsys vfs.FS, path string, f *File, visit func(records []byte, n int64) error) (err error) {
	file, err := fsys.Open(path)
	if err != nil {
		return missingFile(path, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	b := baseReader{path: path, file: file, want: f.SizeBytes}
	for {
		n, more, err := b.next()
		if err != nil {
			return err
		}
		if n > 0 {
			if err := visit(b.part[:b.whole], int64(n)); err != nil {
				return err
			}
		}
		if !more {
			break
		}
	}
	switch left := len(b.part) - b.whole; {
	case left > 0:
		return b.corrupt(b.offset-int64(left), "ends in the middle of a command", io.ErrUnexpectedEOF)
	case b.offset != f.SizeBytes:
		return b.corrupt(b.offset, fmt.Sprintf("has %d bytes, and the manifest says %d", b.offset, f.SizeBytes), nil)
	case b.sum != f.CRC64:
		return b.corrupt(0, "its sum is not the one that the manifest says", ErrChecksum)
	}
	return nil
}

// baseReader reads a BASE file of commands.
type baseReader struct {
	path   string
	file   vfs.Reader
	want   int64  // bytes that the manifest says
	offset int64  // of what is read next
	sum    uint64 // of what was read
	db     int    // selected behind part[:whole]
	part   []byte // what visit gets, and behind it the beginning of what comes next
	whole  int    // the length of what visit gets
	rest   []byte // scratch
	args   [][]byte
}

// next reads on: whole commands are in part[:whole] then, of which n bytes are the file's. more is false at its end.
func (b *baseReader) next() (n int, more bool, err error) {
	b.rest = append(b.rest[:0], b.part[b.whole:]...)
	b.part = b.part[:0]
	if b.db != 0 {
		b.part = resp.AppendCommandStrings(b.part, "SELECT", strconv.Itoa(b.db))
	}
	b.whole = len(b.part)
	b.part = append(b.part, b.rest...)
	size := int(min(readBytes, max(b.want-b.offset, 0)+1)) // to the end, and a byte more if there should be none
	size = max(size, 2*len(b.rest))                        // a long command takes several turns, of double the length
	b.part = slices.Grow(b.part, size)
	fresh := b.part[len(b.part) : len(b.part)+size]
	got, err := io.ReadFull(b.file, fresh)
	if more = err == nil; err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("aof: %w", err)
	}
	fresh = fresh[:got]
	b.sum = crc.UpdateXZ(b.sum, fresh)
	b.offset += int64(got)
	b.part = b.part[:len(b.part)+got]
	before := b.whole
	err = b.measure()
	return b.whole - before, more, err
}

// measure finds out where the last whole command ends.
func (b *baseReader) measure() error {
	for {
		args, n, err := log.DecodeRecord(b.part[b.whole:], b.args[:0])
		var wrong *log.CorruptError
		if errors.As(err, &wrong) {
			return b.corrupt(b.offset-int64(len(b.part)-b.whole)+wrong.Offset, "a command that can't be read", err)
		}
		if n == 0 {
			return nil
		}
		if b.args = args; len(args) == 2 && bytes.Equal(args[0], []byte("SELECT")) {
			if b.db, err = strconv.Atoi(string(args[1])); err != nil {
				return b.corrupt(b.offset-int64(len(b.part)-b.whole), "selects no database", err)
			}
		}
		b.whole += n
	}
}

func (b *baseReader) corrupt(at int64, reason string, err error) error {
	return &CorruptError{File: b.path, Offset: at, Reason: reason, Err: err}
}
