package rdb

import (
	"fmt"
	"io"
	"math"
)

// ReadOptions says how a file is read.
type ReadOptions struct {
	File         string // its name, for errors
	SkipChecksum bool   // a wrong checksum is no error
	// Embedded says that other data may follow the end, as in an append-only file or on a connection. Else they are
	// an error.
	Embedded bool
}

// Reader reads a file of any version up to MaxVersion.
type Reader struct {
	s        source
	o        ReadOptions
	version  int
	checksum uint64
	db       int
	key      []byte
	aux      []byte
	valueOf  byte // the type of the value that comes next, if pending
	pending  bool
	started  bool
	err      error // what every call returns from now on
}

// NewReader returns a Reader of a whole file, whose name is for errors.
func NewReader(r io.Reader, file string) *Reader { return NewReaderOptions(r, ReadOptions{File: file}) }

// NewReaderOptions is NewReader with options. The Reader reads in pieces of 64 KiB: r needs no buffer of its own.
func NewReaderOptions(r io.Reader, o ReadOptions) *Reader {
	return &Reader{
		o: o,
		s: source{in: r, file: o.File, buf: make([]byte, windowSize), sums: !o.SkipChecksum},
	}
}

// Offset returns how many bytes of the file have been read: where the next part begins, or what is left of the one
// that Next has returned.
func (r *Reader) Offset() int64 { return r.s.offset() }

// Version returns the file's version; 0 before the first Next.
func (r *Reader) Version() int { return r.version }

// Checksum returns the checksum at the file's end, after Next has returned io.EOF. It is 0 if there is none.
func (r *Reader) Checksum() uint64 { return r.checksum }

// Buffered returns what has been read beyond the end of the file (ReadOptions.Embedded), after Next has returned
// io.EOF.
func (r *Reader) Buffered() []byte { return r.s.buf[r.s.at:r.s.end] }

// Next returns the next part of the file; io.EOF after the last, if the checksum is right. A value that has not been
// read is skipped. Errors are *CorruptError or those of the underlying reader, or what a Builder has returned; they
// are final.
func (r *Reader) Next() (Event, error) {
	if r.err != nil {
		return Event{}, r.err
	}
	e, err := r.next()
	r.err = err
	return e, err
}

func (r *Reader) next() (Event, error) {
	if !r.started {
		if err := r.header(); err != nil {
			return Event{}, err
		}
		r.started = true
	}
	if r.pending {
		r.pending = false
		if err := r.s.skipValue(r.valueOf); err != nil {
			return Event{}, err
		}
	}
	at := r.s.offset()
	op, err := r.s.byte()
	if err != nil {
		return Event{}, err
	}
	e := Event{DB: r.db, IdleSeconds: -1, Freq: -1}
	switch op {
	case opSelectDB, opResizeDB, opSlotInfo, opAux, opFunction2, opFunctionPre, opModuleAux:
		err = r.part(op, &e)
		return e, err
	case opEOF:
		return Event{}, r.footer()
	}
	err = r.keyOf(op, at, &e)
	return e, err
}

// header reads the magic and the version.
func (r *Reader) header() error {
	if err := r.s.need(headerLen); err != nil {
		return err
	}
	h, _ := r.s.bytes(uint64(headerLen))
	if string(h[:len(magic)]) != magic {
		return r.s.corrupt(0, "no RDB file: it doesn't begin with REDIS")
	}
	for _, c := range h[len(magic):] {
		if c-'0' > 9 {
			return r.s.corrupt(int64(len(magic)), "the version is no number")
		}
		r.version = r.version*10 + int(c-'0')
	}
	if r.version < 1 || r.version > MaxVersion {
		return &CorruptError{File: r.o.File, Offset: int64(len(magic)), Err: ErrVersion,
			Reason: fmt.Sprintf("version %d is not supported, only 1 to %d are", r.version, MaxVersion)}
	}
	return nil
}

// footer reads what follows the opcode EOF, and returns io.EOF if all is right.
func (r *Reader) footer() error {
	if r.version >= checksumVersion {
		r.s.settle()
		sum, at := r.s.sum, r.s.offset()
		stored, err := r.s.uint64()
		if err != nil {
			return err
		}
		r.checksum = stored
		if stored != 0 && stored != sum && r.s.sums {
			return &CorruptError{File: r.o.File, Offset: at, Err: ErrChecksum,
				Reason: fmt.Sprintf("the checksum is %016x, the content's is %016x", stored, sum)}
		}
	}
	if r.o.Embedded {
		return io.EOF
	}
	if r.s.at == r.s.end {
		switch err := r.s.refill(1); {
		case err == io.EOF:
			return io.EOF
		case err != nil:
			return r.s.readFailed(err)
		}
	}
	return r.s.corrupt(r.s.offset(), "there is more after the end")
}

// keyOf reads what stands before a key, beginning with op at an offset, and the key.
func (r *Reader) keyOf(op byte, at int64, e *Event) (err error) {
	for {
		switch op {
		case opExpireTimeMs:
			var ms uint64
			ms, err = r.s.uint64()
			e.ExpireAtMs = expiry(int64(ms))
		case opExpireTime:
			var seconds uint32
			seconds, err = r.s.uint32()
			e.ExpireAtMs = expiry(int64(int32(seconds)) * 1000)
			if int32(seconds) == -1 {
				e.ExpireAtMs = 0
			}
		case opFreq:
			var freq byte
			freq, err = r.s.byte()
			e.Freq = int(freq)
		case opIdle:
			var idle uint64
			idle, err = r.s.length()
			e.IdleSeconds = int64(min(idle, math.MaxInt64))
		default:
			return r.keyItself(op, at, e)
		}
		if err != nil {
			return err
		}
		at = r.s.offset()
		if op, err = r.s.byte(); err != nil {
			return err
		}
	}
}

// expiry returns a key's expiry for one in the file. -1 is none there.
func expiry(ms int64) int64 {
	if ms == -1 {
		return 0
	}
	return max(ms, 1)
}

// keyItself reads a key whose type was read at an offset.
func (r *Reader) keyItself(rdbType byte, at int64, e *Event) error {
	if _, ok := TypeOf(rdbType); !ok && rdbType != TypeModule2 {
		return r.s.corrupt(at, noType(rdbType))
	}
	key, err := r.s.string()
	if err != nil {
		return err
	}
	r.key = append(reuse(r.key), key...)
	e.Kind, e.Type, e.Key = EventKey, rdbType, r.key
	r.valueOf, r.pending = rdbType, true
	if rdbType == TypeModule2 {
		e.Module, err = r.s.peekModule()
	}
	return err
}

// noType says what is wrong with a byte that is no type whose values can be read or skipped.
func noType(b byte) string {
	switch {
	case b == TypeModulePre:
		return "a module's value in the form of Redis 4.0's release candidates cannot be read or skipped"
	case b >= opSlotInfo:
		return fmt.Sprintf("opcode %d where a key is due", b)
	}
	return fmt.Sprintf("%d is no type of a value", b)
}

// part reads the rest of a part that is no key.
func (r *Reader) part(op byte, e *Event) (err error) {
	switch op {
	case opSelectDB:
		e.Kind = EventSelectDB
		at := r.s.offset()
		db, err := r.s.length()
		if err == nil && db > math.MaxInt32 {
			err = r.s.corrupt(at, fmt.Sprintf("%d is no number of a database", db))
		}
		r.db = int(db)
		e.DB = r.db
		return err
	case opResizeDB:
		e.Kind = EventResizeDB
		return r.s.lengths(&e.Keys, &e.Expires)
	case opSlotInfo:
		e.Kind = EventSlotInfo
		return r.s.lengths(&e.Slot, &e.Keys, &e.Expires)
	case opAux:
		e.Kind = EventAux
		return r.pair(e)
	case opFunction2:
		e.Kind = EventFunction
		e.Code, err = r.s.string()
		return err
	case opFunctionPre:
		e.Kind = EventFunction
		return r.functionPre(e)
	}
	e.Kind = EventModuleAux
	e.Module, err = r.s.skipModuleAux()
	return err
}

// lengths reads some.
func (s *source) lengths(to ...*uint64) (err error) {
	for _, n := range to {
		if *n, err = s.length(); err != nil {
			return err
		}
	}
	return nil
}

// pair reads AuxKey and AuxValue.
func (r *Reader) pair(e *Event) error {
	key, err := r.s.string()
	if err != nil {
		return err
	}
	e.AuxKey = r.s.hold(key)
	e.AuxValue, err = r.s.string()
	return err
}

// functionPre reads a library as 7.0's release candidates wrote it.
func (r *Reader) functionPre(e *Event) error {
	if err := r.pair(e); err != nil {
		return err
	}
	r.aux = append(reuse(r.aux), e.AuxValue...)
	e.AuxValue = r.aux
	described, err := r.s.length()
	if err != nil {
		return err
	}
	if described != 0 {
		if err := r.s.skipString(); err != nil {
			return err
		}
	}
	e.Code, err = r.s.string()
	return err
}

// Value decodes the value of the key that Next has just returned, into b. It is ErrEmpty or ErrUnsupported for what the
// caller may leave out: then the next call of Next goes on. All other errors are final.
func (r *Reader) Value(b Builder) error {
	if err := r.take(); err != nil {
		return err
	}
	if !decodable(r.valueOf) {
		r.pending = true
		return ErrUnsupported
	}
	err := r.s.value(r.valueOf, b)
	if err == errNoElements {
		return ErrEmpty
	}
	r.err = err
	return err
}

// take begins the reading of the value that is pending.
func (r *Reader) take() error {
	if r.err != nil {
		return r.err
	}
	if !r.pending {
		return errNoValue
	}
	r.pending = false
	return nil
}

// Skip passes over the value of the key that Next has just returned, without decoding it. Lengths are checked,
// what they enclose is not.
func (r *Reader) Skip() error {
	if err := r.take(); err != nil {
		return err
	}
	r.err = r.s.skipValue(r.valueOf)
	return r.err
}

// Raw appends the value of the key that Next has just returned to dst, as it is in the file, without its type. It is
// checked as by Skip: DecodeValue does the rest. After an error the returned slice is dst.
func (r *Reader) Raw(dst []byte) ([]byte, error) {
	if err := r.take(); err != nil {
		return dst, err
	}
	r.s.settle()
	r.s.tape, r.s.taping = dst, true
	r.err = r.s.skipValue(r.valueOf)
	r.s.settle()
	out := r.s.tape
	r.s.tape, r.s.taping = nil, false
	if r.err != nil {
		return dst, r.err
	}
	return out, nil
}
