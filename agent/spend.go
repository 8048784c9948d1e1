package agent

import (
	"errors"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

// spend sends off movements of money: those somebody waits for, and others
// with the commits of runs.
func (m *machine) spend() {
	p := m.purse
	if !p.dead.done {
		return
	}
	rides := len(m.out.commit) > 0
	for _, a := range slices.Clone(p.order) {
		if len(a.waiters) == 0 {
			a.over = nil
		}
		needed := daruma.Money(0)
		if short := a.short(); short > 0 {
			needed = short + a.grant.Room()
		}
		switch want := a.want(); {
		case a.ended(m.now):
			m.release(a)
		case m.draining && needed == 0:
		case needed > 0:
			m.drawFor(a, needed)
		case a.ahead && a.grant.Room() < want/2 && (rides || !a.drawn):
			m.drawFor(a, want)
		}
	}
	if len(p.lost) > 0 && (rides || m.draining) {
		m.sayLost()
	}
	if m.draining && !m.claiming && !p.closed && m.running == 0 && m.flights == 0 && len(m.runs) == 0 {
		p.closed = true
		for _, a := range slices.Clone(p.order) {
			m.release(a)
		}
	}
}

func (m *machine) drawFor(a *account, amount daruma.Money) {
	if at := a.retry; m.now.Before(at) {
		m.alarm = earlier(m.alarm, at)
	}
	if s := a.draw(m.now, amount); s != nil {
		m.sendSpend(daruma.Tx{Tenant: a.key.tenant, Spends: []daruma.Spend{*s}}, spending{op: daruma.SpendDraw, account: a, amount: s.Amount})
	}
}

// release ends an account.
func (m *machine) release(a *account) {
	m.purse.remove(a)
	if a.drawn {
		m.sendSpend(daruma.Tx{Tenant: a.key.tenant, Spends: a.grant.Release()}, spending{op: daruma.SpendRelease, account: a})
	}
}

// sayLost sends the settlements that no Tx of a run carries.
func (m *machine) sayLost() {
	var txs []daruma.Tx
	for _, l := range m.purse.lost {
		at := slices.IndexFunc(txs, func(tx daruma.Tx) bool { return tx.Tenant == l.tenant })
		if at < 0 {
			at, txs = len(txs), append(txs, daruma.Tx{Tenant: l.tenant})
		}
		txs[at].Spends = append(txs[at].Spends, l.row)
	}
	m.purse.lost = nil
	for _, tx := range txs {
		m.sendSpend(tx, spending{op: daruma.SpendSettle})
	}
}

func (m *machine) sendSpend(tx daruma.Tx, s spending) {
	m.flights++
	m.out.commit = append(m.out.commit, &flight{tx: tx, spend: &s})
}

// takeSpend takes the verdict on a movement of money.
func (m *machine) takeSpend(f *flight, err error) {
	s := f.spend
	if err != nil && daruma.KindOf(err) == daruma.KindDown {
		m.out.down = err
		return
	}
	switch {
	case s.dead:
		m.takeRecover(f, err)
	case s.op == daruma.SpendDraw:
		s.account.drew(m.now, s.amount, err)
		if _, over := errors.AsType[*daruma.Overdrawn](err); err != nil && !over {
			m.note("", "money could not be drawn from budget "+s.account.key.row+": it is tried again", err)
		}
		m.wake([]*account{s.account})
	case err != nil && m.draining:
		m.note("", "a budget could not be settled: what is left counts as spent until the next start", err)
	case err != nil && s.op == daruma.SpendSettle:
		m.unsaid(f.tx.Tenant, f.tx.Spends)
	case err != nil:
		m.note("", "a grant could not be released: it counts as spent until the next start", err)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
