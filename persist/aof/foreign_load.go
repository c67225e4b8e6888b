package aof

import (
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"fulmen/internal/resp"
	"fulmen/persist/vfs"
)

// ForeignOptions say how an append-only file of Redis's is loaded.
type ForeignOptions struct {
	FS        vfs.FS
	Databases int  // that there are; 0: any number
	Truncated bool // aof-load-truncated: the last file may end too early
	// LoadRDB loads the RDB file that a file begins with, and returns where that ends.
	LoadRDB func(file string) (endOffset int64, err error)
	// Applier executes the commands on lane 0, each a part; with a SELECT before it if it is not for database 0.
	// Neither MULTI nor EXEC is among them: a transaction's commands come when all of it was read. An error that is a
	// *resp.Error is passed over and counted, as Redis does; any other one ends the load.
	Applier Applier
	// Known tells whether there is a command of a name, whatever its case. nil: there is.
	Known  func(name []byte) bool
	Logger *slog.Logger // nil: nothing is logged

	ahead *bool // for tests: whether it is read ahead; nil: as there are processors
}

// ForeignLoaded says what was loaded.
type ForeignLoaded struct {
	Commands int64 // executed, those that failed among them
	Failed   int64 // commands that have replied with an error
	// TimestampSec is what the last annotation #TS: says, Unix time; 0 if there is none.
	TimestampSec int64
	Cut          *Cut // what was left out because the last file ends too early; the file stays as it is
}

// LoadForeign loads an append-only file of Redis's as redis-server does: the RDB part with LoadRDB, the commands with
// the Applier, serially; transactions that are not whole not at all. p is told how far it is. After an error some of
// the data was loaded. The error is a *ForeignError, or that of the file system.
//
// Where files of Redis's have commands that this server lacks (those of modules), the load fails and names the command,
// as Redis's does: nothing of a command's effect can be left out without knowing what it is. In the RDB part values of
// such types are LoadRDB's to leave out and count.
func LoadForeign(f *Foreign, o *ForeignOptions, p *LoadProgress) (ForeignLoaded, error) {
	l := &foreignLoader{o: o, p: p}
	p.TotalBytes.Add(f.Bytes())
	for i := range f.Files {
		l.last = i == len(f.Files)-1
		if err := l.file(f.Files[i].Path); err != nil {
			return l.loaded, err
		}
	}
	return l.loaded, nil
}

// foreignLoader is a load under way.
type foreignLoader struct {
	o      *ForeignOptions
	p      *LoadProgress
	last   bool // it is the last file
	loaded ForeignLoaded
	path   string // of the file at hand
}

// file loads a file. Each begins in database 0.
func (l *foreignLoader) file(path string) (err error) {
	file, err := l.o.FS.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	l.path = path
	offset, err := l.preamble(file, path)
	if err != nil {
		return err
	}
	r, err := NewForeignReader(file, path, offset)
	if err != nil {
		return err
	}
	l.p.ReadBytes.Add(offset)
	c := &foreignCommands{o: l.o, path: path, r: r}
	err = l.commands(c)
	var wrong *ForeignError
	if errors.As(err, &wrong) && wrong.Kind == ForeignShort {
		return l.short(wrong, c)
	}
	return err
}

// preamble loads what stands before the commands, and returns where they begin.
func (l *foreignLoader) preamble(file vfs.Reader, path string) (int64, error) {
	if is, err := ForeignPreambled(file); err != nil || !is {
		return 0, err
	}
	end, err := l.o.LoadRDB(path)
	if err != nil {
		return 0, &ForeignError{Kind: ForeignPreamble, File: path, Err: err}
	}
	return end, nil
}

// ForeignPreambled tells whether a file begins with an RDB file.
func ForeignPreambled(file io.ReaderAt) (bool, error) {
	var magic [5]byte
	if _, err := file.ReadAt(magic[:], 0); err != nil && err != io.EOF {
		return false, err
	}
	return string(magic[:]) == "REDIS", nil
}

// short judges a file that ends too early.
func (l *foreignLoader) short(wrong *ForeignError, c *foreignCommands) error {
	if c.multi && c.multiAt < wrong.Offset {
		wrong.Offset, wrong.Reason = c.multiAt, "in a transaction"
	}
	if !l.o.Truncated {
		return wrong
	}
	if !l.last {
		wrong.Kind = ForeignNotLast
		return wrong
	}
	l.loaded.Cut = &Cut{File: l.path, Offset: wrong.Offset, Bytes: c.r.size - wrong.Offset, Reason: wrong.Reason}
	if l.o.Logger != nil {
		l.o.Logger.Warn("!!! Warning: short read while loading the AOF file " + l.path + "!!!")
		l.o.Logger.Warn("AOF " + l.path + " loaded up to offset " + strconv.FormatInt(wrong.Offset, 10) +
			" because aof-load-truncated is enabled")
	}
	return nil
}

// commands executes what c reads, ahead if there is a processor for it.
func (l *foreignLoader) commands(c *foreignCommands) error {
	parallel := spareProcessors(1)
	if l.o.ahead != nil {
		parallel = *l.o.ahead
	}
	batches := newAhead(parallel, c.next)
	defer batches.stop()
	for {
		b := batches.next()
		err := l.execute(b)
		l.p.ReadBytes.Add(b.read)
		l.loaded.TimestampSec = max(l.loaded.TimestampSec, b.timestampSec)
		if err == nil {
			err = b.err
		}
		if err != nil || b.last {
			return err
		}
	}
}

// execute executes a batch.
func (l *foreignLoader) execute(b *foreignBatch) error {
	for at := 0; at < len(b.parts); at++ {
		done, _, err := l.o.Applier.Apply(0, b.parts[at:])
		at += done
		if err != nil {
			done++ // it was executed, if in vain
		}
		l.loaded.Commands += int64(done)
		l.p.Commands.Add(int64(done))
		if err == nil {
			break
		}
		var reply *resp.Error
		if !errors.As(err, &reply) {
			return &ForeignError{Kind: ForeignExecution, File: l.path, Offset: b.offsets[at], Err: err}
		}
		l.fail(b, at, reply)
	}
	return nil
}

// maxForeignFailures is how many commands that fail are logged.
const maxForeignFailures = 10

// fail counts a command that has replied with an error.
func (l *foreignLoader) fail(b *foreignBatch, at int, reply *resp.Error) {
	l.loaded.Failed++
	if l.o.Logger != nil && l.loaded.Failed <= maxForeignFailures {
		l.o.Logger.Warn("== CRITICAL == This AOF is sending an error to its AOF-loading-client: '" + reply.Error() +
			"' after processing the command '" + strings.ToValidUTF8(b.name(at), "?") + "' at offset " +
			strconv.FormatInt(b.offsets[at], 10) + " of " + l.path)
	}
}
