package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fulmen/persist/vfs"
)

// A snapshot, or an append-only file of Redis's, may hold what there is no place for: values and data of modules.
// All else is loaded, and the next save, or the append-only file that begins, has no more than that. So that nothing is
// lost, the files that were loaded are kept aside before.

// leftOut is what loads have left out: how much, by what it is (snapshot.LoadResult.Skipped).
type leftOut map[string]int64

func (l leftOut) add(skipped map[string]int64) {
	for what, n := range skipped {
		l[what] += n
	}
}

// keepLeftOut has the files that were loaded kept aside if something was left out, and tells the log what, and where
// it is now. An error says that they can't be kept: then nothing may replace them.
func (srv *Server) keepLeftOut(left leftOut, files []string) error {
	if len(left) == 0 {
		return nil
	}
	name := strings.TrimSuffix(files[0], ".manifest")
	srv.logLeftOut(left, name)
	dir, err := vfs.KeepAside(srv.files, name+keptSuffix, files)
	if err != nil {
		return fmt.Errorf("what was not loaded of %s would be lost with the next save, and the file can't be kept in "+
			"%s: %w; make that possible, or move the file away to begin without it", name, dir, err)
	}
	srv.log.Warn(fmt.Sprintf("%s is kept as it is, with what was NOT loaded, in %s, because the next save replaces "+
		"it; nothing here reads or removes that directory", name, dir))
	return nil
}

// logLeftOut tells the log what was left out of what is called name.
func (srv *Server) logLeftOut(left leftOut, name string) {
	for _, what := range slices.Sorted(maps.Keys(left)) {
		srv.log.Warn(fmt.Sprintf("%d × %s in %s: there is no such thing here yet, and it was NOT loaded", left[what],
			what, name))
	}
}

// keptSuffix is what follows the name of a snapshot or an append-only file in that of the directory in which it is
// kept.
const keptSuffix = ".kept"
