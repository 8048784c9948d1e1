package agent

import (
	"context"
	"encoding/json"
	"time"

	"github.com/daruma-run/daruma"
)

// Treasury is where budgets are raised: a [daruma.Journal], or a client of the
// process that owns one.
type Treasury interface {
	Desk
	// Commit is that of [daruma.Journal], for a Tx that [daruma.Tx.Raises].
	Commit(ctx context.Context, txs []daruma.Tx) []error
}

// RaiseBudget lets a tenant's budget be passed by an amount, in the window of
// the row (see [Budget.Row]) alone, and has the runs go on that are parked at
// it; it returns how many. What it raised stands in the journal with who did
// it. Key makes it one raise: the same key again raises nothing, but tells runs
// parked since, as does one after a crash that came in between; an empty key is
// the time of the call.
//
// Errors: KindInvalid for an amount that is not above zero or nobody who does
// it, and those of the journal.
func RaiseBudget(ctx context.Context, j Treasury, tenant daruma.Tenant, name, row, key string, by daruma.Actor, amount daruma.Money) (runs int, err error) {
	const op = "agent.RaiseBudget"
	now := time.Now().UTC().Truncate(time.Microsecond)
	if key == "" {
		key = now.Format(time.RFC3339Nano)
	}
	switch {
	case amount <= 0:
		return 0, daruma.Fail(op, daruma.KindInvalid, "amount is %s; accepted: more than 0", amount)
	case by == "":
		return 0, daruma.Fail(op, daruma.KindInvalid, "by is empty; accepted: who does this, such as user:ada")
	}
	tx := daruma.Tx{Tenant: tenant, Spends: []daruma.Spend{{Op: daruma.SpendRaise, Budget: row, Grant: "raise:" + row + ":" + key, Node: string(by), Amount: amount}}}
	if err := j.Commit(ctx, []daruma.Tx{tx})[0]; err != nil && daruma.KindOf(err) != daruma.KindExists {
		return 0, err
	}
	body, err := json.Marshal(daruma.BudgetRaised{Budget: name})
	if err != nil {
		return 0, &daruma.Failure{Op: op, Kind: daruma.KindInternal, Err: err}
	}
	q := daruma.Query{Tenant: tenant, Type: daruma.AgentRun, States: []daruma.RunState{daruma.ParkedState}, Limit: 1000}
	for {
		page, err := j.Runs(ctx, q)
		if err != nil {
			return runs, err
		}
		for _, info := range page {
			if info.Tenant != tenant {
				continue
			}
			run, err := Read(ctx, j, info.ID)
			if err != nil || run.Parked() == nil || run.Parked().Budget != name {
				continue // one that cannot be read does not keep the others
			}
			if _, err := j.Post(ctx, daruma.Post{Tenant: tenant, Run: info.ID, Topic: daruma.TopicBudget, Key: key, Payload: body, By: by, Time: now}); err != nil && daruma.KindOf(err) != daruma.KindConflict {
				return runs, err
			}
			runs++
		}
		if len(page) < q.Limit {
			return runs, nil
		}
		q.Before = page[len(page)-1].ID
	}
}
