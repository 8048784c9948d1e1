package agent_test

import (
	"context"
	"fmt"
	"strings"
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

type word struct {
	Word string `json:"word"`
}

// echo is a tool that reads: it gives its word back.
func echo(name string) tool.Tool {
	return tool.Func(name, "Gives the word back.", func(_ context.Context, in word) (string, error) {
		return name + ":" + in.Word, nil
	}, daruma.ToolSpec{Effect: daruma.Read})
}

func TestRunsToTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var mu sync.Mutex
		seen := map[daruma.RunID][]int64{}
		h := open(t, agent.Options{
			Journal: j, Models: table(t, script(call("look", `{"word":"a"}`), call("look", `{"word":"b"}`))),
			Agents: []agent.Agent{{Name: "helper", Instructions: "Help.", Tools: []tool.Tool{echo("look")}}},
			Observe: func(run daruma.RunID, events []daruma.Event) {
				mu.Lock()
				defer mu.Unlock()
				for _, e := range events {
					seen[run] = append(seen[run], e.Seq)
				}
			},
		})
		var runs []daruma.RunID
		for i := range 20 {
			runs = append(runs, h.start(agent.Start{Agent: "helper", Input: fmt.Sprintf("look %d", i)}))
		}
		for _, id := range runs {
			r := h.waitFinished(id)
			if r.State != daruma.Completed || r.Answer() != "done: look:a,look:b" {
				t.Fatalf("run ended as %s, %q, %+v", r.State, r.Answer(), r.Falls)
			}
			if r.Usage.Total() != 30 {
				t.Errorf("usage is %+v, want 30 tokens", r.Usage)
			}
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		for _, id := range runs {
			info, err := j.Run(context.Background(), id)
			if err != nil || info.Node != "" || info.State != daruma.Completed {
				t.Errorf("run is left as %+v, %v", info, err)
			}
			mu.Lock()
			for i, seq := range seen[id] {
				if seq != int64(i+1) {
					t.Errorf("events seen: %v", seen[id])
					break
				}
			}
			if int64(len(seen[id])) != info.Head {
				t.Errorf("%d events were seen of %d", len(seen[id]), info.Head)
			}
			mu.Unlock()
		}
	})
}

func TestToolsOfATurnRunTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var at, most atomic.Int32
		slow := tool.Func("slow", "Takes a second.", func(ctx context.Context, in word) (string, error) {
			most.Store(max(most.Load(), at.Add(1)))
			defer at.Add(-1)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			return in.Word, nil
		}, daruma.ToolSpec{Effect: daruma.Idempotent})
		h := open(t, agent.Options{
			Journal: darumatest.NewMemory(), Models: table(t, script(call("slow", `{"word":"a"}`, "slow", `{"word":"b"}`, "slow", `{"word":"c"}`))),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{slow}}},
		})
		began := time.Now()
		r := h.waitFinished(h.start(agent.Start{Agent: "helper", Input: "go"}))
		if r.Answer() != "done: a,b,c" || most.Load() != 3 || time.Since(began) > 1100*time.Millisecond {
			t.Errorf("answer %q, %d at once, %s", r.Answer(), most.Load(), time.Since(began))
		}
	})
}

func TestRetriesInMemoryAndAcrossARelease(t *testing.T) {
	for _, wait := range []time.Duration{500 * time.Millisecond, 20 * time.Second} {
		t.Run(wait.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				j := darumatest.NewMemory()
				var tries atomic.Int32
				h := open(t, agent.Options{
					Journal: j,
					Models: table(t, talk(func(context.Context, []daruma.Message) (daruma.Message, error) {
						if tries.Add(1) == 1 {
							return daruma.Message{}, daruma.Fail("", daruma.KindUnavailable, "not now")
						}
						return say("hello"), nil
					})),
					Agents: []agent.Agent{{Name: "helper", Ladder: daruma.Ladder{Default: []daruma.Rung{
						{Remedy: daruma.Retry, First: daruma.Duration(wait), Factor: 1, Cap: daruma.Duration(wait)}, {Remedy: daruma.Abort},
					}}}},
				})
				id := h.start(agent.Start{Agent: "helper", Input: "go"})
				r := h.waitFinished(id)
				if r.State != daruma.Completed || tries.Load() != 2 || len(r.Falls) != 1 || !r.Falls[0].Caught {
					t.Errorf("%s after %d tries, falls %+v", r.State, tries.Load(), r.Falls)
				}
				waits := time.Duration(r.Falls[0].Moves[0].Wait) // jitter makes it shorter
				if claims := count(kinds(t, j, id), daruma.KindClaimed); claims > 0 != (waits >= 2*time.Second) {
					t.Errorf("claimed %d times for a wait of %s", claims, waits)
				}
			})
		})
	}
}

func TestStartsOnceByKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := open(t, agent.Options{Journal: darumatest.NewMemory(), Models: table(t, script()), Agents: []agent.Agent{{Name: "helper"}}})
		first := h.start(agent.Start{Agent: "helper", Input: "go", Key: "k"})
		if again := h.start(agent.Start{Agent: "helper", Input: "go", Key: "k"}); again != first {
			t.Errorf("second start gave %s, first %s", again, first)
		}
		_, err := h.Start(context.Background(), agent.Start{Agent: "helper", Input: "other", Key: "k"})
		if daruma.KindOf(err) != daruma.KindConflict {
			t.Errorf("same key, other input: %v", err)
		}
		if _, err := h.Start(context.Background(), agent.Start{ID: first, Agent: "helper", Input: "go"}); daruma.KindOf(err) != daruma.KindExists {
			t.Errorf("same id: %v", err)
		}
		h.waitFinished(first)
	})
}

func TestLargeTextsStandBesideTheEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		large := strings.Repeat("ä", daruma.MaxInline)
		big := tool.Func("big", "Gives much.", func(context.Context, word) (string, error) { return large, nil }, daruma.ToolSpec{Effect: daruma.Read})
		var got atomic.Bool
		h := open(t, agent.Options{
			Journal: j,
			Models: table(t, talk(func(_ context.Context, messages []daruma.Message) (daruma.Message, error) {
				if turns(messages) == 0 {
					return call("big", `{"word":"x"}`), nil
				}
				got.Store(messages[0].Text == large && messages[len(messages)-1].Text == large)
				return say(large), nil
			})),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{big}}},
		})
		id := h.start(agent.Start{Agent: "helper", Input: large, Limits: daruma.Limits{Tokens: 1 << 40}})
		r := h.waitFinished(id)
		if r.State != daruma.Completed || !got.Load() {
			t.Fatalf("%s, whole texts were sent: %v", r.State, got.Load())
		}
		for e, err := range j.Events(context.Background(), id, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Payload) > 16<<10 {
				t.Errorf("%s has %d bytes", e.Kind, len(e.Payload))
			}
		}
		if b, err := j.Blob(context.Background(), "", r.Finished.Ref); err != nil || string(b) != large {
			t.Errorf("the answer's blob: %d bytes, %v", len(b), err)
		}
	})
}

func TestApproval(t *testing.T) {
	for _, yes := range []bool{true, false} {
		t.Run(fmt.Sprint(yes), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx := context.Background()
				j := darumatest.NewMemory()
				var paid atomic.Int32
				pay := tool.Func("pay", "Pays.", func(context.Context, word) (string, error) {
					paid.Add(1)
					return "paid", nil
				}, daruma.ToolSpec{Effect: daruma.Payment})
				h := open(t, agent.Options{Journal: j, Models: table(t, script(call("pay", `{"word":"x"}`))),
					Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{pay}}}})
				id := h.start(agent.Start{Agent: "helper", Input: "pay"})
				r := h.wait(id)
				if r.State != daruma.ParkedState || len(r.Approvals) != 1 || r.Parked.Reason != daruma.ParkApproval {
					t.Fatalf("%s, %+v", r.State, r)
				}
				if info, _ := j.Run(ctx, id); info.Node != "" {
					t.Errorf("the parked run is still held by %s", info.Node)
				}
				if _, err := j.Post(ctx, daruma.Post{Run: id, Topic: "other", Key: "a", By: "user:ada"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if open, _ := j.Approvals(ctx, id); len(open) != 1 {
					t.Errorf("%d approvals are open, want 1", len(open))
				}
				a := r.Approvals[0].ID
				if err := agent.Decide(ctx, j, a[len(a)-4:], yes, "user:ada", "because"); err != nil {
					t.Fatal(err)
				}
				if r = h.waitFinished(id); (paid.Load() == 1) != yes || !r.State.Finished() && r.State != daruma.ParkedState {
					t.Errorf("%s, paid %d times, %+v", r.State, paid.Load(), r)
				}
				if open, _ := j.Approvals(ctx, ""); len(open) != 0 {
					t.Errorf("open still: %v", open)
				}
				if err := agent.Decide(ctx, j, a, yes, "user:ada", ""); daruma.KindOf(err) != daruma.KindNotFound {
					t.Errorf("decided twice: %v", err)
				}
			})
		})
	}
}

func TestApprovalExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pay := tool.Func("pay", "Pays.", func(context.Context, word) (string, error) {
			t.Error("was called")
			return "", nil
		}, daruma.ToolSpec{Effect: daruma.Payment})
		h := open(t, agent.Options{Journal: darumatest.NewMemory(), Models: table(t, script(call("pay", `{"word":"x"}`))),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{pay}, Limits: daruma.Limits{ApprovalTime: daruma.Duration(time.Hour)}}}})
		id := h.start(agent.Start{Agent: "helper", Input: "pay"})
		began := time.Now()
		for h.wait(id).State == daruma.ParkedState && time.Since(began) < 2*time.Hour {
			<-time.After(10 * time.Minute)
		}
		if took := time.Since(began); took < time.Hour || took > 90*time.Minute {
			t.Errorf("it took %s, ended %+v", took, h.wait(id))
		}
	})
}

func TestCancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := context.Background()
		j := darumatest.NewMemory()
		asked := make(chan struct{})
		h := open(t, agent.Options{
			Journal: j, Agents: []agent.Agent{{Name: "helper"}},
			Models: table(t, talk(func(ctx context.Context, _ []daruma.Message) (daruma.Message, error) {
				close(asked)
				<-ctx.Done()
				return daruma.Message{}, ctx.Err()
			})),
		})
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		<-asked
		if err := agent.Cancel(ctx, j, id, "user:ada", "enough"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if r := h.waitFinished(id); r.State != daruma.Cancelled || time.Since(began) > time.Second {
			t.Errorf("%s after %s", r.State, time.Since(began))
		}
		if err := h.close(); err != nil {
			t.Error(err)
		}
		if err := agent.Cancel(ctx, j, id, "user:ada", ""); err != nil {
			t.Errorf("cancelled twice: %v", err)
		}
		if info, _ := j.Run(ctx, id); info.Node != "" {
			t.Errorf("still held: %+v", info)
		}
	})
}

func TestPostBeforeTheRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		if err := agent.Cancel(context.Background(), j, "early", "user:ada", ""); err != nil {
			t.Fatal(err)
		}
		h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper"}},
			Models: table(t, talk(func(ctx context.Context, _ []daruma.Message) (daruma.Message, error) {
				<-ctx.Done()
				return daruma.Message{}, ctx.Err()
			}))})
		h.start(agent.Start{ID: "early", Agent: "helper", Input: "go"})
		if r := h.waitFinished("early"); r.State != daruma.Cancelled {
			t.Errorf("%+v", r)
		}
	})
}

func TestRefusesBadAgents(t *testing.T) {
	j, models := darumatest.NewMemory(), table(t, script())
	for name, c := range map[string]struct {
		agent agent.Agent
		want  string
	}{
		"name":      {agent.Agent{}, "name is empty"},
		"model":     {agent.Agent{Name: "a", Models: []string{"nobody"}}, `models[0] is "nobody"; accepted: model0`},
		"same tool": {agent.Agent{Name: "a", Tools: []tool.Tool{echo("x"), echo("x")}}, `"x" is given twice`},
		"limits":    {agent.Agent{Name: "a", Limits: daruma.Limits{Steps: -1}}, "steps is -1"},
		"ladder":    {agent.Agent{Name: "a", Ladder: daruma.Ladder{Default: []daruma.Rung{{Remedy: daruma.Retry}}}}, "ladder"},
	} {
		_, err := agent.New(agent.Options{Journal: j, Models: models, Agents: []agent.Agent{c.agent}})
		if daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := agent.New(agent.Options{Journal: j, Agents: []agent.Agent{{Name: "a"}}}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("no models: %v", err)
	}
	if _, err := agent.New(agent.Options{Journal: j, Models: models}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("no agents: %v", err)
	}
}

// TestJudgesCatchBadCalls lets a model invent a tool and write arguments that
// do not fit: neither is called, the model is told, and the run ends well.
func TestJudgesCatchBadCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int32
		act := tool.Func("act", "Acts.", func(context.Context, word) (string, error) {
			calls.Add(1)
			return "acted", nil
		}, daruma.ToolSpec{Effect: daruma.Unsafe})
		h := open(t, agent.Options{
			Journal: darumatest.NewMemory(),
			Models:  table(t, script(call("akt", `{"word":"x"}`), call("act", `{"word":7}`), call("act", `{"word":"x"}`))),
			Agents:  []agent.Agent{{Name: "helper", Tools: []tool.Tool{act}}},
		})
		r := h.waitFinished(h.start(agent.Start{Agent: "helper", Input: "act"}))
		if r.State != daruma.Completed || calls.Load() != 1 || len(r.Falls) != 2 {
			t.Fatalf("%s after %d calls, falls %+v", r.State, calls.Load(), r.Falls)
		}
		for i, want := range []daruma.SignalType{daruma.ToolUnknown, daruma.ArgumentsInvalid} {
			if f := r.Falls[i]; f.Type != want || !f.Caught {
				t.Errorf("fall %d: %+v, want %s caught", i, f, want)
			}
		}
	})
}

// TestLoopsAreStopped has a model ask the same for ever.
func TestLoopsAreStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := open(t, agent.Options{
			Journal: darumatest.NewMemory(),
			Models: table(t, talk(func(context.Context, []daruma.Message) (daruma.Message, error) {
				return call("look", `{"word":"x"}`), nil
			})),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}, Limits: daruma.Limits{Steps: 1000}}},
		})
		r := h.wait(h.start(agent.Start{Agent: "helper", Input: "look"}))
		if r.State == daruma.Completed || len(r.Falls) == 0 || r.Falls[0].Type != daruma.Loop || r.Steps > 50 {
			t.Errorf("%s after %d steps, falls %+v", r.State, r.Steps, r.Falls)
		}
	})
}
