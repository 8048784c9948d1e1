package anthropic

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// own are the fields that this package writes itself.
var own = []string{"model", "messages", "system", "tools", "stream", "temperature"}

type wireTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"input_schema"`
}

// encode writes the request. Fields stand in the order of their names, so the
// same request always gives the same bytes.
func (c *Client) encode(r *model.Request) (json.RawMessage, error) {
	fields := make(map[string]any, 8+len(r.Extra))
	for _, name := range slices.Sorted(maps.Keys(r.Extra)) {
		if slices.Contains(own, name) || name == "max_tokens" && r.MaxOutput > 0 {
			return nil, daruma.Fail(streamOp, daruma.KindInvalid, "extra field %q is one of the request's own; accepted: fields besides %s", name, strings.Join(own, ", "))
		}
		if !json.Valid(r.Extra[name]) {
			return nil, daruma.Fail(streamOp, daruma.KindInvalid, "extra field %q is no JSON; accepted: a JSON value", name)
		}
		fields[name] = r.Extra[name]
	}
	fields["model"], fields["stream"] = r.Model, !c.options.Whole
	if r.MaxOutput > 0 {
		fields["max_tokens"] = r.MaxOutput
	} else if fields["max_tokens"] == nil {
		fields["max_tokens"] = c.options.MaxOutput
	}
	if r.Temperature != nil {
		fields["temperature"] = *r.Temperature
	}
	t := converse(r)
	fields["messages"] = t.turns
	if t.system != "" {
		fields["system"] = t.system
	}
	if gjson.GetBytes(r.Extra["thinking"], "type").String() == "enabled" && t.unthought() {
		delete(fields, "thinking")
	}
	wire := wireNames(r.Tools)
	var tools []wireTool
	for _, one := range r.Tools {
		tools = append(tools, wireTool{wire[one.Name], one.Description, schemaOf(one.Schema)})
	}
	if len(tools) == 0 && len(t.names) > 0 {
		for _, name := range t.names {
			tools = append(tools, wireTool{name, "Not available any more.", schemaOf(nil)})
		}
		fields["tool_choice"] = map[string]string{"type": "none"}
	}
	if len(tools) > 0 {
		fields["tools"] = tools
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, daruma.Fail(streamOp, daruma.KindInvalid, "request: %w", err)
	}
	return b, nil
}

// wireNames are the names of the tools on the wire, by their own: the API takes
// few letters, and no name twice.
func wireNames(tools []model.Tool) map[string]string {
	names, taken := make(map[string]string, len(tools)), make(map[string]bool, len(tools))
	for _, odd := range []bool{false, true} { // plain names stay as they are
		for _, t := range tools {
			name := safe(t.Name)
			if (name != t.Name) != odd {
				continue
			}
			for n := 2; taken[name]; n++ {
				name = fmt.Sprintf("%.60s_%d", safe(t.Name), n)
			}
			names[t.Name], taken[name] = name, true
		}
	}
	return names
}

// thinks reports whether the field asks for thinking.
func thinks(field json.RawMessage) bool {
	kind := gjson.GetBytes(field, "type").String()
	return kind != "" && kind != "disabled"
}

// schemaOf is a schema as the API takes it: of an object, and saying so.
func schemaOf(schema json.RawMessage) json.RawMessage {
	var s map[string]json.RawMessage
	if len(schema) == 0 || json.Unmarshal(schema, &s) != nil || s == nil {
		return json.RawMessage(`{"type":"object","properties":{}}`)
	}
	if s["type"] != nil {
		return schema
	}
	s["type"] = json.RawMessage(`"object"`)
	whole, err := json.Marshal(s)
	if err != nil {
		return schema
	}
	return whole
}
