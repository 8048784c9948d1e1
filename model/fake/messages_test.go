package fake

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/anthropic"
)

// TestQuirksOverMessages checks that odd but legal streams give the same answer.
func TestQuirksOverMessages(t *testing.T) {
	for _, quirk := range quirkNames {
		t.Run(quirk, func(t *testing.T) {
			url, _ := serve(t, parse(t, "model m\nquirk "+quirk+`
				think "Hm."
				say "Grüße, 世界! Ein längerer Satz."
				call a {"x":"ä"}
				call a {"x":"b"}
				raw-args b {"x": `))
			c, err := anthropic.New(anthropic.Options{BaseURL: url})
			if err != nil {
				t.Fatal(err)
			}
			r, err := model.Collect(c.Stream(t.Context(), &model.Request{Model: "m", Messages: []daruma.Message{user("hello")}}))
			if err != nil {
				t.Fatal(err)
			}
			got, ids := r.Message.Text, make(map[string]bool)
			for _, c := range r.Message.Calls {
				got += " " + c.Name + c.Arguments
				ids[c.ID] = true
			}
			if want := `Grüße, 世界! Ein längerer Satz. a{"x":"ä"} a{"x":"b"} b{"x":`; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if len(ids) != 3 || ids[""] || r.Finish != daruma.FinishTools || r.UsageKnown != (quirk != "usage-null") {
				t.Errorf("ids %v, finish %s, usage known %v", ids, r.Finish, r.UsageKnown)
			}
		})
	}
}

// messages posts a request as it is.
func messages(t *testing.T, f *Fake, body, version string) (int, http.Header, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/messages", strings.NewReader(body))
	r.Header.Set("Anthropic-Version", version)
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	return w.Code, w.Header(), w.Body.String()
}

// TestMessagesAreStrict: what Anthropic refuses is refused here.
func TestMessagesAreStrict(t *testing.T) {
	const call = `{"role":"user","content":"u"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}`
	result := func(more string) string {
		return call + `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"` + more + `}]}`
	}
	const tools = `,"tools":[{"name":"f","input_schema":{"type":"object"}}]`
	for name, c := range map[string]struct{ messages, more, want string }{
		"fine":                   {`{"role":"user","content":"u"}`, "", ""},
		"fine with a call":       {result(`,"content":"r"`), tools, ""},
		"nothing":                {``, "", "at least one message"},
		"a system message":       {`{"role":"system","content":"s"}`, "", "Unexpected role"},
		"the model first":        {`{"role":"assistant","content":"a"},{"role":"user","content":"u"}`, "", `first message must use the "user" role`},
		"the model last":         {`{"role":"user","content":"u"},{"role":"assistant","content":"a"}`, "", "must end with a user message"},
		"no content":             {`{"role":"user","content":[]}`, "", "non-empty content"},
		"blank":                  {`{"role":"user","content":" \n"}`, "", "non-whitespace text"},
		"blank of the model":     {`{"role":"user","content":"u"},{"role":"assistant","content":[{"type":"text","text":""}]},{"role":"user","content":"u"}`, "", "non-whitespace text"},
		"no result":              {call + `,{"role":"user","content":"r"}`, tools, "without `tool_result` blocks immediately after: a"},
		"no result at the end":   {call, tools, "without `tool_result`"},
		"a text before":          {call + `,{"role":"user","content":[{"type":"text","text":"t"},{"type":"tool_result","tool_use_id":"a"}]}`, tools, "unexpected `tool_use_id`"},
		"a result too many":      {result(`},{"type":"tool_result","tool_use_id":"a"`), tools, "unexpected `tool_use_id`"},
		"an empty error":         {result(`,"is_error":true`), tools, "cannot be empty if `is_error` is true"},
		"an id twice":            {result("") + strings.TrimPrefix(result(""), `{"role":"user","content":"u"}`), tools, "ids must be unique"},
		"an odd id":              {strings.Replace(call, `"id":"a"`, `"id":"a:b"`, 1), tools, "tool_use.id"},
		"an odd name":            {strings.Replace(call, `"name":"f"`, `"name":"f g"`, 1), tools, "tool_use.name"},
		"arguments in a text":    {strings.Replace(call, `{}`, `"{}"`, 1), tools, "valid dictionary"},
		"calls without tools":    {result(""), "", "must define tools"},
		"a schema of nothing":    {`{"role":"user","content":"u"}`, `,"tools":[{"name":"f","input_schema":{}}]`, "input_schema"},
		"a tool's odd name":      {`{"role":"user","content":"u"}`, `,"tools":[{"name":"f.g","input_schema":{"type":"object"}}]`, "tools.0.custom.name"},
		"a wrong signature":      {`{"role":"user","content":"u"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"t"}]},{"role":"user","content":"u"}`, "", "Invalid `signature`"},
		"thinking last":          {`{"role":"user","content":"u"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"` + signature("t") + `"}]},{"role":"user","content":"u"}`, "", "final block"},
		"calls without thinking": {result(`,"content":"r"`), tools + `,"thinking":{"type":"enabled","budget_tokens":1024}`, "Expected `thinking`"},
		"an unknown block":       {`{"role":"user","content":"u"},{"role":"assistant","content":[{"type":"song"}]},{"role":"user","content":"u"}`, "", "expected tags"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := messages(t, parse(t, "model m\nsay \"hi\""), `{"model":"m","max_tokens":9,"messages":[`+c.messages+`]`+c.more+`}`, "2023-06-01")
			if c.want == "" {
				if status != 200 || header.Get("Request-Id") == "" || gjson.Get(body, "content.0.text").String() != "hi" {
					t.Errorf("%d %s", status, body)
				}
				return
			}
			if status != 400 || gjson.Get(body, "error.type").String() != "invalid_request_error" || !strings.Contains(gjson.Get(body, "error.message").String(), c.want) {
				t.Errorf("%d %s, want %s", status, body, c.want)
			}
		})
	}
	for _, c := range []struct{ body, version string }{
		{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"u"}]}`, ""},
		{`{"model":"m","messages":[{"role":"user","content":"u"}]}`, "2023-06-01"},
		{`{"model":`, "2023-06-01"},
	} {
		if status, _, body := messages(t, parse(t, "model m\nsay \"hi\""), c.body, c.version); status != 400 {
			t.Errorf("%s: %d %s", c.body, status, body)
		}
	}
}

// TestMessagesErrors: a fault looks as Anthropic would say it.
func TestMessagesErrors(t *testing.T) {
	const request = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"u"}]}`
	for fault, want := range map[string]string{
		"401": "authentication_error", "402": "billing_error", "403": "permission_error", "404": "not_found_error", "409": "conflict_error",
		"413": "request_too_large", "429 retry-after=2": "rate_limit_error", "500": "api_error", "504": "timeout_error", "529": "overloaded_error",
		"quota": "invalid_request_error", "overflow": "invalid_request_error", "error-200": "api_error", "422": "invalid_request_error",
	} {
		_, header, body := messages(t, parse(t, "model m\nfault "+fault), request, "2023-06-01")
		if got := gjson.Get(body, "error.type").String(); got != want || gjson.Get(body, "type").String() != "error" {
			t.Errorf("%s: %s, want %s", fault, body, want)
		}
		if strings.Contains(fault, "retry-after") && header.Get("Retry-After") != "2" {
			t.Errorf("%s: %v", fault, header)
		}
	}
	if _, _, body := messages(t, parse(t, "model m\nwhen turn 2\nsay \"x\""), request, "2023-06-01"); !strings.Contains(body, "no rule of model m fits") {
		t.Error(body)
	}
}
