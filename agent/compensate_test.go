package agent_test

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// counter is a world outside that does things once for each key, in order.
type counter struct {
	mu   sync.Mutex
	did  []string
	keys map[string]bool
}

// do does it, and says whether it was done now.
func (c *counter) do(ctx context.Context, what string) bool {
	call, _ := tool.CallOf(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys[call.Key] {
		return false
	}
	if c.keys == nil {
		c.keys = map[string]bool{}
	}
	c.keys[call.Key] = true
	c.did = append(c.did, what)
	return true
}

func (c *counter) list() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.did, ",")
}

type booking struct {
	ID string `json:"id"`
}

// travel is what books and gives back; back is told of every giving back.
func travel(w *counter, back func(ctx context.Context, id string) error) []tool.Tool {
	return []tool.Tool{
		tool.Func("book", "Books.", func(ctx context.Context, in word) (booking, error) {
			w.do(ctx, "book "+in.Word)
			return booking{"id-" + in.Word}, nil
		}, daruma.ToolSpec{Effect: daruma.Keyed, Compensate: &daruma.Compensation{Tool: "unbook", Args: json.RawMessage(`{"id":"${result.id}"}`)}}),
		tool.Func("unbook", "Gives back.", func(ctx context.Context, in booking) (string, error) {
			if err := back(ctx, in.ID); err != nil {
				return "", err
			}
			w.do(ctx, "unbook "+in.ID)
			return "given back", nil
		}, daruma.ToolSpec{Effect: daruma.Keyed}),
	}
}

// TestCompensationAcrossACrash kills the journal in the middle of the undoing.
func TestCompensationAcrossACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var w counter
		began, gate := make(chan struct{}, 9), make(chan struct{})
		tools := travel(&w, func(ctx context.Context, id string) error {
			if id != "id-b" {
				return nil
			}
			began <- struct{}{}
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		tools = append(tools, tool.Func("wait", "Waits.", func(ctx context.Context, _ word) (string, error) { return "asked", nil }, daruma.ToolSpec{Approve: true}))
		options := agent.Options{Journal: j, Grace: -1, Models: table(t, script(call("book", `{"word":"a"}`), call("book", `{"word":"b"}`), call("book", `{"word":"c"}`), call("wait", `{"word":"x"}`))),
			Agents: []agent.Agent{{Name: "helper", Tools: tools}}}
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		if r := h.wait(id); r.State != daruma.ParkedState {
			t.Fatalf("%s", r.State)
		}
		if err := agent.Compensate(context.Background(), j, id, "user:ada", "no"); err != nil {
			t.Fatal(err)
		}
		<-began
		options.Journal = j.Crash()
		h.close()
		close(gate)
		h = open(t, options)
		r := h.waitFinished(id)
		if got, want := w.list(), "book a,book b,book c,unbook id-c,unbook id-b,unbook id-a"; got != want {
			t.Errorf("done: %s; want %s", got, want)
		}
		if r.State != daruma.Cancelled || len(r.Finished.Compensated) != 3 || len(r.Finished.Remaining) != 0 || !strings.HasPrefix(r.Finished.Compensated[0], "book (3/") {
			t.Errorf("%s, %+v", r.State, r.Finished)
		}
		run, err := agent.Read(context.Background(), options.Journal, id)
		if err != nil || slices.ContainsFunc(run.Effects(), func(e daruma.EffectRecord) bool { return e.Tool == "book" && e.State != daruma.EffectUndone }) {
			t.Errorf("%+v, %v", run.Effects(), err)
		}
	})
}

// TestCompensationFails parks with what is undone and what remains, and goes
// on as the human says.
func TestCompensationFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := darumatest.NewMemory()
		var w counter
		tools := travel(&w, func(_ context.Context, id string) error {
			if id == "id-a" {
				return tool.Refuse(context.Canceled)
			}
			return nil
		})
		h := open(t, agent.Options{Journal: j, Models: table(t, script(call("book", `{"word":"a"}`), call("book", `{"word":"b"}`), call("fail", `{"word":"x"}`))),
			Agents: []agent.Agent{{Name: "helper", Tools: append(tools, tool.Func("fail", "Fails.", func(context.Context, word) (string, error) { return "", tool.Refuse(context.Canceled) }, daruma.ToolSpec{Effect: daruma.Read})),
				Ladder: daruma.Ladder{Default: []daruma.Rung{{Remedy: daruma.Abort, Compensate: true}}}}}})
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		r := h.wait(id)
		if r.State != daruma.ParkedState || !strings.Contains(r.Parked.Text, "undone so far: book (2/") || !strings.Contains(r.Parked.Text, "remaining: book (1/") {
			t.Fatalf("%s, %+v", r.State, r.Parked)
		}
		if err := agent.Answer(context.Background(), j, id, "", "user:ada", daruma.Answer{Choice: daruma.AnswerSkip, Text: "keep it"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		r = h.waitFinished(id)
		if r.State != daruma.Dead || len(r.Finished.Compensated) != 1 || len(r.Finished.Remaining) != 1 || !strings.Contains(r.Finished.Remaining[0], "keep it") {
			t.Errorf("%s, %+v", r.State, r.Finished)
		}
	})
}

// TestCompensationAtEveryCommit kills the journal at every commit of an
// undoing, one after the other: everything is undone, once, the last first.
// Calls of one turn are made at once: the last is the one whose result was
// journaled last, whichever of them reached the world first.
func TestCompensationAtEveryCommit(t *testing.T) {
	for n := int32(1); n < 30; n++ {
		over := false
		bubble(t, func(t *testing.T) {
			var w counter
			tools := append(travel(&w, func(context.Context, string) error { return nil }),
				tool.Func("wait", "Waits.", func(context.Context, word) (string, error) { return "", nil }, daruma.ToolSpec{Approve: true}))
			j := darumatest.NewMemory()
			k := &killer{Memory: j, left: 1 << 30, dead: make(chan struct{})}
			options := agent.Options{Journal: k, Grace: -1, Models: table(t, script(call("book", `{"word":"a"}`, "book", `{"word":"b"}`), call("wait", `{"word":"x"}`))),
				Agents: []agent.Agent{{Name: "helper", Tools: tools}}}
			h := open(t, options)
			id := h.start(agent.Start{Agent: "helper", Input: "go"})
			if r := h.wait(id); r.State != daruma.ParkedState {
				t.Fatalf("%s", r.State)
			}
			want := undoings(t, j, id)
			atomic.StoreInt32(&k.left, n)
			if err := agent.Compensate(context.Background(), j, id, "user:ada", "no"); err != nil {
				t.Fatal(err)
			}
			select {
			case <-k.dead:
			case <-time.After(10 * time.Second):
				over = true
			}
			options.Journal = j.Crash()
			h.close()
			h = open(t, options)
			r := h.waitFinished(id)
			done := strings.Split(w.list(), ",")
			if r.State != daruma.Cancelled || len(done) != 4 || len(r.Finished.Compensated) != 2 || !slices.Equal(done[2:], want) {
				t.Errorf("killed at commit %d: %s, %+v, done %v; want %v", n, r.State, r.Finished, done, want)
			}
		})
		if over || t.Failed() {
			if n < 4 {
				t.Errorf("only %d commits", n)
			}
			return
		}
	}
}

// undoings returns how the bookings of a run are to be undone, in this order.
func undoings(t *testing.T, j daruma.Journal, id daruma.RunID) (want []string) {
	t.Helper()
	run, err := agent.Read(context.Background(), j, id)
	if err != nil {
		t.Fatal(err)
	}
	booked := slices.DeleteFunc(slices.Clone(run.Effects()), func(e daruma.EffectRecord) bool { return e.Tool != "book" })
	slices.SortFunc(booked, func(a, b daruma.EffectRecord) int { return cmp.Compare(b.Done, a.Done) })
	for _, e := range booked {
		var in word
		if err := json.Unmarshal([]byte(e.Args), &in); err != nil {
			t.Fatal(err)
		}
		want = append(want, "unbook id-"+in.Word)
	}
	return want
}
