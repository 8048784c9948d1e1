package check

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const orderSchema = `{"type":"object","properties":{"order":{"type":"string"},"amount":{"type":"number"},"n":{"type":"integer"},"gift":{"type":"boolean"},
"lines":{"type":"array","items":{"type":"object","properties":{"a/b":{"type":"number"}}}}},"required":["order"],"additionalProperties":false}`

func TestRepair(t *testing.T) {
	s, err := Compile(json.RawMessage(orderSchema))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ doc, want string }{ // want: empty for what cannot be mended
		{`{"order":"A-17"}`, ""}, // valid: not changed
		{"```json\n{\"order\":\"A-17\"}\n```", `{"order":"A-17"}`},
		{"```JSON5 {\"order\":\"A-17\"}```", `{"order":"A-17"}`},
		{"```{\"order\":\"A-17\"}```", `{"order":"A-17"}`},
		{"```\n{\"order\":\"``` }, ]\",}\n```", "{\"order\":\"``` }, ]\"}"},
		{`{"order":"A-17" , }`, `{"order":"A-17"  }`},
		{`{"order":"a\",}",}`, `{"order":"a\",}"}`},
		{`{"order":"A-17","lines":[{"a/b":1,},],}`, `{"order":"A-17","lines":[{"a/b":1}]}`},
		{`{"order":"A-17","amount":"40"}`, `{"amount":40,"order":"A-17"}`},
		{`{"order":"<7>","amount":"40.10","n":"12345678901234567890","gift":"true"}`, `{"amount":40.10,"gift":true,"n":12345678901234567890,"order":"<7>"}`},
		{`{"order":"A-17","lines":[{"a/b":"-1e3"}]}`, `{"lines":[{"a/b":-1e3}],"order":"A-17"}`},

		{`{"order":"A-17","amount":"40 dollars"}`, ""},
		{`{"order":"A-17","amount":"4,50"}`, ""},
		{`{"order":"A-17","amount":" 40"}`, ""},
		{`{"order":"A-17","amount":"NaN"}`, ""},
		{`{"order":"A-17","n":"1.5"}`, ""},
		{`{"order":"A-17","amount":true}`, ""},
		{`{"order":17}`, ""},                             // which text it was is not known
		{`{"amount":"40"}`, ""},                          // something is missing
		{`{"order":"A-17","amount":"40","extra":1}`, ""}, // something is too much
		{`{"order":"A-17","order":"A-18",}`, ""},         // two readings
		{`{"order":"A-17","amount":"40","amount":"41"}`, ""},
		{`{"order":"A-17","amount":4`, ""}, // cut off
		{"```json\n{\"order\":\"A-17\"", ""},
		{`{"order":"A-17",,}`, ""},
		{`{,}`, ""},
		{`[1,2,]`, ""},
		{``, ""},
		{"\xff", ""},
	} {
		got, ok := s.Repair([]byte(test.doc))
		if string(got) != test.want || ok != (test.want != "") {
			t.Errorf("%s: %s, %v; want %s", test.doc, got, ok, test.want)
		}
	}
}

// FuzzRepair demands that what is mended fits the schema, that what was valid
// is left alone, and that nothing is lost but fences, commas and quotes.
func FuzzRepair(f *testing.F) {
	for _, doc := range []string{`{"order":"A-17",}`, "```json\n{\"order\":\"A\",\"n\":\"3\"}\n```", `{"order":"a","lines":[{"a/b":"1"},]}`, `{"order":"\\",}`, `[`} {
		f.Add([]byte(doc))
	}
	s, err := Compile(json.RawMessage(orderSchema))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, ok := s.Repair(doc)
		if !ok {
			return
		}
		if len(s.Validate(doc)) == 0 {
			t.Fatalf("%q was valid and is changed to %q", doc, got)
		}
		if problems := s.Validate(got); len(problems) > 0 {
			t.Fatalf("%q is mended to %q: %v", doc, got, problems)
		}
		if again, changed := s.Repair(got); changed {
			t.Fatalf("%q is mended twice: %q", got, again)
		}
	})
}

func TestRepairIsLinear(t *testing.T) {
	s, err := Compile(json.RawMessage(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	doc := []byte(`{"a":[` + strings.Repeat(`1 , `, 50_000) + strings.Repeat(" ", 50_000) + `]}`)
	got, ok := s.Repair(doc)
	if !ok || bytes.Contains(got, []byte(", ]")) || len(got) != len(doc)-1 {
		t.Errorf("%d bytes are mended to %d, %v", len(doc), len(got), ok)
	}
}
