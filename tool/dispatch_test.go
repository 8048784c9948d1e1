package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
)

// give returns a tool that answers with a text or an error.
func give(spec daruma.ToolSpec, text string, err error) Tool {
	if spec.Name == "" {
		spec.Name = "t"
	}
	return Tool{Spec: spec, Do: func(context.Context, Call) (Result, error) { return Result{Text: text}, err }}
}

func newSet(t testing.TB, tools ...Tool) *Set {
	t.Helper()
	s, err := NewSet(tools...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDispatchRefuses(t *testing.T) {
	called := false
	do := func(context.Context, Call) (Result, error) { called = true; return Result{}, nil }
	s := newSet(t,
		Tool{Spec: daruma.ToolSpec{Name: "get_weather", Effect: daruma.Read}, Do: do,
			Schema: json.RawMessage(`{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}`)},
		Tool{Spec: daruma.ToolSpec{Name: "pay", Effect: daruma.Payment}, Do: do},
		Tool{Spec: daruma.ToolSpec{Name: "careful", Effect: daruma.Read, Approve: true}, Do: do},
		Tool{Spec: daruma.ToolSpec{Name: "write"}, Do: do},
	)
	for _, test := range []struct {
		name string
		call Call
		kind daruma.Kind
		want string
	}{
		{"unknown", Call{Tool: "getWeather"}, daruma.KindNotFound, `did you mean "get_weather"`},
		{"missing", Call{Tool: "get_weather"}, daruma.KindInvalid, "/city is missing"},
		{"no JSON", Call{Tool: "get_weather", Args: json.RawMessage("{")}, daruma.KindInvalid, "no JSON"},
		{"array", Call{Tool: "write", Args: json.RawMessage("[]")}, daruma.KindInvalid, "array"},
		{"payment without key", Call{Tool: "pay", Approved: true}, daruma.KindInvalid, "without an idempotency key"},
		{"long key", Call{Tool: "write", Key: strings.Repeat("k", 256)}, daruma.KindInvalid, "256 bytes"},
		{"key with a line", Call{Tool: "write", Key: "a\r\nX: b"}, daruma.KindInvalid, "control"},
		{"key with a C1 control", Call{Tool: "write", Key: "a\u0085b"}, daruma.KindInvalid, "control"},
		{"payment without approval", Call{Tool: "pay", Key: "k"}, daruma.KindNeedsApproval, "its risk is critical"},
		{"declared", Call{Tool: "careful"}, daruma.KindNeedsApproval, "every call"},
		{"stricter run", Call{Tool: "write", Threshold: daruma.RiskMedium}, daruma.KindNeedsApproval, "approvals begin at medium"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.Dispatch(t.Context(), test.call)
			if daruma.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v (%v); want %v with %q", err, daruma.KindOf(err), test.kind, test.want)
			}
			if called {
				t.Error("the tool was called")
			}
		})
	}
	if _, err := s.Dispatch(t.Context(), Call{Tool: "pay", Key: strings.Repeat("k", 255), Approved: true}); err != nil || !called {
		t.Errorf("approved payment with a key: %v", err)
	}
	_, err := s.Dispatch(t.Context(), Call{Tool: "pay", Key: "k"})
	if n, ok := errors.AsType[*NeedsApproval](err); !ok || n.Risk != daruma.RiskCritical {
		t.Errorf("cause of %v is no NeedsApproval", err)
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "slow network" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func TestDispatchErrors(t *testing.T) {
	boom := errors.New("boom")
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	cut := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	for _, test := range []struct {
		name         string
		err          error
		read, effect daruma.Kind
	}{
		{"plain", boom, daruma.KindUnknown, daruma.KindUnknown},
		{"deadline", fmt.Errorf("x: %w", context.DeadlineExceeded), daruma.KindTimeout, daruma.KindDoubt},
		{"cancelled", context.Canceled, daruma.KindCancelled, daruma.KindDoubt},
		{"deadline under a kind", daruma.Fail("x", daruma.KindUnavailable, "%w", context.DeadlineExceeded), daruma.KindUnavailable, daruma.KindDoubt},
		{"timeout kind alone", daruma.Fail("x", daruma.KindTimeout, "queue"), daruma.KindTimeout, daruma.KindTimeout},
		{"doubt", Doubt(boom), daruma.KindBroken, daruma.KindDoubt},
		{"refuse", Refuse(boom), daruma.KindInvalid, daruma.KindInvalid},
		{"refuse a deadline", Refuse(context.DeadlineExceeded), daruma.KindInvalid, daruma.KindInvalid},
		{"refuse with a kind", Refuse(daruma.Fail("", daruma.KindQuota, "x")), daruma.KindQuota, daruma.KindQuota},
		{"refuse a doubt", Refuse(Doubt(boom)), daruma.KindInvalid, daruma.KindInvalid},
		{"doubt of a refusal", Doubt(Refuse(boom)), daruma.KindBroken, daruma.KindDoubt},
		{"retry", Retry(context.DeadlineExceeded, 0), daruma.KindUnavailable, daruma.KindUnavailable},
		{"retry later", Retry(boom, time.Minute), daruma.KindRateLimited, daruma.KindRateLimited},
		{"not connected", fmt.Errorf("x: %w", dial), daruma.KindUnavailable, daruma.KindUnavailable},
		{"cut", cut, daruma.KindUnavailable, daruma.KindDoubt},
		{"slow", timeoutError{}, daruma.KindUnavailable, daruma.KindDoubt},
	} {
		t.Run(test.name, func(t *testing.T) {
			for effect, want := range map[daruma.Effect]daruma.Kind{daruma.Read: test.read, daruma.Unsafe: test.effect, daruma.Transactional: test.effect} {
				s := newSet(t, give(daruma.ToolSpec{Effect: effect}, "", test.err))
				_, err := s.Dispatch(t.Context(), Call{Tool: "t"})
				if got := daruma.KindOf(err); got != want || !errors.Is(err, test.err) {
					t.Errorf("%v: %v is %v; want %v", effect, err, got, want)
				}
			}
		})
	}
	if got := RetryAfter(fmt.Errorf("x: %w", Retry(boom, time.Minute))); got != time.Minute {
		t.Errorf("RetryAfter %v", got)
	}
}

func TestDispatchPanics(t *testing.T) {
	for effect, want := range map[daruma.Effect]daruma.Kind{daruma.Read: daruma.KindInternal, daruma.Keyed: daruma.KindDoubt} {
		s := newSet(t, Tool{Spec: daruma.ToolSpec{Name: "t", Effect: effect}, Do: func(context.Context, Call) (Result, error) { panic("secret") }})
		_, err := s.Dispatch(t.Context(), Call{Tool: "t"})
		p, ok := errors.AsType[*PanicError](err)
		if daruma.KindOf(err) != want || !ok || p.Value != "secret" || len(p.Stack) == 0 {
			t.Errorf("%v: error %v is %v; want %v", effect, err, daruma.KindOf(err), want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("text tells the value: %v", err)
		}
	}
}

func TestDispatchResults(t *testing.T) {
	large := strings.Repeat("x", 1<<20+1)
	s := newSet(t,
		give(daruma.ToolSpec{Name: "bad", Effect: daruma.Read}, "a\xffb", nil),
		give(daruma.ToolSpec{Name: "large", Effect: daruma.Read}, large, nil),
		give(daruma.ToolSpec{Name: "fits", Effect: daruma.Read}, large[1:], nil),
		give(daruma.ToolSpec{Name: "did"}, large, nil),
	)
	if r, err := s.Dispatch(t.Context(), Call{Tool: "bad"}); err != nil || r.Text != "a\uFFFDb" {
		t.Errorf("invalid UTF-8: %q, %v", r.Text, err)
	}
	if _, err := s.Dispatch(t.Context(), Call{Tool: "large"}); daruma.KindOf(err) != daruma.KindBroken {
		t.Errorf("too large: %v", err)
	}
	if r, err := s.Dispatch(t.Context(), Call{Tool: "fits"}); err != nil || len(r.Text) != 1<<20 {
		t.Errorf("just fits: %v", err)
	}
	// An effect with a large result did happen: it must not look as if not.
	if r, err := s.Dispatch(t.Context(), Call{Tool: "did"}); err != nil || !strings.Contains(r.Text, "succeeded") || len(r.Text) > 200 {
		t.Errorf("effect with a large result: %v", err)
	}
}

// stuck is a tool that ignores its context until released.
func stuck(effect daruma.Effect, release <-chan struct{}) Tool {
	return Tool{Spec: daruma.ToolSpec{Name: "t", Effect: effect, Timeout: daruma.Duration(time.Second)},
		Do: func(context.Context, Call) (Result, error) { <-release; return Result{Text: "late"}, nil }}
}

func TestDispatchLeavesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, err := NewSetWith(Options{Parallel: 2, Wait: time.Second}, stuck(daruma.Unsafe, release))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for range 2 {
			_, err = s.Dispatch(t.Context(), Call{Tool: "t"})
			if daruma.KindOf(err) != daruma.KindDoubt || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("error %v is %v", err, daruma.KindOf(err))
			}
		}
		if took := time.Since(start); took != 2*(time.Second+grace) {
			t.Errorf("took %v", took)
		}
		// Both places are free again, but no more may be left behind.
		_, err = s.Dispatch(t.Context(), Call{Tool: "t"})
		if daruma.KindOf(err) != daruma.KindUnavailable || !strings.Contains(err.Error(), "stuck") {
			t.Fatalf("error %v is %v", err, daruma.KindOf(err))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Close(short); daruma.KindOf(err) != daruma.KindTimeout || !strings.Contains(err.Error(), "still running: t") {
			t.Errorf("Close: %v", err)
		}
		close(release)
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := s.Dispatch(t.Context(), Call{Tool: "t"}); daruma.KindOf(err) != daruma.KindUnavailable {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestDispatchTakesResultsInTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, Tool{Spec: daruma.ToolSpec{Name: "t", Timeout: daruma.Duration(time.Second)},
			Do: func(ctx context.Context, _ Call) (Result, error) {
				<-ctx.Done()
				<-time.After(grace / 2)
				return Result{Text: "done"}, nil
			}})
		if r, err := s.Dispatch(t.Context(), Call{Tool: "t"}); err != nil || r.Text != "done" {
			t.Errorf("a result that came was thrown away: %v", err)
		}
	})
}

func TestDispatchBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var err error
		s := newSet(t,
			Tool{Spec: daruma.ToolSpec{Name: "t", Effect: daruma.Read}, Schema: json.RawMessage(`{"type": "object", "additionalProperties": false}`),
				Do: func(context.Context, Call) (Result, error) { return Result{}, err }},
			give(daruma.ToolSpec{Name: "other", Effect: daruma.Read}, "", nil))
		dispatch := func(args string) error {
			_, err := s.Dispatch(t.Context(), Call{Tool: "t", Args: json.RawMessage(args)})
			return err
		}
		err = Refuse(errors.New("no such city"))
		for range 20 {
			dispatch(`{}`)
			dispatch(`{"bad": 1}`)
		}
		err = context.Canceled
		for range 20 {
			dispatch(`{}`)
		}
		err = nil
		if e := dispatch(`{}`); e != nil {
			t.Fatalf("the caller's own mistakes opened the breaker: %v", e)
		}
		err = Retry(errors.New("down"), 0)
		for range 20 {
			dispatch(`{}`)
		}
		err = nil
		e := dispatch(`{}`)
		if daruma.KindOf(e) != daruma.KindUnavailable || RetryAfter(e) <= 0 {
			t.Fatalf("the breaker let a call through, or does not say when: %v", e)
		}
		if _, e := s.Dispatch(t.Context(), Call{Tool: "other"}); e != nil {
			t.Errorf("the breaker of one tool stopped another: %v", e)
		}
		<-time.After(15 * time.Second)
		if e := dispatch(`{}`); e != nil {
			t.Errorf("the probe: %v", e)
		}
		if e := dispatch(`{}`); e != nil {
			t.Errorf("after the probe: %v", e)
		}
	})
}

func TestDispatchBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, err := NewSetWith(Options{Parallel: 2, Wait: time.Second}, Tool{Spec: daruma.ToolSpec{Name: "t", Timeout: daruma.Duration(time.Hour)},
			Do: func(context.Context, Call) (Result, error) { <-release; return Result{}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := s.Dispatch(t.Context(), Call{Tool: "t"}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		for range 20 {
			if _, err := s.Dispatch(t.Context(), Call{Tool: "t"}); daruma.KindOf(err) != daruma.KindUnavailable {
				t.Fatalf("third at once: %v", err)
			}
		}
		close(release)
		wg.Wait()
		if _, err := s.Dispatch(t.Context(), Call{Tool: "t"}); err != nil {
			t.Errorf("a full tool counted as an ill one: %v", err)
		}
	})
}

func TestDispatchCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("run was cancelled")
		for effect, want := range map[daruma.Effect]daruma.Kind{daruma.Read: daruma.KindCancelled, daruma.Idempotent: daruma.KindDoubt} {
			release := make(chan struct{})
			s := newSet(t, stuck(effect, release))
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			_, err := s.Dispatch(ctx, Call{Tool: "t"})
			if daruma.KindOf(err) != daruma.KindCancelled || !errors.Is(err, cause) {
				t.Errorf("%v: before it began: %v (%v)", effect, err, daruma.KindOf(err))
			}
			ctx, cancel = context.WithCancelCause(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := s.Dispatch(ctx, Call{Tool: "t"})
				if daruma.KindOf(err) != want || !errors.Is(err, cause) {
					t.Errorf("%v: under way: %v (%v); want %v", effect, err, daruma.KindOf(err), want)
				}
			})
			synctest.Wait()
			cancel(cause)
			wg.Wait()
			close(release)
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestVerify(t *testing.T) {
	s := newSet(t,
		give(daruma.ToolSpec{Name: "plain"}, "", nil),
		Tool{Spec: daruma.ToolSpec{Name: "asked", Effect: daruma.Payment, Verify: true}, Do: give(daruma.ToolSpec{}, "", nil).Do,
			Verify: func(_ context.Context, call Call) (daruma.Outcome, Result, error) {
				switch call.Key {
				case "done":
					return daruma.Succeeded, Result{Text: "receipt"}, nil
				case "large":
					return daruma.Succeeded, Result{Text: strings.Repeat("x", 1<<20+1)}, nil
				case "none":
					return daruma.Absent, Result{Text: "ignored"}, nil
				case "failed":
					return daruma.Failed, Result{}, nil
				case "error":
					return daruma.Succeeded, Result{}, context.DeadlineExceeded
				case "panic":
					panic("x")
				}
				return daruma.Doubtful, Result{}, nil
			}},
	)
	for _, test := range []struct {
		tool, key string
		outcome   daruma.Outcome
		text      string
		kind      daruma.Kind
	}{
		{"asked", "done", daruma.Succeeded, "receipt", daruma.KindUnknown},
		{"asked", "large", daruma.Succeeded, "The call succeeded, but the result of asked has 1048577 bytes; accepted: at most 1048576. The result is left out.", daruma.KindUnknown},
		{"asked", "none", daruma.Absent, "", daruma.KindUnknown},
		{"asked", "failed", daruma.Absent, "", daruma.KindUnknown},
		{"asked", "error", daruma.Doubtful, "", daruma.KindTimeout},
		{"asked", "panic", daruma.Doubtful, "", daruma.KindInternal},
		{"asked", "?", daruma.Doubtful, "", daruma.KindBroken},
		{"plain", "", daruma.Doubtful, "", daruma.KindInvalid},
		{"nobody", "", daruma.Doubtful, "", daruma.KindNotFound},
	} {
		t.Run(test.tool+" "+test.key, func(t *testing.T) {
			outcome, result, err := s.Verify(t.Context(), Call{Tool: test.tool, Key: test.key})
			if outcome != test.outcome || result.Text != test.text || daruma.KindOf(err) != test.kind || (err != nil) != (outcome == daruma.Doubtful) {
				t.Errorf("%v, %.200q, %v (%v)", outcome, result.Text, err, daruma.KindOf(err))
			}
		})
	}
}

func FuzzDispatchArgs(f *testing.F) {
	type in struct {
		Name  string         `json:"name"`
		Count int            `json:"count,omitempty"`
		More  map[string]any `json:"more,omitempty"`
	}
	s := newSet(f, Func("t", "", func(_ context.Context, v in) (in, error) { return v, nil }, daruma.ToolSpec{Effect: daruma.Read}))
	for _, args := range []string{``, `{}`, `{"name": "x"}`, `{"name": "x", "Name": "y"}`, `{"name": "x", "count": 1e2}`, `{"name":"\ud800","more":{"a":[1]}}`, `{"name":"","count":99999999999999999999}`} {
		f.Add([]byte(args), "k")
	}
	f.Fuzz(func(t *testing.T, args []byte, key string) {
		r, err := s.Dispatch(t.Context(), Call{Tool: "t", Args: args, Key: key})
		if err == nil {
			if again, err := s.Dispatch(t.Context(), Call{Tool: "t", Args: json.RawMessage(r.Text)}); err != nil || again.Text != r.Text {
				t.Fatalf("%s gave %s, which gave %s, %v", args, r.Text, again.Text, err)
			}
			return
		}
		if kind := daruma.KindOf(err); kind != daruma.KindInvalid {
			t.Fatalf("%s: %v is %v", args, err, kind)
		}
	})
}
