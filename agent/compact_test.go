package agent_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/tool"
)

// TestOverflowIsCompacted: a model that refuses a conversation for its length is
// asked again with less of the results, large ones beside the events included,
// until it has room; calls and results stay together, and the journal keeps all.
func TestOverflowIsCompacted(t *testing.T) {
	for name, size := range map[string]int{"inline": 20_000, "beside the events": daruma.MaxInline + 20_000} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				text := "HEAD " + strings.Repeat("x", size-10) + " TAIL"
				read := tool.Func("read", "Reads.", func(context.Context, word) (string, error) { return text, nil },
					daruma.ToolSpec{Effect: daruma.Read})
				asked, last := 0, ""
				models := table(t, talk(func(_ context.Context, messages []daruma.Message) (daruma.Message, error) {
					n, open := 0, map[string]bool{}
					for _, m := range messages {
						n += len(m.Text)
						for _, c := range m.Calls {
							open[c.ID] = true
						}
						if m.Role == daruma.RoleTool {
							if !open[m.CallID] {
								t.Errorf("a result without its call: %s", m.CallID)
							}
							delete(open, m.CallID)
							last = m.Text
						}
					}
					if len(open) > 0 {
						t.Errorf("calls without a result: %v", open)
					}
					if n > 12_000 {
						asked++
						return daruma.Message{}, (&model.Error{Provider: "m", Kind: daruma.KindOverflow, Text: "too long"}).Failure("test")
					}
					if turns(messages) == 0 {
						return call("read", `{"word":"a"}`), nil
					}
					return say("done"), nil
				}))
				j := darumatest.NewMemory()
				h := open(t, agent.Options{Journal: j, Models: models, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{read}}}})
				id := h.start(agent.Start{Agent: "helper", Input: "go", Limits: daruma.Limits{Tokens: 1 << 40}})
				r := h.waitFinished(id)
				if r.State != daruma.Completed || r.Finished.Level != daruma.Full || asked == 0 {
					t.Fatalf("%s after %d overflows: %+v", r.State, asked, r.Falls)
				}
				if by, ok := r.Falls[0].By(); !ok || by != daruma.Compact || !r.Falls[0].Caught {
					t.Errorf("caught by %v: %+v", by, r.Falls[0])
				}
				if !strings.Contains(last, "left out") || strings.Contains(last, "[…") && !(strings.HasPrefix(last, "HEAD ") && strings.HasSuffix(last, " TAIL")) {
					t.Errorf("the model was sent %.100q…", last)
				}
				for e, err := range j.Events(t.Context(), id, 0) {
					if err != nil {
						t.Fatal(err)
					}
					if e.Kind != daruma.KindToolReplied {
						continue
					}
					var p daruma.ToolReplied
					if err := json.Unmarshal(e.Payload, &p); err != nil {
						t.Fatal(err)
					}
					if p.Ref.IsZero() {
						if p.Text != text {
							t.Error("the journal does not keep the whole result")
						}
						continue
					}
					if whole, err := j.Blob(t.Context(), "", p.Ref); err != nil || string(whole) != text || p.Size != int64(len(text)) {
						t.Errorf("the journal keeps %d of %d bytes, said to be %d, %v", len(whole), len(text), p.Size, err)
					}
				}
			})
		})
	}
}

// TestCompactOff: nothing is left out of a run that must not lose anything.
func TestCompactOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		models := table(t, talk(func(_ context.Context, messages []daruma.Message) (daruma.Message, error) {
			if turns(messages) == 0 {
				return call("look", `{"word":"`+strings.Repeat("a", 5000)+`"}`), nil
			}
			return daruma.Message{}, (&model.Error{Provider: "m", Kind: daruma.KindOverflow, Text: "too long"}).Failure("test")
		}))
		h := open(t, agent.Options{Journal: darumatest.NewMemory(), Models: models,
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}, Compact: daruma.CompactOff}}})
		r := h.wait(h.start(agent.Start{Agent: "helper", Input: "go"}))
		if r.State != daruma.ParkedState || len(r.Falls) != 1 || r.Falls[0].Moves[0].Remedy != daruma.Escalate {
			t.Errorf("%s %+v", r.State, r.Falls)
		}
	})
}
