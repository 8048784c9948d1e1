package darumatest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

var _ daruma.Ledger = (*Memory)(nil)

// Budgets is [daruma.Ledger.Budgets].
func (m *Memory) Budgets(ctx context.Context) ([]daruma.BudgetInfo, error) {
	if err := m.lock(ctx, "memory.Budgets"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var all []daruma.BudgetInfo
	for budget, spent := range m.store.spent {
		b := daruma.BudgetInfo{Tenant: budget.tenant, Name: budget.name, Spent: spent}
		for id, g := range m.store.grants {
			if id.tenant == budget.tenant && g.budget == budget.name && (!g.closed || g.settled < 0) {
				b.Add(daruma.GrantInfo{ID: id.name, Node: g.node, Drawn: g.drawn, Settled: g.settled}, g.closed)
			}
		}
		slices.SortFunc(b.Grants, func(a, b daruma.GrantInfo) int { return strings.Compare(a.ID, b.ID) })
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b daruma.BudgetInfo) int {
		return cmp.Or(strings.Compare(string(a.Tenant), string(b.Tenant)), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}
