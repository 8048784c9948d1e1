package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// notes is what the instrumented package gets: each branch writes its number
// when it is taken for the first time, so that also a test that ends its
// process is counted.
const notes = `package %s

import (
	"fmt"
	"os"
	"sync/atomic"
)

var branchesTaken [%d]atomic.Bool

var branchesFile, _ = os.OpenFile(%[3]q, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)

func branchTaken(n int) {
	if !branchesTaken[n].Load() && !branchesTaken[n].Swap(true) {
		fmt.Fprintln(branchesFile, n)
	}
}

func branchIf[T ~bool](n int, v T) T {
	if v {
		branchTaken(n)
	} else {
		branchTaken(n + 1)
	}
	return v
}
`

// A branch is one way on from one place.
type branch struct {
	at    token.Position
	what  string
	taken bool
}

type insert struct {
	at   int
	text string
}

// A file is one source file on its way to its instrumented copy.
type file struct {
	fset    *token.FileSet
	first   int
	found   []branch
	inserts []insert
	seen    map[ast.Expr]bool
}

// instrument returns the text of the file with notes in it, and its branches,
// which are numbered from first.
func instrument(name string, src []byte, first int) ([]byte, []branch, error) {
	f := &file{fset: token.NewFileSet(), first: first, seen: map[ast.Expr]bool{}}
	tree, err := parser.ParseFile(f.fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	ast.Inspect(tree, f.visit)
	slices.SortStableFunc(f.inserts, func(a, b insert) int { return cmp.Compare(a.at, b.at) })
	var out []byte
	last := 0
	for _, i := range f.inserts {
		out = append(append(out, src[last:i.at]...), i.text...)
		last = i.at
	}
	return append(out, src[last:]...), f.found, nil
}

func (f *file) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST // may not call anything
	case *ast.IfStmt:
		f.condition(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			f.condition(n.Cond)
		}
	case *ast.RangeStmt:
		f.body(n.Body.Lbrace+1, n.Body.Lbrace, "the body is never entered")
	case *ast.SwitchStmt:
		if n.Tag != nil {
			f.cases(n.Body)
			break
		}
		for _, c := range n.Body.List {
			for _, e := range c.(*ast.CaseClause).List {
				f.condition(e)
			}
		}
	case *ast.TypeSwitchStmt:
		f.cases(n.Body)
	case *ast.SelectStmt:
		for _, c := range n.Body.List {
			f.body(c.(*ast.CommClause).Colon+1, c.Pos(), "the case is never met")
		}
	case *ast.BinaryExpr:
		if n.Op == token.LAND || n.Op == token.LOR {
			f.condition(n)
		}
	}
	return true
}

// cases counts each case of a switch, and that none was met.
func (f *file) cases(body *ast.BlockStmt) {
	open := true
	for _, s := range body.List {
		c := s.(*ast.CaseClause)
		open = open && c.List != nil
		f.body(c.Colon+1, c.Pos(), "the case is never met")
	}
	if open {
		f.insert(body.Rbrace, "default: "+f.note(body.Lbrace, "never is no case met")+"\n")
	}
}

// condition counts the operands of a condition.
func (f *file) condition(e ast.Expr) {
	if f.seen[e] {
		return
	}
	f.seen[e] = true
	switch e := e.(type) {
	case *ast.ParenExpr:
		f.condition(e.X)
		return
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			f.condition(e.X)
			return
		}
	case *ast.BinaryExpr:
		if e.Op == token.LAND || e.Op == token.LOR {
			f.condition(e.X)
			f.condition(e.Y)
			return
		}
	}
	n := f.first + len(f.found)
	at := f.fset.Position(e.Pos())
	f.found = append(f.found, branch{at: at, what: "never true"}, branch{at: at, what: "never false"})
	f.insert(e.Pos(), fmt.Sprintf("branchIf(%d, ", n))
	f.insert(e.End(), ")")
}

// body counts that what begins at a place was entered.
func (f *file) body(at, named token.Pos, what string) {
	f.insert(at, strings.TrimSpace(f.note(named, what))+";")
}

func (f *file) note(at token.Pos, what string) string {
	f.found = append(f.found, branch{at: f.fset.Position(at), what: what})
	return fmt.Sprintf("branchTaken(%d)", f.first+len(f.found)-1)
}

func (f *file) insert(at token.Pos, text string) {
	f.inserts = append(f.inserts, insert{at: f.fset.Position(at).Offset, text: text})
}
