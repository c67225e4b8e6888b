package script

import "github.com/yuin/gopher-lua/ast"

// register goes through a call of redis.register_function: a name and a function, or a table with both.
func (a *analysis) register(args []ast.Expr) {
	if !a.inLibrary { // an error
		a.fail()
	}
	var name, callback fact
	switch len(args) {
	case 1:
		table, ok := args[0].(*ast.TableExpr)
		if !ok {
			a.plainArguments(args)
			a.fail()
			return
		}
		name, callback = a.registerTable(table)
	case 2:
		name, callback = a.expression(args[0]), a.expression(args[1])
		if isMulti(args[1]) {
			callback = a.plain(callback)
		}
	default: // an error
		a.plainArguments(args)
		return
	}
	if a.plain(name).kind != kindConstant {
		a.plain(callback)
		a.failAlways()
		return
	}
	if callback.kind != kindFunction {
		a.plain(callback)
		a.registered[name.text] = append(a.registered[name.text], nil)
		return
	}
	fn := callback.fn
	a.registered[name.text] = append(a.registered[name.text], fn)
	for i := range fn.ParList.Names {
		v := fact{kind: kindOther}
		if i == 0 {
			v.kind = kindKeys
		}
		a.pass(fn, i, v)
	}
}

// registerTable goes through the table of named arguments of redis.register_function.
func (a *analysis) registerTable(table *ast.TableExpr) (name, callback fact) {
	name, callback = fact{kind: kindOther}, fact{kind: kindOther}
	for _, f := range table.Fields {
		v, key := a.expression(f.Value), fact{kind: kindOther}
		if f.Key != nil {
			key = a.plain(a.expression(f.Key))
		}
		switch {
		case key.kind != kindConstant: // may be one of those that matter
			a.plain(v)
			a.failAlways()
		case key.text == "function_name":
			name = v
		case key.text == "callback":
			callback = v
		default:
			a.plain(v)
		}
	}
	return name, callback
}

// failAlways notes that nothing can be said of any function of the library.
func (a *analysis) failAlways() { a.failed[nil] = true }
