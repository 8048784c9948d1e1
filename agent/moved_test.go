package agent_test

import (
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// TestRefusedForEver has the journal refuse what a run must write, again and
// again: the run is given up, and does not write claims for ever.
func TestRefusedForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		taken := daruma.Fail("test", daruma.KindExists, "approval x exists already")
		j := &flaky{Memory: darumatest.NewMemory(), fault: func(_ int32, tx *daruma.Tx) (error, error) {
			if tx.State == daruma.Quarantined || len(tx.Events) == 0 || tx.Head == 0 {
				return nil, nil
			}
			return taken, nil
		}}
		h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}}},
			Models: table(t, script(call("look", `{"word":"x"}`)))})
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		if r := h.wait(id); r.State != daruma.Quarantined {
			t.Errorf("%s, %s", r.State, r.Note)
		}
		if n := count(kinds(t, j.Memory, id), daruma.KindClaimed); n == 0 || n > 10 {
			t.Errorf("claimed %d times", n)
		}
	})
}
