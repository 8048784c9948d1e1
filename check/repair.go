package check

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Repair mends the shape of a document where there is only one way to read it,
// and reports whether the result is strict JSON that fits the schema. What is
// valid already, or cannot be mended so, is not changed: mended is nil.
//
// It takes off a Markdown fence round the whole, takes out commas before a
// closing bracket, and writes "40" and "true" as 40 and true where the schema
// wants a number or a boolean. It never adds what is missing, so a document
// that was cut off stays one. Work is linear in the size, beside validation.
func (s *Schema) Repair(doc []byte) (mended []byte, ok bool) {
	if len(doc) > MaxDocument || len(s.Validate(doc)) == 0 {
		return nil, false
	}
	text := withoutCommas(withoutFence(bytes.TrimSpace(doc)))
	problems := s.Validate(text)
	if len(problems) == 0 {
		return text, true
	}
	value, bad, usable := parse(text, MaxDocument)
	if !usable || len(bad) > 0 || len(problems) >= MaxProblems {
		return nil, false
	}
	for _, p := range problems {
		if p.Keyword != "type" || p.Path == "" || !unquote(value, strings.Split(p.Path[1:], "/")) {
			return nil, false
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(value) != nil {
		return nil, false
	}
	text = bytes.TrimSpace(b.Bytes())
	if len(s.Validate(text)) > 0 {
		return nil, false
	}
	return text, true
}

// withoutFence takes off a Markdown fence that begins and ends the text.
func withoutFence(text []byte) []byte {
	const fence = "```"
	inner, ok := bytes.CutPrefix(text, []byte(fence))
	if !ok {
		return text
	}
	if inner, ok = bytes.CutSuffix(inner, []byte(fence)); !ok {
		return text
	}
	rest := bytes.TrimLeft(inner, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
	if rest = bytes.TrimSpace(rest); len(rest) > 0 && (rest[0] == '{' || rest[0] == '[') {
		return rest // without the name of the language
	}
	return bytes.TrimSpace(inner)
}

// withoutCommas takes out commas that stand before a closing bracket, outside
// strings.
func withoutCommas(text []byte) []byte {
	out := make([]byte, 0, len(text))
	quoted := false
	comma := -1 // place in out of a comma after which only white space came
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\' && i+1 < len(text):
			out = append(out, c)
			i++
			c = text[i]
		case c == '"':
			quoted, comma = !quoted, -1
		case quoted:
		case c == ',' && comma < 0:
			comma = len(out)
		case (c == '}' || c == ']') && comma >= 0:
			out = append(out[:comma], out[comma+1:]...)
			comma = -1
		case strings.IndexByte(" \t\r\n", c) < 0:
			comma = -1
		}
		out = append(out, c)
	}
	return out
}

// unquote replaces the text at a place by the number or boolean it spells.
func unquote(value any, path []string) bool {
	for i, step := range path {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		switch v := value.(type) {
		case map[string]any:
			if i == len(path)-1 {
				spelt, ok := spells(v[step])
				if ok {
					v[step] = spelt
				}
				return ok
			}
			value = v[step]
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(v) {
				return false
			}
			if i == len(path)-1 {
				spelt, ok := spells(v[n])
				if ok {
					v[n] = spelt
				}
				return ok
			}
			value = v[n]
		default:
			return false
		}
	}
	return false
}

// spells returns the number or boolean that a text is, written as JSON would.
func spells(v any) (any, bool) {
	text, ok := v.(string)
	if !ok || text == "" {
		return nil, false
	}
	if text == "true" || text == "false" {
		return text == "true", true
	}
	if c := text[0]; c != '-' && (c < '0' || c > '9') || !json.Valid([]byte(text)) || !reasonable(text) {
		return nil, false
	}
	return json.Number(text), true
}
