package daruma

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Compensation says how a call is undone: by calling Tool with Args.
//
// Args is a JSON object in which strings that begin with "$" stand for values
// of the call that is undone:
//
//	$args            its arguments
//	$args/order/id   what a JSON pointer (RFC 6901) finds in them
//	$result/booking  the same in its result; a result that is no JSON is a string
//	$key             its idempotency key
//	$$text           the text "$text"
//
// Nothing else can be computed: the mapping is data. Empty Args pass the
// arguments of the call on as they are. A result above [MaxInline] cannot be
// looked into.
type Compensation struct {
	Tool string          `json:"tool"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Check refuses a compensation without a tool, and a mapping that is no object
// or names what there is not, with an error of KindInvalid.
func (c *Compensation) Check() error {
	if c.Tool == "" {
		return badMapping("tool is empty; accepted: the name of the tool that undoes a call")
	}
	if len(c.Args) == 0 {
		return nil
	}
	v, err := jsonValue(c.Args)
	if err != nil {
		return badMapping("args are no JSON: %w", err)
	}
	if _, ok := v.(map[string]any); !ok {
		return badMapping("args are %.100s; accepted: an object", c.Args)
	}
	_, err = mapped(v, func(from, pointer string) (any, error) {
		switch {
		case from != "args" && from != "result" && from != "key", from == "key" && pointer != "":
			return nil, badMapping("%q is unknown; accepted: $args, $result, each with a JSON pointer or without, $key, and $$ for a $", "$"+from+pointer)
		case strings.HasSuffix(strings.NewReplacer("~0", "", "~1", "").Replace(pointer), "~"), strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(pointer), "~"):
			return nil, badMapping("%q is no JSON pointer: accepted after ~ are 0 and 1", pointer)
		}
		return nil, nil
	})
	return err
}

func badMapping(format string, args ...any) error {
	return Fail("daruma.Compensation", KindInvalid, format, args...)
}

// arguments returns the arguments with which a call is undone.
func (c *Compensation) arguments(e *EffectRecord) (string, error) {
	if len(c.Args) == 0 {
		return e.Args, nil
	}
	template, err := jsonValue(c.Args)
	if err != nil {
		return "", err
	}
	out, err := mapped(template, func(from, pointer string) (any, error) {
		var v any
		var err error
		switch from {
		case "key":
			return e.Key, nil
		case "args":
			if v, err = jsonValue([]byte(e.Args)); err != nil {
				return nil, fmt.Errorf("the arguments of %s are no JSON", e.Tool)
			}
		default:
			if !e.Ref.IsZero() {
				return nil, fmt.Errorf("the result of %s is too large to be looked into", e.Tool)
			}
			if v, err = jsonValue([]byte(e.Text)); err != nil {
				v = e.Text
			}
		}
		if v, ok := pointed(v, pointer); ok {
			return v, nil
		}
		return nil, fmt.Errorf("$%s%s is not there", from, pointer)
	})
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// jsonValue reads exactly one JSON value, numbers as they are written.
func jsonValue(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the value")
	}
	return v, nil
}

// mapped copies a template with what look finds for "$from/pointer".
func mapped(v any, look func(from, pointer string) (any, error)) (any, error) {
	switch v := v.(type) {
	case string:
		name, ok := strings.CutPrefix(v, "$")
		if !ok || strings.HasPrefix(name, "$") {
			return strings.TrimPrefix(v, "$"), nil
		}
		from, pointer, found := strings.Cut(name, "/")
		if found {
			pointer = "/" + pointer
		}
		return look(from, pointer)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = mapped(v[i], look); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = mapped(v[k], look); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// pointed returns what a JSON pointer finds.
func pointed(v any, pointer string) (any, bool) {
	if pointer == "" {
		return v, true
	}
	for part := range strings.SplitSeq(pointer[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(in) || strconv.Itoa(i) != part {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}
