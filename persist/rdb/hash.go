package rdb

import "fulmen/shard/object"

// hash decodes a hash of strings.
func (s *source) hash(b Builder) error {
	n, err := s.count()
	if err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.Hash, RDBType: TypeHash, N: n}); err != nil {
		return err
	}
	for range n {
		if err := s.field(b, 0); err != nil {
			return err
		}
	}
	return nil
}

// field decodes a field and its value.
func (s *source) field(b Builder, expireAtMs int64) error {
	field, err := s.string()
	if err != nil {
		return err
	}
	field = s.hold(field)
	value, err := s.string()
	if err != nil {
		return err
	}
	return b.Field(field, value, expireAtMs)
}

// expiringHash decodes a hash of strings whose fields may have expiries.
func (s *source) expiringHash(rdbType byte, b Builder) error {
	base, err := s.expiryBase(rdbType)
	if err != nil {
		return err
	}
	n, err := s.count()
	if err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.Hash, RDBType: rdbType, N: n}); err != nil {
		return err
	}
	for range n {
		at := s.offset()
		ttl, err := s.length()
		if err != nil {
			return err
		}
		if ttl > maxFieldExpiry+1 {
			return s.corrupt(at, badFieldExpiry)
		}
		if ttl != 0 && rdbType == TypeHashMetadata {
			ttl += base - 1
		}
		if ttl > maxFieldExpiry {
			return s.corrupt(at, badFieldExpiry)
		}
		if err := s.field(b, int64(ttl)); err != nil {
			return err
		}
	}
	return nil
}

const badFieldExpiry = "the expiry of a field is no time"

// expiryBase reads what the expiries of the fields are counted from; 0 if that is not written.
func (s *source) expiryBase(rdbType byte) (uint64, error) {
	if rdbType != TypeHashMetadata && rdbType != TypeHashListpackEx {
		return 0, nil
	}
	at := s.offset()
	base, err := s.uint64()
	if err == nil && base > maxFieldExpiry+1 { // one more where no field has any
		err = s.corrupt(at, badFieldExpiry)
	}
	return base, err
}

// hashOf decodes a hash that is a container of fields and values by turns.
func (s *source) hashOf(rdbType byte, b Builder, kind containerKind) error {
	if err := s.open(kind); err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.Hash, RDBType: rdbType, N: s.c.count() / 2}); err != nil {
		return err
	}
	for s.tuple(2) {
		if err := b.Field(s.e[0].text(), s.e[1].text(), 0); err != nil {
			return err
		}
	}
	if err := s.closed(); err != nil {
		return err
	}
	return s.c.empty()
}

// expiringHashOf decodes a hash that is a listpack of fields, values and expiries by turns.
func (s *source) expiringHashOf(rdbType byte, b Builder) error {
	if _, err := s.expiryBase(rdbType); err != nil {
		return err
	}
	if err := s.open(listpack); err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.Hash, RDBType: rdbType, N: s.c.count() / 3}); err != nil {
		return err
	}
	for s.tuple(3) {
		expiry := &s.e[2]
		if !expiry.isNum || expiry.num < 0 || expiry.num > maxFieldExpiry {
			return s.corrupt(s.c.offset, badFieldExpiry)
		}
		if err := b.Field(s.e[0].text(), s.e[1].text(), expiry.num); err != nil {
			return err
		}
	}
	if err := s.closed(); err != nil {
		return err
	}
	return s.c.empty()
}

// hashOfZipmap decodes a hash that is a zipmap.
func (s *source) hashOfZipmap(b Builder) error {
	at := s.offset()
	data, err := s.string()
	if err != nil {
		return err
	}
	m, reason := parseZipmap(data)
	if reason == "" {
		if err := b.Begin(Form{Type: object.Hash, RDBType: TypeHashZipmap, N: m.count()}); err != nil {
			return err
		}
	}
	for reason == "" {
		var field, value []byte
		var ok bool
		if field, value, ok, reason = m.next(); !ok {
			break
		}
		if err := b.Field(field, value, 0); err != nil {
			return err
		}
	}
	if reason != "" {
		return s.corrupt(at, reason)
	}
	if m.n == 0 {
		return errNoElements
	}
	return nil
}

// skipHash passes over a hash of strings.
func (s *source) skipHash() error {
	n, err := s.length()
	if err != nil {
		return err
	}
	for range n {
		if err := s.skipStrings(2); err != nil {
			return err
		}
	}
	return nil
}

// skipExpiringHash passes over a hash of strings whose fields may have expiries.
func (s *source) skipExpiringHash(rdbType byte) error {
	if rdbType == TypeHashMetadata {
		if err := s.skip(8); err != nil {
			return err
		}
	}
	n, err := s.length()
	if err != nil {
		return err
	}
	for range n {
		if _, err := s.length(); err != nil {
			return err
		}
		if err := s.skipStrings(2); err != nil {
			return err
		}
	}
	return nil
}
