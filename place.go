package daruma

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// FillPlaces returns a copy of a template with what its places stand for. A
// template is a JSON value as encoding/json decodes it; places stand in its
// texts, at any depth, keys of objects excepted:
//
//	${args}            what value returns for "args"
//	${args.items.0.id} what stands there in it; parts of a list by number
//	$${                the text "${"
//
// A text that is nothing but one place becomes the value, of whatever type.
// Elsewhere in a text a value that is no text stands as JSON. A backslash takes
// the meaning from the dot, brace or backslash behind it: ${args.a\.b}. Nothing
// can be computed: a template is data.
//
// Errors are those of value, and of KindInvalid for a place that is badly
// written or that has nothing to be filled with. It is pure; the template is
// not changed.
func FillPlaces(template any, value func(name string) (any, error)) (any, error) {
	return fillIn(template, func(p place) (any, error) {
		v, err := value(p.path[0])
		if err != nil {
			return nil, err
		}
		if v, ok := p.in(v); ok {
			return v, nil
		}
		return nil, badPlace("%s is not there", p.text)
	})
}

// CheckPlaces refuses a template with a place that is badly written, or that
// begins with another name than these, with an error of KindInvalid. What is
// called key is a text: nothing stands in it.
func CheckPlaces(template any, names ...string) error {
	_, err := fillIn(template, func(p place) (any, error) {
		if !slices.Contains(names, p.path[0]) {
			return nil, badPlace("%s is unknown; accepted: ${%s}, with .NAME or .NUMBER for what is in it, and $${ for the text ${", p.text, strings.Join(names, "}, ${"))
		}
		if p.path[0] == "key" && len(p.path) > 1 {
			return nil, badPlace("%s: the key is a text, and nothing stands in it; accepted: ${key}", p.text)
		}
		return nil, nil
	})
	return err
}

// place is one place of a text.
type place struct {
	text string   // as it is written
	path []string // never empty, no part is
}

func badPlace(format string, args ...any) error {
	return Fail("daruma.FillPlaces", KindInvalid, format, args...)
}

// fillIn copies a template with what look finds for its places.
func fillIn(v any, look func(place) (any, error)) (any, error) {
	switch v := v.(type) {
	case string:
		return fillText(v, look)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = fillIn(v[i], look); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = fillIn(v[k], look); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

func fillText(text string, look func(place) (any, error)) (any, error) {
	var b strings.Builder
	for at := 0; at < len(text); {
		rest := text[at:]
		switch {
		case strings.HasPrefix(rest, "$${"):
			b.WriteString("${")
			at += 3
		case strings.HasPrefix(rest, "${"):
			p, err := readPlace(rest)
			if err != nil {
				return nil, err
			}
			v, err := look(p)
			if err != nil || p.text == text {
				return v, err
			}
			if err := writeValue(&b, v); err != nil {
				return nil, err
			}
			at += len(p.text)
		default:
			b.WriteByte(text[at])
			at++
		}
	}
	return b.String(), nil
}

// readPlace reads the place with which a text begins.
func readPlace(text string) (place, error) {
	p := place{path: []string{""}}
	for i := 2; i < len(text); i++ {
		last := &p.path[len(p.path)-1]
		switch c := text[i]; {
		case c == '}':
			p.text = text[:i+1]
			if slices.Contains(p.path, "") {
				return place{}, badPlace("%s has an empty part; accepted: names and numbers with dots between them, such as ${args.items.0.id}", p.text)
			}
			return p, nil
		case c == '.':
			p.path = append(p.path, "")
		case c == '\\' && i+1 < len(text):
			i++
			*last += text[i : i+1]
		default:
			*last += text[i : i+1]
		}
	}
	return place{}, badPlace("%.100q has no end; accepted: ${…} with a closing brace, and $${ for the text ${", text)
}

// in returns what stands at the place in the value of its first name.
func (p place) in(v any) (any, bool) {
	for _, part := range p.path[1:] {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(at) || strconv.Itoa(i) != part {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// writeValue writes a value into a text: a text as it is, all else as JSON.
func writeValue(b *strings.Builder, v any) error {
	if text, ok := v.(string); ok {
		b.WriteString(text)
		return nil
	}
	data, err := jsonText(v)
	if err != nil {
		return fmt.Errorf("a value is no JSON: %w", err)
	}
	b.WriteString(data)
	return nil
}

// jsonText is a value as JSON, with nothing escaped that needs no escape.
func jsonText(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}
