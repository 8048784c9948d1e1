package daruma

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// CanonicalVersion is the version of [Canonical]. It goes into every key and
// approval that hashes canonical JSON.
const CanonicalVersion = 1

// maxCanonicalDepth bounds the nesting that Canonical accepts.
const maxCanonicalDepth = 512

// Canonical returns JSON in one form for each meaning: no white space, object
// keys sorted by bytes, strings with the fewest escapes, numbers as exact
// decimals that never pass through float64 (1, 1.0 and 10e-1 are the same; so
// are large integers with all their digits).
//
// It refuses, with KindInvalid, what two readers might read differently:
// duplicate keys, invalid UTF-8, half a surrogate pair, anything after the
// value; and what costs too much to read: nesting deeper than 512, exponents
// of more than 18 digits.
func Canonical(data []byte) ([]byte, error) {
	const op = "daruma.Canonical"
	if !utf8.Valid(data) {
		return nil, Fail(op, KindInvalid, "JSON is not valid UTF-8")
	}
	if halfPair(data) {
		return nil, Fail(op, KindInvalid, "JSON has half a surrogate pair")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	out, err := canonicalValue(nil, d, 0)
	if err != nil {
		return nil, &Failure{Op: op, Kind: KindInvalid, Err: err}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, Fail(op, KindInvalid, "JSON has something after its value")
	}
	return out, nil
}

// halfPair reports whether a \u escape names a surrogate without its other
// half. Readers make different things of it, this one's the same of all.
func halfPair(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		first, ok := escaped(data[i:])
		if !ok {
			i++ // the escaped character, a backslash perhaps
			continue
		}
		i += 5
		if !utf16.IsSurrogate(first) {
			continue
		}
		second, _ := escaped(data[min(i+1, len(data)):])
		if utf16.DecodeRune(first, second) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// escaped reads the \uXXXX that b begins with.
func escaped(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(v), err == nil
}

func canonicalValue(out []byte, d *json.Decoder, depth int) ([]byte, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxCanonicalDepth {
		return nil, Fail("", KindInvalid, "JSON is nested deeper than %d", maxCanonicalDepth)
	}
	switch v := t.(type) {
	case json.Delim:
		if v == '[' {
			return canonicalArray(out, d, depth)
		}
		return canonicalObject(out, d, depth)
	case string:
		return appendString(out, v), nil
	case json.Number:
		n, err := canonicalNumber(string(v))
		return append(out, n...), err
	case bool:
		return strconv.AppendBool(out, v), nil
	}
	return append(out, "null"...), nil
}

func canonicalArray(out []byte, d *json.Decoder, depth int) ([]byte, error) {
	out = append(out, '[')
	for i := 0; d.More(); i++ {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = canonicalValue(out, d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return append(out, ']'), err
}

func canonicalObject(out []byte, d *json.Decoder, depth int) ([]byte, error) {
	type member struct {
		key   string
		value []byte
	}
	var members []member
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := canonicalValue(nil, d, depth+1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key.(string), value})
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			if members[i-1].key == m.key {
				return nil, Fail("", KindInvalid, "JSON has the key %q twice", m.key)
			}
			out = append(out, ',')
		}
		out = append(appendString(out, m.key), ':')
		out = append(out, m.value...)
	}
	return append(out, '}'), nil
}

// appendString writes a JSON string with only the escapes JSON demands.
func appendString(out []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // cannot fail: s is a string and b is memory
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// canonicalNumber writes a JSON number as digits without trailing zeros and,
// where needed, an exponent: "-12e3".
func canonicalNumber(s string) (string, error) {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	mantissa, exponent := s, int64(0)
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		minus := strings.HasPrefix(s[i+1:], "-")
		power := strings.TrimLeft(strings.TrimLeft(s[i+1:], "+-"), "0")
		if len(power) > 18 {
			return "", Fail("", KindInvalid, "JSON has a number with an exponent of %d digits", len(power))
		}
		exponent, _ = strconv.ParseInt("0"+power, 10, 64) // cannot fail: at most 18 digits
		if minus {
			exponent = -exponent
		}
	}
	whole, part, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+part, "0")
	trimmed := strings.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(trimmed) - len(part))
	switch {
	case trimmed == "":
		return "0", nil
	case exponent >= 1e18 || exponent <= -1e18: // written out it would be refused
		return "", Fail("", KindInvalid, "JSON has a number with an exponent of 19 digits")
	case exponent >= 0 && exponent+int64(len(trimmed)) <= 40:
		return sign + trimmed + strings.Repeat("0", int(exponent)), nil // whole numbers people write stay readable
	}
	return sign + trimmed + "e" + strconv.FormatInt(exponent, 10), nil
}

// canonicalArgs is Canonical for the arguments of a tool call: empty arguments
// mean an empty object, and what is no JSON stands for itself.
func canonicalArgs(args string) string {
	if strings.TrimSpace(args) == "" {
		return "{}"
	}
	out, err := Canonical([]byte(args))
	if err != nil {
		return args
	}
	return string(out)
}
