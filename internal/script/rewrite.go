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
	globals bool
	err     error
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
		if problem := recover(); problem != nil {
			proto, err = nil, fmt.Errorf("the compiler failed: %v", problem)
		}
	}()
	w.fn = w.tree.main
	fn := &ast.FunctionExpr{ParList: &ast.ParList{HasVargs: w.tree.vararg}, Stmts: w.stmts(w.tree.stmts)}
	for _, p := range w.paramList() {
		fn.ParList.Names = append(fn.ParList.Names, p.name())
	}
	if w.err != nil {
		return nil, w.err
	}
	outer := []ast.Stmt{&ast.ReturnStmt{Exprs: []ast.Expr{fn}}}
	if len(w.hidden) > 0 {
		names := slices.Sorted(maps.Keys(w.hidden))
		outer = append([]ast.Stmt{&ast.LocalAssignStmt{Names: names}}, outer...)
	}
	if proto, err = lua.Compile(outer, name); err != nil {
		return nil, syntaxError("function or expression too complex")
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

// chosen is the operand of a logical operator that is its value if its left one is a constant: the compiler gets some
// of these wrong.
func chosen(e *ast.LogicalOpExpr, holds bool) ast.Expr {
	if holds != (e.Operator == "and") {
		return e.Lhs
	}
	single(e.Rhs)
	return e.Rhs
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
	key := &ast.NumberExpr{Value: "1"}
	key.SetLine(at)
	e := &ast.AttrGetExpr{Object: identAt(v.emitted, at), Key: key}
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
		return numberAt(n, w.line(at))
	case *ast.AttrGetExpr:
		return w.field(e)
	case *ast.FuncCallExpr:
		return w.callExpr(e)
	case *ast.FunctionExpr:
		return w.function(e)
	case *ast.TableExpr:
		return w.table(e)
	case *ast.LogicalOpExpr:
		if constant, holds := truth(e.Lhs); constant {
			return w.expr(chosen(e, holds))
		}
		e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
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
		where := w.site(site{line: at, left: w.describe(e.Expr)})
		e.Expr = w.expr(e.Expr)
		e.SetLine(where)
		return e
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
	}
	w.exprs(e.Args)
	at := w.site(s)
	if n := len(e.Args); n > maxArgs && !isMulti(e.Args[n-1]) {
		args := &ast.TableExpr{}
		for _, arg := range e.Args {
			args.Fields = append(args.Fields, &ast.Field{Value: arg})
		}
		args.SetLine(at)
		spread := w.call(hiddenSpread, at, args, numberAt(float64(n), at)).(*ast.FuncCallExpr)
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

func (w *rewriter) arithmetic(e *ast.ArithmeticOpExpr) ast.Expr {
	at := w.site(site{line: e.Line(), left: w.describe(e.Lhs), right: w.describe(e.Rhs)})
	e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
	e.SetLine(at)
	left, leftIsNumber := literal(e.Lhs)
	right, rightIsNumber := literal(e.Rhs)
	constant := leftIsNumber && rightIsNumber
	switch e.Operator {
	case "%":
		if n := modulo(left, right); constant && !math.IsNaN(n) {
			return numberAt(n, at)
		}
		return w.call(hiddenModulo, at, e.Lhs, e.Rhs)
	case "^":
		if n := powC(left, right); constant && !math.IsNaN(n) {
			return numberAt(n, at)
		}
		return w.call(hiddenPower, at, e.Lhs, e.Rhs)
	}
	return e
}

// literal tells the number that an expression spells.
func literal(e ast.Expr) (n float64, ok bool) {
	number, ok := e.(*ast.NumberExpr)
	if !ok {
		return 0, false
	}
	return parseNumber(number.Value)
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
			w.err = syntaxError("function or expression too complex")
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
		keyElements(e.Fields, keyed, at)
	}
	if tail {
		return w.call(hiddenTail, at, e, numberAt(float64(elements), at), last.Value)
	}
	return e
}

// keyElements gives elements keys, from that number on.
func keyElements(fields []*ast.Field, from, at int) {
	elements := 0
	for _, f := range fields {
		if f.Key != nil {
			continue
		}
		if elements++; elements >= from {
			f.Key = numberAt(float64(elements), at)
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
	w.fn = outer
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
