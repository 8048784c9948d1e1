package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model/anthropic"
)

type configCommand struct {
	Explain explainConfigCommand `cmd:"" help:"Print every effective value and where it came from."`
}

type explainConfigCommand struct{}

// setting is one effective value.
type setting struct {
	Path   string `json:"path"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // file:line, a variable, a flag, "default" or "profile coding"
}

// Run performs daruma config explain.
func (cmd *explainConfigCommand) Run(p *program) error {
	c, err := p.configuration()
	if err != nil {
		return err
	}
	sys, err := c.build()
	if err != nil {
		return err
	}
	settings := c.explain(sys)
	if p.Output == "json" {
		return p.writeJSON(settings)
	}
	for _, s := range settings {
		fmt.Fprintf(p.out, "%-44s %-40s # %s\n", s.Path, s.Value, s.Origin)
	}
	return nil
}

func (c *config) explain(sys *system) []setting {
	var all []setting
	add := func(path, value string) { all = append(all, setting{path, value, c.origin(path)}) }
	add("journal", shown(c.Journal))
	grace := c.Grace
	if grace == "" {
		grace = "30s"
	}
	add("grace", grace)
	c.explainDegrade(sys, add)
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		m, path := c.Models[name], "models."+name
		if m.Script != "" {
			add(path+".script", m.Script)
		} else {
			dialect, url := m.Dialect, m.URL
			if dialect == "" {
				dialect = dialectOpenAI
			}
			if url == "" {
				url = anthropic.BaseURL
			}
			add(path+".dialect", dialect)
			add(path+".url", url)
			for _, field := range slices.Sorted(maps.Keys(m.Extra)) {
				b, _ := json.Marshal(m.Extra[field]) // checked when the models were built
				add(path+".extra."+field, string(b))
			}
		}
		if m.Key != "" {
			add(path+".key_env", m.Key+" (set, not shown)")
		}
		price := "not known: calls are marked unpriced"
		if m.Price != nil && m.Price.Free {
			price = "free"
		} else if m.Price != nil {
			price = fmt.Sprintf("$%g in, $%g out per million tokens", m.Price.Input, m.Price.Output)
		}
		add(path+".price", price)
		window := "not known: only a refusal for length makes room"
		if m.Window > 0 {
			window = fmt.Sprintf("%d tokens", m.Window)
		}
		add(path+".window", window)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tools)) {
		t, path := c.Tools[name], "tools."+name
		add(path+".url", t.URL)
		effect := t.Effect
		if effect == "" {
			effect = "unsafe"
		}
		add(path+".effect", effect)
	}
	c.explainMCP(add)
	c.explainBudgets(sys, add)
	for _, a := range sys.agents {
		path := "agents." + a.Name
		add(path+".models", strings.Join(a.Models, ", "))
		var tools []string
		for _, t := range a.Tools {
			tools = append(tools, t.Spec.Name)
		}
		for _, entry := range c.Agents[a.Name].Tools {
			if strings.Contains(entry, "/") {
				tools = append(tools, entry)
			}
		}
		add(path+".tools", strings.Join(tools, ", "))
		l := a.Limits.Filled()
		money := "no limit"
		if l.Money > 0 {
			money = l.Money.String()
		}
		for _, f := range []struct {
			key   string
			value any
		}{{"steps", l.Steps}, {"time", l.Time}, {"tokens", l.Tokens}, {"money", money}, {"soft", l.Soft},
			{"reflections", l.Reflections}, {"reflections_per_signal", l.ReflectionsPerSignal}, {"parallel", l.Parallel}, {"depth", l.Depth},
			{"claims", l.Claims}, {"approve", l.Approve}, {"approval_time", l.ApprovalTime}, {"model_time", l.ModelTime}} {
			at := path + ".limits." + f.key
			all = append(all, setting{at, fmt.Sprint(f.value), c.limitOrigin(a.Name, f.key)})
		}
		add(path+".lessons", fmt.Sprint(a.Lessons))
		add(path+".compact", cmp.Or(a.Compact, daruma.CompactResults).String())
		for _, t := range daruma.SignalTypes() {
			rungs, ok := a.Ladder.Rungs[t]
			if !ok {
				continue
			}
			at := path + ".ladder." + t.String()
			all = append(all, setting{at, rungsText(rungs), c.firstOrigin(at, "ladder."+t.String())})
		}
	}
	return all
}

func rungsText(rungs []daruma.Rung) string {
	texts := make([]string, len(rungs))
	for i, r := range rungs {
		texts[i] = r.Remedy.String()
		if r.Max > 1 {
			texts[i] += fmt.Sprintf("×%d", r.Max)
		}
	}
	return strings.Join(texts, " → ")
}

// origin says where the value at a path came from.
func (c *config) origin(path string) string {
	if o := c.origins[path]; o != "" {
		return o
	}
	if at, ok := c.stands(path); ok {
		return at
	}
	return "default"
}

// firstOrigin is the origin of the first path that stands in the file.
func (c *config) firstOrigin(paths ...string) string {
	for _, p := range paths {
		if at, ok := c.stands(p); ok {
			return at
		}
	}
	return "default"
}

func (c *config) limitOrigin(agent, key string) string {
	profile := c.Agents[agent].Profile
	o := c.firstOrigin("agents."+agent+".limits."+key, "profiles."+profile+"."+key)
	if o == "default" && profile == "coding" && (key == "steps" || key == "time") {
		return "profile coding"
	}
	if o == "default" {
		return c.firstOrigin("limits." + key)
	}
	return o
}

type versionCommand struct{}

// Run performs daruma version.
func (versionCommand) Run(p *program) error {
	version := "development"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	if p.Output == "json" {
		return p.writeJSON(map[string]any{"version": version, "fold": daruma.FoldVersion, "pid": os.Getpid()})
	}
	fmt.Fprintf(p.out, "daruma %s (fold %d)\n", version, daruma.FoldVersion)
	return nil
}
