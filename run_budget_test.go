package daruma_test

import (
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// met reads "met [budget=NAME] [soft] need=0.05 spent=9.98 limit=10 [until=1h]":
// the shell could not reserve what the next model call may cost.
func (s *script) met(words []string) {
	c, ok := find(s.commands, daruma.OpCallModel, -1)
	s.must(ok, "no model is being asked")
	p := daruma.BudgetMet{Command: c.ID, Target: c.Target}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		money := func(into *daruma.Money) {
			m, err := daruma.ParseMoney(value)
			noError(s.t, err)
			*into = m
		}
		switch name {
		case "budget":
			p.Budget = value
		case "soft":
			p.Soft = true
		case "need":
			money(&p.Need)
		case "spent":
			money(&p.Spent)
		case "limit":
			money(&p.Limit)
		case "until":
			d, err := time.ParseDuration(value)
			noError(s.t, err)
			p.Until = epoch.Add(d)
		default:
			s.t.Fatalf("met: %q", w)
		}
	}
	s.commit(daruma.NewEvent(daruma.KindBudget, daruma.ActorShell, p))
}

var budgets = []string{"", "team", "house"}

// met says that there is no money for a call, or little.
func (w *world) met(c daruma.Command) {
	p := daruma.BudgetMet{Command: c.ID, Target: c.Target, Budget: budgets[w.one(len(budgets))], Soft: w.one(2) == 0,
		Need: daruma.Dollar, Spent: 9 * daruma.Dollar, Limit: 9 * daruma.Dollar}
	if w.one(2) == 0 && p.Budget != "" {
		p.Until = w.now.Add(time.Hour)
	}
	w.commit(daruma.NewEvent(daruma.KindBudget, daruma.ActorShell, p))
	w.hits["budget met"]++
}
