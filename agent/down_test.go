package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// stopping is a journal that says when it has stopped.
type stopping struct {
	*darumatest.Memory
	down chan struct{}
}

func (j stopping) Down() <-chan struct{} { return j.down }

// TestJournalStops has the journal of a shell without work stop: Run says so at
// once, and not with the next look for runs.
func TestJournalStops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := stopping{darumatest.NewMemory(), make(chan struct{})}
		h := open(t, agent.Options{Journal: j, Models: table(t, script()),
			Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}}}})
		synctest.Wait()
		<-time.After(time.Second)
		stopped := time.Now()
		j.Crash()
		close(j.down)
		err := <-h.ended
		h.ended <- err
		if daruma.KindOf(err) != daruma.KindDown {
			t.Errorf("Run returned %v", err)
		}
		if late := time.Since(stopped); late > 0 {
			t.Errorf("Run returned %s after the journal had stopped", late)
		}
	})
}
