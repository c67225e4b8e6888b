package lint

import (
	"go/ast"
	"go/token"
	"go/types"
)

// checkState finds package-level variables that are state: written, handed out by address, or of a type that is there
// to be written (a lock, an atomic, a pool, a channel). What is set by its declaration and only read is a constant
// table, and welcome. Its address may be kept in a local variable that is only read through, and a row's address
// (&table[i]) may be handed on. Not seen: a slice, a map or a row that is written where it was handed to.
func (t *tree) checkState() {
	for _, pkg := range t.packages {
		s := &stateCheck{
			tree: t, pkg: pkg,
			views: map[*types.Var]view{}, kept: map[*ast.UnaryExpr]bool{}, through: map[*ast.Ident]bool{},
		}
		for _, src := range pkg.sources {
			ast.Inspect(src.ast, s.findViews)
		}
		for _, src := range pkg.sources {
			for _, decl := range src.ast.Decls {
				s.checkVarTypes(decl)
			}
			ast.Inspect(src.ast, s.visit)
		}
	}
}

type stateCheck struct {
	*tree
	pkg   *pkgTree
	views map[*types.Var]view     // the local variables that hold an address in a package-level one
	kept  map[*ast.UnaryExpr]bool // those addresses, where they are taken
	// through are the uses of variables that only go through them: v of v.f, v[i] and *v.
	through map[*ast.Ident]bool
}

// view says whose address a local variable holds.
type view struct {
	name string // of the package-level variable
	row  bool   // the address is a row's
}

// findViews fills views, kept and through.
func (s *stateCheck) findViews(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE || len(n.Lhs) != len(n.Rhs) {
			return true
		}
		for i, right := range n.Rhs {
			address, ok := right.(*ast.UnaryExpr)
			if !ok || address.Op != token.AND {
				continue
			}
			local, _ := s.pkg.info.Defs[n.Lhs[i].(*ast.Ident)].(*types.Var)
			root, _ := rootOf(address.X).(*ast.Ident)
			if local != nil && root != nil && s.isPackageVar(root) {
				s.views[local] = view{root.Name, isRow(address.X)}
				s.kept[address] = true
			}
		}
	case *ast.SelectorExpr:
		s.goesThrough(n.X)
	case *ast.IndexExpr:
		s.goesThrough(n.X)
	case *ast.StarExpr:
		s.goesThrough(n.X)
	}
	return true
}

// isRow says whether an expression names an element of a table.
func isRow(expr ast.Expr) bool {
	_, ok := expr.(*ast.IndexExpr)
	return ok
}

func (s *stateCheck) goesThrough(expr ast.Expr) {
	if ident, ok := expr.(*ast.Ident); ok {
		s.through[ident] = true
	}
}

func (s *stateCheck) isPackageVar(ident *ast.Ident) bool {
	v, ok := s.pkg.info.Uses[ident].(*types.Var)
	return ok && v.Parent() == s.pkg.scope
}

// viewed gives the package-level variable that a local one holds an address in.
func (s *stateCheck) viewed(ident *ast.Ident) (view, bool) {
	v, ok := s.pkg.info.Uses[ident].(*types.Var)
	if !ok {
		return view{}, false
	}
	found, ok := s.views[v]
	return found, ok
}

// checkVarTypes looks at the types and values written in a declaration of variables at package level.
func (s *stateCheck) checkVarTypes(decl ast.Decl) {
	d, ok := decl.(*ast.GenDecl)
	if !ok || d.Tok != token.VAR {
		return
	}
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		if v.Type != nil {
			s.checkTypeExpr(v, v.Type)
		}
		for _, value := range v.Values {
			if made := madeType(value); made != nil {
				s.checkTypeExpr(v, made)
			}
		}
	}
}

// madeType gives T of T{…}, &T{…}, new(T) and make(T).
func madeType(value ast.Expr) ast.Expr {
	switch e := value.(type) {
	case *ast.UnaryExpr:
		return madeType(e.X)
	case *ast.CompositeLit:
		return e.Type
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.Ident); ok && len(e.Args) > 0 && (f.Name == "new" || f.Name == "make") {
			return e.Args[0]
		}
	}
	return nil
}

func (s *stateCheck) checkTypeExpr(v *ast.ValueSpec, expr ast.Expr) {
	ast.Inspect(expr, func(node ast.Node) bool {
		switch e := node.(type) {
		case *ast.FuncType:
			return false
		case *ast.ChanType:
			s.reportAt(v.Pos(), "package-state", "%s is a channel at package level", v.Names[0].Name)
		case *ast.SelectorExpr:
			if p, ok := s.pkg.imported(e.X); ok && (p == "sync" || p == "sync/atomic") {
				s.reportAt(v.Pos(), "package-state", "%s is a %s.%s at package level", v.Names[0].Name, p, e.Sel.Name)
			}
		}
		return true
	})
}

// visit finds the statements and expressions that write a variable, or may let someone else write it.
func (s *stateCheck) visit(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, left := range n.Lhs {
				s.written(left, "assigned")
			}
		}
	case *ast.IncDecStmt:
		s.written(n.X, "assigned")
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			s.written(n.Key, "assigned")
			s.written(n.Value, "assigned")
		}
	case *ast.SendStmt:
		s.written(n.Chan, "sent to")
	case *ast.UnaryExpr:
		if n.Op == token.AND && !s.kept[n] && !isRow(n.X) {
			s.written(n.X, "handed out by address")
		}
	case *ast.CallExpr:
		s.visitCall(n)
	case *ast.Ident:
		if v, ok := s.viewed(n); ok && !v.row && !s.through[n] {
			s.reportAt(n.Pos(), "package-state", "the address of the package-level %s is handed out", v.name)
		}
	}
	return true
}

// visitCall finds the built-in functions that write their first argument, and methods that take an address.
func (s *stateCheck) visitCall(call *ast.CallExpr) {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		if _, ok := s.pkg.info.Uses[f].(*types.Builtin); !ok || len(call.Args) == 0 {
			return
		}
		if f.Name == "delete" || f.Name == "clear" || f.Name == "copy" || f.Name == "close" {
			s.written(call.Args[0], "changed by "+f.Name)
		}
	case *ast.SelectorExpr:
		selection := s.pkg.info.Selections[f]
		if selection == nil || selection.Kind() != types.MethodVal {
			return
		}
		method := selection.Obj().(*types.Func)
		_, wantsPointer := method.Signature().Recv().Type().(*types.Pointer)
		_, hasPointer := selection.Recv().(*types.Pointer)
		if ident, ok := f.X.(*ast.Ident); ok {
			v, viewed := s.viewed(ident)
			hasPointer = hasPointer && (!viewed || v.row)
		}
		if wantsPointer && !hasPointer && !isRow(f.X) {
			s.written(f.X, "handed out by address to "+f.Sel.Name)
		}
	}
}

// rootOf gives what an expression names a part of: the *ast.Ident of a variable or of a package, or something without
// a name, as the result of a call.
func rootOf(expr ast.Expr) ast.Expr {
	for {
		switch e := expr.(type) {
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.SliceExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.SelectorExpr:
			if ident, ok := e.X.(*ast.Ident); ok {
				return ident
			}
			expr = e.X
		default:
			return expr
		}
	}
}

// librarySettings are the variables of libraries by which alone these can be told something; it is told once, while
// packages are initialised.
var librarySettings = map[string]bool{"github.com/yuin/gopher-lua.MaxArrayIndex": true}

// written reports expr if what it names is, or is part of, a package-level variable of this or another package.
func (s *stateCheck) written(expr ast.Expr, how string) {
	root, ok := rootOf(expr).(*ast.Ident)
	if !ok {
		return
	}
	if p, ok := s.pkg.imported(root); ok {
		if selector, ok := expr.(*ast.SelectorExpr); ok && librarySettings[p+"."+selector.Sel.Name] {
			return
		}
		s.reportAt(root.Pos(), "package-state", "a variable of package %s is %s", p, how)
	} else if s.isPackageVar(root) {
		s.reportAt(root.Pos(), "package-state", "the package-level variable %s is %s", root.Name, how)
	} else if v, ok := s.viewed(root); ok {
		s.reportAt(root.Pos(), "package-state", "the package-level %s is %s through %s", v.name, how, root.Name)
	}
}
