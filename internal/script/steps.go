package script

import lua "github.com/yuin/gopher-lua"

// How long it takes to compile a script is bounded, as it holds a loop. Most of what is done takes time in proportion
// to the source's length, which Limits bound. Where the compiler of gopher-lua does not, what it looks at is counted
// before it runs, a step about 10 ns each:
//
//	constants   for each use of one, all of the function up to it
//	names       for each, all variables and blocks that are open around it, in all functions. The parser does so, too
//	upvalues    for each of a function, the variables and upvalues of the function around it
//	arithmetic  for each operator, all those below it in the expression
//	functions   each is given some 14 KiB until all are compiled

// Bounds of a chunk.
const (
	maxSteps      = 1 << 26
	nameSteps     = 1 << 6  // of a name, besides what is open around it: its share of everything else
	functionSteps = 1 << 13 // so that all functions are given 115 MB at most
	// maxConstants is how many different constants a function may have. Lua's limit is 2^18.
	maxConstants = 8192
)

// tooComplex is what Lua says of an expression that needs too many registers.
const tooComplex = "function or expression too complex"

// step counts n steps; false: they are too many.
func (t *tree) step(n int) bool {
	t.steps += n
	return t.steps <= maxSteps
}

// step counts n steps of the parser and the compiler.
func (p *parser) step(n int) {
	if !p.tree.step(n) {
		p.fail(tooComplex)
	}
}

// step counts n steps of the compiler.
func (w *rewriter) step(n int) {
	if !w.tree.step(n) {
		w.fail(tooComplex)
	}
}

// fail ends rewriting, in compile.
func (w *rewriter) fail(msg string) { panic(syntaxError(msg)) }

// constant notes a use of a constant by the code of the function at hand, which may turn out to be none.
func (w *rewriter) constant(v lua.LValue) {
	if w.fn.constants == nil {
		w.fn.constants = map[lua.LValue]bool{}
	}
	w.fn.constants[v] = true
	w.fn.uses++
	if len(w.fn.constants) > maxConstants {
		w.fail("constant table overflow")
	}
}

// countConstants counts the steps that the constants of the function at hand take. In which order the compiler meets
// them doesn't matter: it looks at all before it when it makes one, and at no more than all when one is used again.
func (w *rewriter) countConstants() {
	n := len(w.fn.constants)
	w.step(n*n/2 + (w.fn.uses-n)*n)
}

// operator counts an arithmetic operator, given how many were met before its operands.
func (w *rewriter) operator(before int) {
	w.operators++
	w.step(w.operators - before)
}
