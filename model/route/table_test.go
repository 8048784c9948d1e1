package route

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/fake"
)

func scripted(t *testing.T, text string) *fake.Fake {
	t.Helper()
	s, err := fake.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return fake.New(s)
}

var hello = &model.Request{Messages: []daruma.Message{{Role: daruma.RoleUser, Text: "hello"}}}

func table(t *testing.T, targets ...Target) *Table {
	t.Helper()
	table, err := NewTable(targets...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestCallCountsCost(t *testing.T) {
	f := scripted(t, "model m\nusage in=1000 out=10\nsay \"hi\"\nmodel silent\nusage none\nsay \"hi\"")
	tb := table(t,
		Target{Name: "priced", Provider: f, Model: "m", Price: daruma.Price{Input: 2, Output: 10}},
		Target{Name: "unpriced", Provider: f, Model: "m"},
		Target{Name: "free", Provider: f, Model: "silent", Price: daruma.Price{Free: true}},
		Target{Name: "silent", Provider: f, Price: daruma.Price{Input: 2, Output: 10}},
	)
	for _, c := range []struct {
		target   string
		cost     daruma.Money
		unpriced bool
	}{{"priced", 2100, false}, {"unpriced", 0, true}, {"free", 0, false}, {"silent", 0, true}} {
		a, err := tb.Call(t.Context(), c.target, hello)
		if err != nil || a.Message.Text != "hi" || a.Cost != c.cost || a.Unpriced != c.unpriced {
			t.Errorf("%s: %+v %v", c.target, a, err)
		}
	}
	if hello.Model != "" {
		t.Error("the request was changed")
	}
	if _, err := tb.Call(t.Context(), "nobody", hello); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("unknown target: %v", err)
	}
}

// asked is a provider that says what it was asked for.
type asked struct{ extra map[string]json.RawMessage }

func (a *asked) Stream(_ context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	return func(yield func(model.Chunk, error) bool) {
		a.extra = r.Extra
		yield(model.Chunk{Text: "hi", End: true}, nil)
	}
}

func TestExtraOfATarget(t *testing.T) {
	a := &asked{}
	tb := table(t, Target{Name: "m", Provider: a, Extra: map[string]json.RawMessage{"x": []byte("1"), "y": []byte("2")}})
	r := *hello
	r.Extra = map[string]json.RawMessage{"y": []byte("3")}
	if _, err := tb.Call(t.Context(), "m", &r); err != nil || string(a.extra["x"]) != "1" || string(a.extra["y"]) != "3" || len(r.Extra) != 1 {
		t.Errorf("%s %v", a.extra, err)
	}
	if _, err := tb.Call(t.Context(), "m", hello); err != nil || string(a.extra["y"]) != "2" {
		t.Errorf("one call changed the next: %s %v", a.extra, err)
	}
}

// TestCostOfAFailedAnswer: what was used of an answer that broke is counted.
func TestCostOfAFailedAnswer(t *testing.T) {
	f := scripted(t, "model m\nfault empty\nusage in=1000 out=10\nsay \"hi\"")
	tb := table(t, Target{Name: "m", Provider: f, Price: daruma.Price{Input: 2, Output: 10}})
	a, err := tb.Call(t.Context(), "m", hello)
	if daruma.KindOf(err) != daruma.KindBroken || a.Cost != 2100 {
		t.Fatalf("%+v %v", a, err)
	}
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scripted(t, "model m\nfault 503 times=10\nsay \"back\"")
		tb := table(t, Target{Name: "m", Provider: f}, Target{Name: "other", Model: "m", Provider: f})
		for range 10 {
			if _, err := tb.Call(t.Context(), "m", hello); daruma.KindOf(err) != daruma.KindUnavailable {
				t.Fatal(err)
			}
		}
		_, err := tb.Call(t.Context(), "m", hello)
		e, ok := errors.AsType[*model.Error](err)
		if !ok || e.Kind != daruma.KindUnavailable || e.RetryAfter <= 0 || e.Code != "breaker_open" {
			t.Fatalf("open breaker: %v", err)
		}
		if n := f.Asked()["model m"]; n != 10 {
			t.Fatalf("%d requests, want 10: an open breaker sends nothing", n)
		}
		if _, err := tb.Call(t.Context(), "other", hello); err != nil {
			t.Fatalf("another target: %v", err)
		}
		<-time.After(e.RetryAfter) // by the clock of synctest
		if _, err := tb.Call(t.Context(), "m", hello); err != nil || tb.State("m") != "closed" {
			t.Fatalf("probe: %v, %s", err, tb.State("m"))
		}
	})
}

// TestBreakerBlamesTheRightSide: what the target cannot help leaves its
// breaker closed.
func TestBreakerBlamesTheRightSide(t *testing.T) {
	for _, fault := range []string{"429 retry-after=1", "400", "401", "overflow", "quota", "404"} {
		f := scripted(t, "model m\nfault "+fault+" times=forever\nsay \"hi\"")
		tb := table(t, Target{Name: "m", Provider: f})
		for range 30 {
			tb.Call(t.Context(), "m", hello)
		}
		if s := tb.State("m"); s != "closed" {
			t.Errorf("after 30 of %s the breaker is %s", fault, s)
		}
	}
	f := scripted(t, "model m\nfault hang times=forever\nsay \"hi\"")
	tb := table(t, Target{Name: "m", Provider: f})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 30 {
		tb.Call(gone, "m", hello)
	}
	if s := tb.State("m"); s != "closed" {
		t.Errorf("after 30 callers left the breaker is %s", s)
	}
}

func TestPatienceOfATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scripted(t, "model m\nfault hang for=1h\nfault stall for=1h\nfault drip every=1s\nsay \"one two three\"")
		tb := table(t, Target{Name: "m", Provider: f, Patience: model.Patience{FirstToken: 5 * time.Second, Progress: 2 * time.Second}})
		start := time.Now()
		if _, err := tb.Call(t.Context(), "m", hello); daruma.KindOf(err) != daruma.KindTimeout || time.Since(start) != 5*time.Second {
			t.Fatalf("hang: %v after %s", err, time.Since(start))
		}
		start = time.Now()
		if _, err := tb.Call(t.Context(), "m", hello); daruma.KindOf(err) != daruma.KindTimeout || time.Since(start) != 2*time.Second {
			t.Fatalf("stall: %v after %s", err, time.Since(start))
		}
		if _, err := tb.Call(t.Context(), "m", hello); err != nil {
			t.Fatalf("a slow drip makes progress: %v", err)
		}
	})
}

func TestWatchAndIDs(t *testing.T) {
	f := scripted(t, "model m\nsay \"a longer text for several chunks\"\nquirk ids-same\ncall x {}\ncall x {}")
	tb := table(t, Target{Name: "m", Provider: f})
	r := &model.Request{Messages: []daruma.Message{
		{Role: daruma.RoleUser, Text: "go"},
		{Role: daruma.RoleAssistant, Calls: []daruma.ToolCall{{ID: "call_same", Name: "x"}}},
		{Role: daruma.RoleTool, CallID: "call_same"},
	}}
	var seen strings.Builder
	a, err := tb.Watch(t.Context(), "m", r, func(c model.Chunk) { seen.WriteString(c.Text) })
	if err != nil || seen.String() != a.Message.Text {
		t.Fatalf("saw %q of %q, %v", seen.String(), a.Message.Text, err)
	}
	ids := []string{"call_same", a.Message.Calls[0].ID, a.Message.Calls[1].ID}
	if slices.Sort(ids); len(slices.Compact(ids)) != 3 {
		t.Errorf("ids %v are not unique in the conversation", ids)
	}
}

func TestNewTableRefuses(t *testing.T) {
	f := scripted(t, "model m\nsay \"x\"")
	for want, targets := range map[string][]Target{
		"twice":       {{Name: "a", Provider: f}, {Name: "a", Provider: f}},
		"no provider": {{Name: "a"}},
		"no name":     {{Provider: f}},
	} {
		if _, err := NewTable(targets...); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
