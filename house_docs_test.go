package daruma_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
)

// packageDocs wants exactly one package comment in each package.
func packageDocs(folder string, files []source) []string {
	var with []string
	code := false
	for _, f := range files {
		if f.test {
			continue
		}
		code = true
		if strings.TrimSpace(f.ast.Doc.Text()) != "" {
			with = append(with, f.name)
		}
	}
	switch {
	case code && len(with) == 0:
		return []string{folder + ": no package comment; it belongs into doc.go"}
	case len(with) > 1:
		return []string{fmt.Sprintf("%s: %d package comments, in %s; one is enough", folder, len(with), strings.Join(with, ", "))}
	}
	return nil
}

// exportedDocs wants a comment on every exported name outside tests: on the
// declaration, on its line, or on the group. The values of an enumeration may
// stand without where their type has one, and so may the only method of an
// interface. Struct fields are left to the reader.
func exportedDocs(_ string, files []source) []string {
	documented := map[string]bool{} // types of this package with a comment
	var problems []string
	each(files, func(_ source, d *ast.GenDecl, spec ast.Spec) {
		if s, ok := spec.(*ast.TypeSpec); ok {
			documented[s.Name.Name] = says(d.Doc, s.Doc, s.Comment)
		}
	})
	missing := func(f source, at token.Pos, name string) {
		problems = append(problems, fmt.Sprintf("%s:%d: %s is exported and has no comment", f.name, f.line(at), name))
	}
	for _, f := range files {
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || f.test || !fn.Name.IsExported() || says(fn.Doc) {
				continue
			}
			name := fn.Name.Name
			if fn.Recv != nil {
				recv := receiver(fn.Recv.List[0].Type)
				if !ast.IsExported(recv) {
					continue
				}
				name = recv + "." + name
			}
			missing(f, fn.Pos(), name)
		}
	}
	enum := map[*ast.GenDecl]bool{} // groups whose last named type is documented
	each(files, func(f source, d *ast.GenDecl, spec ast.Spec) {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if !s.Name.IsExported() {
				return
			}
			if !documented[s.Name.Name] {
				missing(f, s.Pos(), s.Name.Name)
			}
			it, ok := s.Type.(*ast.InterfaceType)
			if !ok || len(it.Methods.List) < 2 {
				return
			}
			for _, m := range it.Methods.List {
				if len(m.Names) == 1 && m.Names[0].IsExported() && !says(m.Doc, m.Comment) {
					missing(f, m.Pos(), s.Name.Name+"."+m.Names[0].Name)
				}
			}
		case *ast.ValueSpec:
			if id, ok := s.Type.(*ast.Ident); ok && d.Tok == token.CONST {
				enum[d] = documented[id.Name]
			} else if len(s.Values) > 0 {
				enum[d] = false
			}
			for _, id := range s.Names {
				if id.IsExported() && !enum[d] && !says(d.Doc, s.Doc, s.Comment) {
					missing(f, id.Pos(), id.Name)
				}
			}
		}
	})
	return problems
}

// each calls do with the types, constants and variables outside tests.
func each(files []source, do func(source, *ast.GenDecl, ast.Spec)) {
	for _, f := range files {
		for _, decl := range f.ast.Decls {
			if d, ok := decl.(*ast.GenDecl); ok && !f.test {
				for _, spec := range d.Specs {
					do(f, d, spec)
				}
			}
		}
	}
}

// says reports whether one of the comments has words; directives are none.
func says(comments ...*ast.CommentGroup) bool {
	for _, c := range comments {
		if strings.TrimSpace(c.Text()) != "" {
			return true
		}
	}
	return false
}

// receiver returns the name of the type of a method's receiver.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
