package sqlite

import (
	"encoding/json"
	"time"

	"github.com/daruma-run/daruma"
)

// keys claims the keys of a Tx.
func (w *writer) keys(tx *daruma.Tx) (verdict, err error) {
	now := time.Now().UnixMicro()
	for _, k := range tx.Keys {
		v, err := w.conn.row(`SELECT run, fingerprint, until FROM key_claim WHERE tenant = ? AND key = ?`, string(tx.Tenant), k.Key)
		if err != nil {
			return nil, err
		}
		if v != nil && (integer(v[2]) == 0 || integer(v[2]) > now) {
			taken := &daruma.KeyTaken{Key: k.Key, Run: daruma.RunID(text(v[0])), Same: string(bytesOf(v[1])) == string(k.Fingerprint[:])}
			kind := daruma.KindConflict
			if taken.Same {
				kind = daruma.KindExists
			}
			return &daruma.Failure{Op: "sqlite.Commit", Kind: kind, Err: taken}, nil
		}
		if _, err := w.conn.exec(`INSERT INTO key_claim (tenant, key, run, fingerprint, until) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (tenant, key) DO UPDATE SET run = excluded.run, fingerprint = excluded.fingerprint, until = excluded.until`,
			string(tx.Tenant), k.Key, string(tx.Run), k.Fingerprint[:], micros(k.Until)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// approvals opens and closes approvals.
func (w *writer) approvals(tx *daruma.Tx) (verdict, err error) {
	for i := range tx.Approvals {
		body, err := json.Marshal(&tx.Approvals[i])
		if err != nil {
			return failure("sqlite.Commit", err), nil
		}
		changed, err := w.conn.exec(`INSERT INTO approval (id, tenant, run, body, closed) VALUES (?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
			tx.Approvals[i].ID, string(tx.Tenant), string(tx.Run), body)
		if err != nil {
			return nil, err
		}
		if changed == 0 {
			return daruma.Fail("sqlite.Commit", daruma.KindExists, "approval %s exists already", tx.Approvals[i].ID), nil
		}
	}
	for _, id := range tx.Closed {
		changed, err := w.conn.exec(`UPDATE approval SET closed = 1 WHERE tenant = ? AND id = ? AND run = ?`,
			string(tx.Tenant), id, string(tx.Run))
		if err != nil {
			return nil, err
		}
		if changed == 0 {
			return daruma.Fail("sqlite.Commit", daruma.KindNotFound, "run %q has no approval %s", tx.Run, id), nil
		}
	}
	return nil, nil
}

// folded marks posts that the Tx's events fold in.
func (w *writer) folded(tx *daruma.Tx) (verdict, err error) {
	head := tx.Head + int64(len(tx.Events))
	for _, p := range tx.Folded {
		changed, err := w.conn.exec(`UPDATE post SET folded = ? WHERE run = ? AND tenant = ? AND topic = ? AND key = ? AND folded = 0`,
			head, string(tx.Run), string(tx.Tenant), p.Topic, p.Key)
		if err != nil {
			return nil, err
		}
		if changed == 1 {
			continue
		}
		v, err := w.conn.row(selectPost, string(tx.Run), string(tx.Tenant), p.Topic, p.Key)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return daruma.Fail("sqlite.Commit", daruma.KindNotFound, "run %s has no post %s %s", tx.Run, p.Topic, p.Key), nil
		}
		return daruma.Fail("sqlite.Commit", daruma.KindConflict, "post %s %s of run %s is folded in already", p.Topic, p.Key, tx.Run), nil
	}
	return nil, nil
}

// spends moves money. What a budget has spent is what its open grants drew, or
// really cost where that is more, and what its closed grants cost.
func (w *writer) spends(tx *daruma.Tx) (verdict, err error) {
	for i := range tx.Spends {
		if verdict, err := w.spend(tx.Tenant, &tx.Spends[i]); verdict != nil || err != nil {
			return verdict, err
		}
	}
	return nil, nil
}

// grant is one row of spend_grant.
type grant struct {
	drawn, settled daruma.Money
	closed         bool
}

// counts is what the grant takes from its budget.
func (g grant) counts() daruma.Money {
	if g.closed {
		return g.settled
	}
	return max(g.drawn, g.settled)
}

func (w *writer) spend(tenant daruma.Tenant, s *daruma.Spend) (verdict, err error) {
	const op = "sqlite.Commit"
	v, err := w.conn.row(`SELECT budget, drawn, settled, closed FROM spend_grant WHERE tenant = ? AND id = ?`, string(tenant), s.Grant)
	if err != nil {
		return nil, err
	}
	var was grant
	switch {
	case v == nil && s.Op != daruma.SpendDraw:
		return daruma.Fail(op, daruma.KindNotFound, "no grant %s: draw it first", s.Grant), nil
	case v != nil && text(v[0]) != s.Budget:
		return daruma.Fail(op, daruma.KindConflict, "grant %s is of budget %q, not %q", s.Grant, text(v[0]), s.Budget), nil
	case v != nil:
		was = grant{daruma.Money(integer(v[1])), daruma.Money(integer(v[2])), integer(v[3]) != 0}
	}
	is := was
	switch s.Op {
	case daruma.SpendDraw:
		if was.closed {
			return daruma.Fail(op, daruma.KindConflict, "grant %s is released: draw another", s.Grant), nil
		}
		is.drawn = was.drawn.Plus(s.Amount)
	case daruma.SpendSettle:
		is.settled = was.settled.Plus(s.Amount)
	case daruma.SpendRelease:
		is.closed = true
	}
	v, err = w.conn.row(`SELECT spent FROM budget WHERE tenant = ? AND name = ?`, string(tenant), s.Budget)
	if err != nil {
		return nil, err
	}
	spent := daruma.Money(0)
	if v != nil {
		spent = daruma.Money(integer(v[0]))
	}
	// A draw counts in full, even where the grant has cost more than it drew.
	if s.Op == daruma.SpendDraw && spent.Plus(s.Amount) > s.Limit {
		return daruma.Fail(op, daruma.KindExhausted, "budget %q: %s of %s are spent, %s more would pass it", s.Budget, spent, s.Limit, s.Amount), nil
	}
	spent = spent.Plus(is.counts() - was.counts())
	if _, err := w.conn.exec(`INSERT INTO budget (tenant, name, spent) VALUES (?, ?, ?) ON CONFLICT (tenant, name) DO UPDATE SET spent = excluded.spent`,
		string(tenant), s.Budget, int64(spent)); err != nil {
		return nil, err
	}
	_, err = w.conn.exec(`INSERT INTO spend_grant (tenant, id, budget, node, drawn, settled, closed) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, id) DO UPDATE SET drawn = excluded.drawn, settled = excluded.settled, closed = excluded.closed`,
		string(tenant), s.Grant, s.Budget, s.Node, int64(is.drawn), int64(is.settled), flag(is.closed))
	return nil, err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
