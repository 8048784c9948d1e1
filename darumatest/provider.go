package darumatest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// Provider tests that a [model.Provider] keeps the contract of that interface
// and that every failure looks the same through it. play returns a provider
// that answers as the script says, in the language of
// [github.com/daruma-run/daruma/model/fake], over whatever wire; it registers
// what it has to close with t. Each subtest plays a script of its own.
func Provider(t *testing.T, play func(t *testing.T, script string) model.Provider) {
	t.Run("answer", func(t *testing.T) { providerAnswers(t, play) })
	t.Run("calls", func(t *testing.T) { providerCalls(t, play) })
	t.Run("conversation", func(t *testing.T) { providerConverses(t, play) })
	t.Run("thinking", func(t *testing.T) { providerThinks(t, play) })
	t.Run("failures", func(t *testing.T) {
		for fault, want := range providerFailures {
			t.Run(fault, func(t *testing.T) { providerFails(t, play, fault, want) })
		}
	})
	t.Run("the caller leaves", func(t *testing.T) { providerIsLeft(t, play) })
	t.Run("bad request", func(t *testing.T) { providerRefuses(t, play) })
	t.Run("many at once", func(t *testing.T) { providerTogether(t, play) })
}

type player = func(t *testing.T, script string) model.Provider

func saying(messages ...daruma.Message) *model.Request {
	return &model.Request{Model: "m", Messages: messages, Tools: []model.Tool{
		{Name: "find", Description: "Finds an order", Schema: json.RawMessage(`{"type":"object","properties":{"order":{"type":"string"}}}`)}, {Name: "pay"},
	}}
}

func fromUser(text string) daruma.Message {
	return daruma.Message{Role: daruma.RoleUser, Text: text}
}

func providerAnswers(t *testing.T, play player) {
	p := play(t, "model m\nusage in=20 out=7\nsay \"Grüße, 世界. One two three.\"")
	r := saying(fromUser("hello"))
	before := *r
	text, ends := "", 0
	for c, err := range p.Stream(t.Context(), r) {
		if err != nil {
			t.Fatal(err)
		}
		if ends > 0 {
			t.Errorf("%+v comes behind the end mark", c)
		}
		text += c.Text
		if c.End {
			ends++
		}
	}
	if text != "Grüße, 世界. One two three." || ends != 1 {
		t.Errorf("%q with %d end marks", text, ends)
	}
	if !reflect.DeepEqual(*r, before) {
		t.Errorf("the request was changed: %+v", r)
	}
	reply, err := model.Collect(p.Stream(t.Context(), r))
	if err != nil {
		t.Fatal(err)
	}
	if reply.Finish != daruma.FinishStop || !reply.UsageKnown || reply.Usage.Input != 20 || reply.Usage.Output != 7 || reply.Model != "m" {
		t.Errorf("%+v", reply)
	}
}

func providerCalls(t *testing.T, play player) {
	p := play(t, "model m\nsay \"Both.\"\ncall find {\"order\":\"Ä-1\"}\ncall pay {}\nraw-args pay {\"amount\": ")
	reply, err := model.Collect(p.Stream(t.Context(), saying(fromUser("hello"))))
	if err != nil {
		t.Fatal(err)
	}
	got, ids := reply.Message.Text, make(map[string]bool)
	for _, c := range reply.Message.Calls {
		got += " " + c.Name + c.Arguments
		ids[c.ID] = true
	}
	if want := `Both. find{"order":"Ä-1"} pay{} pay{"amount":`; got != want || reply.Finish != daruma.FinishTools || len(ids) != 3 || ids[""] {
		t.Errorf("%s, finish %q, ids %v, want %s", got, reply.Finish, ids, want)
	}
}

// providerConverses sends results of parallel calls back, in another order than
// the calls, one of them failed, one of them empty.
func providerConverses(t *testing.T, play player) {
	p := play(t, `model m
		when turn 1
			call find {"order":"A"}
			call find {"order":"B"}
			call pay {}
		when result find contains "seven" and result find contains "gone" and called pay 1 and system contains "polite" and note contains "think"
			say "All three."
		always
			say "Something got lost."`)
	talk := []daruma.Message{{Role: daruma.RoleSystem, Text: "Be polite."}, fromUser("hello")}
	reply, err := model.Collect(p.Stream(t.Context(), saying(talk...)))
	if err != nil || len(reply.Message.Calls) != 3 {
		t.Fatal(reply, err)
	}
	calls := reply.Message.Calls
	talk = append(talk, reply.Message,
		daruma.Message{Role: daruma.RoleTool, CallID: calls[1].ID, Text: "gone", Error: true},
		daruma.Message{Role: daruma.RoleTool, CallID: calls[2].ID},
		daruma.Message{Role: daruma.RoleTool, CallID: calls[0].ID, Text: `{"n":"Seven"}`},
		daruma.Message{Role: daruma.RoleUser, Text: "Think again.", Note: true})
	reply, err = model.Collect(p.Stream(t.Context(), saying(talk...)))
	if err != nil || reply.Message.Text != "All three." {
		t.Errorf("%+v %v", reply, err)
	}
}

func providerThinks(t *testing.T, play player) {
	p := play(t, "model m\nthink \"It is a trap.\"\nsay \"Yes.\"")
	r := saying(fromUser("hello"))
	r.Extra = map[string]json.RawMessage{"thinking": json.RawMessage(`{"type":"adaptive"}`)}
	reply, err := model.Collect(p.Stream(t.Context(), r))
	if err != nil {
		t.Fatal(err)
	}
	thought := string(reply.Extra["delta.thinking"]) + string(reply.Extra["delta.reasoning_content"])
	if reply.Message.Text != "Yes." || thought != `"It is a trap."` {
		t.Errorf("text %q, thought %s", reply.Message.Text, thought)
	}
}

// providerFailures is the kind of every fault; zero means it is an answer.
var providerFailures = map[string]daruma.Kind{
	"400": daruma.KindInvalid, "401": daruma.KindUnauthorized, "402": daruma.KindQuota, "403": daruma.KindUnauthorized,
	"404": daruma.KindNotFound, "413": daruma.KindOverflow, "429": daruma.KindRateLimited, "429 retry-after=2": daruma.KindRateLimited,
	"500": daruma.KindUnavailable, "502": daruma.KindUnavailable, "503": daruma.KindUnavailable, "504": daruma.KindTimeout, "529": daruma.KindUnavailable,
	"overflow": daruma.KindOverflow, "quota": daruma.KindQuota, "reset": daruma.KindUnavailable, "hang for=20ms": daruma.KindTimeout,
	"html": daruma.KindBroken, "garbage": daruma.KindBroken, "error-200": daruma.KindUnavailable, "error-event": daruma.KindUnavailable,
	"error-event after=0": daruma.KindUnavailable, "cut": daruma.KindBroken, "cut after=1": daruma.KindBroken, "no-end": daruma.KindBroken,
	"stall for=20ms": daruma.KindBroken, "empty": daruma.KindBroken, "drip every=1ms": 0, "refusal": 0, "length": 0,
}

func providerFails(t *testing.T, play player, fault string, want daruma.Kind) {
	p := play(t, "model m\nfault "+fault+"\nsay \"one two three four five six\"")
	var failure error
	watched := func(yield func(model.Chunk, error) bool) {
		for c, err := range p.Stream(t.Context(), saying(fromUser("hello"))) {
			if failure != nil {
				t.Errorf("%+v, %v comes behind the error %v", c, err, failure)
			}
			failure = err
			if !yield(c, err) && err == nil {
				return // behind an error the sequence is asked for more
			}
		}
	}
	reply, err := model.Collect(watched)
	if daruma.KindOf(err) != want || (err != nil) != (want != 0) {
		t.Fatalf("%v, kind %s, want %s", err, daruma.KindOf(err), want)
	}
	switch {
	case fault == "refusal" && reply.Finish != daruma.FinishFilter, fault == "length" && reply.Finish != daruma.FinishLength:
		t.Errorf("finish %q", reply.Finish)
	case fault == "429 retry-after=2":
		if e, ok := errors.AsType[*model.Error](err); !ok || e.RetryAfter != 2*time.Second || e.Status != 429 {
			t.Errorf("%+v", e)
		}
	}
	if err != nil {
		if f, ok := errors.AsType[*daruma.Failure](err); !ok || f.Kind != want {
			t.Errorf("%T is no failure with its kind", err)
		}
	}
	reply, err = model.Collect(p.Stream(t.Context(), saying(fromUser("hello"))))
	if err != nil || reply.Message.Text != "one two three four five six" {
		t.Errorf("after the fault: %+v %v", reply, err)
	}
}

func providerIsLeft(t *testing.T, play player) {
	p := play(t, "model m\nfault hang for=1m times=2\nsay \"one two three four five six\"")
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(20*time.Millisecond, cancel)
	defer timer.Stop()
	if _, err := model.Collect(p.Stream(ctx, saying(fromUser("hello")))); daruma.KindOf(err) != daruma.KindCancelled {
		t.Errorf("cancelled: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := model.Collect(p.Stream(ctx, saying(fromUser("hello")))); daruma.KindOf(err) != daruma.KindTimeout {
		t.Errorf("too late: %v", err)
	}
	for c, err := range p.Stream(t.Context(), saying(fromUser("hello"))) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Text != "" {
			break
		}
	}
	if _, err := model.Collect(p.Stream(t.Context(), saying(fromUser("hello")))); err != nil {
		t.Errorf("after a caller that left early: %v", err)
	}
}

func providerRefuses(t *testing.T, play player) {
	p := play(t, "model m\nsay \"hi\"")
	for name, r := range map[string]*model.Request{
		"no model":    {Messages: []daruma.Message{fromUser("hello")}},
		"no messages": {Model: "m"},
		"a reference": {Model: "m", Messages: []daruma.Message{{Role: daruma.RoleUser, Ref: daruma.DigestOf([]byte("x"))}}},
	} {
		if _, err := model.Collect(p.Stream(t.Context(), r)); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := model.Collect(p.Stream(t.Context(), &model.Request{Model: "other", Messages: []daruma.Message{fromUser("x")}})); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("an unknown model: %v", err)
	}
}

func providerTogether(t *testing.T, play player) {
	p := play(t, "model m\nsay \"${input} again\"")
	var wg sync.WaitGroup
	for _, word := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		wg.Go(func() {
			reply, err := model.Collect(p.Stream(t.Context(), saying(fromUser(word))))
			if err != nil || reply.Message.Text != word+" again" {
				t.Errorf("%s: %+v %v", word, reply, err)
			}
		})
	}
	wg.Wait()
}
