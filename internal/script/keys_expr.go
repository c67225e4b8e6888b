package script

import "github.com/yuin/gopher-lua/ast"

// expression goes through an expression and returns what is known of its value; of several ones, of the first.
func (a *analysis) expression(e ast.Expr) fact {
	if !a.enter() {
		return fact{kind: kindOther}
	}
	defer a.leave()
	switch e := e.(type) {
	case *ast.NilExpr, *ast.FalseExpr:
		return fact{kind: kindNone}
	case *ast.StringExpr:
		return fact{kind: kindConstant, text: e.Value}
	case *ast.NumberExpr:
		if wholeNumber(e.Value) {
			return fact{kind: kindConstant, text: e.Value}
		}
	case *ast.IdentExpr:
		return a.name(e)
	case *ast.AttrGetExpr:
		return a.attribute(e)
	case *ast.FuncCallExpr:
		return a.call(e)
	case *ast.FunctionExpr:
		a.body(e)
		return fact{kind: kindFunction, fn: e}
	case *ast.TableExpr:
		for _, f := range e.Fields {
			if f.Key != nil {
				a.plain(a.expression(f.Key))
			}
			a.plain(a.expression(f.Value))
		}
	case *ast.LogicalOpExpr:
		return a.logical(e)
	case *ast.RelationalOpExpr:
		a.condition(e.Lhs)
		a.condition(e.Rhs)
	case *ast.StringConcatOpExpr:
		a.plain(a.expression(e.Lhs))
		a.plain(a.expression(e.Rhs))
	case *ast.ArithmeticOpExpr:
		a.plain(a.expression(e.Lhs))
		a.plain(a.expression(e.Rhs))
	case *ast.UnaryMinusOpExpr:
		a.plain(a.expression(e.Expr))
	case *ast.UnaryNotOpExpr:
		a.condition(e.Expr)
	case *ast.UnaryLenOpExpr:
		a.condition(e.Expr)
	case *ast.TrueExpr, *ast.Comma3Expr:
	default:
		a.fail()
	}
	return fact{kind: kindOther}
}

// condition goes through an expression whose value is only looked at: it gets nowhere.
func (a *analysis) condition(e ast.Expr) { a.expression(e) }

// wholeNumber tells whether redis.call passes on a number as the source spells it.
func wholeNumber(text string) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0 && len(text) < 10 && (text[0] != '0' || len(text) == 1)
}

// element returns what is known of each value of an expression that may have several, given what is known of the
// first: only unpack(KEYS …) has keys there.
func (a *analysis) element(first fact) fact {
	if first.kind == kindKey {
		return first
	}
	return a.plain(first)
}

// name returns what is known of a variable.
func (a *analysis) name(e *ast.IdentExpr) fact {
	if v := a.tree.uses[e]; v != nil {
		local := a.holder(v, a.function)
		if local.kind == kindFunction {
			a.use(local.fn)
		}
		if local.owner != a.function && (local.kind == kindKey || local.kind == kindKeys) {
			for fn := a.function; fn != nil && fn != local.owner; fn = a.parents[fn] {
				a.outside[fn] = true
				a.looks++
			}
		}
		return local.fact
	}
	switch {
	case e.Value == "KEYS" && !a.inLibrary:
		return fact{kind: kindKeys}
	case e.Value == "redis":
		return fact{kind: kindRedis}
	}
	k, ok := harmlessGlobals[e.Value]
	if !ok {
		a.fail()
		k = kindOther
	}
	return fact{kind: k}
}

// attribute returns what is known of an element of a table.
func (a *analysis) attribute(e *ast.AttrGetExpr) fact {
	object, key := a.expression(e.Object), a.plain(a.expression(e.Key))
	switch object.kind {
	case kindNone:
		return object
	case kindKeys:
		return fact{kind: kindKey}
	case kindRedis:
		switch {
		case key.kind == kindNone:
			return key
		case key.kind != kindConstant:
			a.fail()
		case key.text == "call" || key.text == "pcall":
			return fact{kind: kindCall}
		case key.text == "register_function":
			return fact{kind: kindRegister}
		}
		return fact{kind: kindOther}
	}
	a.plain(object)
	return fact{kind: kindOther}
}

// logical returns what is known of "and" and "or": nil and false, which the left side of "and" may be, are no keys and
// no names of commands.
func (a *analysis) logical(e *ast.LogicalOpExpr) fact {
	left := a.expression(e.Lhs)
	if e.Operator == "and" {
		return a.expression(e.Rhs)
	}
	return a.join(left, a.expression(e.Rhs))
}

// body goes through a function.
func (a *analysis) body(fn *ast.FunctionExpr) {
	a.use(fn)
	around := a.function
	a.parents[fn] = around
	a.function = fn
	all, first := a.parameters(fn)
	for i, v := range all {
		given := fact{kind: kindOther}
		if named := i >= first && i < first+len(fn.ParList.Names); named && !a.escaped[fn] {
			given.kind = kindNone // but for what is passed
		}
		a.declare(v, given)
	}
	a.statements(fn.Stmts)
	a.function = around
}

// parameters returns the variables that a function begins with: those of the parameters that it names are from first
// on, behind self in a method, and before arg where the function has "...".
func (a *analysis) parameters(fn *ast.FunctionExpr) (all []*localVariable, first int) {
	all = a.tree.declares[fn]
	first = len(all) - len(fn.ParList.Names)
	if fn.ParList.HasVargs {
		first--
	}
	return all, first
}

// pass joins a value to those of the i-th parameter that a function names.
func (a *analysis) pass(fn *ast.FunctionExpr, i int, value fact) {
	all, first := a.parameters(fn)
	a.assign(a.holder(all[first+i], fn), value)
}

// call goes through a call of a function and returns what is known of its first value.
func (a *analysis) call(e *ast.FuncCallExpr) fact {
	if e.Func == nil {
		a.plain(a.expression(e.Receiver))
		a.plainArguments(e.Args)
		return fact{kind: kindOther}
	}
	callee := a.expression(e.Func)
	switch callee.kind {
	case kindCall:
		a.commandCall(e.Args)
	case kindRegister:
		a.register(e.Args)
	case kindUnpack, kindIterator:
		return a.callOnTable(callee.kind, e.Args)
	case kindFunction:
		a.passArguments(callee.fn, e.Args)
	case kindProtect:
		a.protectedCall(e.Args)
	default:
		a.plain(callee)
		a.plainArguments(e.Args)
	}
	return fact{kind: kindOther}
}

// callOnTable goes through a call of unpack, ipairs or pairs.
func (a *analysis) callOnTable(callee factKind, args []ast.Expr) fact {
	if len(args) == 0 {
		return fact{kind: kindOther}
	}
	table := a.expression(args[0])
	a.plainArguments(args[1:])
	switch {
	case table.kind != kindKeys:
		a.plain(table)
	case callee == kindUnpack:
		return fact{kind: kindKey}
	default:
		return fact{kind: kindPairs}
	}
	return fact{kind: kindOther}
}

// protectedCall goes through a call of pcall, which calls its first argument here and now.
func (a *analysis) protectedCall(args []ast.Expr) {
	if len(args) == 0 {
		return
	}
	callee := a.expression(args[0])
	if callee.kind == kindFunction {
		a.passArguments(callee.fn, args[1:])
		return
	}
	a.plain(callee)
	a.plainArguments(args[1:])
}

func (a *analysis) plainArguments(args []ast.Expr) {
	for _, e := range args {
		a.plain(a.expression(e))
	}
}

// passArguments joins arguments to what the parameters of a function may be.
func (a *analysis) passArguments(fn *ast.FunctionExpr, args []ast.Expr) {
	n := len(fn.ParList.Names)
	a.looks += n
	for i, v := range a.values(args, max(n, len(args))) {
		if i < n {
			a.pass(fn, i, v)
		} else {
			a.plain(v)
		}
	}
}
