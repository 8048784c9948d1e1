package agent_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/tool"
)

// system of two agents: "boss" calls "clerk" as a tool; each has a model of
// its own.
func family(t testing.TB, j daruma.Journal, boss, clerk talk, tools ...tool.Tool) agent.Options {
	models, err := route.NewTable(route.Target{Name: "boss", Model: "boss", Provider: boss}, route.Target{Name: "clerk", Model: "clerk", Provider: clerk})
	if err != nil {
		t.Fatal(err)
	}
	return agent.Options{Journal: j, Models: models, Agents: []agent.Agent{
		{Name: "boss", Models: []string{"boss"}, Tools: []tool.Tool{tool.Agent("ask_clerk", "clerk", "Asks the clerk.")}, Limits: daruma.Limits{Steps: 20}},
		{Name: "clerk", Models: []string{"clerk"}, Tools: tools},
	}}
}

func TestSubRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		h := open(t, family(t, j, script(call("ask_clerk", `{"input":"a"}`, "ask_clerk", `{"input":"b"}`)),
			script(call("look", `{"word":"x"}`)), echo("look")))
		id := h.start(agent.Start{Agent: "boss", Input: "go"})
		r := h.waitFinished(id)
		if r.State != daruma.Completed || r.Answer() != "done: done: look:x,done: look:x" {
			t.Fatalf("%s, %q, %+v", r.State, r.Answer(), r.Falls)
		}
		if r.Steps != 4+2*3 || r.Usage.Total() != 20+2*20 {
			t.Errorf("%d steps, %d tokens: those of the sub-runs count too", r.Steps, r.Usage.Total())
		}
		for i := range 2 {
			child, err := agent.Read(context.Background(), j, daruma.RunID(fmt.Sprintf("%s.1.%d", id, i+1)))
			if err != nil || child.Started().Parent == nil || child.Started().Parent.Run != id || child.Started().Limits.Steps != 8 {
				t.Errorf("%+v, %v", child.Started(), err)
			}
		}
		if n := len(runs(t, j)); n != 3 {
			t.Errorf("%d runs", n)
		}
	})
}

func runs(t testing.TB, j daruma.Reader) []daruma.RunInfo {
	t.Helper()
	all, err := j.Runs(context.Background(), daruma.Query{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSubRunAcrossCrashes kills the journal at every commit of a tree of runs,
// one after the other, and expects each run once and the same answer.
func TestSubRunAcrossCrashes(t *testing.T) {
	for n := 1; n < 40; n++ {
		done := false
		bubble(t, func(t *testing.T) {
			var w counter
			act := tool.Func("act", "Acts.", func(ctx context.Context, in word) (string, error) {
				w.do(ctx, in.Word)
				return "acted", nil
			}, daruma.ToolSpec{Effect: daruma.Keyed})
			j := darumatest.NewMemory()
			k := &killer{Memory: j, left: int32(n), dead: make(chan struct{})}
			options := family(t, k, script(call("ask_clerk", `{"input":"a"}`, "ask_clerk", `{"input":"b"}`)), script(call("act", `{"word":"x"}`)), act)
			options.Grace = -1
			h := open(t, options)
			id, err := h.Start(context.Background(), agent.Start{Agent: "boss", Input: "go", ID: "run_boss"})
			if err != nil && n > 1 {
				t.Fatal(err)
			}
			select {
			case <-k.dead:
			case <-time.After(10 * time.Second):
				done = true
			}
			options.Journal = j.Crash()
			h.close()
			if err != nil {
				return // killed at its birth
			}
			h = open(t, options)
			r := h.waitFinished(id)
			if r.State != daruma.Completed || r.Answer() != "done: done: acted,done: acted" {
				t.Errorf("killed at commit %d: %s, %q, %+v", n, r.State, r.Answer(), r.Falls)
			}
			if got := len(runs(t, options.Journal)); got != 3 || w.list() != "x,x" {
				t.Errorf("killed at commit %d: %d runs, done %s", n, got, w.list())
			}
		})
		if done || t.Failed() {
			if n < 10 {
				t.Errorf("only %d commits", n)
			}
			return
		}
	}
}

// killer is a journal whose process dies right after a number of commits.
type killer struct {
	*darumatest.Memory
	left int32
	dead chan struct{}
}

func (k *killer) Commit(ctx context.Context, txs []daruma.Tx) []error {
	if atomic.AddInt32(&k.left, -1) == 0 {
		errs := k.Memory.Commit(ctx, txs)
		_ = errs // nobody is told
		close(k.dead)
		down := make([]error, len(txs))
		for i := range down {
			down[i] = daruma.Fail("test", daruma.KindDown, "killed")
		}
		return down
	}
	return k.Memory.Commit(ctx, txs)
}

func TestCancelReachesSubRuns(t *testing.T) {
	for _, compensate := range []bool{false, true} {
		t.Run(fmt.Sprint(compensate), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				j := darumatest.NewMemory()
				var w counter
				tools := append(travel(&w, func(context.Context, string) error { return nil }),
					tool.Func("wait", "Waits.", func(context.Context, word) (string, error) { return "", nil }, daruma.ToolSpec{Approve: true}))
				h := open(t, family(t, j, script(call("ask_clerk", `{"input":"a"}`)), script(call("book", `{"word":"a"}`), call("wait", `{"word":"x"}`)), tools...))
				id := h.start(agent.Start{Agent: "boss", Input: "go"})
				child := id + ".1.1"
				synctest.Wait()
				if r := h.wait(child); r.State != daruma.ParkedState {
					t.Fatalf("the sub-run is %s", r.State)
				}
				if info, err := j.Run(context.Background(), id); err != nil || info.State != daruma.Waiting || info.Node != "" || !strings.Contains(info.Note, string(child)) {
					t.Errorf("the parent is %+v, %v", info, err)
				}
				stop := agent.Cancel
				if compensate {
					stop = agent.Compensate
				}
				if err := stop(context.Background(), j, id, "user:ada", "no"); err != nil {
					t.Fatal(err)
				}
				r, c := h.waitFinished(id), h.waitFinished(child)
				if r.State != daruma.Cancelled || c.State != daruma.Cancelled {
					t.Errorf("%s and %s", r.State, c.State)
				}
				if want := map[bool]string{false: "book a", true: "book a,unbook id-a"}[compensate]; w.list() != want {
					t.Errorf("done: %s; want %s", w.list(), want)
				}
			})
		})
	}
}

func TestSubRunOfUnknownAgent(t *testing.T) {
	_, err := agent.New(agent.Options{Journal: darumatest.NewMemory(), Models: table(t, script()),
		Agents: []agent.Agent{{Name: "boss", Tools: []tool.Tool{tool.Agent("ask", "nobody", "")}}}})
	if daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), `"nobody"`) || !strings.Contains(err.Error(), "accepted: boss") {
		t.Error(err)
	}
}

// TestSubRunsHaveAnEnd has an agent call itself for ever.
func TestSubRunsHaveAnEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		h := open(t, agent.Options{Journal: j, Models: table(t, talk(func(_ context.Context, messages []daruma.Message) (daruma.Message, error) {
			if turns(messages) == 0 {
				return call("again", `{"input":"go on"}`), nil
			}
			return say("enough"), nil
		})), Agents: []agent.Agent{{Name: "boss", Tools: []tool.Tool{tool.Agent("again", "boss", "Again.")}, Limits: daruma.Limits{Steps: 100, Depth: 2}}}})
		r := h.waitFinished(h.start(agent.Start{Agent: "boss", Input: "go"}))
		if r.State != daruma.Degraded || len(runs(t, j)) != 3 {
			t.Errorf("%s with %d runs, %+v", r.State, len(runs(t, j)), r.Finished)
		}
	})
}
