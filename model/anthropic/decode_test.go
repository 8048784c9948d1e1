package anthropic

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

var (
	begin = event(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m-2","content":[],"stop_reason":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":40,"cache_read_input_tokens":500,"output_tokens":1,"service_tier":"standard"}}}`)
	over  = event(`{"type":"message_stop"}`)
	done  = stop("end_turn") + over
	ping  = event(`{"type":"ping"}`)
)

func start(index int, block string) string {
	return event(fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":%s}`, index, block))
}

func delta(index int, d string) string {
	return event(fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":%s}`, index, d))
}

func end(index int) string {
	return event(fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, index))
}

// text is a whole block of text.
func text(s string) string {
	return start(0, `{"type":"text","text":""}`) + delta(0, `{"type":"text_delta","text":"`+s+`"}`) + end(0)
}

// tool is a whole call; its arguments come in these parts.
func tool(index int, id, name string, parts ...string) string {
	s := start(index, `{"type":"tool_use","id":"`+id+`","name":"`+name+`","input":{}}`)
	for _, p := range parts {
		s += delta(index, fmt.Sprintf(`{"type":"input_json_delta","partial_json":%q}`, p))
	}
	return s + end(index)
}

func stop(reason string) string {
	return event(`{"type":"message_delta","delta":{"stop_reason":"` + reason + `","stop_sequence":null},"usage":{"output_tokens":12}}`)
}

func TestTranscripts(t *testing.T) {
	const whole = `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[%s],"stop_reason":"%s","usage":{"input_tokens":1,"output_tokens":1}}`
	for name, c := range map[string]struct {
		kind, body string
		want       string // text and calls
		finish     daruma.Finish
		fails      daruma.Kind
	}{
		"plain":                             {sse, begin + ping + text("Hi") + done, "Hi", daruma.FinishStop, 0},
		"no stop reason":                    {sse, begin + text("Hi") + over, "Hi", "", 0},
		"no message_stop":                   {sse, begin + text("Hi") + stop("end_turn"), "", "", daruma.KindBroken},
		"DONE in place of message_stop":     {sse, begin + text("Hi") + stop("end_turn") + "data: [DONE]\n\n", "", "", daruma.KindBroken},
		"DONE behind it":                    {sse, begin + text("Hi") + done + "data: [DONE]\n\n", "Hi", daruma.FinishStop, 0},
		"a cut call":                        {sse, begin + tool(0, "a", "f", `{"x":`), "", "", daruma.KindBroken},
		"nothing":                           {sse, "", "", "", daruma.KindBroken},
		"pings alone":                       {sse, ping + ping, "", "", daruma.KindBroken},
		"empty answer":                      {sse, begin + done, "", "", daruma.KindBroken},
		"thinking alone is no answer":       {sse, begin + start(0, `{"type":"thinking","thinking":"","signature":""}`) + delta(0, `{"type":"thinking_delta","thinking":"So."}`) + end(0) + done, "", "", daruma.KindBroken},
		"thinking is not the text":          {sse, begin + start(0, `{"type":"thinking","thinking":"","signature":""}`) + delta(0, `{"type":"thinking_delta","thinking":"So."}`) + delta(0, `{"type":"signature_delta","signature":"c2ln"}`) + end(0) + strings.ReplaceAll(text("Hi"), `"index":0`, `"index":1`) + done, "Hi", daruma.FinishStop, 0},
		"without names of events":           {sse, strings.ReplaceAll(strings.ReplaceAll(begin+text("Hi")+done, "event: ", "id: "), "id: ", ": "), "Hi", daruma.FinishStop, 0},
		"names alone":                       {sse, strings.NewReplacer(`"type":"message_stop"`, `"x":1`, `"type":"ping"`, `"x":1`).Replace(begin + ping + text("Hi") + done), "Hi", daruma.FinishStop, 0},
		"unknown events":                    {sse, event(`{"type":"weather","sun":true}`) + begin + text("Hi") + done, "Hi", daruma.FinishStop, 0},
		"no message_start":                  {sse, text("Hi") + done, "Hi", daruma.FinishStop, 0},
		"usage null":                        {sse, event(`{"type":"message_start","message":{"usage":null}}`) + text("Hi") + done, "Hi", daruma.FinishStop, 0},
		"text that stands in the beginning": {sse, begin + start(0, `{"type":"text","text":"Hi"}`) + delta(0, `{"type":"text_delta","text":" there"}`) + done, "Hi there", daruma.FinishStop, 0},
		"two texts":                         {sse, begin + text("Hi") + text(" there") + done, "Hi there", daruma.FinishStop, 0},
		"a piece of no block":               {sse, begin + delta(0, `{"type":"text_delta","text":"Hi"}`) + done, "", "", daruma.KindBroken},
		"overloaded in the stream":          {sse, begin + text("Hi") + event(`{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}`), "", "", daruma.KindUnavailable},
		"overloaded at once":                {sse, event(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), "", "", daruma.KindUnavailable},
		"rate limit in the stream":          {sse, begin + event(`{"type":"error","error":{"type":"rate_limit_error","message":"x"}}`), "", "", daruma.KindRateLimited},
		"filtered in the stream":            {sse, begin + event(`{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}`), "", "", daruma.KindRefused},
		"an error of another shape":         {sse, begin + "event: error\ndata: {\"message\":\"boom\",\"type\":\"api_error\"}\n\n", "", "", daruma.KindUnavailable},
		"an event cut in the middle":        {sse, begin + "data: {\"type\":\"content_bl\n\n" + done, "", "", daruma.KindBroken},
		"a call":                            {sse, begin + tool(0, "a", "f", "", `{"x"`, `: 1}`) + stop("tool_use") + over, `f({"x": 1})`, daruma.FinishTools, 0},
		"parallel calls":                    {sse, begin + text("Both.") + tool(1, "a", "f", `{"x":1}`) + tool(2, "b", "f", `{"x":2}`) + stop("tool_use") + over, `Both.f({"x":1})f({"x":2})`, daruma.FinishTools, 0},
		"mixed pieces of calls":             {sse, begin + start(1, `{"type":"tool_use","id":"a","name":"f","input":{}}`) + start(2, `{"type":"tool_use","id":"b","name":"g","input":{}}`) + delta(1, `{"type":"input_json_delta","partial_json":"{}"}`) + delta(2, `{"type":"input_json_delta","partial_json":"[]"}`) + stop("tool_use") + over, `f({})g([])`, daruma.FinishTools, 0},
		"no arguments":                      {sse, begin + tool(0, "a", "f") + stop("tool_use") + over, `f({})`, daruma.FinishTools, 0},
		"no arguments because of the limit": {sse, begin + tool(0, "a", "f") + stop("max_tokens") + over, `f()`, daruma.FinishLength, 0},
		"broken arguments stay broken":      {sse, begin + tool(0, "a", "f", `{"x":`) + stop("max_tokens") + over, `f({"x":)`, daruma.FinishLength, 0},
		"arguments at the beginning":        {sse, begin + start(0, `{"type":"tool_use","id":"a","name":"f","input":{"x":1}}`) + end(0) + stop("tool_use") + over, `f({"x":1})`, daruma.FinishTools, 0},
		"arguments twice":                   {sse, begin + start(0, `{"type":"tool_use","id":"a","name":"f","input":{"x":1}}`) + delta(0, `{"type":"input_json_delta","partial_json":"{\"x\":2}"}`) + stop("tool_use") + over, `f({"x":2})`, daruma.FinishTools, 0},
		"calls under end_turn":              {sse, begin + tool(0, "a", "f", "{}") + done, `f({})`, daruma.FinishTools, 0},
		"stop_sequence":                     {sse, begin + text("Hi") + stop("stop_sequence") + over, "Hi", daruma.FinishStop, 0},
		"max_tokens":                        {sse, begin + text("Hi") + stop("max_tokens") + over, "Hi", daruma.FinishLength, 0},
		"max_tokens before a word":          {sse, begin + stop("max_tokens") + over, "", daruma.FinishLength, 0},
		"the window is full":                {sse, begin + text("Hi") + stop("model_context_window_exceeded") + over, "Hi", daruma.FinishLength, 0},
		"refusal":                           {sse, begin + stop("refusal") + over, "", daruma.FinishFilter, 0},
		"refusal in the middle":             {sse, begin + text("Hi") + stop("refusal") + over, "Hi", daruma.FinishFilter, 0},
		"pause_turn is not the end":         {sse, begin + text("Hi") + stop("pause_turn") + over, "Hi", "", 0},
		"unknown reason":                    {sse, begin + text("Hi") + stop("because") + over, "Hi", "", 0},
		"a reason that is a failure":        {sse, begin + text("Hi") + stop("network_error") + over, "", "", daruma.KindBroken},
		"BOM and CRLF":                      {sse, "\xef\xbb\xbf" + strings.ReplaceAll(begin+text("Hi")+done, "\n", "\r\n"), "Hi", daruma.FinishStop, 0},
		"a stream called JSON":              {"application/json", begin + text("Hi") + done, "Hi", daruma.FinishStop, 0},
		"a page":                            {"text/html", "<html><title>Sign in</title></html>", "", "", daruma.KindBroken},
		"a page called a stream":            {sse, "\n<!doctype html><html></html>", "", "", daruma.KindBroken},
		"an error called a stream":          {sse, `{"type":"error","error":{"type":"overloaded_error","message":"x"}}`, "", "", daruma.KindUnavailable},
		"a whole answer":                    {"application/json", fmt.Sprintf(whole, `{"type":"text","text":"Hi"}`, "end_turn"), "Hi", daruma.FinishStop, 0},
		"whole calls":                       {"application/json", fmt.Sprintf(whole, `{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"g","input":{"x":1}}`, "tool_use"), `f({})g({"x":1})`, daruma.FinishTools, 0},
		"a whole answer without a reason":   {"application/json", strings.Replace(fmt.Sprintf(whole, `{"type":"text","text":"Hi"}`, "x"), `"x"`, "null", 1), "Hi", "", 0},
		"a whole answer cut":                {"application/json", `{"type":"message","content":[{"ty`, "", "", daruma.KindBroken},
		"a whole error":                     {"application/json", `{"type":"error","error":{"type":"rate_limit_error","message":"x"}}`, "", "", daruma.KindRateLimited},
		"another dialect":                   {"application/json", `{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}`, "", "", daruma.KindBroken},
		"another dialect, streamed":         {sse, "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", "", "", daruma.KindBroken},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := model.Collect(answers(t, c.kind, c.body).Stream(t.Context(), hello))
			if got := daruma.KindOf(err); got != c.fails || (err != nil) != (c.fails != 0) {
				t.Fatalf("%v, want kind %s", err, c.fails)
			}
			if err != nil {
				return
			}
			got := r.Message.Text
			for _, call := range r.Message.Calls {
				got += call.Name + "(" + call.Arguments + ")"
			}
			if got != c.want || r.Finish != c.finish {
				t.Errorf("%q, finish %q, want %q, %q", got, r.Finish, c.want, c.finish)
			}
		})
	}
}

func TestUsageAndUnknownFields(t *testing.T) {
	body := begin + start(0, `{"type":"text","text":"","citations":[]}`) + delta(0, `{"type":"text_delta","text":"4"}`) +
		delta(0, `{"type":"citations_delta","citation":{"title":"t"}}`) + event(`{"type":"weather","sun":true}`) +
		event(`{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END"},"usage":{"input_tokens":0,"output_tokens":12,"output_tokens_details":{"thinking_tokens":5}},"context_management":{"applied":[]}}`) + over
	r, err := model.Collect(answers(t, sse, body).Stream(t.Context(), hello))
	if err != nil {
		t.Fatal(err)
	}
	if want := (daruma.Usage{Input: 543, Output: 12, Cached: 500, Reasoning: 5}); r.Usage != want || !r.UsageKnown || r.Model != "m-2" {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{
		"id": `"msg_1"`, "request_id": `"req_1"`, "stop_sequence": `"END"`, "stop_reason": `"stop_sequence"`, "delta.citation": `{"title":"t"}`,
		"content.citations": "[]", "event.weather": `{"type":"weather","sun":true}`, "context_management": `{"applied":[]}`,
	} {
		if got := string(r.Extra[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if !strings.Contains(string(r.Extra["usage"]), "thinking_tokens") {
		t.Errorf("usage is %s", r.Extra["usage"])
	}
	r, err = model.Collect(answers(t, sse, begin+event(`{"type":"error","error":{"type":"overloaded_error","message":"x"}}`)).Stream(t.Context(), hello))
	if err == nil || r.Usage.Input != 543 {
		t.Errorf("what a failed answer cost: %+v %v", r.Usage, err)
	}
}

// FuzzSplit: however a stream is split, the client says the same, and what is
// not ended by message_stop never ends well.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		begin + text("Grüße") + done, begin + tool(0, "a", "f", `{"x":1}`) + stop("tool_use") + over,
		begin + start(0, `{"type":"thinking","thinking":"","signature":""}`) + delta(0, `{"type":"signature_delta","signature":"x"}`) + text("Hi") + done,
		begin + start(0, `{"type":"server_tool_use","id":"s","name":"n","input":{}}`) + delta(0, `{"type":"input_json_delta","partial_json":"{}"}`) + text("Hi") + done,
		event(`{"type":"error","error":{"type":"overloaded_error"}}`), "data: {}\r\r", `{"type":"message","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn"}`,
	} {
		f.Add([]byte(s), []byte{1, 1, 2, 3, 1, 0, 7})
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		whole, one := said(t, bytes.NewReader(data)), said(t, &splits{data, cuts})
		if whole != one {
			t.Errorf("split: %s, whole: %s", one, whole)
		}
		if strings.Contains(whole, "END") && !bytes.Contains(data, []byte("message_stop")) && !bytes.Contains(data, []byte(`\u`)) {
			t.Errorf("an end without its mark: %s", whole)
		}
	})
}

// splits reads its bytes in pieces whose sizes are the bytes of cuts.
type splits struct {
	data, cuts []byte
}

func (s *splits) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := len(s.data)
	if len(s.cuts) > 0 {
		n, s.cuts = min(n, int(s.cuts[0])%16), s.cuts[1:]
	}
	n = copy(p, s.data[:min(n, len(p))])
	s.data = s.data[n:]
	return n, nil
}

func said(t *testing.T, r io.Reader) string {
	d := &decoder{client: answers(t, sse, ""), model: "m"}
	out := ""
	d.yield = func(c model.Chunk, _ error) bool {
		out += fmt.Sprintf("%q %v %v %s %d;", c.Text, c.Call, c.Usage, c.Finish, len(c.Extra))
		if c.Native != nil {
			out += string(c.Native.Content)
		}
		if c.End {
			out += "END"
		}
		return true
	}
	in := model.NewEvents(r)
	for {
		e, err := in.Next()
		if err != nil {
			return out + err.Error()
		}
		if done, err := d.event(e); done || err != nil {
			return out + fmt.Sprint(err)
		}
	}
}
