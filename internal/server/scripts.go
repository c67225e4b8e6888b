package server

import (
	"bytes"
	"sync"
	"sync/atomic"

	"fulmen/internal/resp"
	"fulmen/internal/script"
	"fulmen/shard/command"
)

// scripts are the server's scripts: the cache that EVALSHA finds them in, and those that run. The cache is unbounded,
// as Redis's, and shared by all loops; each loop keeps what it has found in tables of its own (loopScripts), which are
// valid until SCRIPT FLUSH.
type scripts struct {
	// Immutable after init.
	engine   *script.Engine
	variants map[*command.Row]*[scriptVariants]*command.Row // by the rows of commands that run scripts

	mu    sync.Mutex
	bySHA map[string]*script.Script

	// Atomic.
	epoch  atomic.Uint64 // raised by SCRIPT FLUSH
	count  atomic.Int64  // of scripts in the cache
	bytes  atomic.Int64  // about what these occupy
	states atomic.Int64  // Lua states

	running runningScripts

	fault atomic.Uint32 // a scriptFault; set by tests

	ballastOnce sync.Once
	ballast     []byte
}

// scriptFault is a mistake that a test plants in order to show that it would be noticed.
type scriptFault uint8

const (
	scriptSound    scriptFault = iota
	judgesNarrowly             // a script is taken for one that touches its keys only
	letsGoEarly                // a script that stands still has given its batons back
	commitsEarly               // what a script's command has done is committed at once
)

// has tells whether a test has planted the fault.
func (v *scripts) has(fault scriptFault) bool { return v.fault.Load() == uint32(fault) }

// ballastBytes are allocated with the first Lua state, and never touched: so they take no memory, and the garbage
// collector runs when that much garbage has gathered. Every script makes some. Without, on the few megabytes of a
// server's Go heap, it ran fifty times a second, and took a sixth of the time of short scripts.
const ballastBytes = 24 << 20

// loopScripts is what a loop knows of scripts; the loop's.
type loopScripts struct {
	epoch    uint64 // of the cache when the tables were begun
	bySHA    map[string]*script.Script
	bySource map[string]*script.Script
	idle     *scriptRun // for the next script; nil: one has to be made
	standing int        // scripts that stand still
}

const (
	// maxLoopScripts is how many scripts a loop's tables keep.
	maxLoopScripts = 4096
	// scriptCost and costPerByte are about what a script occupies: its source, its code, what errors need.
	scriptCost  = 4096
	costPerByte = 7
	// stateCost is about what a Lua state occupies.
	stateCost = 100 << 10
)

func (v *scripts) init(srv *Server) {
	table := srv.table
	v.running.srv = srv
	row := func(args [][]byte) *command.Row { return findRow(table, args) }
	v.engine = script.NewEngine(row, script.Limits{})
	v.bySHA = map[string]*script.Script{}
	v.variants = map[*command.Row]*[scriptVariants]*command.Row{}
	for _, row := range table.All() {
		if row.Script != command.NoScripts {
			v.variants[row] = variantsOf(row)
		}
	}
}

// findRow returns the row of a command, or of its subcommand if it has any; nil: there is none.
func findRow(table *command.Table, args [][]byte) *command.Row {
	row := table.Lookup(args[0])
	if row != nil && len(row.Subs) > 0 && len(args) > 1 {
		return row.Sub(args[1])
	}
	return row
}

// scriptVariants is how many ways there are in which a shebang line's flags change those of the command.
const scriptVariants = 8

// variantsOf returns copies of a row with the flags of a command that runs a script with a shebang line, by the flags
// that this has.
func variantsOf(row *command.Row) *[scriptVariants]*command.Row {
	var all [scriptVariants]*command.Row
	for i := range all {
		flags := script.Flags(i)
		as := *row
		as.Flags &^= command.Stale | command.DenyOOM | command.Write | command.MayReplicate
		if flags&script.NoWrites == 0 {
			as.Flags |= command.Write
		}
		if flags&(script.NoWrites|script.AllowOOM) == 0 {
			as.Flags |= command.DenyOOM
		}
		if flags&script.AllowStale != 0 {
			as.Flags |= command.Stale
		}
		all[i] = &as
	}
	return &all
}

// variant returns the row of a command that runs a script with these flags.
func (v *scripts) variant(row *command.Row, flags script.Flags) *command.Row {
	all := v.variants[row]
	if flags&script.HasShebang == 0 || all == nil {
		return row
	}
	return all[flags&(scriptVariants-1)]
}

// add puts a script into the cache, unless it is there, and returns the one that is.
func (v *scripts) add(s *script.Script) *script.Script {
	v.mu.Lock()
	defer v.mu.Unlock()
	if was := v.bySHA[s.SHA]; was != nil {
		return was
	}
	v.bySHA[s.SHA] = s
	v.count.Add(1)
	v.bytes.Add(scriptCost + costPerByte*int64(len(s.Source)))
	return s
}

// find returns the script with that SHA-1 in lower case; nil: there is none.
func (v *scripts) find(sha string) *script.Script {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bySHA[sha]
}

// flush empties the cache.
func (v *scripts) flush() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bySHA = map[string]*script.Script{}
	v.count.Store(0)
	v.bytes.Store(0)
	v.epoch.Add(1)
}

// bytesOfStates is about what Lua states occupy.
func (v *scripts) bytesOfStates() int64 { return v.states.Load() * stateCost }

// tables returns the loop's tables of scripts, new ones if they are outdated or too long.
func (l *loop) tables() *loopScripts {
	t := &l.scripts
	if epoch := l.srv.scripts.epoch.Load(); t.epoch != epoch || t.bySHA == nil || len(t.bySHA) > maxLoopScripts {
		t.epoch = epoch
		t.bySHA, t.bySource = map[string]*script.Script{}, map[string]*script.Script{}
	}
	return t
}

// shaBytes is the length of a script's name.
const shaBytes = 40

// scriptNamed returns the cached script of that SHA-1, in any case; nil: there is none.
func (l *loop) scriptNamed(sha []byte) *script.Script {
	if len(sha) != shaBytes {
		return nil
	}
	t := l.tables()
	if s := t.bySHA[string(sha)]; s != nil {
		return s
	}
	s := l.srv.scripts.find(lowered(sha))
	if s != nil {
		t.bySHA[string(sha)] = s
	}
	return s
}

// scriptOf returns the script of a source, which is in the cache from then on.
func (l *loop) scriptOf(source []byte) (*script.Script, *resp.Error) {
	t := l.tables()
	if s := t.bySource[string(source)]; s != nil {
		return s, nil
	}
	s, err := l.srv.scripts.engine.Compile(source)
	if err != nil {
		return nil, err
	}
	s = l.srv.scripts.add(s)
	t.bySHA[s.SHA], t.bySource[s.Source] = s, s
	return s, nil
}

// scriptKeys returns the number of keys of a call of EVAL and its kin.
func scriptKeys(args [][]byte) (n int, err *resp.Error) {
	number, ok := resp.ParseInt(args[2])
	switch {
	case !ok:
		return 0, resp.ErrNotInteger
	case number > int64(len(args)-3):
		return 0, resp.ErrTooManyKeys
	case number < 0:
		return 0, resp.ErrNegativeKeys
	}
	return int(number), nil
}

// scriptCalled returns the script that a call of EVAL and its kin runs; nil: the call will fail.
func (l *loop) scriptCalled(row *command.Row, args [][]byte) *script.Script {
	if !row.ArityOK(len(args)) {
		return nil
	}
	if _, err := scriptKeys(args); err != nil {
		return nil
	}
	switch row.Script {
	case command.ScriptBySHA:
		return l.scriptNamed(args[1])
	case command.ScriptByName:
		return l.srv.functions.script(args[1])
	}
	s, _ := l.scriptOf(args[1])
	return s
}

// scriptRow returns the row of a call with the flags that the script has.
func (l *loop) scriptRow(row *command.Row, args [][]byte) *command.Row {
	if l.srv.scripts.variants[row] == nil || !row.ArityOK(len(args)) {
		return row
	}
	var s *script.Script
	switch row.Script {
	case command.ScriptBySHA:
		s = l.scriptNamed(args[1])
	case command.ScriptByName:
		s = l.srv.functions.script(args[1])
	default:
		s = l.tables().bySource[string(args[1])]
		if s == nil && bytes.HasPrefix(args[1], shebang) {
			s, _ = l.srv.scripts.engine.Compile(args[1]) // it is not in the cache before it runs
		}
	}
	if s == nil {
		return row
	}
	return l.srv.scripts.variant(row, s.Flags)
}

// shebang is what a script begins with that has flags.
var shebang = []byte("#!")

// routeScript returns the shards that a script needs: those of its keys if its text shows that it can touch no others,
// else all, and one at least for a function. A queued one that isn't there yet may be by then.
func (l *loop) routeScript(row *command.Row, args [][]byte, keys []command.Keyed, queued bool) []int {
	v, s := &l.srv.scripts, l.scriptCalled(row, args)
	switch {
	case s == nil && !queued:
		return nil
	case s == nil || !v.declares(s):
		return l.srv.allShards
	case row.Script == command.ScriptByName && len(keys) == 0: // see functions
		l.shards = append(l.shards[:0], 0)
		return l.shards
	}
	return l.shardsOf(keys)
}

// declares tells whether a script touches no other keys than those that it is given.
func (v *scripts) declares(s *script.Script) bool {
	return s.DeclaredKeys || v.has(judgesNarrowly)
}

// shardsOf returns the shards of keys, ascending; valid until the next call.
func (l *loop) shardsOf(keys []command.Keyed) []int {
	if len(keys) == 1 {
		l.shards = append(l.shards[:0], keys[0].Shard.ID)
		return l.shards
	}
	var set shardSet
	for i := range keys {
		set.add(keys[i].Shard.ID)
	}
	l.shards = set.appendTo(l.shards[:0])
	return l.shards
}
