package daruma_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// documents are the texts that belong to the house.
var documents = []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/state_machine.md"}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDocumentsAreShort(t *testing.T) {
	for name, limit := range map[string]int{"ARCHITECTURE.md": 150, "CONTRIBUTING.md": 70} {
		if n := strings.Count(read(t, name), "\n"); n > limit {
			t.Errorf("%s has %d lines; at most %d", name, n, limit)
		}
	}
}

// TestLinks follows every link to a file of this repository.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	for _, name := range documents {
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(path.Join(path.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
}

// TestStateMachineNames holds docs/state_machine.md against event.go: each
// kind of event, each state and each reason to park is explained there, and
// nothing that looks like an event is made up.
func TestStateMachineNames(t *testing.T) {
	page := read(t, "docs/state_machine.md")
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	wanted := func(text string) {
		if !strings.Contains(page, "`"+text+"`") {
			t.Errorf("docs/state_machine.md does not explain %s", text)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		switch v := spec.Values[0].(type) {
		case *ast.BasicLit:
			text, _ := strconv.Unquote(v.Value)
			if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "EventKind" {
				kinds[text] = true
				wanted(text)
			}
			if strings.HasPrefix(spec.Names[0].Name, "Park") {
				wanted(text)
			}
		case *ast.CompositeLit:
			if spec.Names[0].Name != "runStateNames" {
				break
			}
			for _, e := range v.Elts {
				text, _ := strconv.Unquote(e.(*ast.BasicLit).Value)
				wanted(text)
			}
		}
		return true
	})
	if len(kinds) < 10 {
		t.Fatalf("event.go has %d kinds; the test does not read it right", len(kinds))
	}
	for _, m := range regexp.MustCompile("`([a-z]+\\.[a-z]+)`").FindAllStringSubmatch(page, -1) {
		if !kinds[m[1]] && !strings.HasSuffix(m[1], ".go") {
			t.Errorf("docs/state_machine.md names the event %s, which event.go has not", m[1])
		}
	}
}

// TestReadmeExample holds the example of the README against the Example it
// comes from, so that it compiles and runs.
func TestReadmeExample(t *testing.T) {
	mark := regexp.MustCompile(`(?s)<!-- example: (\S+) (\w+) -->\n(.*?)<!-- end of example -->`)
	m := mark.FindStringSubmatch(read(t, "README.md"))
	if m == nil {
		t.Fatal("README.md has no example between its two marks")
	}
	want, err := body(m[1], m[2])
	if err != nil {
		t.Fatal(err)
	}
	got := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(m[3]), "```go\n"), "\n```")
	if got != want {
		t.Errorf("README.md shows\n%s\nbut %s in %s is\n%s", got, m[2], m[1], want)
	}
	if n := strings.Count(want, "\n") + 1; n > 12 {
		t.Errorf("the example of README.md has %d lines; it promises 12", n)
	}
}

// body returns the lines of a function without their first indentation and
// without the expected output.
func body(file, name string) (string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.ParseComments)
	if err != nil {
		return "", err
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || fn.Name.Name != name {
			continue
		}
		from, to := fset.Position(fn.Body.Lbrace).Offset+1, fset.Position(fn.Body.Rbrace).Offset
		text, _, _ := strings.Cut(string(src[from:to]), "\t// Output:")
		return strings.TrimSpace(strings.ReplaceAll("\n"+text, "\n\t", "\n")), nil
	}
	return "", &fs.PathError{Op: "find " + name, Path: file, Err: fs.ErrNotExist}
}
