package agent_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// slow is a journal whose commits take a second.
func slow(m *darumatest.Memory) *flaky {
	return &flaky{Memory: m, fault: func(int32, *daruma.Tx) (error, error) {
		<-time.After(time.Second)
		return nil, nil
	}}
}

// called reports whether the intent of a call is in the journal.
func called(j daruma.Reader, c tool.Call) bool {
	for e, err := range j.Events(context.Background(), c.Run, 0) {
		var p daruma.ToolCalled
		if err == nil && e.Kind == daruma.KindToolCalled && json.Unmarshal(e.Payload, &p) == nil && p.Command == c.Command {
			return true
		}
	}
	return false
}

func TestIntentIsDurableBeforeTheCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := darumatest.NewMemory()
		var early atomic.Int32
		act := tool.Func("act", "Acts.", func(ctx context.Context, in word) (string, error) {
			if c, _ := tool.CallOf(ctx); !called(m, c) {
				early.Add(1)
			}
			return "acted", nil
		}, daruma.ToolSpec{Effect: daruma.Unsafe})
		h := open(t, agent.Options{Journal: slow(m), Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{act}}},
			Models: table(t, script(call("act", `{"word":"x"}`, "act", `{"word":"y"}`), call("act", `{"word":"z"}`)))})
		r := h.waitFinished(h.start(agent.Start{Agent: "helper", Input: "go"}))
		if r.State != daruma.Completed || early.Load() != 0 {
			t.Errorf("%s, %d calls began before their intent was durable", r.State, early.Load())
		}
	})
}

// TestStopWhileAnIntentIsCommitted stops the shell between the decision to call
// and the call: the call is still made, since its intent would be in doubt.
func TestStopWhileAnIntentIsCommitted(t *testing.T) {
	for _, workers := range []int{1, 8} {
		bubble(t, func(t *testing.T) {
			m := darumatest.NewMemory()
			var calls atomic.Int32
			act := tool.Func("act", "Acts.", func(ctx context.Context, in word) (string, error) {
				calls.Add(1)
				<-time.After(2 * time.Second)
				return in.Word, nil
			}, daruma.ToolSpec{Effect: daruma.Unsafe})
			options := agent.Options{Journal: slow(m), Workers: workers, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{act}}},
				Models: table(t, script(call("act", `{"word":"x"}`, "act", `{"word":"y"}`)))}
			h := open(t, options)
			id := h.start(agent.Start{Agent: "helper", Input: "go"}) // a second
			<-time.After(500 * time.Millisecond)                     // the reply and the intents are on their way
			if err := h.close(); err != nil {
				t.Fatal(err)
			}
			if n := calls.Load(); n != 2 {
				t.Errorf("%d calls were made of the 2 intents", n)
			}
			options.Journal = m
			h = open(t, options)
			if r := h.wait(id); r.State != daruma.Completed || len(r.Falls) != 0 || calls.Load() != 2 {
				t.Errorf("%s, %d calls, falls %+v", r.State, calls.Load(), r.Falls)
			}
		})
	}
}

// TestStopWhileTheModelAnswers has the model ask for an unsafe call after the
// stop: the reply is kept, the call is left to the next process.
func TestStopWhileTheModelAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var calls atomic.Int32
		act := tool.Func("act", "Acts.", func(ctx context.Context, in word) (string, error) {
			calls.Add(1)
			return "acted", nil
		}, daruma.ToolSpec{Effect: daruma.Unsafe})
		answers := script(call("act", `{"word":"x"}`))
		options := agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{act}}},
			Models: table(t, talk(func(ctx context.Context, m []daruma.Message) (daruma.Message, error) {
				<-time.After(time.Second)
				return answers(ctx, m)
			}))}
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		<-time.After(time.Second / 2)
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		if all := kinds(t, j, id); calls.Load() != 0 || count(all, daruma.KindReplied) != 1 || count(all, daruma.KindToolCalled) != 0 {
			t.Errorf("%d calls, events %v", calls.Load(), all)
		}
		h = open(t, options)
		if r := h.wait(id); r.State != daruma.Completed || len(r.Falls) != 0 || calls.Load() != 1 {
			t.Errorf("%s, %d calls, falls %+v", r.State, calls.Load(), r.Falls)
		}
	})
}

// TestPostsAreFoldedOnce has posts reported again while the commit that folds
// them is on its way.
func TestPostsAreFoldedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := context.Background()
		m := darumatest.NewMemory()
		h := open(t, agent.Options{Journal: slow(m), Agents: []agent.Agent{{Name: "helper"}},
			Models: table(t, talk(func(context.Context, []daruma.Message) (daruma.Message, error) {
				<-time.After(10 * time.Second)
				return say("hello"), nil
			}))})
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		for i := range 5 {
			if _, err := m.Post(ctx, daruma.Post{Run: id, Topic: "other", Key: string(rune('a' + i)), By: "user:ada"}); err != nil {
				t.Fatal(err)
			}
			<-time.After(300 * time.Millisecond)
		}
		if r := h.wait(id); r.State != daruma.Completed {
			t.Errorf("%s, %s", r.State, r.Note)
		}
		if n := count(kinds(t, m, id), daruma.KindReceived); n != 5 {
			t.Errorf("%d posts were folded in, want 5", n)
		}
	})
}

// TestOneCallAtOnce takes a run out of memory while its call goes on and
// ignores that it was cancelled: the call is not made a second time beside it.
func TestOneCallAtOnce(t *testing.T) {
	for _, which := range []string{"model", "tool"} {
		t.Run(which, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var at, most, asked atomic.Int32
				long := func() {
					most.Store(max(most.Load(), at.Add(1)))
					<-time.After(400 * time.Millisecond)
					at.Add(-1)
				}
				act := tool.Func("act", "Acts.", func(context.Context, word) (string, error) {
					if which == "tool" {
						long()
					}
					return "acted", nil
				}, daruma.ToolSpec{Effect: daruma.Keyed})
				answers := script(call("act", `{"word":"x"}`))
				conflict := daruma.Fail("test", daruma.KindConflict, "the head has moved")
				var broke atomic.Bool
				j := &flaky{Memory: darumatest.NewMemory(), fault: func(_ int32, tx *daruma.Tx) (error, error) {
					if len(tx.Folded) > 0 && !broke.Swap(true) {
						return conflict, nil
					}
					return nil, nil
				}}
				h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{act}}},
					Models: table(t, talk(func(ctx context.Context, m []daruma.Message) (daruma.Message, error) {
						if which == "model" && asked.Add(1) <= 2 {
							long()
						}
						return answers(ctx, m)
					}))})
				id := h.start(agent.Start{Agent: "helper", Input: "go"})
				<-time.After(100 * time.Millisecond)
				if _, err := j.Post(context.Background(), daruma.Post{Run: id, Topic: "other", Key: "a", By: "user:ada"}); err != nil {
					t.Fatal(err)
				}
				if r := h.waitFinished(id); r.State != daruma.Completed || most.Load() != 1 || !broke.Load() {
					t.Errorf("%s, %d at once, broke %v", r.State, most.Load(), broke.Load())
				}
			})
		})
	}
}

// TestTimeNeverRunsBack performs a run whose first event is of a clock that is
// ahead.
func TestTimeNeverRunsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		options := agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}}},
			Models: table(t, script(call("look", `{"word":"x"}`)))}
		ahead := daruma.NewEvent(daruma.KindStarted, daruma.ActorShell, daruma.Started{Agent: "helper", Models: []string{"model0"},
			Input: daruma.Message{Role: daruma.RoleUser, Text: "go"}, Nonce: "n"})
		ahead.Time = time.Now().Add(time.Hour).UTC()
		tx := daruma.Tx{Run: "ahead", Type: daruma.AgentRun, Name: "helper", Events: []daruma.Event{ahead}, Node: "gone"}
		if err := j.Commit(context.Background(), []daruma.Tx{tx})[0]; err != nil {
			t.Fatal(err)
		}
		options.Journal = j.Crash()
		h := open(t, options)
		h.waitFinished("ahead")
		last := ahead.Time
		for e, err := range options.Journal.Events(context.Background(), "ahead", 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != daruma.KindClaimed && e.Time.Before(last) {
				t.Errorf("event %d (%s) is of %s, before %s", e.Seq, e.Kind, e.Time, last)
			}
			last = e.Time
		}
	})
}
