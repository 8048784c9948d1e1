package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

// budgetConfig bounds what agents and models that name it spend together.
type budgetConfig struct {
	Amount float64  `yaml:"amount"` // US dollars
	Per    string   `yaml:"per"`    // total (the default), day or month, UTC
	Soft   *float64 `yaml:"soft"`   // share at which agents are told to wrap up; default 0.8
	Block  *float64 `yaml:"block"`  // US dollars drawn at once; default a 32nd of the amount
}

// windows returns the names of the windows of budgets, by their numbers.
func windows() []string {
	return []string{agent.Total: "total", agent.PerDay: "day", agent.PerMonth: "month"}
}

// buildBudgets checks the budgets and who is paid from them.
func (c *config) buildBudgets(sys *system) error {
	for _, name := range slices.Sorted(maps.Keys(c.Budgets)) {
		b, err := c.buildBudget(name, c.Budgets[name])
		if err != nil {
			return err
		}
		sys.budgets = append(sys.budgets, b)
	}
	sys.modelBudgets = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		if err := c.knownBudget("models."+name+".budget", c.Models[name].Budget); err != nil {
			return err
		}
		if b := c.Models[name].Budget; b != "" {
			sys.modelBudgets[name] = b
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Agents)) {
		a := c.Agents[name]
		if err := c.knownBudget("agents."+name+".budget", a.Budget); err != nil {
			return err
		}
		for i, m := range a.Models {
			target, _ := sys.models.Target(m)
			of := a.Budget
			if of == "" {
				of = sys.modelBudgets[m]
			}
			if of != "" && !target.Price.Known() {
				return c.bad(fmt.Sprintf("agents.%s.models[%d]", name, i),
					"model %q has no price, and its calls are paid from budget %q; accepted: under models.%s price: {input: 2.5, output: 10} or price: {free: true}", m, of, m)
			}
		}
	}
	return nil
}

func (c *config) buildBudget(name string, from budgetConfig) (agent.Budget, error) {
	path := "budgets." + name
	b := agent.Budget{Name: name}
	per := slices.Index(windows(), from.Per)
	if from.Per == "" {
		per = int(agent.Total)
	}
	if per < 0 {
		return b, c.bad(path+".per", "%q; accepted: %s", from.Per, strings.Join(windows(), ", "))
	}
	b.Per = agent.Per(per)
	for _, f := range []struct {
		key   string
		value float64
		into  *daruma.Money
	}{{"amount", from.Amount, &b.Amount}, {"block", valueOr(from.Block, -1), &b.Block}} {
		if f.key == "block" && from.Block == nil {
			continue
		}
		if !(f.value > 0 && f.value < 9e9) {
			return b, c.bad(path+"."+f.key, "%v; accepted: US dollars, more than 0", f.value)
		}
		*f.into = daruma.Money(math.Round(f.value * float64(daruma.Dollar)))
	}
	if v := from.Soft; v != nil {
		if !(*v > 0 && *v <= 1) {
			return b, c.bad(path+".soft", "%v; accepted: more than 0, up to 1", *v)
		}
		b.Soft = *v
	}
	if err := b.Check(); err != nil {
		return b, c.bad(path, "%v", unwrapped(err))
	}
	return b, nil
}

func valueOr(v *float64, none float64) float64 {
	if v == nil {
		return none
	}
	return *v
}

func (c *config) knownBudget(path, name string) error {
	if _, ok := c.Budgets[name]; name != "" && !ok {
		return c.bad(path, "budget %q is not declared; declared: %s", name, names(c.Budgets))
	}
	return nil
}

// explainBudgets adds the budgets, and what is paid from them.
func (c *config) explainBudgets(sys *system, add func(path, value string)) {
	for i := range sys.budgets {
		b := &sys.budgets[i]
		path := "budgets." + b.Name
		add(path+".amount", b.Amount.String())
		add(path+".per", windows()[b.Per])
		soft := b.Soft
		if soft == 0 {
			soft = 0.8
		}
		add(path+".soft", fmt.Sprint(soft))
		add(path+".block", b.Drawn().String())
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		if m := c.Models[name]; m.Budget != "" {
			add("models."+name+".budget", m.Budget)
		}
	}
	for _, a := range sys.agents {
		if a.Budget == "" {
			continue
		}
		add("agents."+a.Name+".budget", a.Budget)
		for _, m := range a.Models {
			if target, _ := sys.models.Target(m); target.MaxOutput == 0 && !target.Price.Free {
				add("models."+m+".max_output", fmt.Sprintf("not set: %d tokens are reserved for an answer", agent.AssumedOutput))
			}
		}
	}
}
