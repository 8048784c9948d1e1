package daruma_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// tree returns a copy of the Go and go.mod files of this checkout, nested
// modules included, in which tests may plant what they like.
func tree(t *testing.T) fstest.MapFS {
	t.Helper()
	disk, fsys := os.DirFS("."), fstest.MapFS{}
	err := fs.WalkDir(disk, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && hidden(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") && path.Base(name) != "go.mod" {
			return nil
		}
		b, err := fs.ReadFile(disk, name)
		fsys[name] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

// hidden reports whether the go tool passes over a folder of this name.
func hidden(name string) bool {
	return name == "testdata" || name == "vendor" || name[0] == '.' || name[0] == '_'
}

// goFiles returns the Go files of the module at the root of fsys, sorted:
// whatever their build tags, but nothing of testdata and nested modules.
func goFiles(fsys fs.FS) []string {
	var names []string
	_ = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			if strings.HasSuffix(name, ".go") {
				names = append(names, name)
			}
		case name != ".":
			if _, err := fs.Stat(fsys, name+"/go.mod"); err == nil || hidden(d.Name()) {
				return fs.SkipDir
			}
		}
		return nil
	})
	return names
}

// A source is one parsed Go file.
type source struct {
	name string // slash-separated path
	test bool
	ast  *ast.File
	fset *token.FileSet
	size int // lines
}

// line returns the line of a position.
func (s source) line(p token.Pos) int { return s.fset.Position(p).Line }

// sources parses the Go files of fsys, grouped by folder.
func sources(t *testing.T, fsys fs.FS) map[string][]source {
	t.Helper()
	all := map[string][]source{}
	for _, name := range goFiles(fsys) {
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s := source{name, strings.HasSuffix(name, "_test.go"), file, fset, strings.Count(string(src), "\n")}
		all[path.Dir(name)] = append(all[path.Dir(name)], s)
	}
	return all
}

// A rule looks at the files of one folder and returns what breaks it.
type rule func(folder string, files []source) []string

// rules are the rules of the house that need no more than one folder.
var rules = map[string]rule{
	"package docs":   packageDocs,
	"exported docs":  exportedDocs,
	"sizes":          sizes,
	"interfaces":     interfaces,
	"sleeps":         sleeps,
	"init functions": inits,
	"names":          names,
}

func TestHouse(t *testing.T) {
	all := sources(t, tree(t))
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		t.Run(name, func(t *testing.T) {
			for _, folder := range slices.Sorted(maps.Keys(all)) {
				for _, problem := range rules[name](folder, all[folder]) {
					t.Error(problem)
				}
			}
		})
	}
}

// TestHouseRulesSee shows each rule something that breaks it.
func TestHouseRulesSee(t *testing.T) {
	long := func(lines int) string { return "// Package a is.\npackage a\n" + strings.Repeat("\n", lines-2) }
	for _, c := range []struct {
		rule, file, src string
		want            string // empty: must be accepted
	}{
		{"package docs", "a/a.go", "package a\n", "no package comment"},
		{"package docs", "a/a.go", "//go:build never\n\npackage a\n", "no package comment"},
		{"package docs", "a/a.go", "// Package a is.\npackage a\n", ""},
		{"package docs", "a/a_test.go", "package a\n", ""},
		{"exported docs", "a/a.go", "package a\n\nfunc F() {}\n", "F is exported"},
		{"exported docs", "a/a.go", "package a\n\n// F does.\nfunc F() {}\n", ""},
		{"exported docs", "a/a.go", "package a\n\n//go:noinline\nfunc F() {}\n", "F is exported"},
		{"exported docs", "a/a.go", "package a\n\ntype t int\n\nfunc (t) F() {}\n", ""},
		{"exported docs", "a/a.go", "package a\n\n// T is.\ntype T[E any] struct{}\n\nfunc (*T[E]) F() {}\n", "T.F is exported"},
		{"exported docs", "a/a.go", "package a\n\ntype (\n\tT int\n)\n", "T is exported"},
		{"exported docs", "a/a.go", "package a\n\nvar V = 1\n", "V is exported"},
		{"exported docs", "a/a.go", "package a\n\n// T is.\ntype T int\n\nconst (\n\tA T = iota\n\tB\n)\n", ""},
		{"exported docs", "a/a.go", "package a\n\nconst (\n\tA = iota\n\tB // is\n)\n", "A is exported"},
		{"exported docs", "a/a.go", "package a\n\n// T is.\ntype T interface {\n\t// G does.\n\tG()\n\tF()\n}\n", "T.F is exported"},
		{"exported docs", "a/a.go", "package a\n\n// T is, and F does.\ntype T interface {\n\tF()\n}\n", ""},
		{"exported docs", "a/a_test.go", "package a\n\nfunc F() {}\n", ""},
		{"sizes", "a/a.go", long(soft + 1), "lines"},
		{"sizes", "a/a.go", long(soft), ""},
		{"sizes", "a/a_test.go", long(hard + 1), ""},
		{"sizes", "a/a.go", "package a\n\nfunc f() {" + strings.Repeat("\n", longest) + "}\n", "function f"},
		{"sizes", "a/a.go", "package a\n\nfunc f() {" + strings.Repeat("\n", longest-1) + "}\n", ""},
		{"interfaces", "a/a.go", "package a\n\ntype I interface{ A(); B(); C(); D(); E(); F(); G() }\n", "7 methods"},
		{"interfaces", "a/a.go", "package a\n\ntype I interface{ A(); B(); C(); D(); E(); F() }\n", ""},
		{"sleeps", "a/a_test.go", "package a\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", "time.Sleep"},
		{"sleeps", "a/a_test.go", "package a\n\nimport clock \"time\"\n\nfunc f() { clock.Sleep(1) }\n", "time.Sleep"},
		{"sleeps", "darumatest/a.go", "package darumatest\n\nimport \"time\"\n\nvar nap = time.Sleep\n", "time.Sleep"},
		{"sleeps", "a/a.go", "package a\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", ""},
		{"sleeps", "a/a_test.go", "package a\n\nimport (\n\t\"testing/synctest\"\n\t\"time\"\n)\n\nfunc f() { synctest.Test(nil, func() { time.Sleep(1) }) }\n", ""},
		{"init functions", "a/a.go", "package a\n\nfunc init() {}\n", "init"},
		{"init functions", "a/a.go", "package a\n\ntype t int\n\nfunc (t) init() {}\n", ""},
		{"names", "util/a.go", "package util\n", "util"},
		{"names", "a/a.go", "package common\n", "common"},
		{"names", "a/store_helpers.go", "package a\n", "helpers"},
		{"names", "a/types.go", "package a\n", "types"},
		{"names", "pkg/a/a.go", "package a\n", "pkg"},
		{"names", "a/v1/a.go", "package v1\n", "v1"},
		{"names", "a/a.go", "package a\n\ntype RunManager struct{}\n", "RunManager"},
		{"names", "a/a.go", "package b\n", "package b in folder a"},
		{"names", "a/a_test.go", "package a_test\n", ""},
		{"names", "cmd/a/main.go", "package main\n", ""},
	} {
		got := []string{}
		for folder, files := range sources(t, fstest.MapFS{c.file: {Data: []byte(c.src)}}) {
			got = append(got, rules[c.rule](folder, files)...)
		}
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s of %s %.60q: got %q, want %q", c.rule, c.file, c.src, got, c.want)
		}
	}
}
