package daruma

import (
	"bytes"
	"encoding/json"
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
	if !json.Valid(data) {
		return nil, Fail(op, KindInvalid, "JSON cannot be read: %w", syntaxError(data))
	}
	w := canonicalWriter{in: data, out: make([]byte, 0, len(data))}
	if err := w.value(0); err != nil {
		return nil, &Failure{Op: op, Kind: KindInvalid, Err: err}
	}
	return w.out, nil
}

// syntaxError says what is wrong with data that is no JSON.
func syntaxError(data []byte) error {
	var v json.RawMessage
	return json.Unmarshal(data, &v)
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

// canonicalWriter writes JSON that is known to be valid anew. It reads the
// bytes as they stand: tokens are decoded only where they are not canonical.
type canonicalWriter struct {
	in  []byte // what is left to be read
	out []byte
}

// next skips white space and returns the byte behind it.
func (w *canonicalWriter) next() byte {
	for w.in[0] == ' ' || w.in[0] == '\t' || w.in[0] == '\n' || w.in[0] == '\r' {
		w.in = w.in[1:]
	}
	return w.in[0]
}

func (w *canonicalWriter) value(depth int) error {
	if depth > maxCanonicalDepth {
		return Fail("", KindInvalid, "JSON is nested deeper than %d", maxCanonicalDepth)
	}
	switch w.next() {
	case '{':
		return w.object(depth)
	case '[':
		return w.array(depth)
	case '"':
		w.out = appendString(w.out, w.text())
		return nil
	}
	n := 1
	for n < len(w.in) && !bytes.ContainsRune([]byte(" \t\n\r,]}"), rune(w.in[n])) {
		n++
	}
	word := w.in[:n]
	w.in = w.in[n:]
	if word[0] == 't' || word[0] == 'f' || word[0] == 'n' || plainInteger(word) {
		w.out = append(w.out, word...)
		return nil
	}
	number, err := canonicalNumber(string(word))
	w.out = append(w.out, number...)
	return err
}

// plainInteger reports whether a number is canonical as it stands.
func plainInteger(number []byte) bool {
	for _, c := range number[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(number) <= 40 && number[0] != '-'
}

func (w *canonicalWriter) array(depth int) error {
	w.in = w.in[1:]
	w.out = append(w.out, '[')
	for first := true; w.next() != ']'; first = false {
		if !first {
			w.in = w.in[1:] // the comma
			w.out = append(w.out, ',')
		}
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	w.in = w.in[1:]
	w.out = append(w.out, ']')
	return nil
}

// member is one member of an object: its key, and where it stands in the output.
type member struct {
	key      string
	from, to int
}

func (w *canonicalWriter) object(depth int) error {
	var space [8]member
	members, sorted := space[:0], true
	w.in = w.in[1:]
	w.out = append(w.out, '{')
	begin := len(w.out)
	for w.next() != '}' {
		if len(members) > 0 {
			w.in = w.in[1:] // the comma
			w.out = append(w.out, ',')
			w.next()
		}
		m := member{key: w.text(), from: len(w.out)}
		w.out = appendString(w.out, m.key)
		w.next()
		w.in = w.in[1:] // the colon
		w.out = append(w.out, ':')
		if err := w.value(depth + 1); err != nil {
			return err
		}
		m.to = len(w.out)
		sorted = sorted && (len(members) == 0 || members[len(members)-1].key < m.key)
		members = append(members, m)
	}
	w.in = w.in[1:]
	if !sorted {
		if err := w.sort(begin, members); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

// sort brings the members, which begin at begin, into the order of their keys.
func (w *canonicalWriter) sort(begin int, members []member) error {
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	ordered := make([]byte, 0, len(w.out)-begin)
	for i, m := range members {
		if i > 0 {
			if members[i-1].key == m.key {
				return Fail("", KindInvalid, "JSON has the key %q twice", m.key)
			}
			ordered = append(ordered, ',')
		}
		ordered = append(ordered, w.out[m.from:m.to]...)
	}
	copy(w.out[begin:], ordered)
	return nil
}

// text reads a string.
func (w *canonicalWriter) text() string {
	n, escaped := 1, false
	for ; w.in[n] != '"'; n++ {
		if w.in[n] == '\\' {
			escaped = true
			n++
		}
	}
	token := w.in[:n+1]
	w.in = w.in[n+1:]
	if !escaped {
		return string(token[1:n])
	}
	var s string
	_ = json.Unmarshal(token, &s) // cannot fail: it is valid
	return s
}

// appendString writes a JSON string with only the escapes JSON demands, and
// those of the two line ends that JavaScript demands.
func appendString(out []byte, s string) []byte {
	if plainText(s) {
		out = append(out, '"')
		out = append(out, s...)
		return append(out, '"')
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // cannot fail: s is a string and b is memory
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// plainText reports whether a string, which is valid UTF-8, needs no escape.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == 0xE2 && s[i+1] == 0x80 && s[i+2]|1 == 0xA9 {
			return false
		}
	}
	return true
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
