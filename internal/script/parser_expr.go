package script

import "github.com/yuin/gopher-lua/ast"

// exprs parses a list of expressions.
func (p *parser) exprs() []ast.Expr {
	list := []ast.Expr{p.expr()}
	for p.accept(',') {
		list = append(list, p.expr())
	}
	return list
}

// strength says how strongly an operator binds what is left and right of it; unlike numbers make it lean to the right.
type strength struct{ left, right int }

// unaryPriority is how strongly not, # and - bind.
const unaryPriority = 8

// binaryOf returns how the current token binds as a binary operator; 0: it is none.
func (p *parser) binaryOf() strength {
	switch p.token {
	case tokenOr:
		return strength{1, 1}
	case tokenAnd:
		return strength{2, 2}
	case '<', '>', tokenLe, tokenGe, tokenNe, tokenEq:
		return strength{3, 3}
	case tokenConcat:
		return strength{5, 4}
	case '+', '-':
		return strength{6, 6}
	case '*', '/', '%':
		return strength{7, 7}
	case '^':
		return strength{10, 9}
	}
	return strength{}
}

// expr parses an expression.
func (p *parser) expr() ast.Expr { return p.subexpr(0) }

// subexpr parses an expression whose operators bind more strongly than limit.
func (p *parser) subexpr(limit int) ast.Expr {
	p.enter()
	e := p.unary()
	for chain := 0; ; {
		b := p.binaryOf()
		if b.left <= limit {
			break
		}
		p.link(&chain)
		op := p.token
		p.next()
		e = p.operation(op, e, p.subexpr(b.right))
	}
	p.leave()
	return e
}

// link counts a link of a chain, which may not be too long.
func (p *parser) link(chain *int) {
	if *chain++; *chain > maxChain {
		p.fail(tooComplex)
	}
}

// operation makes an expression of two.
func (p *parser) operation(op token, left, right ast.Expr) (e ast.Expr) {
	switch op {
	case tokenOr, tokenAnd:
		e = &ast.LogicalOpExpr{Operator: op.String(), Lhs: left, Rhs: right}
	case '<', '>', tokenLe, tokenGe, tokenNe, tokenEq:
		e = &ast.RelationalOpExpr{Operator: op.String(), Lhs: left, Rhs: right}
	case tokenConcat:
		e = &ast.StringConcatOpExpr{Lhs: left, Rhs: right}
	default:
		e = &ast.ArithmeticOpExpr{Operator: op.String(), Lhs: left, Rhs: right}
	}
	e.SetLine(p.lastLine)
	return e
}

// unary parses an operand with the unary operators before it.
func (p *parser) unary() (e ast.Expr) {
	op := p.token
	switch op {
	case tokenNot, '-', '#':
		p.next()
	default:
		return p.simple()
	}
	operand := p.subexpr(unaryPriority)
	switch op {
	case tokenNot:
		e = &ast.UnaryNotOpExpr{Expr: operand}
	case '-':
		e = &ast.UnaryMinusOpExpr{Expr: operand}
	default:
		e = &ast.UnaryLenOpExpr{Expr: operand}
	}
	e.SetLine(p.lastLine)
	return e
}

// simple parses an expression without operators.
func (p *parser) simple() (e ast.Expr) {
	line := p.line
	switch p.token {
	case tokenNumber:
		e = &ast.NumberExpr{Value: p.value}
	case tokenString:
		e = &ast.StringExpr{Value: p.value}
	case tokenNil:
		e = &ast.NilExpr{}
	case tokenTrue:
		e = &ast.TrueExpr{}
	case tokenFalse:
		e = &ast.FalseExpr{}
	case tokenDots:
		if !p.fn.vararg {
			p.failHere("cannot use '...' outside a vararg function")
		}
		p.tree.vararg = p.tree.vararg || p.fn.outer == nil
		e = &ast.Comma3Expr{}
	case '{':
		return p.table()
	case tokenFunction:
		p.next()
		return p.body(line)
	default:
		e, _ = p.suffixed()
		return e
	}
	e.SetLine(line)
	p.next()
	return e
}

// suffixed parses a name or an expression in parentheses, and the fields and calls behind it. assignable: it is a
// variable or a field.
func (p *parser) suffixed() (e ast.Expr, assignable bool) {
	line := p.line
	switch p.token {
	case tokenName:
		e, assignable = p.ident(p.expectName(), line), true
	case '(':
		p.next()
		e = p.expr()
		p.expectMatch(')', '(', line)
		switch e := e.(type) {
		case *ast.FuncCallExpr:
			e.AdjustRet = true
		case *ast.Comma3Expr:
			e.AdjustRet = true
		}
	default:
		p.failHere("unexpected symbol")
	}
	for chain := 0; ; {
		switch p.token {
		case '.':
			e, assignable = p.field(e, &chain), true
		case '[':
			p.link(&chain)
			p.next()
			get := &ast.AttrGetExpr{Object: e, Key: p.expr()}
			get.SetLine(p.line)
			p.expect(']')
			e, assignable = get, true
		case ':':
			p.link(&chain)
			p.next()
			call := &ast.FuncCallExpr{Receiver: e, Method: p.expectName()}
			p.arguments(call)
			e, assignable = call, false
		case '(', '{', tokenString:
			p.link(&chain)
			call := &ast.FuncCallExpr{Func: e}
			p.arguments(call)
			e, assignable = call, false
		default:
			return e, assignable
		}
	}
}

// field parses a field, from the dot on.
func (p *parser) field(object ast.Expr, chain *int) ast.Expr {
	p.link(chain)
	p.next()
	key := &ast.StringExpr{}
	key.SetLine(p.line)
	key.Value = p.expectName()
	e := &ast.AttrGetExpr{Object: object, Key: key}
	e.SetLine(p.lastLine)
	return e
}

// arguments parses the arguments of a call.
func (p *parser) arguments(call *ast.FuncCallExpr) {
	line := p.line
	call.SetLine(line)
	switch p.token {
	case '(':
		if line != p.lastLine {
			p.failHere("ambiguous syntax (function call x new statement)")
		}
		p.next()
		if p.token != ')' {
			call.Args = p.exprs()
		}
		p.expectMatch(')', '(', line)
	case '{':
		call.Args = []ast.Expr{p.table()}
	case tokenString:
		call.Args = []ast.Expr{p.simple()}
	default:
		p.failHere("function arguments expected")
	}
	call.SetLastLine(p.lastLine)
}

// table parses a table constructor.
func (p *parser) table() ast.Expr {
	line := p.line
	e := &ast.TableExpr{}
	e.SetLine(line)
	p.expect('{')
	for p.token != '}' {
		e.Fields = append(e.Fields, p.tableField())
		if !p.accept(',') && !p.accept(';') {
			break
		}
	}
	p.expectMatch('}', '{', line)
	e.SetLastLine(p.lastLine)
	return e
}

func (p *parser) tableField() *ast.Field {
	f := &ast.Field{}
	switch {
	case p.token == tokenName && p.peek() == '=':
		key := &ast.StringExpr{Value: p.value}
		key.SetLine(p.line)
		f.Key = key
		p.next()
		p.expect('=')
	case p.token == '[':
		p.next()
		f.Key = p.expr()
		p.expect(']')
		p.expect('=')
	}
	f.Value = p.expr()
	return f
}
