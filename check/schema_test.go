package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/google/go-cmp/cmp"
)

func compile(t testing.TB, schema string) *Schema {
	t.Helper()
	s, err := Compile(json.RawMessage(schema))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestValidate(t *testing.T) {
	const person = `{
		"type": "object",
		"properties": {
			"name": {"type": "string", "minLength": 2},
			"mail": {"type": "string", "format": "email"},
			"age": {"type": "integer", "minimum": 0, "maximum": 150},
			"role": {"enum": ["admin", "guest"]},
			"tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "maxItems": 2, "uniqueItems": true}
		},
		"required": ["name", "mail"],
		"additionalProperties": false
	}`
	for _, test := range []struct {
		name, schema, doc string
		want              []string
	}{
		{"good", person, `{"name": "Ada", "mail": "a@b.c", "age": 36, "tags": ["x"]}`, nil},
		{"all problems at once", person, `{"name": "A", "age": -1, "role": "root", "town": 1, "tags": ["x", "Y", "x"]}`, []string{
			`/age is -1; accepted: at least 0 (minimum)`,
			`/mail is missing; it is required (required)`,
			`/name is 1 characters long; accepted: at least 2 (minLength)`,
			`/role is the string "root"; accepted: "admin", "guest" (enum)`,
			`/tags has 3 items; accepted: at most 2 (maxItems)`,
			`/tags has equal items at 0 and 2; accepted: each item once (uniqueItems)`,
			`/tags/1 is the string "Y"; accepted: what matches ^[a-z]+$ (pattern)`,
			`/town is not accepted; accepted: age, mail, name, role, tags (additionalProperties)`,
		}},
		{"format", person, `{"name": "Ada", "mail": "nobody"}`, []string{`/mail is the string "nobody"; accepted: the format "email" (format)`}},
		{"type", person, `[1]`, []string{`the document is an array of 1; accepted: object (type)`}},
		{"exact numbers", `{"const": 9007199254740993}`, `9007199254740992`, []string{`the document is the number 9007199254740992; accepted: 9007199254740993 (const)`}},
		{"types of a choice", `{"anyOf": [{"type": "string"}, {"type": "null"}]}`, `7`, []string{`the document is the number 7; accepted: null, string (anyOf)`}},
		{"closest of a choice", `{"oneOf": [
				{"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind", "x"]},
				{"type": "object", "properties": {"kind": {"const": "b"}, "y": {"type": "integer"}}, "required": ["kind", "y"]}]}`,
			`{"kind": "b", "y": "7"}`, []string{
				`the document fits none of the 2 accepted forms; the closest is form 2 (oneOf)`,
				`/y is the string "7"; accepted: integer (type)`,
			}},
		{"two of a choice", `{"oneOf": [{"type": "integer"}, {"minimum": 3}]}`, `7`, []string{`the document fits the accepted forms 1 and 2 at once; accepted: exactly one (oneOf)`}},
		{"through references", `{"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"b/c": {"type": "string"}}}}}`, `{"b/c": null}`, []string{`/b~1c is null; accepted: string (type)`}},
		{"false schema", `{"properties": {"x": false}}`, `{"x": 1}`, []string{`/x is not accepted (schema)`}},
		{"names", `{"additionalProperties": {"propertyNames": {"maxLength": 2}}}`, `{"a": {"long": 1}, "b": {}, "c": {}}`, []string{`/a/long has a name that is 4 characters long; accepted: at most 2 (propertyNames)`}},
		{"recursive", `{"properties": {"next": {"$ref": "#"}, "v": {"type": "integer"}}}`, `{"next": {"next": {"v": "x"}}}`, []string{`/next/next/v is the string "x"; accepted: integer (type)`}},
		{"twice", `true`, `{"a": {"b": 1, "b": 2}}`, []string{`/a/b is given twice; accepted: each name once (json)`}},
		{"twice and wrong", `{"properties": {"a": {"type": "string"}}}`, `{"a": 1, "a": "x"}`, []string{
			`/a is given twice; accepted: each name once (json)`,
			`/a is the number 1; accepted: string (type)`,
		}},
		{"empty", `true`, ` `, []string{`the document is empty; accepted: one JSON value (json)`}},
		{"trailing", `true`, "{}\n {}", []string{`the document is no JSON: more text follows the value; accepted: one value (line 2, column 2) (json)`}},
		{"fence", `true`, "```json", []string{"the document is no JSON: invalid character '`' looking for beginning of value (line 1, column 1) (json)"}},
		{"cut", `true`, `{"a": [1,`, []string{`the document is no JSON: it ends too early (line 1, column 10) (json)`}},
		{"comma", `true`, "[1,\n]", []string{`the document is no JSON: invalid character ']' looking for beginning of value (line 2, column 1) (json)`}},
		{"utf8", `true`, "\"\xff\"", []string{`the document is no valid UTF-8; accepted: one JSON value in UTF-8 (json)`}},
		{"huge number", `{"maximum": 3}`, `{"a": 1e999999999}`, []string{`/a is a number of 11 characters or a huge exponent; accepted: up to 400 characters and exponents up to 400 (json)`}},
		{"too deep", `true`, strings.Repeat("[", 65) + strings.Repeat("]", 65), []string{`the document is no JSON: it is nested deeper than 64 levels (json)`}},
		{"deep enough", `true`, strings.Repeat("[", 64) + strings.Repeat("]", 64), nil},
		{"too large", `true`, `"` + strings.Repeat("x", MaxDocument) + `"`, []string{`the document is 1048578 bytes; accepted: at most 1048576 (json)`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range compile(t, test.schema).Validate([]byte(test.doc)) {
				got = append(got, fmt.Sprintf("%s (%s)", p, p.Keyword))
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestValidateBoundsProblems(t *testing.T) {
	s := compile(t, `{"items": {"type": "string"}}`)
	problems := s.Validate([]byte("[" + strings.Repeat("1,", 999) + "1]"))
	if len(problems) != MaxProblems {
		t.Fatalf("%d problems", len(problems))
	}
	if last := problems[MaxProblems-1]; last.Text != "has 969 more problems" {
		t.Errorf("last: %v", last)
	}
}

func TestValidateBoundsWork(t *testing.T) {
	s := compile(t, `{"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "allOf": [
		{"properties": {"x": {"$ref": "#/$defs/n"}}}, {"properties": {"x": {"$ref": "#/$defs/n"}}}]}}}`)
	problems := s.Validate([]byte(strings.Repeat(`{"x":`, 60) + "{}" + strings.Repeat("}", 60)))
	if len(problems) != 1 || problems[0].Keyword != "schema" {
		t.Fatalf("2^60 steps: %v", problems)
	}
	if problems := s.Validate([]byte(`{"x": {}}`)); len(problems) != 0 {
		t.Errorf("after being stopped once: %v", problems)
	}
}

func TestCompileRefuses(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 70) + "true" + strings.Repeat("}", 70)
	for name, test := range map[string]struct{ schema, want string }{
		"remote":          {`{"properties": {"a": {"$ref": "https://example.com/s.json"}}}`, "refers to https://example.com/s.json: it is outside"},
		"file":            {`{"$ref": "file:///etc/hostname"}`, "outside"},
		"relative":        {`{"$ref": "other.json"}`, "outside"},
		"remote dialect":  {`{"$schema": "https://example.com/dialect"}`, "outside"},
		"self":            {`{"$ref": "#"}`, "without end"},
		"loop":            {`{"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "properties": {"x": {"$ref": "#/$defs/a"}}}`, "without end"},
		"dangling":        {`{"$ref": "#/$defs/none"}`, "$defs"},
		"no schema":       {`{"type": "strnig"}`, `/type`},
		"array":           {`[]`, "an array of 0"},
		"no JSON":         {`{`, "ends too early"},
		"twice":           {`{"type": "string", "type": "null"}`, "/type is given twice"},
		"deep":            {deep, "deeper"},
		"large":           {`{"description": "` + strings.Repeat("x", MaxSchema) + `"}`, "bytes"},
		"many":            {`{"enum": [` + strings.Repeat("1,", 10_000) + `2]}`, "values"},
		"number":          {`{"maximum": 1e99999999}`, "exponent"},
		"not one pattern": {`{"pattern": "(?=x)"}`, "(?=x)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(json.RawMessage(test.schema))
			if daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v; want one with %q", err, test.want)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestCompileReadsOlderDrafts(t *testing.T) {
	s := compile(t, `{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "string"}}, "items": [{"$ref": "#/definitions/a"}], "additionalItems": false}`)
	if got := s.Validate([]byte(`[1, 2]`)); len(got) != 2 {
		t.Errorf("problems: %v", got)
	}
}

type level uint8

func (l level) MarshalText() ([]byte, error)  { return []byte("low"), nil }
func (l *level) UnmarshalText(b []byte) error { *l = 1; return nil }

func TestSchemaFor(t *testing.T) {
	type inner struct {
		At   time.Time       `json:"at"`
		Raw  json.RawMessage `json:"raw,omitempty"`
		Data []byte          `json:"data,omitempty"`
	}
	type in struct {
		Query string            `json:"query" jsonschema:"what to look for"`
		Limit int               `json:"limit,omitempty"`
		Level level             `json:"level,omitempty"`
		Wait  daruma.Duration   `json:"wait,omitzero"`
		Inner *inner            `json:"inner,omitempty"`
		More  map[string]string `json:"more,omitempty"`
		Any   any               `json:"any,omitempty"`
		Price json.Number       `json:"price,omitempty"`
		Maybe *json.RawMessage  `json:"maybe,omitempty"`
	}
	raw, err := SchemaFor[in]()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"description":"what to look for"`) {
		t.Errorf("no description in %s", raw)
	}
	s := compile(t, string(raw))
	for doc, want := range map[string]int{
		`{"query": "x"}`:                0,
		`{}`:                            1,
		`{"query": "x", "querry": "y"}`: 1,
		`{"query": "x", "level": "low", "wait": "1m"}`:                                             0,
		`{"query": "x", "level": 1}`:                                                               1,
		`{"query": "x", "limit": 1.5}`:                                                             1,
		`{"query": "x", "inner": null, "any": [1]}`:                                                0,
		`{"query": "x", "inner": {"at": "soon"}}`:                                                  1,
		`{"query": "x", "more": {"a": 1}, "price": 1.5}`:                                           1,
		`{"query": "x", "maybe": {"a": 1}}`:                                                        0,
		`{"query": "x", "inner": {"at": "2026-01-02T03:04:05Z", "raw": {"a": 1}, "data": "AAEC"}}`: 0,
	} {
		if got := s.Validate([]byte(doc)); len(got) != want {
			t.Errorf("%s: %v; want %d", doc, got, want)
		}
		// What the schema accepts, the type must be able to read.
		var v in
		if err := json.Unmarshal([]byte(doc), &v); want == 0 && err != nil {
			t.Errorf("%s fits the schema, but: %v", doc, err)
		}
	}
	type loop struct {
		Next *loop `json:"next"`
	}
	if _, err := SchemaFor[loop](); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("a type that contains itself: %v", err)
	}
	if _, err := SchemaFor[struct{ F func() }](); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("a function: %v", err)
	}
}

func FuzzValidate(f *testing.F) {
	schema := `{"type": "object", "properties": {"a": {"type": ["string", "null"], "format": "date-time"}, "b": {"$ref": "#"},
		"c": {"items": {"oneOf": [{"type": "integer", "multipleOf": 0.01}, {"pattern": "^x"}]}, "uniqueItems": true}},
		"propertyNames": {"maxLength": 3}, "unevaluatedProperties": false}`
	for _, doc := range []string{`{}`, `{"a": "2020-01-01T00:00:00Z", "b": {"c": [1, "x", 1.005]}}`, `{"a":1,"a":2}`, `[[]]`, "{\"\\ud800\":1}", `1e400`} {
		f.Add([]byte(doc))
	}
	s := compile(f, schema)
	f.Fuzz(func(t *testing.T, doc []byte) {
		problems := s.Validate(doc)
		if len(problems) > MaxProblems {
			t.Fatalf("%d problems", len(problems))
		}
		for _, p := range problems {
			if p.Text == "" || p.Keyword == "" || (p.Path != "" && p.Path[0] != '/') {
				t.Fatalf("problem %+v", p)
			}
		}
		if len(problems) == 0 && !json.Valid(doc) {
			t.Fatalf("no JSON, no problem: %q", doc)
		}
		if d := cmp.Diff(problems, s.Validate(doc)); d != "" {
			t.Fatalf("twice the same document, different problems: %s", d)
		}
	})
}

func FuzzCompile(f *testing.F) {
	f.Add([]byte(`{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"type": "string"}]}}}`), []byte(`1`))
	f.Add([]byte(`{"$id": "x", "$dynamicRef": "#n", "$defs": {"n": {"$dynamicAnchor": "n"}}}`), []byte(`{}`))
	f.Add([]byte(`{"$schema": "http://json-schema.org/draft-04/schema#", "dependencies": {"a": ["b"]}}`), []byte(`{"a": 1}`))
	f.Fuzz(func(t *testing.T, schema, doc []byte) {
		s, err := Compile(schema)
		if err != nil {
			if daruma.KindOf(err) != daruma.KindInvalid {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		s.Validate(doc)
	})
}
