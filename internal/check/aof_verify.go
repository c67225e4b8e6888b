package check

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/shard/command"
)

// damagedAOF reports damage of an append-only file, which is no I/O error.
func (r *run) damagedAOF(err error) error {
	var ours *aof.CorruptError
	var foreign *aof.ForeignError
	switch {
	case errors.As(err, &ours):
		fmt.Fprintf(r.Stdout, "%s: DAMAGED at offset %d: %s\n", ours.File, ours.Offset, ours.Reason)
	case errors.As(err, &foreign) && foreign.Kind == aof.ForeignUnknown:
		fmt.Fprintf(r.Stdout, "%s: DAMAGED at offset %d: unknown command %s\n", foreign.File, foreign.Offset,
			foreign.Reason)
	case errors.As(err, &foreign):
		fmt.Fprintf(r.Stdout, "%s: DAMAGED at offset %d: %s\n", foreign.File, foreign.Offset, foreign.Reason)
	default:
		return r.damagedInput(err)
	}
	return errDamaged
}

// verifyBases reads the BASE files, if there are any.
func (r *run) verifyBases(in *aofInput) error {
	bases, err := r.bases(in)
	if err == nil && len(bases.files) > 0 {
		err = r.verifyInput(bases)
	}
	if err != nil {
		return err
	}
	return r.baseCommands(in, func(f *aof.File) (func([]byte) error, func()) {
		commands := int64(0)
		count := func([][]byte) error { commands++; return nil }
		return func(records []byte) error { return log.ForEachIn(records, count) }, func() {
			fmt.Fprintf(r.Stdout, "%s: fine: %d keys, %d commands\n", f.Path(in.dir, in.name), f.Keys, commands)
		}
	})
}

// baseCommands reads the BASE files that have commands: begin returns what is called with some of them at a time, and
// what is called when the file was right to its end.
func (r *run) baseCommands(in *aofInput, begin func(f *aof.File) (visit func(records []byte) error, end func())) error {
	for _, f := range in.manifest.Live(aof.Base) {
		if f.Format != aof.FormatAOF {
			continue
		}
		visit, end := begin(&f)
		err := aof.ReadBase(r.Files, f.Path(in.dir, in.name), &f, func(records []byte, _ int64) error {
			return visit(records)
		})
		if err != nil {
			return err
		}
		end()
	}
	return nil
}

// verifyAOF reads all that a start would load.
func (r *run) verifyAOF(in *aofInput) error {
	if in.manifest == nil {
		return r.verifyForeign(in.foreign)
	}
	if err := r.verifyBases(in); err != nil {
		return err
	}
	if err := r.withRing(in); err != nil {
		return err
	}
	w := &aofWalk{in: in, until: math.MaxUint64}
	err := w.walk(func(c *aofCommit) error {
		for i, part := range c.parts {
			err := log.ForEachIn(part, func([][]byte) error { w.records++; return nil })
			if err != nil {
				return &aof.CorruptError{File: c.files[i], Offset: c.offsets[i], Reason: "a record: " + err.Error()}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Stdout, "%s: %d commits in %d frames, %d records, LSN %d to %d\n", in.manifestName(), w.commits,
		w.frames, w.records, w.begin, w.end)
	if w.torn {
		if err := r.judge(in, w); err != nil {
			return err // there is more to it: the next start refuses
		}
		fmt.Fprintf(r.Stdout, "%s: TORN: %v\nThe next start goes on from LSN %d; with aof-load-truncated no it "+
			"refuses, and fulmen-check\nrepair cuts off what is torn\n", in.manifestName(), w.stopped, w.end)
		return errDamaged
	}
	if w.stopped == nil && in.ringLost {
		return errDamaged
	}
	return w.stopped
}

// preamble goes through the RDB file that a file of Redis's begins with, and returns where it ends; 0 if there is none.
func (r *run) preamble(path string) (int64, int64, error) {
	file, err := r.Files.Open(path)
	if err != nil {
		return 0, 0, err
	}
	is, err := aof.ForeignPreambled(file)
	if err = errors.Join(err, file.Close()); err != nil || !is {
		return 0, 0, err
	}
	in, err := snapshot.EmbeddedPart(path).Open(r.Files, nil)
	if err != nil {
		return 0, 0, err
	}
	rd := rdb.NewReaderOptions(in, rdb.ReadOptions{File: path, Embedded: true})
	keys := int64(0)
	for err == nil {
		var ev rdb.Event
		if ev, err = rd.Next(); err == nil && ev.Kind == rdb.EventKey {
			keys++
			if err = rd.Value(rdb.Discard{}); errors.Is(err, rdb.ErrUnsupported) || errors.Is(err, rdb.ErrEmpty) {
				err = nil
			}
		}
	}
	if err == io.EOF {
		err = nil
	}
	return rd.Offset(), keys, errors.Join(err, in.Close())
}

// foreignFile is what was found in one of Redis's files.
type foreignFile struct {
	commands, transactions, keys int64
	whole                        int64 // offset up to which it is right and no transaction is open
}

// readForeign reads one of Redis's files and calls visit, which may be nil, for each command before it is counted. The
// error is a *aof.ForeignError if the file is not right, or visit's.
func (r *run) readForeign(path string, visit func(*aof.ForeignReader, [][]byte) error) (f foreignFile, err error) {
	offset, keys, err := r.preamble(path)
	f.keys, f.whole = keys, offset
	if err != nil {
		return f, err
	}
	file, err := r.Files.Open(path)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	rd, err := aof.NewForeignReader(file, path, offset)
	if err != nil {
		return f, err
	}
	multi, multiAt := false, int64(0)
	for {
		args, err := rd.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return f, err
		}
		if visit != nil {
			if err := visit(rd, args); err != nil {
				return f, err
			}
		}
		f.commands++
		switch strings.ToLower(string(args[0])) {
		case "multi":
			multi, multiAt = true, rd.Start()
		case "exec":
			multi = false
			f.transactions++
		}
		if !multi {
			f.whole = rd.Offset()
		}
	}
	if multi {
		return f, &aof.ForeignError{
			Kind: aof.ForeignShort, File: path, Offset: multiAt, Reason: "a transaction without its end",
			Err: io.ErrUnexpectedEOF,
		}
	}
	f.whole = rd.Offset()
	return f, nil
}

// unknownCommands returns a visit of one of Redis's files that wants all commands to be those of a server.
func unknownCommands(path string) func(*aof.ForeignReader, [][]byte) error {
	table := command.NewTable(command.Rows())
	// Commands of connections that there may be in a file.
	others := []string{
		"select", "multi", "exec", "eval", "evalsha", "script", "fcall", "function", "publish", "spublish", "ping",
		"echo",
	}
	return func(rd *aof.ForeignReader, args [][]byte) error {
		if table.Lookup(args[0]) != nil || slices.Contains(others, strings.ToLower(string(args[0]))) {
			return nil
		}
		return &aof.ForeignError{
			Kind: aof.ForeignUnknown, File: path, Offset: rd.Start(), Reason: quote(args[0]),
		}
	}
}

// verifyForeign reads Redis's files.
func (r *run) verifyForeign(in *aof.Foreign) error {
	for i := range in.Files {
		path := in.Files[i].Path
		f, err := r.readForeign(path, unknownCommands(path))
		if short := shortForeign(err); i == len(in.Files)-1 && short != nil {
			fmt.Fprintf(r.Stdout, "%s: TORN at offset %d: %s\nThe next start goes on without what is behind offset "+
				"%d; with aof-load-truncated no it\nrefuses, and fulmen-check repair cuts off what is torn\n",
				path, short.Offset, short.Reason, f.whole)
			return errDamaged
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(r.Stdout, "%s: fine: %d keys in its RDB part, %d commands, %d transactions\n", path, f.keys,
			f.commands, f.transactions)
	}
	return nil
}

// showAOF lists what is in an append-only file: the commits, and with their records.
func (r *run) showAOF(in *aofInput) error {
	limit, err := r.number("limit", 1<<62, 0, 1<<62)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(r.Stdout)
	if in.manifest == nil {
		err = r.showForeign(out, in.foreign, limit)
	} else {
		err = r.showOurs(out, in, limit)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, out.Flush())
}

func (r *run) showOurs(out *bufio.Writer, in *aofInput, limit int) error {
	m := in.manifest
	fmt.Fprintf(out, "manifest %s: directory %016x, %d shards, %d databases, replid %s\n", in.manifestName(), m.DirID,
		m.Shards, m.Databases, m.ReplID)
	for _, i := range m.Incarnations {
		fmt.Fprintf(out, "incarnation %d: LSN %d", i.Number, i.StartLSN)
		if i.State != aof.Running {
			fmt.Fprintf(out, " to %d", i.EndLSN)
		}
		fmt.Fprintf(out, ", %v\n", i.State)
	}
	for i := range m.Files {
		f := &m.Files[i]
		use := "live"
		if f.History {
			use = "history"
		}
		fmt.Fprintf(out, "file %s: LSN %d, incarnation %d, %s, of %s\n", f.Path(in.dir, in.name), f.LSN, f.Incarnation,
			use, timeText(f.CreatedMs))
	}
	if err := r.withRing(in); err != nil {
		return err
	}
	w := &aofWalk{in: in, until: math.MaxUint64}
	err := w.walk(func(c *aofCommit) error {
		if limit == 0 {
			return errEnough
		}
		limit--
		fmt.Fprintf(out, "commit LSN %d to %d, incarnation %d\n", c.start, c.end, c.incarnation)
		for i, part := range c.parts {
			where := ""
			if in.memory != nil && in.memory.adds(c.files[i], c.offsets[i]) {
				where = ", still in memory"
			}
			fmt.Fprintf(out, "  frame %s at offset %d%s\n", c.files[i], c.offsets[i], where)
			if err := log.ForEachIn(part, func(args [][]byte) error { return showRecord(out, args) }); err != nil {
				return &aof.CorruptError{File: c.files[i], Offset: c.offsets[i], Reason: "a record: " + err.Error()}
			}
		}
		return nil
	})
	return errors.Join(err, w.stopped)
}

// maxShown is how many bytes of an argument are shown.
const maxShown = 200

// showRecord prints a command.
func showRecord(out *bufio.Writer, args [][]byte) error {
	_, err := out.WriteString("   ")
	for _, arg := range args {
		text := quoteAll(arg[:min(len(arg), maxShown)])
		if len(arg) > maxShown {
			text += fmt.Sprintf("… (%d bytes)", len(arg))
		}
		if err == nil {
			_, err = out.WriteString(" " + text)
		}
	}
	return errors.Join(err, out.WriteByte('\n'))
}

func (r *run) showForeign(out *bufio.Writer, in *aof.Foreign, limit int) error {
	for i := range in.Files {
		fmt.Fprintf(out, "file %s: %v %d\n", in.Files[i].Path, in.Files[i].Kind, in.Files[i].Seq)
		_, err := r.readForeign(in.Files[i].Path, func(rd *aof.ForeignReader, args [][]byte) error {
			if limit == 0 {
				return errEnough
			}
			limit--
			fmt.Fprintf(out, "  offset %d\n", rd.Start())
			return showRecord(out, args)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
