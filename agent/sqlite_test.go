package agent_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/sqlite"
	"github.com/daruma-run/daruma/tool"
)

func openFile(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	j, err := sqlite.Open(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func TestOnAFile(t *testing.T) {
	j := openFile(t, filepath.Join(t.TempDir(), "runs.db"))
	h := open(t, agent.Options{
		Journal: j, Models: table(t, script(call("look", `{"word":"a"}`, "look", `{"word":"b"}`))),
		Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}}},
	})
	var runs []daruma.RunID
	for i := range 50 {
		runs = append(runs, h.start(agent.Start{Agent: "helper", Input: fmt.Sprint("look ", i), Key: fmt.Sprint("k", i)}))
	}
	for _, id := range runs {
		if r := h.waitFinished(id); r.State != daruma.Completed || r.Answer() != "done: look:a,look:b" {
			t.Fatalf("%s, %q, %+v", r.State, r.Answer(), r.Falls)
		}
	}
	if again := h.start(agent.Start{Agent: "helper", Input: "look 3", Key: "k3"}); again != runs[3] {
		t.Errorf("key k3 gave %s, want %s", again, runs[3])
	}
}

func TestFileApprovalAndReopen(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "runs.db")
	j := openFile(t, path)
	var paid atomic.Int32
	pay := tool.Func("pay", "Pays.", func(context.Context, word) (string, error) {
		paid.Add(1)
		return "paid", nil
	}, daruma.ToolSpec{Effect: daruma.Payment})
	options := agent.Options{Journal: j, Models: table(t, script(call("pay", `{"word":"x"}`))),
		Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{pay}}}}
	h := open(t, options)
	id := h.start(agent.Start{Agent: "helper", Input: "pay"})
	r := h.wait(id)
	if r.State != daruma.ParkedState || len(r.Approvals) != 1 {
		t.Fatalf("%s, %+v", r.State, r)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openFile(t, path)
	options.Journal = j
	h = open(t, options)
	if err := agent.Decide(ctx, j, r.Approvals[0].ID, true, "user:ada", ""); err != nil {
		t.Fatal(err)
	}
	if r := h.waitFinished(id); r.State != daruma.Completed || paid.Load() != 1 {
		t.Errorf("%s, paid %d times, %+v", r.State, paid.Load(), r)
	}
}

func TestDo(t *testing.T) {
	j := openFile(t, filepath.Join(t.TempDir(), "runs.db"))
	r, err := agent.Do(t.Context(), j, agent.Agent{Name: "helper", Tools: []tool.Tool{echo("look")}},
		table(t, script(call("look", `{"word":"a"}`))), "look")
	if err != nil || r.Answer() != "done: look:a" {
		t.Errorf("%+v, %v", r, err)
	}
}

// BenchmarkSteps measures durable one-commit steps: 64 runs at once, each of
// ten model calls with a tool that reads between them.
func BenchmarkSteps(b *testing.B) { benchmarkSteps(b, func(*agent.Options) {}) }

// BenchmarkPaidSteps is the same with calls that are paid from a budget.
func BenchmarkPaidSteps(b *testing.B) {
	benchmarkSteps(b, func(o *agent.Options) {
		target, _ := o.Models.Target("model0")
		target.Price, target.MaxOutput = daruma.Price{Input: 1, Output: 1}, 100
		o.Models, _ = route.NewTable(target)
		o.Budgets = []agent.Budget{{Name: "team", Amount: 1 << 50}}
		o.Agents[0].Budget = "team"
	})
}

func benchmarkSteps(b *testing.B, change func(*agent.Options)) {
	const runs, steps = 64, 10
	var answers []daruma.Message
	for i := range steps - 1 {
		answers = append(answers, call("look", fmt.Sprintf(`{"word":"w%d"}`, i)))
	}
	j := openFile(b, filepath.Join(b.TempDir(), "runs.db"))
	o := agent.Options{
		Journal: j, Models: table(b, script(answers...)),
		Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}, Limits: daruma.Limits{Steps: 1000, Tokens: 1 << 40, Soft: 1}}},
	}
	change(&o)
	h := open(b, o)
	n := 0
	began := time.Now()
	for b.Loop() {
		done := make(chan error, runs)
		for range runs {
			go func() {
				id, err := h.Start(context.Background(), agent.Start{Agent: "helper", Input: "go"})
				if err == nil {
					var r agent.Result
					if r, err = h.WaitFinished(context.Background(), id); err == nil && r.State != daruma.Completed {
						err = fmt.Errorf("%s: %+v", r.State, r.Falls)
					}
				}
				done <- err
			}()
		}
		for range runs {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		n += runs * (2*steps - 1)
	}
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "steps/s")
}

// TestFileBrokenRunIsQuarantined has a file hold a run that cannot be folded:
// its row must say so, and nobody may hold it.
func TestFileBrokenRunIsQuarantined(t *testing.T) {
	ctx := context.Background()
	j := openFile(t, filepath.Join(t.TempDir(), "runs.db"))
	e := daruma.Event{Kind: daruma.KindStarted, Actor: daruma.ActorShell, Time: time.Now(), Payload: []byte(`{"agent":7}`)}
	if err := j.Commit(ctx, []daruma.Tx{{Run: "bad", Type: daruma.AgentRun, Name: "helper", Events: []daruma.Event{e}}})[0]; err != nil {
		t.Fatal(err)
	}
	h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper"}}, Models: table(t, script())})
	if r := h.wait("bad"); r.State != daruma.Quarantined || r.Note == "" {
		t.Errorf("the bad run is %s, %q", r.State, r.Note)
	}
	if info, err := j.Run(ctx, "bad"); err != nil || info.State != daruma.Quarantined || info.Node != "" {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestFileDeployments stops the process cleanly during one long model call,
// more often than a run may be claimed from dead processes.
func TestFileDeployments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.db")
	asked := make(chan struct{}, 9)
	var calls atomic.Int32
	models := table(t, talk(func(ctx context.Context, _ []daruma.Message) (daruma.Message, error) {
		if calls.Add(1) > 6 {
			return say("at last"), nil
		}
		asked <- struct{}{}
		<-ctx.Done()
		return daruma.Message{}, ctx.Err()
	}))
	var id daruma.RunID
	for range 6 {
		j := openFile(t, path)
		h := open(t, agent.Options{Journal: j, Models: models, Grace: -1, Agents: []agent.Agent{{Name: "helper"}}})
		if id == "" {
			id = h.start(agent.Start{Agent: "helper", Input: "go"})
		}
		select {
		case <-asked:
		case <-time.After(10 * time.Second):
			info, err := j.Run(context.Background(), id)
			t.Fatalf("the model is not asked again: %+v, %v", info, err)
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h := open(t, agent.Options{Journal: openFile(t, path), Models: models, Agents: []agent.Agent{{Name: "helper"}}})
	if r := h.wait(id); r.State != daruma.Completed || r.Answer() != "at last" {
		t.Errorf("%s, %q, %+v", r.State, r.Answer(), r.Parked)
	}
}

// TestFileCancelIsQuiet has a cancelled run given up together with its end,
// though its model call has not ended yet.
func TestFileCancelIsQuiet(t *testing.T) {
	ctx := context.Background()
	j := openFile(t, filepath.Join(t.TempDir(), "runs.db"))
	asked, gate := make(chan struct{}), make(chan struct{})
	h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper"}},
		Models: table(t, talk(func(context.Context, []daruma.Message) (daruma.Message, error) {
			close(asked)
			<-gate
			return say("too late"), nil
		}))})
	id := h.start(agent.Start{Agent: "helper", Input: "go"})
	<-asked
	if err := agent.Cancel(ctx, j, id, "user:ada", "enough"); err != nil {
		t.Fatal(err)
	}
	if r := h.waitFinished(id); r.State != daruma.Cancelled {
		t.Errorf("%s", r.State)
	}
	if info, err := j.Run(ctx, id); err != nil || info.Node != "" {
		t.Errorf("%+v, %v", info, err)
	}
	close(gate)
	if err := h.close(); err != nil {
		t.Error(err)
	}
}
