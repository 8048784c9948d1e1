package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

type budgetsCommand struct {
	List  listBudgetsCommand `cmd:"" default:"withargs" help:"Show what is spent, held and left of every budget, now."`
	Raise raiseBudgetCommand `cmd:"" help:"Let a budget be passed, in its window of now; runs parked at it go on."`
}

type listBudgetsCommand struct {
	All bool `help:"Former windows as well, and budgets that are not in the configuration any more."`
}

// budgetRow is one line of the list.
type budgetRow struct {
	Budget string        `json:"budget"`
	Tenant daruma.Tenant `json:"tenant,omitempty"`
	Window string        `json:"window,omitempty"` // empty: the budget is for ever
	Spent  string        `json:"spent"`
	Held   string        `json:"held"`             // by the process that performs runs, or by one that died
	Left   string        `json:"left,omitempty"`   // empty: not in the configuration
	Amount string        `json:"amount,omitempty"` // what it was raised by included
	Raised string        `json:"raised,omitempty"`
}

// Run performs daruma budgets.
func (cmd *listBudgetsCommand) Run(ctx context.Context, p *program) error {
	c, err := p.configuration()
	if err != nil {
		return err
	}
	sys, err := c.build()
	if err != nil {
		return err
	}
	var infos []daruma.BudgetInfo
	j, err := p.look(ctx)
	switch {
	case daruma.KindOf(err) == daruma.KindNotFound: // no file, nothing spent
	case err != nil:
		return err
	default:
		defer j.Close()
		if infos, err = j.Budgets(ctx); err != nil {
			return err
		}
	}
	rows := budgetRows(sys.budgets, infos, time.Now(), cmd.All)
	if p.Output == "json" {
		return p.writeJSON(rows)
	}
	if len(rows) == 0 {
		fmt.Fprintln(p.out, "no budgets; budgets: {team: {amount: 20, per: day}} declares one, and budget: team under an agent or a model uses it")
		return nil
	}
	for _, r := range rows {
		name := r.Budget
		if r.Tenant != "" {
			name += " of " + string(r.Tenant)
		}
		line := fmt.Sprintf("%-20s %-10s %s spent, %s held", printable(name), r.Window, r.Spent, r.Held)
		if r.Left != "" {
			line += fmt.Sprintf(", %s left of %s", r.Left, r.Amount)
		}
		if r.Raised != "" {
			line += ", raised by " + r.Raised
		}
		fmt.Fprintln(p.out, line)
	}
	return nil
}

// budgetRows puts what the journal knows beside what is configured.
func budgetRows(budgets []agent.Budget, infos []daruma.BudgetInfo, now time.Time, all bool) []budgetRow {
	rows := []budgetRow{}
	add := func(b *agent.Budget, info daruma.BudgetInfo, current bool) {
		name, window, _ := strings.Cut(info.Name, "@")
		row := budgetRow{Budget: name, Tenant: info.Tenant, Window: window, Spent: info.Spent.String(), Held: info.Held.String()}
		if info.Raised > 0 {
			row.Raised = info.Raised.String()
		}
		if b != nil && current {
			amount := b.Amount.Plus(info.Raised)
			row.Amount, row.Left = amount.String(), max(0, amount-info.Spent-info.Held).String()
		}
		rows = append(rows, row)
	}
	for i := range budgets {
		current, _ := budgets[i].Row(now)
		if !slices.ContainsFunc(infos, func(info daruma.BudgetInfo) bool { return info.Name == current && info.Tenant == "" }) {
			infos = append(infos, daruma.BudgetInfo{Name: current})
		}
	}
	for _, info := range infos {
		i := slices.IndexFunc(budgets, func(b agent.Budget) bool {
			current, _ := b.Row(now)
			return current == info.Name
		})
		switch {
		case i >= 0:
			add(&budgets[i], info, true)
		case all || info.Held > 0:
			add(nil, info, false)
		}
	}
	slices.SortStableFunc(rows, func(a, b budgetRow) int {
		return strings.Compare(a.Budget+"\x00"+string(a.Tenant)+"\x00"+a.Window, b.Budget+"\x00"+string(b.Tenant)+"\x00"+b.Window)
	})
	return rows
}

type raiseBudgetCommand struct {
	Name   string `arg:"" help:"The budget."`
	Amount string `arg:"" help:"By how much, in US dollars."`
	Tenant string `placeholder:"NAME" help:"Whose; each tenant has the budget for itself."`
	Key    string `placeholder:"TEXT" help:"The same key again raises nothing; default the time."`
}

// Run performs daruma budgets raise.
func (cmd *raiseBudgetCommand) Run(ctx context.Context, p *program) error {
	c, err := p.configuration()
	if err != nil {
		return err
	}
	from, ok := c.Budgets[cmd.Name]
	if !ok {
		return daruma.Fail("config", daruma.KindInvalid, "budget %q is not declared; declared: %s", cmd.Name, names(c.Budgets))
	}
	b, err := c.buildBudget(cmd.Name, from)
	if err != nil {
		return err
	}
	amount, err := daruma.ParseMoney(cmd.Amount)
	if err != nil {
		return err
	}
	row, _ := b.Row(time.Now())
	runs := 0
	err = p.post(ctx, fmt.Sprintf("budget %s raised by %s", row, amount), func(j access) error {
		runs, err = agent.RaiseBudget(ctx, j, daruma.Tenant(cmd.Tenant), b.Name, row, cmd.Key, p.actor(), amount)
		return err
	})
	if err == nil && p.Output != "json" && runs > 0 {
		fmt.Fprintf(p.out, "told: %s\n", plural(runs, "parked run"))
	}
	return err
}
