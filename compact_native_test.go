package daruma_test

import (
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

// TestNativeCounts: what a provider remembers of its answers takes room too.
func TestNativeCounts(t *testing.T) {
	for name, c := range map[string]struct {
		native *daruma.Native
		near   bool
	}{
		"nothing":  {nil, false},
		"a little": {&daruma.Native{Content: []byte(`"x"`)}, false},
		"much":     {&daruma.Native{Content: payload(strings.Repeat("x", 3000))}, true},
	} {
		s := newShell(t, "run_refund")
		s.commit(daruma.NewEvent(daruma.KindStarted, "user:ann", daruma.Started{Agent: "a", Models: []string{"m"}, Nonce: "n", Compact: daruma.CompactResults,
			Windows: map[string]int64{"m": 1000}, Tools: []daruma.ToolSpec{{Name: "look", Effect: daruma.Read}}}))
		for _, text := range []string{strings.Repeat("y", 2500), "a", "b"} {
			model, _ := find(s.settle(), daruma.OpCallModel, -1)
			s.commit(daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, daruma.Replied{Command: model.ID,
				Message: daruma.Message{Role: daruma.RoleAssistant, Native: c.native, Calls: []daruma.ToolCall{{ID: "1", Name: "look", Arguments: "{}"}}}}))
			call, _ := find(s.settle(), daruma.OpCallTool, 0)
			s.commit(daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, daruma.ToolReplied{Command: call.ID, Tool: "look", Outcome: daruma.Succeeded, Text: text}))
		}
		s.settle()
		if near := len(s.run.Falls()) > 0; near != c.near {
			t.Errorf("%s: close to the window: %v", name, near)
		}
	}
}
