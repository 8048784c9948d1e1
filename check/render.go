package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// render turns the tree of the validator into problems.
func (s *Schema) render(doc any, found *jsonschema.ValidationError) []Problem {
	if found == nil {
		return nil
	}
	r := renderer{schema: s, doc: doc}
	r.add(found)
	return r.problems
}

type renderer struct {
	schema   *Schema
	doc      any
	problems []Problem
}

func (r *renderer) put(path, keyword, format string, args ...any) {
	r.problems = append(r.problems, Problem{path, fmt.Sprintf(format, args...), keyword})
}

// add renders one node of the tree and what is below it.
func (r *renderer) add(e *jsonschema.ValidationError) {
	path := pointer(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		for _, cause := range e.Causes {
			r.add(cause)
		}
	case *kind.Required:
		for _, name := range k.Missing {
			r.put(path+"/"+escape(name), "required", "is missing; it is required")
		}
	case *kind.AdditionalProperties:
		r.extra(e, path, k.Properties)
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			r.put(path+"/"+escape(name), "dependentRequired", "is missing; it is required where %q is given", k.Prop)
		}
	case *kind.Dependency:
		for _, name := range k.Missing {
			r.put(path+"/"+escape(name), "dependencies", "is missing; it is required where %q is given", k.Prop)
		}
	case *kind.PropertyNames:
		r.name(e, k.Property)
	case *kind.AnyOf:
		r.choice(e, path, "anyOf")
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			r.put(path, "oneOf", "fits the accepted forms %d and %d at once; accepted: exactly one", k.Subschemas[0]+1, k.Subschemas[1]+1)
			return
		}
		r.choice(e, path, "oneOf")
	default:
		r.put(path, keyword(e), "%s", plainOf(e, at(r.doc, e.InstanceLocation)))
	}
}

// extra renders names that are not accepted.
func (r *renderer) extra(e *jsonschema.ValidationError, path string, names []string) {
	accepted := "none"
	if sch := r.schema.index[e.SchemaURL]; sch != nil && len(sch.Properties) > 0 {
		accepted = list(slices.Sorted(maps.Keys(sch.Properties)))
	}
	for _, name := range names {
		r.put(path+"/"+escape(name), "additionalProperties", "is not accepted; accepted: %s", accepted)
	}
}

// name renders a bad property name. The validator reuses the memory of this
// location, so it is looked up again where it cannot be right.
func (r *renderer) name(e *jsonschema.ValidationError, name string) {
	where := e.InstanceLocation
	if object, ok := at(r.doc, where).(map[string]any); !ok || !has(object, name) {
		where = find(r.doc, name, len(where))
	}
	why := "breaks the rule for names"
	cause := e
	for len(cause.Causes) > 0 {
		cause = cause.Causes[0]
	}
	if cause != e {
		why = "has a name that " + plainOf(cause, name)
	}
	r.put(pointer(where)+"/"+escape(name), "propertyNames", "%s", why)
}

func has(object map[string]any, name string) bool {
	_, ok := object[name]
	return ok
}

// find returns the first place at a depth where an object has a name.
func find(v any, name string, depth int) []string {
	if object, ok := v.(map[string]any); ok {
		if depth == 0 && has(object, name) {
			return []string{}
		}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if rest := find(object[key], name, depth-1); depth > 0 && rest != nil {
				return append([]string{key}, rest...)
			}
		}
	}
	if array, ok := v.([]any); ok && depth > 0 {
		for i := range array {
			if rest := find(array[i], name, depth-1); rest != nil {
				return append([]string{strconv.Itoa(i)}, rest...)
			}
		}
	}
	return nil
}

// choice renders a value that fits none of several forms: what is accepted
// where only types differ, else the problems of the form that comes closest.
func (r *renderer) choice(e *jsonschema.ValidationError, path, word string) {
	var (
		types  []string
		best   []Problem
		chosen int
		score  = -1
	)
	for i, cause := range e.Causes {
		if t, ok := cause.ErrorKind.(*kind.Type); ok && len(cause.InstanceLocation) == len(e.InstanceLocation) {
			types = append(types, t.Want...)
			continue
		}
		branch := renderer{schema: r.schema, doc: r.doc}
		branch.add(cause)
		if got := distance(cause, branch.problems); score < 0 || got < score {
			best, chosen, score = branch.problems, i, got
		}
	}
	if best == nil {
		slices.Sort(types)
		r.put(path, word, "is %s; accepted: %s", describe(at(r.doc, e.InstanceLocation)), list(slices.Compact(types)))
		return
	}
	if len(e.Causes) > 1 {
		r.put(path, word, "fits none of the %d accepted forms; the closest is form %d", len(e.Causes), chosen+1)
	}
	r.problems = append(r.problems, best...)
}

// distance is how far a form is from the value: a wrong constant, by which
// forms are told apart, weighs more than anything else.
func distance(e *jsonschema.ValidationError, problems []Problem) int {
	n := len(problems)
	for _, p := range problems {
		if p.Keyword == "const" || p.Keyword == "enum" {
			n += 100
		}
	}
	return n
}

// keyword returns the schema keyword of a node.
func keyword(e *jsonschema.ValidationError) string {
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		return path[len(path)-1]
	}
	return "schema"
}

// plain renders a leaf of which the value is not at hand.
func plain(e *jsonschema.ValidationError) string { return plainOf(e, absent{}) }

// absent stands for a value that is not at hand.
type absent struct{}

// plainOf says what was given and what is accepted.
func plainOf(e *jsonschema.ValidationError, value any) string {
	given := describe(value)
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		if _, ok := value.(absent); ok {
			given = k.Got
		}
		return fmt.Sprintf("is %s; accepted: %s", given, list(k.Want))
	case *kind.Enum:
		return fmt.Sprintf("is %s; accepted: %s", describe(k.Got), values(k.Want))
	case *kind.Const:
		return fmt.Sprintf("is %s; accepted: %s", describe(k.Got), literal(k.Want))
	case *kind.Format:
		return fmt.Sprintf("is %s; accepted: the format %q", describe(k.Got), k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("is %s; accepted: what matches %s", describe(k.Got), cut(k.Want, 120))
	case *kind.MinLength:
		return fmt.Sprintf("is %d characters long; accepted: at least %d", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("is %d characters long; accepted: at most %d", k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has %d items; accepted: at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d items; accepted: at most %d", k.Got, k.Want)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d items too many", k.Count)
	case *kind.MinProperties:
		return fmt.Sprintf("has %d properties; accepted: at least %d", k.Got, k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has %d properties; accepted: at most %d", k.Got, k.Want)
	case *kind.Minimum:
		return fmt.Sprintf("is %s; accepted: at least %s", number(k.Got), number(k.Want))
	case *kind.Maximum:
		return fmt.Sprintf("is %s; accepted: at most %s", number(k.Got), number(k.Want))
	case *kind.ExclusiveMinimum:
		return fmt.Sprintf("is %s; accepted: more than %s", number(k.Got), number(k.Want))
	case *kind.ExclusiveMaximum:
		return fmt.Sprintf("is %s; accepted: less than %s", number(k.Got), number(k.Want))
	case *kind.MultipleOf:
		return fmt.Sprintf("is %s; accepted: multiples of %s", number(k.Got), number(k.Want))
	case *kind.UniqueItems:
		return fmt.Sprintf("has equal items at %d and %d; accepted: each item once", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "holds no item of the form that is required"
	case *kind.MinContains:
		return fmt.Sprintf("holds %d items of the form that is required; accepted: at least %d", len(k.Got), k.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("holds %d items of the form that is required; accepted: at most %d", len(k.Got), k.Want)
	case *kind.Not:
		return fmt.Sprintf("is %s, which is excluded", given)
	case *kind.FalseSchema:
		return "is not accepted"
	case *kind.ContentEncoding:
		return fmt.Sprintf("is not encoded as %s", k.Want)
	case *kind.ContentMediaType:
		return fmt.Sprintf("is not of media type %s", k.Want)
	case *kind.Required:
		return "misses " + list(k.Missing)
	case *kind.AdditionalProperties:
		return "has names that are not accepted: " + list(k.Properties)
	case *kind.RefCycle:
		return "cannot be checked: the schema refers to itself without end"
	}
	return "does not meet " + strconv.Quote(keyword(e))
}

// at returns the value at a location, or absent.
func at(doc any, location []string) any {
	for _, token := range location {
		switch v := doc.(type) {
		case map[string]any:
			next, ok := v[token]
			if !ok {
				return absent{}
			}
			doc = next
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return absent{}
			}
			doc = v[i]
		default:
			return absent{}
		}
	}
	return doc
}

// describe says what a value is, without its depths.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return "the string " + strconv.Quote(cut(v, 60))
	case json.Number:
		return "the number " + cut(string(v), 40)
	case []any:
		return fmt.Sprintf("an array of %d", len(v))
	case map[string]any:
		return "an object"
	}
	return "something else"
}

// literal writes a constant of a schema.
func literal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return describe(v)
	}
	return cut(string(b), 80)
}

func values(all []any) string {
	texts := make([]string, 0, len(all))
	for _, v := range all {
		texts = append(texts, literal(v))
	}
	return list(texts)
}

// list joins names, a long list not to its end.
func list(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func number(r *big.Rat) string {
	if r == nil {
		return "a number"
	}
	if r.IsInt() {
		return cut(r.Num().String(), 40)
	}
	return strings.TrimRight(r.FloatString(12), "0")
}

// cut shortens s to about n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}
