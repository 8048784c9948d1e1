package main

import (
	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
)

// agentTool makes a tool of an agent: each call is a sub-run of it.
func (c *config) agentTool(path, name string, t toolConfig, spec daruma.ToolSpec) (tool.Tool, error) {
	if _, ok := c.Agents[t.Agent]; !ok {
		return tool.Tool{}, c.bad(path+".agent", "agent %q is not declared; declared: %s", t.Agent, names(c.Agents))
	}
	switch {
	case t.URL != "" || t.VerifyURL != "":
		return tool.Tool{}, c.bad(path, "both agent and url; accepted: one of them")
	case t.Schema != nil:
		return tool.Tool{}, c.bad(path+".schema", "not for an agent, which takes an input; accepted: none")
	case t.Effect != "" || t.OnDoubt != "":
		return tool.Tool{}, c.bad(path, "effect or on_doubt of an agent; accepted: neither, it is started once for each call, and its own tools declare theirs")
	}
	built := tool.Agent(name, t.Agent, t.Description)
	spec.Effect, spec.Agent = built.Spec.Effect, t.Agent
	built.Spec = spec
	return built, nil
}
