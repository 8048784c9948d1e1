// Package check says whether a JSON document can be believed: it parses
// strictly and checks against a JSON Schema, and names every problem in words
// a model can act on.
//
//	schema, err := check.Compile(json.RawMessage(`{
//		"type": "object",
//		"properties": {"city": {"type": "string"}},
//		"required": ["city"],
//		"additionalProperties": false
//	}`))
//	…
//	for _, p := range schema.Validate([]byte(`{"town": "Oslo"}`)) {
//		fmt.Println(p) // /city is missing; it is required
//	}                      // /town is not accepted; accepted: city
//
// [SchemaFor] makes a schema of a Go type.
//
// # Guarantees
//
// Nothing here touches the network or the file system: a schema that refers
// to another document is refused. Sizes, nesting, numbers and the work of one
// validation are bounded, so that neither a hostile schema nor a hostile
// document can take the process down. Numbers are never rounded. The same
// document gives the same problems in the same order.
//
// # What it does not do
//
// Validation repairs nothing: a document with a fence around it or a trailing
// comma is a problem, not a value, until [Schema.Repair] has mended it, which
// guesses nothing: an unquoted key or a missing end stay problems. Patterns are those of Go's regexp
// package; a schema that uses look-around is refused. Where a value has the
// wrong type, or misses an enum, a const or a format, that alone is said of it.
package check
