package check

import (
	"errors"
	"fmt"

	"fulmen/persist/rdb"
)

// convert writes a snapshot anew.
func (r *run) convert() error {
	n := len(r.args)
	if n < 2 {
		return usageError("FILE and NEW are needed")
	}
	return r.snapshotOrAOF(r.args[:n-1], func(in *aofInput) error { return r.convertAOF(in, r.args[n-1]) },
		r.convertSnapshot)
}

func (r *run) convertSnapshot() error {
	n := len(r.args)
	in, err := r.input(r.args[:n-1]...)
	if err != nil {
		return r.damagedInput(err)
	}
	return r.rewrite(in, r.args[n-1], false)
}

// repair writes what can be read of a snapshot.
func (r *run) repair() error {
	if len(r.args) == 0 {
		return usageError("which FILE?")
	}
	return r.snapshotOrAOF(r.args, r.repairAOF, r.repairSnapshot)
}

func (r *run) repairSnapshot() error {
	in, err := r.salvageInput()
	if err != nil {
		return r.damagedInput(err)
	}
	return r.rewrite(in, r.text("out", r.repairedName()), true)
}

// rewriter writes a snapshot anew.
type rewriter struct {
	*run
	out     *output
	partial bool  // damage is put up with
	seen    *seen // of a partial one
	raw     []byte
	saved   int64
	empty   int64
	damages int
}

// rewrite makes the two passes.
func (r *run) rewrite(in *input, path string, partial bool) error {
	form, err := r.outputForm(path)
	if err != nil {
		return err
	}
	s, err := newScratch(r, max(form.shards, 1))
	if err != nil {
		return err
	}
	r.progress.total *= 2
	rw := &rewriter{run: r, partial: partial, seen: newSeen()}
	err = rw.passes(in, form, s)
	if err = errors.Join(err, s.close()); err != nil {
		return r.damagedInput(err)
	}
	fmt.Fprintf(r.Stdout, "%s: %d keys written", rw.out.name(), rw.saved)
	if rw.empty > 0 {
		fmt.Fprintf(r.Stdout, "; %d collections without elements left out", rw.empty)
	}
	fmt.Fprintln(r.Stdout)
	if rw.damages > 0 {
		fmt.Fprintf(r.Stdout, "%s: DAMAGED: %d faults\n", in.name, rw.damages)
		return errDamaged
	}
	if in.loose {
		return errDamaged // something may be lost
	}
	return nil
}

func (rw *rewriter) passes(in *input, form outputForm, s *scratch) error {
	p, err := rw.plan(in, s.set, rw.partial)
	if err != nil {
		return err
	}
	for name, n := range p.modules {
		fmt.Fprintf(rw.Stderr, "%s: data of module %s (%d) can't be taken along\n", in.name, name, n)
	}
	if rw.out, err = rw.newOutput(form, p, s); err != nil {
		return err
	}
	v := visitor{key: rw.key}
	if rw.partial {
		v.broken = rw.broken
	}
	err = rw.visit(in, v)
	if err == nil {
		err = rw.out.finish()
	}
	if err != nil {
		rw.out.files.Abort()
	}
	return err
}

// key writes a key.
func (rw *rewriter) key(rd *rdb.Reader, k *keyInfo) error {
	k.file.read++
	if rw.partial && !rw.seen.add(k.DB, k.name) {
		rw.report(k.file, k.offset, "%s is there twice: the first is kept", keyText(k.DB, k.name))
		return nil
	}
	if !k.known {
		var err error
		if rw.raw, err = rd.Raw(rw.raw[:0]); err == nil {
			rw.out.raw(k, rw.raw)
			rw.saved++
		}
		return errors.Join(err, rw.out.err())
	}
	build := rw.out.scratch.build
	if rw.partial {
		build = rw.out.scratch.buildChecked
	}
	b, err := build(rd, k)
	var wrong *valueError
	switch {
	case errors.As(err, &wrong):
		rw.report(k.file, k.offset, "value of %s is lost: %s", keyText(k.DB, k.name), wrong.reason)
		return nil
	case err != nil:
		return err
	case b == nil:
		rw.empty++
		return nil
	}
	rw.out.entry(k, b)
	rw.saved++
	return rw.out.err()
}

// report tells of damage.
func (rw *rewriter) report(f *file, offset int64, format string, args ...any) {
	rw.damages++
	fmt.Fprintf(rw.Stdout, "%s: DAMAGED at offset %d: %s\n", f.path, offset, fmt.Sprintf(format, args...))
}

// broken reports where a file can't be read on.
func (rw *rewriter) broken(f *file, err error) error {
	var damage *rdb.CorruptError
	if !errors.As(err, &damage) {
		return err
	}
	switch {
	case f.keys >= 0 && f.read >= f.keys, f.keys < 0 && errors.Is(err, rdb.ErrChecksum):
		rw.report(f, damage.Offset, "%s; all %d keys could be read, but some may have been altered", damage.Reason,
			f.read)
	case f.keys >= 0:
		rw.report(f, damage.Offset, "%s; of its %d keys the last %d are lost", damage.Reason, f.keys, f.keys-f.read)
	default:
		rw.report(f, damage.Offset, "%s; %d keys before that are saved, what follows is lost", damage.Reason, f.read)
	}
	return nil
}
