package snapshot

import (
	"fmt"

	"fulmen/persist/rdb"
	"fulmen/shard"
)

const (
	// batchKeys and batchBytes bound a list of strings for a shard: long enough to make use of the prefetches in
	// shard.AddStrings, short enough for the caches.
	batchKeys  = 64
	batchBytes = 16 << 10
	// batchString is the length up to which a key with a string goes into a list.
	batchString = 1 << 10
)

// loadBatch is a list of keys with short strings for one shard.
type loadBatch struct {
	shard   int
	file    string
	list    []shard.LoadedString
	offsets []int64 // in the file, of each
	bytes   []byte  // their keys and values; never grows
	// done is where the list goes back to when another goroutine has added it.
	done chan *loadBatch
}

func newLoadBatch(done chan *loadBatch) *loadBatch {
	return &loadBatch{
		list: make([]shard.LoadedString, 0, batchKeys), offsets: make([]int64, 0, batchKeys),
		bytes: make([]byte, 0, batchBytes), done: done,
	}
}

// fits reports whether n bytes of key and value have room.
func (b *loadBatch) fits(n int) bool {
	return len(b.list) < batchKeys && len(b.bytes)+n <= batchBytes
}

// put copies a key with its value to the list.
func (b *loadBatch) put(l shard.LoadedString, offset int64) {
	at := len(b.bytes)
	b.bytes = append(b.bytes, l.Key.Bytes...)
	l.Key.Bytes = b.bytes[at:len(b.bytes):len(b.bytes)]
	at = len(b.bytes)
	b.bytes = append(b.bytes, l.Value...)
	l.Value = b.bytes[at:]
	b.list, b.offsets = append(b.list, l), append(b.offsets, offset)
}

func (b *loadBatch) clear() { b.list, b.offsets, b.bytes = b.list[:0], b.offsets[:0], b.bytes[:0] }

// add adds the list to its shard and empties it.
func (b *loadBatch) add(j *loadJob) error {
	s := j.z.Lock(b.shard)
	defer j.z.Unlock(b.shard)
	return b.addTo(s, j)
}

// addTo is add for who has locked the shard.
func (b *loadBatch) addTo(s *shard.Shard, j *loadJob) error {
	defer b.clear()
	for at := 0; ; at++ {
		if at += s.AddStrings(b.list[at:]); at == len(b.list) {
			break
		}
		l := &b.list[at]
		if !j.o.Merge {
			return duplicate(b.file, b.offsets[at], l.Key.Bytes, l.DB)
		}
		s.DB(l.DB).Delete(l.Key)
		s.AddStrings(b.list[at : at+1])
	}
	j.progress.Keys.Add(int64(len(b.list)))
	return nil
}

// duplicate is the error of a key that is there already.
func duplicate(file string, offset int64, key []byte, db int) error {
	return &rdb.CorruptError{
		File: file, Offset: offset, Reason: fmt.Sprintf("RDB has duplicated key '%s' in DB %d", shortKey(key), db),
	}
}

// shortKey is as much of a key as is told in an error.
func shortKey(key []byte) string {
	const shown = 128
	if len(key) <= shown {
		return string(key)
	}
	return string(key[:shown]) + "..."
}
