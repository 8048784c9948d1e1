package fake

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/openai"
)

func serve(t *testing.T, f *Fake) (string, *openai.Client) {
	t.Helper()
	s := httptest.NewServer(f.Handler())
	t.Cleanup(s.Close)
	c, err := openai.New(openai.Options{BaseURL: s.URL + "/v1", Key: "sk-test-1234567890"})
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, c
}

// TestFaultsOverHTTP checks that every fault looks the same over HTTP as in
// this process.
func TestFaultsOverHTTP(t *testing.T) {
	for kind, want := range faultKinds {
		t.Run(kind, func(t *testing.T) {
			f := parse(t, "model m\nfault "+kind+"\nsay \"one two three four five six\"")
			_, c := serve(t, f)
			request := &model.Request{Model: "m", Messages: []daruma.Message{user("hello")}}
			r, err := model.Collect(c.Stream(t.Context(), request))
			if got := daruma.KindOf(err); got != want || (err != nil) != (want != 0) {
				t.Fatalf("%v, kind %s, want %s", err, got, want)
			}
			switch kind {
			case "refusal":
				if r.Finish != daruma.FinishFilter {
					t.Errorf("finish %q", r.Finish)
				}
			case "length":
				if r.Finish != daruma.FinishLength {
					t.Errorf("finish %q", r.Finish)
				}
			}
		})
	}
}

// TestQuirksOverHTTP checks that odd but legal streams give the same answer.
func TestQuirksOverHTTP(t *testing.T) {
	for _, quirk := range quirkNames {
		t.Run(quirk, func(t *testing.T) {
			f := parse(t, "model m\nquirk "+quirk+`
				say "Grüße, 世界! Ein längerer Satz."
				call a {"x":"ä"}
				call a {"x":"b"}
				raw-args b {"x": `)
			_, c := serve(t, f)
			request := &model.Request{Model: "m", Messages: []daruma.Message{user("hello")}}
			r, err := model.Collect(c.Stream(t.Context(), request))
			if err != nil {
				t.Fatal(err)
			}
			got := r.Message.Text
			ids := make(map[string]bool)
			for _, c := range r.Message.Calls {
				got += " " + c.Name + c.Arguments
				ids[c.ID] = true
			}
			if want := `Grüße, 世界! Ein längerer Satz. a{"x":"ä"} a{"x":"b"} b{"x":`; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if len(ids) != 3 || ids[""] {
				t.Errorf("ids %v", ids)
			}
			if r.Finish != daruma.FinishTools || r.UsageKnown != (quirk != "usage-null") {
				t.Errorf("finish %s, usage known %v", r.Finish, r.UsageKnown)
			}
		})
	}
}

func TestWholeAnswer(t *testing.T) {
	f := parse(t, "model m\nwhen turn 1\ncall a {}\nwhen turn 2 and last tool a contains \"seven\"\nsay \"done\"\ntool a effect=read\nreturn {}")
	url, _ := serve(t, f)
	body := post(t, url+"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"}]}`, "")
	id := gjson.Get(body, "choices.0.message.tool_calls.0.id").String()
	if id == "" || gjson.Get(body, "choices.0.finish_reason").String() != "tool_calls" {
		t.Fatal(body)
	}
	body = post(t, url+"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"`+id+`","type":"function","function":{"name":"a","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"`+id+`","content":[{"type":"text","text":"Seven."}]}]}`, "")
	if gjson.Get(body, "choices.0.message.content").String() != "done" {
		t.Fatal(body)
	}
}

func post(t *testing.T, url, body, key string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "error: " + err.Error()
	}
	defer res.Body.Close()
	var b json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&b); err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

// TestToolsOverHTTP loses the answer of a payment, asks whether it happened and
// repeats it under the same key, across a restart of the server.
func TestToolsOverHTTP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	f := parse(t, refundScript(t))
	if err := f.KeepLedger(path); err != nil {
		t.Fatal(err)
	}
	url, _ := serve(t, f)
	const args = `{"order":"A-17","amount":12.5}`
	if got := post(t, url+"/tools/refund", args, "run/1/2"); !strings.HasPrefix(got, "error") {
		t.Fatalf("the answer arrived: %s", got)
	}
	if got := post(t, url+"/tools/nothing", args, ""); !strings.Contains(got, "there is no tool") {
		t.Fatal(got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	f = parse(t, refundScript(t))
	if err := f.KeepLedger(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	url, _ = serve(t, f)
	res, err := http.Get(url + "/tools/refund/calls/run%2F1%2F2")
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("happened: %v %v", res, err)
	}
	res.Body.Close()
	post(t, url+"/tools/refund", args, "run/1/2") // lost again
	if got := post(t, url+"/tools/refund", `{"amount":12.5, "order":"A-17"}`, "run/1/2"); gjson.Get(got, "refund").String() != "R-1" {
		t.Fatal(got)
	}
	if n := len(f.Ledger()); n != 1 {
		t.Fatalf("%d refunds, want 1", n)
	}
	post(t, url+"/tools/refund", args, "another")
	if n := len(f.Ledger()); n != 2 {
		t.Fatalf("%d refunds, want 2", n)
	}
}
