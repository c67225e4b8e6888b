package script

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// The parser is here, though gopher-lua has one, because what is wrong with a script is told in Lua 5.1's words, which
// clients see, because that one takes other numbers, escapes and reserved words, and because nothing bounds how deep
// its trees are, which are walked by recursion. It makes the same trees.

// Limits of Lua 5.1.
const (
	maxLevels   = 200 // of nested syntax
	maxLocals   = 200 // active in a function
	maxUpvalues = 60  // of a function
)

// maxChain is how many operators, or calls and fields, may follow each other in an expression: so deep its tree gets.
const maxChain = 1000

// localVariable is a local variable.
type localVariable struct {
	name     string
	function *functionState
	// captured: a function inside its own uses it. assigned: it gets a value besides its first.
	captured, assigned bool
	emitted            string // what rewriting calls it
}

// boxed tells whether rewriting keeps the variable in a table of its own: see rewrite.go.
func (v *localVariable) boxed() bool { return v.captured && v.assigned }

// functionState is a function that is being parsed.
type functionState struct {
	outer    *functionState
	line     int // 0: the main function
	vararg   bool
	locals   []*localVariable // active ones
	upvalues map[*localVariable]bool
	loops    int // that break can leave
	reach    int // the most variables and blocks that a name in it is looked for in
	// Made by rewriting: the constants of its code, and how often they are used.
	constants map[lua.LValue]bool
	uses      int
}

// tree is a parsed chunk.
type tree struct {
	stmts []ast.Stmt
	// uses tells the local variable that an identifier names; those of globals are absent.
	uses map[*ast.IdentExpr]*localVariable
	// declares tells the variables that a statement or a function (its parameters) declares.
	declares map[any][]*localVariable
	// functions are the statements that began with "local function".
	functions map[*ast.LocalAssignStmt]bool
	states    map[*ast.FunctionExpr]*functionState
	main      *functionState
	vararg    bool // the main function uses "..."
	// straight: it has neither loops nor functions, so that each of its instructions runs once at most.
	straight bool
	steps    int // see maxSteps
}

// parser makes a tree of tokens.
type parser struct {
	lexer
	tree   *tree
	fn     *functionState
	levels int
	active int // local variables of all functions
}

// parseChunk parses source, which errors call name.
func parseChunk(source, name string) (t *tree, err error) {
	p := &parser{lexer: lexer{source: source, name: name, line: 1, lastLine: 1}, tree: &tree{
		uses: map[*ast.IdentExpr]*localVariable{}, declares: map[any][]*localVariable{},
		functions: map[*ast.LocalAssignStmt]bool{}, states: map[*ast.FunctionExpr]*functionState{},
		straight: true,
	}}
	defer func() {
		if problem, ok := recover().(syntaxError); ok {
			t, err = nil, problem
		}
	}()
	p.fn = &functionState{vararg: true, upvalues: map[*localVariable]bool{}}
	p.tree.main = p.fn
	p.next()
	p.tree.stmts = p.chunk()
	if p.token != tokenEOF {
		p.expected(tokenEOF)
	}
	return p.tree, nil
}

// expected raises that another token should be there.
func (p *parser) expected(t token) { p.failHere("'" + t.String() + "' expected") }

// accept steps over a token if it is the current one.
func (p *parser) accept(t token) bool {
	if p.token != t {
		return false
	}
	p.next()
	return true
}

// expect steps over a token that must be there.
func (p *parser) expect(t token) {
	if !p.accept(t) {
		p.expected(t)
	}
}

// expectMatch steps over the token that closes what began with another one at this line.
func (p *parser) expectMatch(closing, opening token, line int) {
	if p.accept(closing) {
		return
	}
	if line == p.line {
		p.expected(closing)
	}
	p.failHere(fmt.Sprintf("'%v' expected (to close '%v' at line %d)", closing, opening, line))
}

// expectName steps over a name.
func (p *parser) expectName() string {
	if p.token != tokenName {
		p.expected(tokenName)
	}
	name := p.value
	p.next()
	return name
}

// enter begins a level of nested syntax, which leave ends.
func (p *parser) enter() {
	if p.levels++; p.levels > maxLevels {
		p.fail("chunk has too many syntax levels")
	}
	p.reach()
}

func (p *parser) leave() { p.levels-- }

// limit raises an error if a function has too many of something.
func (p *parser) limit(fn *functionState, n, most int, what string) {
	if n <= most {
		return
	}
	if fn.line == 0 {
		p.fail(fmt.Sprintf("main function has more than %d %s", most, what))
	}
	p.fail(fmt.Sprintf("function at line %d has more than %d %s", fn.line, most, what))
}

// declare makes a variable active.
func (p *parser) declare(name string) *localVariable {
	p.limit(p.fn, len(p.fn.locals)+1, maxLocals, "local variables")
	v := &localVariable{name: name, function: p.fn}
	p.fn.locals = append(p.fn.locals, v)
	p.active++
	p.reach()
	return v
}

// close ends the scope of the function's variables but for the first n.
func (p *parser) close(n int) {
	p.active -= len(p.fn.locals) - n
	p.fn.locals = p.fn.locals[:n]
}

// reach notes in how many variables and blocks a name is looked for here.
func (p *parser) reach() { p.fn.reach = max(p.fn.reach, p.active+p.levels) }

func (p *parser) declareAll(node any, names []string) {
	for _, name := range names {
		p.tree.declares[node] = append(p.tree.declares[node], p.declare(name))
	}
}

// resolve finds the variable that a name means here; nil: it is a global.
func (p *parser) resolve(name string) *localVariable {
	p.step(nameSteps + p.active + p.levels)
	for fn := p.fn; fn != nil; fn = fn.outer {
		for i := len(fn.locals) - 1; i >= 0; i-- {
			v := fn.locals[i]
			if v.name != name {
				continue
			}
			for user := p.fn; user != fn && !user.upvalues[v]; user = user.outer {
				v.captured = true
				user.upvalues[v] = true
				p.limit(user, len(user.upvalues), maxUpvalues, "upvalues")
			}
			return v
		}
	}
	return nil
}

// ident makes an identifier of a name that has just been read.
func (p *parser) ident(name string, line int) *ast.IdentExpr {
	e := &ast.IdentExpr{Value: name}
	e.SetLine(line)
	if v := p.resolve(name); v != nil {
		p.tree.uses[e] = v
	}
	return e
}

// blockEnds tells whether the current token ends a block.
func (p *parser) blockEnds() bool {
	switch p.token {
	case tokenElse, tokenElseif, tokenEnd, tokenEOF, tokenUntil:
		return true
	}
	return false
}

// chunk parses statements. Their variables stay active.
func (p *parser) chunk() (stmts []ast.Stmt) {
	p.enter()
	for last := false; !last && !p.blockEnds(); {
		var stmt ast.Stmt
		line := p.line
		stmt, last = p.statement()
		stmt.SetLine(line)
		stmt.SetLastLine(p.lastLine)
		stmts = append(stmts, stmt)
		p.accept(';')
	}
	p.leave()
	return stmts
}

// block parses statements with a scope of their own.
func (p *parser) block() []ast.Stmt {
	active := len(p.fn.locals)
	stmts := p.chunk()
	p.close(active)
	return stmts
}

// loop parses the block of a loop.
func (p *parser) loop() []ast.Stmt {
	p.fn.loops++
	p.tree.straight = false
	stmts := p.block()
	p.fn.loops--
	return stmts
}

// statement parses a statement; last: no other may follow.
func (p *parser) statement() (stmt ast.Stmt, last bool) {
	line := p.line
	switch p.token {
	case tokenIf:
		return p.ifStatement(line), false
	case tokenWhile:
		p.next()
		condition := p.expr()
		p.expect(tokenDo)
		s := &ast.WhileStmt{Condition: condition, Stmts: p.loop()}
		p.expectMatch(tokenEnd, tokenWhile, line)
		return s, false
	case tokenDo:
		p.next()
		s := &ast.DoBlockStmt{Stmts: p.block()}
		p.expectMatch(tokenEnd, tokenDo, line)
		return s, false
	case tokenFor:
		return p.forStatement(line), false
	case tokenRepeat:
		return p.repeatStatement(line), false
	case tokenFunction:
		return p.functionStatement(line), false
	case tokenLocal:
		p.next()
		if p.accept(tokenFunction) {
			return p.localFunction(line), false
		}
		return p.localStatement(), false
	case tokenReturn:
		p.next()
		s := &ast.ReturnStmt{}
		if !p.blockEnds() && p.token != ';' {
			s.Exprs = p.exprs()
		}
		return s, true
	case tokenBreak:
		p.next()
		if p.fn.loops == 0 {
			p.failHere("no loop to break")
		}
		return &ast.BreakStmt{}, true
	}
	return p.exprStatement(), false
}

func (p *parser) ifStatement(line int) ast.Stmt {
	p.next()
	first := &ast.IfStmt{Condition: p.expr()}
	p.expect(tokenThen)
	first.Then = p.block()
	chain := 0
	for s := first; ; {
		if at := p.line; p.token == tokenElseif {
			p.link(&chain)
			p.next()
			inner := &ast.IfStmt{Condition: p.expr()}
			inner.SetLine(at)
			p.expect(tokenThen)
			inner.Then = p.block()
			s.Else = []ast.Stmt{inner}
			s = inner
			continue
		}
		if p.accept(tokenElse) {
			s.Else = p.block()
		}
		p.expectMatch(tokenEnd, tokenIf, line)
		return first
	}
}

func (p *parser) repeatStatement(line int) ast.Stmt {
	p.next()
	p.fn.loops++
	p.tree.straight = false
	active := len(p.fn.locals)
	s := &ast.RepeatStmt{Stmts: p.chunk()}
	p.expectMatch(tokenUntil, tokenRepeat, line)
	s.Condition = p.expr() // sees the block's variables
	p.close(active)
	p.fn.loops--
	return s
}

func (p *parser) forStatement(line int) (stmt ast.Stmt) {
	p.next()
	active := len(p.fn.locals)
	name := p.expectName()
	switch p.token {
	case '=':
		stmt = p.numberFor(name, line)
	case ',', tokenIn:
		stmt = p.genericFor(name, line)
	default:
		p.failHere("'=' or 'in' expected")
	}
	p.close(active)
	return stmt
}

func (p *parser) numberFor(name string, line int) ast.Stmt {
	p.next()
	s := &ast.NumberForStmt{Name: name, Init: p.expr()}
	p.expect(',')
	s.Limit = p.expr()
	if p.accept(',') {
		s.Step = p.expr()
	}
	p.expect(tokenDo)
	p.hidden(3)
	p.declareAll(s, []string{name})
	s.Stmts = p.loop()
	p.expectMatch(tokenEnd, tokenFor, line)
	return s
}

func (p *parser) genericFor(name string, line int) ast.Stmt {
	s := &ast.GenericForStmt{Names: []string{name}}
	for p.accept(',') {
		s.Names = append(s.Names, p.expectName())
	}
	p.expect(tokenIn)
	s.Exprs = p.exprs()
	p.expect(tokenDo)
	p.hidden(3)
	p.declareAll(s, s.Names)
	s.Stmts = p.loop()
	p.expectMatch(tokenEnd, tokenFor, line)
	return s
}

// hidden declares variables that no name can mean: those of a loop.
func (p *parser) hidden(n int) {
	for range n {
		p.declare("(for)")
	}
}

func (p *parser) functionStatement(line int) ast.Stmt {
	p.next()
	at := p.line
	var name ast.Expr = p.ident(p.expectName(), at)
	for chain := 0; p.token == '.'; {
		name = p.field(name, &chain)
	}
	s := &ast.FuncDefStmt{Name: &ast.FuncName{Func: name}}
	if p.accept(':') {
		s.Name = &ast.FuncName{Receiver: name, Method: p.expectName()}
		s.Func = p.body(line, "self")
		return s
	}
	s.Func = p.body(line)
	p.assign(name)
	return s
}

// assign notes that an expression is assigned to.
func (p *parser) assign(target ast.Expr) {
	if ident, ok := target.(*ast.IdentExpr); ok {
		if v := p.tree.uses[ident]; v != nil {
			v.assigned = true
		}
	}
}

func (p *parser) localFunction(line int) ast.Stmt {
	name := p.expectName()
	s := &ast.LocalAssignStmt{Names: []string{name}}
	p.declareAll(s, s.Names)
	p.tree.functions[s] = true
	s.Exprs = []ast.Expr{p.body(line)}
	return s
}

func (p *parser) localStatement() ast.Stmt {
	s := &ast.LocalAssignStmt{Names: []string{p.expectName()}}
	for p.accept(',') {
		s.Names = append(s.Names, p.expectName())
	}
	p.limit(p.fn, len(p.fn.locals)+len(s.Names), maxLocals, "local variables")
	if p.accept('=') {
		s.Exprs = p.exprs()
	}
	p.declareAll(s, s.Names)
	return s
}

// exprStatement parses a call or an assignment.
func (p *parser) exprStatement() ast.Stmt {
	first, assignable := p.suffixed()
	if call, ok := first.(*ast.FuncCallExpr); ok && !call.AdjustRet {
		return &ast.FuncCallStmt{Expr: call}
	}
	s := &ast.AssignStmt{Lhs: []ast.Expr{first}}
	for {
		if !assignable {
			p.failHere("syntax error")
		}
		if !p.accept(',') {
			break
		}
		var target ast.Expr
		target, assignable = p.suffixed()
		s.Lhs = append(s.Lhs, target)
		p.limit(p.fn, len(s.Lhs)-1, maxLevels-p.levels, "variables in assignment")
	}
	p.expect('=')
	s.Rhs = p.exprs()
	for _, target := range s.Lhs {
		p.assign(target)
	}
	return s
}

// body parses a function from its parameters on. A hidden parameter stands before the others, but not in the list.
func (p *parser) body(line int, hidden ...string) *ast.FunctionExpr {
	var params []string
	p.tree.straight = false
	p.step(functionSteps)
	fn := &ast.FunctionExpr{ParList: &ast.ParList{}}
	fn.SetLine(line)
	p.fn = &functionState{outer: p.fn, line: line, upvalues: map[*localVariable]bool{}}
	p.tree.states[fn] = p.fn
	p.expect('(')
	for p.token != ')' {
		switch p.token {
		case tokenName:
			params = append(params, p.expectName())
		case tokenDots:
			p.next()
			p.fn.vararg = true
		default:
			p.failHere("<name> or '...' expected")
		}
		if p.fn.vararg || !p.accept(',') {
			break
		}
		if p.token == ')' {
			p.failHere("<name> or '...' expected")
		}
	}
	fn.ParList.Names, fn.ParList.HasVargs = params, p.fn.vararg
	p.declareAll(fn, hidden)
	p.declareAll(fn, params)
	if p.fn.vararg {
		p.tree.declares[fn] = append(p.tree.declares[fn], p.declare("arg"))
	}
	p.expect(')')
	fn.Stmts = p.chunk()
	fn.SetLastLine(p.line)
	p.expectMatch(tokenEnd, tokenFunction, line)
	p.close(0)
	p.fn = p.fn.outer
	return fn
}
