package check

import (
	"errors"
	"fmt"

	"fulmen/persist/log"
	"fulmen/persist/rdb"
	"fulmen/shard"
	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/stream"
)

// scratch are shards in which values are built, one at a time, as a server has them.
type scratch struct {
	set   *shard.Set
	space *arena.Space
	raw   []byte
	last  built
	// reused
	counter counter
	limits  shard.BuildLimits
}

// defaultLimits are the thresholds of encodings that a server has if nothing else is said.
func defaultLimits() shard.BuildLimits {
	return shard.BuildLimits{
		ListFill: -2, HashEntries: 512, HashValueBytes: 64,
		ZSet:   shard.ZSetLimits{Entries: 128, ValueBytes: 64},
		Sets:   shard.SetLimits{IntsetEntries: 512, ListpackEntries: 128, ListpackValue: 64},
		Stream: shard.StreamLimits{NodeBytes: 4096, NodeEntries: 100},
	}
}

// built is a key with its value in a scratch, until the next is built.
type built struct {
	shard    int
	db       *shard.DB
	key      shard.Key
	e        index.Entry
	elements int64 // of a string its length
	there    bool
}

// noBell is the bell of shards that no other goroutine knows.
type noBell struct{}

// Ring implements shard.Bell.
func (noBell) Ring(*shard.Shard) {}

func newScratch(r *run, shards int) (*scratch, error) {
	space, err := arena.NewSpace(0)
	if err != nil {
		return nil, err
	}
	set, err := shard.NewSet(shard.Options{
		Shards: shards, Databases: 1, Space: space, Log: log.New(shards, log.Limits{}), Clock: r.Clock, Bell: noBell{},
	})
	if err != nil {
		return nil, errors.Join(err, space.Close())
	}
	return &scratch{set: set, space: space, limits: defaultLimits()}, nil
}

func (s *scratch) close() error { return s.space.Close() }

// clear removes the key that was built last.
func (s *scratch) clear() {
	if !s.last.there {
		return
	}
	s.last.there = false
	s.last.db.Delete(s.last.key)
	for sh := s.set.Shards[s.last.shard]; !sh.FreeSome(1 << 20); {
	}
}

// build reads the value of a key and builds it. nil is a collection without elements, which loading leaves out.
func (s *scratch) build(rd *rdb.Reader, k *keyInfo) (*built, error) {
	b, err := s.finish(k, s.begin(k), rd.Value)
	if errors.Is(err, shard.ErrTwice) || errors.Is(err, shard.ErrTooLong) {
		err = &rdb.CorruptError{
			File: k.file.path, Offset: k.offset, Reason: fmt.Sprintf("value of %s: %v", keyText(k.DB, k.name), err),
		}
	}
	return b, err
}

// valueError says that a value can't be built, though the reader knows where it ends.
type valueError struct{ reason string }

// Error says why.
func (e *valueError) Error() string { return e.reason }

// buildChecked is build, but for values that are damaged in themselves: then its error is a *valueError, and the reader
// goes on behind it.
func (s *scratch) buildChecked(rd *rdb.Reader, k *keyInfo) (*built, error) {
	var err error
	if s.raw, err = rd.Raw(s.raw[:0]); err != nil {
		return nil, err
	}
	b, err := s.finish(k, s.begin(k), func(b rdb.Builder) error { return rdb.DecodeValue(k.Type, s.raw, b) })
	var damage *rdb.CorruptError
	switch {
	case errors.As(err, &damage):
		return nil, &valueError{damage.Reason}
	case err != nil:
		return nil, &valueError{err.Error()}
	}
	return b, nil
}

// begin makes room for a key.
func (s *scratch) begin(k *keyInfo) *counter {
	k.taken = true
	s.clear()
	s.last = built{shard: s.set.ShardOf(k.name), key: s.set.Key(k.name)}
	sh := s.set.Shards[s.last.shard]
	s.last.db = sh.DB(0)
	sh.Builder(&s.counter.Builder, &s.limits)
	s.counter.b = &s.last
	return &s.counter
}

// finish has the value decoded and makes it the key's.
func (s *scratch) finish(k *keyInfo, c *counter, decode func(rdb.Builder) error) (*built, error) {
	b := &s.last
	if err := decode(c); err != nil {
		c.Drop()
		if errors.Is(err, rdb.ErrEmpty) {
			return nil, nil
		}
		return nil, err
	}
	c.Put(b.db, b.key, k.ExpireAtMs, 0)
	b.e, b.there = b.db.Look(b.key, 0)
	return b, nil
}

// encoding is what OBJECT ENCODING would say.
func (b *built) encoding() string { return b.db.Encoding(b.e) }

// memoryBytes is what the key takes in a server.
func (b *built) memoryBytes() int64 {
	n, _ := b.db.UsageBytes(b.key)
	return n
}

// counter is a builder that counts.
type counter struct {
	shard.Builder
	b *built
}

// Begin implements rdb.Builder.
func (c *counter) Begin(f rdb.Form) error { return c.Builder.Begin(f.Source()) }

// String implements rdb.Builder.
func (c *counter) String(b []byte) error {
	c.b.elements = int64(len(b))
	return c.Builder.String(b)
}

// Item implements rdb.Builder.
func (c *counter) Item(b []byte) error {
	c.b.elements++
	return c.Builder.Item(b)
}

// Member implements rdb.Builder.
func (c *counter) Member(b []byte) error {
	c.b.elements++
	return c.Builder.Member(b)
}

// Scored implements rdb.Builder.
func (c *counter) Scored(member []byte, score float64) error {
	c.b.elements++
	return c.Builder.Scored(member, score)
}

// StreamNode implements rdb.Builder.
func (c *counter) StreamNode(id stream.ID, node []byte, f *stream.Facts) error {
	c.b.elements += f.Count
	return c.Builder.StreamNode(id, node, f)
}

// Field implements rdb.Builder.
func (c *counter) Field(field, value []byte, expireAtMs int64) error {
	c.b.elements++
	return c.Builder.Field(field, value, expireAtMs)
}
