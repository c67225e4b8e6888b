package script

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// Limits bound what a script may use. The zero value of a field means its default.
type Limits struct {
	// SourceBytes is the length of the longest script that is compiled.
	SourceBytes int
	// StringBytes is the length of the longest string that a script may make.
	StringBytes int
	// HeapBytes is how much memory a run may add to what the process has in use.
	HeapBytes int
	// Version is what redis.REDIS_VERSION says: "7.0.15".
	Version string
}

// Defaults of Limits.
const (
	defaultSourceBytes = 4 << 20
	defaultStringBytes = 64 << 20
	defaultHeapBytes   = 256 << 20
	defaultVersion     = "7.0.15"
)

func (l Limits) withDefaults() Limits {
	if l.SourceBytes == 0 {
		l.SourceBytes = defaultSourceBytes
	}
	if l.StringBytes == 0 {
		l.StringBytes = defaultStringBytes
	}
	if l.HeapBytes == 0 {
		l.HeapBytes = defaultHeapBytes
	}
	if l.Version == "" {
		l.Version = defaultVersion
	}
	return l
}

// Flags are what a script's shebang line says about it.
type Flags uint8

// Flags of scripts and functions.
const (
	NoWrites Flags = 1 << iota
	AllowOOM
	AllowStale
	NoCluster
	AllowCrossSlot
	// HasShebang tells scripts with a shebang line, even one without flags, from others, which Redis treats as before
	// 7.0.
	HasShebang
)

// flagNames are the flags' names, in the order of their bits.
var flagNames = [...]string{"no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"}

// Names returns the names of flags, but for HasShebang.
func (f Flags) Names() []string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// flagByName returns the flag called so; 0: there is none.
func flagByName(name string) Flags {
	for i, known := range flagNames {
		if name == known {
			return 1 << i
		}
	}
	return 0
}

// Script is a compiled script, or a library's function. It is immutable.
type Script struct {
	SHA          string // 40 lower-case hexadecimal digits of the SHA-1 of Source; of a function, its name
	Source       string
	Flags        Flags
	DeclaredKeys bool // every key that the script can touch is an element of KEYS: its syntax tree shows it
	chunk        *chunk
	owner        *Library // of a function; nil elsewhere
}

// Engine compiles scripts. It is safe from any goroutine.
type Engine struct {
	row    func(args [][]byte) *command.Row
	limits Limits
	marker string // what names of chunks begin with in the machine's errors
	chunks atomic.Int64

	randoms  randoms
	sweeping sweeping
}

// NewEngine returns an engine. row finds the row of a command, or of its subcommand; nil: there is none.
func NewEngine(row func(args [][]byte) *command.Row, limits Limits) *Engine {
	e := &Engine{row: row, limits: limits.withDefaults(), marker: "\x00" + rand.Text() + "\x00"}
	e.randoms.state.Store(randomFirst)
	return e
}

// Compile compiles a script. The error is worded as EVAL's.
func (e *Engine) Compile(source []byte) (*Script, *resp.Error) {
	sum := sha1.Sum(source)
	s := &Script{SHA: hex.EncodeToString(sum[:]), Source: string(source)}
	flags, length, err := shebang(source)
	if err != nil {
		return nil, err
	}
	s.Flags = flags
	chunk, declared, problem := e.compileChunk(s.Source[length:], "@user_script", mainScript)
	if problem != nil {
		return nil, compileError(problem.Error())
	}
	s.chunk, s.DeclaredKeys = chunk, declared
	return s, nil
}

func compileError(why string) *resp.Error {
	return resp.Errorf("ERR", "Error compiling script (new function): %s", why)
}

// shebang takes the line "#!lua flags=…" at the beginning of a script apart. length is how many bytes are not Lua; the
// line end stays, so that lines keep their numbers.
func shebang(source []byte) (flags Flags, length int, err *resp.Error) {
	if !bytes.HasPrefix(source, []byte("#!")) {
		return 0, 0, nil
	}
	length = bytes.IndexByte(source, '\n')
	if length < 0 {
		return 0, 0, resp.Errorf("ERR", "Invalid script shebang")
	}
	parts, ok := resp.SplitArgs(bytes.Clone(source[:length]), nil)
	if !ok || len(parts) == 0 {
		return 0, 0, resp.Errorf("ERR", "Invalid engine in script shebang")
	}
	if string(parts[0]) != "#!lua" {
		return 0, 0, resp.Errorf("ERR", "Unexpected engine in script shebang: %s", parts[0])
	}
	flags = HasShebang
	for _, part := range parts[1:] {
		names, ok := strings.CutPrefix(string(part), "flags=")
		if !ok {
			return 0, 0, resp.Errorf("ERR", "Unknown lua shebang option: %s", part)
		}
		if names == "" {
			continue
		}
		for _, name := range strings.Split(names, ",") {
			flag := flagByName(name)
			if flag == 0 {
				return 0, 0, resp.Errorf("ERR", "Unexpected flag in script shebang: %s", name)
			}
			flags |= flag
		}
	}
	return flags, length, nil
}

// chunkKind says how a chunk is called.
type chunkKind int

const (
	mainScript chunkKind = iota // a script of EVAL: KEYS and ARGV are its parameters
	library                     // a library of functions: its top level runs once in each state
	loaded                      // what load and loadstring make
)

// chunk is compiled source, bound to a state by Runner.bind. It is immutable.
type chunk struct {
	id     int64
	kind   chunkKind
	name   string // as it was given
	shown  string // what errors call the source
	proto  *lua.FunctionProto
	sites  []site // by the machine's line numbers
	params []param
	// straight: each of its instructions runs once at most, so that none needs to be counted.
	straight bool
	globals  bool // it may reach KEYS and ARGV by the table of globals
	// declared tells, for a library, which of the functions that it registers touch no keys but those they are given.
	declared map[string]bool
}

// compileChunk compiles Lua source. name is what errors call it, as Lua has it: behind '@' the name of a file, behind
// '=' any name, else the source itself.
func (e *Engine) compileChunk(source, name string, kind chunkKind) (c *chunk, declared bool, err error) {
	if len(source) > e.limits.SourceBytes {
		return nil, false, syntaxError("not enough memory")
	}
	c = &chunk{id: e.chunks.Add(1), kind: kind, name: name, shown: shownName(name, nameBytes)}
	shown := shownName(name, syntaxNameBytes) // Lua has more room there
	t, err := parseChunk(source, shown)
	if err != nil {
		return nil, false, err
	}
	switch kind {
	case mainScript:
		declared = declaredKeys(t, e.row)
	case library:
		c.declared = declaredFunctions(t, e.row)
	}
	w := newRewriter(t, kind, [2]bool{})
	if c.proto, err = w.compile(e.machineName(c.id)); w.whole != [2]bool{} {
		// Some elements of KEYS or ARGV have become parameters before it was seen that there must be a table.
		if t, err = parseChunk(source, shown); err != nil {
			return nil, false, err
		}
		w = newRewriter(t, kind, w.whole)
		c.proto, err = w.compile(e.machineName(c.id))
	}
	c.sites, c.globals, c.params = w.sites, w.globals, w.paramList()
	c.straight = kind == mainScript && t.straight && !w.globals && !w.uses("coroutine")
	return c, declared, err
}

// machineName is what the machine calls a chunk in its errors, by which Runner.translate knows them. Scripts never see
// it, and so can't make it up.
func (e *Engine) machineName(id int64) string { return e.marker + strconv.FormatInt(id, 10) }

// The lengths of the longest names of sources in errors: in those of running functions and of syntax.
const (
	nameBytes       = 59
	syntaxNameBytes = 79
)

// shownName is what Lua's errors call a source of this name, in at most so many bytes.
func shownName(name string, most int) string {
	name = cString(name)
	switch {
	case strings.HasPrefix(name, "="):
		return name[1:min(len(name), most+1)]
	case strings.HasPrefix(name, "@"):
		if name = name[1:]; len(name) > most-7 {
			name = "..." + name[len(name)-(most-7):]
		}
		return name
	}
	room := most - len(` [string "..."] `)
	line, _, cut := strings.Cut(strings.ReplaceAll(name, "\r", "\n"), "\n")
	if len(line) > room {
		line, cut = line[:room], true
	}
	if cut {
		line += "..."
	}
	return `[string "` + line + `"]`
}

// compileLibrary compiles the code of a library of functions.
func (e *Engine) compileLibrary(source string) (*chunk, error) {
	c, _, err := e.compileChunk(source, "@user_function", library)
	return c, err
}
