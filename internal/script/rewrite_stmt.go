package script

import (
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// stmts rewrites statements.
func (w *rewriter) stmts(list []ast.Stmt) (out []ast.Stmt) {
	for _, s := range list {
		line, last := s.Line(), s.LastLine()
		for _, s := range w.stmt(s) {
			if s.Line() == line {
				s.SetLine(w.line(line))
			}
			s.SetLastLine(w.line(last))
			out = append(out, s)
		}
	}
	return out
}

// stmt rewrites a statement. What it returns has its own line, or a site.
func (w *rewriter) stmt(s ast.Stmt) []ast.Stmt {
	switch s := s.(type) {
	case *ast.AssignStmt:
		return w.assign(s)
	case *ast.LocalAssignStmt:
		return w.local(s)
	case *ast.FuncCallStmt:
		s.Expr = w.expr(s.Expr)
	case *ast.DoBlockStmt:
		s.Stmts = w.stmts(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = w.expr(s.Condition)
		s.Stmts = w.body(w.stmts(s.Stmts), s.Line())
		if constant, holds := truth(s.Condition); constant && !holds {
			return nil
		}
	case *ast.RepeatStmt:
		s.Stmts = w.body(w.stmts(s.Stmts), s.Line())
		s.Condition = w.expr(s.Condition)
	case *ast.IfStmt:
		return w.ifStmt(s)
	case *ast.NumberForStmt:
		w.numberFor(s)
	case *ast.GenericForStmt:
		w.exprs(s.Exprs)
		names, boxes := w.declare(w.tree.declares[s], s.Line())
		s.Names = names
		s.Stmts = w.body(append(boxes, w.stmts(s.Stmts)...), s.Line())
	case *ast.FuncDefStmt:
		return w.functionDef(s)
	case *ast.ReturnStmt:
		w.exprs(s.Exprs)
	}
	return []ast.Stmt{s}
}

// ifStmt rewrites an if and what hangs on it. One whose condition is a constant becomes a block.
func (w *rewriter) ifStmt(s *ast.IfStmt) []ast.Stmt {
	s.Condition = w.expr(s.Condition)
	s.Then = w.stmts(s.Then)
	s.Else = w.stmts(s.Else)
	constant, holds := truth(s.Condition)
	if !constant {
		return []ast.Stmt{s}
	}
	block := &ast.DoBlockStmt{Stmts: s.Else}
	if holds {
		block.Stmts = s.Then
	}
	block.SetLine(s.Line())
	return []ast.Stmt{block}
}

// body is a loop's body, which doesn't begin with a jump.
func (w *rewriter) body(stmts []ast.Stmt, line int) []ast.Stmt {
	if !beginsWithJump(stmts) {
		return stmts
	}
	at := w.line(line)
	none := &ast.NilExpr{}
	none.SetLine(at)
	return append([]ast.Stmt{localAt(at, w.name("none"), none)}, stmts...)
}

// beginsWithJump tells whether the first instruction of statements is a jump.
func beginsWithJump(stmts []ast.Stmt) bool {
	for _, s := range stmts {
		switch s := s.(type) {
		case *ast.BreakStmt:
			return true
		case *ast.DoBlockStmt:
			if len(s.Stmts) == 0 {
				continue
			}
			return beginsWithJump(s.Stmts)
		}
		return false
	}
	return false
}

func (w *rewriter) numberFor(s *ast.NumberForStmt) {
	at := w.line(s.Line())
	s.Init = w.loopNumber(hiddenStart, s.Init, at)
	s.Limit = w.loopNumber(hiddenLimit, s.Limit, at)
	if s.Step != nil {
		s.Step = w.loopNumber(hiddenStep, s.Step, at)
	} else {
		w.constant(lua.LNumber(1)) // the compiler's
	}
	names, boxes := w.declare(w.tree.declares[s], s.Line())
	s.Name = names[0]
	s.Stmts = append(boxes, w.stmts(s.Stmts)...)
}

// loopNumber rewrites one of a loop's numbers; what is one for sure needs no check.
func (w *rewriter) loopNumber(check string, e ast.Expr, at int) ast.Expr {
	_, isLength := e.(*ast.UnaryLenOpExpr)
	e = w.expr(e)
	if _, isNumber := e.(*ast.NumberExpr); isNumber || isLength {
		return e
	}
	return w.call(check, at, e)
}

// functionDef makes an assignment of a function statement.
func (w *rewriter) functionDef(s *ast.FuncDefStmt) []ast.Stmt {
	target := s.Name.Func
	if target == nil {
		key := &ast.StringExpr{Value: s.Name.Method}
		key.SetLine(s.Line())
		field := &ast.AttrGetExpr{Object: s.Name.Receiver, Key: key}
		field.SetLine(s.Line())
		target = field
	}
	assign := &ast.AssignStmt{Lhs: []ast.Expr{target}, Rhs: []ast.Expr{s.Func}}
	assign.SetLine(s.Line())
	return w.assign(assign)
}

// target rewrites what is assigned to.
func (w *rewriter) target(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.IdentExpr:
		at := w.line(e.Line())
		if v := w.tree.uses[e]; v != nil {
			return w.variable(v, at)
		}
		return w.globalField(e.Value, at)
	case *ast.AttrGetExpr:
		return w.place(e)
	}
	panic("BUG: a target that the parser refuses")
}

// late tells whether what is assigned to, one of all targets, is a field of a variable of this function that lives in a
// table. Lua looks at the variable when it assigns, which may have another value then than before the new one was
// computed.
func (w *rewriter) late(target ast.Expr, all []ast.Expr) bool {
	field, ok := target.(*ast.AttrGetExpr)
	if !ok {
		return false
	}
	object, ok := field.Object.(*ast.IdentExpr)
	if !ok {
		return false
	}
	v := w.tree.uses[object]
	if v == nil || !v.boxed() || v.function != w.fn {
		return false
	}
	for _, other := range all { // Lua keeps the old one then
		if ident, ok := other.(*ast.IdentExpr); ok && w.tree.uses[ident] == v {
			return false
		}
	}
	return true
}

// assign rewrites an assignment. If it has several targets all expressions are evaluated into variables first, and then
// assigned from right to left, as Lua does.
func (w *rewriter) assign(s *ast.AssignStmt) []ast.Stmt {
	if len(s.Lhs) == 1 && !w.late(s.Lhs[0], nil) {
		s.Lhs[0] = w.target(s.Lhs[0])
		w.exprs(s.Rhs)
		return []ast.Stmt{s}
	}
	at := w.line(s.Line())
	block := &ast.DoBlockStmt{}
	block.SetLine(s.Line())
	targets := make([]ast.Expr, len(s.Lhs))
	for i, target := range s.Lhs {
		late := w.late(target, s.Lhs)
		targets[i] = w.target(target)
		if field, ok := targets[i].(*ast.AttrGetExpr); ok {
			if !late {
				block.Stmts = append(block.Stmts, w.keep(&field.Object, at))
			}
			if _, constant := field.Key.(*ast.StringExpr); !constant {
				block.Stmts = append(block.Stmts, w.keep(&field.Key, at))
			}
		}
	}
	values := &ast.LocalAssignStmt{Exprs: w.exprs(s.Rhs)}
	values.SetLine(at)
	values.SetLastLine(at)
	for range targets {
		values.Names = append(values.Names, w.name("value"))
	}
	block.Stmts = append(block.Stmts, values)
	for i := len(targets) - 1; i >= 0; i-- {
		assign := &ast.AssignStmt{Lhs: []ast.Expr{targets[i]}, Rhs: []ast.Expr{identAt(values.Names[i], at)}}
		assign.SetLine(at)
		assign.SetLastLine(at)
		block.Stmts = append(block.Stmts, assign)
	}
	return []ast.Stmt{block}
}

// keep puts an expression's value into a new variable, which takes its place.
func (w *rewriter) keep(e *ast.Expr, at int) ast.Stmt {
	name := w.name("part")
	s := localAt(at, name, *e)
	*e = identAt(name, at)
	return s
}

// local rewrites the declaration of local variables. Expressions don't see them, but for a function's own name.
func (w *rewriter) local(s *ast.LocalAssignStmt) []ast.Stmt {
	variables := w.tree.declares[s]
	at := w.line(s.Line())
	if w.tree.functions[s] {
		v := variables[0]
		v.emitted = w.name(v.name)
		if !v.boxed() {
			s.Names = []string{v.emitted}
			w.exprs(s.Exprs)
			return []ast.Stmt{s}
		}
		assign := &ast.AssignStmt{Lhs: []ast.Expr{w.variable(v, at)}, Rhs: w.exprs(s.Exprs)}
		assign.SetLine(at)
		return []ast.Stmt{localAt(at, v.emitted, boxOf(&ast.NilExpr{}, at)), assign}
	}
	w.exprs(s.Exprs)
	names, boxes := w.declare(variables, s.Line())
	s.Names = names
	return append([]ast.Stmt{s}, boxes...)
}
