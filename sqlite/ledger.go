package sqlite

import (
	"context"

	"github.com/daruma-run/daruma"
)

var (
	_ daruma.Ledger = (*DB)(nil)
	_ daruma.Ledger = (*Reader)(nil)
)

// Budgets implements [daruma.Ledger].
func (r *reads) Budgets(ctx context.Context) ([]daruma.BudgetInfo, error) {
	const op = "sqlite.Budgets"
	db, err := r.pool()
	if err != nil {
		return nil, err
	}
	// One statement reads one state of the file: budgets, each with its open
	// grants and its raises.
	rows, err := db.QueryContext(ctx, `SELECT b.tenant, b.name, b.spent, b.sum, coalesce(g.id, ''), coalesce(g.node, ''),
		coalesce(g.drawn, 0), coalesce(g.settled, 0), coalesce(g.closed, 0), coalesce(g.sum, 0)
		FROM budget b LEFT JOIN spend_grant g ON g.tenant = b.tenant AND g.budget = b.name AND (g.closed = 0 OR g.settled < 0)
		ORDER BY b.tenant, b.name, g.id`)
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	defer rows.Close()
	var all []daruma.BudgetInfo
	for rows.Next() {
		var b daruma.BudgetInfo
		var g daruma.GrantInfo
		var closed, budgetStored, grantStored int64
		if err := rows.Scan(&b.Tenant, &b.Name, (*int64)(&b.Spent), &budgetStored, &g.ID, &g.Node, (*int64)(&g.Drawn), (*int64)(&g.Settled), &closed, &grantStored); err != nil {
			return nil, r.failure(ctx, op, err)
		}
		if budgetSum(b.Tenant, b.Name, int64(b.Spent)) != budgetStored {
			return nil, failure(op, damaged("budget", b.Name))
		}
		if n := len(all); n == 0 || all[n-1].Tenant != b.Tenant || all[n-1].Name != b.Name {
			all = append(all, b)
		}
		if g.ID == "" {
			continue
		}
		if grantSum(b.Tenant, g.ID, b.Name, g.Node, int64(g.Drawn), int64(g.Settled), closed) != grantStored {
			return nil, failure(op, damaged("grant", g.ID))
		}
		all[len(all)-1].Add(g, closed != 0)
	}
	return all, r.failure(ctx, op, rows.Err())
}
