package agent

import (
	"slices"
	"strings"

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
	reply, offered := r.run.Reply(), r.tools()
	var undone []string
	if len(reply.Message.Calls) == 0 {
		undone = r.undone(offered)
	}
	return r.agent.judgeReply(reply, offered, undone, r.seen)
}

// judgeReply runs the detectors over an answer of a model that was offered the
// tools. What it says of the run's own past is needed for last answers alone.
func (p *profile) judgeReply(reply *daruma.Replied, offered []model.Tool, undone []string, seen func(string) bool) ([]daruma.Signal, int) {
	names := make([]string, len(offered))
	for i, t := range offered {
		names[i] = t.Name
	}
	return detect.Reply(detect.ReplyInput{
		Step: reply.Command.Step(), Message: reply.Message, Finish: reply.Finish, Tools: names,
		Nearest: p.set.Nearest, Undone: undone, Seen: seen,
		Repair: func(tool, arguments string) string { return p.set.Repair(tool, []byte(arguments)) },
		Check: func(tool, arguments string) []detect.Problem {
			var problems []detect.Problem
			for _, p := range p.set.Check(tool, []byte(arguments)) {
				problems = append(problems, detect.Problem{Path: p.Path, Text: p.Text})
			}
			return problems
		},
	})
}

// undone returns those of the offered tools that have an effect and have not
// been called with success, neither themselves nor one that can stand in for
// them. A call in doubt may have been done.
func (r *live) undone(offered []model.Tool) []string {
	done := map[string]bool{} // names and capabilities
	specs, effects, record := r.run.Started().Tools, r.run.Effects(), r.run.Record()
	for _, s := range specs {
		was := func(e daruma.EffectRecord) bool { return e.Tool == s.Name && e.State != daruma.EffectFailed }
		before := func(w daruma.Write) bool { return w.Tool == s.Name }
		if slices.ContainsFunc(effects, was) || slices.ContainsFunc(record, before) {
			done[s.Name], done["capability "+s.Capability] = true, s.Capability != ""
		}
	}
	var undone []string
	for _, s := range specs {
		if s.Effect != daruma.Read && slices.ContainsFunc(offered, func(t model.Tool) bool { return t.Name == s.Name }) && !done[s.Name] && !done["capability "+s.Capability] &&
			!slices.ContainsFunc(s.Alternatives, func(name string) bool { return done[name] }) {
			undone = append(undone, s.Name)
		}
	}
	return undone
}

// seen reports whether what the run was told by tools speaks of a word. What
// is not sent any more may have.
func (r *live) seen(word string) bool {
	return slices.ContainsFunc(r.run.Messages(), func(m daruma.Message) bool {
		return m.Role == daruma.RoleTool && !m.Error && (m.Cut != nil || strings.Contains(strings.ToLower(m.Text), word))
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
