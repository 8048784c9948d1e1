package detect

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

// callKey returns what makes a call the same as another one.
func callKey(tool, args string) string { return tool + "\x00" + canonical(args) }

// canonical returns arguments in the form in which they are compared. What is
// no JSON is compared as text.
func canonical(args string) string {
	if len(args) > maxText {
		return args
	}
	d := json.NewDecoder(strings.NewReader(args))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return collapse(args)
	}
	v, _ = simple(v, 0)
	b, err := json.Marshal(v) // sorts the keys
	if err != nil {
		return collapse(args)
	}
	return string(b)
}

// simple drops what does not tell calls apart. It is false for values that say
// nothing.
func simple(v any, depth int) (any, bool) {
	if depth > 100 {
		return v, true
	}
	switch v := v.(type) {
	case nil:
		return nil, false
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			if plain, err := daruma.Canonical([]byte(v)); err == nil {
				return string(plain), true
			}
		}
		return string(v), true
	case string:
		s := collapse(v)
		return s, s != ""
	case []any:
		list := make([]any, 0, len(v))
		for _, e := range v {
			e, _ := simple(e, depth+1)
			list = append(list, e)
		}
		return list, len(list) > 0
	case map[string]any:
		return object(v, depth)
	}
	return v, true
}

// object is simple for objects. Fields that only tell attempts apart are
// dropped, unless nothing else is left.
func object(v map[string]any, depth int) (any, bool) {
	kept, dropped := map[string]any{}, map[string]any{}
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names) // names may be equal in lower case: the last one wins
	for _, name := range names {
		e, says := simple(v[name], depth+1)
		if !says {
			continue
		}
		name = strings.ToLower(name)
		if volatile(name) {
			dropped[name] = e
		} else {
			kept[name] = e
		}
	}
	if len(kept) == 0 {
		kept = dropped
	}
	return kept, len(kept) > 0
}

// volatile reports whether a field, in lower case, differs between attempts of
// the same thing.
func volatile(name string) bool {
	if strings.ContainsAny(name, "_-") {
		name = strings.NewReplacer("_", "", "-", "").Replace(name)
	}
	switch name {
	case "requestid", "traceid", "spanid", "correlationid", "sessionid", "callid", "toolcallid", "idempotencykey",
		"nonce", "timestamp", "reason", "reasoning", "rationale", "thought", "thoughts", "thinking", "explanation":
		return true
	}
	return false
}

// collapse makes every run of white space one blank.
func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

// errorText returns the part of an error by which errors are compared.
func errorText(text string) string {
	const most = 200
	text = head(text, maxText)
	trace := strings.Contains(text, "Traceback (most recent call last)") || strings.Contains(text, "\ngoroutine ") || strings.Contains(text, "\n\tat ")
	masked := []rune(mask(unquote(text), false))
	if len(masked) <= most {
		return string(masked)
	}
	if trace {
		return string(masked[len(masked)-most:])
	}
	return string(masked[:most])
}

// unquote empties what stands in quotes on one line: names and values that
// differ between errors of the same kind.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		b.WriteByte(c)
		if c != '"' && c != '\'' && c != '`' || c == '\'' && i > 0 && wordByte(s[i-1]) {
			continue
		}
		rest := s[i+1:]
		if end := strings.IndexByte(rest[:min(len(rest), 300)], c); end >= 0 && !strings.Contains(rest[:end], "\n") {
			b.WriteByte(c)
			i += end + 1
		}
	}
	return b.String()
}
