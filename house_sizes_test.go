package daruma_test

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	soft    = 400 // lines of a file; above it the file needs a line in large
	hard    = 800 // lines of a file, whatever its reason
	longest = 150 // lines of a function
	widest  = 6   // methods of an interface
)

// large are the files above soft, each with the reason why it reads better in
// one piece. Nothing stands here yet; a line for a file that has shrunk is
// taken out.
var large = map[string]string{}

// sizes bounds files and functions outside tests.
func sizes(_ string, files []source) []string {
	var problems []string
	for _, f := range files {
		if f.test {
			continue
		}
		reason := large[f.name]
		switch {
		case f.size > hard:
			problems = append(problems, fmt.Sprintf("%s has %d lines; no file may have more than %d", f.name, f.size, hard))
		case f.size > soft && reason == "":
			problems = append(problems, fmt.Sprintf("%s has %d lines; above %d it needs a reason in house_sizes_test.go", f.name, f.size, soft))
		case f.size <= soft && reason != "":
			problems = append(problems, fmt.Sprintf("%s has only %d lines; take its reason out of house_sizes_test.go", f.name, f.size))
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > longest {
				problems = append(problems, fmt.Sprintf("%s:%d: function %s has %d lines; no function may have more than %d", f.name, f.line(fn.Pos()), fn.Name.Name, n, longest))
			}
		}
	}
	return problems
}

// interfaces bounds the methods an interface names itself.
func interfaces(_ string, files []source) []string {
	var problems []string
	each(files, func(f source, _ *ast.GenDecl, spec ast.Spec) {
		s, ok := spec.(*ast.TypeSpec)
		if !ok {
			return
		}
		it, ok := s.Type.(*ast.InterfaceType)
		if !ok {
			return
		}
		n := 0
		for _, m := range it.Methods.List {
			n += len(m.Names)
		}
		if n > widest {
			problems = append(problems, fmt.Sprintf("%s:%d: %s has %d methods; no interface may have more than %d", f.name, f.line(s.Pos()), s.Name.Name, n, widest))
		}
	})
	return problems
}

// sleeps finds time.Sleep in tests. Inside the function given to synctest.Test
// it costs no time and races with nothing, and is allowed.
func sleeps(folder string, files []source) []string {
	var problems []string
	for _, f := range files {
		if !f.test && folder != "darumatest" {
			continue
		}
		clock := ""
		for _, spec := range f.ast.Imports {
			if spec.Path.Value == strconv.Quote("time") {
				clock = "time"
				if spec.Name != nil {
					clock = spec.Name.Name
				}
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				return !selects(n.Fun, "synctest", "Test")
			case *ast.SelectorExpr:
				if clock != "" && selects(n, clock, "Sleep") {
					problems = append(problems, fmt.Sprintf("%s:%d: time.Sleep in a test: use testing/synctest or wait on a channel", f.name, f.line(n.Pos())))
				}
			}
			return true
		})
	}
	return problems
}

// selects reports whether e is x.sel.
func selects(e ast.Expr, x, sel string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != sel {
		return false
	}
	id, ok := s.X.(*ast.Ident)
	return ok && id.Name == x
}

// inits finds init functions: registries that fill themselves hide who needs
// what.
func inits(_ string, files []source) []string {
	var problems []string
	for _, f := range files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				problems = append(problems, fmt.Sprintf("%s:%d: init function: pass in what is needed", f.name, f.line(fn.Pos())))
			}
		}
	}
	return problems
}

var (
	bannedName = regexp.MustCompile(`^(utils?|commons?|helpers?|managers?|types|models|pkg|base|impl|services?|v[0-9]+)$`)
	bannedType = regexp.MustCompile(`^[A-Z]\w*(Util|Helper|Manager|Impl)s?$`)
)

// names finds folders, packages, files and exported types whose name says
// nothing, and packages that are not called like their folder.
func names(folder string, files []source) []string {
	var problems []string
	for part := range strings.SplitSeq(folder, "/") {
		if bannedName.MatchString(part) {
			problems = append(problems, fmt.Sprintf("folder %s: %q says nothing; name it after what it is", folder, part))
		}
	}
	for _, f := range files {
		pkg := strings.TrimSuffix(f.ast.Name.Name, "_test")
		switch {
		case bannedName.MatchString(pkg):
			if pkg != path.Base(folder) {
				problems = append(problems, fmt.Sprintf("%s: package %q says nothing; name it after what it is", f.name, pkg))
			}
		case pkg != "main" && folder != "." && pkg != path.Base(folder):
			problems = append(problems, fmt.Sprintf("%s: package %s in folder %s", f.name, pkg, path.Base(folder)))
		}
		for word := range strings.SplitSeq(strings.TrimSuffix(path.Base(f.name), ".go"), "_") {
			if bannedName.MatchString(word) {
				problems = append(problems, fmt.Sprintf("%s: %q in a file name says nothing; name it after what stands in it", f.name, word))
			}
		}
	}
	each(files, func(f source, _ *ast.GenDecl, spec ast.Spec) {
		if s, ok := spec.(*ast.TypeSpec); ok && bannedType.MatchString(s.Name.Name) {
			problems = append(problems, fmt.Sprintf("%s:%d: type %s: name it after what it is", f.name, f.line(s.Pos()), s.Name.Name))
		}
	})
	return problems
}

func TestMainIsSmall(t *testing.T) {
	b, err := os.ReadFile("cmd/daruma/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n > 40 {
		t.Errorf("cmd/daruma/main.go has %d lines; it only wires, in at most 40", n)
	}
}
