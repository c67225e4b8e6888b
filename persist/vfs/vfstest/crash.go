package vfstest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// Fate says what becomes of the changes that were not synced.
type Fate int

// The fates of changes.
const (
	Lost  Fate = iota // none outlives the power cut
	Kept              // all do, as after the end of the process alone
	Drawn             // each has its own fate, drawn from the Seed
)

// String gives the fate in lower case.
func (f Fate) String() string { return [...]string{"lost", "kept", "drawn"}[f] }

// Outcome says what a power cut leaves of the changes that were not synced.
type Outcome struct {
	Content Fate
	Names   Fate
	// Only and Without are numbers, from 1, of a pending change of names (Mem.Pending), and take the place of Names:
	// that one is kept alone, with those before it that it needs; or it is lost alone, with those that need it.
	Only, Without int
	Seed          uint64 // for Drawn
}

// String says the outcome in a few words.
func (o Outcome) String() string {
	names := "names " + o.Names.String()
	if o.Only > 0 {
		names = fmt.Sprintf("only change %d of names kept", o.Only)
	} else if o.Without > 0 {
		names = fmt.Sprintf("only change %d of names lost", o.Without)
	}
	return fmt.Sprintf("content %v, %s, seed %d", o.Content, names, o.Seed)
}

// Pending counts the changes of names that no SyncDir has made last.
func (m *Mem) Pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pending)
}

// Outcomes gives the outcomes of a power cut at this moment that are worth trying, see the package comment; seeds is
// how many drawn ones there are among them, each with all, nothing and some of the content.
func (m *Mem) Outcomes(seeds int) []Outcome {
	var all []Outcome
	for _, content := range []Fate{Lost, Kept} {
		all = append(all, Outcome{Content: content, Names: Lost}, Outcome{Content: content, Names: Kept})
		for n := 1; n <= m.Pending(); n++ {
			all = append(all, Outcome{Content: content, Only: n}, Outcome{Content: content, Without: n})
		}
	}
	for seed := range uint64(seeds) {
		for _, content := range []Fate{Lost, Kept, Drawn} {
			all = append(all, Outcome{Content: content, Names: Drawn, Seed: seed})
		}
	}
	return all
}

// Crash gives a copy of the file system as it is found after a power cut at this moment with this outcome. All of the
// copy lasts. The file system itself, its open files and its locks are left as they are.
func (m *Mem) Crash(o Outcome) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cloneWith(o, false)
}

// Kill gives a copy of the file system as it is found after the end of the process at this moment: all that it has done
// is there, in files in memory (MountMemory) too, and its locks are gone. All of the copy lasts. Nobody may be storing
// in a Shared meanwhile.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cloneWith(Outcome{Content: Kept, Names: Kept}, true)
}

func (m *Mem) cloneWith(o Outcome, memory bool) *Mem {
	names := &draw{fate: o.Names, random: newRandom(o.Seed)}
	kept := m.keptChanges(o, names)
	c := &cloner{
		memory: memory,
		draw:   &draw{fate: o.Content, random: newRandom(^o.Seed)},
		extra:  map[*node][]edit{},
		clones: map[*node]*node{},
	}
	for _, change := range m.pending {
		if kept[change] {
			for _, e := range change.edits {
				c.extra[e.dir] = append(c.extra[e.dir], e)
			}
		}
	}
	return &Mem{root: c.clone(m.root), locks: map[*node]bool{}}
}

// keptChanges chooses the changes of names that outlive the power cut.
func (m *Mem) keptChanges(o Outcome, names *draw) map[*change]bool {
	if o.Without > 0 {
		kept, lost := map[*change]bool{}, m.pending[o.Without-1]
		for _, c := range m.pending {
			kept[c] = c != lost && !slices.ContainsFunc(c.after, func(earlier *change) bool { return !kept[earlier] })
		}
		return kept
	}
	return closure(m.pending, func(c *change) bool {
		if o.Only > 0 {
			return c == m.pending[o.Only-1]
		}
		return names.keeps()
	})
}

// cloner copies a tree as a power cut leaves it.
type cloner struct {
	memory bool // file systems in memory outlive it
	draw   *draw
	extra  map[*node][]edit // pending edits that are kept, by directory, oldest first
	clones map[*node]*node
}

func (c *cloner) clone(n *node) *node {
	if done, ok := c.clones[n]; ok {
		return done
	}
	if !n.dir {
		copied := &node{perm: n.perm, content: n.crashed(c.draw)}
		c.clones[n] = copied
		return copied
	}
	copied := newDir(n.perm)
	copied.memory = n.memory
	c.clones[n] = copied
	if n.memory {
		for name, entry := range n.entries {
			if c.memory {
				copied.entries[name] = c.clone(entry)
			}
		}
		return copied
	}
	seen := maps.Clone(n.lasting)
	for _, e := range c.extra[n] {
		e.do(seen)
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		copied.entries[name] = c.clone(seen[name])
		copied.lasting[name] = copied.entries[name]
	}
	return copied
}

// draw decides the fates of changes one after the other.
type draw struct {
	fate   Fate
	random *rand.Rand
}

func (d *draw) keeps() bool {
	if d.fate == Drawn {
		return d.random.IntN(2) == 0
	}
	return d.fate == Kept
}

// size chooses between a file's length at the last sync and its length now; a file that has grown may be found with
// any length between.
func (d *draw) size(synced, now int) int {
	if d.fate == Drawn && now > synced && d.random.IntN(2) == 0 {
		return synced + d.random.IntN(now-synced+1)
	}
	if d.keeps() {
		return now
	}
	return synced
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
