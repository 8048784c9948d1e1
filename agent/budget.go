package agent

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model/route"
)

// Budget bounds what runs spend on models together. Each tenant has the amount
// for itself.
//
// What a call may cost at most is reserved before it: its input, at the most
// tokens it can be, and the longest answer allowed, at the price of its target.
// What it did cost is counted in the Tx that carries its answer. So a budget is
// never passed by a call whose longest answer is bounded, by
// [Agent.MaxOutput] or [route.Target.MaxOutput]; without a bound 8,192 tokens
// are reserved. Of an answer without its usage the reservation counts, of a
// call that failed before any answer nothing.
//
// Near the end a call waits for those under way, which may cost less than was
// reserved for them. Then its run is parked until the budget is raised or
// begins anew.
type Budget struct {
	// Name is how agents, models and the journal call it: letters, digits, '.',
	// '_' and '-', at most 100. Needed, and unique.
	Name string
	// Amount is what may be spent. Needed.
	Amount daruma.Money
	// Per says when the amount begins anew. The zero Per is [Total].
	Per Per
	// Soft is the share of the amount at which agents are told to wrap up. Zero
	// means 0.8; 1 switches it off, and so does [daruma.Limits.Soft] for a run.
	Soft float64
	// Block is how much is drawn from the budget at once, ahead of need, so that
	// calls do not wait for the disk. Of the budget it counts as spent in the
	// soft edge and, after a crash, until the next start. Zero means a 32nd of
	// the amount.
	Block daruma.Money
}

// Per says when a budget begins anew. The zero Per is [Total].
type Per uint8

const (
	Total    Per = iota // never
	PerDay              // at midnight UTC
	PerMonth            // on the first, at midnight UTC
)

// Row returns the name under which the journal keeps what is spent of the
// budget at a time, such as "team@2026-01", and when that ends, zero for never.
func (b *Budget) Row(at time.Time) (row string, until time.Time) {
	at = at.UTC()
	switch b.Per {
	case PerDay:
		return b.Name + at.Format("@2006-01-02"), time.Date(at.Year(), at.Month(), at.Day()+1, 0, 0, 0, 0, time.UTC)
	case PerMonth:
		return b.Name + at.Format("@2006-01"), time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return b.Name, time.Time{}
}

// nameOfRow is the name of the budget of a row.
func nameOfRow(row string) string {
	name, _, _ := strings.Cut(row, "@")
	return name
}

// Check refuses a budget that cannot be, with a *Failure of KindInvalid that
// names the field.
func (b *Budget) Check() error {
	bad := func(format string, args ...any) error {
		return daruma.Fail("budget "+b.Name, daruma.KindInvalid, format, args...)
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	switch {
	case b.Name == "" || len(b.Name) > 100 || strings.Trim(b.Name, letters) != "":
		return bad("name is %q; accepted: 1 to 100 letters, digits, '.', '_' and '-'", b.Name)
	case b.Amount <= 0:
		return bad("amount is %s; accepted: more than 0", b.Amount)
	case b.Per > PerMonth:
		return bad("per is %d; accepted: total, day, month", b.Per)
	case !(b.Soft >= 0 && b.Soft <= 1):
		return bad("soft is %v; accepted: more than 0, up to 1", b.Soft)
	case b.Block < 0 || b.Block > b.Amount:
		return bad("block is %s; accepted: 0 for the default, or up to the amount", b.Block)
	}
	return nil
}

// softAmount is where the soft edge lies.
func (b *Budget) softAmount() daruma.Money {
	soft := b.Soft
	if soft == 0 {
		soft = 0.8
	}
	if soft == 1 {
		return b.Amount
	}
	return daruma.Money(float64(b.Amount) * soft)
}

// Drawn returns how much is drawn at once: Block, or what that is by default.
func (b *Budget) Drawn() daruma.Money {
	if b.Block > 0 {
		return b.Block
	}
	return max(1, b.Amount/32)
}

// term is what calls of a target cost, and from what they are paid.
type term struct {
	price   daruma.Price
	output  int64     // tokens of the longest answer
	budgets []*Budget // none: nothing is reserved from
}

// AssumedOutput is how long, in tokens, an answer is taken to be at most where nothing
// bounds it.
const AssumedOutput = 8192

// terms gives every profile the terms of every target.
func terms(o *Options, agents map[string]*profile) error {
	const op = "agent.New"
	budgets := map[string]*Budget{}
	for i := range o.Budgets {
		b := o.Budgets[i]
		if err := b.Check(); err != nil {
			return &daruma.Failure{Op: op, Kind: daruma.KindInvalid, Err: err}
		}
		if budgets[b.Name] != nil {
			return daruma.Fail(op, daruma.KindInvalid, "budget %s is given twice; accepted: each name once", b.Name)
		}
		budgets[b.Name] = &b
	}
	if _, ok := o.Journal.(daruma.Ledger); len(budgets) > 0 && !ok {
		return daruma.Fail(op, daruma.KindInvalid, "budgets: the journal does not show what was spent; accepted: one that is a daruma.Ledger")
	}
	find := func(whose, name string) (*Budget, error) {
		if name == "" || budgets[name] != nil {
			return budgets[name], nil
		}
		return nil, daruma.Fail(op, daruma.KindInvalid, "%s: budget %q is not given; accepted: %s", whose, name, strings.Join(slices.Sorted(maps.Keys(budgets)), ", "))
	}
	for target := range o.ModelBudgets {
		if !o.Models.Has(target) {
			return daruma.Fail(op, daruma.KindInvalid, "model budgets: there is no target %q; accepted: %s", target, strings.Join(o.Models.Names(), ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(agents)) {
		p := agents[name]
		own, err := find("agent "+name, p.Budget)
		if err != nil {
			return err
		}
		p.terms = make(map[string]*term)
		for _, target := range o.Models.Names() {
			of, err := find("model "+target, o.ModelBudgets[target])
			if err != nil {
				return err
			}
			lane, _ := o.Models.Target(target)
			t := newTerm(lane, p.MaxOutput, own, of)
			if len(t.budgets) > 0 && !t.price.Known() && slices.Contains(p.models, target) {
				return daruma.Fail(op, daruma.KindInvalid, "agent %s: model %s has no price, and is paid from budget %s; accepted: a price, or one that is free", name, target, t.budgets[0].Name)
			}
			p.terms[target] = t
		}
	}
	return nil
}

func newTerm(target route.Target, output int64, budgets ...*Budget) *term {
	t := &term{price: target.Price, output: output}
	if t.output == 0 || target.MaxOutput > 0 && target.MaxOutput < t.output {
		t.output = target.MaxOutput
	}
	if t.output == 0 {
		t.output = AssumedOutput
	}
	for _, b := range budgets {
		if b != nil && !slices.Contains(t.budgets, b) {
			t.budgets = append(t.budgets, b)
		}
	}
	return t
}
