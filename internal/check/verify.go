package check

import (
	"errors"
	"fmt"

	"fulmen/persist/rdb"
)

// verify reads everything and says what is damaged.
func (r *run) verify() error { return r.snapshotOrAOF(r.args, r.verifyAOF, r.verifySnapshot) }

func (r *run) verifySnapshot() error {
	in, err := r.input(r.args...)
	if err != nil {
		return r.damagedInput(err)
	}
	return r.verifyInput(in)
}

func (r *run) verifyInput(in *input) error {
	s, err := newScratch(r, 1)
	if err != nil {
		return err
	}
	vf := &verifier{run: r, in: in, scratch: s}
	if r.has("duplicates") {
		vf.seen = newSeen()
	}
	for _, f := range in.files {
		if err = vf.file(f); err != nil {
			break
		}
	}
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	if vf.damages > 0 {
		fmt.Fprintf(r.Stdout, "%s: DAMAGED: %d faults; fulmen-check repair saves what can be saved\n", in.name,
			vf.damages)
		return errDamaged
	}
	fmt.Fprintf(r.Stdout, "%s: fine: %d keys in %d files\n", in.name, vf.keys, len(in.files))
	return nil
}

// damagedInput reports a manifest or a header that makes no sense, which is damage and no I/O error.
func (r *run) damagedInput(err error) error {
	var damage *rdb.CorruptError
	if !errors.As(err, &damage) {
		return err
	}
	fmt.Fprintf(r.Stdout, "%s: DAMAGED at offset %d: %s\n", damage.File, damage.Offset, damage.Reason)
	return errDamaged
}

// verifier is a run of verify.
type verifier struct {
	*run
	in      *input
	scratch *scratch
	seen    *seen // nil: duplicates are not looked for
	keys    int64
	damages int
}

// maxReports bounds how many faults of a file are listed.
const maxReports = 100

// damage reports a fault.
func (vf *verifier) damage(f *file, offset int64, format string, args ...any) {
	vf.damages++
	f.faults++
	switch {
	case f.faults < maxReports:
		fmt.Fprintf(vf.Stdout, "%s: DAMAGED at offset %d: %s\n", f.path, offset, fmt.Sprintf(format, args...))
	case f.faults == maxReports:
		fmt.Fprintf(vf.Stdout, "%s: more faults follow\n", f.path)
	}
}

// file verifies one file.
func (vf *verifier) file(f *file) error {
	keys, libraries, faults, skipped := int64(0), 0, vf.damages, map[string]int64{}
	version := 0
	err := vf.visitFile(f, &visitor{
		begin:    func(_ *file, v int) error { version = v; return nil },
		function: func([]byte) error { libraries++; return nil },
		module:   func(name string) error { skipped["data of module "+name]++; return nil },
		key: func(rd *rdb.Reader, k *keyInfo) error {
			keys++
			if vf.seen != nil && !vf.seen.add(k.DB, k.name) {
				vf.damage(f, k.offset, "%s is there twice", keyText(k.DB, k.name))
			}
			if !k.known {
				skipped[k.what]++
				return nil
			}
			return vf.value(rd, k)
		},
	})
	vf.keys += keys
	var damage *rdb.CorruptError
	switch {
	case err == nil && f.keys >= 0 && keys != f.keys:
		vf.damage(f, f.size, "%d keys, and the manifest says %d", keys, f.keys)
	case err == nil:
	case errors.As(err, &damage):
		vf.damage(f, damage.Offset, "%s (%d keys before)", damage.Reason, keys)
	default:
		return err
	}
	if vf.damages == faults {
		fmt.Fprintf(vf.Stdout, "%s: RDB version %d, %d bytes, %d keys%s\n", f.path, version, f.size, keys,
			libraryText(libraries))
	}
	for what, n := range skipped {
		fmt.Fprintf(vf.Stdout, "%s: %d × %s, which this server has no use for yet: only the frame was checked\n",
			f.path, n, what)
	}
	return nil
}

// value builds the value of a key, and reports if that is not possible though its frame is in order.
func (vf *verifier) value(rd *rdb.Reader, k *keyInfo) error {
	_, err := vf.scratch.buildChecked(rd, k)
	var wrong *valueError
	if errors.As(err, &wrong) {
		vf.damage(k.file, k.offset, "value of %s: %v", keyText(k.DB, k.name), wrong.reason)
		return nil
	}
	return err
}

// libraryText says how many libraries of functions there are besides keys; nothing if there are none.
func libraryText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d function libraries", n)
}
