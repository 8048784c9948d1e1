package daruma

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Compensation says how a call is undone: by calling Tool with Args.
//
// Args is a JSON object with places for values of the call that is undone, as
// [FillPlaces] fills them in:
//
//	${args}           its arguments
//	${args.order.id}  what stands there in them
//	${result.booking} the same in its result; a result that is no JSON is a text
//	${key}            its idempotency key
//
// Empty Args pass the arguments of the call on as they are. A result above
// [MaxInline] cannot be looked into.
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
	return CheckPlaces(v, "args", "result", "key")
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
	out, err := FillPlaces(template, func(name string) (any, error) {
		switch name {
		case "key":
			return e.Key, nil
		case "args":
			v, err := jsonValue([]byte(e.Args))
			if err != nil {
				return nil, fmt.Errorf("the arguments of %s are no JSON", e.Tool)
			}
			return v, nil
		}
		if !e.Ref.IsZero() {
			return nil, fmt.Errorf("the result of %s is too large to be looked into", e.Tool)
		}
		if v, err := jsonValue([]byte(e.Text)); err == nil {
			return v, nil
		}
		return e.Text, nil
	})
	if f, ok := errors.AsType[*Failure](err); ok {
		return "", f.Err
	}
	if err != nil {
		return "", err
	}
	return jsonText(out)
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
