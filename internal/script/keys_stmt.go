package script

import "github.com/yuin/gopher-lua/ast"

// statements goes through a block.
func (a *analysis) statements(stmts []ast.Stmt) {
	if !a.enter() {
		return
	}
	for _, stmt := range stmts {
		a.statement(stmt)
	}
	a.leave()
}

func (a *analysis) statement(stmt ast.Stmt) {
	switch s := stmt.(type) {
	case *ast.LocalAssignStmt:
		a.localAssign(s)
	case *ast.AssignStmt:
		values := a.values(s.Rhs, len(s.Lhs))
		for i, to := range s.Lhs {
			a.assignTo(to, values[i])
		}
	case *ast.FuncDefStmt:
		a.functionDefinition(s)
	case *ast.FuncCallStmt:
		a.expression(s.Expr)
	case *ast.DoBlockStmt:
		a.statements(s.Stmts)
	case *ast.WhileStmt:
		a.condition(s.Condition)
		a.statements(s.Stmts)
	case *ast.RepeatStmt:
		a.statements(s.Stmts)
		a.condition(s.Condition)
	case *ast.IfStmt:
		a.ifElse(s)
	case *ast.NumberForStmt:
		a.numberFor(s)
	case *ast.GenericForStmt:
		a.genericFor(s)
	case *ast.ReturnStmt:
		for _, e := range s.Exprs {
			a.plain(a.expression(e))
		}
	case *ast.BreakStmt:
	default:
		a.fail()
	}
}

// ifElse follows a chain of elseif without nesting, which may be long.
func (a *analysis) ifElse(s *ast.IfStmt) {
	for {
		a.condition(s.Condition)
		a.statements(s.Then)
		if len(s.Else) != 1 {
			break
		}
		next, ok := s.Else[0].(*ast.IfStmt)
		if !ok {
			break
		}
		s = next
	}
	a.statements(s.Else)
}

func (a *analysis) localAssign(s *ast.LocalAssignStmt) {
	variables := a.tree.declares[s]
	if a.tree.functions[s] { // it sees itself
		fn := s.Exprs[0].(*ast.FunctionExpr)
		a.declare(variables[0], fact{kind: kindFunction, fn: fn})
		a.expression(fn)
		return
	}
	values := a.values(s.Exprs, len(variables))
	for i, v := range variables {
		a.declare(v, values[i])
	}
}

// values returns what n variables may get from a list of expressions.
func (a *analysis) values(exprs []ast.Expr, n int) []fact {
	all := make([]fact, max(n, len(exprs)))
	for i, e := range exprs {
		all[i] = a.expression(e)
		if i == len(exprs)-1 && isMulti(e) {
			rest := a.element(all[i])
			for k := i; k < len(all); k++ {
				all[k] = rest
			}
		}
	}
	for _, v := range all[n:] {
		a.plain(v)
	}
	return all
}

// assignTo assigns to what stands left of an equals sign.
func (a *analysis) assignTo(to ast.Expr, v fact) {
	switch to := to.(type) {
	case *ast.IdentExpr:
		if local := a.tree.uses[to]; local != nil {
			a.assign(a.holder(local, a.function), v)
			return
		}
	case *ast.AttrGetExpr:
		a.plain(a.expression(to.Object))
		a.plain(a.expression(to.Key))
		a.plain(v)
		return
	}
	a.plain(v)
	a.fail()
}

func (a *analysis) functionDefinition(s *ast.FuncDefStmt) {
	if s.Name.Func == nil {
		a.plain(a.expression(s.Name.Receiver))
		a.body(s.Func)
		a.plain(fact{kind: kindFunction, fn: s.Func})
		return
	}
	a.assignTo(s.Name.Func, a.expression(s.Func))
}

func (a *analysis) numberFor(s *ast.NumberForStmt) {
	for _, e := range []ast.Expr{s.Init, s.Limit, s.Step} {
		if e != nil {
			a.plain(a.expression(e))
		}
	}
	a.declare(a.tree.declares[s][0], fact{kind: kindOther})
	a.statements(s.Stmts)
}

func (a *analysis) genericFor(s *ast.GenericForStmt) {
	keys := false
	for _, e := range s.Exprs {
		v := a.expression(e)
		if keys = v.kind == kindPairs && len(s.Exprs) == 1; !keys {
			a.plain(v)
		}
	}
	for i, local := range a.tree.declares[s] {
		v := fact{kind: kindOther}
		if keys && i == 1 {
			v.kind = kindKey
		}
		a.declare(local, v)
	}
	a.statements(s.Stmts)
}
