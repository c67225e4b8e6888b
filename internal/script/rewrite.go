package script

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// Where gopher-lua's machine differs from Lua 5.1, and scripts can see it, the tree is rewritten before it is compiled:
//
//	a .. b .. c   calls a helper: numbers are written otherwise, errors are worded otherwise
//	#a            calls a helper: tables ignore __len, and long ones have a part that the machine doesn't count
//	a % b, a ^ b  call helpers: results differ
//	for i = a, b  its numbers go through helpers: strings that are numbers are taken
//	{a, k = f()}  a value at the end is one; elements between keys get keys, and a helper stores what ends them
//	a, b = c, d   goes through variables, so that all is evaluated before anything is assigned
//	globals       become upvalues, since nobody can change them, and so do the libraries' functions: string.rep is
//	              one. Elements of KEYS and ARGV with a number known are parameters, or else these are, as tables.
//	              What is no global is looked for in the table of globals, which raises an error. A library of
//	              functions has it all there, as it sees less while it is loaded
//	constants     as conditions go: the compiler gets jumps to jumps wrong, where a loop's body begins with one
//	many arguments go through a table: gopher-lua has fewer registers
//	variables     get names of their own, as the compiler has a variable in scope of its first value if that is a
//	              function. One that changes, and that functions inside share, lives in a table: an error closes all
//	              upvalues, also those of functions that go on, which then would no longer share it. As the left
//	              operand of an operator it is read before the right one is computed; Lua reads it afterwards
//	positions     are places in chunk.sites instead of lines: an error's position tells the expression
//
// Names that no script can write tell these from a script's own: a variable x is "x\x00n", an upvalue of the chunk
// begins with \x01.

// Upvalues of a chunk: functions of the runner. Others are "\x01name" and "\x01library.name".
const (
	hiddenConcat  = "\x01\x01concat"
	hiddenLength  = "\x01\x01length"
	hiddenModulo  = "\x01\x01modulo"
	hiddenPower   = "\x01\x01power"
	hiddenStart   = "\x01\x01start"
	hiddenLimit   = "\x01\x01limit"
	hiddenSpread  = "\x01\x01spread"
	hiddenStep    = "\x01\x01step"
	hiddenTail    = "\x01\x01tail"
	hiddenGlobals = "\x01_G"
)

// maxElementParams is the last element of KEYS, and of ARGV, that may be a parameter.
const maxElementParams = 16

// param is a parameter of a script: an element of KEYS or ARGV, from 1 on, or how many there are, or the table.
type param struct {
	argv  bool
	index int
}

// Values of param.index besides the elements.
const (
	paramCount = 0
	paramTable = -1
)

// name is what rewritten trees call the parameter.
func (p param) name() string {
	table := "KEYS"
	if p.argv {
		table = "ARGV"
	}
	return "\x01" + table + "\x01" + strconv.Itoa(p.index)
}

// maxHidden is how many different upvalues a chunk binds; what is beyond goes through the table of globals.
const maxHidden = 120

// maxElements is how many elements without a key a table constructor may have: gopher-lua can't count further.
const maxElements = 25_000

// site is where an instruction comes from.
type site struct {
	line int
	// What Lua's errors call the operands: "local 'x'", "field 'y'"; empty: nothing. left is also what is indexed, and
	// what is a loop's or a call's function; of a method, right is what is called.
	left, right string
}

// rewriter rewrites a tree.
type rewriter struct {
	tree   *tree
	kind   chunkKind
	sites  []site
	atLine map[int]int // sites without operands by line
	hidden map[string]bool
	fn     *functionState // of the function whose body is rewritten, as the parser knows it
	names  int
	params map[param]bool // those that are used
	// whole tells whether KEYS (ARGV: 1) must be a table, as is known from an earlier try.
	whole [2]bool
	// globals: the chunk may reach the table of globals, and so what is in it.
	globals   bool
	operators int // of arithmetic that were met
}

// newRewriter returns a rewriter. whole tells for KEYS and ARGV whether they must be tables, as far as is known.
func newRewriter(t *tree, kind chunkKind, whole [2]bool) *rewriter {
	return &rewriter{
		tree: t, kind: kind, sites: make([]site, 1), atLine: map[int]int{}, hidden: map[string]bool{},
		params: map[param]bool{}, whole: whole,
	}
}

// libraryNames are the globals that are tables of functions.
var libraryNames = map[string]bool{
	"bit": true, "cjson": true, "cmsgpack": true, "coroutine": true, "math": true, "redis": true, "string": true,
	"struct": true, "table": true,
}

// globalNames are the other globals, but KEYS and ARGV: exactly what redis-server 7.0.15 has.
var globalNames = map[string]bool{
	"_G": true, "_VERSION": true, "__redis__err__handler": true, "assert": true, "collectgarbage": true, "error": true,
	"gcinfo": true, "getmetatable": true, "ipairs": true, "load": true, "loadstring": true, "next": true, "pairs": true,
	"pcall": true, "rawequal": true, "rawget": true, "rawset": true, "select": true, "setmetatable": true,
	"tonumber": true, "tostring": true, "type": true, "unpack": true, "xpcall": true,
}

// compile rewrites the tree and makes byte code of it. The function takes KEYS and ARGV if it is a script's.
func (w *rewriter) compile(name string) (proto *lua.FunctionProto, err error) {
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case syntaxError:
			proto, err = nil, problem
		default:
			proto, err = nil, fmt.Errorf("the compiler failed: %v", problem)
		}
	}()
	w.fn = w.tree.main
	fn := &ast.FunctionExpr{ParList: &ast.ParList{HasVargs: w.tree.vararg}, Stmts: w.stmts(w.tree.stmts)}
	w.countConstants()
	for _, p := range w.paramList() {
		fn.ParList.Names = append(fn.ParList.Names, p.name())
	}
	outer := []ast.Stmt{&ast.ReturnStmt{Exprs: []ast.Expr{fn}}}
	if len(w.hidden) > 0 {
		names := slices.Sorted(maps.Keys(w.hidden))
		outer = append([]ast.Stmt{&ast.LocalAssignStmt{Names: names}}, outer...)
	}
	if proto, err = lua.Compile(outer, name); err != nil {
		return nil, syntaxError(tooComplex)
	}
	proto = proto.FunctionPrototypes[0]
	fit(proto)
	return proto, nil
}

// fit gives back the room that the compiler has left in a function's lists: some 14 KiB each.
func fit(proto *lua.FunctionProto) {
	proto.Code, proto.Constants = slices.Clone(proto.Code), slices.Clone(proto.Constants)
	proto.DbgSourcePositions = slices.Clone(proto.DbgSourcePositions)
	proto.FunctionPrototypes = slices.Clone(proto.FunctionPrototypes)
	for _, inner := range proto.FunctionPrototypes {
		fit(inner)
	}
}

// paramList is the script's parameters in their order.
func (w *rewriter) paramList() []param {
	return slices.SortedFunc(maps.Keys(w.params), func(a, b param) int {
		if a.argv != b.argv {
			return cmp.Compare(number01(a.argv), number01(b.argv))
		}
		return cmp.Compare(a.index, b.index)
	})
}

func number01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// param makes an expression that is a parameter.
func (w *rewriter) param(p param, at int) ast.Expr {
	w.params[p] = true
	return identAt(p.name(), at)
}

// keysOrArgv tells whether an expression is the global KEYS or ARGV.
func (w *rewriter) keysOrArgv(e ast.Expr) (argv, ok bool) {
	ident, ok := e.(*ast.IdentExpr)
	if !ok || w.kind != mainScript || w.tree.uses[ident] != nil || ident.Value != "KEYS" && ident.Value != "ARGV" {
		return false, false
	}
	return ident.Value == "ARGV", true
}

// element makes a parameter of an element of KEYS or ARGV; nil: it is none that can be one.
func (w *rewriter) element(e *ast.AttrGetExpr) ast.Expr {
	argv, ok := w.keysOrArgv(e.Object)
	if !ok || w.whole[number01(argv)] {
		return nil
	}
	n, ok := literal(e.Key)
	if !ok || n < 1 || n > maxElementParams || n != math.Trunc(n) {
		return nil
	}
	return w.param(param{argv, int(n)}, w.line(e.Line()))
}

// line returns the site of a line.
func (w *rewriter) line(line int) int {
	at, found := w.atLine[line]
	if !found {
		at = w.site(site{line: line})
		w.atLine[line] = at
	}
	return at
}

func (w *rewriter) site(s site) int {
	w.sites = append(w.sites, s)
	return len(w.sites) - 1
}

// upvalue makes an identifier of one of the chunk's upvalues.
func (w *rewriter) upvalue(name string, at int) ast.Expr {
	w.hidden[name] = true
	w.step(w.fn.reach + len(w.hidden))
	return identAt(name, at)
}

func identAt(name string, at int) *ast.IdentExpr {
	e := &ast.IdentExpr{Value: name}
	e.SetLine(at)
	return e
}

// call makes a call of one of the runner's functions, which returns one value.
func (w *rewriter) call(name string, at int, args ...ast.Expr) ast.Expr {
	if name != hiddenTail { // which takes all values of its last argument
		single(args[len(args)-1])
	}
	e := &ast.FuncCallExpr{Func: w.upvalue(name, at), Args: args, AdjustRet: true}
	e.SetLine(at)
	e.SetLastLine(at)
	return e
}

// name makes a new name of one.
func (w *rewriter) name(of string) string {
	w.names++
	return of + "\x00" + strconv.Itoa(w.names)
}

// describe is what errors call an expression, of the tree as it was parsed.
func (w *rewriter) describe(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		v := w.tree.uses[e]
		switch {
		case v == nil:
			return "global '" + e.Value + "'"
		case v.function != w.fn:
			return "upvalue '" + e.Value + "'"
		}
		return "local '" + e.Value + "'"
	case *ast.AttrGetExpr:
		if key, ok := e.Key.(*ast.StringExpr); ok {
			return "field '" + cString(key.Value) + "'"
		}
		return "field '?'"
	case *ast.LogicalOpExpr:
		if constant, holds := truth(e.Lhs); constant && holds == (e.Operator == "and") {
			return w.describe(e.Rhs)
		}
	}
	return ""
}

// single makes an expression have one value.
func single(e ast.Expr) {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
}

// truth tells whether an expression is a constant, and whether that counts as true.
func truth(e ast.Expr) (constant, holds bool) {
	switch e.(type) {
	case *ast.NilExpr, *ast.FalseExpr:
		return true, false
	case *ast.TrueExpr, *ast.NumberExpr, *ast.StringExpr:
		return true, true
	}
	return false, false
}

// variable makes an expression that is a local variable's value, or its place.
func (w *rewriter) variable(v *localVariable, at int) ast.Expr {
	if !v.boxed() {
		return identAt(v.emitted, at)
	}
	e := &ast.AttrGetExpr{Object: identAt(v.emitted, at), Key: w.number(1, at)}
	e.SetLine(at)
	return e
}

// global makes an expression that is the value of a global variable.
func (w *rewriter) global(name string, at int) ast.Expr {
	if w.kind == mainScript && (name == "KEYS" || name == "ARGV") {
		w.whole[number01(name == "ARGV")] = true
		return w.param(param{name == "ARGV", paramTable}, at)
	}
	switch name {
	case "_G", "load", "loadstring":
		w.globals, w.whole = true, [2]bool{true, true}
	}
	if hidden := "\x01" + name; w.kind != library && (globalNames[name] || libraryNames[name]) && w.room(hidden) {
		return w.upvalue(hidden, at)
	}
	return w.globalField(name, at)
}

// uses tells whether the chunk uses a global or, of a library, any function.
func (w *rewriter) uses(global string) bool {
	for name := range w.hidden {
		if name == "\x01"+global || strings.HasPrefix(name, "\x01"+global+".") {
			return true
		}
	}
	return w.hidden[hiddenGlobals]
}

// room tells whether another upvalue can be bound.
func (w *rewriter) room(hidden string) bool { return w.hidden[hidden] || len(w.hidden) < maxHidden }

// globalField makes an expression that is a field of the table of globals, or its place.
func (w *rewriter) globalField(name string, at int) ast.Expr {
	key := &ast.StringExpr{Value: name}
	key.SetLine(at)
	w.constant(lua.LString(name))
	e := &ast.AttrGetExpr{Object: w.upvalue(hiddenGlobals, at), Key: key}
	e.SetLine(at)
	return e
}

// exprs rewrites a list of expressions in place.
func (w *rewriter) exprs(list []ast.Expr) []ast.Expr {
	for i, e := range list {
		list[i] = w.expr(e)
	}
	return list
}

// expr rewrites an expression, in place where it can.
func (w *rewriter) expr(e ast.Expr) ast.Expr {
	at := e.Line()
	switch e := e.(type) {
	case *ast.IdentExpr:
		return w.ident(e)
	case *ast.NumberExpr:
		n, _ := parseNumber(e.Value)
		return w.number(n, w.line(at))
	case *ast.StringExpr:
		w.constant(lua.LString(e.Value))
	case *ast.AttrGetExpr:
		return w.field(e)
	case *ast.FuncCallExpr:
		return w.callExpr(e)
	case *ast.FunctionExpr:
		return w.function(e)
	case *ast.TableExpr:
		return w.table(e)
	case *ast.LogicalOpExpr:
		return w.logical(e)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
	case *ast.StringConcatOpExpr:
		return w.concat(e)
	case *ast.ArithmeticOpExpr:
		return w.arithmetic(e)
	case *ast.UnaryNotOpExpr:
		e.Expr = w.expr(e.Expr)
		if constant, holds := truth(e.Expr); constant {
			return boolAt(!holds, w.line(at))
		}
	case *ast.UnaryMinusOpExpr:
		return w.minus(e)
	case *ast.UnaryLenOpExpr:
		if argv, ok := w.keysOrArgv(e.Expr); ok && !w.whole[number01(argv)] {
			return w.param(param{argv, paramCount}, w.line(at))
		}
		where := w.site(site{line: at, left: w.describe(e.Expr)})
		return w.call(hiddenLength, where, w.expr(e.Expr))
	}
	e.SetLine(w.line(at))
	return e
}

// logical rewrites "and" and "or". Of those whose left operand is a constant one operand is left: the compiler gets
// some of these wrong.
func (w *rewriter) logical(e *ast.LogicalOpExpr) ast.Expr {
	e.Lhs = w.expr(e.Lhs)
	constant, holds := truth(e.Lhs)
	switch {
	case constant && holds != (e.Operator == "and"):
		return e.Lhs
	case constant:
		single(e.Rhs)
		return w.expr(e.Rhs)
	}
	e.Rhs = w.expr(e.Rhs)
	e.SetLine(w.line(e.Line()))
	return e
}

func boolAt(b bool, at int) (e ast.Expr) {
	e = &ast.FalseExpr{}
	if b {
		e = &ast.TrueExpr{}
	}
	e.SetLine(at)
	return e
}

// numberAt makes a number that the compiler reads as this one.
func numberAt(n float64, at int) ast.Expr {
	e := &ast.NumberExpr{Value: strconv.FormatFloat(n, 'e', -1, 64)}
	e.SetLine(at)
	return e
}

// number makes a number of the function's code.
func (w *rewriter) number(n float64, at int) ast.Expr {
	w.constant(lua.LNumber(n))
	return numberAt(n, at)
}

func (w *rewriter) ident(e *ast.IdentExpr) ast.Expr {
	at := w.line(e.Line())
	if v := w.tree.uses[e]; v != nil {
		return w.variable(v, at)
	}
	return w.global(e.Value, at)
}

// field rewrites a field; a library's function is an upvalue.
func (w *rewriter) field(e *ast.AttrGetExpr) ast.Expr {
	key, isString := e.Key.(*ast.StringExpr)
	object, isName := e.Object.(*ast.IdentExpr)
	if isString && isName && w.kind != library && w.tree.uses[object] == nil && libraryNames[object.Value] {
		if hidden := "\x01" + object.Value + "." + key.Value; w.room(hidden) {
			return w.upvalue(hidden, w.line(e.Line()))
		}
	}
	if element := w.element(e); element != nil {
		return element
	}
	return w.place(e)
}

// place rewrites a field that may be assigned to.
func (w *rewriter) place(e *ast.AttrGetExpr) ast.Expr {
	at := w.site(site{line: e.Line(), left: w.describe(e.Object)})
	e.Object, e.Key = w.expr(e.Object), w.expr(e.Key)
	e.SetLine(at)
	return e
}

func (w *rewriter) callExpr(e *ast.FuncCallExpr) ast.Expr {
	s := site{line: e.Line()}
	if e.Func != nil {
		s.left = w.describe(e.Func)
		s.right = s.left
		e.Func = w.expr(e.Func)
	} else {
		s.left, s.right = w.describe(e.Receiver), "method '"+e.Method+"'"
		e.Receiver = w.expr(e.Receiver)
		w.constant(lua.LString(e.Method))
	}
	w.exprs(e.Args)
	at := w.site(s)
	if n := len(e.Args); n > maxArgs && !isMulti(e.Args[n-1]) {
		args := &ast.TableExpr{}
		for _, arg := range e.Args {
			args.Fields = append(args.Fields, &ast.Field{Value: arg})
		}
		args.SetLine(at)
		spread := w.call(hiddenSpread, at, args, w.number(float64(n), at)).(*ast.FuncCallExpr)
		spread.AdjustRet = false
		e.Args = []ast.Expr{spread}
	}
	e.SetLine(at)
	e.SetLastLine(at)
	return e
}

// maxArgs is how many arguments a call may have in registers.
const maxArgs = 100

// isMulti tells whether an expression may have more values than one, or none.
func isMulti(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// concat rewrites a concatenation: one call for all operands, which lean to the right.
func (w *rewriter) concat(e *ast.StringConcatOpExpr) ast.Expr {
	const most = 50 // operands of a call; registers are few
	list := []ast.Expr{e.Lhs}
	rest := e.Rhs
	for len(list) < most-1 {
		next, ok := rest.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		list, rest = append(list, next.Lhs), next.Rhs
	}
	list = append(list, rest)
	// Which operand an error is about is found by the description's place in the list.
	at := w.site(site{line: e.Line()})
	for _, operand := range list {
		w.site(site{line: e.Line(), left: w.describe(operand)})
	}
	return w.call(hiddenConcat, at, w.exprs(list)...)
}

// arithmetic rewrites an operation on two numbers. It makes one of two that are known, so that all constants are, but
// of 0/0, which the compiler makes a new one wherever it stands.
func (w *rewriter) arithmetic(e *ast.ArithmeticOpExpr) ast.Expr {
	before := w.operators
	at := w.site(site{line: e.Line(), left: w.describe(e.Lhs), right: w.describe(e.Rhs)})
	e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
	e.SetLine(at)
	w.operator(before)
	left, leftIsNumber := literal(e.Lhs)
	right, rightIsNumber := literal(e.Rhs)
	if leftIsNumber && rightIsNumber {
		n := compute(e.Operator, left, right)
		if !math.IsNaN(n) {
			return w.number(n, at)
		}
		w.constant(lua.LNumber(n))
	}
	switch e.Operator {
	case "%":
		return w.call(hiddenModulo, at, e.Lhs, e.Rhs)
	case "^":
		return w.call(hiddenPower, at, e.Lhs, e.Rhs)
	}
	return e
}

// compute is what an operator makes of two numbers.
func compute(operator string, left, right float64) float64 {
	switch operator {
	case "+":
		return left + right
	case "-":
		return left - right
	case "*":
		return left * right
	case "/":
		return left / right
	case "%":
		return modulo(left, right)
	}
	return powC(left, right)
}

func (w *rewriter) minus(e *ast.UnaryMinusOpExpr) ast.Expr {
	before := w.operators
	at := w.site(site{line: e.Line(), left: w.describe(e.Expr)})
	e.Expr = w.expr(e.Expr)
	e.SetLine(at)
	w.operator(before)
	if n, ok := literal(e.Expr); ok {
		return w.number(-n, at)
	}
	return e
}

// literal tells the number that an expression spells, as the source or as numberAt does.
func literal(e ast.Expr) (n float64, ok bool) {
	number, ok := e.(*ast.NumberExpr)
	if !ok {
		return 0, false
	}
	if n, ok = parseNumber(number.Value); ok {
		return n, true
	}
	n, err := strconv.ParseFloat(number.Value, 64) // an infinite one
	return n, err == nil
}

// table rewrites a table constructor. gopher-lua stores elements in batches, and gets two things wrong: a keyed field
// behind a full batch, which it stores once more though the registers have other values by then, and several values at
// the end behind a full batch, which it takes for that batch. So from such a batch's last element on elements get keys,
// and values behind elements that have keys, or behind full batches, are stored by a helper.
func (w *rewriter) table(e *ast.TableExpr) ast.Expr {
	elements, keyed := 0, batchBeforeKey(e.Fields)
	at := w.line(e.Line())
	for _, f := range e.Fields {
		if f.Key != nil {
			f.Key = w.expr(f.Key)
		} else if elements++; elements > maxElements {
			w.fail(tooComplex)
		}
		f.Value = w.expr(f.Value)
	}
	e.SetLine(at)
	e.SetLastLine(at)
	if len(e.Fields) == 0 {
		return e
	}
	last := e.Fields[len(e.Fields)-1]
	tail := last.Key == nil && isMulti(last.Value) &&
		(keyed > 0 || elements > 1 && (elements-1)%lua.FieldsPerFlush == 0)
	if tail {
		e.Fields = e.Fields[:len(e.Fields)-1]
		elements--
	}
	if end := e.Fields[len(e.Fields)-1]; end.Key != nil || tail {
		single(end.Value)
	}
	if keyed > 0 {
		w.keyElements(e.Fields, keyed, at)
	}
	if tail {
		return w.call(hiddenTail, at, e, w.number(float64(elements), at), last.Value)
	}
	return e
}

// keyElements gives elements keys, from that number on.
func (w *rewriter) keyElements(fields []*ast.Field, from, at int) {
	elements := 0
	for _, f := range fields {
		if f.Key != nil {
			continue
		}
		if elements++; elements >= from {
			f.Key = w.number(float64(elements), at)
			single(f.Value)
		}
	}
}

// batchBeforeKey is the number of the last element of the first full batch that a keyed field comes after; 0: none.
func batchBeforeKey(fields []*ast.Field) int {
	elements := 0
	for _, f := range fields {
		if f.Key == nil {
			elements++
		} else if elements > 0 && elements%lua.FieldsPerFlush == 0 {
			return elements
		}
	}
	return 0
}

// function rewrites a function. Parameters that live in tables get there first.
func (w *rewriter) function(e *ast.FunctionExpr) ast.Expr {
	outer := w.fn
	variables := w.tree.declares[e]
	w.fn = w.tree.states[e]
	names, boxes := w.declare(variables, e.Line())
	if e.ParList.HasVargs { // the last is arg, which the machine declares
		v := variables[len(variables)-1]
		if names = names[:len(names)-1]; v.boxed() {
			boxes[len(boxes)-1] = w.box(v, "arg", w.line(e.Line()))
		} else {
			v.emitted = "arg"
		}
	}
	e.ParList = &ast.ParList{HasVargs: e.ParList.HasVargs, Names: names}
	e.Stmts = append(boxes, w.stmts(e.Stmts)...)
	w.countConstants()
	upvalues := len(w.fn.upvalues) + len(w.hidden)
	w.fn = outer
	w.step(upvalues * (outer.reach + len(outer.upvalues) + len(w.hidden)))
	e.SetLine(w.line(e.Line()))
	e.SetLastLine(w.line(e.LastLine()))
	return e
}

// declare names variables. Of those that live in tables names has the names of their first values, and boxes the
// statements that put these there.
func (w *rewriter) declare(variables []*localVariable, line int) (names []string, boxes []ast.Stmt) {
	for _, v := range variables {
		name := w.name(v.name)
		names = append(names, name)
		if v.boxed() {
			boxes = append(boxes, w.box(v, name, w.line(line)))
		} else {
			v.emitted = name
		}
	}
	return names, boxes
}

// box makes the statement that puts a variable's first value into a table.
func (w *rewriter) box(v *localVariable, first string, at int) ast.Stmt {
	v.emitted = w.name(v.name)
	return localAt(at, v.emitted, boxOf(identAt(first, at), at))
}

// boxOf makes a table of one value.
func boxOf(value ast.Expr, at int) ast.Expr {
	e := &ast.TableExpr{Fields: []*ast.Field{{Value: value}}}
	e.SetLine(at)
	return e
}

func localAt(at int, name string, value ast.Expr) ast.Stmt {
	s := &ast.LocalAssignStmt{Names: []string{name}, Exprs: []ast.Expr{value}}
	s.SetLine(at)
	s.SetLastLine(at)
	return s
}

// writtenName is what a script calls what rewriting has given this name.
func writtenName(name string) string {
	if strings.HasPrefix(name, "\x01") {
		return name[strings.LastIndexAny(name, ".\x01")+1:]
	}
	return cString(name)
}
