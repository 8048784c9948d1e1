package main

import (
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model/route"
)

// degradeConfig says how runs begin while a model or a tool does not work.
type degradeConfig struct {
	Force     string `yaml:"force"`     // a level for every run, for drills: other_model, other_tool, partial, static; full: never begin lower
	Failures  int    `yaml:"failures"`  // how many in a row make a model or a tool failing; default 3
	Successes int    `yaml:"successes"` // how many in a row make it well again; default 3
	Over      string `yaml:"over"`      // and for how long at least; default 30s
}

// recovery says when models and tools count as failing and when as well again.
func (c *config) recovery() (route.Recovery, error) {
	d := c.Degrade
	for _, f := range []struct {
		key   string
		value int
	}{{"failures", d.Failures}, {"successes", d.Successes}} {
		if f.value < 0 {
			return route.Recovery{}, c.bad("degrade."+f.key, "%d; accepted: more than 0", f.value)
		}
	}
	over, err := c.duration("degrade.over", d.Over)
	return route.Recovery{Failures: d.Failures, Successes: d.Successes, Over: over}, err
}

func (c *config) buildDegrade() (agent.Degrade, error) {
	var out agent.Degrade
	var err error
	if out.Tools, err = c.recovery(); err != nil || c.Degrade.Force == "" {
		return out, err
	}
	if err := out.Force.UnmarshalText([]byte(c.Degrade.Force)); err != nil {
		return out, c.bad("degrade.force", "%v", unwrapped(err))
	}
	out.Off = out.Force == daruma.Full
	return out, nil
}

// explainDegrade adds the effective values.
func (c *config) explainDegrade(sys *system, add func(path, value string)) {
	force := "nothing: runs begin lower while something fails"
	switch {
	case sys.degrade.Off:
		force = "full: no run begins lower"
	case sys.degrade.Force != daruma.Full:
		force = sys.degrade.Force.String()
	}
	add("degrade.force", force)
}

// loweredText tells how a run begins.
func loweredText(l *daruma.Lowered) string {
	if l == nil {
		return ""
	}
	text := "; begins at " + l.Level.String()
	if l.Target != "" {
		text += " with " + l.Target
	}
	if len(l.Without) > 0 {
		text += " without " + strings.Join(l.Without, ", ")
	}
	return text + ": " + l.Why
}
