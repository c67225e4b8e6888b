package rdb

import (
	"encoding/binary"

	"fulmen/internal/crc"
	"fulmen/shard/ds/index"
)

// Dumper makes what DUMP replies: the type of a value and the value as in a file, u16 the version, and u64 the CRC-64
// of all that. It belongs to one goroutine; the zero value is ready for use.
type Dumper struct{ w Writer }

// Append appends the value in e to dst. Of the options, Version and Checksum are not looked at: the version is the one
// that the value needs, and there is always a sum. Entry says what must not change meanwhile.
func (d *Dumper) Append(dst []byte, e index.Entry, o WriteOptions) []byte {
	o.Version = NeedsVersion(e)
	w, from := &d.w, len(dst)
	w.Reset(nil, o)
	w.buf = dst
	tag, payload := e.Tag(), e.Payload()
	t := w.typeOf(tag, payload)
	w.buf = append(w.buf, t)
	w.value(t, tag, payload)
	dst = w.buf
	w.buf = nil
	return appendFooter(dst, from, o.Version)
}

// appendFooter ends a payload, which begins at from, with its version and its sum.
func appendFooter(dst []byte, from, version int) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(version))
	return binary.LittleEndian.AppendUint64(dst, crc.Sum64(dst[from:]))
}
