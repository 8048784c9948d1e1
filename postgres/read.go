package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daruma-run/daruma"
)

// reads implements [daruma.Reader] on connections of its own.
type reads struct {
	pool   *pgxpool.Pool
	closed atomic.Bool
}

// snapshot is a transaction that sees one state of the database and changes nothing.
var snapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// close gives the connections back.
func (r *reads) close() {
	r.closed.Store(true)
	r.pool.Close()
}

const runColumns = `r.n, r.id, r.tenant, r.type, r.name, r.state, r.note, r.head, r.epoch, r.node, r.wake_at, r.started, r.updated, r.checkpoint, r.hash, r.lost`

// scan reads [runColumns].
func (f *candidate) scan(row pgx.Row) error {
	i := &f.info
	var started, updated int64
	var state int32
	var hash []byte
	err := row.Scan(&f.row.n, (*string)(&i.ID), (*string)(&i.Tenant), (*string)(&i.Type), &i.Name, &state, &i.Note, &i.Head, &i.Epoch, &i.Node,
		&f.row.wakeAt, &started, &updated, &f.check, &hash, &f.lost)
	if err != nil {
		return err
	}
	i.State = daruma.RunState(state)
	i.WakeAt, i.Started, i.Updated = timeOf(f.row.wakeAt), time.UnixMicro(started).UTC(), time.UnixMicro(updated).UTC()
	f.row.tenant, f.row.state, f.row.head, f.row.epoch, f.row.node = i.Tenant, i.State, i.Head, i.Epoch, i.Node
	copy(f.row.hash[:], hash)
	return nil
}

// Run implements [daruma.Reader].
func (r *reads) Run(ctx context.Context, id daruma.RunID) (daruma.RunInfo, error) {
	const op = "postgres.Run"
	var f candidate
	err := f.scan(r.pool.QueryRow(ctx, `SELECT `+runColumns+` FROM run r WHERE r.id = $1`, string(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		return daruma.RunInfo{}, daruma.Fail(op, daruma.KindNotFound, "no run %s", id)
	}
	if err != nil {
		return daruma.RunInfo{}, r.failure(ctx, op, err)
	}
	return f.info, nil
}

// Runs implements [daruma.Reader]. Newest is what was created last.
func (r *reads) Runs(ctx context.Context, q daruma.Query) ([]daruma.RunInfo, error) {
	const op = "postgres.Runs"
	where, args := []string{"true"}, []any{}
	add := func(term string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(term, len(args)))
	}
	if q.Tenant != "" {
		add(`r.tenant = $%d`, string(q.Tenant))
	}
	if q.Name != "" {
		add(`r.name = $%d`, q.Name)
	}
	if q.Type != "" {
		add(`r.type = $%d`, string(q.Type))
	}
	if q.Node != "" {
		add(`r.node <> '' AND r.node = $%d`, q.Node) // both, for the index of runs that are held
	}
	if q.Before != "" {
		var n int64
		err := r.pool.QueryRow(ctx, `SELECT n FROM run WHERE id = $1`, string(q.Before)).Scan(&n)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, daruma.Fail(op, daruma.KindNotFound, "no run %s to list from", q.Before)
		}
		if err != nil {
			return nil, r.failure(ctx, op, err)
		}
		add(`r.n < $%d`, n)
	}
	if len(q.States) > 0 {
		add(`r.state = ANY($%d)`, column(q.States, func(s daruma.RunState) int32 { return int32(s) }))
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	args = append(args, limit)
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT `+runColumns+` FROM run r WHERE `+strings.Join(where, " AND ")+` ORDER BY r.n DESC LIMIT $%d`, len(args)), args...)
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	defer rows.Close()
	var infos []daruma.RunInfo
	for rows.Next() {
		var f candidate
		if err := f.scan(rows); err != nil {
			return nil, r.failure(ctx, op, err)
		}
		infos = append(infos, f.info)
	}
	return infos, r.failure(ctx, op, rows.Err())
}

// Blob implements [daruma.Reader].
func (r *reads) Blob(ctx context.Context, t daruma.Tenant, d daruma.Digest) ([]byte, error) {
	const op = "postgres.Blob"
	var b []byte
	err := r.pool.QueryRow(ctx, `SELECT bytes FROM blob WHERE tenant = $1 AND digest = $2`, string(t), d[:]).Scan(&b)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, daruma.Fail(op, daruma.KindNotFound, "no blob %s", d)
	}
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	if got := daruma.DigestOf(b); got != d {
		return nil, daruma.Fail(op, daruma.KindCorrupt, "blob %s: the stored bytes have digest %s", d, got)
	}
	return b, nil
}

// Approvals implements [daruma.Reader].
func (r *reads) Approvals(ctx context.Context, run daruma.RunID) ([]daruma.Approval, error) {
	const op = "postgres.Approvals"
	query, args := `SELECT body FROM approval WHERE NOT closed ORDER BY n`, []any{}
	if run != "" {
		query, args = `SELECT body FROM approval WHERE NOT closed AND run = $1 ORDER BY n`, []any{string(run)}
	}
	rows, err := r.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	defer rows.Close()
	var all []daruma.Approval
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, r.failure(ctx, op, err)
		}
		var a daruma.Approval
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, daruma.Fail(op, daruma.KindCorrupt, "a stored approval is not JSON: %w", err)
		}
		all = append(all, a)
	}
	return all, r.failure(ctx, op, rows.Err())
}

// Posts implements [Access].
func (r *reads) Posts(ctx context.Context, run daruma.RunID) ([]daruma.Post, error) {
	const op = "postgres.Posts"
	rows, err := r.pool.Query(ctx, `SELECT tenant, run, topic, key, payload, author, time, true FROM post
		WHERE folded = 0 AND ($1 = '' OR run = $1) ORDER BY n`, string(run))
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	all, err := openPosts(rows, nil)
	return all, r.failure(ctx, op, err)
}

// failure wraps an error of a read, which its context may have interrupted.
func (r *reads) failure(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case r.closed.Load():
		return daruma.Fail(op, daruma.KindDown, "the journal is closed")
	case ctx.Err() != nil:
		return ended(ctx, op)
	}
	if kindOf(err) == daruma.KindUnknown && codeOf(err) == "" {
		return &daruma.Failure{Op: op, Kind: daruma.KindUnavailable, Err: err} // the connection broke
	}
	return failure(op, err)
}
