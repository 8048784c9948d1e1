package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// message is a whole answer.
func (p play) message(a said, name string) map[string]any {
	content := []any{}
	if a.think != "" {
		content = append(content, map[string]any{"type": "thinking", "thinking": a.think, "signature": signature(a.think)})
	}
	if a.text != "" {
		content = append(content, map[string]any{"type": "text", "text": a.text})
	}
	for i, c := range a.calls {
		var input any = c.Arguments // what is no JSON can only be a text here
		if json.Valid([]byte(c.Arguments)) {
			input = json.RawMessage(c.Arguments)
		}
		content = append(content, map[string]any{"type": "tool_use", "id": a.toolID(i), "name": c.Name, "input": input})
	}
	m := p.messageHead(name)
	m["content"], m["stop_reason"] = content, stopReason(a.finish)
	if !a.silent {
		m["usage"] = messagesUsage(a, a.usage.Output)
	}
	return m
}

func (p play) messageHead(name string) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("msg_fake_%d", p.id), "type": "message", "role": "assistant", "model": name,
		"content": []any{}, "stop_reason": nil, "stop_sequence": nil,
	}
}

// toolID is the id of a call, as the quirks say.
func (a said) toolID(i int) string {
	switch {
	case a.reply.quirks["ids-same"]:
		return "call_same"
	case a.reply.quirks["ids-none"]:
		return ""
	}
	return a.calls[i].ID
}

func messagesUsage(a said, output int64) map[string]any {
	return map[string]any{
		"input_tokens": a.usage.Input - a.usage.Cached, "cache_read_input_tokens": a.usage.Cached, "cache_creation_input_tokens": 0,
		"output_tokens": output, "output_tokens_details": map[string]any{"thinking_tokens": min(a.usage.Reasoning, output)},
	}
}

func stopReason(finish string) any {
	switch finish {
	case "stop":
		return "end_turn"
	case "tool_calls":
		return "tool_use"
	case "length":
		return "max_tokens"
	case "content_filter":
		return "refusal"
	}
	return nil
}

// blockWriter writes the pieces of an answer as events of blocks.
type blockWriter struct {
	out   *eventWriter
	kind  string // of the open block; empty: none is open
	index int    // of the open block, or of the next one
	think string // of the open block
}

func (b *blockWriter) send(kind string, fields map[string]any) {
	fields["type"] = kind
	text, _ := json.Marshal(fields) // maps of plain values always encode
	b.out.send(kind, string(text))
}

// event sends an event that names its block.
func (b *blockWriter) event(kind string, fields map[string]any) {
	switch quirks := b.out.quirks; {
	case quirks["index-none"]:
	case quirks["index-zero"]:
		fields["index"] = 0
	case quirks["index-one"]:
		fields["index"] = b.index + 1
	default:
		fields["index"] = b.index
	}
	b.send(kind, fields)
}

func (b *blockWriter) delta(fields map[string]any) {
	b.event("content_block_delta", map[string]any{"delta": fields})
}

func (b *blockWriter) open(kind string, fields map[string]any) {
	b.close()
	b.kind = kind
	fields["type"] = kind
	b.event("content_block_start", map[string]any{"content_block": fields})
	if b.index == 0 {
		b.send("ping", map[string]any{})
	}
}

func (b *blockWriter) close() {
	if b.kind == "" {
		return
	}
	if b.kind == "thinking" {
		b.delta(map[string]any{"type": "signature_delta", "signature": signature(b.think)})
	}
	b.event("content_block_stop", map[string]any{})
	b.kind = ""
	b.index++
}

// piece sends one piece of an answer.
func (b *blockWriter) piece(c piece) {
	if c.think != "" {
		if b.kind != "thinking" {
			b.open("thinking", map[string]any{"thinking": "", "signature": ""})
		}
		b.think += c.think
		b.delta(map[string]any{"type": "thinking_delta", "thinking": c.think})
	}
	if c.text != "" {
		if b.kind != "text" {
			b.open("text", map[string]any{"text": ""})
		}
		b.delta(map[string]any{"type": "text_delta", "text": c.text})
	}
	if d := c.call; d != nil {
		if d.Name != "" {
			b.open("tool_use", map[string]any{"id": d.ID, "name": d.Name, "input": map[string]any{}})
		}
		if d.Arguments != "" {
			b.delta(map[string]any{"type": "input_json_delta", "partial_json": d.Arguments})
		}
	}
}

func (p play) writeMessage(w http.ResponseWriter, r *http.Request, a said, name string) {
	b := &blockWriter{out: startEvents(w, a.reply.quirks)}
	pieces := a.pieces(name)
	for i, c := range pieces[:p.end(len(pieces))] {
		switch {
		case c.first:
			head := p.messageHead(name)
			if !a.silent {
				head["usage"] = messagesUsage(a, 1)
			}
			if b.out.quirks["usage-null"] {
				head["usage"] = nil
			}
			b.send("message_start", map[string]any{"message": head})
		case i == len(pieces)-1:
			b.close()
			end := map[string]any{"delta": map[string]any{"stop_reason": stopReason(c.finish), "stop_sequence": nil}}
			if c.usage != nil && !b.out.quirks["usage-null"] {
				end["usage"] = messagesUsage(a, a.usage.Output)
			}
			b.send("message_delta", end)
		default:
			b.piece(c)
		}
		if sleep(r.Context(), p.pause(a)) != nil {
			return
		}
	}
	if p.fault != nil {
		switch p.fault.kind {
		case "cut":
			panic(http.ErrAbortHandler)
		case "no-end":
			return
		case "error-event":
			b.out.send("error", messagesFailure(200, "overloaded_error", "Overloaded").body)
			return
		case "stall":
			if sleep(r.Context(), p.fault.max) == nil {
				panic(http.ErrAbortHandler)
			}
			return
		}
	}
	b.send("message_stop", map[string]any{})
}
