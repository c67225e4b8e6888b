package script

import (
	"maps"
	"slices"

	"github.com/yuin/gopher-lua/ast"

	"fulmen/shard/command"
)

// How it is found out which keys a script can touch.
//
// A script may run under the batons of the shards of its KEYS alone if whatever it passes to redis.call where a command
// has its keys is an element of KEYS, whichever way it runs. The analysis proves that, or gives up: then all batons
// are taken, which is slower and never wrong. Which variable a name means the parser has found. The analysis knows no
// order of statements: each local variable stands for all values that are assigned to it anywhere. They are joined,
// pass over pass, until nothing changes; then what is passed to redis.call is judged by the last pass.
//
// It gives up where KEYS, redis, redis.call or redis.pcall get to where they can't be followed: into a table, to a
// function that isn't known, out of a function; where anything may assign to an element of KEYS or to a global
// variable; and where a script names a global variable but those of harmlessGlobals, since some of the others reach all
// variables.
//
// In a library, what is KEYS in a script is the first parameter of its functions, and the analysis tells of each
// function. The variables of a library outlive calls: there, an element of KEYS is a string as any other.

// factKind says what is known of a value.
type factKind uint8

const (
	kindNone     factKind = iota // nil, false, or no value so far: as an argument of redis.call it is an error
	kindKey                      // an element of KEYS, which may be nil
	kindConstant                 // the string or the whole number that text spells
	kindOther                    // anything, but none of those below
	kindKeys                     // the table KEYS
	kindRedis                    // the table redis
	kindCall                     // redis.call or redis.pcall
	kindRegister                 // redis.register_function
	kindPairs                    // what ipairs(KEYS) or pairs(KEYS) returns
	kindUnpack                   // the global functions of these names
	kindIterator                 // … ipairs or pairs
	kindSingle                   // … that return exactly one value, whatever they are given
	kindProtect                  // … pcall
	kindFunction                 // the function that fn defines
)

// guarded tells whether a value must not get out of sight.
func (k factKind) guarded() bool { return k >= kindKeys && k <= kindPairs }

// fact is what is known of an expression's value.
type fact struct {
	kind factKind
	text string
	fn   *ast.FunctionExpr
}

// harmlessGlobals are the global variables that lead neither to KEYS nor to redis, and what they are.
var harmlessGlobals = map[string]factKind{
	"ARGV": kindOther, "assert": kindOther, "bit": kindOther, "cjson": kindOther, "cmsgpack": kindOther,
	"error": kindOther, "ipairs": kindIterator, "math": kindOther, "next": kindOther, "pairs": kindIterator,
	"pcall": kindProtect, "select": kindOther, "string": kindOther, "struct": kindOther, "table": kindOther,
	"tonumber": kindSingle, "tostring": kindSingle, "type": kindSingle, "unpack": kindUnpack,
}

// Bounds of the analysis; where they don't do it gives up.
const (
	maxPasses = 12
	maxDepth  = 400     // of nested expressions and statements
	maxLooks  = 1 << 22 // see analysis.looks
)

// holder is a local variable with all that may be assigned to it.
type holder struct {
	fact
	owner *ast.FunctionExpr // nil: the chunk
}

// functionSet is a set of functions; nil is the chunk.
type functionSet map[*ast.FunctionExpr]bool

// analysis is one look at one chunk.
type analysis struct {
	tree      *tree
	row       func(args [][]byte) *command.Row
	inLibrary bool

	variables map[*localVariable]*holder
	escaped   functionSet // may be called by anybody, with anything
	changed   bool
	// looks counts expressions and blocks, values passed, and functions that a key is used through, pass after pass.
	looks int

	// Of the pass that goes on.
	function   *ast.FunctionExpr // whose body it is in; nil: the chunk
	depth      int
	failed     functionSet                             // those that do what can't be followed; nil: the chunk
	users      map[*ast.FunctionExpr]functionSet       // those that contain or name one
	outside    functionSet                             // those that use a key of the function around them
	registered map[string][]*ast.FunctionExpr          // in libraries, by name; nil among them: one that isn't known
	parents    map[*ast.FunctionExpr]*ast.FunctionExpr // nil: the chunk
}

// declaredKeys tells whether every key that the script can touch is an element of KEYS, whatever its arguments and
// replies are. The tree is as it was parsed. row finds a command by its words, as far as they are known: its name, and
// the word behind it if that is a constant; nil: there is none.
func declaredKeys(t *tree, row func(args [][]byte) *command.Row) bool {
	a := &analysis{tree: t, row: row}
	return a.settle() && len(a.failed) == 0
}

// declaredFunctions tells the same of each function that a library registers by a constant name. Those that aren't in
// the result may touch other keys.
func declaredFunctions(t *tree, row func(args [][]byte) *command.Row) map[string]bool {
	a := &analysis{tree: t, row: row, inLibrary: true}
	if !a.settle() || a.failed[nil] {
		return nil
	}
	for fn := range a.escaped {
		if a.failed[fn] || a.outside[fn] {
			return nil
		}
	}
	a.spreadFailures()
	declared := map[string]bool{}
	for name, all := range a.registered {
		declared[name] = !slices.ContainsFunc(all, func(fn *ast.FunctionExpr) bool {
			return fn == nil || a.outside[fn] || a.failed[fn]
		})
	}
	return declared
}

// spreadFailures has the functions fail that contain or name one that does.
func (a *analysis) spreadFailures() {
	for todo := slices.Collect(maps.Keys(a.failed)); len(todo) > 0; {
		fn := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for user := range a.users[fn] {
			if !a.failed[user] {
				a.failed[user] = true
				todo = append(todo, user)
			}
		}
	}
}

// settle goes over the chunk until no variable changes; false: that takes too long.
func (a *analysis) settle() bool {
	a.variables = map[*localVariable]*holder{}
	a.escaped = functionSet{}
	a.parents = map[*ast.FunctionExpr]*ast.FunctionExpr{}
	for range maxPasses {
		a.changed, a.depth, a.function = false, 0, nil
		a.failed = functionSet{}
		a.users = map[*ast.FunctionExpr]functionSet{}
		a.outside = functionSet{}
		a.registered = map[string][]*ast.FunctionExpr{}
		a.statements(a.tree.stmts)
		if a.looks > maxLooks {
			return false
		}
		if !a.changed {
			return true
		}
		if a.failed[nil] && a.inLibrary || len(a.failed) > 0 && !a.inLibrary {
			return true // what has failed once does for good: values only become less known
		}
	}
	return false
}

// fail notes that the function at hand does what can't be followed.
func (a *analysis) fail() { a.failed[a.function] = true }

// enter begins a nested statement or expression; false: it is nested too deeply, or the bound of looks is reached.
func (a *analysis) enter() bool {
	if a.looks++; a.depth == maxDepth || a.looks > maxLooks {
		a.fail()
		return false
	}
	a.depth++
	return true
}

func (a *analysis) leave() { a.depth-- }

// holder returns what is known of a local variable, which is the owner's if it wasn't met before.
func (a *analysis) holder(v *localVariable, owner *ast.FunctionExpr) *holder {
	there := a.variables[v]
	if there == nil {
		there = &holder{owner: owner}
		a.variables[v] = there
	}
	return there
}

// declare joins a value to those of a local variable that the function at hand declares.
func (a *analysis) declare(v *localVariable, value fact) { a.assign(a.holder(v, a.function), value) }

// assign joins a value to those that the variable may have.
func (a *analysis) assign(to *holder, v fact) {
	if a.inLibrary && to.owner == nil {
		v = a.kept(v)
	}
	if joined := a.join(to.fact, v); joined != to.fact {
		to.fact = joined
		a.changed = true
	}
}

// kept returns what a value is to the next call of a library's function, if it is in a variable of the library then.
func (a *analysis) kept(v fact) fact {
	switch {
	case v.kind == kindKey:
		return fact{kind: kindOther}
	case v.kind == kindKeys:
		a.fail()
		return fact{kind: kindOther}
	case v.kind == kindFunction && a.function != nil:
		return a.plain(v)
	}
	return v
}

// join returns what is known of a value that is one of two.
func (a *analysis) join(x, y fact) fact {
	switch {
	case x == y || y.kind == kindNone:
		return x
	case x.kind == kindNone:
		return y
	}
	a.plain(x)
	a.plain(y)
	return fact{kind: kindOther}
}

// plain returns a value that gets to where it isn't followed any more.
func (a *analysis) plain(v fact) fact {
	switch {
	case v.kind.guarded():
		a.fail()
	case v.kind == kindFunction:
		if !a.escaped[v.fn] {
			a.escaped[v.fn] = true
			a.changed = true
		}
	case v.kind == kindNone || v.kind == kindKey || v.kind == kindConstant:
		return v
	}
	return fact{kind: kindOther}
}

// use notes that the function at hand names fn.
func (a *analysis) use(fn *ast.FunctionExpr) {
	if a.users[fn] == nil {
		a.users[fn] = functionSet{}
	}
	a.users[fn][a.function] = true
}
