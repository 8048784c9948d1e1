package agent_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/tool"
)

// TestRunsBeginWhereItWorks: once the first model is known to fail, runs begin
// at the next one without a fall of their own, but for a trial now and then;
// when trials have succeeded for long enough all of them return.
func TestRunsBeginWhereItWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var down atomic.Bool
		var asked atomic.Int32
		down.Store(true)
		first := talk(func(context.Context, []daruma.Message) (daruma.Message, error) {
			asked.Add(1)
			if down.Load() {
				return daruma.Message{}, (&model.Error{Provider: "m", Kind: daruma.KindUnavailable, Text: "down"}).Failure("test")
			}
			return say("first"), nil
		})
		j := darumatest.NewMemory()
		h := open(t, agent.Options{Journal: j, Models: table(t, first, script()), Agents: []agent.Agent{{Name: "helper"}}})
		run := func() (agent.Result, *daruma.Lowered) {
			r := h.waitFinished(h.start(agent.Start{Agent: "helper", Input: "go"}))
			folded, err := agent.Read(t.Context(), j, r.Run)
			if err != nil {
				t.Fatal(err)
			}
			return r, folded.Started().Lowered
		}
		if r, l := run(); l != nil || len(r.Falls) != 1 || r.Finished.Level != daruma.OtherModel {
			t.Fatalf("the first run: %+v %+v", l, r)
		}
		before := asked.Load()
		for range 5 {
			if r, l := run(); l == nil || l.Target != "model1" || len(r.Falls) != 0 || r.State != daruma.Completed || r.Level != daruma.OtherModel {
				t.Fatalf("%+v %+v", l, r)
			}
		}
		if asked.Load() != before || h.Level("helper") != daruma.OtherModel {
			t.Errorf("the first model was asked %d times more, level %s", asked.Load()-before, h.Level("helper"))
		}
		<-time.After(time.Minute)
		if r, l := run(); l != nil || len(r.Falls) != 1 {
			t.Errorf("the trial: %+v %+v", l, r.Falls)
		}
		down.Store(false)
		levels := []daruma.Level{}
		for range 60 { // one run a second
			<-time.After(time.Second)
			r, _ := run()
			levels = append(levels, r.Level)
		}
		back := slices.Index(levels, daruma.Full)
		if back < 5 || levels[back+1] != daruma.OtherModel {
			t.Errorf("one good answer is enough to return: %v", levels)
		}
		for i, level := range levels[50:] {
			if level != daruma.Full {
				t.Errorf("the run of second %d is still of level %s: %v", 51+i, level, levels)
			}
		}
		if h.Level("helper") != daruma.Full {
			t.Error("the shell has not returned")
		}
	})
}

// TestRunsBeginWithAnotherTool: calls of a tool that is failing go to its
// stand-in from the start.
func TestRunsBeginWithAnotherTool(t *testing.T) {
	bubble(t, func(t *testing.T) {
		find := daruma.ToolSpec{Effect: daruma.Read, Capability: "find"}
		broken := tool.Func("look", "Fails.", func(context.Context, word) (string, error) {
			return "", &daruma.Failure{Kind: daruma.KindUnavailable, Err: errors.New("down")}
		}, find)
		works := tool.Func("search", "Works.", func(_ context.Context, in word) (string, error) { return "found " + in.Word, nil }, find)
		h := open(t, agent.Options{Journal: darumatest.NewMemory(), Models: table(t, script(call("look", `{"word":"a"}`))),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{broken, works}}}})
		for i, falls := range []int{1, 0, 0} {
			r := h.waitFinished(h.start(agent.Start{Agent: "helper", Input: "go"}))
			if r.Answer() != "done: found a" || len(r.Falls) != falls || r.Finished.Level != daruma.OtherTool {
				t.Errorf("run %d: %s, level %s, %+v", i, r.Answer(), r.Finished.Level, r.Falls)
			}
		}
	})
}

// TestForcedLevels: a level that is forced holds for every run.
func TestForcedLevels(t *testing.T) {
	mail := tool.Func("mail", "Writes.", func(context.Context, word) (string, error) { return "sent", nil }, daruma.ToolSpec{Effect: daruma.Keyed})
	for _, c := range []struct {
		degrade agent.Degrade
		state   daruma.RunState
		level   daruma.Level
		missing int
	}{
		{agent.Degrade{Off: true}, daruma.Completed, daruma.Full, 0},
		{agent.Degrade{Force: daruma.OtherModel}, daruma.Completed, daruma.OtherModel, 0},
		{agent.Degrade{Force: daruma.OtherTool}, daruma.Completed, daruma.Full, 0}, // nothing stands in for anything
		{agent.Degrade{Force: daruma.Partial}, daruma.Degraded, daruma.Partial, 1},
		{agent.Degrade{Force: daruma.Static}, daruma.Degraded, daruma.Static, 1},
	} {
		bubble(t, func(t *testing.T) {
			h := open(t, agent.Options{Journal: darumatest.NewMemory(), Models: table(t, script(), script()), Degrade: c.degrade,
				Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look"), mail}}}})
			r := h.waitFinished(h.start(agent.Start{Agent: "helper", Input: "go"}))
			if r.State != c.state || r.Finished.Level != c.level || len(r.Finished.Missing) != c.missing {
				t.Errorf("%+v: %s, level %s, missing %q", c.degrade, r.State, r.Finished.Level, r.Finished.Missing)
			}
		})
	}
}
