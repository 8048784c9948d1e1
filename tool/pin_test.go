package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
)

// TestPin: a run that froze another definition of a tool does not get at the
// one that took its place.
func TestPin(t *testing.T) {
	calls := 0
	set, err := tool.NewSet(tool.Tool{
		Spec: daruma.ToolSpec{Name: "look", Effect: daruma.Read, Pin: "new"},
		Do: func(context.Context, tool.Call) (tool.Result, error) {
			calls++
			return tool.Result{Text: "seen"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pin  string
		want daruma.Kind // unknown: it is called
	}{{"", 0}, {"new", 0}, {"old", daruma.KindDenied}} {
		before := calls
		_, err := set.Dispatch(context.Background(), tool.Call{Tool: "look", Args: json.RawMessage(`{}`), Pin: c.pin})
		if daruma.KindOf(err) != c.want {
			t.Errorf("pin %q: %v, want kind %v", c.pin, err, c.want)
		}
		if _, changed := errors.AsType[*tool.ChangedError](err); changed != (c.want != 0) {
			t.Errorf("pin %q: %T is the error", c.pin, err)
		}
		if called := calls > before; called == (c.want != 0) {
			t.Errorf("pin %q: called is %v", c.pin, called)
		}
	}
}
