package aof

import (
	"bytes"
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
	// Applier executes the commands, one a call, on lane 0; with a SELECT before it if it is not for database 0.
	// Neither MULTI nor EXEC is among them: a transaction's commands come when all of it was read. An error that is a
	// *resp.Error is passed over and counted, as Redis does; any other one ends the load.
	Applier Applier
	// Known tells whether there is a command of a name, whatever its case. nil: there is.
	Known  func(name []byte) bool
	Logger *slog.Logger // nil: nothing is logged
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

	// Of the file at hand.
	path    string
	r       *ForeignReader
	read    int64 // told to p
	db      int
	multi   bool
	multiAt int64           // offset of the MULTI
	queue   []queuedForeign // commands since
	part    []byte
	parts   [1][]byte
}

// queuedForeign is a command of a transaction.
type queuedForeign struct {
	args   [][]byte
	offset int64
}

// file loads a file. Each begins in database 0.
func (l *foreignLoader) file(path string) (err error) {
	file, err := l.o.FS.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	offset, err := l.preamble(file, path)
	if err != nil {
		return err
	}
	if l.r, err = NewForeignReader(file, path, offset); err != nil {
		return err
	}
	l.path, l.db, l.multi, l.queue, l.read = path, 0, false, nil, 0
	err = l.commands()
	l.tell()
	l.loaded.TimestampSec = max(l.loaded.TimestampSec, l.r.Timestamp())
	var wrong *ForeignError
	if errors.As(err, &wrong) && wrong.Kind == ForeignShort {
		return l.short(wrong)
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
func (l *foreignLoader) short(wrong *ForeignError) error {
	if l.multi && l.multiAt < wrong.Offset {
		wrong.Offset, wrong.Reason = l.multiAt, "in a transaction"
	}
	if !l.o.Truncated {
		return wrong
	}
	if !l.last {
		wrong.Kind = ForeignNotLast
		return wrong
	}
	l.loaded.Cut = &Cut{File: l.path, Offset: wrong.Offset, Bytes: l.r.size - wrong.Offset, Reason: wrong.Reason}
	if l.o.Logger != nil {
		l.o.Logger.Warn("!!! Warning: short read while loading the AOF file " + l.path + "!!!")
		l.o.Logger.Warn("AOF " + l.path + " loaded up to offset " + strconv.FormatInt(wrong.Offset, 10) +
			" because aof-load-truncated is enabled")
	}
	return nil
}

// commands executes the commands of the file at hand.
func (l *foreignLoader) commands() error {
	for {
		args, err := l.r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = l.command(args)
		}
		if err != nil {
			return err
		}
		if l.r.Offset()-l.read >= readBytes {
			l.tell()
		}
	}
	if l.multi {
		return &ForeignError{Kind: ForeignShort, File: l.path, Offset: l.multiAt, Reason: "in a transaction",
			Err: io.ErrUnexpectedEOF}
	}
	return nil
}

// tell tells how far the load is.
func (l *foreignLoader) tell() {
	l.p.ReadBytes.Add(l.r.Offset() - l.read)
	l.read = l.r.Offset()
}

// command takes a command: it is executed, or kept until its transaction is whole.
func (l *foreignLoader) command(args [][]byte) error {
	at := l.r.Start()
	switch name := args[0]; {
	case bytes.EqualFold(name, []byte("multi")):
		if l.multi {
			return l.wrong(ForeignFormat, at, "MULTI inside MULTI", nil)
		}
		l.multi, l.multiAt = true, at
		return nil
	case bytes.EqualFold(name, []byte("exec")):
		if !l.multi {
			return l.wrong(ForeignFormat, at, "EXEC without MULTI", nil)
		}
		return l.exec()
	case !bytes.EqualFold(name, []byte("select")) && l.o.Known != nil && !l.o.Known(name):
		return l.wrong(ForeignUnknown, at, strings.ToValidUTF8(string(name), "?"), nil)
	case l.multi:
		q := queuedForeign{offset: at}
		for _, arg := range args {
			q.args = append(q.args, bytes.Clone(arg))
		}
		l.queue = append(l.queue, q)
		return nil
	}
	return l.execute(args, at)
}

// exec executes a transaction.
func (l *foreignLoader) exec() error {
	for _, q := range l.queue {
		if err := l.execute(q.args, q.offset); err != nil {
			return err
		}
	}
	l.multi, l.queue = false, l.queue[:0]
	return nil
}

// execute executes a command.
func (l *foreignLoader) execute(args [][]byte, at int64) error {
	if bytes.EqualFold(args[0], []byte("select")) {
		return l.selectDB(args, at)
	}
	l.part = l.part[:0]
	if l.db != 0 {
		l.part = resp.AppendCommand(l.part, []byte("SELECT"), strconv.AppendInt(nil, int64(l.db), 10))
	}
	l.part = resp.AppendCommand(l.part, args...)
	l.parts[0] = l.part
	_, _, err := l.o.Applier.Apply(0, l.parts[:])
	l.loaded.Commands++
	l.p.Commands.Add(1)
	var reply *resp.Error
	if !errors.As(err, &reply) {
		if err != nil {
			return l.wrong(ForeignExecution, at, "", err)
		}
		return nil
	}
	l.loaded.Failed++
	if l.o.Logger != nil && l.loaded.Failed <= maxForeignFailures {
		l.o.Logger.Warn("== CRITICAL == This AOF is sending an error to its AOF-loading-client: '" + err.Error() +
			"' after processing the command '" + strings.ToValidUTF8(string(args[0]), "?") + "' at offset " +
			strconv.FormatInt(at, 10) + " of " + l.path)
	}
	return nil
}

// maxForeignFailures is how many commands that fail are logged.
const maxForeignFailures = 10

func (l *foreignLoader) selectDB(args [][]byte, at int64) error {
	if len(args) != 2 {
		return l.wrong(ForeignFormat, at, "SELECT needs one argument", nil)
	}
	n, err := strconv.Atoi(string(args[1]))
	if err != nil || n < 0 || l.o.Databases > 0 && n >= l.o.Databases {
		return l.wrong(ForeignDatabase, at, strings.ToValidUTF8(string(args[1]), "?"), nil)
	}
	l.db = n
	return nil
}

func (l *foreignLoader) wrong(kind ForeignFault, at int64, reason string, err error) error {
	return &ForeignError{Kind: kind, File: l.path, Offset: at, Reason: reason, Err: err}
}
