package agent_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// ledger is the world outside: it counts effects by idempotency key.
type ledger struct {
	mu   sync.Mutex
	keys map[string]int
}

func (l *ledger) add(ctx context.Context) {
	c, _ := tool.CallOf(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]int{}
	}
	l.keys[c.Key]++
}

// hang is a tool that has its effect and then does not return before gate is
// closed or its context ends.
func hang(effect daruma.Effect, l *ledger, began chan<- struct{}, gate <-chan struct{}) tool.Tool {
	return tool.Func("act", "Acts.", func(ctx context.Context, in word) (string, error) {
		l.add(ctx)
		began <- struct{}{}
		select {
		case <-gate:
			return "acted", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}, daruma.ToolSpec{Effect: effect, Risk: daruma.RiskLow, Timeout: daruma.Duration(time.Minute)})
}

// TestCrashInACall kills the journal while a call is in flight and goes on
// with another shell over what was acknowledged.
func TestCrashInACall(t *testing.T) {
	for _, effect := range []daruma.Effect{daruma.Read, daruma.Idempotent, daruma.Keyed, daruma.Transactional, daruma.Payment, daruma.Unsafe} {
		t.Run(effect.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				j := darumatest.NewMemory()
				var l ledger
				began, gate := make(chan struct{}, 9), make(chan struct{})
				options := agent.Options{Journal: j, Models: table(t, script(call("act", `{"word":"x"}`))), Grace: -1,
					Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{hang(effect, &l, began, gate)}}}}
				h := open(t, options)
				id := h.start(agent.Start{Agent: "helper", Input: "act"})
				<-began
				after := j.Crash()
				h.stop()
				if err := <-h.ended; daruma.KindOf(err) != daruma.KindDown && err != nil {
					t.Errorf("Run of the dead journal: %v", err)
				} else {
					h.ended <- err
				}
				close(gate)
				options.Journal = after
				h = open(t, options)
				r := h.wait(id)
				var calls, keys int
				for _, n := range l.keys {
					calls, keys = calls+n, keys+1
				}
				if effect == daruma.Unsafe {
					if r.State != daruma.ParkedState || calls != 1 {
						t.Fatalf("%s after %d calls, %+v", r.State, calls, r)
					}
					err := agent.Answer(context.Background(), after, id, "", "user:ada", daruma.Answer{Choice: daruma.AnswerHappened, Text: "acted"})
					if err != nil {
						t.Fatal(err)
					}
					r = h.waitFinished(id)
				} else if calls != 2 {
					t.Errorf("%d calls, want the one that crashed and one more", calls)
				}
				if keys != 1 {
					t.Errorf("%d different keys for one call: %v", keys, l.keys)
				}
				if !r.State.Finished() || r.Answer() != "done: acted" {
					t.Errorf("%s, %q, %+v", r.State, r.Answer(), r)
				}
			})
		})
	}
}

func TestDrainLetsCallsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var l ledger
		began, gate := make(chan struct{}, 9), make(chan struct{})
		options := agent.Options{Journal: j, Models: table(t, script(call("act", `{"word":"x"}`))), Grace: 10 * time.Second,
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{hang(daruma.Unsafe, &l, began, gate)}}}}
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "act"})
		<-began
		h.stop()
		<-time.After(5 * time.Second)
		close(gate)
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		info, err := j.Run(context.Background(), id)
		if err != nil || info.Node != "" || info.State.Finished() {
			t.Fatalf("left as %+v, %v", info, err)
		}
		if n := count(kinds(t, j, id), daruma.KindToolReplied); n != 1 {
			t.Errorf("%d results are durable", n)
		}
		h = open(t, options)
		if r := h.waitFinished(id); r.Answer() != "done: acted" || len(l.keys) != 1 {
			t.Errorf("%q after calls %v", r.Answer(), l.keys)
		}
	})
}

func TestDrainCutsCallsAfterTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var l ledger
		began, gate := make(chan struct{}, 9), make(chan struct{})
		options := agent.Options{Journal: j, Models: table(t, script(call("act", `{"word":"x"}`))), Grace: 10 * time.Second,
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{hang(daruma.Unsafe, &l, began, gate)}}}}
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "act"})
		<-began
		stopped := time.Now()
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(stopped); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("draining took %s", took)
		}
		h = open(t, options)
		r := h.wait(id)
		if r.State != daruma.ParkedState || r.Parked.Signal != daruma.UnknownOutcome || len(l.keys) != 1 {
			t.Errorf("%s, %+v", r.State, r.Parked)
		}
	})
}

func TestDrainRepeatsModelCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var asked atomic.Int32
		options := agent.Options{Journal: j, Grace: -1, Agents: []agent.Agent{{Name: "helper"}},
			Models: table(t, talk(func(ctx context.Context, _ []daruma.Message) (daruma.Message, error) {
				if asked.Add(1) == 1 {
					<-ctx.Done()
					return daruma.Message{}, ctx.Err()
				}
				return say("hello"), nil
			}))}
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		synctest.Wait()
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		if n := count(kinds(t, j, id), daruma.KindModelFailed); n != 0 {
			t.Errorf("the call that the stop cut short counts as a failure")
		}
		h = open(t, options)
		if r := h.waitFinished(id); r.State != daruma.Completed || len(r.Falls) != 0 {
			t.Errorf("%s with falls %+v", r.State, r.Falls)
		}
	})
}

// TestPoisonedRunIsParked has a run take its process down again and again.
func TestPoisonedRunIsParked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		agents := []agent.Agent{{Name: "helper"}}
		models := table(t, talk(func(ctx context.Context, _ []daruma.Message) (daruma.Message, error) {
			<-ctx.Done()
			return daruma.Message{}, ctx.Err()
		}))
		var id daruma.RunID
		for range 4 {
			h := open(t, agent.Options{Journal: j, Agents: agents, Models: models, Grace: -1})
			if id == "" {
				id = h.start(agent.Start{Agent: "helper", Input: "go"})
			}
			synctest.Wait()
			j = j.Crash()
			h.close()
		}
		h := open(t, agent.Options{Journal: j, Agents: agents, Models: models})
		r := h.wait(id)
		if r.State != daruma.ParkedState || r.Parked.Reason != daruma.ParkClaims {
			t.Errorf("%s, %+v", r.State, r.Parked)
		}
	})
}

// TestBrokenRunIsQuarantined breaks one run's events; the others go on.
func TestBrokenRunIsQuarantined(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := context.Background()
		j := darumatest.NewMemory()
		e := daruma.Event{Kind: daruma.KindStarted, Actor: daruma.ActorShell, Time: time.Now(), Payload: []byte(`{"agent":7}`)}
		errs := j.Commit(ctx, []daruma.Tx{{Run: "bad", Type: daruma.AgentRun, Name: "helper", Events: []daruma.Event{e}}})
		if errs[0] != nil {
			t.Fatal(errs[0])
		}
		h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper"}}, Models: table(t, script())})
		good := h.start(agent.Start{Agent: "helper", Input: "go"})
		if r := h.waitFinished(good); r.State != daruma.Completed {
			t.Errorf("the good run is %s", r.State)
		}
		if r := h.wait("bad"); r.State != daruma.Quarantined || r.Note == "" {
			t.Errorf("the bad run is %s, %q", r.State, r.Note)
		}
	})
}

func TestPanickingModelIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := open(t, agent.Options{Journal: darumatest.NewMemory(), Agents: []agent.Agent{{Name: "helper"}},
			Models: table(t, talk(func(context.Context, []daruma.Message) (daruma.Message, error) { panic("boo") }), script(say("hello")))})
		r := h.wait(h.start(agent.Start{Agent: "helper", Input: "go"}))
		if r.State != daruma.Completed || r.Answer() != "hello" {
			t.Errorf("%s, %+v", r.State, r)
		}
	})
}

// TestDrainRepeatsReads has the stop cut a read short: it is no failure, and
// is made again.
func TestDrainRepeatsReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var l ledger
		began, gate := make(chan struct{}, 9), make(chan struct{})
		options := agent.Options{Journal: j, Models: table(t, script(call("act", `{"word":"x"}`))), Grace: -1,
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{hang(daruma.Read, &l, began, gate)}}}}
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "act"})
		<-began
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		close(gate)
		h = open(t, options)
		if r := h.waitFinished(id); r.State != daruma.Completed || len(r.Falls) != 0 {
			t.Errorf("%s with falls %+v", r.State, r.Falls)
		}
	})
}
