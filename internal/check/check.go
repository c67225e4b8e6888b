package check

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"fulmen/internal/clock"
	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
)

// The exit codes.
const (
	exitFine    = 0
	exitDamaged = 1
	exitFailed  = 2
)

// Env is what surrounds a run of the command.
type Env struct {
	Files  vfs.FS
	Stdout io.Writer // what was asked for
	Stderr io.Writer // errors and progress
	Clock  clock.Clock
	// Version is told by --version.
	Version string
}

// subcommand is one thing that the command can do.
type subcommand struct {
	name    string
	args    string // how its arguments are called
	summary string
	options []option
	details string
	run     func(r *run) error
}

var (
	// errDamaged says that damage was found and has been reported.
	errDamaged = errors.New("damaged")
)

// usageError is a wrong call.
type usageError string

// Error says what is wrong.
func (e usageError) Error() string { return string(e) }

// Main runs the command with its arguments, without its name, and returns the exit code.
func Main(args []string, env Env) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch name {
	case "", "help", "-h", "--help":
		return helpAbout(args, env)
	case "--version", "-v":
		fmt.Fprintf(env.Stdout, "fulmen-check %s\n", env.Version)
		return exitFine
	}
	sub := find(name)
	if sub == nil {
		fmt.Fprintf(env.Stderr, "fulmen-check: unknown command %q; fulmen-check --help lists them\n", name)
		return exitFailed
	}
	r := &run{Env: env, sub: sub}
	err := r.parse(args[1:])
	switch {
	case err == nil && r.help:
		describe(env.Stdout, sub)
		return exitFine
	case err == nil:
		r.progress.init(r)
		err = sub.run(r)
		r.progress.end()
	}
	var wrong usageError
	var damage *rdb.CorruptError
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errDamaged):
		return exitDamaged
	case errors.As(err, &damage):
		fmt.Fprintf(env.Stderr, "fulmen-check %s: %v\n", sub.name, err)
		return exitDamaged
	case errors.As(err, &wrong):
		fmt.Fprintf(env.Stderr, "fulmen-check %s: %v\n\n", sub.name, err)
		describe(env.Stderr, sub)
	default:
		fmt.Fprintf(env.Stderr, "fulmen-check %s: %v\n", sub.name, err)
	}
	return exitFailed
}

func find(name string) *subcommand {
	all := subcommands()
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// helpAbout answers help, and a call without arguments, which is a wrong one.
func helpAbout(args []string, env Env) int {
	if len(args) > 1 {
		if sub := find(args[1]); sub != nil {
			describe(env.Stdout, sub)
			return exitFine
		}
	}
	w, code := env.Stdout, exitFine
	if len(args) == 0 {
		w, code = env.Stderr, exitFailed
	}
	var b strings.Builder
	b.WriteString("fulmen-check examines snapshots and append-only files without a server, Fulmen's and Redis's.\n\n" +
		"    fulmen-check COMMAND [OPTION …] FILE …\n\n")
	for _, sub := range subcommands() {
		fmt.Fprintf(&b, "    %-9s %s\n", sub.name, sub.summary)
	}
	b.WriteString("\nFILE is an RDB file, one segment of a snapshot, the manifest of a snapshot or an append-only\n" +
		"file, one of Redis's append-only files, or the directory of such. A data directory stands for its\n" +
		"snapshot or, if there is none, for the append-only file in a directory of it. fulmen-check COMMAND\n" +
		"--help explains a command. Exit codes: 0 fine, 1 damage was found, 2 a wrong call or an I/O error.\n")
	io.WriteString(w, b.String())
	return code
}

// describe explains a subcommand.
func describe(w io.Writer, sub *subcommand) {
	var b strings.Builder
	fmt.Fprintf(&b, "fulmen-check %s [OPTION …] %s\n\n%s.\n", sub.name, sub.args, sub.summary)
	if sub.details != "" {
		fmt.Fprintf(&b, "\n%s\n", sub.details)
	}
	b.WriteByte('\n')
	for _, o := range slices.Concat(sub.options, commonOptions[:]) {
		left := "--" + o.name
		if o.value != "" {
			left += " " + o.value
		}
		fmt.Fprintf(&b, "    %-24s %s\n", left, o.help)
	}
	io.WriteString(w, b.String())
}
