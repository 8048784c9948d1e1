package agent

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/tool"
)

// Agent is what runs are started from. A run freezes the instructions, the
// names of the models, the declarations of the tools, the limits and the
// ladder when it starts; the functions behind tools and models are those of
// the process that performs it.
type Agent struct {
	// Name is how starts and the journal call it. Needed, and unique.
	Name string
	// Instructions is the system prompt. Empty means none.
	Instructions string
	// Models are the names of targets in the table, best first. Empty means
	// all targets of the table, in its order.
	Models []string
	// Tools are what the agent can do. None means it can only talk.
	Tools []tool.Tool
	// Limits bound each run; a zero field means its default.
	Limits daruma.Limits
	// Ladder says how falls are caught. The zero Ladder means the default one.
	Ladder daruma.Ladder
	// Compact is what is left out of a conversation that comes close to the
	// window of a model, or that a model has no room for. Zero means
	// [daruma.CompactResults].
	Compact daruma.Compaction
	// Lessons is how many lessons of earlier runs a run is given, at most
	// [daruma.MaxLessons]. Runs of the agent keep what they learn as long as it
	// is not zero. Zero means none. Lessons hold arguments of calls; they stay
	// within a tenant.
	Lessons int
	// MaxOutput bounds each answer in tokens. Zero means the provider's default.
	MaxOutput int64
	// Budget is the name of one of [Options.Budgets] from which its model calls
	// are paid. Empty means none.
	Budget string
}

// profile is an agent made ready.
type profile struct {
	Agent
	set    *tool.Set
	specs  []daruma.ToolSpec
	models []string
	offer  []model.Tool      // all tools, as models are told
	pins   map[string]string // of tools that have one, by name
	terms  map[string]*term  // by target

	windows map[string]int64 // of targets, where they are known
}

// profiles checks agents and makes them ready.
func profiles(agents []Agent, models *route.Table, recovery tool.Recovery) (map[string]*profile, error) {
	if len(agents) == 0 {
		return nil, daruma.Fail("agent.New", daruma.KindInvalid, "agents are empty; accepted: at least one")
	}
	all := make(map[string]*profile, len(agents))
	for _, a := range agents {
		if all[a.Name] != nil {
			return nil, daruma.Fail("agent.New", daruma.KindInvalid, "agent %q is given twice; accepted: each name once", a.Name)
		}
		p, err := newProfile(a, models, recovery)
		if err != nil {
			return nil, &daruma.Failure{Op: "agent.New", Kind: daruma.KindInvalid, Err: err}
		}
		all[a.Name] = p
	}
	return all, checkChildren(all)
}

func newProfile(a Agent, models *route.Table, recovery tool.Recovery) (*profile, error) {
	if strings.TrimSpace(a.Name) == "" {
		return nil, daruma.Fail("", daruma.KindInvalid, "agent name is empty; accepted: any text that names it")
	}
	bad := func(format string, args ...any) error {
		return daruma.Fail("agent "+a.Name, daruma.KindInvalid, format, args...)
	}
	p := &profile{Agent: a, models: slices.Clone(a.Models)}
	known := models.Names()
	if len(p.models) == 0 {
		p.models = known
	}
	if len(p.models) == 0 {
		return nil, bad("models: there is none; accepted: at least one target in the table")
	}
	for i, name := range p.models {
		if !slices.Contains(known, name) {
			return nil, bad("models[%d] is %q; accepted: %s", i, name, strings.Join(known, ", "))
		}
		if slices.Contains(p.models[:i], name) {
			return nil, bad("models[%d] %q is given twice; accepted: each once", i, name)
		}
	}
	if err := a.Limits.Check(); err != nil {
		return nil, bad("%w", err)
	}
	if err := a.Ladder.Check(); err != nil {
		return nil, bad("ladder: %w", err)
	}
	if reflect.DeepEqual(p.Ladder, daruma.DefaultLadder()) {
		p.Ladder = daruma.Ladder{}
	}
	if p.Compact = cmp.Or(a.Compact, daruma.CompactResults); p.Compact > daruma.CompactResults {
		return nil, bad("compact is %v; accepted: off, results", a.Compact)
	}
	if a.Lessons < 0 || a.Lessons > daruma.MaxLessons {
		return nil, bad("lessons is %d; accepted: 0 to %d", a.Lessons, daruma.MaxLessons)
	}
	p.windows = models.Windows()
	if a.MaxOutput < 0 {
		return nil, bad("max_output is %d; accepted: 0 for the provider's default, or more", a.MaxOutput)
	}
	set, err := tool.NewSetWith(tool.Options{Approve: a.Limits.Approve, Recovery: recovery}, a.Tools...)
	if err != nil {
		return nil, bad("tools: %w", err)
	}
	p.set, p.specs, p.pins = set, set.Specs(), map[string]string{}
	for _, spec := range p.specs {
		if spec.Pin != "" {
			p.pins[spec.Name] = spec.Pin
		}
	}
	for _, d := range set.Offer(nil) {
		p.offer = append(p.offer, model.Tool{Name: d.Name, Description: d.Description, Schema: d.Schema})
	}
	return p, nil
}

// offerTo returns what a model is told of the tools that a run has frozen. A
// tool that this process does not have is left out, and so is one that came
// after the run began, or is defined otherwise by now.
func (p *profile) offerTo(frozen []daruma.ToolSpec) []model.Tool {
	has := func(t model.Tool) bool {
		return slices.ContainsFunc(frozen, func(s daruma.ToolSpec) bool {
			return s.Name == t.Name && (s.Pin == "" || s.Pin == p.pins[t.Name])
		})
	}
	if !slices.ContainsFunc(p.offer, func(t model.Tool) bool { return !has(t) }) {
		return p.offer
	}
	return slices.DeleteFunc(slices.Clone(p.offer), func(t model.Tool) bool { return !has(t) })
}

func names(agents map[string]*profile) []string { return slices.Sorted(maps.Keys(agents)) }
