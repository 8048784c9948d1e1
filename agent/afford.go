package agent

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

// soon is how long before the end of a window the next one's first block is drawn.
const soon = time.Minute

// bound reports whether money bounds the run's model calls.
func (m *machine) bound(r *live) bool {
	return r.agent != nil && (m.purse != nil || r.run.Started().Limits.Money > 0)
}

// afford reserves what a model call may cost. Where that cannot be, it returns
// the event that says so, or nil and leaves the call without its hold: then it
// is not made before somebody wakes the run.
func (m *machine) afford(r *live, c *daruma.Command) *daruma.BudgetMet {
	if r.hold != nil && r.hold.cmd == c.ID || m.haunted(r, c) || slices.ContainsFunc(r.tasks, func(t *task) bool { return t.cmd.ID == c.ID && !t.cancelled }) {
		return nil
	}
	m.free(r.hold)
	h := &hold{cmd: c.ID}
	r.hold = nil
	h.need, h.size = r.most(c.Target)
	met := &daruma.BudgetMet{Command: c.ID, Target: c.Target, Need: h.need}
	if limit := r.run.Started().Limits.Money; limit > 0 && r.run.Cost().Plus(h.need) > limit {
		met.Spent, met.Limit = r.run.Cost(), limit
		return met
	}
	t := r.agent.terms[c.Target]
	if m.purse == nil || h.need == 0 || t == nil || len(t.budgets) == 0 {
		r.hold = h
		return nil
	}
	r.needs = h.need
	if !m.purse.dead.done {
		m.idle = append(m.idle, r)
		return nil
	}
	for _, b := range t.budgets {
		a := m.purse.account(r.tenant, b, m.now)
		h.from = append(h.from, a)
		if !a.until.IsZero() && a.until.Sub(m.now) < soon {
			m.purse.account(r.tenant, b, a.until)
		}
		if a.soft && !r.warned[a.key.row] {
			if r.warned == nil {
				r.warned = map[string]bool{}
			}
			r.warned[a.key.row] = true
			met.Soft, met.Need = true, 0
			met.Budget, met.Spent, met.Limit = b.Name, b.softAmount(), b.Amount
			return met
		}
	}
	a := reserve(h.from, h.need)
	switch {
	case a == nil:
		r.hold = h
		return nil
	case a.spent(h.need):
		met.Budget, met.Limit, met.Until = a.budget.Name, a.budget.Amount, a.until
		met.Spent = a.over.Spent.Plus(-max(0, a.grant.Room()))
		return met
	}
	a.waiters = append(a.waiters, r)
	return nil
}

// free gives back what was reserved for a call that was not made.
func (m *machine) free(h *hold) { m.settle(h, 0) }

// settle counts what a call has cost, where no Tx of its run says so.
func (m *machine) settle(h *hold, cost daruma.Money) {
	if rows := h.settle(cost); len(rows) > 0 {
		m.unsaid(h.from[0].key.tenant, rows)
	}
	if h != nil {
		m.wake(h.from)
	}
}

// wake has those look again who wait for money.
func (m *machine) wake(accounts []*account) {
	for _, a := range accounts {
		waiters := a.waiters
		a.waiters = nil
		for _, r := range waiters {
			m.touch(r)
		}
	}
}

// unsaid keeps the settlements of a Tx that will not be: the money is spent.
func (m *machine) unsaid(tenant daruma.Tenant, rows []daruma.Spend) {
	for _, row := range rows {
		m.purse.lost = append(m.purse.lost, lost{tenant, row})
	}
}

// letGo settles what is reserved for a run that goes out of memory: a result
// that no Tx of it will carry, and a call not handed out.
func (m *machine) letGo(r *live) {
	m.free(r.hold)
	r.hold = nil
	for _, d := range r.results {
		cost, _ := d.paid()
		m.settle(d.task.hold, cost)
	}
	if r.again != nil {
		m.unsaid(r.tenant, r.again.tx.Spends)
	}
}

// paid is what a call has cost and used. What nobody knows counts as what was
// reserved.
func (d *done) paid() (daruma.Money, daruma.Usage) {
	h := d.task.hold
	switch {
	case h == nil:
		return 0, daruma.Usage{}
	case d.dropped:
		return h.need, daruma.Usage{}
	case len(d.events) == 0:
		return 0, daruma.Usage{}
	}
	var paid struct {
		Cost     daruma.Money `json:"cost"`
		Usage    daruma.Usage `json:"usage"`
		Unpriced bool         `json:"unpriced"`
	}
	if err := json.Unmarshal(d.events[0].Payload, &paid); err != nil || paid.Unpriced && paid.Cost == 0 {
		return h.need, paid.Usage
	}
	return paid.Cost, paid.Usage
}
