package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/check"
)

// Func makes a tool of a typed function. In is a struct; its fields make the
// schema, as [check.SchemaFor] says. An Out that is a string is the text of the
// result, a [Result] is taken as it is, everything else is written as JSON. The
// name in spec is replaced by name.
//
// The function finds its idempotency key with [CallOf].
//
// Func panics if In is no struct or has no schema, or f is nil: a mistake that
// the first run of the program shows.
func Func[In, Out any](name, description string, f func(context.Context, In) (Out, error), spec daruma.ToolSpec) Tool {
	in := reflect.TypeFor[In]()
	if in.Kind() != reflect.Struct {
		panic(fmt.Sprintf("tool.Func: tool %q takes a %v; accepted: a struct", name, in))
	}
	if f == nil {
		panic(fmt.Sprintf("tool.Func: tool %q has no function", name))
	}
	schema, err := check.SchemaFor[In]()
	if err != nil {
		panic(fmt.Sprintf("tool.Func: tool %q: %v", name, err))
	}
	spec.Name = name
	return Tool{Spec: spec, Description: description, Schema: schema, Do: func(ctx context.Context, call Call) (Result, error) {
		var args In
		if err := json.Unmarshal(call.Args, &args); err != nil {
			return Result{}, Refuse(fmt.Errorf("arguments: %w", err))
		}
		out, err := f(ctx, args)
		if err != nil {
			return Result{}, err
		}
		switch out := any(out).(type) {
		case Result:
			return out, nil
		case string:
			return Result{Text: out}, nil
		}
		b, err := json.Marshal(out)
		if err != nil {
			return Result{}, Doubt(fmt.Errorf("the result cannot be written as JSON: %w", err))
		}
		return Result{Text: string(b)}, nil
	}}
}
