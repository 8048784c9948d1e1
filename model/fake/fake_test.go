package fake

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// refundScript is the script of the package's manual.
func refundScript(t testing.TB) string {
	t.Helper()
	manual, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(manual), "//\tseed 7\n")
	text, _, _ = strings.Cut(text, "// Statements")
	return strings.ReplaceAll(text, "//", "")
}

func parse(t *testing.T, text string) *Fake {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return New(s)
}

func ask(t *testing.T, f *Fake, name string, messages ...daruma.Message) (*model.Reply, error) {
	t.Helper()
	return model.Collect(f.Stream(t.Context(), &model.Request{Model: name, Messages: messages}))
}

func user(text string) daruma.Message { return daruma.Message{Role: daruma.RoleUser, Text: text} }

func result(m daruma.Message, text string) daruma.Message {
	return daruma.Message{Role: daruma.RoleTool, CallID: m.Calls[0].ID, Text: text}
}

// TestRefundConversation plays the script of the package's manual.
func TestRefundConversation(t *testing.T) {
	f := parse(t, refundScript(t))
	talk := []daruma.Message{user("Refund A-17")}
	_, err := ask(t, f, "primary", talk...)
	if e, ok := errors.AsType[*model.Error](err); !ok || e.Kind != daruma.KindRateLimited || e.RetryAfter != 200*time.Millisecond {
		t.Fatalf("first: %v", err)
	}
	step := func(want string) daruma.Message {
		t.Helper()
		r, err := ask(t, f, "primary", talk...)
		if err != nil {
			t.Fatal(err)
		}
		got := r.Message.Text
		for _, c := range r.Message.Calls {
			got += c.Name + " " + c.Arguments
		}
		if got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if !r.UsageKnown || r.Usage.Input == 0 {
			t.Fatalf("usage %+v", r.Usage)
		}
		talk = append(talk, r.Message)
		return r.Message
	}
	m := step(`lookup {"order":"A-17"}`)
	for range 2 {
		if _, err := f.Call(t.Context(), "lookup", m.Calls[0].Arguments, ""); daruma.KindOf(err) != daruma.KindUnavailable {
			t.Fatalf("lookup: %v", err)
		}
	}
	out, err := f.Call(t.Context(), "lookup", m.Calls[0].Arguments, "")
	if err != nil || string(out) != `{"order":"A-17","paid":12.5}` {
		t.Fatalf("lookup: %s %v", out, err)
	}
	talk = append(talk, result(m, string(out)))
	m = step(`refund_order {"order":"A-17"}`)
	talk = append(talk, result(m, "error"), user("There is no tool refund_order."))
	m = step(`refund {"order":"A-17","amount":12.5}`)
	args := m.Calls[0].Arguments
	if _, err := f.Call(t.Context(), "refund", args, "k1"); daruma.KindOf(err) != daruma.KindDoubt {
		t.Fatalf("refund: %v", err)
	}
	if r, ok := f.Happened("refund", "k1"); !ok || !strings.Contains(string(r), "R-1") {
		t.Fatalf("happened: %s %v", r, ok)
	}
	out, err = f.Call(t.Context(), "refund", args, "k1")
	if err != nil || string(out) != `{"refund":"R-1","paid":12.5}` {
		t.Fatalf("refund again: %s %v", out, err)
	}
	if n := len(f.Ledger()); n != 1 {
		t.Fatalf("%d refunds, want 1", n)
	}
	talk = append(talk, result(m, string(out)))
	step("Refunded 12.5 dollars.")
	if _, err := f.Call(t.Context(), "refund", `{"order":"B","amount":1}`, "k1"); daruma.KindOf(err) != daruma.KindInvalid {
		t.Fatalf("same key, other arguments: %v", err)
	}
	if _, err := f.Call(t.Context(), "refund", `{"order":"B","amount":"12"}`, "k2"); daruma.KindOf(err) != daruma.KindInvalid {
		t.Fatalf("wrong type: %v", err)
	}
	if n := len(f.Ledger()); n != 1 {
		t.Fatalf("%d refunds, want 1", n)
	}
}

// TestFaultKinds checks what each fault looks like to a caller in this process.
func TestFaultKinds(t *testing.T) {
	for kind, want := range faultKinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := parse(t, "model m\nfault "+kind+"\nsay \"one two three four five six\"")
				r, err := ask(t, f, "m", user("hello"))
				if got := daruma.KindOf(err); got != want || (err != nil) != (want != 0) {
					t.Fatalf("%v, kind %s, want %s", err, got, want)
				}
				switch kind {
				case "refusal":
					if r.Finish != daruma.FinishFilter {
						t.Errorf("finish %q", r.Finish)
					}
				case "length":
					if r.Finish != daruma.FinishLength || !strings.HasPrefix("one two three four five six", r.Message.Text) {
						t.Errorf("%+v", r)
					}
				}
				if kind == "dead" {
					return
				}
				if r, err := ask(t, f, "m", user("hello")); err != nil || r.Message.Text != "one two three four five six" {
					t.Errorf("after the fault: %v %v", r, err)
				}
			})
		})
	}
}

// faultKinds is what each fault looks like, in this process and over HTTP.
var faultKinds = map[string]daruma.Kind{
	"400": daruma.KindInvalid, "401": daruma.KindUnauthorized, "404": daruma.KindNotFound, "402": daruma.KindQuota,
	"429": daruma.KindRateLimited, "429 retry-after=2": daruma.KindRateLimited, "429 retry-after-date=2s": daruma.KindRateLimited,
	"500": daruma.KindUnavailable, "503": daruma.KindUnavailable, "529": daruma.KindUnavailable, "504": daruma.KindTimeout,
	"hang for=50ms": daruma.KindTimeout, "stall for=50ms": daruma.KindBroken, "drip every=1ms": 0,
	"cut": daruma.KindBroken, "cut after=1": daruma.KindBroken, "no-end": daruma.KindBroken,
	"error-200": daruma.KindUnavailable, "error-event": daruma.KindUnavailable, "html": daruma.KindBroken,
	"garbage": daruma.KindBroken, "empty": daruma.KindBroken, "overflow": daruma.KindOverflow, "quota": daruma.KindQuota,
	"refusal": 0, "length": 0, "dead": daruma.KindUnavailable, "reset": daruma.KindUnavailable,
}

func TestHangEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := parse(t, "model m\nfault hang for=10m\nsay \"late\"")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := model.Collect(f.Stream(ctx, &model.Request{Model: "m", Messages: []daruma.Message{user("x")}}))
		if daruma.KindOf(err) != daruma.KindTimeout || time.Since(start) != time.Second {
			t.Fatalf("%v after %s", err, time.Since(start))
		}
	})
}
