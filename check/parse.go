package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of documents and schemas.
const (
	MaxDocument = 1 << 20   // bytes of a document
	MaxSchema   = 256 << 10 // bytes of a schema
	MaxDepth    = 64        // nesting of arrays and objects in both
	MaxProblems = 32        // problems reported of one document

	maxNodes    = 10_000 // values in a schema
	maxDigits   = 400    // characters of a number
	maxExponent = 400    // of a number, either way
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	// Path is a JSON pointer to the value to blame. It is empty for the
	// document as a whole, and may point to what is missing.
	Path string `json:"path"`
	// Text says what was given and what is accepted. It begins with a verb.
	Text string `json:"text"`
	// Keyword is the schema keyword that is not met, or "json" where the text
	// is no strict JSON.
	Keyword string `json:"keyword"`
}

// String returns path and text as one sentence.
func (p Problem) String() string {
	if p.Path == "" {
		return "the document " + p.Text
	}
	return p.Path + " " + p.Text
}

// keywordJSON marks problems of the JSON itself.
const keywordJSON = "json"

// parse reads one JSON value strictly. Numbers stay [json.Number]. The value
// is only usable if ok; of a name given twice the first value is kept.
func parse(doc []byte, limit int) (value any, problems []Problem, ok bool) {
	fail := func(format string, args ...any) (any, []Problem, bool) {
		return nil, []Problem{{"", fmt.Sprintf(format, args...), keywordJSON}}, false
	}
	switch {
	case len(doc) > limit:
		return fail("is %d bytes; accepted: at most %d", len(doc), limit)
	case len(bytes.TrimSpace(doc)) == 0:
		return fail("is empty; accepted: one JSON value")
	case !utf8.Valid(doc):
		return fail("is no valid UTF-8; accepted: one JSON value in UTF-8")
	}
	// One pass over the syntax first: it names the place.
	if !json.Valid(doc) {
		return fail("is no JSON: %v", syntax(doc))
	}
	r := reader{in: doc}
	value, err := r.value("", 0)
	if err != nil {
		return nil, append(r.problems, Problem{"", "is no JSON: " + err.Error(), keywordJSON}), false
	}
	return value, r.problems, !r.unusable
}

// syntax returns an error that names line and column, or nil.
func syntax(doc []byte) error {
	dec := json.NewDecoder(bytes.NewReader(doc))
	var first json.RawMessage
	err := dec.Decode(&first)
	at := dec.InputOffset()
	if err == nil {
		rest := bytes.TrimLeft(doc[at:], " \t\r\n")
		if len(rest) == 0 {
			return nil
		}
		at = int64(len(doc) - len(rest))
		err = errors.New("more text follows the value; accepted: one value")
	}
	var bad *json.SyntaxError
	switch {
	case errors.As(err, &bad):
		at = max(bad.Offset-1, 0)
		err = errors.New(strings.TrimPrefix(bad.Error(), "json: "))
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		at = int64(len(doc))
		err = errors.New("it ends too early")
	}
	before := doc[:min(at, int64(len(doc)))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Errorf("%v (line %d, column %d)", err, line, column)
}

// reader builds a value of tokens and collects what is wrong with it.
type reader struct {
	in       []byte // what is left of a document whose syntax is right
	problems []Problem
	unusable bool // the value must not be looked at any further
}

// next skips white space and returns the byte behind it.
func (r *reader) next() byte {
	for r.in[0] == ' ' || r.in[0] == '\t' || r.in[0] == '\n' || r.in[0] == '\r' {
		r.in = r.in[1:]
	}
	return r.in[0]
}

// skip passes over a comma or a colon.
func (r *reader) skip() {
	r.next()
	r.in = r.in[1:]
}

// text reads a string.
func (r *reader) text() string {
	n, escaped := 1, false
	for ; r.in[n] != '"'; n++ {
		if r.in[n] == '\\' {
			escaped = true
			n++
		}
	}
	token := r.in[:n+1]
	r.in = r.in[n+1:]
	if !escaped {
		return string(token[1:n])
	}
	var s string
	_ = json.Unmarshal(token, &s) // cannot fail: the syntax is right
	return s
}

func (r *reader) problem(path, format string, args ...any) {
	if len(r.problems) < MaxProblems {
		r.problems = append(r.problems, Problem{path, fmt.Sprintf(format, args...), keywordJSON})
	}
}

func (r *reader) value(path string, depth int) (any, error) {
	switch c := r.next(); c {
	case '"':
		return r.text(), nil
	case '{', '[':
		if depth >= MaxDepth {
			return nil, fmt.Errorf("it is nested deeper than %d levels", MaxDepth)
		}
		if c == '[' {
			return r.array(path, depth)
		}
		return r.object(path, depth)
	}
	n := bytes.IndexAny(r.in, " \t\n\r,]}")
	if n < 0 {
		n = len(r.in)
	}
	word := string(r.in[:n])
	r.in = r.in[n:]
	switch word {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil
	}
	if !reasonable(word) {
		r.problem(path, "is a number of %d characters or a huge exponent; accepted: up to %d characters and exponents up to %d", n, maxDigits, maxExponent)
		r.unusable = true
	}
	return json.Number(word), nil
}

func (r *reader) array(path string, depth int) (any, error) {
	list := []any{}
	r.in = r.in[1:]
	for r.next() != ']' {
		if len(list) > 0 {
			r.skip()
		}
		v, err := r.value(path+"/"+strconv.Itoa(len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	r.in = r.in[1:]
	return list, nil
}

func (r *reader) object(path string, depth int) (any, error) {
	object := map[string]any{}
	r.in = r.in[1:]
	for first := true; r.next() != '}'; first = false {
		if !first {
			r.skip()
			r.next()
		}
		name := r.text()
		r.skip()
		at := path + "/" + escape(name)
		v, err := r.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		if _, twice := object[name]; twice {
			r.problem(at, "is given twice; accepted: each name once")
			continue
		}
		object[name] = v
	}
	r.in = r.in[1:]
	return object, nil
}

// reasonable keeps exact arithmetic cheap: 1e1000000000 is a short number that
// takes a gigabyte.
func reasonable(number string) bool {
	if len(number) > maxDigits {
		return false
	}
	i := strings.IndexAny(number, "eE")
	if i < 0 {
		return true
	}
	exponent, err := strconv.Atoi(number[i+1:])
	return err == nil && -maxExponent <= exponent && exponent <= maxExponent
}

// escape writes one token of a JSON pointer.
func escape(token string) string {
	if strings.ContainsAny(token, "~/") {
		token = strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
	}
	return token
}

// pointer joins tokens to a JSON pointer.
func pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteByte('/')
		b.WriteString(escape(t))
	}
	return b.String()
}
