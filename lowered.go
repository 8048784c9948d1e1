package daruma

import "slices"

// Lowered says that a run begins below the full service, because its first
// model or a tool is known not to work now, or because the configuration says
// so. Whoever starts the run decides it, once: the run would fall there anyway,
// and every other run with it. Runs that start later may begin higher again.
type Lowered struct {
	Level   Level             `json:"level"`             // the lowest that follows from the rest
	Forced  bool              `json:"forced,omitempty"`  // by configuration, for a drill or by an operator
	Why     string            `json:"why"`               // one line for people
	Target  string            `json:"target,omitempty"`  // of Models: asked first; the others stay for falls
	Tools   map[string]string `json:"tools,omitempty"`   // tool → the one that is called in its place
	Without []string          `json:"without,omitempty"` // tools that are not offered; what they bring is missing
}

// lower makes the run begin where run.started says.
func (r *Run) lower(l *Lowered) error {
	if l == nil {
		return nil
	}
	s := &r.s
	if l.Target != "" {
		i := slices.Index(s.Start.Models, l.Target)
		if i < 0 {
			return Fail("", KindInvalid, "the run has no model %s to begin with", l.Target)
		}
		if s.Model.Target = i; i > 0 {
			s.Level = OtherModel
		}
	}
	for _, name := range l.Without {
		s.Withheld = append(s.Withheld, name)
		s.Missing = append(s.Missing, name+": not offered: "+l.Why)
	}
	if len(l.Without) > 0 {
		s.Level = Partial
	}
	if l.Level == Static {
		s.Missing = append(s.Missing, "everything: "+l.Why)
		s.Ending = &Finished{State: Degraded}
	}
	return nil
}

// standIn returns the tool that is called for a name from the start.
func (r *Run) standIn(name string) string {
	if l := r.s.Start.Lowered; l != nil && l.Tools[name] != "" {
		if _, known := r.spec(l.Tools[name]); known {
			return l.Tools[name]
		}
	}
	return name
}

// StandIns returns the tools that may stand in for one of them, best first:
// named as an alternative or of the same capability, and reading only, unless a
// policy lets a writing tool replace this one.
func StandIns(tools []ToolSpec, name string) []string {
	find := func(name string) (ToolSpec, bool) {
		i := slices.IndexFunc(tools, func(t ToolSpec) bool { return t.Name == name })
		if i < 0 {
			return ToolSpec{}, false
		}
		return tools[i], true
	}
	spec, known := find(name)
	if !known {
		return nil
	}
	names := slices.Clone(spec.Alternatives)
	if spec.Capability != "" {
		for _, t := range tools {
			if t.Capability == spec.Capability && !slices.Contains(names, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	return slices.DeleteFunc(names, func(n string) bool {
		other, known := find(n)
		reads := spec.Effect == Read && other.Effect == Read
		return !known || n == name || !reads && !spec.ReplaceWrite
	})
}

// Level returns how much of the full service the run gets so far.
func (r *Run) Level() Level {
	if r.s.End != nil {
		return r.s.End.Level
	}
	return r.s.Level
}
