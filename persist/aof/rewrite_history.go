package aof

import (
	"math"
	"slices"
)

// History. When a rewrite has succeeded, the files of before are needed no more for loading, but with them the data can
// be had as it was at any moment that they cover: from a BASE on, or from where the AOF began. They are kept by
// generations, a BASE with what was written until the next one, and go from the oldest one on.

// Retain says how long files are kept that loading does not need. If both are 0, they are not.
type Retain struct {
	Bytes   int64 // no more than so many bytes of them; 0: no limit if Seconds is not 0
	Seconds int64 // what is needed to go back so far; 0: no limit if Bytes is not 0
}

// Nothing reports whether there is no history at all.
func (r Retain) Nothing() bool { return r.Bytes == 0 && r.Seconds == 0 }

// History says what there is of it.
type History struct {
	// The moment from which on the data can be had, as its place in the merged stream and as Unix time in ms. Without
	// an AOF both are 0.
	OldestLSN uint64
	OldestMs  int64
	Files     int // that loading doesn't need
}

// History says what the manifest has of it.
func (m *Manifest) History() (h History) {
	if len(m.Files) == 0 {
		return h
	}
	h.OldestLSN, h.OldestMs = m.Files[0].LSN, m.Files[0].CreatedMs
	for i := range m.Files {
		if m.Files[i].History {
			h.Files++
		}
	}
	return h
}

// generation is the files from a BASE to the next one.
type generation struct {
	seq     uint64 // of its files the least
	endMs   int64  // when the next one begins
	sizes   int64
	history bool
}

// generations returns those of m, in order. size says how long a file is.
func (m *Manifest) generations(size func(f *File) int64) []generation {
	var all []generation
	for i := range m.Files {
		f := &m.Files[i]
		if len(all) == 0 || f.Kind == Base && f.Seq > all[len(all)-1].seq {
			if len(all) > 0 {
				all[len(all)-1].endMs = f.CreatedMs
			}
			all = append(all, generation{seq: f.Seq, endMs: math.MaxInt64, history: f.History})
		}
		all[len(all)-1].sizes += size(f)
	}
	return all
}

// forgotten returns the number below which the files of m are not to be kept, and has no StreamReader need them any
// more; with the lock.
func (r *Rewriter) forgotten(m *Manifest, nowMs int64) (below uint64) {
	all := m.generations(r.sizeOf)
	return r.streams.keep(m, all, r.retained(all, nowMs))
}

// retained returns the number below which files are not retained.
func (r *Rewriter) retained(all []generation, nowMs int64) (below uint64) {
	retain := r.retain.Load()
	sum := int64(0)
	for i := range all {
		if all[i].history {
			sum += all[i].sizes
		}
	}
	for i := range all {
		g := &all[i]
		if !g.history {
			return g.seq
		}
		old := retain.Seconds > 0 && g.endMs <= nowMs-retain.Seconds*1000
		much := retain.Bytes > 0 && sum > retain.Bytes
		if !retain.Nothing() && !old && !much {
			return g.seq
		}
		sum -= g.sizes
	}
	return 0
}

// sizeOf returns how many bytes a file has; of one that can't be looked at, none.
func (r *Rewriter) sizeOf(f *File) int64 {
	if f.Kind == Base {
		return f.SizeBytes
	}
	info, err := r.o.FS.Stat(f.Path(r.o.Dir, r.o.Name))
	if err != nil {
		return 0
	}
	return info.Size()
}

// forget drops the files below a number, and the incarnations of which there are none then.
func (m *Manifest) forget(below uint64) {
	m.Files = slices.DeleteFunc(m.Files, func(f File) bool { return f.Seq < below })
	m.forgetIncarnations()
}

// SetRetain changes how long history is kept, from the next Trim or Install on. It doesn't wait for the disk.
func (r *Rewriter) SetRetain(retain Retain) { r.retain.Store(&retain) }

// Trim lets go of history that has become too old or too much. It looks at the disk only if there is history, and
// blocks on it. While a rewrite is under way it does nothing: the end of that does it.
func (r *Rewriter) Trim(nowMs int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Manifest() == nil || r.run != nil || r.Manifest().History().Files == 0 {
		return nil
	}
	below := r.forgotten(r.Manifest(), nowMs)
	if r.Manifest().Files[0].Seq >= below {
		return nil
	}
	m := r.Manifest().Clone()
	m.forget(below)
	if err := r.commit(m); err != nil {
		return err
	}
	r.tidy()
	return nil
}
