package agent_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// TestNativeGoesBack: what a provider wants back comes back whole, in this
// process and in the next one, and above MaxInline it stands beside the events.
func TestNativeGoesBack(t *testing.T) {
	for name, size := range map[string]int{"small": 100, "large": daruma.MaxInline + 100} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				content := json.RawMessage(`[{"type":"thinking","thinking":"` + strings.Repeat("x", size) + `"},"call"]`)
				pay := tool.Func("pay", "Pays.", func(context.Context, word) (string, error) { return "paid", nil },
					daruma.ToolSpec{Effect: daruma.Keyed, Approve: true})
				wrong := ""
				models := table(t, talk(func(_ context.Context, messages []daruma.Message) (daruma.Message, error) {
					if turns(messages) == 2 {
						return say("done"), nil
					}
					for _, m := range messages {
						if m.Role == daruma.RoleAssistant && (m.Native == nil || string(m.Native.Content) != string(content) || m.Native.Format != "f") {
							wrong += "it did not come back; "
						}
					}
					m := call([]string{"look", "pay"}[turns(messages)], `{"word":"a"}`)
					m.Native = &daruma.Native{Format: "f", Model: "m", Content: content}
					return m, nil
				}))
				j := darumatest.NewMemory()
				o := agent.Options{Journal: j, Models: models, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look"), pay}}}}
				h := open(t, o)
				id := h.start(agent.Start{Agent: "helper", Input: "go", Limits: daruma.Limits{Tokens: 1 << 40}})
				r := h.wait(id)
				if r.State != daruma.ParkedState {
					t.Fatalf("%s %+v", r.State, r.Falls)
				}
				for e, err := range j.Events(t.Context(), id, 0) {
					if err != nil {
						t.Fatal(err)
					}
					if e.Kind == daruma.KindReplied && (len(e.Payload) > daruma.MaxInline) {
						t.Errorf("%d bytes stand in an event", len(e.Payload))
					}
				}
				if err := h.close(); err != nil {
					t.Fatal(err)
				}
				h = open(t, o)
				if err := agent.Decide(t.Context(), j, r.Approvals[0].ID, true, "user:ada", ""); err != nil {
					t.Fatal(err)
				}
				if r = h.waitFinished(id); r.Answer() != "done" || wrong != "" {
					t.Errorf("%s %q: %s", r.State, r.Answer(), wrong)
				}
			})
		})
	}
}
