package rdb

import "fulmen/shard/object"

// stringValue decodes a string's value.
func (s *source) stringValue(b Builder) error {
	value, err := s.string()
	if err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.String, RDBType: TypeString, N: uint64(len(value))}); err != nil {
		return err
	}
	return b.String(value)
}
