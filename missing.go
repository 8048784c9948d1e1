package daruma

import "slices"

// invented is an entry of Missing about a tool that the model made up. What it
// was to bring is there once the tool that was meant has succeeded, or another
// one with the same arguments.
type invented struct {
	Text string `json:"text"`
	Near string `json:"near,omitempty"`
	Args string `json:"args"` // canonical
}

// lack notes what a degraded run goes on without.
func (r *Run) lack(m Move) {
	s := &r.s
	if m.Missing == "" {
		s.Level = max(s.Level, Partial)
		return
	}
	if !slices.Contains(s.Missing, m.Missing) {
		s.Missing = append(slices.Clone(s.Missing), m.Missing)
	}
	i, ok := callOf(m.Subject)
	if !ok || i >= len(s.Calls) || m.Signal != ToolUnknown {
		return
	}
	s.Invented = append(slices.Clone(s.Invented), invented{Text: m.Missing, Near: m.Near, Args: s.Calls[i].canonical()})
}

// meant takes off the list of what is missing what was asked of tools that do
// not exist, and a success of another tool has brought.
func (r *Run) meant(tool, args string) {
	s := &r.s
	brought := func(v invented) bool { return v.Near == tool || v.Args == args && args != "{}" }
	if !slices.ContainsFunc(s.Invented, brought) {
		return
	}
	before := s.Invented
	s.Invented = slices.DeleteFunc(slices.Clone(before), brought)
	s.Missing = slices.DeleteFunc(slices.Clone(s.Missing), func(text string) bool {
		about := func(v invented) bool { return v.Text == text }
		return slices.ContainsFunc(before, about) && !slices.ContainsFunc(s.Invented, about)
	})
}
