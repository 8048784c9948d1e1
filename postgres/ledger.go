package postgres

import (
	"context"

	"github.com/daruma-run/daruma"
)

var (
	_ daruma.Ledger = (*DB)(nil)
	_ daruma.Ledger = (*Remote)(nil)
)

// Budgets implements [daruma.Ledger].
func (r *reads) Budgets(ctx context.Context) ([]daruma.BudgetInfo, error) {
	const op = "postgres.Budgets"
	// One statement reads one state: budgets, each with its open grants and its raises.
	rows, err := r.pool.Query(ctx, `SELECT b.tenant, b.name, b.spent, coalesce(g.id, ''), coalesce(g.node, ''),
		coalesce(g.drawn, 0), coalesce(g.settled, 0), coalesce(g.closed, false)
		FROM budget b LEFT JOIN spend_grant g ON g.tenant = b.tenant AND g.budget = b.name AND (NOT g.closed OR g.settled < 0)
		ORDER BY b.tenant, b.name, g.id`)
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	defer rows.Close()
	var all []daruma.BudgetInfo
	for rows.Next() {
		var b daruma.BudgetInfo
		var g daruma.GrantInfo
		var closed bool
		if err := rows.Scan(&b.Tenant, &b.Name, (*int64)(&b.Spent), &g.ID, &g.Node, (*int64)(&g.Drawn), (*int64)(&g.Settled), &closed); err != nil {
			return nil, r.failure(ctx, op, err)
		}
		if n := len(all); n == 0 || all[n-1].Tenant != b.Tenant || all[n-1].Name != b.Name {
			all = append(all, b)
		}
		if g.ID != "" {
			all[len(all)-1].Add(g, closed)
		}
	}
	return all, r.failure(ctx, op, rows.Err())
}
