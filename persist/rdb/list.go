package rdb

import (
	"fmt"

	"fulmen/shard/object"
)

// list decodes a list of strings.
func (s *source) list(b Builder) error {
	n, err := s.count()
	if err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.List, RDBType: TypeList, N: n}); err != nil {
		return err
	}
	for range n {
		if err := s.item(b); err != nil {
			return err
		}
	}
	return nil
}

// item decodes a string that is an item.
func (s *source) item(b Builder) error {
	item, err := s.string()
	if err != nil {
		return err
	}
	return b.Item(item)
}

// listOf decodes a list that is one container.
func (s *source) listOf(b Builder, kind containerKind) error {
	if err := s.open(kind); err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.List, RDBType: TypeListZiplist, N: s.c.count()}); err != nil {
		return err
	}
	if err := s.items(b); err != nil {
		return err
	}
	return s.c.empty()
}

// items gives the elements of the open container as items.
func (s *source) items(b Builder) error {
	for s.c.next(&s.e[0]) {
		if err := b.Item(s.e[0].text()); err != nil {
			return err
		}
	}
	return s.closed()
}

// quicklist decodes a list of containers. Empty ones are nothing wrong, unless there is no other.
func (s *source) quicklist(rdbType byte, b Builder) error {
	n, err := s.count()
	if err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.List, RDBType: rdbType, Several: n > 1}); err != nil {
		return err
	}
	empty := true
	for range n {
		node, kind := uint64(nodePacked), ziplist
		if rdbType == TypeListQuicklist2 {
			kind = listpack
			if node, err = s.node(); err != nil {
				return err
			}
		}
		if node == nodePlain {
			empty = false
			if err := s.item(b); err != nil {
				return err
			}
			continue
		}
		if err := s.open(kind); err != nil {
			return err
		}
		if err := s.items(b); err != nil {
			return err
		}
		empty = empty && s.c.n == 0
	}
	if empty {
		return errNoElements
	}
	return nil
}

// node reads what a node of a quicklist is.
func (s *source) node() (uint64, error) {
	at := s.offset()
	node, err := s.length()
	if err == nil && node != nodePlain && node != nodePacked {
		err = s.corrupt(at, fmt.Sprintf("%d is no kind of a list's node", node))
	}
	return node, err
}

// skipQuicklist2 passes over a list of listpacks.
func (s *source) skipQuicklist2() error {
	n, err := s.length()
	if err != nil {
		return err
	}
	for range n {
		if _, err := s.node(); err != nil {
			return err
		}
		if err := s.skipString(); err != nil {
			return err
		}
	}
	return nil
}
