package openai

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// decoder turns the events of one answer into chunks.
type decoder struct {
	client *Client
	header http.Header
	yield  func(model.Chunk, error) bool

	finished bool // a finish reason came: the answer is whole
	refused  bool // the text is a refusal
}

// event reads one event and reports whether the answer is over.
func (d *decoder) event(e model.Event) (done bool, err error) {
	text := strings.TrimSpace(string(e.Data))
	switch {
	case text == "[DONE]":
		return true, d.finish()
	case text == "" || text[0] == ':': // a comment that a proxy wrapped
		return false, nil
	case !gjson.Valid(text):
		return true, daruma.Fail(streamOp, daruma.KindBroken, "an event of the stream is no JSON: %s", model.Redact(text[:min(len(text), 200)], d.client.options.Key))
	}
	root := gjson.Parse(text)
	if isError(root) || e.Name == "error" {
		return true, d.client.classify(http.StatusOK, d.header, []byte(text))
	}
	return false, d.answer(root, "delta")
}

// end is the end of the bytes without a [DONE].
func (d *decoder) end() error {
	if d.finished {
		return d.finish()
	}
	return daruma.Fail(streamOp, daruma.KindBroken, "the stream ended without its end mark")
}

func (d *decoder) finish() error { return d.send(model.Chunk{End: true}) }

func (d *decoder) send(c model.Chunk) error {
	if !d.yield(c, nil) {
		return errLeft
	}
	return nil
}

// whole reads an answer that is not a stream.
func (d *decoder) whole(body []byte) error {
	body = []byte(strings.TrimPrefix(string(body), "\ufeff"))
	root := gjson.ParseBytes(body)
	if !gjson.ValidBytes(body) || isError(root) || !root.IsObject() {
		return d.client.classify(http.StatusOK, d.header, body)
	}
	if err := d.answer(root, "message"); err != nil {
		return err
	}
	return d.finish()
}

// isError reports whether an object is an error in place of an answer.
func isError(root gjson.Result) bool {
	if root.IsArray() {
		return isError(root.Get("0"))
	}
	e := root.Get("error")
	if e.IsObject() || e.Type == gjson.String && e.String() != "" {
		return true
	}
	kind := root.Get("object").String()
	return kind == "error" || root.Get("type").String() == "error" ||
		!root.Get("choices").Exists() && (root.Get("errors").IsArray() || root.Get("detail").Exists())
}

// answer reads a piece of an answer, or all of it. part is where the text
// stands: "delta" or "message".
func (d *decoder) answer(root gjson.Result, part string) error {
	c := model.Chunk{Model: root.Get("model").String()}
	var calls []*model.CallDelta
	var last model.Chunk
	choice := gjson.Result{}
	for _, one := range root.Get("choices").Array() {
		if one.Get("index").Int() == 0 {
			choice = one
			break
		}
	}
	delta := choice.Get(part)
	if !delta.Exists() && part == "delta" {
		delta = choice.Get("message") // some stream whole messages
	}
	c.Text = textOf(delta.Get("content"))
	if r := delta.Get("refusal").String(); r != "" {
		c.Text += r
		d.refused = true
	}
	for _, t := range delta.Get("tool_calls").Array() {
		one := callOf(t.Get("function"))
		one.ID = t.Get("id").String()
		if i := t.Get("index"); i.Type == gjson.Number && i.Int() >= 0 && i.Int() < 1<<20 {
			one.Index = int(i.Int())
		}
		calls = append(calls, one)
	}
	if f := delta.Get("function_call"); f.IsObject() {
		calls = append(calls, callOf(f))
	}
	c.Extra = unknown(root, choice, delta)
	if u := root.Get("usage"); u.IsObject() && u.Get("prompt_tokens").Exists() {
		last.Usage = usageOf(u)
	}
	if reason := choice.Get("finish_reason").String(); reason != "" {
		var err error
		if last.Finish, err = d.reason(reason); err != nil {
			return err
		}
		if last.Finish != "" {
			delete(c.Extra, "choices.finish_reason")
		}
		d.finished = true
	}
	if err := d.send(c); err != nil {
		return err
	}
	for _, one := range calls {
		if err := d.send(model.Chunk{Call: one}); err != nil {
			return err
		}
	}
	if last.Usage != nil || last.Finish != "" {
		return d.send(last)
	}
	return nil
}

// reason reads a finish reason. One that says the answer failed is an error;
// one that is not known stays unsaid and is kept among the unknown fields.
func (d *decoder) reason(word string) (daruma.Finish, error) {
	switch strings.ToLower(word) {
	case "stop", "eos", "end_turn", "stop_sequence", "completed":
		if d.refused {
			return daruma.FinishFilter, nil
		}
		return daruma.FinishStop, nil
	case "tool_calls", "function_call", "tool_use":
		return daruma.FinishTools, nil
	case "length", "max_tokens", "max_output_tokens", "incomplete", "model_length":
		return daruma.FinishLength, nil
	case "content_filter", "safety", "refusal", "recitation", "prohibited_content":
		return daruma.FinishFilter, nil
	case "error", "network_error", "malformed_function_call", "abort", "insufficient_system_resource":
		return "", daruma.Fail(streamOp, daruma.KindBroken, "the answer ended with finish reason %q", word)
	}
	return "", nil
}

// callOf reads a function; arguments that came as an object and not as a text
// are kept as written.
func callOf(f gjson.Result) *model.CallDelta {
	one := &model.CallDelta{Index: -1, Name: f.Get("name").String()}
	switch a := f.Get("arguments"); a.Type {
	case gjson.String:
		one.Arguments = a.String()
	case gjson.Null:
	default:
		one.Arguments = a.Raw
	}
	return one
}

// textOf reads a content: a text, or parts of which some are text.
func textOf(v gjson.Result) string {
	if !v.IsArray() {
		if v.Type == gjson.String {
			return v.String()
		}
		return ""
	}
	var b strings.Builder
	for _, p := range v.Array() {
		if t := p.Get("type").String(); t == "text" || t == "output_text" {
			b.WriteString(p.Get("text").String())
		}
	}
	return b.String()
}

func usageOf(u gjson.Result) *daruma.Usage {
	count := func(path string) int64 { return max(u.Get(path).Int(), 0) }
	out := &daruma.Usage{
		Input:     count("prompt_tokens"),
		Output:    count("completion_tokens"),
		Cached:    count("prompt_tokens_details.cached_tokens"),
		Reasoning: count("completion_tokens_details.reasoning_tokens"),
	}
	if hit := u.Get("prompt_cache_hit_tokens"); hit.Exists() && out.Cached == 0 { // DeepSeek
		out.Cached = max(hit.Int(), 0)
	}
	out.Cached = min(out.Cached, out.Input)
	out.Reasoning = min(out.Reasoning, out.Output)
	return out
}

// unknown collects the fields that this package does not read, by path.
func unknown(root, choice, delta gjson.Result) map[string]json.RawMessage {
	var out map[string]json.RawMessage
	collect := func(v gjson.Result, prefix string, known ...string) {
		v.ForEach(func(k, field gjson.Result) bool {
			for _, name := range known {
				if k.String() == name {
					return true
				}
			}
			if field.Type != gjson.Null {
				if out == nil {
					out = make(map[string]json.RawMessage)
				}
				out[prefix+k.String()] = json.RawMessage(field.Raw)
			}
			return true
		})
	}
	collect(root, "", "object", "created", "model", "choices")
	if choice.IsObject() {
		collect(choice, "choices.", "index", "delta", "message")
	}
	if delta.IsObject() {
		collect(delta, "delta.", "role", "content", "tool_calls", "function_call", "refusal")
		if v := delta.Get("content"); v.IsArray() {
			collect(gjson.Parse(`{"parts":`+v.Raw+`}`), "delta.content.")
		}
	}
	return out
}
