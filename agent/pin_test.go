package agent_test

import (
	"context"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/tool"
)

// listening is a model that tells what it is offered.
type listening struct {
	talk
	offered chan []string
}

func (l listening) Stream(ctx context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	var names []string
	for _, o := range r.Tools {
		names = append(names, o.Name)
	}
	l.offered <- names
	return l.talk.Stream(ctx, r)
}

// TestPinnedToolIsNotTakenOver: a tool whose definition changed while the run
// waited is neither called nor offered to the model again.
func TestPinnedToolIsNotTakenOver(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "runs.db")
	var calls atomic.Int32
	write := func(pin string) tool.Tool {
		w := tool.Func("write", "Writes.", func(context.Context, word) (string, error) {
			calls.Add(1)
			return "written", nil
		}, daruma.ToolSpec{Approve: true})
		w.Spec.Pin = pin
		return w
	}
	offered := make(chan []string, 10)
	answers := listening{script(call("write", `{"word":"x"}`)), offered}
	open2 := func(pin string) (*house, daruma.Journal) {
		j := openFile(t, path)
		return open(t, agent.Options{Journal: j, Models: table(t, answers),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{write(pin), echo("look")}}}}), j
	}
	h, j := open2("one")
	id := h.start(agent.Start{Agent: "helper", Input: "write"})
	r := h.wait(id)
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	j.(interface{ Close() error }).Close()
	if names := <-offered; !slices.Contains(names, "write") {
		t.Fatalf("offered at first: %q", names)
	}
	h, j = open2("two")
	if err := agent.Decide(ctx, j, r.Approvals[0].ID, true, "user:ada", ""); err != nil {
		t.Fatal(err)
	}
	r = h.waitFinished(id)
	if calls.Load() != 0 || r.State != daruma.Degraded {
		t.Errorf("called %d times, ended as %s, %+v", calls.Load(), r.State, r.Falls)
	}
	if names := <-offered; slices.Contains(names, "write") {
		t.Errorf("offered after the change: %q", names)
	}
	if text := strings.Join(r.Finished.Missing, "; "); !strings.Contains(text, "has changed since this run began") {
		t.Errorf("missing: %q", text)
	}
}
