package command

import (
	"math"
	"slices"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

// zop is what is made of several sorted sets.
type zop uint8

const (
	zUnion zop = iota
	zInter
	zDiff
)

// zsource is an input with its weight: a sorted set, or a set, all of whose members have the score 1.
type zsource struct {
	z      shard.ZSet
	set    shard.MemberSet
	plain  bool // it is set
	weight float64
}

// zsources looks inputs up.
func (c *Ctx) zsources(keys []Keyed) ([]zsource, error) {
	for i := range keys {
		var v shard.Value
		if err := c.readValue(&v, &keys[i], object.ZSet); err != nil && v.Type() != object.Set {
			return nil, err
		}
	}
	// Only now, when those that had expired are gone, do values stay good.
	sources := make([]zsource, len(keys))
	for i := range keys {
		k, s := &keys[i], &sources[i]
		v := k.Shard.DB(c.DBID).LookValue(k.Key, c.NowMs)
		if s.weight = 1; v.Exists() && v.Type() == object.Set {
			s.set, s.plain = shard.MemberSet{Value: v}, true
		} else {
			s.z = shard.ZSet{Value: v}
		}
	}
	return sources, nil
}

func (s *zsource) len() int {
	if s.plain {
		return s.set.Len()
	}
	return s.z.Len()
}

// each calls fn for every member until it returns false.
func (s *zsource) each(fn func(member []byte, score float64) bool) {
	if s.plain {
		s.set.Each(false, func(member []byte) bool { return fn(member, 1) })
	} else {
		s.z.Each(0, s.z.Len(), false, fn)
	}
}

func (s *zsource) score(member []byte) (score float64, ok bool) {
	if s.plain {
		return 1, s.set.Has(member)
	}
	return s.z.Score(member)
}

// zcombine is a call of ZUNION, ZINTER, ZDIFF, one of those that store, or ZINTERCARD.
type zcombine struct {
	op         zop
	stores     bool
	countOnly  bool
	sources    []zsource
	merge      func(old, score float64) float64
	withScores bool
	limit      int64 // of ZINTERCARD, 0: none
}

func sumScores(a, b float64) float64 { return number0(a + b) }

func minScore(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func maxScore(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// number0 is f, or 0 if that is no number.
func number0(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

// parse reads the arguments from the number of keys on, and looks the inputs up.
func (u *zcombine) parse(c *Ctx, at int) error {
	a := c.ArgsFrom(at)
	n := a.Int()
	switch {
	case a.Err() != nil:
		return a.Err()
	case n < 1:
		return resp.ErrNoInputKey(c.Row.FullName)
	case n > int64(a.Left()):
		return resp.ErrSyntax
	}
	keys := c.Keys
	if u.stores {
		keys = keys[1:]
	}
	u.merge = sumScores
	var err error
	if u.sources, err = c.zsources(keys); err != nil {
		return err
	}
	a.at += int(n)
	return u.parseOptions(&a)
}

func (u *zcombine) parseOptions(a *Args) error {
	scores := u.op != zDiff && !u.countOnly
	for a.More() {
		switch {
		case scores && a.Left() > len(u.sources) && a.Option("weights"):
			for i := range u.sources {
				f, ok := resp.ParseFloat(a.Bytes())
				if !ok {
					return resp.ErrWeightNotFloat
				}
				u.sources[i].weight = f
			}
		case scores && a.Left() > 1 && a.Option("aggregate"):
			switch {
			case a.Option("sum"):
				u.merge = sumScores
			case a.Option("min"):
				u.merge = minScore
			case a.Option("max"):
				u.merge = maxScore
			default:
				a.Syntax()
			}
		case !u.stores && !u.countOnly && a.Option("withscores"):
			u.withScores = true
		case u.countOnly && a.Left() > 1 && a.Option("limit"):
			if u.limit = a.IntOr(resp.ErrNegativeLimit); u.limit < 0 {
				a.Fail(resp.ErrNegativeLimit)
			}
		default:
			a.Syntax()
		}
	}
	return a.Err()
}

// run puts what comes of the inputs into b.
func (u *zcombine) run(b *shard.ZBuild) {
	if u.op != zDiff {
		slices.SortStableFunc(u.sources, func(x, y zsource) int { return x.len() - y.len() })
	}
	first := &u.sources[0]
	switch u.op {
	case zUnion:
		for i := range u.sources {
			s := &u.sources[i]
			s.each(func(member []byte, score float64) bool {
				b.Put(member, number0(s.weight*score), u.merge)
				return true
			})
		}
	case zInter:
		u.intersect(func(member []byte, score float64) bool {
			b.Put(member, score, nil)
			return true
		})
	case zDiff:
		first.each(func(member []byte, score float64) bool {
			for i := range u.sources[1:] {
				if _, ok := u.sources[i+1].score(member); ok {
					return true
				}
			}
			b.Put(member, score, nil)
			return true
		})
	}
}

// intersect calls fn for what all inputs have, until it returns false.
func (u *zcombine) intersect(fn func(member []byte, score float64) bool) {
	first := &u.sources[0]
	first.each(func(member []byte, score float64) bool {
		sum := number0(first.weight * score)
		for i := range u.sources[1:] {
			s := &u.sources[i+1]
			other, ok := s.score(member)
			if !ok {
				return true
			}
			sum = u.merge(sum, other*s.weight)
		}
		return fn(member, sum)
	})
}

func (c *Ctx) zcombine(u zcombine) error {
	at := 1
	if u.stores {
		at = 2
	}
	if err := u.parse(c, at); err != nil {
		return err
	}
	if u.countOnly {
		slices.SortStableFunc(u.sources, func(x, y zsource) int { return x.len() - y.len() })
		n := int64(0)
		u.intersect(func([]byte, float64) bool {
			n++
			return n != u.limit
		})
		c.Int(n)
		return nil
	}
	var b shard.ZBuild
	c.Keys[0].Shard.DB(c.DBID).NewZBuild(&b)
	u.run(&b)
	if u.stores {
		c.storeZSet(&b)
		return nil
	}
	c.pairs(b.Len(), u.withScores)
	b.Each(func(member []byte, score float64) bool {
		c.pair(member, score, u.withScores)
		return !c.full()
	})
	b.Free()
	return nil
}

// ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]
func cmdZUnion(c *Ctx) error { return c.zcombine(zcombine{op: zUnion}) }

// ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]
func cmdZInter(c *Ctx) error { return c.zcombine(zcombine{op: zInter}) }

// ZDIFF numkeys key [key ...] [WITHSCORES]
func cmdZDiff(c *Ctx) error { return c.zcombine(zcombine{op: zDiff}) }

// ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]
func cmdZUnionStore(c *Ctx) error { return c.zcombine(zcombine{op: zUnion, stores: true}) }

// ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]
func cmdZInterStore(c *Ctx) error { return c.zcombine(zcombine{op: zInter, stores: true}) }

// ZDIFFSTORE destination numkeys key [key ...]
func cmdZDiffStore(c *Ctx) error { return c.zcombine(zcombine{op: zDiff, stores: true}) }

// ZINTERCARD numkeys key [key ...] [LIMIT limit]
func cmdZInterCard(c *Ctx) error { return c.zcombine(zcombine{op: zInter, countOnly: true}) }
