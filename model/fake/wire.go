package fake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

func (f *Fake) serveChat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		failed{413, nil, errorBody("", "invalid_request_error", "the request is too large")}.write(w)
		return
	}
	s, name, stream, usage, err := sceneOf(body)
	if err != nil {
		failed{400, nil, errorBody("", "invalid_request_error", err.Error())}.write(w)
		return
	}
	p, bad := f.askModel(name, s)
	if bad != nil {
		bad.write(w)
		return
	}
	if p.fault != nil {
		if a, ok := answerOf(p.fault); ok {
			a.write(w)
			return
		}
		switch p.fault.kind {
		case "reset":
			reset(w)
			return
		case "hang":
			if sleep(r.Context(), p.fault.max) == nil {
				failed{504, nil, errorBody("", "timeout", "The scripted server hung.")}.write(w)
			}
			return
		}
	}
	a := p.speak(s)
	if sleep(r.Context(), a.reply.delay) != nil {
		return
	}
	if !stream {
		f.writeWhole(w, r, p, a, name)
		return
	}
	f.writeStream(w, r, p, a, name, usage)
}

// event is one SSE event of a chat completion.
func (p play) event(c piece, usage bool) any {
	delta := map[string]any{}
	if c.first {
		delta["role"], delta["content"] = "assistant", ""
	}
	if c.text != "" {
		delta["content"] = c.text
	}
	if c.think != "" {
		delta["reasoning_content"] = c.think
	}
	if d := c.call; d != nil {
		fn := map[string]any{"arguments": d.Arguments}
		one := map[string]any{"function": fn}
		if d.Name != "" {
			fn["name"], one["type"] = d.Name, "function"
		}
		if d.ID != "" {
			one["id"] = d.ID
		}
		if d.Index >= 0 {
			one["index"] = d.Index
		}
		delta["tool_calls"] = []any{one}
	}
	choice := map[string]any{"index": 0, "delta": delta, "finish_reason": nil}
	if c.finish != "" {
		choice["finish_reason"] = c.finish
	}
	e := p.head(c.model, "chat.completion.chunk")
	e["choices"] = []any{choice}
	if usage {
		e["usage"] = nil
	}
	return e
}

func (p play) head(name, object string) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("chatcmpl-fake-%d", p.id), "object": object, "created": 1700000000 + p.id,
		"model": name, "system_fingerprint": "fp_fake",
	}
}

func usageOf(a said) map[string]any {
	return map[string]any{
		"prompt_tokens": a.usage.Input, "completion_tokens": a.usage.Output, "total_tokens": a.usage.Total(),
		"prompt_tokens_details":     map[string]any{"cached_tokens": a.usage.Cached},
		"completion_tokens_details": map[string]any{"reasoning_tokens": a.usage.Reasoning},
	}
}

func (f *Fake) writeStream(w http.ResponseWriter, r *http.Request, p play, a said, name string, usage bool) {
	out := startEvents(w, a.reply.quirks)
	pieces := a.pieces(name)
	for _, c := range pieces[:p.end(len(pieces))] {
		b, _ := json.Marshal(p.event(c, usage)) // maps of plain values always encode
		out.send("", string(b))
		if sleep(r.Context(), p.pause(a)) != nil {
			return
		}
		if c.usage != nil && usage {
			e := p.head(name, "chat.completion.chunk")
			e["choices"], e["usage"] = []any{}, usageOf(a)
			if out.quirks["usage-null"] {
				e["usage"] = nil
			}
			b, _ := json.Marshal(e)
			out.send("", string(b))
		}
	}
	if p.fault != nil {
		switch p.fault.kind {
		case "cut":
			panic(http.ErrAbortHandler)
		case "no-end":
			return
		case "error-event":
			out.send("", errorBody("", "overloaded_error", "Overloaded"))
			return
		case "stall":
			if sleep(r.Context(), p.fault.max) == nil {
				panic(http.ErrAbortHandler)
			}
			return
		}
	}
	out.send("", "[DONE]")
}

// writeWhole answers without a stream. Faults that need one become what they
// look like without.
func (f *Fake) writeWhole(w http.ResponseWriter, r *http.Request, p play, a said, name string) {
	msg := map[string]any{"role": "assistant", "content": a.text}
	if a.text == "" {
		msg["content"] = nil
	}
	if a.think != "" {
		msg["reasoning_content"] = a.think
	}
	var calls []any
	for _, c := range a.calls {
		calls = append(calls, map[string]any{"id": c.ID, "type": "function", "function": map[string]any{"name": c.Name, "arguments": c.Arguments}})
	}
	if calls != nil {
		msg["tool_calls"] = calls
	}
	choice := map[string]any{"index": 0, "message": msg, "finish_reason": a.finish}
	if a.finish == "none" {
		choice["finish_reason"] = nil
	}
	e := p.head(name, "chat.completion")
	e["choices"] = []any{choice}
	if !a.silent {
		e["usage"] = usageOf(a)
	}
	p.writeWhole(w, r, e, failed{200, http.Header{"Content-Type": {"application/json"}}, errorBody("", "overloaded_error", "Overloaded")})
}

// writeWhole sends a whole answer, or what a fault makes of it; bad stands for
// an error in the middle of one.
func (p play) writeWhole(w http.ResponseWriter, r *http.Request, e any, bad failed) {
	if p.fault == nil {
		answer(w, 200, e)
		return
	}
	switch p.fault.kind {
	case "cut", "no-end", "stall":
		b, _ := json.Marshal(e)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.WriteHeader(200)
		w.Write(b[:len(b)/2])
		http.NewResponseController(w).Flush()
		if p.fault.kind == "stall" && sleep(r.Context(), p.fault.max) != nil {
			return
		}
		panic(http.ErrAbortHandler)
	case "error-event":
		bad.write(w)
		return
	case "drip":
		if sleep(r.Context(), p.fault.every) != nil {
			return
		}
	}
	answer(w, 200, e)
}
