package tool

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

func TestCompensationIsChecked(t *testing.T) {
	spec := func(name string, effect daruma.Effect, c *daruma.Compensation) Tool {
		schema := json.RawMessage(`{"type":"object"}`)
		if name == "undo" {
			schema = json.RawMessage(`{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}`)
		}
		return HTTP(daruma.ToolSpec{Name: name, Effect: effect, Compensate: c}, "", schema, "http://127.0.0.1:1", nil)
	}
	by := func(tool, args string) *daruma.Compensation {
		return &daruma.Compensation{Tool: tool, Args: json.RawMessage(args)}
	}
	for _, c := range []struct {
		tool Tool
		want string
	}{
		{spec("do", daruma.Keyed, by("undo", `{"id":"${result.id}"}`)), ""},
		{spec("do", daruma.Keyed, by("undo", ``)), ""},
		{spec("do", daruma.Keyed, by("undo", `{"ids":"${result.id}"}`)), `without its argument "id"`},
		{spec("do", daruma.Keyed, by("undo", `{"id":"${output}"}`)), "accepted: ${args}"},
		{spec("do", daruma.Keyed, by("nothing", ``)), "accepted: the name of another tool"},
		{spec("do", daruma.Keyed, by("do", ``)), "accepted: the name of another tool"},
		{spec("do", daruma.Keyed, by("look", ``)), "which only reads"},
		{spec("do", daruma.Keyed, by("", ``)), "tool is empty"},
		{spec("do", daruma.Read, by("undo", ``)), "only reads, and has a compensation"},
	} {
		s, err := NewSet(c.tool, spec("undo", daruma.Keyed, nil), spec("look", daruma.Read, nil))
		switch {
		case c.want == "" && (err != nil || s.Specs()[0].Compensate == nil),
			c.want != "" && (daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v, want %q", c.tool.Spec.Compensate, err, c.want)
		}
	}
}
