// Package script runs Lua scripts as Redis 7.0 does: Lua 5.1 with the redis, cjson, cmsgpack, struct and bit libraries
// in a sandbox. It knows no session and no baton: what a script asks for goes to its [Host].
//
// # How a script runs
//
//	Compile    shebang, own parser (texts of errors, limits), analysis of keys, rewriting of the tree, byte code
//	NewRunner  a Lua state with the sandbox; made once, reused by its owner
//	Run        the compiled function is called with KEYS and ARGV; its result becomes a reply
//
// The virtual machine is gopher-lua's. Where it differs from Lua 5.1 in what scripts can see the syntax tree is
// rewritten before it is compiled (see rewrite.go): concatenation, length, remainder and power become calls of helpers,
// globals that nobody can change become upvalues, and positions become numbers that tell errors exactly which
// expression failed.
//
// # Ownership
//
// An [Engine] and a [Script] are safe from any goroutine. A [Runner] belongs to one goroutine at a time, and so does
// its Host. Nothing of a run is left in a Runner that a later one could see.
//
// # Invariants
//
//  1. A script whose Tick has failed ends, whatever it catches.
//  2. A panic of Host.Call ends the process: it is a bug under a baton, which no pcall may hide.
//  3. What a script can reach besides what it has made itself can't be changed by it.
//  4. Nothing a script does makes the process allocate more than Limits allows, but for one step's garbage.
package script
