package fake

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// fill puts what the conversation says into the places ${NAME} of a text. A
// place that has nothing to be filled with stays as it is.
func (s *scene) fill(text string) string {
	return replace(text, "${", "}", func(name string) (string, bool) {
		v, ok := s.value(name)
		return v.String(), ok
	})
}

// fillJSON does the same in JSON: "${NAME}" becomes part of a string, and
// "#{NAME}" with its quotes becomes the value itself, a number perhaps.
func (s *scene) fillJSON(text string) string {
	text = replace(text, `"#{`, `}"`, func(name string) (string, bool) {
		v, ok := s.value(name)
		return v.Raw, ok
	})
	return replace(text, "${", "}", func(name string) (string, bool) {
		v, ok := s.value(name)
		q := string(gjson.AppendJSONString(nil, v.String()))
		return q[1 : len(q)-1], ok
	})
}

func replace(text, open, end string, value func(name string) (string, bool)) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, open)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, ok := strings.Cut(rest, end)
		if !ok {
			b.WriteString(open + rest)
			return b.String()
		}
		if v, found := value(name); found {
			b.WriteString(v)
		} else {
			b.WriteString(open + name + end)
		}
		text = after
	}
}

// value finds what a place means: input, last[.PATH], result.TOOL[.PATH],
// turn; of a tool args[.PATH], key, n.
func (s *scene) value(name string) (gjson.Result, bool) {
	head, path, _ := strings.Cut(name, ".")
	source := ""
	switch head {
	case "turn":
		return gjson.Parse(strconv.Itoa(s.turn())), true
	case "n":
		return gjson.Parse(strconv.Itoa(s.nth)), true
	case "key":
		return textValue(s.key), s.key != ""
	case "input":
		return textValue(s.input()), true
	case "args":
		source = s.args
	case "last":
		if len(s.messages) > 0 {
			source = s.messages[len(s.messages)-1].Text
		}
	case "result":
		tool, rest, _ := strings.Cut(path, ".")
		all := s.results(tool)
		if len(all) == 0 {
			return gjson.Result{}, false
		}
		source, path = all[len(all)-1], rest
	default:
		return gjson.Result{}, false
	}
	if path == "" {
		if json.Valid([]byte(source)) {
			return gjson.Parse(source), true
		}
		return textValue(source), source != ""
	}
	v := gjson.Get(source, path)
	return v, v.Exists()
}

func textValue(text string) gjson.Result {
	return gjson.Result{Type: gjson.String, Str: text, Raw: string(gjson.AppendJSONString(nil, text))}
}
