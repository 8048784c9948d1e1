package check

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/google/jsonschema-go/jsonschema"
)

// SchemaFor returns the JSON Schema of what encoding/json reads into a T.
// Fields are named by their json tag and described by their jsonschema tag; a
// field with omitempty or omitzero is optional, every other one required, and
// names that are no fields are refused.
//
//	type Search struct {
//		Query string `json:"query" jsonschema:"what to look for"`
//		Limit int    `json:"limit,omitempty" jsonschema:"at most this many hits"`
//	}
//
// Types that read themselves from text are strings; those that read
// themselves from JSON accept anything. The error is of [daruma.KindInvalid]
// for types that have no schema: functions, channels, complex numbers, maps
// without string keys, and types that contain themselves.
func SchemaFor[T any]() (json.RawMessage, error) {
	t := reflect.TypeFor[T]()
	known := map[reflect.Type]*jsonschema.Schema{}
	special(t, known, map[reflect.Type]bool{})
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: known})
	if err == nil {
		var b []byte
		if b, err = json.Marshal(s); err == nil {
			return b, nil
		}
	}
	return nil, daruma.Fail("check.SchemaFor", daruma.KindInvalid, "type %v has no JSON schema: %w", t, err)
}

// special collects the types inside of t whose JSON is not what their Go kind
// suggests.
func special(t reflect.Type, known map[reflect.Type]*jsonschema.Schema, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch read := reflect.PointerTo(t); {
	case t.Kind() == reflect.Pointer: // by its element
	case t == reflect.TypeFor[time.Time]():
		known[t] = &jsonschema.Schema{Type: "string", Format: "date-time"}
		return
	case t == reflect.TypeFor[json.Number]():
		known[t] = &jsonschema.Schema{Type: "number"}
		return
	case read.Implements(reflect.TypeFor[json.Unmarshaler]()):
		// Not the empty schema: behind a pointer that would become null alone.
		known[t] = &jsonschema.Schema{Types: []string{"null", "boolean", "object", "array", "number", "string"}}
		return
	case read.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		known[t] = &jsonschema.Schema{Type: "string"}
		return
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		known[t] = &jsonschema.Schema{Types: []string{"null", "string"}, ContentEncoding: "base64"}
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		special(t.Elem(), known, seen)
	case reflect.Struct:
		for f := range t.Fields() {
			special(f.Type, known, seen)
		}
	}
}
