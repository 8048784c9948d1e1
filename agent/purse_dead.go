package agent

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/daruma-run/daruma"
)

// dead is what nodes held that died. It counts as spent until this node has
// claimed their runs: only then it is known which of them were in a model call,
// that may have been made, and is made again. What that call may have cost is
// settled on the dead node's grant, and the rest is given back, in one Tx.
// Until then nothing is drawn, so that a second crash finds everything as it was.
type dead struct {
	grants  []deadGrant
	calls   map[accountKey]daruma.Money // of lost calls, by the names of budgets
	loaded  bool                        // the grants are known
	claimed bool                        // all runs that could be were claimed
	unknown bool                        // a run may have been in a call whose price is not known here
	flights int                         // Txs that give back, on their way
	done    bool                        // nothing is left to do
}

type deadGrant struct {
	tenant  daruma.Tenant
	row, id string
}

// find notes the open grants of a ledger. This node has none yet, and no other
// is alive: a journal has one owner.
func (d *dead) find(budgets []daruma.BudgetInfo) {
	d.loaded = true
	for _, b := range budgets {
		for _, g := range b.Grants {
			d.grants = append(d.grants, deadGrant{b.Tenant, b.Name, g.ID})
		}
	}
}

// call notes a call that was in flight when its node died.
func (d *dead) call(tenant daruma.Tenant, t *term, cost daruma.Money) {
	if d.calls == nil {
		d.calls = map[accountKey]daruma.Money{}
	}
	for _, b := range t.budgets {
		key := accountKey{tenant, b.Name}
		d.calls[key] = d.calls[key].Plus(cost)
	}
}

// giveBack returns the Txs that close the grants of dead nodes, by tenant.
func (d *dead) giveBack(node string) []daruma.Tx {
	var txs []daruma.Tx
	calls := maps.Clone(d.calls) // a Tx may have to be built again
	for _, g := range d.grants {
		i := 0
		for i < len(txs) && txs[i].Tenant != g.tenant {
			i++
		}
		if i == len(txs) {
			txs = append(txs, daruma.Tx{Tenant: g.tenant})
		}
		row := daruma.Spend{Budget: g.row, Grant: g.id, Node: node}
		key := accountKey{g.tenant, nameOfRow(g.row)}
		if cost := calls[key]; cost > 0 {
			row.Op, row.Amount = daruma.SpendSettle, cost
			txs[i].Spends = append(txs[i].Spends, row)
			delete(calls, key)
		}
		row.Op, row.Amount = daruma.SpendRelease, 0
		txs[i].Spends = append(txs[i].Spends, row)
	}
	return txs
}

// takeLedger learns what dead nodes have held.
func (m *machine) takeLedger(in ledger) {
	if in.err != nil {
		m.out.down = in.err
		return
	}
	m.purse.dead.find(in.budgets)
}

// lostCall notes the model call that a run was in when its node died.
func (m *machine) lostCall(t *taken, r *live) {
	if m.purse == nil || m.purse.dead.done || len(t.fresh) == 0 || t.run == nil {
		return
	}
	var claim daruma.Claim
	if e := t.fresh[len(t.fresh)-1]; e.Kind != daruma.KindClaimed || json.Unmarshal(e.Payload, &claim) != nil || claim.Clean {
		return
	}
	defer func() { _ = recover() }() // a run that cannot decide is quarantined when it is advanced
	_, commands := t.run.Next()
	for i := range commands {
		switch c := &commands[i]; {
		case c.Op != daruma.OpCallModel:
		case r.agent == nil || r.agent.terms[c.Target] == nil:
			m.purse.dead.unknown = true
		default:
			cost, _ := r.most(c.Target)
			m.purse.dead.call(r.tenant, r.agent.terms[c.Target], cost)
		}
	}
}

// giveBack gives back what dead nodes held, once that is known.
func (m *machine) giveBack() {
	d := &m.purse.dead
	if d.done || !d.loaded || !d.claimed || d.flights > 0 || m.draining || m.now.Before(m.purse.again) {
		return
	}
	if d.unknown && len(d.grants) > 0 {
		m.note("", "what a dead process held of budgets counts as spent: it was in a call of an agent that is not known here", nil)
		d.grants = nil
	}
	for _, tx := range d.giveBack(m.purse.node) {
		d.flights++
		m.sendSpend(tx, spending{op: daruma.SpendRelease, dead: true})
	}
	if d.flights == 0 {
		m.recovered()
	}
}

// recovered lets calls be made.
func (m *machine) recovered() {
	m.purse.dead = dead{done: true}
	for _, r := range m.idle {
		m.touch(r)
	}
	m.idle = nil
	for _, b := range m.purse.budgets {
		m.purse.account("", b, m.now) // its first block is drawn before somebody needs it
	}
}

func (m *machine) takeRecover(f *flight, err error) {
	d := &m.purse.dead
	d.flights--
	switch daruma.KindOf(err) {
	case daruma.KindUnavailable, daruma.KindTimeout, daruma.KindCancelled, daruma.KindExhausted:
		m.note("", "what a dead process held could not be given back: it is tried again", err)
		m.purse.again = m.now.Add(pause)
		m.alarm = earlier(m.alarm, m.purse.again)
		return
	}
	if err != nil {
		m.note("", "what a dead process held counts as spent", err)
	}
	d.grants = slices.DeleteFunc(d.grants, func(g deadGrant) bool { return g.tenant == f.tx.Tenant })
	if d.flights == 0 && len(d.grants) == 0 {
		m.recovered()
	}
}
