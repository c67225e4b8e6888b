package check

import (
	"errors"
	"fmt"
	"io/fs"

	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// Where a server was killed, and the system runs on, the newest part of what it has acknowledged is in a ring in memory
// (package log), whose directory the manifest names, and not in the files. The next start writes it there first, so it
// is part of what is verified, shown and converted, and what changes the files begins with the same: afterwards the
// files have all of it, and no start of them looks at the ring any more. It is left where it is, as the files may be a
// copy: the next start puts another one in its place.

// ring reads the ring; nil: there is none, or nothing in it that a start would use.
func (r *run) ring(in *aofInput) (*log.RingContent, error) {
	content, err := in.manifest.ReadRing(r.Files)
	var bad *log.RingError
	switch {
	case err == nil:
		return content, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
	case errors.Is(err, vfs.ErrLocked):
		fmt.Fprintf(r.Stdout, "%s: the server is running; what it has in memory and not in files is left out\n", in.dir)
	case errors.As(err, &bad) && bad.Stale:
		fmt.Fprintf(r.Stdout, "%v; the next start leaves it alone\n", err)
	case errors.As(err, &bad):
		fmt.Fprintf(r.Stdout, "%s: DAMAGED: %s; what was in it and not in files is lost\n", bad.Name, bad.Reason)
		in.ringLost = true
	default:
		return nil, err
	}
	return nil, nil
}

// recover does what the next start would do.
func (r *run) recover(in *aofInput, fsys vfs.FS, ring *log.RingContent) (*aof.Recovered, error) {
	site, err := aof.SiteOf(r.Files, in.dir)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	return aof.Recover(&aof.RecoverOptions{
		FS: fsys, Dir: in.dir, Name: in.name, Ring: ring, Site: site, Truncated: true,
	})
}

// judge returns why the next start would refuse what a walk without a ring has stopped at; nil: it puts up with it, or
// the walk has not stopped.
func (r *run) judge(in *aofInput, w *aofWalk) error {
	if !w.torn {
		return w.stopped
	}
	_, err := r.recover(in, newOverlay(in.files), nil)
	return err
}

// withRing has an append-only file be what the next start would make of it and its ring; nothing is written. Without a
// ring it stays as it is.
func (r *run) withRing(in *aofInput) error {
	ring, err := r.ring(in)
	if ring == nil || err != nil {
		return err
	}
	o := newOverlay(r.Files)
	found, err := r.recover(in, o, ring)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Stdout, "%s: %d bytes in memory that no file has; the next start writes them to the files\n",
		in.manifest.RingName(), o.added())
	in.manifest, in.files, in.memory = found.Manifest, o, o
	return nil
}

// settle has the files be what the next start would make of them and the ring. done is false if there is none, or if a
// start would refuse them as damaged, and why. in is locked.
func (r *run) settle(in *aofInput) (done bool, refused, err error) {
	ring, err := r.ring(in)
	if ring == nil || err != nil {
		return false, nil, err
	}
	refused, err = r.settleWith(in, ring)
	return err == nil && refused == nil, refused, err
}

// settleWith is settle for a ring that is known, which may be nil.
func (r *run) settleWith(in *aofInput, ring *log.RingContent) (refused, err error) {
	found, err := r.recover(in, r.Files, ring)
	var damage *aof.CorruptError
	switch {
	case errors.As(err, &damage):
		return err, nil
	case err != nil:
		return nil, err
	}
	if ring != nil {
		fmt.Fprintf(r.Stdout, "%s: what was in memory only is in the files now\n", in.manifest.RingName())
	}
	for _, cut := range found.Cuts {
		fmt.Fprintf(r.Stdout, "%s: cut off at offset %d: %d bytes (%s)\n", cut.File, cut.Offset, cut.Bytes, cut.Reason)
	}
	in.manifest = found.Manifest
	return nil, nil
}
