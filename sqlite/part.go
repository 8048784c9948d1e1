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
		v, err := w.conn.row(`SELECT run, fingerprint, until, sum FROM key_claim WHERE tenant = ? AND key = ?`, string(tx.Tenant), k.Key)
		if err != nil {
			return nil, err
		}
		if v != nil && keySum(tx.Tenant, k.Key, daruma.RunID(text(v[0])), bytesOf(v[1]), integer(v[2])) != integer(v[3]) {
			return failure("sqlite.Commit", damaged("key", k.Key)), nil
		}
		if v != nil && (integer(v[2]) == 0 || integer(v[2]) > now) {
			taken := &daruma.KeyTaken{Key: k.Key, Run: daruma.RunID(text(v[0])), Same: string(bytesOf(v[1])) == string(k.Fingerprint[:])}
			kind := daruma.KindConflict
			if taken.Same {
				kind = daruma.KindExists
			}
			return &daruma.Failure{Op: "sqlite.Commit", Kind: kind, Err: taken}, nil
		}
		if _, err := w.conn.exec(`INSERT INTO key_claim (tenant, key, run, fingerprint, until, sum) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (tenant, key) DO UPDATE SET run = excluded.run, fingerprint = excluded.fingerprint, until = excluded.until, sum = excluded.sum`,
			string(tx.Tenant), k.Key, string(tx.Run), k.Fingerprint[:], micros(k.Until),
			keySum(tx.Tenant, k.Key, tx.Run, k.Fingerprint[:], micros(k.Until))); err != nil {
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
		changed, err := w.conn.exec(`INSERT INTO approval (id, tenant, run, body, closed, sum) VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT DO NOTHING`,
			tx.Approvals[i].ID, string(tx.Tenant), string(tx.Run), body, approvalSum(tx.Approvals[i].ID, tx.Tenant, tx.Run, body, 0))
		if err != nil {
			return nil, err
		}
		if changed == 0 {
			return daruma.Fail("sqlite.Commit", daruma.KindExists, "approval %s exists already", tx.Approvals[i].ID), nil
		}
	}
	for _, id := range tx.Closed {
		found, err := w.close(`WHERE tenant = ? AND id = ? AND run = ?`, string(tx.Tenant), id, string(tx.Run))
		if kindOf(err) == daruma.KindCorrupt {
			return failure("sqlite.Commit", err), nil
		}
		if err != nil {
			return nil, err
		}
		if found == 0 {
			return daruma.Fail("sqlite.Commit", daruma.KindNotFound, "run %q has no approval %s", tx.Run, id), nil
		}
	}
	return nil, nil
}

const approvalColumns = `id, tenant, run, body, closed, sum`

// close closes approvals and returns how many there are.
func (w *writer) close(where string, args ...any) (found int, err error) {
	rows, err := w.conn.all(`SELECT `+approvalColumns+` FROM approval `+where, args...)
	if err != nil {
		return 0, err
	}
	for _, v := range rows {
		id, tenant, run, body := text(v[0]), daruma.Tenant(text(v[1])), daruma.RunID(text(v[2])), bytesOf(v[3])
		if approvalSum(id, tenant, run, body, integer(v[4])) != integer(v[5]) {
			return 0, damaged("approval", id)
		}
		if _, err := w.conn.exec(`UPDATE approval SET closed = 1, sum = ? WHERE tenant = ? AND id = ?`,
			approvalSum(id, tenant, run, body, 1), string(tenant), id); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

// scanApproval reads [approvalColumns] and returns the body.
func scanApproval(row interface{ Scan(...any) error }) (body []byte, err error) {
	var id string
	var tenant daruma.Tenant
	var run daruma.RunID
	var closed, sum int64
	if err := row.Scan(&id, &tenant, &run, &body, &closed, &sum); err != nil {
		return nil, err
	}
	if approvalSum(id, tenant, run, body, closed) != sum {
		return nil, damaged("approval", id)
	}
	return body, nil
}

// folded marks posts that the Tx's events fold in.
func (w *writer) folded(tx *daruma.Tx) (verdict, err error) {
	head := tx.Head + int64(len(tx.Events))
	for _, p := range tx.Folded {
		changed, err := w.conn.exec(`UPDATE post SET folded = ?, mark = ? WHERE run = ? AND tenant = ? AND topic = ? AND key = ? AND folded = 0`,
			head, postMark(tx.Run, tx.Tenant, p.Topic, p.Key, head), string(tx.Run), string(tx.Tenant), p.Topic, p.Key)
		if err != nil {
			return nil, err
		}
		if changed == 1 {
			continue
		}
		was, err := w.stored(tx.Run, tx.Tenant, p.Topic, p.Key)
		if kindOf(err) == daruma.KindCorrupt {
			return failure("sqlite.Commit", err), nil
		}
		if err != nil {
			return nil, err
		}
		if was == nil {
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
	v, err := w.conn.row(`SELECT budget, drawn, settled, closed, node, sum FROM spend_grant WHERE tenant = ? AND id = ?`, string(tenant), s.Grant)
	if err != nil {
		return nil, err
	}
	node := s.Node
	if v != nil {
		if node = text(v[4]); grantSum(tenant, s.Grant, text(v[0]), node, integer(v[1]), integer(v[2]), integer(v[3])) != integer(v[5]) {
			return failure(op, damaged("grant", s.Grant)), nil
		}
	}
	var was grant
	switch {
	case v != nil && s.Op == daruma.SpendRaise:
		return daruma.Fail(op, daruma.KindExists, "raise %s of budget %q is there already", s.Grant, s.Budget), nil
	case v == nil && s.Op != daruma.SpendDraw && s.Op != daruma.SpendRaise:
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
	case daruma.SpendRaise:
		is = grant{settled: -s.Amount, closed: true}
	}
	if moved := is.counts() - was.counts(); s.Op != daruma.SpendDraw && moved == 0 && v != nil {
		return nil, w.putGrant(tenant, s, node, is) // a settlement mostly: what was drawn counts already
	}
	v, err = w.conn.row(`SELECT spent, sum FROM budget WHERE tenant = ? AND name = ?`, string(tenant), s.Budget)
	if err != nil {
		return nil, err
	}
	spent := daruma.Money(0)
	if v != nil {
		if budgetSum(tenant, s.Budget, integer(v[0])) != integer(v[1]) {
			return failure(op, damaged("budget", s.Budget)), nil
		}
		spent = daruma.Money(integer(v[0]))
	}
	// A draw counts in full, even where the grant has cost more than it drew.
	if s.Op == daruma.SpendDraw && spent.Plus(s.Amount) > s.Limit {
		return &daruma.Failure{Op: op, Kind: daruma.KindExhausted, Err: &daruma.Overdrawn{Budget: s.Budget, Spent: spent, Limit: s.Limit, Amount: s.Amount}}, nil
	}
	spent = spent.Plus(is.counts() - was.counts())
	if _, err := w.conn.exec(`INSERT INTO budget (tenant, name, spent, sum) VALUES (?, ?, ?, ?) ON CONFLICT (tenant, name) DO UPDATE SET spent = excluded.spent, sum = excluded.sum`,
		string(tenant), s.Budget, int64(spent), budgetSum(tenant, s.Budget, int64(spent))); err != nil {
		return nil, err
	}
	return nil, w.putGrant(tenant, s, node, is)
}

func (w *writer) putGrant(tenant daruma.Tenant, s *daruma.Spend, node string, is grant) error {
	_, err := w.conn.exec(`INSERT INTO spend_grant (tenant, id, budget, node, drawn, settled, closed, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, id) DO UPDATE SET drawn = excluded.drawn, settled = excluded.settled, closed = excluded.closed, sum = excluded.sum`,
		string(tenant), s.Grant, s.Budget, node, int64(is.drawn), int64(is.settled), flag(is.closed),
		grantSum(tenant, s.Grant, s.Budget, node, int64(is.drawn), int64(is.settled), flag(is.closed)))
	return err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
