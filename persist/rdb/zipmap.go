package rdb

import "encoding/binary"

// A zipmap, the form of small hashes up to Redis 2.4:
//
//	<fields: 1, or 254 for not kept> then for each field
//	<length> <field> <length> <unused: 1> <value> <as many unused bytes> and at last <0xFF>
//
// A length is one byte up to 253, or 254 and 4 bytes, little-endian.
const zipmapLong = 254

type zipmap struct {
	data []byte
	at   int
	n    int // fields so far
}

// parseZipmap begins the walk. reason says what is wrong, if anything is.
func parseZipmap(b []byte) (m zipmap, reason string) {
	if len(b) < 2 {
		return m, "zipmap: it has no header"
	}
	if b[len(b)-1] != containerEnd {
		return m, "zipmap: it has no end"
	}
	return zipmap{data: b, at: 1}, ""
}

// count returns the number of fields by the header; 0 if it doesn't say.
func (m *zipmap) count() uint64 {
	if m.data[0] >= zipmapLong {
		return 0
	}
	return uint64(m.data[0])
}

// next returns the next field and its value. ok is false at the end, and at a fault, whose reason is given.
func (m *zipmap) next() (field, value []byte, ok bool, reason string) {
	if m.data[m.at] == containerEnd {
		switch {
		case m.at != len(m.data)-1:
			return nil, nil, false, "zipmap: it ends before its last byte"
		case m.data[0] != zipmapLong && int(m.data[0]) != m.n:
			return nil, nil, false, "zipmap: its header has another number of fields"
		}
		return nil, nil, false, ""
	}
	const beyond = "zipmap: a field goes beyond the end"
	if field, ok = m.take(0); !ok {
		return nil, nil, false, beyond
	}
	if value, ok = m.take(1); !ok {
		return nil, nil, false, beyond
	}
	m.n++
	return field, value, true, ""
}

// take returns the next string; between its length and itself stand so many bytes, 0, or 1 that says how many unused
// ones follow. It leaves room for the end.
func (m *zipmap) take(between int) ([]byte, bool) {
	b := m.data[m.at : len(m.data)-1]
	if len(b) == 0 {
		return nil, false
	}
	n, header := uint64(b[0]), 1
	if n == zipmapLong {
		if len(b) < 5 {
			return nil, false
		}
		n, header = uint64(binary.LittleEndian.Uint32(b[1:])), 5
	} else if n == containerEnd {
		return nil, false
	}
	if len(b) < header+between {
		return nil, false
	}
	unused := 0
	if between == 1 {
		unused = int(b[header])
		header++
	}
	if n+uint64(unused) > uint64(len(b)-header) {
		return nil, false
	}
	end := header + int(n)
	m.at += end + unused
	return b[header:end:end], true
}
