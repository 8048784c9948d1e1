package sqlite

import (
	"context"
	"errors"

	"github.com/daruma-run/daruma"
)

// mostFaults bounds what one verification reports.
const mostFaults = 20

// Verify reads the whole file and compares everything in it with its hashes
// and checksums: the structure of the file with its indexes, every row, every
// event, every blob. It takes about a second for 50 MB, and may run while the
// owner writes. Nil means that nothing is damaged. Errors: KindCorrupt, joined
// where there are several, each naming what is damaged; others where the file
// could not be read.
func (r *reads) Verify(ctx context.Context) error {
	var faults []error
	err := r.verify(ctx, func(_ daruma.RunID, fault error) bool {
		faults = append(faults, fault)
		return len(faults) < mostFaults
	})
	return errors.Join(append(faults, err)...)
}

// verify yields each fault with the run it belongs to, or "" where it is one
// of the file.
func (r *reads) verify(ctx context.Context, yield func(daruma.RunID, error) bool) error {
	const name = "sqlite.Verify"
	db, err := r.pool()
	if err != nil {
		return err
	}
	more := true
	report := func(run daruma.RunID, err error) {
		if more {
			more = yield(run, &daruma.Failure{Op: name, Kind: daruma.KindCorrupt, Err: err})
		}
	}
	// On one snapshot, and no longer than each needs.
	rows, err := db.QueryContext(ctx, `PRAGMA integrity_check(10)`)
	if err != nil {
		return r.failure(ctx, name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return r.failure(ctx, name, err)
		}
		if text != "ok" {
			report("", errors.New(r.path+": "+text))
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return r.failure(ctx, name, err)
	}
	for _, t := range sumTables {
		if err := r.verifyTable(ctx, t, report, ""); err != nil {
			return r.failure(ctx, name, err)
		}
	}
	var ids []daruma.RunID
	for before := daruma.RunID(""); more; {
		page, err := r.Runs(ctx, daruma.Query{Before: before, Limit: 1000})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, info := range page {
			ids = append(ids, info.ID)
			before = info.ID
		}
	}
	for _, id := range ids {
		for _, err := range r.Events(ctx, id, 0) {
			if err != nil && daruma.KindOf(err) != daruma.KindCorrupt {
				return err
			}
			if err != nil {
				report(id, err)
			}
		}
		if !more {
			return nil
		}
	}
	return r.verifyBlobs(ctx, report)
}

// verifyRun verifies one run: its row, its events, posts and approvals.
func (r *reads) verifyRun(ctx context.Context, run daruma.RunID) (fault error) {
	for _, err := range r.Events(ctx, run, 0) {
		if err != nil {
			return err
		}
	}
	for _, t := range sumTables {
		if t.ofRun == "" {
			continue
		}
		err := r.verifyTable(ctx, t, func(_ daruma.RunID, err error) { fault = err }, ` WHERE `+t.ofRun+` = ?`, string(run))
		if err != nil {
			return r.failure(ctx, "sqlite.Verify", err)
		}
	}
	return fault
}

func (r *reads) verifyTable(ctx context.Context, t sumTable, report func(daruma.RunID, error), where string, args ...any) error {
	db, err := r.pool()
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, `SELECT `+t.columns+` FROM `+t.table+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := t.read(rows)
		if err != nil {
			return err
		}
		if !row.ok {
			report(row.run, damaged(t.what, row.name))
		}
	}
	return rows.Err()
}

func (r *reads) verifyBlobs(ctx context.Context, report func(daruma.RunID, error)) error {
	const name = "sqlite.Verify"
	db, err := r.pool()
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, `SELECT digest, bytes FROM blob`)
	if err != nil {
		return r.failure(ctx, name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var digest, content []byte
		if err := rows.Scan(&digest, &content); err != nil {
			return r.failure(ctx, name, err)
		}
		if sum := daruma.DigestOf(content); string(sum[:]) != string(digest) {
			report("", damaged("blob", sum.String()))
		}
	}
	return r.failure(ctx, name, rows.Err())
}
