package rdb

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard/object"
)

// zset decodes a zset of strings and scores.
func (s *source) zset(rdbType byte, b Builder) error {
	n, err := s.count()
	if err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.ZSet, RDBType: rdbType, N: n}); err != nil {
		return err
	}
	for range n {
		member, err := s.string()
		if err != nil {
			return err
		}
		member = s.hold(member)
		score, err := s.score(rdbType)
		if err != nil {
			return err
		}
		if err := b.Scored(member, score); err != nil {
			return err
		}
	}
	return nil
}

// score reads a score.
func (s *source) score(rdbType byte) (float64, error) {
	at := s.offset()
	if rdbType == TypeZSet {
		return s.scoreText(at)
	}
	bits, err := s.uint64()
	if err != nil {
		return 0, err
	}
	score := math.Float64frombits(bits)
	if score != score {
		return 0, s.corrupt(at, nanScore)
	}
	return score, nil
}

const nanScore = "a score that is not a number"

// scoreText reads a score that is text; it begins at an offset.
func (s *source) scoreText(at int64) (float64, error) {
	n, err := s.byte()
	if err != nil {
		return 0, err
	}
	switch n {
	case scorePosInf:
		return math.Inf(1), nil
	case scoreNegInf:
		return math.Inf(-1), nil
	case scoreNaN:
		return 0, s.corrupt(at, nanScore)
	}
	text, err := s.bytes(uint64(n))
	if err != nil {
		return 0, err
	}
	score, ok := resp.ParseFloat(text)
	if !ok {
		return 0, s.corrupt(at, nanScore)
	}
	return score, nil
}

// zsetOf decodes a zset that is a container of members and scores by turns.
func (s *source) zsetOf(rdbType byte, b Builder, kind containerKind) error {
	if err := s.open(kind); err != nil {
		return err
	}
	if err := b.Begin(Form{Type: object.ZSet, RDBType: rdbType, N: s.c.count() / 2}); err != nil {
		return err
	}
	for s.tuple(2) {
		score, ok := s.e[1].score()
		if !ok {
			return s.corrupt(s.c.offset, nanScore)
		}
		if err := b.Scored(s.e[0].text(), score); err != nil {
			return err
		}
	}
	if err := s.closed(); err != nil {
		return err
	}
	return s.c.empty()
}

// score returns the number that an element is.
func (e *element) score() (float64, bool) {
	if e.isNum {
		return float64(e.num), true
	}
	return resp.ParseFloat(e.str)
}

// skipZSet passes over a zset of strings and scores.
func (s *source) skipZSet(rdbType byte) error {
	n, err := s.length()
	if err != nil {
		return err
	}
	for range n {
		if err := s.skipString(); err != nil {
			return err
		}
		size := byte(8)
		if rdbType == TypeZSet {
			if size, err = s.byte(); err != nil {
				return err
			}
			if size >= scoreNaN {
				size = 0
			}
		}
		if err := s.skip(uint64(size)); err != nil {
			return err
		}
	}
	return nil
}
