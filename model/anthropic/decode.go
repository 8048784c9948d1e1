package anthropic

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// decoder turns the events of one answer into chunks.
type decoder struct {
	client *Client
	model  string            // as the request names it
	names  map[string]string // of the tools, by their names on the wire
	header http.Header
	yield  func(model.Chunk, error) bool

	usage  usage
	blocks []*block       // in the order they began
	at     map[int]*block // by the index the provider gives
	calls  int
	finish daruma.Finish
}

// event reads one event and reports whether the answer is over.
func (d *decoder) event(e model.Event) (done bool, err error) {
	text := strings.TrimSpace(string(e.Data))
	switch {
	case text == "" || text[0] == ':': // a comment that a proxy wrapped
		return false, nil
	case !gjson.Valid(text):
		return true, daruma.Fail(streamOp, daruma.KindBroken, "an event of the stream is no JSON: %s", model.Redact(text[:min(len(text), 200)], d.client.options.Key))
	}
	root := gjson.Parse(text)
	if isError(root) || e.Name == "error" {
		return true, d.client.classify(http.StatusOK, d.header, []byte(text))
	}
	kind := root.Get("type").String()
	if kind == "" {
		kind = e.Name
	}
	switch kind {
	case "ping", "content_block_stop":
	case "message_start":
		err = d.head(root.Get("message"))
	case "content_block_start":
		err = d.begin(int(root.Get("index").Int()), root.Get("content_block"))
	case "content_block_delta":
		err = d.more(int(root.Get("index").Int()), root.Get("delta"))
	case "message_delta":
		if d.usage.add(root.Get("usage")) {
			err = d.bill()
		}
		if err == nil {
			err = d.stop(root.Get("delta"), keep(nil, "", root, "type", "delta"))
		}
	case "message_stop":
		return true, d.end()
	default:
		err = d.send(model.Chunk{Extra: map[string]json.RawMessage{"event." + kind: json.RawMessage(text)}})
	}
	return err != nil, err
}

// send hands a chunk on. What the call has cost so far goes in front of the
// first piece of the answer, so that it is not taken for one.
func (d *decoder) send(c model.Chunk) error {
	if c.Text != "" || c.Call != nil || c.Finish != "" || c.End {
		if err := d.bill(); err != nil {
			return err
		}
	}
	if !d.yield(c, nil) {
		return errLeft
	}
	return nil
}

// bill says what the call has cost, where that is news.
func (d *decoder) bill() error {
	if !d.usage.news {
		return nil
	}
	d.usage.news = false
	if !d.yield(model.Chunk{Usage: d.usage.total()}, nil) {
		return errLeft
	}
	return nil
}

// head reads the beginning of a message.
func (d *decoder) head(m gjson.Result) error {
	d.usage.add(m.Get("usage"))
	c := model.Chunk{Model: m.Get("model").String(), Extra: keep(nil, "", m, "type", "role", "model", "content", "stop_reason")}
	if id := d.header.Get("Request-Id"); id != "" {
		b, _ := json.Marshal(id) // strings always encode
		if c.Extra == nil {
			c.Extra = make(map[string]json.RawMessage)
		}
		c.Extra["request_id"] = b
	}
	return d.send(c)
}

// stop reads why the model stopped. A word that says the answer failed is an
// error.
func (d *decoder) stop(delta gjson.Result, extra map[string]json.RawMessage) error {
	extra = keep(extra, "", delta, "stop_reason")
	c := model.Chunk{}
	switch word := delta.Get("stop_reason").String(); word {
	case "":
	case "end_turn", "stop_sequence":
		c.Finish = daruma.FinishStop
	case "tool_use":
		c.Finish = daruma.FinishTools
	case "max_tokens", "model_context_window_exceeded":
		c.Finish = daruma.FinishLength
	case "refusal":
		c.Finish = daruma.FinishFilter
	case "error", "network_error", "abort":
		return daruma.Fail(streamOp, daruma.KindBroken, "the answer ended with stop reason %q", word)
	}
	if !slices.Contains([]string{"end_turn", "tool_use", "max_tokens", "refusal"}, delta.Get("stop_reason").String()) {
		extra = keep(extra, "", delta, "stop_sequence", "stop_details", "container")
	}
	c.Extra = extra
	if c.Finish != "" {
		d.finish = c.Finish
	}
	return d.send(c)
}

// end is the end mark.
func (d *decoder) end() error {
	for _, b := range d.blocks {
		// Without arguments of its own a call has those it began with, unless
		// the model was stopped before it could write any.
		if b.kind == "tool_use" && !b.wrote && b.input != "" && (d.finish == daruma.FinishTools || d.finish == daruma.FinishStop) {
			if err := d.send(model.Chunk{Call: &model.CallDelta{Index: b.call, Arguments: b.input}}); err != nil {
				return err
			}
		}
	}
	native, err := d.native()
	if err != nil {
		return err
	}
	return d.send(model.Chunk{Native: native, End: true})
}

// whole reads an answer that is not a stream.
func (d *decoder) whole(body []byte) error {
	body = []byte(strings.TrimPrefix(string(body), "\ufeff"))
	root := gjson.ParseBytes(body)
	if !gjson.ValidBytes(body) || !root.IsObject() || isError(root) || !root.Get("content").IsArray() {
		return d.client.classify(http.StatusOK, d.header, body)
	}
	if err := d.head(root); err != nil {
		return err
	}
	for i, b := range root.Get("content").Array() {
		if err := d.begin(i, b); err != nil {
			return err
		}
	}
	if err := d.stop(root, nil); err != nil {
		return err
	}
	return d.end()
}

// isError reports whether an object is an error in place of an answer.
func isError(root gjson.Result) bool {
	e := root.Get("error")
	return root.Get("type").String() == "error" || e.IsObject() || e.Type == gjson.String && e.String() != "" ||
		!root.Get("type").Exists() && (root.Get("errors").IsArray() || root.Get("detail").Exists())
}

// keep puts the fields of v that are not known into out, by path.
func keep(out map[string]json.RawMessage, prefix string, v gjson.Result, known ...string) map[string]json.RawMessage {
	if !v.IsObject() {
		return out
	}
	v.ForEach(func(k, field gjson.Result) bool {
		if !slices.Contains(known, k.String()) && field.Type != gjson.Null {
			if out == nil {
				out = make(map[string]json.RawMessage)
			}
			out[prefix+k.String()] = json.RawMessage(field.Raw)
		}
		return true
	})
	return out
}

// usage is what a call has cost. Counts come several times and are totals, in
// part or in whole: the largest counts.
type usage struct {
	input, read, written, output, reasoning int64
	known, news                             bool
}

// add reads counts and reports whether there were any.
func (u *usage) add(v gjson.Result) bool {
	if !v.IsObject() || !v.Get("input_tokens").Exists() && !v.Get("output_tokens").Exists() {
		return false
	}
	for path, n := range map[string]*int64{
		"input_tokens": &u.input, "cache_read_input_tokens": &u.read, "cache_creation_input_tokens": &u.written,
		"output_tokens": &u.output, "output_tokens_details.thinking_tokens": &u.reasoning,
	} {
		*n = max(*n, v.Get(path).Int())
	}
	u.known, u.news = true, true
	return true
}

func (u *usage) total() *daruma.Usage {
	in := daruma.Usage{Input: u.input}.Plus(daruma.Usage{Input: u.read}).Plus(daruma.Usage{Input: u.written})
	return &daruma.Usage{Input: in.Input, Output: u.output, Cached: u.read, Reasoning: min(u.reasoning, u.output)}
}
