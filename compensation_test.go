package daruma_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

func TestCompensationCheck(t *testing.T) {
	for args, want := range map[string]string{
		``: "", `{}`: "", `{"a":"${args}","b":["${result.x.0.a\\.b}"],"c":"${key}","d":"$${args}","e":1,"f":"plain $5","g":null,"h":"to ${args.a} of ${key}"}`: "",
		`[]`: "accepted: an object", `{"a"`: "no JSON", `{} {}`: "no JSON", `{"a":"${input}"}`: "accepted: ${args}, ${result}, ${key}", `{"a":{"b":["x ${arg}"]}}`: "accepted: ${args}",
		`{"a":"${key.x}"}`: "accepted: ${key}", `{"a":"${args.}"}`: "empty part", `{"a":"${}"}`: "empty part", `{"a":"${args..b}"}`: "empty part", `{"a":"x${args"}`: "no end", `{"a":"${args\\}"}`: "no end",
	} {
		err := (&daruma.Compensation{Tool: "undo", Args: json.RawMessage(args)}).Check()
		switch {
		case want == "" && err != nil, want != "" && (daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := (&daruma.Compensation{}).Check(); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("without a tool: %v", err)
	}
}

// TestCompensationArguments has a run make the arguments of an undoing from
// what its call was given and gave.
func TestCompensationArguments(t *testing.T) {
	for _, c := range []struct{ args, result, template, want string }{
		{`{"a":1.50,"b":"x"}`, "ok", ``, `{"a":1.50,"b":"x"}`},
		{`{"a":1.50}`, "plain", `{"n":"${args.a}","r":"${result}","all":"${args}","text":"$5"}`, `{"all":{"a":1.50},"n":1.50,"r":"plain","text":"$5"}`},
		{`{"a":1.50,"b":"<x>"}`, `{"c":[true]}`, `{"t":"$${a} ${args.a}/${args.b} of ${result.c}$"}`, `{"t":"${a} 1.50/<x> of [true]$"}`},
		{`{"a.b":{"}":[7,12345678901234567890]}}`, `{"id":"<17>"}`, `{"x":"${args.a\\.b.\\}.1}","id":"${result.id}"}`, `{"id":"<17>","x":12345678901234567890}`},
		{`{}`, `{"id":1}`, `{"x":"${result.no}"}`, "fault: ${result.no} is not there"},
		{`{}`, `[1]`, `{"x":"${result.01}"}`, "fault: ${result.01} is not there"},
		{`{}`, `[1]`, `{"x":"${result.-1}"}`, "fault: ${result.-1} is not there"},
		{`{}`, `"text"`, `{"x":"${result.1}"}`, "fault: ${result.1} is not there"},
		{`nonsense`, `1`, `{"x":"${args.1}"}`, "fault: the arguments of do are no JSON"},
	} {
		var got string
		st := daruma.Started{Agent: "a", Models: []string{"m"}, Nonce: "n", Input: daruma.Message{Role: daruma.RoleUser, Text: "go"}, Tools: []daruma.ToolSpec{
			{Name: "do", Effect: daruma.Keyed, Compensate: &daruma.Compensation{Tool: "undo", Args: json.RawMessage(c.template)}}, {Name: "undo", Effect: daruma.Keyed}}}
		s := &script{shell: newShell(t, "run_refund"), t: t, keys: map[string]string{}}
		s.seen = func(e daruma.Event) {
			if e.Kind == daruma.KindUndo {
				u := decode[daruma.Undo](t, e).Calls[0]
				if got = u.Args; u.Fault != "" {
					got = "fault: " + u.Fault
				}
			}
		}
		s.commit(daruma.NewEvent(daruma.KindStarted, "user:ann", st))
		s.commands = s.settle()
		s.commit(daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, daruma.Replied{Command: s.commands[0].ID, Message: daruma.Message{Role: daruma.RoleAssistant,
			Calls: []daruma.ToolCall{{ID: "1", Name: "do", Arguments: c.args}}}}))
		s.commands = s.settle()
		s.commit(daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, daruma.ToolReplied{Command: s.commands[0].ID, Tool: "do", Outcome: daruma.Succeeded, Text: c.result}))
		s.settle()
		s.receive(daruma.Post{Topic: daruma.TopicCancel, Key: "1", By: "user:bob", Payload: payload(daruma.Reason{Compensate: true})})
		s.settle()
		if got != c.want {
			t.Errorf("%s of %s and %s: got %s, want %s", c.template, c.args, c.result, got, c.want)
		}
	}
}

// FuzzCompensation reads any mapping: it is refused, or what it makes of any
// call is JSON.
func FuzzCompensation(f *testing.F) {
	f.Add([]byte(`{"a":"${args.x}","b":["${result.0} $${"],"k":"${key}"}`))
	f.Add([]byte(`{"a":"${args.\\}"}`))
	f.Add([]byte(`{"a":{"b":null,"c":1e400}}`))
	f.Fuzz(func(t *testing.T, template []byte) {
		c := daruma.Compensation{Tool: "undo", Args: template}
		if err := c.Check(); err != nil && daruma.KindOf(err) != daruma.KindInvalid {
			t.Fatalf("%v", err)
		}
	})
}
