package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// Call calls a scripted tool in this process. It fails as a call over HTTP
// would: with [daruma.KindInvalid] where the tool refuses the arguments,
// KindNotFound for an unknown tool, the kind of the status for a status, and
// [daruma.KindDoubt] where the caller cannot know whether the work was done: a
// reset, an answer that got lost or is garbage, a hang.
func (f *Fake) Call(ctx context.Context, tool, args, key string) (json.RawMessage, error) {
	const op = "fake.Call"
	if ctx.Err() != nil {
		return nil, stopped(ctx)
	}
	a := f.callTool(tool, args, key)
	if a.hang > 0 {
		if err := sleep(ctx, a.hang); err != nil {
			return nil, &daruma.Failure{Op: op, Kind: daruma.KindDoubt, Err: err}
		}
	}
	switch {
	case a.drop:
		return nil, daruma.Fail(op, daruma.KindDoubt, "%s: the connection was lost before the answer", tool)
	case a.status == 422 || a.status == 400:
		return nil, daruma.Fail(op, daruma.KindInvalid, "%s: %s", tool, errorText(a.body))
	case a.status == 404:
		return nil, daruma.Fail(op, daruma.KindNotFound, "%s: %s", tool, errorText(a.body))
	case a.status >= 400:
		e := model.Classify(model.Facts{Provider: tool, Status: a.status, Header: a.header, Body: []byte(a.body)})
		return nil, e.Failure(op)
	case !json.Valid([]byte(a.body)):
		return nil, daruma.Fail(op, daruma.KindDoubt, "%s: the answer is no JSON", tool)
	}
	return json.RawMessage(a.body), nil
}

func errorText(body string) string {
	e := gjson.Get(body, "error")
	if e.IsObject() {
		e = e.Get("message")
	}
	if e.String() != "" {
		return e.String()
	}
	return body
}

// toolAnswer is what a tool answers, over HTTP or not.
type toolAnswer struct {
	failed
	hang     time.Duration // before anything else
	drop     bool          // the connection ends without an answer
	replayed bool          // nothing was done now
}

// callTool counts the request, does the work and says what to answer. The
// ledger is written before it returns.
func (f *Fake) callTool(name, args, key string) toolAnswer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked["tool "+name]++
	var t *toolScript
	for _, have := range f.script.tools {
		if have.Spec.Name == name {
			t = have
		}
	}
	if t == nil {
		return refuse(404, "there is no tool %s", name)
	}
	s := &scene{nth: f.asked["tool "+name], args: args, key: key}
	p, ok := f.pick(t.rules, s, true)
	if !ok {
		return toolAnswer{failed: noRule("tool", name, s)}
	}
	if p.fault != nil {
		if a, ok := answerOf(p.fault); ok && p.fault.kind == "status" {
			return toolAnswer{failed: a}
		}
		switch p.fault.kind {
		case "reset":
			return toolAnswer{drop: true}
		case "hang":
			return toolAnswer{drop: true, hang: p.fault.max}
		}
	}
	if wrong := t.check(args); wrong != "" {
		return refuse(422, "%s", wrong)
	}
	a := f.work(t, p, s)
	if p.fault == nil || a.status != 200 {
		return a
	}
	switch p.fault.kind { // the work is done, the answer does not arrive
	case "lost":
		a.drop = true
	case "late":
		a.drop, a.hang = true, p.fault.max
	case "html", "garbage":
		a.failed, _ = answerOf(p.fault)
	}
	return a
}

// work does what the rule says, once per key where the tool can tell.
func (f *Fake) work(t *toolScript, p play, s *scene) toolAnswer {
	r := p.tool
	if r == nil { // a fault alone in its rule
		r = &toolReply{body: `{"ok":true}`, status: 200, effect: t.Spec.Effect != daruma.Read}
	}
	a := toolAnswer{failed: failed{r.status, http.Header{"Content-Type": {"application/json"}}, s.fillJSON(r.body)}}
	if !r.effect {
		return a
	}
	if old, ok := f.ledger.find(t.Spec.Name, s.key); ok && t.Dedupe {
		if !sameJSON(string(old.Args), s.args) {
			return refuse(422, "the key %s was used with other arguments", s.key)
		}
		a.body, a.replayed = string(old.Result), true
		a.header.Set("Idempotency-Replayed", "true")
		return a
	}
	if err := f.ledger.add(Entry{Tool: t.Spec.Name, Key: s.key, Args: json.RawMessage(s.args), Result: json.RawMessage(a.body)}); err != nil {
		return refuse(500, "ledger: %v", err)
	}
	return a
}

func refuse(status int, format string, args ...any) toolAnswer {
	b, _ := json.Marshal(map[string]string{"error": fmt.Sprintf(format, args...)}) // strings always encode
	return toolAnswer{failed: failed{status, http.Header{"Content-Type": {"application/json"}}, string(b)}}
}

// check is as strict as a service would be: an object, its required fields,
// and the plain types of the fields the schema names.
func (t *toolScript) check(args string) string {
	if !json.Valid([]byte(args)) || !gjson.Parse(args).IsObject() {
		return "the arguments are not a JSON object"
	}
	schema := gjson.ParseBytes(t.Schema)
	got := gjson.Parse(args).Map()
	for _, r := range schema.Get("required").Array() {
		if _, ok := got[r.String()]; !ok {
			return fmt.Sprintf("/%s is missing", r.String())
		}
	}
	wrong := ""
	schema.Get("properties").ForEach(func(name, p gjson.Result) bool {
		v, ok := got[name.String()]
		if ok && !isType(v, p.Get("type").String()) {
			wrong = fmt.Sprintf("/%s is %s; accepted: %s", name, v.Raw, p.Get("type"))
		}
		return wrong == ""
	})
	return wrong
}

func isType(v gjson.Result, kind string) bool {
	switch kind {
	case "string":
		return v.Type == gjson.String
	case "number":
		return v.Type == gjson.Number
	case "integer":
		return v.Type == gjson.Number && !strings.ContainsAny(v.Raw, ".eE")
	case "boolean":
		return v.IsBool()
	case "object":
		return v.IsObject()
	case "array":
		return v.IsArray()
	}
	return true
}

// sameJSON compares two values whatever their spaces and the order of fields.
func sameJSON(a, b string) bool {
	x, errX := plain(a)
	y, errY := plain(b)
	return errX == nil && errY == nil && x == y
}

func plain(text string) (string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	b, err := json.Marshal(v)
	return string(b), err
}
