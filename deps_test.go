package daruma_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// The arrows of the house. One line per room:
//
//	ROOM (MARK): ROOMS IT MAY IMPORT | MODULES IT MAY IMPORT
//
// Every room may import the standard library; root imports nothing else.
// Marks: door (a way into the house; doors never import each other), store and
// provider (named by their technology; imported by the roof and by tests only),
// roof (wires everything: may import every room but those for tests), tests
// (imported by tests only).
//
// Do not change a line to make a build pass. An arrow that is missing here is
// mostly an interface that wants to stand where it is consumed. ARCHITECTURE.md
// says what the rooms are for; CONTRIBUTING.md what a new module has to bring.
const policy = `
root:
detect: root
detect/trace: root detect
detect/cause: root detect
check: root | github.com/santhosh-tekuri/jsonschema/v6 github.com/google/jsonschema-go
internal/guard: | github.com/failsafe-go/failsafe-go
model: root | github.com/tidwall/gjson
model/openai (provider): root model | github.com/tidwall/gjson
model/anthropic (provider): root model | github.com/tidwall/gjson
model/fake (provider): root model | github.com/tidwall/gjson
model/route: root model internal/guard
tool: root check internal/guard
tool/mcp: root check tool | github.com/modelcontextprotocol/go-sdk github.com/google/jsonschema-go
agent (door): root detect check model model/route tool
sqlite (store): root | modernc.org/sqlite github.com/pressly/goose/v3
postgres (store): root | github.com/jackc/pgx/v5 github.com/pressly/goose/v3
darumatest (tests): root detect check model model/fake model/route tool agent
cmd/daruma/labelled (roof): root detect detect/trace detect/cause check
cmd/daruma/falls (roof): root agent model model/anthropic model/fake model/openai model/route sqlite tool
examples/weather (roof): root agent model model/fake model/openai model/route sqlite tool
cmd/daruma (roof): * | github.com/alecthomas/kong github.com/goccy/go-yaml golang.org/x/sync
`

// testModules may be imported by tests and by the rooms marked tests. Tests
// may also import every room but the roof.
var testModules = []string{
	"github.com/google/go-cmp",
	"github.com/rogpeppe/go-internal", // testscript
	"go.uber.org/goleak",
	"modernc.org/libc",   // the disk of darumatest, under SQLite
	"modernc.org/sqlite", // likewise
	"pgregory.net/rapid",
}

// pins: modernc.org/libc must be the version its SQLite was generated with;
// any other is a different C library under a database. A new SQLite needs a
// new line, copied from the go.mod of that SQLite.
var pins = map[string]string{
	"v1.62.0": "v1.80.1", // modernc.org/sqlite: modernc.org/libc
}

const module = "github.com/daruma-run/daruma"

func TestArrows(t *testing.T) {
	h, problems := parsePolicy(policy)
	problems = append(problems, h.arrows(tree(t))...)
	for _, p := range problems {
		t.Error(p)
	}
}

// TestArrowsAreSeen plants wrong arrows in a copy of the tree: a checker that
// finds nothing proves nothing.
func TestArrowsAreSeen(t *testing.T) {
	h, _ := parsePolicy(policy)
	before := h.arrows(tree(t))
	for _, c := range []struct {
		name, file, src string
		want            string // empty: must be accepted
	}{
		{"arrow up", "detect/planted.go", `import _ "MODULE/agent"`, "detect must not import agent"},
		{"arrow from root", "planted.go", `import _ "MODULE/detect"`, "root must not import detect"},
		{"third party in a room", "detect/planted.go", `import _ "github.com/alecthomas/kong"`, "detect must not import github.com/alecthomas/kong"},
		{"third party in root", "planted.go", `import _ "github.com/tidwall/gjson"`, "root must not import github.com/tidwall/gjson"},
		{"package of a module", "tool/planted.go", `import _ "github.com/failsafe-go/failsafe-go/circuitbreaker"`, "tool must not import github.com/failsafe-go"},
		{"module with a longer name", "check/planted.go", `import _ "github.com/google/jsonschema-go-evil/x"`, "check must not import github.com/google/jsonschema-go-evil"},
		{"store known below the roof", "agent/planted.go", `import _ "MODULE/sqlite"`, "agent must not import sqlite"},
		{"test help in the house", "agent/planted.go", `import _ "MODULE/darumatest"`, "only tests import darumatest"},
		{"test help in the roof", "cmd/daruma/planted.go", `import _ "MODULE/darumatest"`, "only tests import darumatest"},
		{"testing outside tests", "model/planted.go", `import _ "testing/fstest"`, "only tests import testing"},
		{"test module outside tests", "model/planted.go", `import _ "pgregory.net/rapid"`, "model must not import pgregory.net/rapid"},
		{"behind a build tag", "detect/planted.go", "//go:build never\n\nHERE\nimport _ \"MODULE/agent\"", "detect must not import agent"},
		{"other system", "detect/planted_plan9.go", `import _ "MODULE/agent"`, "detect must not import agent"},
		{"cgo", "sqlite/planted.go", `import "C"`, `sqlite must not import C`},
		{"unknown room", "attic/planted.go", `import _ "fmt"`, "add it to the policy"},
		{"import of an unknown room", "agent/planted.go", `import _ "MODULE/attic"`, "agent must not import attic"},
		{"roof from a test", "agent/planted_test.go", `import _ "MODULE/cmd/daruma"`, "must not import cmd/daruma"},
		{"third party from a test", "agent/planted_test.go", `import _ "github.com/stretchr/testify/assert"`, "agent must not import github.com/stretchr/testify"},

		{"store from a test", "agent/planted_test.go", `import _ "MODULE/sqlite"`, ""},
		{"test help from a test", "agent/planted_test.go", `import _ "MODULE/darumatest"`, ""},
		{"test module from a test", "agent/planted_test.go", `import _ "pgregory.net/rapid"`, ""},
		{"allowed arrow", "agent/planted.go", `import _ "MODULE/tool"`, ""},
		{"allowed module", "model/planted.go", `import _ "github.com/tidwall/gjson"`, ""},
		{"testdata", "detect/testdata/planted.go", `import _ "MODULE/agent"`, ""},
		{"nested module", "bench/planted.go", `import _ "MODULE/sqlite"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := tree(t)
			fsys["bench/go.mod"] = &fstest.MapFile{Data: []byte("module " + module + "/bench\n")}
			src := strings.ReplaceAll(c.src, "MODULE", module)
			if strings.Contains(src, "HERE") {
				src = strings.Replace(src, "HERE", "package planted", 1)
			} else {
				src = "package planted\n\n" + src
			}
			fsys[c.file] = &fstest.MapFile{Data: []byte(src + "\n")}
			var found []string
			for _, p := range h.arrows(fsys) {
				if !slices.Contains(before, p) {
					found = append(found, p)
				}
			}
			if c.want == "" {
				if len(found) > 0 {
					t.Errorf("must be accepted, got %q", found)
				}
				return
			}
			if len(found) != 1 || !strings.Contains(found[0], c.want) {
				t.Errorf("got %q, want one problem with %q", found, c.want)
			}
		})
	}
}

func TestPolicyRefusesItsOwnRules(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"root:\nagent (door): root\ngateway (door): root agent", "doors never import each other"},
		{"root:\nsqlite (store): root\nagent: root sqlite", "only the roof and tests know it"},
		{"root:\ndarumatest (tests): root\nagent: root darumatest", "only tests import darumatest"},
		{"root: detect\ndetect:", "root imports the standard library alone"},
		{"root: | github.com/tidwall/gjson", "root imports the standard library alone"},
		{"root:\nagent: root cellar", "names no room"},
		{"root:\nagent: root\nagent: root", "twice"},
		{"root:\nagent (window): root", "mark"},
		{"root:\na: b\nb: a", "back arrow"},
	} {
		_, problems := parsePolicy(c.text)
		if len(problems) != 1 || !strings.Contains(problems[0], c.want) {
			t.Errorf("policy %q: got %q, want one problem with %q", c.text, problems, c.want)
		}
	}
}

// TestModules ties go.mod to the policy: no module that no room may import,
// and the C library that belongs to SQLite.
func TestModules(t *testing.T) {
	h, _ := parsePolicy(policy)
	fsys := tree(t)
	allowed := slices.Clone(testModules)
	for _, r := range h {
		allowed = append(allowed, r.modules...)
	}
	direct, all := requires(string(fsys["go.mod"].Data))
	for _, m := range direct {
		if !slices.Contains(allowed, m) {
			t.Errorf("go.mod requires %s, which no room of the policy may import", m)
		}
	}
	if all["modernc.org/sqlite"] == "" || all["modernc.org/libc"] == "" {
		t.Errorf("go.mod: modernc.org/sqlite %q and modernc.org/libc %q must both be named",
			all["modernc.org/sqlite"], all["modernc.org/libc"])
	}
	for name, file := range fsys {
		if path.Base(name) != "go.mod" {
			continue
		}
		_, all := requires(string(file.Data))
		sqlite, libc := all["modernc.org/sqlite"], all["modernc.org/libc"]
		if sqlite == "" || libc == "" {
			continue
		}
		if pins[sqlite] == "" {
			t.Errorf("%s: modernc.org/sqlite %s has no line in pins", name, sqlite)
		} else if libc != pins[sqlite] {
			t.Errorf("%s: modernc.org/libc is %s, sqlite %s wants %s", name, libc, sqlite, pins[sqlite])
		}
	}
}

func TestRequires(t *testing.T) {
	direct, all := requires("module m\n\ngo 1.26\n\nrequire a.b/c v1.0.0\n\nrequire (\n\td.e/f/v2 v2.1.0\n\tg.h/i v0.1.0 // indirect\n)\n\nreplace a.b/c => ../c\n")
	if !slices.Equal(direct, []string{"a.b/c", "d.e/f/v2"}) || all["g.h/i"] != "v0.1.0" || len(all) != 3 {
		t.Errorf("got %v, %v", direct, all)
	}
}

// A house is a parsed policy: the rooms by name.
type house map[string]*room

type room struct {
	mark    string
	rooms   []string // "*": every room
	modules []string
}

// parsePolicy reads a policy and checks what it says against the rules that
// hold for every policy.
func parsePolicy(text string) (house, []string) {
	h, problems := house{}, []string(nil)
	bad := func(format string, args ...any) { problems = append(problems, "policy: "+fmt.Sprintf(format, args...)) }
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		head, tail, _ := strings.Cut(line, ":")
		name, mark, _ := strings.Cut(head, " ")
		rooms, modules, _ := strings.Cut(tail, "|")
		r := &room{mark: strings.Trim(mark, " ()"), rooms: strings.Fields(rooms), modules: strings.Fields(modules)}
		if !slices.Contains([]string{"", "door", "store", "provider", "roof", "tests"}, r.mark) {
			bad("%s has the mark %q; accepted: door, store, provider, roof, tests", name, r.mark)
		}
		if h[name] != nil {
			bad("%s stands there twice", name)
		}
		h[name] = r
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		r := h[name]
		if name == "root" && len(r.rooms)+len(r.modules) > 0 {
			bad("root imports the standard library alone")
			continue
		}
		for _, to := range r.rooms {
			if to == "*" && r.mark == "roof" {
				continue
			}
			other := h[to]
			switch {
			case other == nil:
				bad("%s: %q names no room", name, to)
			case r.mark == "tests":
			case other.mark == "tests":
				bad("%s: only tests import %s", name, to)
			case r.mark == "door" && other.mark == "door":
				bad("%s and %s: doors never import each other", name, to)
			case r.mark == "roof" && other.mark != "roof":
			case other.mark == "store" || other.mark == "provider":
				bad("%s imports the %s %s: only the roof and tests know it", name, other.mark, to)
			case name < to && h.reaches(to, name, map[string]bool{}):
				bad("%s and %s: back arrow", name, to)
			}
		}
	}
	return h, problems
}

// reaches reports whether room from leads to room to by allowed arrows.
func (h house) reaches(from, to string, seen map[string]bool) bool {
	if seen[from] || h[from] == nil {
		return false
	}
	seen[from] = true
	return slices.Contains(h[from].rooms, to) ||
		slices.ContainsFunc(h[from].rooms, func(next string) bool { return h.reaches(next, to, seen) })
}

// arrows returns what the Go files of fsys import against the policy, whatever
// their build tags. Rooms and the policy must agree: a folder that is no room
// is a problem, and so is a room without Go files.
func (h house) arrows(fsys fs.FS) []string {
	var problems []string
	rooms := map[string]bool{}
	for _, name := range goFiles(fsys) {
		from := path.Dir(name)
		if from == "." {
			from = "root"
		}
		if rooms[from] = true; h[from] == nil {
			problems = append(problems, fmt.Sprintf("%s: %q is no room: add it to the policy in deps_test.go, with a reason in ARCHITECTURE.md", name, from))
			continue
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		for _, spec := range file.Imports {
			to, _ := strconv.Unquote(spec.Path.Value)
			if p := h.arrow(from, to, strings.HasSuffix(name, "_test.go")); p != "" {
				problems = append(problems, name+": "+p)
			}
		}
	}
	for name := range h {
		if !rooms[name] {
			problems = append(problems, fmt.Sprintf("policy: room %q has no Go files; take its line out until it has", name))
		}
	}
	slices.Sort(problems)
	return problems
}

// arrow says what is wrong with an import of path to in room from; empty:
// nothing.
func (h house) arrow(from, to string, test bool) string {
	r := h[from]
	inTests := test || r.mark == "tests"
	if other, own := roomOf(to); own {
		target := h[other]
		switch {
		case other == from && test: // an external test of its own room
		case target != nil && target.mark == "tests" && !inTests:
			return "only tests import " + other
		case target != nil && test && target.mark != "roof":
		case target != nil && (slices.Contains(r.rooms, other) || slices.Contains(r.rooms, "*")):
		default:
			return fmt.Sprintf("%s must not import %s; it may import: %s", from, other, strings.Join(r.rooms, ", "))
		}
		return ""
	}
	if to == "testing" || strings.HasPrefix(to, "testing/") || to == "net/http/httptest" {
		if !inTests {
			return "only tests import " + to
		}
		return ""
	}
	if first, _, _ := strings.Cut(to, "/"); !strings.Contains(first, ".") && to != "C" {
		return ""
	}
	covers := func(module string) bool { return to == module || strings.HasPrefix(to, module+"/") }
	if slices.ContainsFunc(r.modules, covers) || inTests && slices.ContainsFunc(testModules, covers) {
		return ""
	}
	return fmt.Sprintf("%s must not import %s; modules it may import: %s", from, to, strings.Join(r.modules, ", "))
}

// roomOf returns the room an import path leads to, if it is one of this module.
func roomOf(importPath string) (string, bool) {
	if importPath == module {
		return "root", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// requires reads the modules a go.mod names: the direct ones, and the versions
// of all.
func requires(mod string) (direct []string, versions map[string]string) {
	versions = map[string]string{}
	block := false
	for line := range strings.Lines(mod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			block = true
			continue
		case line == ")":
			block = false
		}
		line, single := strings.CutPrefix(line, "require ")
		fields := strings.Fields(line)
		if !block && !single || len(fields) < 2 {
			continue
		}
		versions[fields[0]] = fields[1]
		if !strings.Contains(line, "// indirect") {
			direct = append(direct, fields[0])
		}
	}
	return direct, versions
}
