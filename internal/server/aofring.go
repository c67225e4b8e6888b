package server

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"fulmen/persist/aof"
	"fulmen/persist/log"
)

// The ring is where the newest part of the log lies, on a file system in memory, so that it outlives the process. Each
// life has one of its own, made once that of the life before has been recovered.

// site is where the files are now; zero if that can't be known: then damage after kill -9 looks like what a power cut
// has torn, unless there is a ring.
func (a *appendOnly) site() aof.Site {
	site, err := aof.SiteOf(a.srv.files, a.dir)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		a.srv.log.Warn("A kill can't be told from a power cut but by a ring in memory: " + err.Error())
	}
	return site
}

// makeRing makes the ring of the life that m begins, and notes in m where it is, and where the files are; nil: there is
// none, and replies wait for writes.
func (a *appendOnly) makeRing(m *aof.Manifest) *log.Ring {
	srv, v := a.srv, a.srv.cfg.Values()
	m.Last().Site = a.site()
	if v.AOFRingDir == "" {
		return nil
	}
	boot, err := log.BootID(srv.files)
	var ring *log.Ring
	if err == nil {
		ring, err = log.CreateRing(log.RingOptions{
			FS: srv.files, Dir: v.AOFRingDir, SizeBytes: v.AOFRingBytes,
			Owner: log.NewRingOwner(srv.files, absolute(a.dir)),
			Identity: log.RingIdentity{
				Boot: boot, DirID: m.DirID, Incarnation: m.Last().Number, Shards: len(srv.set.Shards),
			},
		})
	}
	if err != nil {
		srv.log.Warn(fmt.Sprintf("No ring in memory for what is not in the append-only file yet: %v. Nothing is "+
			"lost for that, but replies wait for writes; aof-ring-dir names a directory for it on tmpfs, and "+
			"aof-ring-size its size", err))
		return nil
	}
	m.Last().RingDir = v.AOFRingDir
	return ring
}

// readRing reads what the life that m says is running has left in its ring; nil: nothing.
func (a *appendOnly) readRing(m *aof.Manifest) *log.RingContent {
	srv := a.srv
	content, err := m.ReadRing(srv.files)
	var bad *log.RingError
	switch {
	case err == nil:
		return content
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
	case errors.As(err, &bad) && bad.Stale:
		srv.log.Info(fmt.Sprintf("The ring in memory is not of the last life of the server: %v", err))
	default:
		srv.log.Warn(fmt.Sprintf("The ring in memory can't be used, and what was not in the append-only file when "+
			"the server was ended is lost: %v", err))
	}
	return nil
}

// dropRing removes the ring of the life that m says was running, all of which is in the files now, unless that of the
// next one has taken its place, which is in dir.
func (a *appendOnly) dropRing(m *aof.Manifest, dir string) {
	name := m.RingName()
	if name == "" || m.Last().RingDir == dir {
		return
	}
	err := a.srv.files.Remove(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.srv.log.Warn("the ring in memory of the last life of the server can't be removed: " + err.Error())
	}
}

// inRing tells whether everything that was committed outlives the process without a file.
func (srv *Server) inRing() bool { return srv.set.Log.AllSafe() }

// closeRing removes the ring: everything is in the files.
func (a *appendOnly) closeRing() error {
	if r := a.srv.set.Log.Ring(); r != nil {
		return r.Close()
	}
	return nil
}

// maxLeftShown is how many rings that are left a line of the log names.
const maxLeftShown = 8

// warnLeftRings says which rings in memory are of no living server: they take memory until the system ends. They are
// not removed: the data directory that one belongs to may lack what is in it.
func (a *appendOnly) warnLeftRings() {
	srv, v := a.srv, a.srv.cfg.Values()
	if v.AOFRingDir == "" {
		return
	}
	left, unclear, err := log.LeftRings(srv.files, v.AOFRingDir, v.Dir)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrNotExist) {
		srv.log.Info("It can't be told whether there are rings in memory that no server uses: " + err.Error())
	}
	if unclear > 0 {
		srv.log.Info(fmt.Sprintf("Of some rings in memory in %s, %d, it can't be told from here whether their servers "+
			"live: they were made in another container, or by an older version", v.AOFRingDir, unclear))
	}
	if len(left) == 0 {
		return
	}
	var names []string
	var bytes int64
	for _, r := range left {
		bytes += r.SizeBytes
		if len(names) == maxLeftShown {
			continue
		}
		text := r.Name
		if r.Owner.Dir != "" {
			text += " (of " + r.Owner.Dir + ")"
		}
		names = append(names, text)
	}
	if more := len(left) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	srv.log.Warn(fmt.Sprintf("Rings in memory of servers that were killed and not started again take %d bytes until "+
		"the system is started anew: %s. Each may have the last writes of its server: start that once, or have "+
		"fulmen-check repair write them to its append-only file, and then remove the ring; if the directory is gone, "+
		"just remove it", bytes, strings.Join(names, ", ")))
}

// absolute returns the absolute path of a directory, as far as that is known.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
