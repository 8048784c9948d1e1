package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model/fake"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/tool"
)

// system is what a configuration comes to: checked, nothing started.
type system struct {
	agents []agent.Agent
	models *route.Table
	grace  time.Duration

	degrade agent.Degrade

	budgets      []agent.Budget
	modelBudgets map[string]string
}

// build checks the whole configuration and makes agents, tools and targets of
// it. It opens nothing and calls nobody.
func (c *config) build() (*system, error) {
	sys := &system{}
	var err error
	if sys.grace, err = c.duration("grace", c.Grace); err != nil {
		return nil, err
	}
	if sys.degrade, err = c.buildDegrade(); err != nil {
		return nil, err
	}
	if sys.models, err = c.buildModels(); err != nil {
		return nil, err
	}
	tools, err := c.buildTools()
	if err != nil {
		return nil, err
	}
	if _, err := c.buildMCP(); err != nil {
		return nil, err
	}
	// Checked even where no agent uses them.
	if _, err := c.buildLimits("limits", agentConfig{}); err != nil {
		return nil, err
	}
	if _, err := c.buildLadder("ladder", nil); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Agents)) {
		a, err := c.buildAgent(name, tools)
		if err != nil {
			return nil, err
		}
		sys.agents = append(sys.agents, a)
	}
	return sys, c.buildBudgets(sys)
}

// noAgents is the error of a command that performs runs and has nobody to do it.
func (c *config) noAgents() error {
	const accepted = "accepted: at least one agent, such as agents: {desk: {models: [primary]}}"
	if c.file == "" {
		return hinted{daruma.Fail("config", daruma.KindInvalid, "no agents: there is no %s in this folder; %s", configFile, accepted),
			"--config FILE or DARUMA_CONFIG names a file elsewhere; daruma demo needs none"}
	}
	return daruma.Fail("config", daruma.KindInvalid, "%s: no agents; %s", c.file, accepted)
}

func (c *config) script(path, file string) (*fake.Script, error) {
	if !filepath.IsAbs(file) && c.file != "" {
		file = filepath.Join(filepath.Dir(c.file), file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, c.bad(path, "%v", err)
	}
	script, err := fake.Parse(data)
	if err != nil {
		return nil, c.bad(path, "%s: %v", file, err)
	}
	return script, nil
}

func (c *config) buildTools() (map[string]tool.Tool, error) {
	tools := map[string]tool.Tool{}
	for name, t := range c.Tools {
		path := "tools." + name
		spec := daruma.ToolSpec{Name: name, Capability: t.Capability, Alternatives: t.Alternatives,
			ReplaceWrite: t.ReplaceWrite, Approve: t.Approve}
		for _, f := range []struct {
			key, value string
			into       interface{ UnmarshalText([]byte) error }
		}{{"effect", t.Effect, &spec.Effect}, {"risk", t.Risk, &spec.Risk}, {"on_doubt", t.OnDoubt, &spec.OnDoubt}, {"repeat", t.Repeat, &spec.Repeat}} {
			if f.value == "" {
				continue
			}
			if err := f.into.UnmarshalText([]byte(f.value)); err != nil {
				return nil, c.bad(path+"."+f.key, "%v", unwrapped(err))
			}
		}
		timeout, err := c.duration(path+".timeout", t.Timeout)
		if err != nil {
			return nil, err
		}
		spec.Timeout = daruma.Duration(timeout)
		if spec.Compensate, err = c.compensation(path+".compensate", t.Compensate); err != nil {
			return nil, err
		}
		if t.Agent != "" {
			built, err := c.agentTool(path, name, t, spec)
			if err != nil {
				return nil, err
			}
			tools[name] = built
			continue
		}
		if t.URL == "" {
			return nil, c.bad(path, "no url; accepted: url, the http or https address that calls are posted to, or agent")
		}
		for _, other := range t.Alternatives {
			if _, ok := c.Tools[other]; !ok && len(c.MCP) == 0 { // else it may be one of a server's
				return nil, c.bad(path+".alternatives", "tool %q is not declared; declared: %s", other, names(c.Tools))
			}
		}
		schema := json.RawMessage(`{"type":"object"}`)
		if t.Schema != nil {
			if schema, err = json.Marshal(t.Schema); err != nil {
				return nil, c.bad(path+".schema", "%v", err)
			}
		}
		if err := webAddress(t.URL); err != nil {
			return nil, c.bad(path+".url", "%v", err)
		}
		built := tool.HTTP(spec, t.Description, schema, t.URL, nil)
		if t.VerifyURL != "" {
			if err := webAddress(t.VerifyURL); err != nil {
				return nil, c.bad(path+".verify_url", "%v", err)
			}
			if !strings.Contains(t.VerifyURL, "{key}") {
				return nil, c.bad(path+".verify_url", "%q has no {key}; accepted: an address such as http://127.0.0.1:9000/calls/{key}", t.VerifyURL)
			}
			built = tool.VerifyHTTP(built, t.VerifyURL, nil)
		}
		if _, err := tool.NewSet(withoutAlternatives(built)); err != nil {
			return nil, c.bad(path+".schema", "%v", unwrapped(err))
		}
		tools[name] = built
	}
	return tools, nil
}

// webAddress refuses what is no absolute http or https URL.
func webAddress(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is no web address; accepted: http://… or https://…", text)
	}
	return nil
}

func withoutAlternatives(t tool.Tool) tool.Tool {
	t.Spec.Alternatives, t.Spec.Compensate = nil, nil
	return t
}

func (c *config) buildAgent(name string, tools map[string]tool.Tool) (agent.Agent, error) {
	a := c.Agents[name]
	path := "agents." + name
	out := agent.Agent{Name: name, Instructions: a.Instructions, Models: a.Models, Budget: a.Budget}
	if len(a.Models) == 0 {
		return out, c.bad(path, "no models; accepted: a list of %s", names(c.Models))
	}
	for i, m := range a.Models {
		if _, ok := c.Models[m]; !ok {
			return out, c.bad(fmt.Sprintf("%s.models[%d]", path, i), "model %q is not declared; declared: %s", m, names(c.Models))
		}
	}
	seen := map[string]bool{}
	for i, t := range a.Tools {
		if strings.Contains(t, "/") {
			at := fmt.Sprintf("%s.tools[%d]", path, i)
			of, err := c.mcpTools(at, t)
			if err != nil {
				return out, err
			}
			for _, built := range of {
				if name := built.Spec.Name; seen[name] {
					return out, c.bad(at, "there is a tool %q before it; accepted: each name once, with a prefix for the tools of one MCP server, or what is not needed denied", name)
				}
				seen[built.Spec.Name] = true
				out.Tools = append(out.Tools, built)
			}
			continue
		}
		built, ok := tools[t]
		if !ok {
			return out, c.bad(fmt.Sprintf("%s.tools[%d]", path, i), "tool %q is not declared; declared: %s", t, names(c.Tools))
		}
		if seen[t] {
			return out, c.bad(fmt.Sprintf("%s.tools[%d]", path, i), "tool %q twice", t)
		}
		seen[t] = true
		out.Tools = append(out.Tools, built)
	}
	c.withoutMissing(a, out.Tools)
	if err := c.checkCompensations(path, out.Tools); err != nil {
		return out, err
	}
	var err error
	if out.Limits, err = c.buildLimits(path, a); err != nil {
		return out, err
	}
	if out.Lessons = a.Lessons; a.Lessons < 0 || a.Lessons > daruma.MaxLessons {
		return out, c.bad(path+".lessons", "%d; accepted: 0 to %d", a.Lessons, daruma.MaxLessons)
	}
	if a.Compact != "" {
		if err := out.Compact.UnmarshalText([]byte(a.Compact)); err != nil || out.Compact == daruma.CompactUnset {
			return out, c.bad(path+".compact", "%q; accepted: results, off", a.Compact)
		}
	}
	out.Ladder, err = c.buildLadder(path, a.Ladder)
	return out, err
}

func names[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// unwrapped returns the cause of a Failure, for messages that already say
// where something stands.
func unwrapped(err error) error {
	if f, ok := err.(*daruma.Failure); ok && f.Err != nil {
		return f.Err
	}
	return err
}
