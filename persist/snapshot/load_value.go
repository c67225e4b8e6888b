package snapshot

import (
	"errors"
	"fmt"
	"strconv"

	"fulmen/persist/rdb"
	"fulmen/shard"
	streams "fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// Begin implements rdb.Builder: a value comes. Unless it is a short string it is built in its shard, which is locked
// until endValue.
func (r *loadReader) Begin(f rdb.Form) error {
	if f.Type == object.String && uint64(len(r.key))+f.N <= batchString {
		return nil
	}
	s := r.j.z.Lock(r.shard)
	r.value = &r.builder
	s.Builder(r.value, r.j.o.Limits)
	if b := r.batches[r.shard]; b != nil && len(b.list) > 0 { // it may have the same key
		if err := b.addTo(s, r.j); err != nil {
			return err
		}
	}
	return r.value.Begin(f.Source())
}

// String implements rdb.Builder.
func (r *loadReader) String(value []byte) error {
	if err := r.room(len(value)); err != nil {
		return err
	}
	if r.value != nil {
		return r.value.String(value)
	}
	b, err := r.batch(len(r.key) + len(value))
	if err != nil {
		return err
	}
	l := r.item
	l.Value = value
	b.put(l, r.offset)
	return nil
}

// Item implements rdb.Builder.
func (r *loadReader) Item(b []byte) error {
	if err := r.room(len(b)); err != nil {
		return err
	}
	return r.value.Item(b)
}

// Member implements rdb.Builder.
func (r *loadReader) Member(b []byte) error {
	if err := r.room(len(b)); err != nil {
		return err
	}
	return r.value.Member(b)
}

// Scored implements rdb.Builder.
func (r *loadReader) Scored(member []byte, score float64) error {
	if err := r.room(len(member)); err != nil {
		return err
	}
	return r.value.Scored(member, score)
}

// Field implements rdb.Builder.
func (r *loadReader) Field(field, value []byte, expireAtMs int64) error {
	if err := r.room(len(field) + len(value)); err != nil {
		return err
	}
	return r.value.Field(field, value, expireAtMs)
}

// StreamNode implements rdb.Builder.
func (r *loadReader) StreamNode(id streams.ID, node []byte, f *streams.Facts) error {
	if err := r.room(len(node)); err != nil {
		return err
	}
	return r.value.StreamNode(id, node, f)
}

// StreamInfo implements rdb.Builder.
func (r *loadReader) StreamInfo(in *object.StreamInfo) error { return r.value.StreamInfo(in) }

// Group implements rdb.Builder.
func (r *loadReader) Group(name []byte, last streams.ID, entriesRead int64) error {
	if err := r.room(2 * len(name)); err != nil {
		return err
	}
	return r.value.Group(name, last, entriesRead)
}

// Pending implements rdb.Builder.
func (r *loadReader) Pending(id streams.ID, deliveredMs, deliveries int64) error {
	if err := r.room(object.PendingSize); err != nil {
		return err
	}
	return r.value.Pending(id, deliveredMs, deliveries)
}

// Consumer implements rdb.Builder.
func (r *loadReader) Consumer(name []byte, seenMs int64) error {
	if err := r.room(2 * len(name)); err != nil {
		return err
	}
	return r.value.Consumer(name, seenMs)
}

// Owned implements rdb.Builder.
func (r *loadReader) Owned(id streams.ID) error {
	if err := r.room(streams.RawLen); err != nil {
		return err
	}
	return r.value.Owned(id)
}

// endValue makes the value that was built the key's, or drops it after an error, and unlocks the shard.
func (r *loadReader) endValue(err error) error {
	defer r.j.z.Unlock(r.shard)
	v := r.value
	r.value = nil
	if err != nil {
		v.Drop()
		if errors.Is(err, shard.ErrTwice) || errors.Is(err, shard.ErrTooLong) || errors.Is(err, shard.ErrNotPending) {
			return &rdb.CorruptError{
				File: r.file, Offset: r.offset,
				Reason: fmt.Sprintf("value of key '%s' in DB %d: %v", shortKey(r.key), r.item.DB, err),
			}
		}
		return r.passEmpty(err)
	}
	db := r.j.z.Set().Shards[r.shard].DB(r.item.DB)
	if _, there := db.Look(r.item.Key, 0); there && !r.j.o.Merge {
		v.Drop()
		return duplicate(r.file, r.offset, r.key, r.item.DB)
	}
	v.Put(db, r.item.Key, r.item.ExpireAtMs, r.item.Access)
	r.j.progress.Keys.Add(1)
	return nil
}

// keepsExpired tells whether keys are loaded whose time has come.
func (r *loadReader) keepsExpired() bool {
	return r.j.o.KeepExpired || r.j.o.KeepPlaced && r.aux["repl-id"] != ""
}

// noteAux keeps a fact about the snapshot.
func (r *loadReader) noteAux(name, value string) {
	r.aux[name] = value
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && name == "used-mem" {
		r.j.progress.SavedMemory.Store(n)
	}
}
