package agent_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// mailbox is a tool that mails, and remembers every mail that really went out.
type mailbox struct {
	mu    sync.Mutex
	mails []string
	hold  chan struct{} // where set, calls wait for it
	begun chan struct{}
}

func (l *mailbox) tool(effect daruma.Effect) tool.Tool {
	return tool.Func("mail", "Mails.", func(_ context.Context, w word) (string, error) {
		l.mu.Lock()
		l.mails = append(l.mails, w.Word)
		l.mu.Unlock()
		if l.hold != nil {
			l.begun <- struct{}{}
			<-l.hold
		}
		return "mailed " + w.Word, nil
	}, daruma.ToolSpec{Effect: effect})
}

func (l *mailbox) sent() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.mails, ",")
}

func (h *house) fork(f agent.Fork) daruma.RunID {
	h.t.Helper()
	f.By = "user:ada"
	id, err := h.Fork(context.Background(), f)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func TestForkRepeatsNoEffect(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "runs.db")
	j := openFile(t, path)
	var l mailbox
	big := strings.Repeat("a long story ", 5000) // above MaxInline: kept by reference
	h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{l.tool(daruma.Keyed)}}},
		Models: table(t, script(call("mail", `{"word":"ann"}`)), script(call("mail", `{"word":"ann"}`, "mail", `{"word":"bob"}`)))})
	origin := h.start(agent.Start{Agent: "helper", Input: big})
	h.waitFinished(origin)

	plan, err := h.PlanFork(ctx, agent.Fork{Of: origin, At: "1/1", By: "user:ada", Model: "model1"})
	if err != nil {
		t.Fatal(err)
	}
	if r := plan.Record(); len(r) != 1 || r[0].Tool != "mail" || r[0].Text != "mailed ann" {
		t.Errorf("the plan says on record is %+v", r)
	}
	fork := agent.Fork{Of: origin, At: "1", Model: "model1", Key: "once"}
	id := h.fork(fork)
	r := h.wait(id)
	if r.State != daruma.ParkedState || len(r.Approvals) != 1 || !strings.Contains(r.Approvals[0].Args, "bob") {
		t.Fatalf("%s, %+v", r.State, r)
	}
	if again := h.fork(fork); again != id {
		t.Errorf("the same key forked %s and %s", id, again)
	}
	fork.At = "1/3"
	fork.By = "user:ada"
	if _, err := h.Fork(ctx, fork); daruma.KindOf(err) != daruma.KindConflict && daruma.KindOf(err) != daruma.KindExists {
		t.Errorf("the key was used for another fork: %v", err)
	}
	if err := agent.Decide(ctx, j, r.Approvals[0].ID, true, "user:ada", ""); err != nil {
		t.Fatal(err)
	}
	if r := h.waitFinished(id); r.Answer() != "done: mailed ann,mailed bob" {
		t.Errorf("%s, %q", r.State, r.Answer())
	}
	if l.sent() != "ann,bob" {
		t.Errorf("mails: %s", l.sent())
	}

	// A fork of the fork, after both processes were started anew.
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j = openFile(t, path)
	h = open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{l.tool(daruma.Keyed)}}},
		Models: table(t, script(call("mail", `{"word":"bob"}`, "mail", `{"word":"ann"}`)))})
	third := h.fork(agent.Fork{Of: id, At: "1/2", Model: "model0", Allow: true})
	if r := h.waitFinished(third); r.Answer() != "done: mailed bob,mailed ann" || l.sent() != "ann,bob" {
		t.Errorf("%s, %q, mails: %s", r.State, r.Answer(), l.sent())
	}
	run, err := agent.Read(ctx, j, third)
	if err != nil {
		t.Fatal(err)
	}
	if run.Started().Origin != id || run.Forked().Run != id || run.Started().Input.Ref.IsZero() {
		t.Errorf("origin %s, input %+v", run.Started().Origin, run.Started().Input)
	}
}

// TestForkOfLive forks a run whose call is in flight: the fork asks before it
// writes the same, whatever becomes of the origin.
func TestForkOfLive(t *testing.T) {
	ctx := context.Background()
	j := openFile(t, filepath.Join(t.TempDir(), "runs.db"))
	l := mailbox{hold: make(chan struct{}), begun: make(chan struct{}, 1)}
	h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{l.tool(daruma.Keyed)}}},
		Models: table(t, script(call("mail", `{"word":"ann"}`)))})
	origin := h.start(agent.Start{Agent: "helper", Input: "go"})
	<-l.begun
	id := h.fork(agent.Fork{Of: origin, At: "last", Allow: true})
	r := h.wait(id)
	if r.Parked == nil || r.Parked.Reason != daruma.ParkQuestion {
		t.Fatalf("%s, %+v", r.State, r.Parked)
	}
	close(l.hold)
	h.waitFinished(origin)
	if err := agent.Answer(ctx, j, id, "", "user:ada", daruma.Answer{Question: r.Parked.ID, Choice: daruma.AnswerHappened, Text: "mailed"}); err != nil {
		t.Fatal(err)
	}
	if r := h.waitFinished(id); r.State != daruma.Completed || l.sent() != "ann" {
		t.Errorf("%s, mails: %s", r.State, l.sent())
	}
}

func TestRewind(t *testing.T) {
	j := openFile(t, filepath.Join(t.TempDir(), "runs.db"))
	var l mailbox
	pay := tool.Func("pay", "Pays.", func(context.Context, word) (string, error) { return "paid", nil }, daruma.ToolSpec{Effect: daruma.Payment})
	h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{l.tool(daruma.Keyed), pay}}},
		Models: table(t, script(call("mail", `{"word":"ann"}`), call("pay", `{"word":"x"}`)), script(call("mail", `{"word":"ann"}`)))})
	origin := h.start(agent.Start{Agent: "helper", Input: "go"})
	h.wait(origin) // parked: may it pay?
	id := h.fork(agent.Fork{Of: origin, At: "1/1", Model: "model1", Replace: true})
	if r := h.waitFinished(id); r.State != daruma.Completed || l.sent() != "ann" {
		t.Errorf("%s, mails: %s", r.State, l.sent())
	}
	if r := h.waitFinished(origin); r.State != daruma.Cancelled || !strings.Contains(r.Finished.Text, string(id)) {
		t.Errorf("the origin is %s: %s", r.State, r.Note)
	}
}

func TestForkRefusals(t *testing.T) {
	ctx := context.Background()
	j := darumatest.NewMemory()
	h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper"}}, Models: table(t, script(say("hello")))})
	origin := h.start(agent.Start{ID: "one", Agent: "helper", Input: "go"})
	h.waitFinished(origin)
	for name, c := range map[string]struct {
		f    agent.Fork
		kind daruma.Kind
		says string
	}{
		"no such run":   {agent.Fork{Of: "two", At: "1"}, daruma.KindNotFound, "two"},
		"no such step":  {agent.Fork{Of: origin, At: "7/1"}, daruma.KindInvalid, "accepted: 1/1 (model0)"},
		"no such model": {agent.Fork{Of: origin, At: "1", Model: "gpt"}, daruma.KindInvalid, "accepted: model0"},
		"a bad id":      {agent.Fork{Of: origin, At: "1", ID: "a b"}, daruma.KindInvalid, "a b"},
		"an id in use":  {agent.Fork{Of: origin, At: "1", ID: "one"}, daruma.KindExists, "one"},
	} {
		c.f.By = "user:ada"
		_, err := h.Fork(ctx, c.f)
		if daruma.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Fork(ctx, agent.Fork{Of: origin, At: "1"}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("without an actor: %v", err)
	}
}
