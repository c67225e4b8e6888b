package rdb

import (
	"encoding/binary"
	"fmt"
)

// Module data are data with a code each, so that whoever doesn't know the module can skip them.
const (
	moduleEnd    = 0
	moduleInt    = 1 // a length
	moduleUint   = 2 // a length
	moduleFloat  = 3 // 4 bytes
	moduleDouble = 4 // 8 bytes
	moduleString = 5
)

// A module is a length: the nine characters of its type's name, six bits each, and ten bits of a version.
const (
	moduleNameLen = 9
	moduleChars   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// moduleName returns the name of a module's type.
func moduleName(id uint64) string {
	var name [moduleNameLen]byte
	id >>= 10
	for i := moduleNameLen - 1; i >= 0; i-- {
		name[i] = moduleChars[id&63]
		id >>= 6
	}
	return string(name[:])
}

// skipModule passes over a module's value.
func (s *source) skipModule() error {
	if _, err := s.length(); err != nil {
		return err
	}
	return s.skipModuleData()
}

// skipModuleAux passes over a module's data beside the keyspace and returns the module's name.
func (s *source) skipModuleAux() (string, error) {
	id, err := s.length()
	if err != nil {
		return "", err
	}
	at := s.offset()
	code, err := s.length()
	if err != nil {
		return "", err
	}
	if code != moduleUint {
		return "", s.corrupt(at, "a module's data don't say when they are to be loaded")
	}
	if _, err := s.length(); err != nil {
		return "", err
	}
	return moduleName(id), s.skipModuleData()
}

// skipModuleData passes over data with their codes, up to the end.
func (s *source) skipModuleData() error {
	for {
		at := s.offset()
		code, err := s.length()
		if err != nil {
			return err
		}
		switch code {
		case moduleEnd:
			return nil
		case moduleInt, moduleUint:
			_, err = s.length()
		case moduleFloat:
			err = s.skip(4)
		case moduleDouble:
			err = s.skip(8)
		case moduleString:
			err = s.skipString()
		default:
			err = s.corrupt(at, fmt.Sprintf("%d is no code of a module's data", code))
		}
		if err != nil {
			return err
		}
	}
}

// peekModule returns the name of the module whose value comes next, without reading on; nothing if that is no name.
func (s *source) peekModule() (string, error) {
	if err := s.need(9); err != nil {
		return "", err
	}
	if s.buf[s.at] != len64Bits {
		return "", nil
	}
	return moduleName(binary.BigEndian.Uint64(s.buf[s.at+1:])), nil
}
