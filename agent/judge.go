package agent

import (
	"slices"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/detect"
	"github.com/daruma-run/daruma/model"
)

// judge runs the detectors and returns what they found and the end of the
// judgement. It is pure, and bounded by the detectors.
func (m *machine) judge(r *live, c *daruma.Command) []daruma.Event {
	judged := daruma.Judged{Command: c.ID, Of: c.Of}
	var found []daruma.Signal
	var skipped int
	if c.Of == daruma.JudgeReply {
		found, skipped = r.judgeReply()
	} else {
		specs := r.run.Started().Tools
		found, judged.Mark, skipped = detect.Results(detect.ResultsInput{
			Calls: r.run.Results(), Marks: r.run.Marks(),
			Effect: func(tool string) daruma.Effect {
				if i := slices.IndexFunc(specs, func(s daruma.ToolSpec) bool { return s.Name == tool }); i >= 0 {
					return specs[i].Effect
				}
				return daruma.Unsafe
			},
		})
	}
	if skipped > 0 {
		m.note(r.id, "detectors have crashed and were passed over", nil)
	}
	events := make([]daruma.Event, 0, len(found)+1)
	for _, s := range found {
		events = append(events, daruma.NewEvent(daruma.KindSignal, daruma.ActorShell, s))
	}
	return append(events, daruma.NewEvent(daruma.KindJudged, daruma.ActorShell, judged))
}

func (r *live) judgeReply() ([]daruma.Signal, int) {
	reply := r.run.Reply()
	offered := r.tools()
	names := make([]string, len(offered))
	for i, t := range offered {
		names[i] = t.Name
	}
	return detect.Reply(detect.ReplyInput{
		Step: reply.Command.Step(), Message: reply.Message, Finish: reply.Finish, Tools: names,
		Nearest: r.agent.set.Nearest,
		Check: func(tool, arguments string) []detect.Problem {
			var problems []detect.Problem
			for _, p := range r.agent.set.Check(tool, []byte(arguments)) {
				problems = append(problems, detect.Problem{Path: p.Path, Text: p.Text})
			}
			return problems
		},
	})
}

// tools returns what the model is told of the tools now.
func (r *live) tools() []model.Tool {
	withheld := r.run.Withheld()
	if len(withheld) == 0 {
		return r.offer
	}
	return slices.DeleteFunc(slices.Clone(r.offer), func(t model.Tool) bool { return slices.Contains(withheld, t.Name) })
}
