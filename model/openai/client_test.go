package openai

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

var hello = &model.Request{Model: "m", Messages: []daruma.Message{{Role: daruma.RoleUser, Text: "hello"}}}

// roundTrip answers requests without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func client(t testing.TB, o Options, answer roundTrip) *Client {
	t.Helper()
	o.HTTP = &http.Client{Transport: answer}
	if o.BaseURL == "" {
		o.BaseURL = "http://model.test/v1"
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func response(status int, kind string, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body)}
}

func answers(t testing.TB, kind, body string) *Client {
	return client(t, Options{}, func(*http.Request) (*http.Response, error) {
		return response(200, kind, strings.NewReader(body)), nil
	})
}

const sse = "text/event-stream"

func TestTranscripts(t *testing.T) {
	const role = `data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
	text := func(s string) string {
		return `data: {"choices":[{"index":0,"delta":{"content":"` + s + `"}}]}` + "\n\n"
	}
	const stop = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	const done = "data: [DONE]\n\n"
	for name, c := range map[string]struct {
		kind, body string
		want       string // text and calls
		finish     daruma.Finish
		fails      daruma.Kind
	}{
		"plain":                         {sse, role + text("Hi") + text(" there") + stop + done, "Hi there", daruma.FinishStop, 0},
		"no DONE":                       {sse, role + text("Hi") + stop, "Hi", daruma.FinishStop, 0},
		"no DONE, no last empty line":   {sse, role + text("Hi") + strings.TrimRight(stop, "\n"), "Hi", daruma.FinishStop, 0},
		"no finish":                     {sse, role + text("Hi") + done, "Hi", "", 0},
		"neither":                       {sse, role + text("Hi"), "", "", daruma.KindBroken},
		"nothing":                       {sse, "", "", "", daruma.KindBroken},
		"comments alone":                {sse, ": hi\n\n: hi\n\n", "", "", daruma.KindBroken},
		"empty answer":                  {sse, role + stop + done, "", "", daruma.KindBroken},
		"comments, ids, names":          {sse, ": PROCESSING\n\n" + ": ping\n\nid: 7\n\nevent: keepalive\n\nretry: 10\n\n" + text("Hi") + "event: message\n" + stop + done, "Hi", daruma.FinishStop, 0},
		"a comment in data":             {sse, "data: : keepalive\n\n" + text("Hi") + stop + done, "Hi", daruma.FinishStop, 0},
		"no space, CR, several lines":   {sse, "data:{\"choices\":\rdata:[{\"delta\":{\"content\":\"Hi\"},\rdata:\"finish_reason\":\"stop\"}]}\r\rdata:[DONE]\r\r", "Hi", daruma.FinishStop, 0},
		"BOM and CRLF":                  {sse, "\xef\xbb\xbf" + strings.ReplaceAll(text("Hi")+stop+done, "\n", "\r\n"), "Hi", daruma.FinishStop, 0},
		"Azure's empty first choices":   {sse, `data: {"choices":[],"prompt_filter_results":[]}` + "\n\n" + text("Hi") + stop + done, "Hi", daruma.FinishStop, 0},
		"choice without delta":          {sse, `data: {"choices":[{"index":0}]}` + "\n\n" + text("Hi") + stop + done, "Hi", daruma.FinishStop, 0},
		"error in the stream":           {sse, role + text("Hi") + `data: {"error":{"message":"Overloaded","type":"overloaded_error"}}` + "\n\n", "", "", daruma.KindUnavailable},
		"error with a name":             {sse, "event: error\ndata: {\"message\":\"Rate limit exceeded\",\"type\":\"rate_limited\"}\n\n", "", "", daruma.KindRateLimited},
		"quota in the stream":           {sse, role + `data: {"error":{"message":"x","code":"insufficient_quota"}}` + "\n\n", "", "", daruma.KindQuota},
		"null error is none":            {sse, `data: {"error":null,"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}` + "\n\n", "Hi", daruma.FinishStop, 0},
		"an event cut in the middle":    {sse, text("Hi") + `data: {"choices":[{"delta":{"cont` + "\n\n" + stop + done, "", "", daruma.KindBroken},
		"cut in the middle of an event": {sse, text("Hi") + `data: {"choices":[{"delta":{"cont`, "", "", daruma.KindBroken},
		"a page":                        {"text/html", "<html><title>Sign in</title></html>", "", "", daruma.KindBroken},
		"a page called a stream":        {sse, "\n<!doctype html><html></html>", "", "", daruma.KindBroken},
		"an error called a stream":      {sse, `{"error":{"message":"x","type":"overloaded_error"}}`, "", "", daruma.KindUnavailable},
		"a stream called JSON":          {"application/json", text("Hi") + stop + done, "Hi", daruma.FinishStop, 0},
		"a whole answer":                {"application/json", `{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, "Hi", daruma.FinishStop, 0},
		"a whole answer cut":            {"application/json", `{"choices":[{"message":{"role":"assist`, "", "", daruma.KindBroken},
		"a whole error":                 {"application/json", `{"error":{"message":"x","code":429}}`, "", "", daruma.KindRateLimited},
		"no choices":                    {"application/json", `{"id":"x","choices":[]}`, "", "", daruma.KindBroken},
		"null choices":                  {"application/json", `{"id":"x","choices":null}`, "", "", daruma.KindBroken},
		"declined":                      {sse, `data: {"choices":[{"delta":{"refusal":"I cannot"},"finish_reason":null}]}` + "\n\n" + stop + done, "I cannot", daruma.FinishFilter, 0},
		"filtered without a word":       {sse, `data: {"choices":[{"delta":{},"finish_reason":"content_filter"}]}` + "\n\n" + done, "", daruma.FinishFilter, 0},
		"out of tokens before a word":   {sse, `data: {"choices":[{"delta":{"content":null},"finish_reason":"length"}]}` + "\n\n" + done, "", daruma.FinishLength, 0},
		"unknown finish":                {sse, text("Hi") + `data: {"choices":[{"delta":{},"finish_reason":"because"}]}` + "\n\n" + done, "Hi", "", 0},
		"finish that is a failure":      {sse, text("Hi") + `data: {"choices":[{"delta":{},"finish_reason":"network_error"}]}` + "\n\n" + done, "", "", daruma.KindBroken},
		"stop with calls":               {sse, `data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":""}}]},"finish_reason":"stop"}]}` + "\n\n" + done, "f()", daruma.FinishTools, 0},
		"arguments as an object":        {sse, `data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x": 1}}}]},"finish_reason":"tool_calls"}]}` + "\n\n" + done, `f({"x": 1})`, daruma.FinishTools, 0},
		"the old function call":         {sse, `data: {"choices":[{"delta":{"function_call":{"name":"f","arguments":"{"}}}]}` + "\n\n" + `data: {"choices":[{"delta":{"function_call":{"arguments":"}"}},"finish_reason":"function_call"}]}` + "\n\n" + done, "f({})", daruma.FinishTools, 0},
		"content in parts":              {sse, `data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"Hi"}]},"finish_reason":"stop"}]}` + "\n\n" + done, "Hi", daruma.FinishStop, 0},
		"a second choice":               {sse, `data: {"choices":[{"index":1,"delta":{"content":"No"}},{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}` + "\n\n" + done, "Hi", daruma.FinishStop, 0},
		"text after DONE":               {sse, text("Hi") + stop + done + text("No"), "Hi", daruma.FinishStop, 0},
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
	body := `data: {"id":"c1","model":"m-2","system_fingerprint":"fp","choices":[{"index":0,"delta":{"reasoning_content":"so"},"logprobs":null}]}

data: {"choices":[{"index":0,"delta":{"content":"4"},"logprobs":{"content":[]},"finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":3}},"x_cost":0.25}

data: [DONE]

`
	r, err := model.Collect(answers(t, sse, body).Stream(t.Context(), hello))
	if err != nil {
		t.Fatal(err)
	}
	if want := (daruma.Usage{Input: 20, Output: 5, Cached: 16, Reasoning: 3}); r.Usage != want || !r.UsageKnown || r.Model != "m-2" {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{
		"system_fingerprint": `"fp"`, "delta.reasoning_content": `"so"`, "choices.logprobs": `{"content":[]}`, "x_cost": "0.25", "id": `"c1"`,
	} {
		if got := string(r.Extra[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if _, ok := r.Extra["choices.finish_reason"]; ok {
		t.Error("a known finish reason is among the unknown fields")
	}
}

func TestRequest(t *testing.T) {
	var got string
	var header http.Header
	c := client(t, Options{Key: "sk-secret-123456", BaseURL: "http://model.test/v1?api-version=7", Header: http.Header{"X-Title": {"t"}}}, func(r *http.Request) (*http.Response, error) {
		b, _ := io.ReadAll(r.Body)
		got, header = r.Method+" "+r.URL.String()+" "+string(b), r.Header
		return response(429, "application/json", strings.NewReader(`{"error":{"message":"sk-secret-123456 is too fast"}}`)), nil
	})
	warm := 0.5
	_, err := model.Collect(c.Stream(t.Context(), &model.Request{
		Model: "m", MaxOutput: 9, Temperature: &warm, Key: "run/1/2", Extra: map[string]json.RawMessage{"seed": []byte("7")},
		Messages: []daruma.Message{
			{Role: daruma.RoleSystem, Text: "s"},
			{Role: daruma.RoleAssistant, Calls: []daruma.ToolCall{{ID: "a", Name: "f", Arguments: `{"x":`}}},
			{Role: daruma.RoleTool, CallID: "a", Text: ""},
		},
		Tools: []model.Tool{{Name: "f", Description: "d", Schema: json.RawMessage(`{"type":"object"}`)}, {Name: "g"}},
	}))
	want := `POST http://model.test/v1/chat/completions?api-version=7 {"max_tokens":9,"messages":[{"role":"system","content":"s"},` +
		`{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":"}}]},` +
		`{"role":"tool","content":"","tool_call_id":"a"}],"model":"m","seed":7,"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,` +
		`"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}},` +
		`{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}}}]}`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if header.Get("Authorization") != "Bearer sk-secret-123456" || header.Get("Idempotency-Key") != "run/1/2" || header.Get("X-Title") != "t" {
		t.Errorf("%v", header)
	}
	if daruma.KindOf(err) != daruma.KindRateLimited || strings.Contains(err.Error(), "sk-secret") {
		t.Errorf("%v", err)
	}
}

func TestRefusesBeforeSending(t *testing.T) {
	c := client(t, Options{}, func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})
	for want, r := range map[string]*model.Request{
		"model is empty": {Messages: hello.Messages},
		`"stream"`:       {Model: "m", Messages: hello.Messages, Extra: map[string]json.RawMessage{"stream": []byte("false")}},
		"no JSON":        {Model: "m", Messages: hello.Messages, Extra: map[string]json.RawMessage{"seed": []byte("x")}},
	} {
		if _, err := model.Collect(c.Stream(t.Context(), r)); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, o := range []Options{{BaseURL: "ftp://x"}, {BaseURL: "http://u:p@x"}, {BaseURL: "model.test"}, {Key: "a\nb"}} {
		if _, err := New(o); daruma.KindOf(err) != daruma.KindInvalid || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestKeyStaysWithItsHost: a redirect elsewhere is a failure, not a request.
func TestKeyStaysWithItsHost(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the key %q went to another host", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved/chat/completions" {
			io.WriteString(w, `{"choices":[{"message":{"content":"here"},"finish_reason":"stop"}]}`)
			return
		}
		to := other.URL
		if r.URL.Path == "/near/chat/completions" {
			to = "/moved/chat/completions"
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}))
	defer own.Close()
	for path, want := range map[string]daruma.Kind{"/far": daruma.KindNotFound, "/near": 0} {
		c, err := New(Options{BaseURL: own.URL + path, Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := model.Collect(c.Stream(t.Context(), hello)); daruma.KindOf(err) != want || (err != nil) != (want != 0) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestDeadlines runs the clock of synctest over a connection that is a pipe.
func TestDeadlines(t *testing.T) {
	event := func(s string) string { return "data: " + s + "\n\n" }
	word := event(`{"choices":[{"delta":{"content":"w "}}]}`)
	stop := event(`{"choices":[{"delta":{},"finish_reason":"stop"}]}`)
	for name, c := range map[string]struct {
		every time.Duration
		parts []string
		took  time.Duration
		kind  daruma.Kind
	}{
		"a slow answer arrives":    {20 * time.Second, []string{word, word, word, stop, event("[DONE]")}, 100 * time.Second, 0},
		"comments are no answer":   {20 * time.Second, []string{": p\n\n", ": p\n\n", ": p\n\n", ": p\n\n", word}, time.Minute, daruma.KindTimeout},
		"a role is no answer":      {20 * time.Second, []string{event(`{"choices":[{"delta":{"role":"assistant","content":""}}]}`), ": p\n\n", ": p\n\n", ": p\n\n", word}, time.Minute, daruma.KindTimeout},
		"a stall":                  {20 * time.Second, []string{word, ": p\n\n", ": p\n\n", word}, 50 * time.Second, daruma.KindTimeout},
		"open after the last word": {20 * time.Second, []string{word, stop}, 70 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := client(t, Options{}, func(r *http.Request) (*http.Response, error) {
					out, in := io.Pipe()
					go func() {
						defer in.Close()
						for _, p := range c.parts {
							select {
							case <-time.After(c.every):
							case <-r.Context().Done():
								in.CloseWithError(r.Context().Err())
								return
							}
							io.WriteString(in, p)
						}
						<-r.Context().Done() // it never closes by itself
						in.CloseWithError(r.Context().Err())
					}()
					res := response(200, sse, nil)
					res.Body = out
					return res, nil
				})
				start := time.Now()
				_, err := model.Collect(cl.Stream(t.Context(), hello))
				if took := time.Since(start); took != c.took || daruma.KindOf(err) != c.kind || (err != nil) != (c.kind != 0) {
					t.Errorf("after %s: %v", took, err)
				}
				synctest.Wait()
			})
		})
	}
}

func TestLostConnections(t *testing.T) {
	c := client(t, Options{Key: "sk-secret-123456"}, func(r *http.Request) (*http.Response, error) {
		return nil, io.ErrUnexpectedEOF
	})
	if _, err := model.Collect(c.Stream(t.Context(), hello)); daruma.KindOf(err) != daruma.KindUnavailable || strings.Contains(err.Error(), "http://") {
		t.Errorf("before the answer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := model.Collect(c.Stream(ctx, hello)); daruma.KindOf(err) != daruma.KindCancelled {
		t.Errorf("cancelled: %v", err)
	}
	closed := false
	c = client(t, Options{}, func(r *http.Request) (*http.Response, error) {
		res := response(200, sse, nil)
		res.Body = body{strings.NewReader("data: {\"choices\":[{\"delta\":{\"content\":\"w\"}}]}\n\n"), &closed}
		return res, nil
	})
	if _, err := model.Collect(c.Stream(t.Context(), hello)); daruma.KindOf(err) != daruma.KindBroken || !closed {
		t.Errorf("in the answer: %v, body closed %v", err, closed)
	}
	closed = false
	for range c.Stream(t.Context(), hello) {
		break
	}
	if !closed {
		t.Error("a caller that leaves early leaves the body open")
	}
}

// body fails at its end as a connection does that was cut.
type body struct {
	r      io.Reader
	closed *bool
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b body) Close() error {
	*b.closed = true
	return nil
}
