package rdb

import "fulmen/shard/object"

// set decodes a set of strings.
func (s *source) set(b Builder) error {
	n, err := s.count()
	if err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.Set, RDBType: TypeSet, N: n}); err != nil {
		return err
	}
	for range n {
		member, err := s.string()
		if err != nil {
			return err
		}
		if err := b.Member(member); err != nil {
			return err
		}
	}
	return nil
}

// setOf decodes a set that is a container.
func (s *source) setOf(b Builder, kind containerKind) error {
	if err := s.open(kind); err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.Set, RDBType: TypeSetListpack, N: s.c.count()}); err != nil {
		return err
	}
	for s.c.next(&s.e[0]) {
		if err := b.Member(s.e[0].text()); err != nil {
			return err
		}
	}
	if err := s.closed(); err != nil {
		return err
	}
	return s.c.empty()
}

// setOfInts decodes a set that is an intset.
func (s *source) setOfInts(b Builder) error {
	at := s.offset()
	data, err := s.string()
	if err != nil {
		return err
	}
	set, reason := parseIntset(data)
	if reason != "" {
		return s.corrupt(at, reason)
	}
	n := set.len()
	if n == 0 {
		return errNoElements
	}
	if err := b.Begin(Form{Type: object.Set, RDBType: TypeSetIntset, N: uint64(n)}); err != nil {
		return err
	}
	e := &s.e[0]
	e.isNum = true
	for i := range n {
		last := e.num
		e.num = set.at(i)
		if i > 0 && e.num <= last {
			return s.corrupt(at, "intset: its numbers don't ascend")
		}
		if err := b.Member(e.text()); err != nil {
			return err
		}
	}
	return nil
}
