package anthropic

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
		o.BaseURL = "http://model.test"
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func response(status int, kind string, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}, "Request-Id": {"req_1"}}, Body: io.NopCloser(body)}
}

func answers(t testing.TB, kind, body string) *Client {
	return client(t, Options{}, func(*http.Request) (*http.Response, error) {
		return response(200, kind, strings.NewReader(body)), nil
	})
}

const sse = "text/event-stream"

// event is one event of a stream, named by its type.
func event(data string) string {
	var v struct{ Type string }
	json.Unmarshal([]byte(data), &v)
	return "event: " + v.Type + "\ndata: " + data + "\n\n"
}

func TestRequest(t *testing.T) {
	var got string
	var header http.Header
	answer := func(r *http.Request) (*http.Response, error) {
		b, _ := io.ReadAll(r.Body)
		got, header = r.Method+" "+r.URL.String()+" "+string(b), r.Header
		return response(429, "application/json", strings.NewReader(`{"type":"error","error":{"type":"rate_limit_error","message":"sk-ant-secret-123456 is too fast"}}`)), nil
	}
	warm := 0.5
	r := &model.Request{
		Model: "m", MaxOutput: 9, Temperature: &warm, Key: "run/1/2", Extra: map[string]json.RawMessage{"top_k": []byte("7")},
		Messages: []daruma.Message{
			{Role: daruma.RoleSystem, Text: "s"},
			{Role: daruma.RoleUser, Text: "u"},
			{Role: daruma.RoleAssistant, Text: "t", Calls: []daruma.ToolCall{{ID: "a", Name: "f", Arguments: `{"x":1.50}`}, {ID: "b", Name: "g", Arguments: `{"x":`}}},
			{Role: daruma.RoleTool, CallID: "a", Text: "r"},
			{Role: daruma.RoleTool, CallID: "b", Error: true},
			{Role: daruma.RoleUser, Text: "n", Note: true},
		},
		Tools: []model.Tool{{Name: "f", Description: "d", Schema: json.RawMessage(`{"type":"object"}`)}, {Name: "g"}, {Name: "h", Schema: json.RawMessage(`{"required":["x"]}`)}},
	}
	o := Options{Key: "sk-ant-secret-123456", BaseURL: "http://model.test/v1?x=7", Header: http.Header{"anthropic-beta": {"b"}}}
	_, err := model.Collect(client(t, o, answer).Stream(t.Context(), r))
	want := `POST http://model.test/v1/messages?x=7 {"max_tokens":9,"messages":[{"role":"user","content":[{"text":"u","type":"text"}]},` +
		`{"role":"assistant","content":[{"text":"t","type":"text"},{"id":"a","input":{"x":1.50},"name":"f","type":"tool_use"},` +
		`{"id":"b","input":{"invalid_json":"{\"x\":"},"name":"g","type":"tool_use"}]},` +
		`{"role":"user","content":[{"content":"r","tool_use_id":"a","type":"tool_result"},` +
		`{"content":"The call failed without a message.","is_error":true,"tool_use_id":"b","type":"tool_result"},{"text":"n","type":"text"}]}],` +
		`"model":"m","stream":true,"system":"s","temperature":0.5,"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}},` +
		`{"name":"g","input_schema":{"type":"object","properties":{}}},{"name":"h","input_schema":{"required":["x"],"type":"object"}}],"top_k":7}`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if header.Get("X-Api-Key") != "sk-ant-secret-123456" || header.Get("Anthropic-Version") != "2023-06-01" ||
		header.Get("Idempotency-Key") != "run/1/2" || header.Get("Anthropic-Beta") != "b" || header.Get("Authorization") != "" {
		t.Errorf("%v", header)
	}
	if daruma.KindOf(err) != daruma.KindRateLimited || strings.Contains(err.Error(), "sk-ant-secret") || !strings.Contains(err.Error(), "request req_1") {
		t.Errorf("%v", err)
	}
	c := client(t, Options{Key: "k", Bearer: true, Version: "2030-01-01", Whole: true, BaseURL: "http://model.test/anthropic/"}, answer)
	model.Collect(c.Stream(t.Context(), hello))
	if header.Get("X-Api-Key") != "" || header.Get("Authorization") != "Bearer k" || header.Get("Anthropic-Version") != "2030-01-01" ||
		!strings.HasPrefix(got, "POST http://model.test/anthropic/v1/messages ") || !strings.Contains(got, `"max_tokens":8192`) || !strings.Contains(got, `"stream":false`) {
		t.Errorf("%s %v", got, header)
	}
}

func TestRefusesBeforeSending(t *testing.T) {
	c := client(t, Options{}, func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})
	for want, r := range map[string]*model.Request{
		"model is empty": {Messages: hello.Messages},
		`"system"`:       {Model: "m", Messages: hello.Messages, Extra: map[string]json.RawMessage{"system": []byte(`"x"`)}},
		`"max_tokens"`:   {Model: "m", Messages: hello.Messages, MaxOutput: 1, Extra: map[string]json.RawMessage{"max_tokens": []byte("2")}},
		"no JSON":        {Model: "m", Messages: hello.Messages, Extra: map[string]json.RawMessage{"top_k": []byte("x")}},
		"native is the":  {Model: "m", Messages: []daruma.Message{{Role: daruma.RoleAssistant, Native: &daruma.Native{Ref: daruma.DigestOf([]byte("x"))}}}},
	} {
		if _, err := model.Collect(c.Stream(t.Context(), r)); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, o := range []Options{{BaseURL: "ftp://x"}, {BaseURL: "http://u:p@x"}, {BaseURL: "model.test"}, {Key: "a\nb"}, {Version: "a\rb"}, {MaxOutput: -1}} {
		if _, err := New(o); daruma.KindOf(err) != daruma.KindInvalid || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestKeyStaysWithItsHost: a redirect elsewhere is a failure, not a request.
func TestKeyStaysWithItsHost(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the key %q went to another host", r.Header.Get("X-Api-Key"))
	}))
	defer other.Close()
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved/v1/messages" {
			io.WriteString(w, `{"type":"message","content":[{"type":"text","text":"here"}],"stop_reason":"end_turn"}`)
			return
		}
		to := other.URL
		if r.URL.Path == "/near/v1/messages" {
			to = "/moved/v1/messages"
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
	begin := event(`{"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}`) + event(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
	word := event(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"w "}}`)
	ping := event(`{"type":"ping"}`)
	think := event(`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}`)
	stop := event(`{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`)
	over := event(`{"type":"message_stop"}`)
	thinking := *hello
	thinking.Extra = map[string]json.RawMessage{"thinking": []byte(`{"type":"adaptive"}`)}
	for name, c := range map[string]struct {
		request *model.Request
		every   time.Duration
		parts   []string
		took    time.Duration
		kind    daruma.Kind
	}{
		"a slow answer arrives":         {hello, 20 * time.Second, []string{begin, word, word, stop, over}, 100 * time.Second, 0},
		"pings are no answer":           {hello, 20 * time.Second, []string{begin, ping, ping, ping, word}, time.Minute, daruma.KindTimeout},
		"thinking is one":               {hello, 20 * time.Second, []string{begin, think, think, think, word, stop, over}, 140 * time.Second, 0},
		"a stall":                       {hello, 20 * time.Second, []string{begin, word, ping, ping, word}, 70 * time.Second, daruma.KindTimeout},
		"thinking that is not shown":    {&thinking, 80 * time.Second, []string{begin, ping, word, stop, over}, 400 * time.Second, 0},
		"no end mark, and no end":       {hello, 20 * time.Second, []string{begin, word, stop}, 90 * time.Second, daruma.KindTimeout},
		"what it cost until then is in": {hello, 20 * time.Second, []string{begin}, time.Minute, daruma.KindTimeout},
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
				reply, err := model.Collect(cl.Stream(t.Context(), c.request))
				if took := time.Since(start); took != c.took || daruma.KindOf(err) != c.kind || (err != nil) != (c.kind != 0) {
					t.Errorf("after %s: %v", took, err)
				}
				if reply.Usage.Input != 7 || !reply.UsageKnown {
					t.Errorf("usage %+v", reply.Usage)
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
		res.Body = body{strings.NewReader(begin + text("w") + stop("end_turn")), &closed}
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
