package snapshot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"fulmen/internal/need"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// The promises of Files on a real file system: an ext4 of its own, on a loop device, is shut down without writing its
// journal (EXT4_IOC_SHUTDOWN), which is what a power cut does to it, and mounted again. This needs root and a mount
// namespace of its own, in which the test runs itself once more.

const (
	powerCutEnv = "FULMEN_POWERCUT_DIR"
	// EXT4_IOC_SHUTDOWN and its flag EXT4_GOING_FLAGS_NOLOGFLUSH, linux/fs/ext4/ext4.h.
	ioctlExt4Shutdown = 0x8004587d
	shutdownNoLog     = 2
)

func TestPowerCutOnExt4(t *testing.T) {
	if dir := os.Getenv(powerCutEnv); dir != "" {
		disk := &ext4{dir: filepath.Join(dir, "mnt"), image: filepath.Join(dir, "image")}
		disk.cutEverywhere(t)
		return
	}
	need.Root(t, "mount an ext4")
	need.Program(t, "mkfs.ext4")
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.run=^TestPowerCutOnExt4$", "-test.v")
	cmd.Env = append(os.Environ(), powerCutEnv+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	must(t, err)
}

// ext4 is a file system that can lose power.
type ext4 struct{ dir, image string }

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (d *ext4) format(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll(d.dir, 0o755))
	must(t, os.WriteFile(d.image, nil, 0o644))
	must(t, os.Truncate(d.image, 32<<20))
	run(t, "mkfs.ext4", "-q", "-F", d.image)
	d.mount(t)
}

func (d *ext4) mount(t *testing.T) {
	t.Helper()
	run(t, "mount", "-o", "loop", d.image, d.dir)
}

func (d *ext4) unmount(t *testing.T) {
	t.Helper()
	run(t, "umount", d.dir)
}

// cut cuts the power. Every call fails from then on, until cycle.
func (d *ext4) cut() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	flags := uint32(shutdownNoLog)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ioctlExt4Shutdown, uintptr(unsafe.Pointer(&flags)))
	if err := f.Close(); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// cycle brings the power back.
func (d *ext4) cycle(t *testing.T) {
	t.Helper()
	d.unmount(t)
	d.mount(t)
}

func (d *ext4) options(c fileCase, fsys vfs.FS) FileOptions {
	o := c.options(fsys)
	o.Dir, o.SyncEveryBytes = d.dir, 64<<10
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
		return d.cut()
	})
	err := writeFiles(d.options(c, wrap(tap)), k.new, nil)
	if cutIn == "" {
		must(t, err)
		must(t, d.cut())
	}
	d.cycle(t)
	src, findErr := Find(vfs.OS{}, d.dir, "dump.rdb")
	if findErr != nil {
		return findErr.Error(), err == nil, cutIn
	}
	CleanUp(vfs.OS{}, src, slog.New(slog.DiscardHandler))
	got, readErr := readFiles(vfs.OS{}, d.dir)
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
	d.format(t)
	defer d.unmount(t)
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
			run(t, "sh", "-c", "rm -f "+d.dir+"/dump.rdb*")
		}
		if noticed != nil {
			t.Errorf("%s: %v", what, noticed)
		}
	}
}
