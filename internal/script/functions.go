package script

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"fulmen/internal/resp"
)

// Functions. A library is Lua code behind a line of metadata. When it is loaded its code runs once, with nothing but
// the table redis, and that with nothing but register_function, log and constants: what it registers are its functions.
// It runs once more in each state in which one of them is called, to make them there. So the variables of a library are
// a state's own: they last from call to call, as they do in Redis, but there is more than one state.

// Library is a library of functions. It is immutable.
type Library struct {
	Name   string
	Engine string // as FUNCTION LIST has it
	Code   string // with the metadata

	functions []*Function // in the order in which they were registered
	chunk     *chunk
	gone      atomic.Bool // states need not keep it
}

// Function is a function of a library. It is immutable. Its script's SHA is its name.
type Function struct {
	Script
	Description *string // nil: it has none
}

// Name returns the function's name.
func (f *Function) Name() string { return f.SHA }

// Functions returns the library's functions in the order in which they were registered.
func (l *Library) Functions() []*Function { return l.functions }

// Bytes is about what the library occupies beside its byte code.
func (l *Library) Bytes() int {
	n := len(l.Name) + len(l.Code) + libraryCost
	for _, f := range l.functions {
		n += len(f.SHA) + functionCost
		if f.Description != nil {
			n += len(*f.Description)
		}
	}
	return n
}

// What a library and a function occupy besides what they are written as.
const (
	libraryCost  = 160
	functionCost = 136
)

// Retire says that the library can't be called any more: states let go of it.
func (l *Library) Retire() { l.gone.Store(true) }

// Libraries is a set of libraries, no two of which have a function of the same name, whatever its case. It is
// immutable; nil is the empty set.
type Libraries struct {
	byName    map[string]*Library
	functions map[string]*Function // by their names in lower case
	bytes     int
}

func newLibraries() *Libraries {
	return &Libraries{byName: map[string]*Library{}, functions: map[string]*Function{}}
}

// Len returns the number of libraries.
func (s *Libraries) Len() int {
	if s == nil {
		return 0
	}
	return len(s.byName)
}

// FunctionCount returns the number of functions of all libraries.
func (s *Libraries) FunctionCount() int {
	if s == nil {
		return 0
	}
	return len(s.functions)
}

// Bytes is about what the libraries occupy.
func (s *Libraries) Bytes() int {
	if s == nil {
		return 0
	}
	return s.bytes
}

// All returns the libraries, by name.
func (s *Libraries) All() []*Library {
	if s == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(s.byName), func(x, y *Library) int { return strings.Compare(x.Name, y.Name) })
}

// Codes returns the code of all libraries, by name.
func (s *Libraries) Codes() [][]byte {
	var codes [][]byte
	for _, lib := range s.All() {
		codes = append(codes, []byte(lib.Code))
	}
	return codes
}

// Function returns the function of that name, in any case; nil: there is none.
func (s *Libraries) Function(name []byte) *Function {
	if s == nil {
		return nil
	}
	var room [64]byte
	lower := room[:0]
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower = append(lower, c)
	}
	return s.functions[string(lower)]
}

// Without returns the set without the library of that name; ok is false if it has none.
func (s *Libraries) Without(name string) (without *Libraries, ok bool) {
	if s == nil || s.byName[name] == nil {
		return s, false
	}
	rest := newLibraries()
	for _, lib := range s.byName {
		if lib.Name != name {
			rest.add(lib)
		}
	}
	return rest, true
}

// add adds a library to a set that nobody else has yet.
func (s *Libraries) add(lib *Library) {
	s.byName[lib.Name] = lib
	for _, f := range lib.functions {
		s.functions[strings.ToLower(f.SHA)] = f
	}
	s.bytes += lib.Bytes()
}

// Join returns the set with the libraries of another one. With replace they take the place of those of the same names,
// else such a name is an error.
func (s *Libraries) Join(other *Libraries, replace bool) (*Libraries, *resp.Error) {
	joined := newLibraries()
	for _, lib := range s.All() {
		if other == nil || other.byName[lib.Name] == nil {
			joined.add(lib)
		} else if !replace {
			return s, resp.Errorf("ERR", "Library %s already exists", lib.Name)
		}
	}
	for _, lib := range other.All() {
		if err := joined.addNew(lib); err != nil {
			return s, err
		}
	}
	return joined, nil
}

// addNew is add for a library whose functions may have names that are in use.
func (s *Libraries) addNew(lib *Library) *resp.Error {
	seen := map[string]bool{}
	for _, f := range lib.functions {
		lower := strings.ToLower(f.SHA)
		if s.functions[lower] != nil || seen[lower] {
			return resp.Errorf("ERR", "Function %s already exists", f.SHA)
		}
		seen[lower] = true
	}
	s.add(lib)
	return nil
}

// Retire retires the libraries that the set which takes its place has not.
func (s *Libraries) Retire(next *Libraries) {
	if s == nil {
		return
	}
	for name, lib := range s.byName {
		if next == nil || next.byName[name] != lib {
			lib.Retire()
		}
	}
}

// Load returns the set with the library that code is, and its name. replace: one of that name gives way. late is asked
// while the code runs whether that takes too long, and may be nil. The error is what FUNCTION LOAD replies.
func (e *Engine) Load(s *Libraries, code []byte, replace bool, late func() bool) (*Libraries, string, *resp.Error) {
	m, err := readMetadata(code)
	if err != nil {
		return s, "", err
	}
	switch {
	case !validName(m.name):
		return s, "", resp.Errorf("ERR", "%s", invalidName)
	case !strings.EqualFold(m.engine, engineName):
		return s, "", resp.Errorf("ERR", "Engine '%s' not found", m.engine)
	}
	others, found := s.Without(m.name)
	if found && !replace {
		return s, "", resp.Errorf("ERR", "Library '%s' already exists", m.name)
	}
	lib := &Library{Name: m.name, Engine: engineName, Code: string(code)}
	if err := e.register(lib, lib.Code[m.length:], late); err != nil {
		return s, "", err
	}
	next := newLibraries()
	for _, other := range others.All() {
		next.add(other)
	}
	if err := next.addNew(lib); err != nil {
		return s, "", err
	}
	return next, lib.Name, nil
}

// engineName is the name of the only engine.
const engineName = "LUA"

// metadata is the first line of a library.
type metadata struct {
	engine, name string
	length       int // without its end
}

// readMetadata reads a line "#!lua name=…".
func readMetadata(code []byte) (m metadata, err *resp.Error) {
	if !bytes.HasPrefix(code, []byte("#!")) {
		return m, resp.Errorf("ERR", "Missing library metadata")
	}
	m.length = bytes.IndexByte(code, '\n')
	if m.length < 0 || bytes.IndexByte(code[:m.length], 0) >= 0 {
		return m, resp.Errorf("ERR", "Invalid library metadata")
	}
	parts, ok := resp.SplitArgs(bytes.Clone(code[:m.length]), nil)
	if !ok || len(parts) == 0 {
		return m, resp.Errorf("ERR", "Invalid library metadata")
	}
	m.engine = strings.TrimPrefix(string(parts[0]), "#!")
	named := false
	for _, part := range parts[1:] {
		word, value, ok := strings.Cut(string(part), "=")
		switch {
		case !ok || !strings.EqualFold(word, "name"):
			return m, resp.Errorf("ERR", "Invalid metadata value given: %s", cString(string(part)))
		case named:
			return m, resp.Errorf("ERR", "Invalid metadata value, name argument was given multiple times")
		}
		m.name, named = value, true
	}
	if !named {
		return m, resp.Errorf("ERR", "Library name was not given")
	}
	return m, nil
}

// invalidName is what Redis says about names of libraries, and of functions, too.
const invalidName = "Library names can only contain letters, numbers, or underscores(_) and must be at least one " +
	"character long"

// validName tells whether a library, or a function, may be called so.
func validName(name string) bool {
	for _, c := range []byte(name) {
		if c-'0' >= 10 && c|0x20-'a' >= 26 && c != '_' {
			return false
		}
	}
	return name != ""
}

// register compiles a library's code, behind its metadata, and finds its functions.
func (e *Engine) register(lib *Library, code string, late func() bool) *resp.Error {
	if len(code) > e.limits.SourceBytes {
		return resp.Errorf("ERR", "Error compiling function: not enough memory")
	}
	chunk, err := e.compileLibrary(code)
	if err != nil {
		return resp.Errorf("ERR", "Error compiling function: %s", err)
	}
	lib.chunk = chunk
	found, problem := e.NewRunner(&loadingHost{late: late}).runLibrary(lib, true)
	if problem != nil {
		return resp.Errorf("ERR", "Error registering functions: %s", problem.Error())
	}
	if len(found) == 0 {
		return resp.Errorf("ERR", "No functions registered")
	}
	for i := range found {
		lib.functions = append(lib.functions, &Function{
			Script: Script{
				SHA: found[i].name, Flags: found[i].flags | HasShebang,
				DeclaredKeys: chunk.declared[found[i].name], owner: lib,
			},
			Description: found[i].description,
		})
	}
	return nil
}

// loadingHost is the host of a library's code while that is loaded: nothing is there but time, and the log.
type loadingHost struct{ late func() bool }

// errLoadTimeout ends a library's code that takes too long.
var errLoadTimeout = resp.Errorf("ERR", "FUNCTION LOAD timeout")

// Tick implements Host.
func (h *loadingHost) Tick() error {
	if h.late != nil && h.late() {
		return errLoadTimeout
	}
	return nil
}

// Call implements Host; nothing that code can reach then calls it.
func (h *loadingHost) Call(args [][]byte) []byte {
	panic(fmt.Sprintf("BUG: %q is called while a library is loaded", args[0]))
}

// SetProto implements Host.
func (h *loadingHost) SetProto(int) {}

// Log implements Host.
func (h *loadingHost) Log(int, string) {}

// SetRepl implements Host.
func (h *loadingHost) SetRepl(int) {}

// ACLCheck implements Host.
func (h *loadingHost) ACLCheck([][]byte) (allowed, known bool) { return false, false }
