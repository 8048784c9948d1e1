package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// BenchmarkCore runs ten steps and the closing reply through the fold and Next
// alone: no journal, no detectors, no goroutine. What it takes per step is the
// part of a step that no faster disk can save.
func BenchmarkCore(b *testing.B) {
	for _, effect := range []daruma.Effect{daruma.Read, daruma.Keyed} {
		b.Run(effect.String(), func(b *testing.B) {
			b.ReportAllocs()
			events, size := 0, 0
			for b.Loop() {
				events, size = walk(b, effect, 10)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/10, "µs/step")
			b.ReportMetric(float64(events)/10, "events/step")
			b.ReportMetric(float64(size)/10, "payload-B/step")
		})
	}
}

// walk drives one run to its end and returns how many events of how many bytes
// it took.
func walk(b *testing.B, effect daruma.Effect, steps int) (events, size int) {
	run := daruma.NewRun("run_bench", "")
	apply := func(es ...daruma.Event) {
		for _, e := range es {
			e.Time = time.Unix(1_800_000_000, 0)
			if err := run.Apply(e); err != nil {
				b.Fatal(err)
			}
			events, size = events+1, size+len(e.Payload)
		}
	}
	apply(daruma.NewEvent(daruma.KindStarted, "bench", daruma.Started{
		Agent: "bench", Models: []string{"local"}, Nonce: "n",
		Input:  daruma.Message{Role: daruma.RoleUser, Text: "run"},
		Tools:  []daruma.ToolSpec{{Name: "step", Effect: effect}},
		Limits: daruma.Limits{Steps: 1000, Tokens: 1e9, Time: daruma.Duration(time.Hour)},
	}))
	for step := 0; run.Finished() == nil; {
		decided, commands := run.Next()
		apply(decided...)
		if len(commands) == 0 && run.Finished() == nil {
			b.Fatal("nothing to do, and not finished")
		}
		for _, c := range commands {
			switch c.Op {
			case daruma.OpCallModel:
				m := daruma.Message{Role: daruma.RoleAssistant, Text: payload("run", step), Calls: []daruma.ToolCall{
					{ID: fmt.Sprint("call", step), Name: "step", Arguments: fmt.Sprintf(`{"step":%d}`, step+1)}}}
				finish := daruma.FinishTools
				if step == steps {
					m.Calls, finish = nil, daruma.FinishStop
				}
				step++
				apply(daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, daruma.Replied{Command: c.ID, Target: "local", Message: m,
					Finish: finish, Usage: daruma.Usage{Input: 10, Output: 10}}))
			case daruma.OpCallTool:
				apply(daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, daruma.ToolReplied{Command: c.ID, Call: c.Call, Tool: c.Tool,
					Outcome: daruma.Succeeded, Text: payload("run", step)}))
				step++
			case daruma.OpJudge:
				apply(daruma.NewEvent(daruma.KindJudged, daruma.ActorShell, daruma.Judged{Command: c.ID, Of: c.Of, Mark: "0123456789abcdef"}))
			}
		}
	}
	if got := run.Steps(); got != steps+1 {
		b.Fatalf("%d steps, want %d", got, steps+1)
	}
	return events, size
}
