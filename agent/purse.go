package agent

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

// purse is the money that this node holds of shared budgets. It is part of the
// machine: no clock, no I/O.
//
// Each budget, window and tenant has an account with a grant, of which calls
// reserve in memory. The next block is drawn before the last is used up, with
// the commit of some run, so that a call waits for a draw only where nothing
// could be drawn ahead: at the first call of a tenant or window, and near the
// edges of the budget.
type purse struct {
	node     string
	prefix   string // of the ids of grants
	last     int    // number in the last of them
	accounts map[accountKey]*account
	order    []*account
	lost     []lost // settlements that no Tx of a run carries
	dead     dead
	again    time.Time // not to give back what is dead before
	budgets  []*Budget // those that calls are paid from
	closed   bool      // the shell is stopping, and everything was given back
}

// lost is a settlement whose Tx was refused, or that has none.
type lost struct {
	tenant daruma.Tenant
	row    daruma.Spend
}

type accountKey struct {
	tenant daruma.Tenant
	row    string
}

// account is what the node holds of one budget, in one window, for one tenant.
type account struct {
	budget *Budget
	key    accountKey
	until  time.Time // end of the window; zero: never
	grant  daruma.Grant

	drawn   bool              // the grant is in the journal
	drawing bool              // a draw is on its way
	retry   time.Time         // not to be drawn before
	ahead   bool              // blocks are drawn ahead of need
	soft    bool              // the soft edge was met
	softAt  time.Time         // when
	grab    daruma.Money      // what is left up to an edge: the next draw takes it
	over    *daruma.Overdrawn // the hard edge was met, as long as somebody waits
	waiters []*live
}

// hold is what was reserved for one call.
type hold struct {
	cmd  daruma.CommandID
	need daruma.Money
	size int64
	from []*account
	over bool // settled
}

// spending is a movement of money on its way.
type spending struct {
	op      daruma.SpendOp
	account *account
	amount  daruma.Money
	dead    bool // gives back what dead nodes held
}

// newPurse returns the purse for the budgets of the agents, nil where there are
// none.
func newPurse(node, id string, agents map[string]*profile) *purse {
	p := &purse{node: node, prefix: cut(node, 100) + "/" + id, accounts: map[accountKey]*account{}}
	for _, name := range names(agents) {
		a := agents[name]
		for _, target := range a.models {
			for _, b := range a.terms[target].budgets {
				if !slices.Contains(p.budgets, b) {
					p.budgets = append(p.budgets, b)
				}
			}
		}
	}
	if len(p.budgets) == 0 {
		return nil
	}
	return p
}

// account returns the account of a budget at a time.
func (p *purse) account(tenant daruma.Tenant, b *Budget, at time.Time) *account {
	row, until := b.Row(at)
	key := accountKey{tenant, row}
	a := p.accounts[key]
	if a == nil {
		a = &account{budget: b, key: key, until: until, ahead: true}
		a.grant = p.grant(a)
		p.accounts[key], p.order = a, append(p.order, a)
	}
	return a
}

func (p *purse) grant(a *account) daruma.Grant {
	p.last++
	return daruma.Grant{ID: fmt.Sprintf("%s.%d", p.prefix, p.last), Budget: a.key.row, Node: p.node, Limit: a.budget.Amount, Size: a.budget.Drawn()}
}

// reserve takes the amount from every account, or says which one has too
// little; then nothing is taken.
func reserve(accounts []*account, amount daruma.Money) (short *account) {
	for i, a := range accounts {
		if !a.grant.Reserve(amount) {
			for _, b := range accounts[:i] {
				b.grant.Settle(amount, 0)
			}
			return a
		}
	}
	return nil
}

// spent reports whether the amount cannot be had: the budget is at its end, and
// no call under way can give anything back.
func (a *account) spent(amount daruma.Money) bool {
	return a.over != nil && !a.drawing && a.grant.Reserved() == 0 && amount-a.grant.Room() > a.over.Left()
}

// want is how much the account should have room for without drawing: a block,
// or as much again as is reserved.
func (a *account) want() daruma.Money { return max(a.budget.Drawn(), a.grant.Reserved()) }

// draw returns the movement that makes room for the amount, nil where that is
// not the time for it.
func (a *account) draw(now time.Time, amount daruma.Money) *daruma.Spend {
	if a.drawing || now.Before(a.retry) {
		return nil
	}
	if a.over != nil {
		if amount-a.grant.Room() > a.over.Left() {
			return nil
		}
		a.grab, a.over = a.over.Left(), nil
	}
	s := a.grant.Draw(amount)
	if s.Amount == 0 {
		return nil
	}
	if a.soft && now.Sub(a.softAt) >= time.Minute {
		a.soft = false // it may have been raised
	}
	if !a.soft {
		s.Limit = a.budget.softAmount()
	}
	if a.grab > 0 {
		s.Amount = a.grab
	}
	a.drawing = true
	return &s
}

// short returns the least that anybody waits for, beyond what there is room for.
func (a *account) short() daruma.Money {
	least := daruma.Money(-1)
	for _, r := range a.waiters {
		if n := r.needs - a.grant.Room(); !r.gone && (least < 0 || n < least) {
			least = n
		}
	}
	return least
}

// drew takes the verdict on a draw.
func (a *account) drew(now time.Time, amount daruma.Money, err error) {
	a.drawing, a.grab = false, 0
	if err == nil {
		a.drawn, a.ahead, a.over = true, true, nil
		a.grant.Drew(amount)
		return
	}
	over, ok := errors.AsType[*daruma.Overdrawn](err)
	if !ok {
		a.retry = now.Add(pause) // whether it was drawn is not known: then it counts as spent until the release
		return
	}
	a.ahead = false
	switch short := a.short(); {
	case short < 0: // it was drawn ahead, and nobody needs it now
	case short <= over.Left():
		a.grab = over.Left()
	case !a.soft && a.budget.softAmount() < a.budget.Amount:
		a.soft, a.softAt = true, now
	default:
		a.over = over
	}
}

// settle counts what a call has cost and returns the movements that say so.
func (h *hold) settle(cost daruma.Money) []daruma.Spend {
	if h == nil || h.over {
		return nil
	}
	h.over = true
	var rows []daruma.Spend
	for _, a := range h.from {
		a.grant.Settle(h.need, cost)
		rows = append(rows, a.grant.Settled()...)
	}
	return rows
}

// ended reports whether the window of the account is over and nothing of it is
// under way.
func (a *account) ended(now time.Time) bool {
	return !a.until.IsZero() && !a.until.After(now) && a.grant.Reserved() == 0 && !a.drawing && len(a.waiters) == 0
}

// remove forgets an account.
func (p *purse) remove(a *account) {
	delete(p.accounts, a.key)
	p.order = slices.DeleteFunc(p.order, func(b *account) bool { return a == b })
}
