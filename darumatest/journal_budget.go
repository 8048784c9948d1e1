package darumatest

import (
	"errors"
	"math"

	"github.com/daruma-run/daruma"
	"github.com/google/go-cmp/cmp"
)

// spend is a Tx that moves money of budget b, whose limit is 100.
func spend(op daruma.SpendOp, grant string, amount daruma.Money) daruma.Tx {
	return daruma.Tx{Spends: []daruma.Spend{{Budget: "b", Limit: 100, Grant: grant, Node: "a", Op: op, Amount: amount}}}
}

// raised: a raise lets a budget be passed by its amount, once for each name,
// and a refused draw says how much was left.
func raised(j *journal) {
	overdrawn := func(grant string, amount, spent daruma.Money) {
		j.Helper()
		err := j.refuse(spend(daruma.SpendDraw, grant, amount), daruma.KindExhausted)
		over, ok := errors.AsType[*daruma.Overdrawn](err)
		if want := (daruma.Overdrawn{Budget: "b", Spent: spent, Limit: 100, Amount: amount}); !ok || *over != want {
			j.Errorf("the draw is refused with %v, want %+v", err, want)
		}
	}
	j.commit(spend(daruma.SpendRaise, "raise:1", 10)) // before anything was drawn
	overdrawn("g1", 111, -10)
	j.commit(spend(daruma.SpendDraw, "g1", 110))
	overdrawn("g1", 1, 100)
	j.refuse(spend(daruma.SpendRaise, "raise:1", 10), daruma.KindExists)
	j.refuse(spend(daruma.SpendRaise, "g1", 10), daruma.KindExists)
	j.refuse(spend(daruma.SpendDraw, "raise:1", 1), daruma.KindConflict)
	j.commit(spend(daruma.SpendRaise, "raise:2", 5))
	overdrawn("g2", 6, 95)
	j.commit(spend(daruma.SpendDraw, "g2", 5))
	overdrawn("g2", math.MaxInt64, 100)
	if left := (&daruma.Overdrawn{Spent: 120, Limit: 100}).Left(); left != 0 {
		j.Errorf("%d left of a budget that is passed", left)
	}
}

// listed: a ledger shows what was settled, what open grants hold, and raises.
func listed(j *journal) {
	ledger, ok := j.Journal.(daruma.Ledger)
	if !ok {
		j.Skip("this journal shows no budgets")
	}
	want := func(want ...daruma.BudgetInfo) {
		j.Helper()
		got, err := ledger.Budgets(j.Context())
		if err != nil {
			j.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			j.Errorf("budgets (-want +got):\n%s", d)
		}
	}
	want()
	j.commit(spend(daruma.SpendDraw, "g1", 60))
	j.commit(spend(daruma.SpendSettle, "g1", 10))
	j.commit(spend(daruma.SpendDraw, "g2", 10))
	j.commit(spend(daruma.SpendSettle, "g2", 15)) // more than was drawn
	acme := spend(daruma.SpendDraw, "g1", 7)
	acme.Tenant, acme.Spends[0].Node = "acme", "c"
	j.commit(acme)
	theirs := daruma.BudgetInfo{Tenant: "acme", Name: "b", Held: 7, Grants: []daruma.GrantInfo{{ID: "g1", Node: "c", Drawn: 7}}}
	want(daruma.BudgetInfo{Name: "b", Spent: 25, Held: 50, Grants: []daruma.GrantInfo{
		{ID: "g1", Node: "a", Drawn: 60, Settled: 10}, {ID: "g2", Node: "a", Drawn: 10, Settled: 15}}}, theirs)
	j.commit(spend(daruma.SpendRelease, "g1", 50))
	j.commit(spend(daruma.SpendRaise, "raise:1", 40))
	j.commit(spend(daruma.SpendRaise, "raise:2", 2))
	want(daruma.BudgetInfo{Name: "b", Spent: 25, Raised: 42, Grants: []daruma.GrantInfo{{ID: "g2", Node: "a", Drawn: 10, Settled: 15}}}, theirs)
	j.commit(spend(daruma.SpendRelease, "g2", 0))
	want(daruma.BudgetInfo{Name: "b", Spent: 25, Raised: 42}, theirs)
}
