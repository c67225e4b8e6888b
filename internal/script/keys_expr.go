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
		return a.name(e.Value)
	case *ast.AttrGetExpr:
		return a.attribute(e)
	case *ast.FuncCallExpr:
		return a.call(e)
	case *ast.FunctionExpr:
		a.body(e, false)
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
func (a *analysis) name(name string) fact {
	if local := a.lookup(name); local != nil {
		if local.kind == kindFunction {
			a.use(local.fn)
		}
		if local.owner != a.function && (local.kind == kindKey || local.kind == kindKeys) {
			for fn := a.function; fn != nil && fn != local.owner; fn = a.parents[fn] {
				a.outside[fn] = true
			}
		}
		return local.fact
	}
	switch {
	case name == "KEYS" && !a.inLibrary:
		return fact{kind: kindKeys}
	case name == "redis":
		return fact{kind: kindRedis}
	}
	k, ok := harmlessGlobals[name]
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

// body goes through a function. Method: it has a parameter self before those that it names.
func (a *analysis) body(fn *ast.FunctionExpr, method bool) {
	a.use(fn)
	around, depth := a.function, len(a.scopes)
	a.parents[fn] = around
	a.function = fn
	a.scopes = append(a.scopes, scope{})
	given := fact{kind: kindNone}
	if a.escaped[fn] {
		given.kind = kindOther
	}
	if method {
		a.declare("self", declaration{fn, -1}, fact{kind: kindOther})
	}
	for i, name := range fn.ParList.Names {
		a.declare(name, declaration{fn, i}, given)
	}
	if fn.ParList.HasVargs {
		a.declare("arg", declaration{fn, -2}, fact{kind: kindOther})
	}
	a.block(fn.Stmts)
	a.scopes = a.scopes[:depth]
	a.function = around
}

// parameter returns the variable of a parameter.
func (a *analysis) parameter(fn *ast.FunctionExpr, i int) *holder {
	at := declaration{fn, i}
	if a.variables[at] == nil {
		a.variables[at] = &holder{owner: fn}
		a.changed = true
	}
	return a.variables[at]
}

// call goes through a call of a function and returns what is known of its first fact.
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
	for i, v := range a.values(args, max(n, len(args))) {
		if i < n {
			a.assign(a.parameter(fn, i), v)
		} else {
			a.plain(v)
		}
	}
}
