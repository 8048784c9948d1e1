package darumatest

import (
	"slices"

	"github.com/daruma-run/daruma"
)

// approvals checks those opened and closed. An id is never used again.
func (m *Memory) approvals(tx *daruma.Tx, _ *rows) error {
	for i, a := range tx.Approvals {
		_, used := m.store.approvals[named{tx.Tenant, a.ID}]
		if used || slices.ContainsFunc(tx.Approvals[:i], func(b daruma.Approval) bool { return b.ID == a.ID }) {
			return daruma.Fail(opCommit, daruma.KindExists, "approval %s exists already", a.ID)
		}
	}
	for _, id := range tx.Closed {
		run, used := m.store.approvals[named{tx.Tenant, id}]
		opened := slices.ContainsFunc(tx.Approvals, func(a daruma.Approval) bool { return a.ID == id })
		if !opened && (!used || run != tx.Run) {
			return daruma.Fail(opCommit, daruma.KindNotFound, "run %q has no approval %s", tx.Run, id)
		}
	}
	return nil
}

// folded checks that the posts folded in were waiting.
func (m *Memory) folded(tx *daruma.Tx, _ *rows) error {
	for _, id := range tx.Folded {
		switch over, known := m.store.posts[postID{tx.Tenant, tx.Run, id}]; {
		case !known:
			return daruma.Fail(opCommit, daruma.KindNotFound, "run %s has no post %s %s", tx.Run, id.Topic, id.Key)
		case over:
			return daruma.Fail(opCommit, daruma.KindConflict, "post %s %s of run %s is folded in already", id.Topic, id.Key, tx.Run)
		}
	}
	return nil
}

// spends checks and adds up the moves of money. What a budget has spent is
// what its open grants drew, or really cost where that is more, and what its
// closed grants cost.
func (m *Memory) spends(tx *daruma.Tx, rows *rows) error {
	rows.spent, rows.grants = map[named]daruma.Money{}, map[named]grant{}
	for _, s := range tx.Spends {
		budget, id := named{tx.Tenant, s.Budget}, named{tx.Tenant, s.Grant}
		was, known := rows.grants[id]
		if !known {
			was, known = m.store.grants[id]
		}
		spent, changed := rows.spent[budget]
		if !changed {
			spent = m.store.spent[budget]
		}
		is := was
		is.budget = s.Budget
		if !known {
			is.node = s.Node
		}
		switch {
		case s.Op == daruma.SpendRaise && known:
			return daruma.Fail(opCommit, daruma.KindExists, "raise %s of budget %q is there already", s.Grant, s.Budget)
		case s.Op == daruma.SpendRaise:
			is.settled, is.closed = -s.Amount, true
		case !known && s.Op != daruma.SpendDraw:
			return daruma.Fail(opCommit, daruma.KindNotFound, "no grant %s: draw it first", s.Grant)
		case known && was.budget != s.Budget:
			return daruma.Fail(opCommit, daruma.KindConflict, "grant %s is of budget %q, not %q", s.Grant, was.budget, s.Budget)
		case s.Op == daruma.SpendRelease:
			is.closed = true
		case s.Op == daruma.SpendSettle:
			is.settled = was.settled.Plus(s.Amount)
		case was.closed:
			return daruma.Fail(opCommit, daruma.KindConflict, "grant %s is released: draw another", s.Grant)
		case spent.Plus(s.Amount) > s.Limit: // a draw counts in full, even where the grant has cost more than it drew
			return &daruma.Failure{Op: opCommit, Kind: daruma.KindExhausted, Err: &daruma.Overdrawn{Budget: s.Budget, Spent: spent, Limit: s.Limit, Amount: s.Amount}}
		default:
			is.drawn = was.drawn.Plus(s.Amount)
		}
		rows.spent[budget], rows.grants[id] = spent.Plus(is.counts()-was.counts()), is
	}
	return nil
}
