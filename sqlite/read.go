package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-run/daruma"
)

// reads implements [daruma.Reader] on connections that cannot write.
type reads struct {
	path   string
	run    atomic.Pointer[sql.Stmt] // selectRun, which is asked most; nil until the first time
	closed atomic.Bool

	mu    sync.Mutex
	db    *sql.DB  // changed by pool alone
	still *picture // of a Reader; nil: db never changes
}

// close gives the connections back.
func (r *reads) close() error {
	r.closed.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	if r.still != nil {
		for _, db := range r.still.old {
			errs = append(errs, db.Close())
		}
	}
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	return errors.Join(errs...)
}

// scan reads [rowColumns]. A row that does not match its checksum is scanned
// all the same; its fault says so.
func (f *candidate) scan(row interface{ Scan(...any) error }) error {
	r, i := &f.row, &f.info
	var hash []byte
	var state, stored int64 // whatever number stands there
	err := row.Scan(&r.n, &r.id, &r.tenant, &r.typ, &r.name, &state, &r.note, &r.head, &r.epoch, &r.node,
		&r.wakeAt, &r.started, &r.updated, &r.checkpoint, &hash, &r.lost, &stored)
	if err != nil {
		return err
	}
	r.state = daruma.RunState(state)
	short := copy(r.hash[:], hash) < len(r.hash) || len(hash) != len(r.hash)
	*i = daruma.RunInfo{ID: r.id, Tenant: r.tenant, Type: daruma.RunType(r.typ), Name: r.name, State: r.state, Note: r.note, Head: r.head,
		Epoch: r.epoch, Node: r.node, WakeAt: timeOf(r.wakeAt), Started: time.UnixMicro(r.started).UTC(), Updated: time.UnixMicro(r.updated).UTC()}
	if short || int64(r.state) != state || r.sum() != stored {
		f.fault = damaged("row of run", string(r.id))
		i.State, i.Note = daruma.Quarantined, f.fault.Error()
	}
	return nil
}

// Run implements [daruma.Reader].
func (r *reads) Run(ctx context.Context, id daruma.RunID) (daruma.RunInfo, error) {
	const name = "sqlite.Run"
	var f candidate
	db, err := r.pool()
	if err != nil {
		return daruma.RunInfo{}, err
	}
	err = f.scan(r.one(ctx, db, id))
	if errors.Is(err, sql.ErrNoRows) {
		return daruma.RunInfo{}, daruma.Fail(name, daruma.KindNotFound, "no run %s", id)
	}
	if err != nil {
		return daruma.RunInfo{}, r.failure(ctx, name, err)
	}
	return f.info, nil
}

const selectRun = `SELECT ` + rowColumns + ` FROM run r WHERE r.id = ?`

// one looks a run up, with a statement that stays prepared. That of a Reader,
// whose pool may be another one next time, does not.
func (r *reads) one(ctx context.Context, db *sql.DB, id daruma.RunID) *sql.Row {
	stmt := r.run.Load()
	if stmt == nil && r.still == nil {
		if made, err := db.PrepareContext(ctx, selectRun); err == nil {
			if !r.run.CompareAndSwap(nil, made) {
				_ = made.Close() // somebody else was faster
			}
			stmt = r.run.Load()
		}
	}
	if stmt == nil {
		return db.QueryRowContext(ctx, selectRun, string(id))
	}
	return stmt.QueryRowContext(ctx, string(id))
}

// Runs implements [daruma.Reader]. Newest is what was created last.
func (r *reads) Runs(ctx context.Context, q daruma.Query) ([]daruma.RunInfo, error) {
	const name = "sqlite.Runs"
	db, err := r.pool()
	if err != nil {
		return nil, err
	}
	where, args := []string{"true"}, []any{}
	add := func(term string, arg any) { where, args = append(where, term), append(args, arg) }
	if q.Tenant != "" {
		add(`r.tenant = ?`, string(q.Tenant))
	}
	if q.Name != "" {
		add(`r.name = ?`, q.Name)
	}
	if q.Type != "" {
		add(`r.type = ?`, string(q.Type))
	}
	if q.Node != "" {
		add(`r.node <> '' AND r.node = ?`, q.Node) // both, for the index of runs that are held
	}
	if q.Before != "" {
		var n int64
		err := db.QueryRowContext(ctx, `SELECT n FROM run WHERE id = ?`, string(q.Before)).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, daruma.Fail(name, daruma.KindNotFound, "no run %s to list from", q.Before)
		}
		if err != nil {
			return nil, r.failure(ctx, name, err)
		}
		add(`r.n < ?`, n)
	}
	if len(q.States) > 0 {
		marks := make([]string, len(q.States))
		for i, s := range q.States {
			marks[i], args = "?", append(args, int64(s))
		}
		where = append(where, `r.state IN (`+strings.Join(marks, ", ")+`)`)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	rows, err := db.QueryContext(ctx, `SELECT `+rowColumns+` FROM run r WHERE `+strings.Join(where, " AND ")+` ORDER BY r.n DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, r.failure(ctx, name, err)
	}
	defer rows.Close()
	var infos []daruma.RunInfo
	for rows.Next() {
		var f candidate
		if err := f.scan(rows); err != nil {
			return nil, r.failure(ctx, name, err)
		}
		infos = append(infos, f.info)
	}
	return infos, r.failure(ctx, name, rows.Err())
}

// Blob implements [daruma.Reader].
func (r *reads) Blob(ctx context.Context, t daruma.Tenant, d daruma.Digest) ([]byte, error) {
	const name = "sqlite.Blob"
	db, err := r.pool()
	if err != nil {
		return nil, err
	}
	var b []byte
	err = db.QueryRowContext(ctx, `SELECT bytes FROM blob WHERE tenant = ? AND digest = ?`, string(t), d[:]).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, daruma.Fail(name, daruma.KindNotFound, "no blob %s", d)
	}
	if err != nil {
		return nil, r.failure(ctx, name, err)
	}
	if got := daruma.DigestOf(b); got != d {
		return nil, daruma.Fail(name, daruma.KindCorrupt, "blob %s: the stored bytes have digest %s", d, got)
	}
	return b, nil
}

// Approvals implements [daruma.Reader].
func (r *reads) Approvals(ctx context.Context, run daruma.RunID) ([]daruma.Approval, error) {
	const name = "sqlite.Approvals"
	query, args := `SELECT `+approvalColumns+` FROM approval WHERE closed = 0 ORDER BY n`, []any{}
	if run != "" {
		query, args = `SELECT `+approvalColumns+` FROM approval WHERE closed = 0 AND run = ? ORDER BY n`, []any{string(run)}
	}
	db, err := r.pool()
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, r.failure(ctx, name, err)
	}
	defer rows.Close()
	var all []daruma.Approval
	for rows.Next() {
		body, err := scanApproval(rows)
		if err != nil {
			return nil, r.failure(ctx, name, err)
		}
		var a daruma.Approval
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, daruma.Fail(name, daruma.KindCorrupt, "a stored approval is not JSON: %w", err)
		}
		all = append(all, a)
	}
	return all, r.failure(ctx, name, rows.Err())
}

// Posts implements [Access].
func (r *reads) Posts(ctx context.Context, run daruma.RunID) ([]daruma.Post, error) {
	const name = "sqlite.Posts"
	db, err := r.pool()
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT `+postColumns+` FROM post p
		WHERE folded = 0 AND (? = '' OR run = ?) ORDER BY n`, string(run), string(run))
	if err != nil {
		return nil, r.failure(ctx, name, err)
	}
	defer rows.Close()
	var all []daruma.Post
	for rows.Next() {
		p, err := scanPost(rows)
		if err != nil {
			return nil, r.failure(ctx, name, err)
		}
		all = append(all, p)
	}
	return all, r.failure(ctx, name, rows.Err())
}

// failure wraps an error of a read, which its context may have interrupted.
func (r *reads) failure(ctx context.Context, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case r.closed.Load():
		return daruma.Fail(name, daruma.KindDown, "the journal is closed")
	case ctx.Err() != nil:
		return ended(ctx, name)
	}
	return fileFailure(name, r.path, err)
}
