package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"fulmen/persist/vfs/vfstest"
)

// TestRestoreIncr cuts a torn tail off a file and puts frames in its place, with a power cut and an error at every
// call.
func TestRestoreIncr(t *testing.T) {
	in := newIncr(t, 6<<10)
	offset := in.ends[len(in.ends)/2]
	h, err := ParseHeader("f", in.data)
	must(t, err)
	for name, torn := range map[string][]byte{
		"short":   in.data[:offset+30],
		"garbage": append(bytes.Clone(in.data[:offset]), bytes.Repeat([]byte("garbage"), 2000)...),
		"whole":   in.data,
		"exact":   in.data[:offset],
	} {
		for fail := 0; ; fail++ {
			m := newDisk(t)
			f, err := m.Create("/d/f", 0o644)
			must(t, err)
			_, err = f.Write(torn)
			must(t, err)
			must(t, errors.Join(f.Sync(), f.Close(), m.SyncDir("/d")))
			inject := vfstest.FailAt(fail, nil, syscall.EIO)
			tap := vfstest.NewTap(m, func(s vfstest.Step) error {
				if fail == 0 {
					checkRestored(t, in, m, offset, name+" before "+s.String())
				}
				return inject(s)
			})
			err = RestoreIncr(tap, "/d/f", h, int64(offset), in.data[offset:])
			checkRestored(t, in, m, offset, fmt.Sprintf("%s, error at %d", name, fail))
			if err != nil && !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			must(t, RestoreIncr(m, "/d/f", h, int64(offset), in.data[offset:])) // after a crash it is done again
			for _, o := range m.Outcomes(1) {
				if got, err := m.Crash(o).ReadFile("/d/f"); err != nil || !bytes.Equal(got, in.data) {
					t.Fatalf("%s: %d bytes of %d, %v", name, len(got), len(in.data), err)
				}
			}
			if fail > 0 && err == nil {
				break
			}
		}
	}
}

// checkRestored looks whether every power cut leaves what was to stay.
func checkRestored(t *testing.T, in *incr, m *vfstest.Mem, offset int, when string) {
	t.Helper()
	for _, o := range m.Outcomes(2) {
		data, err := m.Crash(o).ReadFile("/d/f")
		must(t, err)
		if n, tail, err := in.read(data); err != nil || n <= len(in.ends)/2 {
			t.Fatalf("%s (%v): %d frames, %+v, %v", when, o, n, tail, err)
		}
	}
}

// TestRestoreEmpty gives a file without a header one, and makes a new file.
func TestRestoreEmpty(t *testing.T) {
	in := newIncr(t, 2<<10)
	h, err := ParseHeader("f", in.data)
	must(t, err)
	m := newDisk(t)
	must(t, CreateIncr(m, "/d/f", h, 0o644))
	must(t, m.SyncDir("/d"))
	if got, err := m.ReadFile("/d/f"); err != nil || len(got) != HeaderBytes {
		t.Errorf("%q %v", got, err)
	}
	f, err := m.Create("/d/f", 0o644)
	must(t, err)
	must(t, f.Close())
	must(t, RestoreIncr(m, "/d/f", h, 0, in.data[HeaderBytes:]))
	if got, err := m.Crash(vfstest.Outcome{}).ReadFile("/d/f"); err != nil || !bytes.Equal(got, in.data) {
		t.Errorf("%d bytes of %d, %v", len(got), len(in.data), err)
	}
	if err := RestoreIncr(m, "/d/g", h, 0, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
