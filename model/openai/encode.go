package openai

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

type wireMessage struct {
	Role    string     `json:"role"`
	Content *string    `json:"content"` // null only of an assistant that calls
	Calls   []wireCall `json:"tool_calls,omitempty"`
	CallID  string     `json:"tool_call_id,omitempty"`
}

type wireCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type wireTool struct {
	Type     string       `json:"type"`
	Function wireFunction `json:"function"`
}

type wireFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
}

// own are the fields that this package writes itself.
var own = []string{"model", "messages", "tools", "stream", "stream_options", "temperature"}

// encode writes the request. Fields stand in the order of their names, so the
// same request always gives the same bytes.
func (c *Client) encode(r *model.Request) ([]byte, error) {
	fields := make(map[string]any, 8+len(r.Extra))
	limit := "max_tokens"
	if c.options.Name == "openai" {
		limit = "max_completion_tokens" // what OpenAI itself takes for all models
	}
	for _, name := range slices.Sorted(maps.Keys(r.Extra)) {
		if slices.Contains(own, name) || name == limit && r.MaxOutput > 0 {
			return nil, daruma.Fail(streamOp, daruma.KindInvalid, "extra field %q is one of the request's own; accepted: fields besides %s", name, strings.Join(own, ", "))
		}
		if !json.Valid(r.Extra[name]) {
			return nil, daruma.Fail(streamOp, daruma.KindInvalid, "extra field %q is no JSON; accepted: a JSON value", name)
		}
		fields[name] = r.Extra[name]
	}
	fields["model"], fields["stream"] = r.Model, true
	if !c.options.NoUsage {
		fields["stream_options"] = map[string]bool{"include_usage": true}
	}
	if r.Temperature != nil {
		fields["temperature"] = *r.Temperature
	}
	if r.MaxOutput > 0 {
		fields[limit] = r.MaxOutput
	}
	messages := make([]wireMessage, len(r.Messages))
	for i, m := range r.Messages {
		messages[i] = encodeMessage(m)
	}
	fields["messages"] = messages
	if len(r.Tools) > 0 {
		tools := make([]wireTool, len(r.Tools))
		for i, t := range r.Tools {
			schema := t.Schema
			if len(schema) == 0 {
				schema = json.RawMessage(`{"type":"object","properties":{}}`)
			}
			tools[i] = wireTool{"function", wireFunction{t.Name, t.Description, schema}}
		}
		fields["tools"] = tools
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, daruma.Fail(streamOp, daruma.KindInvalid, "request: %w", err)
	}
	return b, nil
}

func encodeMessage(m daruma.Message) wireMessage {
	w := wireMessage{Role: string(m.Role), CallID: m.CallID}
	if m.Text != "" || len(m.Calls) == 0 {
		w.Content = &m.Text
	}
	for _, c := range m.Calls {
		one := wireCall{ID: c.ID, Type: "function"}
		one.Function.Name, one.Function.Arguments = c.Name, c.Arguments
		w.Calls = append(w.Calls, one)
	}
	return w
}
