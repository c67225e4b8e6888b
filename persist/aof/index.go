package aof

import (
	"sort"
	"sync"
)

// indexStride is how far the places that the index has of a file are apart at least: 16 bytes of memory for each 32
// KiB. What lies between two places is searched frame by frame: some hundreds.
const indexStride = 32 << 10

// Index knows where in INCR files frames begin, so that one is found by its LSN without reading the file from its
// beginning: the Writer tells of what it writes, a load of what it reads, and who searches a file of before of what it
// comes by. It is a hint: nothing is wrong with an empty one. Any goroutine may use it; a nil Index knows nothing.
type Index struct {
	mu    sync.Mutex
	files map[fileKey][]place
}

// fileKey names an INCR file.
type fileKey struct {
	seq   uint64
	shard int
}

// place is the offset in a file of a frame, and that frame's own start.
type place struct {
	lsn    uint64
	offset int64
}

// NewIndex returns an Index that knows nothing yet.
func NewIndex() *Index { return &Index{files: map[fileKey][]place{}} }

// add notes where a frame begins, if it is far enough behind the last one noted of its file.
func (x *Index) add(key fileKey, p place) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.files[key]
	if n := len(list); n == 0 || p.offset >= list[n-1].offset+indexStride {
		x.files[key] = append(list, p)
	}
}

// find returns the last place noted of a frame that starts at lsn or below; false: there is none.
func (x *Index) find(key fileKey, lsn uint64) (p place, ok bool) {
	if x == nil {
		return p, false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.files[key]
	i := sort.Search(len(list), func(i int) bool { return list[i].lsn > lsn })
	if i == 0 {
		return p, false
	}
	return list[i-1], true
}

// keep forgets files of before those that m names.
func (x *Index) keep(m *Manifest) {
	if x == nil || len(m.Files) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for key := range x.files {
		if key.seq < m.Files[0].Seq {
			delete(x.files, key)
		}
	}
}
