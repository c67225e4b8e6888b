package check

import (
	"errors"
	"fmt"
	"io"

	"fulmen/persist/aof"
	"fulmen/persist/vfs"
)

// shortForeign returns the error that one of Redis's files ends too early, nil if that is not what it is.
func shortForeign(err error) *aof.ForeignError {
	var wrong *aof.ForeignError
	if errors.As(err, &wrong) && wrong.Kind == aof.ForeignShort {
		return wrong
	}
	return nil
}

// firstDatabase is what a file of Redis's begins with that is part of another: each is loaded from database 0 on.
const firstDatabase = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"

// convertForeignTo writes Redis's files as one, each up to where it is whole: only the last one may be torn.
func (r *run) convertForeignTo(in *aof.Foreign, temp string) error {
	out, err := r.Files.OpenAppend(temp, 0o644)
	if err != nil {
		return err
	}
	for i := range in.Files {
		if err = r.appendForeign(out, in.Files[i].Path, i == 0, i == len(in.Files)-1); err != nil {
			break
		}
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// appendForeign appends one of them.
func (r *run) appendForeign(out io.Writer, path string, first, last bool) error {
	f, err := r.readForeign(path, unknownCommands(path))
	short := shortForeign(err)
	if err != nil && (short == nil || !last) {
		return err
	}
	offset, _, preambleErr := r.preamble(path)
	if preambleErr != nil {
		return preambleErr
	}
	if !first && offset > 0 {
		return fmt.Errorf("%s has an RDB part, which there can be only at the beginning of a file", path)
	}
	if !first {
		if _, err := io.WriteString(out, firstDatabase); err != nil {
			return err
		}
	}
	if err := copyStart(out, r.Files, path, f.whole); err != nil {
		return err
	}
	if short != nil {
		fmt.Fprintf(r.Stdout, "%s: TORN at offset %d: %s; all up to offset %d is written\n", path, short.Offset,
			short.Reason, f.whole)
	}
	fmt.Fprintf(r.Stdout, "%s: %d keys and %d commands written\n", path, f.keys, f.commands)
	return nil
}

// copyStart copies the first bytes of a file.
func copyStart(out io.Writer, fsys vfs.FS, path string, size int64) error {
	file, err := fsys.Open(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, file, size)
	return errors.Join(err, file.Close())
}
