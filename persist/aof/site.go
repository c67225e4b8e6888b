package aof

import (
	"errors"
	"fmt"
	"syscall"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// Site is where an incarnation writes: in which start of the operating system, and in which directory of its. A life
// that is found running at the site where its files are read has lost its process alone, and not the power: they have
// every byte that was written to them. It is another site after the system was started anew, on another machine, and
// for a copy that was made while the server was running: such a copy may lack anything.
//
// A file system that is torn from a system that goes on (a disk unplugged, or shut down after an error) counts as the
// end of the process alone.
type Site struct {
	Boot   [16]byte // log.BootID
	Device uint64   // of the directory, and …
	Inode  uint64   // … which one of it
}

// SiteOf returns the site of a directory. The error wraps errors.ErrUnsupported where a system has no such numbers;
// then nothing is known, which is the zero Site.
func SiteOf(fsys vfs.FS, dir string) (Site, error) {
	info, err := fsys.Stat(dir)
	if err != nil {
		return Site{}, fmt.Errorf("aof: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Site{}, fmt.Errorf("aof: %s: %w", dir, errors.ErrUnsupported)
	}
	boot, err := log.BootID(fsys)
	if err != nil {
		return Site{}, err
	}
	return Site{Boot: boot, Device: uint64(stat.Dev), Inode: stat.Ino}, nil
}
