package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// switches is what the mutated package gets: every mutant is compiled in, and
// the environment of the process says which one is alive.
const switches = `package %s

import (
	"cmp"
	"os"
	"strconv"
)

var mutantAlive = func() int {
	n, err := strconv.Atoi(os.Getenv("BRANCHES_MUTANT"))
	if err != nil {
		return -1
	}
	return n
}()

func mutantOn(n int) bool {
	branchTaken(n)
	return n == mutantAlive
}

func mutantAnd(n int, a bool, b func() bool) bool {
	if mutantOn(n) {
		return a || b()
	}
	return a && b()
}

func mutantOr(n int, a bool, b func() bool) bool {
	if mutantOn(n) {
		return a && b()
	}
	return a || b()
}

// mutantOrder compares; with n+0 alive the edge changes sides, with n+1 all does.
func mutantOrder[T cmp.Ordered](n int, op string, a, b T) bool {
	edge, all := mutantOn(n), mutantOn(n+1)
	var is bool
	switch op {
	case "<":
		is = a < b
	case "<=":
		is = a <= b
	case ">":
		is = a > b
	case ">=":
		is = a >= b
	}
	return is != (all || edge && a == b)
}

func mutantPlus[T ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float64](n int, minus bool, a, b T) T {
	if mutantOn(n) != minus {
		return a - b
	}
	return a + b
}
`

// A mutant is one small mistake.
type mutant struct {
	at   token.Position
	what string
	from string // the source, where it is short
}

// mutator puts the mutants of one package into its files.
type mutator struct {
	fset  *token.FileSet
	info  *types.Info
	src   []byte
	edits []edit
	found []mutant
}

type edit struct {
	from, to int
	text     string
	order    int // at one place: what ends, from the inside out, before what begins
}

// mutate returns the files of the package with all mutants in them, asleep.
func mutate(dir string, names []string) (map[string][]byte, []mutant, error) {
	m := &mutator{fset: token.NewFileSet(), info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}}
	var trees []*ast.File
	texts := map[string][]byte{}
	for _, name := range names {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, nil, err
		}
		tree, err := parser.ParseFile(m.fset, name, src, 0)
		if err != nil {
			return nil, nil, err
		}
		texts[name], trees = src, append(trees, tree)
	}
	conf := types.Config{Importer: importer.ForCompiler(m.fset, "source", nil)}
	if _, err := conf.Check(dir, m.fset, trees, m.info); err != nil {
		return nil, nil, err
	}
	for i, name := range names {
		m.src, m.edits = texts[name], nil
		ast.Inspect(trees[i], m.visit)
		slices.SortStableFunc(m.edits, func(a, b edit) int { return cmp.Or(a.from-b.from, a.order-b.order) })
		var out []byte
		last := 0
		for _, e := range m.edits {
			out = append(append(out, m.src[last:e.from]...), e.text...)
			last = e.to
		}
		texts[name] = append(out, m.src[last:]...)
	}
	return texts, m.found, nil
}

func (m *mutator) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
	case *ast.BlockStmt:
		m.statements(n.List)
	case *ast.CaseClause:
		m.statements(n.Body)
	case *ast.BinaryExpr:
		if m.info.Types[n].Value == nil {
			m.binary(n)
		}
	}
	return true
}

func (m *mutator) binary(n *ast.BinaryExpr) {
	replace := func(before, between string) {
		op := m.fset.Position(n.OpPos).Offset
		m.put(n.Pos(), before)
		m.edits = append(m.edits, edit{op, op + len(n.Op.String()), between, 0})
	}
	switch n.Op {
	case token.LAND, token.LOR:
		name, other := "mutantAnd", "||"
		if n.Op == token.LOR {
			name, other = "mutantOr", "&&"
		}
		replace(fmt.Sprintf("%s(%d, ", name, m.add(n, other)), ", func() bool { return (")
		m.end(n.End(), ")})")
	case token.EQL, token.NEQ:
		m.put(n.Pos(), fmt.Sprintf("(mutantOn(%d) != (", m.add(n, "the opposite")))
		m.end(n.End(), "))")
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		at := m.add(n, "the edge on the other side")
		m.add(n, "the opposite")
		replace(fmt.Sprintf("mutantOrder(%d, %q, ", at, n.Op), ",")
		m.end(n.End(), ")")
	case token.ADD, token.SUB:
		b, ok := m.info.Types[n].Type.Underlying().(*types.Basic)
		if !ok || b.Info()&types.IsNumeric == 0 {
			return
		}
		replace(fmt.Sprintf("mutantPlus(%d, %v, ", m.add(n, "+ and - exchanged"), n.Op == token.SUB), ",")
		m.end(n.End(), ")")
	}
}

// statements leaves out, one at a time, statements that have an effect.
func (m *mutator) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "panic" {
					continue
				}
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || slices.ContainsFunc(s.Lhs, func(e ast.Expr) bool { i, ok := e.(*ast.Ident); return ok && i.Name == "_" }) {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		m.put(s.Pos(), fmt.Sprintf("if !mutantOn(%d) {", m.add(s, "left out")))
		m.end(s.End(), "}")
	}
}

func (m *mutator) add(n ast.Node, what string) int {
	from := string(m.src[m.fset.Position(n.Pos()).Offset:m.fset.Position(n.End()).Offset])
	from, _, _ = strings.Cut(from, "\n")
	m.found = append(m.found, mutant{m.fset.Position(n.Pos()), what, from})
	return len(m.found) - 1
}

func (m *mutator) put(at token.Pos, text string) {
	offset := m.fset.Position(at).Offset
	m.edits = append(m.edits, edit{offset, offset, text, 0})
}

func (m *mutator) end(at token.Pos, text string) {
	offset := m.fset.Position(at).Offset
	m.edits = append(m.edits, edit{offset, offset, text, -1 - len(m.edits)})
}

// A trial is a package built with all its mutants.
type trial struct {
	dir, program string
	taken        string // file of what was reached
	skip         string
	mutants      []mutant
}

// run runs the tests with one mutant alive, -1 for none.
func (t *trial) run(n int, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	test := exec.CommandContext(ctx, t.program, "-test.failfast", "-test.skip", t.skip)
	test.Dir = t.dir
	test.Env = append(os.Environ(), "BRANCHES_MUTANT="+strconv.Itoa(n))
	out, err := test.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}

// hunt lets mutants live one after the other and reports which the tests kill:
// as many as wanted, drawn with a seed.
func (t *trial) hunt(wanted int, seed uint64, list bool) error {
	from := time.Now()
	if out, err := t.run(-1, 5*time.Minute); err != nil {
		return fmt.Errorf("the tests fail without a mutant: %w\n%s", err, out)
	}
	timeout := 10*time.Since(from) + 10*time.Second
	text, err := os.ReadFile(t.taken)
	if err != nil {
		return err
	}
	reached := map[int]bool{}
	for line := range bytes.Lines(text) {
		n, err := strconv.Atoi(string(bytes.TrimSpace(line)))
		if err != nil {
			return err
		}
		reached[n] = true
	}
	draw := rand.New(rand.NewPCG(seed, 0)).Perm(len(t.mutants))
	draw = draw[:min(wanted, len(draw))]
	slices.Sort(draw)
	var killed, hung, lived, unseen int
	for _, n := range draw {
		m := t.mutants[n]
		state := ""
		switch {
		case !reached[n]:
			unseen++
			state = "never reached"
		default:
			switch _, err := t.run(n, timeout); {
			case errors.Is(err, context.DeadlineExceeded):
				hung++
			case err != nil:
				killed++
			default:
				lived++
				state = "lived"
			}
		}
		if state != "" && list {
			fmt.Printf("%s: %s: %s, %s\n", m.at, state, m.from, m.what)
		}
	}
	fmt.Printf("%d mutants, %d drawn with seed %d: %d killed, %d hung, %d lived, %d never reached: %.1f %% found\n",
		len(t.mutants), len(draw), seed, killed, hung, lived, unseen, percent(killed+hung, len(draw)))
	return nil
}
