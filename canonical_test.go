package daruma_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

// TestCanonical plays testdata/canonical/*.txt: each line is JSON, beneath
// "----" stands its canonical form or why it is refused.
func TestCanonical(t *testing.T) {
	for _, name := range []string{"accepted", "refused"} {
		golden(t, "testdata/canonical/"+name+".txt", func(input string) string {
			var out strings.Builder
			for line := range strings.Lines(input) {
				line = strings.TrimSuffix(line, "\n")
				if line == "" || line[0] == '#' {
					continue
				}
				got, err := daruma.Canonical([]byte(line))
				if (err == nil) != (name == "accepted") {
					t.Errorf("%s: %v", line, err)
				}
				if err != nil {
					if daruma.KindOf(err) != daruma.KindInvalid {
						t.Errorf("%s: kind %s", line, daruma.KindOf(err))
					}
					got = []byte("  " + err.Error())
				}
				out.WriteString(string(got) + "\n")
			}
			return out.String()
		})
	}
}

// TestCanonicalEqual checks that equal meaning gives equal bytes and different
// meaning different ones.
func TestCanonicalEqual(t *testing.T) {
	groups := [][]string{
		{`1`, `1.0`, `1e0`, `10e-1`, `0.1e1`, `1E+0`, ` 1 `, `1.000`, `100e-2`},
		{`0`, `-0`, `0.0`, `0e9`, `-0.0e-5`},
		{`9007199254740993`, `9007199254740993.0`, `9.007199254740993e15`},
		{`9007199254740992`},
		{`1e40`, `10e39`, `0.1e41`},
		{`1e999999999999999999`, `1e+000000000000000000000999999999999999999`},
		{`-12000`, `-12e3`, `-1.2e4`},
		{`"é"`, `"\u00e9"`, `"\u00E9"`},
		{`"e\u0301"`}, // a different text, if it looks the same
		{`"/"`, `"\/"`},
		{`"\ud83d\ude00"`, `"😀"`},
		{`"<"`, `"\u003c"`},
		{`"5 €"`, `"5 \u20ac"`},
		{`"—"`, `"\u2014"`},
		{"\"a\u2028b\"", `"a\u2028b"`},
		{"\"a\u2029b\"", `"a\u2029b"`},
		{"\t[\t7\t]\r\n", `[7]`},
		{`1234567890123456789012345678901234567890`, `123456789012345678901234567890123456789e1`},
		{`12345678901234567890123456789012345678901`, `12345678901234567890123456789012345678901.0`},
		{`12345678901234567890123456789012345678900`, `123456789012345678901234567890123456789e2`},
		{`{"a":1,"b":[true,null]}`, ` { "b" : [ true , null ] , "a" : 1.0 } `},
		{`{"a":1,"b":[null,true]}`},
		{`{}`}, {`[]`}, {`[[]]`}, {`""`}, {`null`}, {`true`}, {`false`}, {`"true"`},
	}
	seen := map[string]int{}
	for i, group := range groups {
		for _, text := range group {
			got, err := daruma.Canonical([]byte(text))
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			first, _ := daruma.Canonical([]byte(group[0]))
			if !bytes.Equal(got, first) {
				t.Errorf("%s gives %s, %s gives %s", group[0], first, text, got)
			}
			if j, ok := seen[string(got)]; ok && j != i {
				t.Errorf("%s gives the same as %s: %s", text, groups[j][0], got)
			}
			seen[string(got)] = i
		}
	}
}

func TestCanonicalDepth(t *testing.T) {
	for depth, ok := range map[int]bool{500: true, 600: false, 1_000_000: false} {
		_, err := daruma.Canonical([]byte(strings.Repeat("[", depth) + strings.Repeat("]", depth)))
		if (err == nil) != ok {
			t.Errorf("nested %d deep: %v", depth, err)
		}
	}
}

// FuzzCanonical checks that the canonical form of anything accepted is JSON of
// the same meaning, and its own canonical form.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{"b":[1,2.50,-0,1e400],"a":"\u2028<"}`, `9007199254740993`, `"\ud800"`, `{"a":1,"a":2}`, `[1,]`, `1 2`, "\"\xff\"", `1e-999999999`, `{"\u0061":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		once, err := daruma.Canonical(data)
		if err != nil {
			if daruma.KindOf(err) != daruma.KindInvalid {
				t.Fatalf("kind %s", daruma.KindOf(err))
			}
			return
		}
		twice, err := daruma.Canonical(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q, then %q, %v", once, twice, err)
		}
		if a, b := meaning(t, data), meaning(t, once); !reflect.DeepEqual(a, b) {
			t.Fatalf("%q means %v, its canonical form %q means %v", data, a, once, b)
		}
	})
}

// meaning decodes JSON with numbers as exact fractions where they are of a
// size that can be computed, and left out elsewhere.
func meaning(t *testing.T, data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return exact(v)
}

func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		s := strings.ToLower(string(v))
		if i := strings.IndexByte(s, 'e'); i >= 0 && strings.Trim(s[:i], "-.0") == "" {
			return "0"
		} else if i >= 0 && len(strings.TrimLeft(s[i+1:], "+-0")) > 4 {
			return "a number out of sight"
		}
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			return s
		}
		return r.RatString()
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}
