package detect

import (
	"cmp"
	"slices"

	"github.com/daruma-run/daruma"
)

// Finding is a signal with its place in a trace.
type Finding struct {
	daruma.Signal
	Step int // index of the step at which it was raised
	Call int // index of the call of that step; -1: the step as a whole
}

// Report is what [Scan] found.
type Report struct {
	Findings []Finding // the worst first; of equal severity the earlier first
	Blind    []Blind
	Skipped  []string // names of detectors that panicked or took too long
}

// Blind says that a detector could not look: a trace without findings is
// healthy only as far as nothing was blind.
type Blind struct {
	Detector string // name/version
	Missing  string // what it would need
	Switch   string // what to set so that it is recorded the next time; may be empty
}

// Knowledge is what is known of an agent's tools beyond its trace. The zero
// Knowledge is none.
type Knowledge struct {
	Effect func(tool string) daruma.Effect            // nil: what the trace says
	Check  func(tool, arguments string) []Problem     // nil: arguments are not checked
	Repair func(tool, arguments string) string        // nil: never
	Near   func(name string, offered []string) string // nil: no names are proposed
}

// Scan looks for what went wrong in a trace. It is pure.
func Scan(t *Trace, k Knowledge) Report {
	var report Report
	s := NewScanner(t, k)
	for i := range t.Steps {
		report.Findings = append(report.Findings, s.Step(i)...)
	}
	slices.SortStableFunc(report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Step, b.Step))
	})
	return report
}

// Scanner looks at a trace step by step. It is not for concurrent use.
type Scanner struct {
	trace     *Trace
	knowledge Knowledge
	tools     []string
	marks     []string
}

// NewScanner returns a Scanner of a trace that may still grow.
func NewScanner(t *Trace, k Knowledge) *Scanner {
	s := &Scanner{trace: t, knowledge: k}
	for _, tool := range t.Tools {
		s.tools = append(s.tools, tool.Name)
	}
	return s
}

// Step looks at a step, and returns what it shows. Steps must be given in
// order, each once.
func (s *Scanner) Step(i int) []Finding {
	step := &s.trace.Steps[i]
	if step.Role != daruma.RoleAssistant {
		return nil
	}
	signals, mark, _ := Results(ResultsInput{Calls: step.Calls, Effect: s.effect, Marks: s.marks})
	if mark != "" {
		s.marks = append(s.marks, mark)
		s.marks = s.marks[max(0, len(s.marks)-window):]
	}
	var found []Finding
	for _, signal := range signals {
		found = append(found, Finding{Signal: signal, Step: i, Call: -1})
	}
	return found
}

func (s *Scanner) effect(tool string) daruma.Effect {
	if s.knowledge.Effect != nil {
		return s.knowledge.Effect(tool)
	}
	for _, t := range s.trace.Tools {
		if t.Name == tool {
			return t.Effect
		}
	}
	return daruma.Unsafe
}
