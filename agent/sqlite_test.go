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
func BenchmarkSteps(b *testing.B) {
	const runs, steps = 64, 10
	var answers []daruma.Message
	for i := range steps - 1 {
		answers = append(answers, call("look", fmt.Sprintf(`{"word":"w%d"}`, i)))
	}
	j := openFile(b, filepath.Join(b.TempDir(), "runs.db"))
	h := open(b, agent.Options{
		Journal: j, Models: table(b, script(answers...)),
		Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}, Limits: daruma.Limits{Steps: 1000, Tokens: 1 << 40, Soft: 1}}},
	})
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
