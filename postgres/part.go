package postgres

import (
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// needParts has read what the parts of a Tx besides its run depend on.
func (b *batch) needParts(tx *daruma.Tx) {
	tenant := string(tx.Tenant)
	for i := range tx.Keys {
		want(b.keys, name{tenant, tx.Keys[i].Key})
	}
	for i := range tx.Approvals {
		want(b.approvals, name{tenant, tx.Approvals[i].ID})
	}
	for _, id := range tx.Closed {
		want(b.approvals, name{tenant, id})
	}
	for _, p := range tx.Folded {
		want(b.posts, postName{string(tx.Run), tenant, p.Topic, p.Key})
	}
	for i := range tx.Spends {
		want(b.grants, name{tenant, tx.Spends[i].Grant})
		want(b.budgets, name{tenant, tx.Spends[i].Budget})
	}
}

// The text of unnest for pairs of tenant and name.
const pairs = ` FROM unnest($1::text[], $2::text[]) x(tenant, name) JOIN `

const (
	selectNow       = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`
	selectKeys      = `SELECT t.tenant, t.key, t.run, t.fingerprint, t.until` + pairs + `key_claim t ON t.tenant = x.tenant AND t.key = x.name`
	selectApprovals = `SELECT t.tenant, t.id, t.run` + pairs + `approval t ON t.tenant = x.tenant AND t.id = x.name`
	selectGrants    = `SELECT t.tenant, t.id, t.budget, t.node, t.drawn, t.settled, t.closed` + pairs + `spend_grant t ON t.tenant = x.tenant AND t.id = x.name`
	selectBudgets   = `SELECT t.tenant, t.name, t.spent` + pairs + `budget t ON t.tenant = x.tenant AND t.name = x.name`
	selectPosts     = `SELECT t.run, t.tenant, t.topic, t.key, t.folded FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) x(run, tenant, topic, key)
	JOIN post t ON t.run = x.run AND t.tenant = x.tenant AND t.topic = x.topic AND t.key = x.key`
)

// columns splits names for unnest.
func columns[V any](m map[name]*V) (tenants, names []string) {
	for k := range m {
		tenants, names = append(tenants, k.tenant), append(names, k.name)
	}
	return tenants, names
}

// fetchParts queues the reads that needParts asked for.
func (b *batch) fetchParts(q *pgx.Batch) {
	var k name
	if len(b.keys) > 0 {
		q.Queue(selectNow).QueryRow(func(r pgx.Row) error { return r.Scan(&b.now) })
		tenants, names := columns(b.keys)
		var c keyClaim
		query(q, selectKeys, []any{&k.tenant, &k.name, &c.run, &c.fingerprint, &c.until}, func() {
			c.exists = true
			b.keys[k].was, b.keys[k].is = c, c
			c.fingerprint = nil // the next row has its own
		}, tenants, names)
	}
	if len(b.approvals) > 0 {
		tenants, names := columns(b.approvals)
		var run string
		query(q, selectApprovals, []any{&k.tenant, &k.name, &run}, func() {
			*b.approvals[k] = approval{exists: true, run: run}
		}, tenants, names)
	}
	if len(b.posts) > 0 {
		var runs, tenants, topics, keys []string
		for p := range b.posts {
			runs, tenants, topics, keys = append(runs, p.run), append(tenants, p.tenant), append(topics, p.topic), append(keys, p.key)
		}
		var p postName
		var folded int64
		query(q, selectPosts, []any{&p.run, &p.tenant, &p.topic, &p.key, &folded}, func() {
			*b.posts[p] = post{exists: true, folded: folded}
		}, runs, tenants, topics, keys)
	}
	if len(b.grants) > 0 {
		tenants, names := columns(b.grants)
		var g grant
		query(q, selectGrants, []any{&k.tenant, &k.name, &g.budget, &g.node, (*int64)(&g.drawn), (*int64)(&g.settled), &g.closed}, func() {
			g.exists = true
			*b.grants[k] = g
		}, tenants, names)
		tenants, names = columns(b.budgets)
		var spent int64
		query(q, selectBudgets, []any{&k.tenant, &k.name, &spent}, func() {
			b.budgets[k].spent, b.budgets[k].was = daruma.Money(spent), daruma.Money(spent)
		}, tenants, names)
	}
}

// query adds a query whose rows are scanned into dest, one after the other.
func query(q *pgx.Batch, text string, dest []any, each func(), args ...any) {
	q.Queue(text, args...).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, dest, func() error { each(); return nil })
		return err
	})
}

// claimKeys claims the keys of a Tx.
func (b *batch) claimKeys(tx *daruma.Tx) error {
	for i := range tx.Keys {
		k := &tx.Keys[i]
		have := b.keys[name{string(tx.Tenant), k.Key}]
		if is := have.is; is.exists && (is.until == 0 || is.until > b.now) {
			taken := &daruma.KeyTaken{Key: k.Key, Run: daruma.RunID(is.run), Same: string(is.fingerprint) == string(k.Fingerprint[:])}
			kind := daruma.KindConflict
			if taken.Same {
				kind = daruma.KindExists
			}
			return &daruma.Failure{Op: "postgres.Commit", Kind: kind, Err: taken}
		}
		before := *have
		b.later(func() { *have = before })
		have.dirty = true
		have.is = keyClaim{exists: true, run: string(tx.Run), fingerprint: k.Fingerprint[:], until: micros(k.Until)}
	}
	return nil
}

// openApprovals opens and closes approvals.
func (b *batch) openApprovals(tx *daruma.Tx) error {
	for i := range tx.Approvals {
		id := tx.Approvals[i].ID
		body, err := json.Marshal(&tx.Approvals[i])
		if err != nil {
			return failure("postgres.Commit", err)
		}
		at := name{string(tx.Tenant), id}
		have := b.approvals[at]
		if have.exists {
			return daruma.Fail("postgres.Commit", daruma.KindExists, "approval %s exists already", id)
		}
		b.later(func() { *have, b.opened = approval{}, b.opened[:len(b.opened)-1] })
		b.opened = append(b.opened, at)
		*have = approval{exists: true, run: string(tx.Run), body: body}
	}
	n := len(b.closed.ids)
	for _, id := range tx.Closed {
		have := b.approvals[name{string(tx.Tenant), id}]
		if !have.exists || have.run != string(tx.Run) {
			return daruma.Fail("postgres.Commit", daruma.KindNotFound, "run %q has no approval %s", tx.Run, id)
		}
		b.later(func() { b.closed.tenants, b.closed.ids = b.closed.tenants[:n], b.closed.ids[:n] })
		b.closed.tenants, b.closed.ids = append(b.closed.tenants, string(tx.Tenant)), append(b.closed.ids, id)
	}
	return nil
}

// fold marks posts that the Tx's events fold in.
func (b *batch) fold(tx *daruma.Tx) error {
	head := tx.Head + int64(len(tx.Events))
	for _, p := range tx.Folded {
		have := b.posts[postName{string(tx.Run), string(tx.Tenant), p.Topic, p.Key}]
		switch {
		case !have.exists:
			return daruma.Fail("postgres.Commit", daruma.KindNotFound, "run %s has no post %s %s", tx.Run, p.Topic, p.Key)
		case have.folded != 0:
			return daruma.Fail("postgres.Commit", daruma.KindConflict, "post %s %s of run %s is folded in already", p.Topic, p.Key, tx.Run)
		}
		b.later(func() { have.folded, have.dirty = 0, false })
		have.folded, have.dirty = head, true
	}
	return nil
}

// grant is one row of spend_grant.
type grant struct {
	exists         bool
	budget, node   string
	drawn, settled daruma.Money
	closed         bool
	dirty          bool
}

// counts is what the grant takes from its budget.
func (g grant) counts() daruma.Money {
	if g.closed {
		return g.settled
	}
	return max(g.drawn, g.settled)
}

// spends moves money. What a budget has spent is what its open grants drew, or
// really cost where that is more, and what its closed grants cost.
func (b *batch) spends(tx *daruma.Tx) error {
	for i := range tx.Spends {
		if err := b.spend(string(tx.Tenant), &tx.Spends[i]); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) spend(tenant string, s *daruma.Spend) error {
	const op = "postgres.Commit"
	g, total := b.grants[name{tenant, s.Grant}], b.budgets[name{tenant, s.Budget}]
	was, spent := *g, *total
	switch {
	case was.exists && s.Op == daruma.SpendRaise:
		return daruma.Fail(op, daruma.KindExists, "raise %s of budget %q is there already", s.Grant, s.Budget)
	case !was.exists && s.Op != daruma.SpendDraw && s.Op != daruma.SpendRaise:
		return daruma.Fail(op, daruma.KindNotFound, "no grant %s: draw it first", s.Grant)
	case was.exists && was.budget != s.Budget:
		return daruma.Fail(op, daruma.KindConflict, "grant %s is of budget %q, not %q", s.Grant, was.budget, s.Budget)
	}
	is := was
	if !was.exists {
		is = grant{exists: true, budget: s.Budget, node: s.Node}
	}
	switch s.Op {
	case daruma.SpendDraw:
		if was.closed {
			return daruma.Fail(op, daruma.KindConflict, "grant %s is released: draw another", s.Grant)
		}
		is.drawn = was.drawn.Plus(s.Amount)
	case daruma.SpendSettle:
		is.settled = was.settled.Plus(s.Amount)
	case daruma.SpendRelease:
		is.closed = true
	case daruma.SpendRaise:
		is.settled, is.closed = -s.Amount, true
	}
	// A draw counts in full, even where the grant has cost more than it drew.
	if s.Op == daruma.SpendDraw && spent.spent.Plus(s.Amount) > s.Limit {
		return &daruma.Failure{Op: op, Kind: daruma.KindExhausted, Err: &daruma.Overdrawn{Budget: s.Budget, Spent: spent.spent, Limit: s.Limit, Amount: s.Amount}}
	}
	b.later(func() { *g, *total = was, spent })
	is.dirty = true
	*g = is
	*total = budget{spent: spent.spent.Plus(is.counts() - was.counts()), was: spent.was, dirty: true}
	return nil
}
