package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/daruma-run/daruma"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// place is the address a schema gets inside the compiler. Nothing is there.
const place = "daruma:///schema"

// maxWork bounds one validation, in schemas applied and values looked at. A
// recursive schema can ask for more than the age of the universe.
const maxWork = 2_000_000

// Schema is a compiled JSON Schema. It is safe for concurrent use;
// validations by one Schema take turns.
type Schema struct {
	root  *jsonschema.Schema
	index map[string]*jsonschema.Schema // by location

	mu   sync.Mutex
	work int // of the validation under way
}

// Compile reads a JSON Schema. Without "$schema" it is one of draft 2020-12;
// drafts 4, 6, 7 and 2019-09 are read too. Formats are asserted.
//
// The error is of [daruma.KindInvalid] where the schema is no strict JSON, too
// large or too deep, no valid schema, refers to another document, or refers to
// itself without going down into the value.
func Compile(schema json.RawMessage) (*Schema, error) {
	doc, problems, ok := parse(schema, MaxSchema)
	if !ok || len(problems) > 0 {
		return nil, refuse("the schema %s", problems[0].at("the schema"))
	}
	switch doc.(type) {
	case bool, map[string]any:
	default:
		return nil, refuse("the schema is %s; accepted: an object or a boolean", describe(doc))
	}
	if n := nodes(doc); n > maxNodes {
		return nil, refuse("the schema has %d values; accepted: at most %d", n, maxNodes)
	}
	s := &Schema{index: map[string]*jsonschema.Schema{}}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(nothing{})
	c.RegisterVocabulary(s.meter())
	c.AssertVocabs()
	if err := c.AddResource(place, doc); err != nil {
		return nil, refuse("%v", err)
	}
	root, err := c.Compile(place)
	if err != nil {
		return nil, refuse("%s", explain(err))
	}
	s.root = root
	if loop := s.walk(root); loop != "" {
		return nil, refuse("the schema refers to itself without end at %s", strings.TrimPrefix(loop, place))
	}
	return s, nil
}

func refuse(format string, args ...any) error {
	return daruma.Fail("check.Compile", daruma.KindInvalid, format, args...)
}

// at phrases a problem about something other than a document.
func (p Problem) at(whole string) string {
	return strings.TrimSpace(strings.TrimPrefix(p.Path+" "+p.Text, whole))
}

// nothing is a loader that loads nothing.
type nothing struct{}

var errRemote = errors.New("it is outside of the schema; accepted: references inside of it")

func (nothing) Load(string) (any, error) { return nil, errRemote }

// explain says in a sentence why a schema did not compile.
func explain(err error) string {
	if load, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return fmt.Sprintf("the schema refers to %s: %v", load.URL, errRemote)
	}
	if bad, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if v, ok := errors.AsType[*jsonschema.ValidationError](bad.Err); ok {
			for len(v.Causes) > 0 {
				v = v.Causes[0]
			}
			return fmt.Sprintf("the schema is none: %s %s", orRoot(pointer(v.InstanceLocation)), plain(v))
		}
	}
	return strings.ReplaceAll(err.Error(), place, "")
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// Validate returns all problems of a document, at most [MaxProblems], ordered
// by path. None means that it is strict JSON and fits the schema.
func (s *Schema) Validate(doc []byte) []Problem {
	value, problems, ok := parse(doc, MaxDocument)
	if ok {
		found, within := s.apply(value)
		if !within {
			problems = append(problems, Problem{"", "takes too long to check against its schema; accepted: a smaller document", "schema"})
		}
		problems = append(problems, s.render(value, found)...)
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	problems = slices.Compact(problems)
	if more := len(problems) - MaxProblems; more > 0 {
		problems = append(problems[:MaxProblems-1], Problem{"", fmt.Sprintf("has %d more problems", more+1), "schema"})
	}
	return problems
}

// overwork is what the meter panics with.
type overwork struct{}

// apply runs the validator; within is false if it was stopped.
func (s *Schema) apply(value any) (found *jsonschema.ValidationError, within bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work = 0
	defer func() {
		switch p := recover(); p.(type) {
		case nil:
		case overwork:
			found, within = nil, false
		default:
			panic(p)
		}
	}()
	found, _ = errors.AsType[*jsonschema.ValidationError](s.root.Validate(value))
	return found, true
}

// meter returns a vocabulary without keywords that counts what is done.
func (s *Schema) meter() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: "urn:daruma:meter",
		Compile: func(_ *jsonschema.CompilerContext, keywords map[string]any) (jsonschema.SchemaExt, error) {
			return &meter{s, nodes(keywords)}, nil
		},
	}
}

type meter struct {
	schema *Schema
	size   int
}

// Validate counts one application of a schema to a value.
func (m *meter) Validate(_ *jsonschema.ValidatorContext, v any) {
	width := 1
	switch v := v.(type) {
	case []any:
		width += len(v)
	case map[string]any:
		width += len(v)
	}
	m.schema.work += width + m.size
	if m.schema.work > maxWork {
		panic(overwork{})
	}
}

// nodes counts the values in v, itself included.
func nodes(v any) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += nodes(e)
		}
	case map[string]any:
		for _, e := range v {
			n += nodes(e)
		}
	}
	return n
}
