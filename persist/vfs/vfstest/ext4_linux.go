package vfstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"fulmen/internal/need"
)

const (
	ext4Env = "FULMEN_EXT4_DIR"
	// EXT4_IOC_SHUTDOWN and its flag EXT4_GOING_FLAGS_NOLOGFLUSH, linux/fs/ext4/ext4.h.
	ioctlExt4Shutdown = 0x8004587d
	shutdownNoLog     = 2
)

// Ext4 is an ext4 of its own, on a loop device, that can lose power.
type Ext4 struct {
	Dir   string // where it is mounted
	image string
	t     testing.TB
}

// OnExt4 runs body on a new one of so many bytes. The test, a whole one and no part of another, runs itself once more
// for that, in a process with a mount namespace of its own. It needs root and mkfs.ext4.
func OnExt4(t *testing.T, sizeBytes int64, body func(d *Ext4)) {
	t.Helper()
	if dir := os.Getenv(ext4Env); dir != "" {
		d := &Ext4{Dir: filepath.Join(dir, "mnt"), image: filepath.Join(dir, "image"), t: t}
		d.format(sizeBytes)
		defer d.unmount()
		body(d)
		return
	}
	need.Root(t, "mount an ext4")
	need.Program(t, "mkfs.ext4")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), ext4Env+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func (d *Ext4) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (d *Ext4) format(sizeBytes int64) {
	d.t.Helper()
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.image, nil, 0o644); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Truncate(d.image, sizeBytes); err != nil {
		d.t.Fatal(err)
	}
	d.run("mkfs.ext4", "-q", "-F", d.image)
	d.mount()
}

func (d *Ext4) mount() {
	d.t.Helper()
	d.run("mount", "-o", "loop", d.image, d.Dir)
}

func (d *Ext4) unmount() {
	d.t.Helper()
	d.run("umount", d.Dir)
}

// Cut cuts the power: the file system is shut down, and its journal is not written, which is what a power cut does to
// it. Every call fails from then on, until Cycle.
func (d *Ext4) Cut() error {
	f, err := os.Open(d.Dir)
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

// Cycle brings the power back. Nobody has a file open.
func (d *Ext4) Cycle() {
	d.t.Helper()
	d.unmount()
	d.mount()
}
