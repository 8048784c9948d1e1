package agent

import (
	"slices"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
)

// Degrade says how runs begin while something they need does not work. The zero
// Degrade is automatic: a run that starts while its first model is known to
// fail begins with the best one that does not, and calls stand-ins of tools that
// fail. What is failing gets a run now and then, and after enough successes all
// of them: the Recovery of targets, and Tools. It is known to this process
// alone; the next begins with the full service.
type Degrade struct {
	// Off has every run begin with the full service.
	Off bool
	// Force has every run begin at a level, for drills and for operators:
	// other_model with the second model, other_tool with stand-ins for every
	// tool that has one, partial without tools that have an effect, static
	// without asking anybody. What an agent has no other of stays. Zero forces
	// nothing.
	Force daruma.Level
	// Tools says when a tool counts as failing and when as well again.
	Tools tool.Recovery
}

const forced = "the configuration forces it"

// Level returns the level at which a run of the agent would begin now, trials
// aside; [daruma.Full] for an agent that is unknown.
func (s *Shell) Level(agent string) daruma.Level {
	p := s.agents[agent]
	if p == nil {
		return daruma.Full
	}
	if l := s.lower(p, func(m string) bool { return !s.models.Failing(m) }, func(t string) bool { return !p.set.Failing(t) }); l != nil {
		return l.Level
	}
	return daruma.Full
}

// lowered decides where a run begins; nil for the full service.
func (s *Shell) lowered(p *profile, now time.Time) *daruma.Lowered {
	return s.lower(p, func(m string) bool { return s.models.Admit(m, now) }, func(t string) bool { return p.set.Admit(t, now) })
}

func (s *Shell) lower(p *profile, models, tools func(string) bool) *daruma.Lowered {
	switch {
	case s.degrade.Off:
		return nil
	case s.degrade.Force != daruma.Full:
		return p.force(s.degrade.Force)
	}
	l := daruma.Lowered{}
	why := func(name, other string) {
		if l.Why != "" {
			l.Why += "; "
		}
		l.Why += name + " is failing, " + other + " takes its place"
	}
	if first := p.models[0]; !models(first) {
		if i := slices.IndexFunc(p.models, func(m string) bool { return !s.models.Failing(m) }); i > 0 {
			l.Level, l.Target = daruma.OtherModel, p.models[i]
			why(first, l.Target)
		}
	}
	for _, spec := range p.specs {
		if tools(spec.Name) {
			continue
		}
		names := daruma.StandIns(p.specs, spec.Name)
		if i := slices.IndexFunc(names, func(n string) bool { return !p.set.Failing(n) }); i >= 0 {
			if l.Tools == nil {
				l.Tools = map[string]string{}
			}
			l.Level, l.Tools[spec.Name] = daruma.OtherTool, names[i]
			why(spec.Name, names[i])
		}
	}
	if l.Why == "" {
		return nil
	}
	return &l
}

// force is where runs of the agent begin at a level; nil where it has nothing
// to go down to.
func (p *profile) force(level daruma.Level) *daruma.Lowered {
	l := daruma.Lowered{Level: level, Forced: true, Why: forced}
	switch level {
	case daruma.OtherModel:
		if len(p.models) < 2 {
			return nil
		}
		l.Target = p.models[1]
	case daruma.OtherTool:
		l.Tools = map[string]string{}
		stands := map[string]bool{} // a stand-in is not itself replaced
		for _, spec := range p.specs {
			if names := daruma.StandIns(p.specs, spec.Name); len(names) > 0 && !stands[spec.Name] && l.Tools[names[0]] == "" {
				l.Tools[spec.Name], stands[names[0]] = names[0], true
			}
		}
		if len(l.Tools) == 0 {
			return nil
		}
	case daruma.Partial:
		for _, spec := range p.specs {
			if spec.Effect != daruma.Read {
				l.Without = append(l.Without, spec.Name)
			}
		}
		if len(l.Without) == 0 {
			return nil
		}
	}
	return &l
}
