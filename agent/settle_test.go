package agent_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// doubtful is a tool whose calls never come back, and which is asked about
// them until it has an answer.
func doubtful(l *ledger, asked *atomic.Int32, answers func(n int32) daruma.Outcome) tool.Tool {
	act := tool.Func("act", "Acts.", func(ctx context.Context, in word) (string, error) {
		l.add(ctx)
		return "", tool.Doubt(context.DeadlineExceeded)
	}, daruma.ToolSpec{Effect: daruma.Unsafe, OnDoubt: daruma.DoubtVerify})
	act.Spec.Verify = true
	act.Verify = func(context.Context, tool.Call) (daruma.Outcome, tool.Result, error) {
		return answers(asked.Add(1)), tool.Result{Text: "acted"}, nil
	}
	return act
}

func TestReconcilesAcrossACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var l ledger
		var asked atomic.Int32
		act := doubtful(&l, &asked, func(n int32) daruma.Outcome {
			if n < 4 {
				return daruma.Doubtful
			}
			return daruma.Succeeded
		})
		options := agent.Options{Journal: j, Models: table(t, script(call("act", `{"word":"x"}`))), Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{act}}}}
		began := time.Now()
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "act"})
		<-time.After(90 * time.Second)
		run, err := agent.Read(context.Background(), j, id)
		if err != nil || run.State() != daruma.Waiting || !strings.HasPrefix(run.Note(), "processing: ") || run.Effects()[0].State != daruma.EffectUnknown {
			t.Fatalf("%s, %q, %+v, %v", run.State(), run.Note(), run.Effects(), err)
		}
		if info, err := j.Run(context.Background(), id); err != nil || info.Node != "" {
			t.Errorf("held while it waits: %+v, %v", info, err)
		}
		options.Journal = j.Crash()
		h.close()
		h = open(t, options)
		for ; err == nil && run.Finished() == nil && time.Since(began) < time.Hour; run, err = agent.Read(context.Background(), options.Journal, id) {
			<-time.After(time.Second)
		}
		r := h.waitFinished(id)
		if r.State != daruma.Completed || r.Answer() != "done: acted" || asked.Load() != 4 || len(l.keys) != 1 {
			t.Errorf("%s, %q after %d questions, calls %v", r.State, r.Answer(), asked.Load(), l.keys)
		}
		if took := time.Since(began); took < 7*time.Minute || took > 10*time.Minute {
			t.Errorf("took %s, want the minute, the two and the four", took)
		}
	})
}

func TestSettle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var l ledger
		var asked atomic.Int32
		act := doubtful(&l, &asked, func(int32) daruma.Outcome { return daruma.Doubtful })
		h := open(t, agent.Options{Journal: j, Models: table(t, script(call("act", `{"word":"x"}`), call("ask", `{"word":"y"}`))),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{act, tool.Func("ask", "Asks.", func(context.Context, word) (string, error) { return "asked", nil },
				daruma.ToolSpec{Approve: true})}}}})
		id := h.start(agent.Start{Agent: "helper", Input: "act"})
		<-time.After(time.Second)
		ctx := context.Background()
		settle := func(call string, o daruma.Outcome) daruma.Kind {
			return daruma.KindOf(agent.Settle(ctx, j, id, call, "webhook:bank", o, "acted at noon"))
		}
		if k := settle("1/9", daruma.Succeeded); k != daruma.KindNotFound {
			t.Errorf("a call that is none: %s", k)
		}
		if k := settle("1/3", daruma.Doubtful); k != daruma.KindInvalid {
			t.Errorf("an outcome that is none: %s", k)
		}
		if err := agent.Settle(ctx, j, id, "1/3", "webhook:bank", daruma.Succeeded, "acted at noon"); err != nil {
			t.Fatal(err)
		}
		if r := h.wait(id); r.Parked == nil || r.Parked.Reason != daruma.ParkApproval {
			t.Fatalf("%s, %+v", r.State, r.Parked)
		}
		if k := settle("1/3", daruma.Succeeded); k != daruma.KindConflict {
			t.Errorf("a second time: %s", k)
		}
		if k := settle("1/3", daruma.Failed); k != daruma.KindConflict {
			t.Errorf("the opposite: %s", k)
		}
		<-time.After(time.Second)
		if n := count(kinds(t, j, id), daruma.KindPostRefused); n != 1 {
			t.Errorf("%d refusals are visible, want that of the opposite: the same again is the same post", n)
		}
		approvals, err := j.Approvals(ctx, id)
		if err != nil || len(approvals) != 1 {
			t.Fatal(approvals, err)
		}
		if err := agent.Decide(ctx, j, approvals[0].ID, true, "user:ada", ""); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		r := h.wait(id)
		if r.Parked == nil || r.Parked.Signal != daruma.Contradiction {
			t.Fatalf("%s, %+v", r.State, r.Parked)
		}
		if err := agent.Answer(ctx, j, id, "", "user:ada", daruma.Answer{Choice: daruma.AnswerHappened}); err != nil {
			t.Fatal(err)
		}
		r = h.waitFinished(id)
		if r.State != daruma.Completed || r.Answer() != "done: acted at noon,asked" || l.keys == nil || asked.Load() != 1 {
			t.Errorf("%s, %q after %d questions", r.State, r.Answer(), asked.Load())
		}
		if k := settle("1/3", daruma.Failed); k != daruma.KindConflict {
			t.Errorf("after the end: %s", k)
		}
	})
}
