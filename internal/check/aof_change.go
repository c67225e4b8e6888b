package check

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"fulmen/persist/aof"
)

// convertAOF writes an append-only file as one file that Redis loads: what is in the BASE, if there is one, an RDB file
// or commands, and all commits behind it in order; of Redis's the files one after the other. It is written beside its
// name, and renamed when it is there to last.
func (r *run) convertAOF(in *aofInput, path string) error {
	if r.has("shards") {
		return usageError("--shards is for snapshots")
	}
	if in.manifest == nil && r.has("until-lsn") {
		return usageError("there are no LSNs in Redis's files: truncate --time takes a copy of them back to a moment")
	}
	until, err := r.lsn("until-lsn", math.MaxUint64)
	if err != nil {
		return err
	}
	temp := path + ".converting"
	if err := r.mustBeFree(path, temp); err != nil {
		return err
	}
	if in.manifest == nil {
		err = r.convertForeignTo(in.foreign, temp)
	} else {
		err = r.convertTo(in, temp, until)
	}
	if err != nil {
		if removeErr := r.Files.Remove(temp); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
		return err
	}
	if err := r.Files.Rename(temp, path); err != nil {
		return err
	}
	return r.Files.SyncDir(filepath.Dir(path))
}

func (r *run) convertTo(in *aofInput, temp string, until uint64) error {
	if err := r.withRing(in); err != nil {
		return err
	}
	in.goBack(until, 0)
	w := &aofWalk{in: in, until: until}
	for _, f := range in.manifest.Live(aof.Base) {
		if f.LSN > until {
			return fmt.Errorf("the BASE is of LSN %d: there is no way back to %d, and no history "+
				"(aof-history-retain-seconds, aof-history-retain-bytes)", f.LSN, until)
		}
	}
	bases, err := r.bases(in)
	if err == nil && len(bases.files) > 0 {
		err = r.rewrite(bases, temp, false)
	}
	if err != nil {
		return err
	}
	file, err := r.Files.OpenAppend(temp, 0o644)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 1<<18)
	err = r.baseCommands(in, func(f *aof.File) (func([]byte) error, func()) {
		return func(records []byte) error {
			_, err := out.Write(records)
			return err
		}, func() { fmt.Fprintf(r.Stdout, "%s: %d keys written as commands\n", f.Path(in.dir, in.name), f.Keys) }
	})
	if err != nil {
		return errors.Join(err, file.Close())
	}
	said := int64(0)
	err = w.walk(func(c *aofCommit) error {
		if c.timeSec > said {
			said = c.timeSec
			fmt.Fprintf(out, "#TS:%d\r\n", said) // Flush has the error
		}
		for _, part := range c.parts {
			if _, err := out.Write(part); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = r.judge(in, w)
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if w.torn {
		fmt.Fprintf(r.Stdout, "%s: TORN: %v; all up to LSN %d is written\n", in.manifestName(), w.stopped, w.end)
	}
	fmt.Fprintf(r.Stdout, "%d commits behind the base written, LSN %d to %d\n", w.commits, w.begin, w.end)
	return nil
}

// lsn returns an option's value, an LSN.
func (r *run) lsn(name string, otherwise uint64) (uint64, error) {
	v, ok := r.options[name]
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, usageError(fmt.Sprintf("--%s is %q; it must be a number", name, v))
	}
	return n, nil
}

// lock takes the directory of an append-only file as a server does, and reads its manifest again: a server may have
// been there since it was found.
func (r *run) lock(in *aofInput) (io.Closer, error) {
	lock, err := r.Files.Lock(in.dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (is the server running?)", in.dir, err)
	}
	if in.manifest, err = aof.ReadManifest(r.Files, in.dir, in.name); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// repairAOF cuts off a torn tail; what is damaged before that, with all that follows, only if --fix says so.
func (r *run) repairAOF(in *aofInput) error {
	if r.has("out") || r.has("shards") {
		return usageError("--out and --shards are for snapshots: an append-only file is repaired where it is")
	}
	if in.manifest == nil {
		return r.repairForeign(in.foreign)
	}
	lock, err := r.lock(in)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // the process ends anyway
	done, refused, err := r.settle(in)
	if err != nil {
		return err
	}
	w := &aofWalk{in: in, until: math.MaxUint64}
	if err := w.walk(func(*aofCommit) error { return nil }); err != nil {
		return err
	}
	torn := refused == nil && w.torn
	if torn {
		if refused, err = r.settleWith(in, nil); err != nil {
			return err
		}
		done = refused == nil
	}
	switch {
	case refused == nil && (torn || w.stopped == nil):
		if err := r.checkBases(in); err != nil {
			return err
		}
		text := "fine: nothing to repair"
		if done {
			text = fmt.Sprintf("repaired: the data ends at LSN %d", in.manifest.Last().EndLSN)
		}
		fmt.Fprintf(r.Stdout, "%s: %s\n", in.manifestName(), text)
		return nil
	case w.stopped == nil:
		w.stopped = refused
	}
	if !r.has("fix") {
		fmt.Fprintf(r.Stdout, "What is damaged is not the end: with --fix everything behind LSN %d is given up: %d "+
			"bytes of the files\n", w.end, w.lost)
		return w.stopped
	}
	fmt.Fprintf(r.Stdout, "%v\n%d bytes of the files behind LSN %d are given up\n", w.stopped, w.lost, w.end)
	if err := r.endAt(in, w); err != nil {
		return err
	}
	return r.checkBases(in)
}

// checkBases reads the BASE files, which can't be repaired where they are: no commit has what they lack.
func (r *run) checkBases(in *aofInput) error {
	err := r.verifyBases(in)
	if err != nil {
		fmt.Fprintf(r.Stdout, "%s: a BASE that is damaged has to be put back from a copy: no start does without it. "+
			"fulmen-check repair and the name of its file save what can be saved of it to an RDB file; one that has "+
			"commands is cut where it is, with --fix, and can be loaded as a file of Redis's\n", in.manifestName())
	}
	return err
}

// truncateAOF gives up all that came after an LSN or a moment.
func (r *run) truncateAOF() error {
	in, err := r.aofInput(r.args)
	if err == nil && in == nil {
		err = usageError("which append-only file?")
	}
	if err != nil {
		return r.damagedAOF(err)
	}
	if in.manifest == nil {
		return r.damagedAOF(r.truncateForeign(in.foreign))
	}
	return r.damagedAOF(r.truncateOurs(in))
}

func (r *run) truncateOurs(in *aofInput) (err error) {
	w := &aofWalk{in: in}
	switch {
	case r.has("lsn") == r.has("time"):
		err = usageError("either --lsn or --time is needed")
	case r.has("lsn"):
		w.until, err = r.lsn("lsn", 0)
	default:
		w.until = math.MaxUint64
		w.untilSec, err = r.seconds()
	}
	if err != nil {
		return err
	}
	lock, err := r.lock(in)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // the process ends anyway
	_, refused, err := r.settle(in)
	if err != nil {
		return err
	}
	in.goBack(w.until, w.untilSec)
	if err := w.walk(func(*aofCommit) error { return nil }); err != nil {
		return err
	}
	switch {
	case w.until < w.begin:
		return fmt.Errorf("the BASE is of LSN %d: there is no way back to %d, and no history "+
			"(aof-history-retain-seconds, aof-history-retain-bytes)", w.begin, w.until)
	case refused != nil && !w.cut: // what is damaged is before the end, and more is in memory
		return refused
	case !w.cut: // likewise, without a ring
		if err := r.judge(in, w); err != nil {
			return err
		}
	}
	if w.untilSec > 0 {
		if err := w.timely(); err != nil {
			return err
		}
	}
	return r.endAt(in, w)
}

// timely tells whether a walk up to a moment has found what was there then.
func (w *aofWalk) timely() error {
	for _, f := range w.in.manifest.Live(aof.Base) {
		if f.CreatedMs/1000 > w.untilSec {
			return fmt.Errorf("the BASE is of %s: there is no way back beyond that",
				time.UnixMilli(f.CreatedMs).UTC().Format(time.RFC3339))
		}
	}
	if !w.dated {
		return errors.New("no commit says when it was: aof-timestamp-enabled was no. fulmen-check show lists them " +
			"with their LSN, which --lsn takes, and says when each file was begun")
	}
	return nil
}

// endAt commits a manifest by which the data ends where a walk has. What the files have behind that no start looks at
// any more, and the next rewrite removes it. Later incarnations stay as lives that nothing has come of, so that the
// number of the last one, by which a start tells its ring in memory from others, is not used again. It is the beginning
// of another history: what is cut off replicas may have, and where in the old one the rest is nobody knows.
func (r *run) endAt(in *aofInput, w *aofWalk) error {
	m := in.manifest.Clone()
	if w.incarnation == 0 {
		w.incarnation = m.Last().Number // all is in a BASE
	}
	for i := range m.Incarnations {
		life := &m.Incarnations[i]
		switch {
		case life.Number == w.incarnation:
			life.State, life.EndLSN, life.MissingBytes = aof.Unclean, max(w.end, life.StartLSN), w.missing
			life.HoleLSN = 0
		case life.Number > w.incarnation:
			*life = aof.Incarnation{Number: life.Number, StartLSN: w.end, EndLSN: w.end, State: aof.Unclean}
		}
	}
	m.Files = slices.DeleteFunc(m.Files, func(f aof.File) bool { return f.Incarnation > w.incarnation })
	m.ReplID, m.ReplID2, m.ReplID2LSN, m.Earlier = newReplID(), "", 0, nil
	m.Position = aof.Position{LSN: w.end, Offset: w.end, From: w.end}
	if err := m.Commit(r.Files, in.dir, in.name); err != nil {
		return err
	}
	fmt.Fprintf(r.Stdout, "%s: the data ends at LSN %d now\n", in.manifestName(), w.end)
	return nil
}

// newReplID draws a replid.
func newReplID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x", b)
}

// repairForeign cuts off the end of the last of Redis's files.
func (r *run) repairForeign(in *aof.Foreign) error {
	for i := range in.Files {
		path := in.Files[i].Path
		f, err := r.readForeign(path, unknownCommands(path))
		var wrong *aof.ForeignError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &wrong):
			return err
		case (i < len(in.Files)-1 || wrong.Kind != aof.ForeignShort) && !r.has("fix"):
			fmt.Fprintln(r.Stdout, "What is damaged is not the end: with --fix all behind it in this file is given up")
			return err
		}
		if err := r.cutFile(path, f.whole); err != nil {
			return err
		}
	}
	return nil
}

// cutFile cuts a file.
func (r *run) cutFile(path string, size int64) error {
	info, err := r.Files.Stat(path)
	if err != nil {
		return err
	}
	file, err := r.Files.OpenWrite(path)
	if err != nil {
		return err
	}
	if err = file.Truncate(size); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	fmt.Fprintf(r.Stdout, "%s: cut off at offset %d: %d bytes\n", path, size, info.Size()-size)
	return nil
}

// truncateForeign cuts the last of Redis's files before the first annotation of a later moment.
func (r *run) truncateForeign(in *aof.Foreign) error {
	seconds, err := r.seconds()
	if err != nil {
		return err
	}
	for i := range in.Files {
		size, err := r.timeOffset(in.Files[i].Path, seconds)
		if err != nil {
			return err
		}
		if size < 0 {
			continue
		}
		if size == 0 {
			return fmt.Errorf("%s has nothing of before that", in.Files[i].Path)
		}
		if i < len(in.Files)-1 {
			return fmt.Errorf("%s is later already, and is not the last file: truncate what is before it by hand",
				in.Files[i].Path)
		}
		return r.cutFile(in.Files[i].Path, size)
	}
	fmt.Fprintln(r.Stdout, "nothing is later")
	return nil
}

// seconds returns the moment that --time says, Unix time.
func (r *run) seconds() (int64, error) {
	text := r.text("time", "")
	if seconds, err := strconv.ParseInt(text, 10, 63); err == nil && seconds > 0 {
		return seconds, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() <= 0 {
		return 0, usageError("--time is needed: Unix time in seconds, or as 2006-01-02T15:04:05Z")
	}
	return t.Unix(), nil
}

// timeOffset returns where a file begins to be later than a moment; −1 if nowhere.
func (r *run) timeOffset(path string, seconds int64) (at int64, err error) {
	f, err := r.readForeign(path, func(rd *aof.ForeignReader, _ [][]byte) error {
		if rd.Timestamp() > seconds {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return f.whole, nil
	}
	return -1, err
}
