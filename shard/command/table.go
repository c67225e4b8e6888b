package command

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fulmen/shard/object"
)

// Session is a client connection as the server knows it; handlers in internal/server assert their own type.
type Session interface {
	// CommandSession marks the type.
	CommandSession()
}

// Protection says which parameter of the configuration a command must be allowed by.
type Protection uint8

// None, enable-debug-command, enable-module-command.
const (
	Unprotected Protection = iota
	ProtectedDebug
	ProtectedModule
)

// Row is one command, or one subcommand of a container. A row without Subs has exactly one of Run, RunSession and
// Slices.
type Row struct {
	Info
	// Run executes under the batons that the route names.
	Run func(*Ctx) error
	// RunSession executes on the session's loop, under the batons that the route names; s is the
	// server's session type, and s's context is where it replies.
	RunSession func(s Session) error
	// Slices begins the command on c.Args; it runs in slices if it is not in MULTI. The route names the batons that
	// it needs if it is.
	Slices func(c *Ctx) (Job, error)
	// InMulti: runs at once inside MULTI instead of being queued.
	InMulti bool
	// RunsQueue: inside MULTI the command executes what was queued (EXEC).
	RunsQueue bool
	// EvenOOM: runs inside MULTI even where memory is short, when nothing is queued (DISCARD).
	EvenOOM bool
	// Canary: refused like a command that writes while snapshots can't be written, for those who look whether the
	// server is well (PING).
	Canary bool
	// EndsSync: runs while data comes from a primary, though its flags refuse that: it ends the transfer (REPLICAOF).
	EndsSync bool
	// Listener: runs in RESP2 also while the session subscribes to something.
	Listener bool
	// ForReplicas: what replicas are sent of it goes through the shard that its first argument would belong to as a
	// key; while there are any, its handler has that baton.
	ForReplicas bool
	// NotQueued: refused inside MULTI, though COMMAND does not say so.
	NotQueued bool
	// Protected says which parameter must allow the command.
	Protected Protection
	// WaitsFor is the type of values that the command may wait for; a string: it never waits.
	WaitsFor object.Type
	// MayWait tells whether a call may do so, of a command that often doesn't; nil: each may.
	MayWait func(args [][]byte) bool
	// EvenGone: while it waits it is woken, too, when a key is removed or gets a value of another type (XREADGROUP).
	EvenGone bool
	// Member is the position of the first argument that is looked up in the value of the first key; 0: there is none.
	Member int
	// Members is how many arguments from there on are; 0: that one alone.
	Members int
	// MaySlice: Run does only a part of what takes long where executors take up the rest (Ctx.Then).
	MaySlice bool
	// KeepsCaching: what CLIENT CACHING has said goes on for the command behind this one.
	KeepsCaching bool
	// TellsNothing: the reply is the same whatever the data is (WATCH).
	TellsNothing bool
	// Touches: sets access clocks even for a session that said CLIENT NO-TOUCH (TOUCH).
	Touches bool
	// Script says how the script is named that the command runs. Executors run it apart, so that it may stand still.
	Script ScriptKind
	// Secret appends the positions of arguments that neither MONITOR nor the slow log may show; nil: there are none.
	Secret func(dst []int, args [][]byte) []int
	// KeyFlags says what a call does to the keys of specs flagged KeyVariable; nil elsewhere.
	KeyFlags func(args [][]byte) KeyFlags
	// Subs are the subcommands of a container; the container's own handler runs when none is named.
	Subs []*Row

	// Filled in by NewTable.
	Index     int    // position among all rows, subcommands included: the key of statistics
	FullName  string // "config|get" for subcommands
	Container *Row
	called    string // what Lookup finds it by: its name in lower case, unless it was renamed
	single    bool
	short     bool // calls with one key and that don't wait end with their call
}

// ScriptKind says how a command names the script that it runs.
type ScriptKind uint8

const (
	// NoScripts: the command runs none.
	NoScripts ScriptKind = iota
	// ScriptBySource: the first argument is the script.
	ScriptBySource
	// ScriptBySHA: the first argument is the script's SHA-1.
	ScriptBySHA
	// ScriptByName: the first argument is the name of a function.
	ScriptByName
)

// SaysItself tells whether what the script does depends on its call and on data alone: functions are data, too.
func (k ScriptKind) SaysItself() bool { return k == ScriptBySource || k == ScriptBySHA }

// known tells whether clients can name the command or its container: it is not when it was renamed to nothing.
func (r *Row) known() bool {
	if r.Container != nil {
		r = r.Container
	}
	return r.called != ""
}

// Single tells whether the command has exactly one key, its first argument, and ends with its call.
func (r *Row) Single() bool { return r.single }

// Short tells whether a call that has so many keys needs the baton of just one, and ends with its call.
func (r *Row) Short(args [][]byte, keys int) bool {
	if keys != 1 || !r.short {
		return false
	}
	return r.WaitsFor == object.String || r.MayWait != nil && !r.MayWait(args)
}

// Table finds rows by name. Immutable after NewTable.
type Table struct {
	rows  []*Row // top level, in order of definition
	all   []*Row // with subcommands; Row.Index is the position
	slots [tableSlots]*Row
}

// tableSlots is a power of two several times the number of commands: most names hash to their own slot.
const tableSlots = 2048

// NewTable joins lists of rows. It panics on a row that contradicts itself: that is our own error.
func NewTable(lists ...[]*Row) *Table {
	t := &Table{}
	for _, list := range lists {
		for _, r := range list {
			t.rows = append(t.rows, r)
			t.add(r, nil)
			r.called = r.Name
			if !t.place(r) {
				panic("BUG: two rows named " + r.Name)
			}
		}
	}
	return t
}

// place makes Lookup find a row; false: another one is called so.
func (t *Table) place(r *Row) bool {
	h := nameHash([]byte(r.called))
	for ; t.slots[h] != nil; h = (h + 1) % tableSlots {
		if t.slots[h].called == r.called {
			return false
		}
	}
	t.slots[h] = r
	return true
}

// Errors of Rename, worded as Redis words them.
var (
	ErrRenameUnknown = errors.New("No such command in rename-command")
	ErrRenameTaken   = errors.New("Target command name already exists")
)

// Rename makes a command known by another name instead of its own, or by none if name is empty. Statistics and
// COMMAND go on to tell of it by its own. Only before the table is used.
func (t *Table) Rename(old, name string) error {
	r := t.Lookup([]byte(old))
	if r == nil {
		return ErrRenameUnknown
	}
	name = strings.ToLower(name)
	if name != "" && t.Lookup([]byte(name)) != nil {
		return ErrRenameTaken
	}
	r.called = name
	if name == "" {
		t.rows = slices.DeleteFunc(t.rows, func(x *Row) bool { return x == r })
	}
	t.slots = [tableSlots]*Row{}
	for _, r := range t.rows {
		t.place(r)
	}
	return nil
}

func (t *Table) add(r *Row, container *Row) {
	handlers := 0
	for _, there := range []bool{r.Run != nil, r.RunSession != nil, r.Slices != nil} {
		if there {
			handlers++
		}
	}
	if handlers > 1 || handlers == 0 && len(r.Subs) == 0 {
		panic(fmt.Sprintf("BUG: command %s must have exactly one handler", r.Name))
	}
	for i := range r.Keys {
		if r.Keys[i].Flags&KeyVariable != 0 && r.KeyFlags == nil {
			panic("BUG: command " + r.Name + " has variable key flags and no KeyFlags")
		}
	}
	parseSyntax(r.Args) // panics here rather than when a client asks
	r.Index = len(t.all)
	r.FullName = r.Name
	r.Container = container
	if container != nil {
		r.FullName = container.Name + "|" + r.Name
	}
	r.short = r.Route == RouteKeys && r.RouteOf == nil && r.hasKeys() && r.Run != nil && !r.MaySlice && len(r.Subs) == 0
	r.single = r.short && r.SingleKey()
	t.all = append(t.all, r)
	for _, sub := range r.Subs {
		t.add(sub, r)
	}
}

// Rows returns the top-level rows in order of definition.
func (t *Table) Rows() []*Row { return t.rows }

// All returns all rows, subcommands included, by Index.
func (t *Table) All() []*Row { return t.all }

// nameHash hashes a name without regard to case.
func nameHash(name []byte) uint32 {
	h := uint32(len(name)) * 0x9e3779b1
	for _, c := range name {
		h = (h ^ uint32(c|0x20)) * 0x01000193
	}
	return (h ^ h>>15) % tableSlots
}

// Lookup finds a top-level command by name in any case; nil when there is none.
func (t *Table) Lookup(name []byte) *Row {
	for h := nameHash(name); ; h = (h + 1) % tableSlots {
		r := t.slots[h]
		if r == nil {
			return nil
		}
		if equalFold(name, r.called) {
			return r
		}
	}
}

// Sub finds a subcommand by name in any case; nil when there is none.
func (r *Row) Sub(name []byte) *Row {
	for _, sub := range r.Subs {
		if equalFold(name, sub.Name) {
			return sub
		}
	}
	return nil
}

// cString returns what C sees of b as a string: what stands before its first NUL. Redis compares options so.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// equalFold compares name with lower, which is lower case, without regard to ASCII case.
func equalFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
