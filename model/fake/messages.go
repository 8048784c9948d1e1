package fake

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
)

// serveMessages answers as Anthropic does.
func (f *Fake) serveMessages(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		messagesFailure(413, "request_too_large", "Request exceeds the maximum size").write(w)
		return
	}
	if r.Header.Get("Anthropic-Version") == "" {
		messagesFailure(400, "invalid_request_error", "anthropic-version: header is required").write(w)
		return
	}
	if !gjson.ValidBytes(body) {
		messagesFailure(400, "invalid_request_error", "The request body is not valid JSON").write(w)
		return
	}
	root := gjson.ParseBytes(body)
	if wrong := checkMessages(root); wrong != "" {
		messagesFailure(400, "invalid_request_error", wrong).write(w)
		return
	}
	name := root.Get("model").String()
	s := sceneOfMessages(root)
	p, bad := f.askModel(name, s)
	w.Header().Set("Request-Id", fmt.Sprintf("req_fake_%d", p.id))
	if bad != nil {
		bad.asMessages(name).write(w)
		return
	}
	if p.fault != nil {
		if a, ok := answerOf(p.fault); ok {
			a.asMessages(name).write(w)
			return
		}
		switch p.fault.kind {
		case "reset":
			reset(w)
			return
		case "hang":
			if sleep(r.Context(), p.fault.max) == nil {
				messagesFailure(504, "timeout_error", "The scripted server hung.").write(w)
			}
			return
		}
	}
	a := p.speak(s)
	if kind := root.Get("thinking.type").String(); kind == "" || kind == "disabled" {
		a.think = ""
	}
	if sleep(r.Context(), a.reply.delay) != nil {
		return
	}
	if !root.Get("stream").Bool() {
		p.writeWhole(w, r, p.message(a, name), messagesFailure(200, "overloaded_error", "Overloaded"))
		return
	}
	p.writeMessage(w, r, a, name)
}

// sceneOfMessages reads the conversation of a request: every text of the user
// and every result is a message of its own.
func sceneOfMessages(root gjson.Result) *scene {
	s := &scene{}
	if system := textOf(root.Get("system")); system != "" {
		s.messages = append(s.messages, daruma.Message{Role: daruma.RoleSystem, Text: system})
	}
	for _, m := range root.Get("messages").Array() {
		if m.Get("role").String() == "user" {
			s.messages = append(s.messages, userMessages(m.Get("content"))...)
			continue
		}
		msg := daruma.Message{Role: daruma.RoleAssistant}
		for _, b := range blocksOf(m.Get("content")) {
			switch b.Get("type").String() {
			case "text":
				msg.Text += b.Get("text").String()
			case "tool_use":
				msg.Calls = append(msg.Calls, daruma.ToolCall{ID: b.Get("id").String(), Name: b.Get("name").String(), Arguments: b.Get("input").Raw})
			}
		}
		s.messages = append(s.messages, msg)
	}
	for _, t := range root.Get("tools").Array() {
		s.tools = append(s.tools, t.Get("name").String())
	}
	return s
}

func userMessages(content gjson.Result) (all []daruma.Message) {
	for _, b := range blocksOf(content) {
		switch b.Get("type").String() {
		case "text":
			all = append(all, daruma.Message{Role: daruma.RoleUser, Text: b.Get("text").String()})
		case "tool_result":
			all = append(all, daruma.Message{
				Role: daruma.RoleTool, CallID: b.Get("tool_use_id").String(), Text: textOf(b.Get("content")), Error: b.Get("is_error").Bool(),
			})
		}
	}
	return all
}

// blocksOf returns the blocks of a content, which may be a text.
func blocksOf(content gjson.Result) []gjson.Result {
	if content.Type == gjson.String {
		return []gjson.Result{gjson.Parse(`{"type":"text","text":` + content.Raw + `}`)}
	}
	return content.Array()
}

// signature is what a block of thinking is signed with.
func signature(text string) string {
	sum := sha256.Sum256([]byte("fake thinking " + text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func messagesFailure(status int, kind, text string) failed {
	b, _ := json.Marshal(map[string]any{"type": "error", "error": map[string]string{"type": kind, "message": text}, "request_id": "req_fake"}) // strings always encode
	return failed{status, http.Header{"Content-Type": {"application/json"}}, string(b)}
}

// asMessages is the same failure as Anthropic would say it.
func (a failed) asMessages(name string) failed {
	if a.header.Get("Content-Type") == "text/html; charset=utf-8" {
		return a
	}
	e := gjson.Get(a.body, "error")
	var out failed
	switch text := e.Get("message").String(); {
	case !gjson.Valid(a.body):
		out = failed{status: a.status, header: http.Header{"Content-Type": {"application/json"}}, body: `{"id":"msg_1","type":"message","content":[{"ty`}
	case e.Get("code").String() == "context_length_exceeded":
		out = messagesFailure(400, "invalid_request_error", "prompt is too long: 9001 tokens > 8192 maximum")
	case e.Get("code").String() == "insufficient_quota":
		out = messagesFailure(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.")
	case e.Get("code").String() == "model_not_found":
		out = messagesFailure(404, "not_found_error", "model: "+name)
	default:
		out = messagesFailure(a.status, messagesKind(a.status), text)
	}
	for k, v := range a.header {
		if k != "Content-Type" {
			out.header[k] = v
		}
	}
	return out
}

// messagesKind is the type of error that goes with a status.
func messagesKind(status int) string {
	switch status {
	case 401:
		return "authentication_error"
	case 402:
		return "billing_error"
	case 403:
		return "permission_error"
	case 404:
		return "not_found_error"
	case 409:
		return "conflict_error"
	case 413:
		return "request_too_large"
	case 429:
		return "rate_limit_error"
	case 504:
		return "timeout_error"
	case 529:
		return "overloaded_error"
	}
	if status >= 400 && status < 500 {
		return "invalid_request_error"
	}
	return "api_error"
}
