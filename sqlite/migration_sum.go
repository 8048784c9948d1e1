package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/daruma-run/daruma"
)

// sumVersion is the schema from which on rows have checksums.
const sumVersion = 3

// sumMigration gives every row its checksum; SQL alone could not.
func sumMigration() *goose.Migration {
	return goose.NewGoMigration(sumVersion, &goose.GoFunc{RunTx: addSums}, nil)
}

func addSums(ctx context.Context, tx *sql.Tx) error {
	const whole = `INTEGER NOT NULL DEFAULT 0`
	for _, column := range []string{"run ADD sum", "post ADD sum", "post ADD mark", "key_claim ADD sum", "approval ADD sum", "budget ADD sum", "spend_grant ADD sum"} {
		if _, err := tx.ExecContext(ctx, `ALTER TABLE `+column+` `+whole); err != nil {
			return err
		}
	}
	for _, t := range sumTables {
		rows, err := tx.QueryContext(ctx, `SELECT `+t.columns+` FROM `+t.table)
		if err != nil {
			return err
		}
		var updates [][]any
		for rows.Next() {
			row, err := t.read(rows)
			if err != nil {
				rows.Close()
				return err
			}
			updates = append(updates, append(row.sums, row.key...))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		update := `UPDATE ` + strings.Fields(t.table)[0] + ` SET ` + t.set + ` WHERE ` + t.where
		for _, args := range updates {
			if _, err := tx.ExecContext(ctx, update, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// summed is one row with its checksums: those it should have, and whether it has them.
type summed struct {
	key  []any
	sums []any
	ok   bool
	name string // for people
	run  daruma.RunID
}

// sumTable is a table whose rows have checksums.
type sumTable struct {
	what       string
	table      string
	columns    string
	ofRun      string // the column that names the run of a row, where rows are of one
	set, where string
	read       func(row interface{ Scan(...any) error }) (summed, error)
}

// sumTables are all of them.
var sumTables = []sumTable{
	{"row of run", "run r", rowColumns, "id", "sum = ?", "n = ?", func(row interface{ Scan(...any) error }) (summed, error) {
		var f candidate
		err := f.scan(row)
		return summed{[]any{f.row.n}, []any{f.row.sum()}, f.fault == nil, string(f.row.id), f.row.id}, err
	}},
	{"post for run", "post p", postColumns, "run", "sum = ?, mark = ?", "run = ? AND tenant = ? AND topic = ? AND key = ?", func(row interface{ Scan(...any) error }) (summed, error) {
		var p daruma.Post
		var payload []byte
		var micros, folded, sum, mark int64
		err := row.Scan(&p.Tenant, &p.Run, &p.Topic, &p.Key, &payload, &p.By, &micros, &folded, &sum, &mark)
		p.Payload = payload
		return summed{[]any{string(p.Run), string(p.Tenant), p.Topic, p.Key},
			[]any{postSum(&p, micros), postMark(p.Run, p.Tenant, p.Topic, p.Key, folded)},
			checkPost(&p, micros, folded, sum, mark) == nil, string(p.Run) + " " + p.Topic + " " + p.Key, p.Run}, err
	}},
	{"key", "key_claim", "tenant, key, run, fingerprint, until, sum", "", "sum = ?", "tenant = ? AND key = ?", func(row interface{ Scan(...any) error }) (summed, error) {
		var tenant daruma.Tenant
		var key string
		var run daruma.RunID
		var print []byte
		var until, have int64
		err := row.Scan(&tenant, &key, &run, &print, &until, &have)
		want := keySum(tenant, key, run, print, until)
		return summed{[]any{string(tenant), key}, []any{want}, want == have, key, ""}, err
	}},
	{"approval", "approval", approvalColumns, "run", "sum = ?", "tenant = ? AND id = ?", func(row interface{ Scan(...any) error }) (summed, error) {
		var id string
		var tenant daruma.Tenant
		var run daruma.RunID
		var body []byte
		var closed, have int64
		err := row.Scan(&id, &tenant, &run, &body, &closed, &have)
		want := approvalSum(id, tenant, run, body, closed)
		return summed{[]any{string(tenant), id}, []any{want}, want == have, id, run}, err
	}},
	{"budget", "budget", "tenant, name, spent, sum", "", "sum = ?", "tenant = ? AND name = ?", func(row interface{ Scan(...any) error }) (summed, error) {
		var tenant daruma.Tenant
		var name string
		var spent, have int64
		err := row.Scan(&tenant, &name, &spent, &have)
		want := budgetSum(tenant, name, spent)
		return summed{[]any{string(tenant), name}, []any{want}, want == have, name, ""}, err
	}},
	{"grant", "spend_grant", "tenant, id, budget, node, drawn, settled, closed, sum", "", "sum = ?", "tenant = ? AND id = ?", func(row interface{ Scan(...any) error }) (summed, error) {
		var tenant daruma.Tenant
		var id, budget, node string
		var drawn, settled, closed, have int64
		err := row.Scan(&tenant, &id, &budget, &node, &drawn, &settled, &closed, &have)
		want := grantSum(tenant, id, budget, node, drawn, settled, closed)
		return summed{[]any{string(tenant), id}, []any{want}, want == have, id, ""}, err
	}},
}
