package model

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/daruma-run/daruma"
)

// Provider is one place that answers requests to models.
//
// Stream sends one request and yields its answer in the order it came. It
// makes at most one attempt. It yields at most one error, and nothing after
// it; the error is a [*daruma.Failure] with its kind, and holds an [*Error]
// where the other side said anything. Cancelling ctx ends the stream with an
// error of [daruma.KindCancelled] or, after its deadline, [daruma.KindTimeout].
// A caller that stops early frees everything the stream held. The sequence can
// be run once.
//
// A Provider is safe for concurrent use and does not change the request or
// keep it after the stream has ended.
type Provider interface {
	Stream(ctx context.Context, r *Request) iter.Seq2[Chunk, error]
}

// Request asks a model for one answer.
type Request struct {
	// Model is the provider's own name for the model.
	Model string
	// Messages is the conversation, oldest first. Their text is whole: a
	// message that is only a reference is refused by Check.
	Messages []daruma.Message
	// Tools are what the model may call. None means it may call none.
	Tools []Tool
	// MaxOutput bounds the answer in tokens. Zero means the provider's default.
	MaxOutput int64
	// Temperature, where set, is passed on.
	Temperature *float64
	// Extra holds fields of the request that this package does not know; they
	// are passed on as they are. A name this package does know is refused by
	// the provider.
	Extra map[string]json.RawMessage
	// Key names the request for providers that can tell a repetition from a
	// new one. Empty means none.
	Key string
}

// Tool describes a tool to a model.
type Tool struct {
	Name        string
	Description string
	Schema      json.RawMessage // JSON Schema of the arguments; empty means an object without fields
}

// Check refuses a request that no provider could answer: no model, no message,
// a message of which only the reference is there, a tool without a name, a
// name twice or a schema that is no JSON. Errors are of [daruma.KindInvalid].
func (r *Request) Check() error {
	const op = "model.Request"
	if r.Model == "" {
		return daruma.Fail(op, daruma.KindInvalid, "model is empty; accepted: the provider's name of a model")
	}
	if len(r.Messages) == 0 {
		return daruma.Fail(op, daruma.KindInvalid, "messages are empty; accepted: at least one")
	}
	for i, m := range r.Messages {
		switch m.Role {
		case daruma.RoleSystem, daruma.RoleUser, daruma.RoleAssistant, daruma.RoleTool:
		default:
			return daruma.Fail(op, daruma.KindInvalid, "messages[%d].role is %q; accepted: system, user, assistant, tool", i, m.Role)
		}
		if !m.Ref.IsZero() {
			return daruma.Fail(op, daruma.KindInvalid, "messages[%d] is the reference %s; accepted: the whole text, without a reference", i, m.Ref)
		}
		if m.Native != nil && !m.Native.Ref.IsZero() {
			return daruma.Fail(op, daruma.KindInvalid, "messages[%d].native is the reference %s; accepted: the whole content, without a reference", i, m.Native.Ref)
		}
	}
	names := make(map[string]bool, len(r.Tools))
	for i, t := range r.Tools {
		if t.Name == "" || names[t.Name] {
			return daruma.Fail(op, daruma.KindInvalid, "tools[%d].name is %q; accepted: a name not used before", i, t.Name)
		}
		names[t.Name] = true
		if len(t.Schema) > 0 && !json.Valid(t.Schema) {
			return daruma.Fail(op, daruma.KindInvalid, "tools[%d].schema of %s is not JSON; accepted: a JSON Schema", i, t.Name)
		}
	}
	return nil
}
