package main

import (
	"encoding/json"
	"slices"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
)

// compensateConfig says how a call of a tool is undone.
type compensateConfig struct {
	Tool string         `yaml:"tool"` // the tool that undoes it
	Args map[string]any `yaml:"args"` // a mapping, see daruma.Compensation; default: the arguments of the call
}

// compensation reads how a tool is undone; nil where it says nothing.
func (c *config) compensation(path string, from *compensateConfig) (*daruma.Compensation, error) {
	if from == nil {
		return nil, nil
	}
	out := &daruma.Compensation{Tool: from.Tool}
	if from.Args != nil {
		args, err := json.Marshal(from.Args)
		if err != nil {
			return nil, c.bad(path+".args", "%v", err)
		}
		out.Args = args
	}
	if err := out.Check(); err != nil {
		return nil, c.bad(path, "%v", unwrapped(err))
	}
	if _, ok := c.Tools[out.Tool]; !ok && len(c.MCP) == 0 { // else it may be one of a server's
		return nil, c.bad(path+".tool", "tool %q is not declared; declared: %s", out.Tool, names(c.Tools))
	}
	return out, nil
}

// checkCompensations refuses an agent that can do something and has not the
// tool with which it is undone.
func (c *config) checkCompensations(path string, tools []tool.Tool) error {
	for _, t := range tools {
		by := t.Spec.Compensate
		if by != nil && !slices.ContainsFunc(tools, func(o tool.Tool) bool { return o.Spec.Name == by.Tool }) {
			return c.bad(path+".tools", "%s is compensated by %s, which is not among them; accepted: both", t.Spec.Name, by.Tool)
		}
	}
	return nil
}
