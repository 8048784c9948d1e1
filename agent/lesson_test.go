package agent_test

import (
	"context"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// TestLessons: what a reflection caught is kept and given to later runs of the
// agent, as long as it is asked for and not forgotten; within a tenant, and in
// no other agent.
func TestLessons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told string
		models := table(t, talk(func(_ context.Context, messages []daruma.Message) (daruma.Message, error) {
			switch turns(messages) {
			case 0:
				told = ""
				for _, m := range messages {
					if m.Note {
						told += m.Text
					}
				}
				if told != "" {
					return say("done"), nil
				}
				return call("look", `{"ward":"a"}`), nil
			case 1:
				return call("look", `{"word":"b"}`), nil
			}
			return say("done"), nil
		}))
		j := darumatest.NewMemory()
		o := agent.Options{Journal: j, Models: models, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}, Lessons: 3,
			Ladder: daruma.DefaultLadder().Without(daruma.Repair)}, {Name: "other", Tools: []tool.Tool{echo("look")}, Lessons: 3}, {Name: "deaf", Tools: []tool.Tool{echo("look")}}}}
		h := open(t, o)
		run := func(start agent.Start) string {
			start.Input = "go"
			r := h.waitFinished(h.start(start))
			if r.State != daruma.Completed {
				t.Fatalf("%s %+v", r.State, r.Falls)
			}
			return told
		}
		if got := run(agent.Start{Agent: "helper"}); got != "" {
			t.Errorf("the first run was told %q", got)
		}
		lessons, _, err := agent.Lessons(t.Context(), j, "", "helper")
		if err != nil || len(lessons) != 1 || lessons[0].Signal != daruma.ArgumentsInvalid || lessons[0].Tool != "look" ||
			lessons[0].Failed != `{"ward":"a"}` || lessons[0].Worked != `look {"word":"b"}` {
			t.Fatalf("%+v, %v", lessons, err)
		}
		got := run(agent.Start{Agent: "helper"})
		if !strings.Contains(got, "signal: arguments_invalid\ntool: look\n") || !strings.Contains(got, `then worked: look {"word":"b"}`) {
			t.Errorf("the second run was told %q", got)
		}
		for _, other := range []agent.Start{{Agent: "helper", Tenant: "acme"}, {Agent: "other"}, {Agent: "deaf"}} {
			if got := run(other); got != "" {
				t.Errorf("%+v was told %q", other, got)
			}
		}
		if all, _, _ := agent.Lessons(t.Context(), j, "", "deaf"); len(all) != 0 {
			t.Errorf("an agent without lessons has learned %+v", all)
		}
		for range 2 { // again changes nothing
			if err := agent.Forget(t.Context(), j, "", "helper", lessons[0].ID, "user:ada"); err != nil {
				t.Fatal(err)
			}
		}
		if err := agent.Forget(t.Context(), j, "", "helper", "lesson_none", "user:ada"); daruma.KindOf(err) != daruma.KindNotFound {
			t.Errorf("a lesson that is not there: %v", err)
		}
		if got := run(agent.Start{Agent: "helper"}); got != "" {
			t.Errorf("a forgotten lesson was told: %q", got)
		}
		if all, _ := j.Runs(t.Context(), daruma.Query{Type: daruma.AgentRun}); len(all) != 6 {
			t.Errorf("%d runs of agents", len(all))
		}
	})
}
