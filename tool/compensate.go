package tool

import (
	"encoding/json"
	"slices"

	"github.com/daruma-run/daruma"
)

// checkCompensation refuses a compensation that could not be made: its tool is
// no other tool of the set, changes nothing, or needs arguments that the
// mapping leaves out.
func (s *Set) checkCompensation(m *member) error {
	c := m.Spec.Compensate
	if c == nil {
		return nil
	}
	name := m.Spec.Name
	if err := c.Check(); err != nil {
		return invalid("tool %q, compensate: %w", name, err)
	}
	by := s.byName[c.Tool]
	switch {
	case m.Spec.Effect == daruma.Read:
		return invalid("tool %q only reads, and has a compensation; accepted: none", name)
	case by == nil || by == m:
		return invalid("tool %q is compensated by %q; accepted: the name of another tool of the set", name, c.Tool)
	case by.Spec.Agent != "":
		return invalid("tool %q is compensated by %q, which is a sub-run; accepted: a tool that undoes the call", name, c.Tool)
	case by.Spec.Effect == daruma.Read:
		return invalid("tool %q is compensated by %q, which only reads; accepted: a tool that undoes the call", name, c.Tool)
	case len(c.Args) == 0:
		return nil
	}
	var args map[string]any
	var schema struct {
		Required []string `json:"required"`
	}
	if json.Unmarshal(c.Args, &args) != nil || json.Unmarshal(by.Schema, &schema) != nil {
		return nil // what is no object has been refused, and a schema may be anything else
	}
	for _, key := range schema.Required {
		if _, ok := args[key]; !ok {
			return invalid("tool %q is compensated by %q without its argument %q; required are: %v", name, c.Tool, key, slices.Sorted(slices.Values(schema.Required)))
		}
	}
	return nil
}
