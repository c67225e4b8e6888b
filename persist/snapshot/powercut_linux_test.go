package snapshot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// The promises of Files on a real file system that loses its power.

func TestPowerCutOnExt4(t *testing.T) {
	vfstest.OnExt4(t, 32<<20, func(disk *vfstest.Ext4) { (&ext4{disk}).cutEverywhere(t) })
}

// ext4 is a file system on which snapshots are written.
type ext4 struct{ *vfstest.Ext4 }

func (d *ext4) options(c fileCase, fsys vfs.FS) FileOptions {
	o := c.options(fsys)
	o.Dir, o.SyncEveryBytes = d.Dir, 64<<10
	return o
}

// saveAndCut saves over another snapshot, cuts the power before the n-th call, or after Commit if there are less, and
// says what is found then; cutIn is the call.
func (d *ext4) saveAndCut(
	t *testing.T, before, c fileCase, n int, wrap func(vfs.FS) vfs.FS,
) (found string, committed bool, cutIn string) {
	t.Helper()
	k := crashCheck{before: before, c: c, old: before.contents("old", 200_000), new: c.contents("new", 200_000)}
	must(t, writeFiles(d.options(before, vfs.OS{}), k.old, nil))
	steps := 0
	tap := vfstest.NewTap(vfs.OS{}, func(s vfstest.Step) error {
		if !s.Changes() {
			return nil
		}
		if steps++; steps != n {
			return nil
		}
		cutIn = s.String()
		return d.Cut()
	})
	err := writeFiles(d.options(c, wrap(tap)), k.new, nil)
	if cutIn == "" {
		must(t, err)
		must(t, d.Cut())
	}
	d.Cycle()
	src, findErr := Find(vfs.OS{}, d.Dir, "dump.rdb")
	if findErr != nil {
		return findErr.Error(), err == nil, cutIn
	}
	CleanUp(vfs.OS{}, src, slog.New(slog.DiscardHandler))
	got, readErr := readFiles(vfs.OS{}, d.Dir)
	switch {
	case readErr != nil:
		return readErr.Error(), err == nil, cutIn
	case equalShards(got, k.old):
		return "old", err == nil, cutIn
	case equalShards(got, k.new):
		return "new", err == nil, cutIn
	}
	return fmt.Sprintf("other bytes in %d files", len(got)), err == nil, cutIn
}

func (d *ext4) cutEverywhere(t *testing.T) {
	cuts, found := 0, map[string]int{}
	for i := range fileCases {
		before, c := fileCases[i], fileCases[(i+1)%len(fileCases)]
		for n := 1; ; n++ {
			what, committed, cutIn := d.saveAndCut(t, before, c, n, func(fsys vfs.FS) vfs.FS { return fsys })
			found[what]++
			cuts++
			if what != "new" && (what != "old" || committed) {
				t.Errorf("%s after %s, power cut before %q, committed %v: found %s", c.name, before.name, cutIn,
					committed, what)
			}
			if cutIn == "" {
				break
			}
		}
	}
	t.Logf("%d power cuts, found %v", cuts, found)
	if found["old"] == 0 || found["new"] == 0 {
		t.Error("the power was never cut at the right moment")
	}
	d.faults(t)
}

// faults shows that ext4 notices, too.
func (d *ext4) faults(t *testing.T) {
	const never = 1 << 30
	for what, wrap := range map[string]func(vfs.FS) vfs.FS{
		"no directory sync": func(fsys vfs.FS) vfs.FS { return noDirSync{fsys} },
		"no file sync":      func(fsys vfs.FS) vfs.FS { return noFileSync{fsys} },
	} {
		noticed := errors.New("not noticed")
		for _, c := range fileCases {
			found, committed, _ := d.saveAndCut(t, c, c, never, wrap)
			if committed && found != "new" {
				noticed = nil
				t.Logf("%s, %s: found %s", what, c.name, found)
			}
			names, err := filepath.Glob(filepath.Join(d.Dir, "dump.rdb*"))
			must(t, err)
			for _, name := range names {
				must(t, os.Remove(name))
			}
		}
		if noticed != nil {
			t.Errorf("%s: %v", what, noticed)
		}
	}
}
