package rdb

import (
	"encoding/binary"
	"errors"

	"fulmen/internal/crc"
)

// ErrPayload says that the end of a payload, version and checksum, is not right.
var ErrPayload = errors.New("rdb: payload's version or checksum are wrong")

var (
	// errNoValue says that a Reader was asked for a value when there is none.
	errNoValue = errors.New("rdb: no value is due")
	// errNoElements is ErrEmpty before it is sure that it doesn't come from a Builder.
	errNoElements = errors.New("rdb: no elements")
)

// checkDump checks the end of a DUMP payload: its version, which must be none above MaxVersion, and its checksum. The
// error is ErrPayload.
func checkDump(payload []byte) error {
	n := len(payload) - dumpFooter
	if n < 0 {
		return ErrPayload
	}
	footer := payload[n:]
	if binary.LittleEndian.Uint16(footer) > MaxVersion {
		return ErrPayload
	}
	if binary.LittleEndian.Uint64(footer[2:]) != crc.Sum64(payload[:n+2]) {
		return ErrPayload
	}
	return nil
}

// DecodeDump checks a DUMP payload as checkDump does and decodes its value into b; it must fill the payload. The
// error is ErrPayload, a *CorruptError, ErrEmpty, ErrUnsupported, or what b has returned.
func DecodeDump(payload []byte, b Builder) error {
	if err := checkDump(payload); err != nil {
		return err
	}
	s := source{buf: payload, end: len(payload) - dumpFooter}
	rdbType, err := s.byte()
	if err != nil {
		return err
	}
	return s.only(rdbType, b)
}

// DecodeValue decodes a value of a type (TypeString …) from the bytes that Reader.Raw gave; it must fill them. Errors
// are those of DecodeDump.
func DecodeValue(rdbType byte, raw []byte, b Builder) error {
	s := source{buf: raw, end: len(raw)}
	return s.only(rdbType, b)
}

// only decodes a value that is all there is.
func (s *source) only(rdbType byte, b Builder) error {
	if !decodable(rdbType) {
		if _, ok := TypeOf(rdbType); ok || rdbType == TypeModule2 {
			return ErrUnsupported
		}
		return s.corrupt(s.offset(), noType(rdbType))
	}
	err := s.value(rdbType, b)
	if err == errNoElements {
		return ErrEmpty
	}
	if err != nil {
		return err
	}
	if s.at != s.end {
		return s.corrupt(s.offset(), "there is more after the value")
	}
	return nil
}
