package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// Owner says which process owns a journal.
type Owner struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// String names the owner in a sentence.
func (o Owner) String() string {
	if o.PID == 0 {
		return "a process that has not said who it is"
	}
	return fmt.Sprintf("pid %d on %s since %s", o.PID, o.Host, o.Since.Format(time.RFC3339))
}

// takeLock makes the session the owner's. A session that has just lost its
// process is waited for: the server may not have noticed yet.
func (s *source) takeLock(ctx context.Context, op string, conn *pgx.Conn, patience time.Duration) error {
	const every = 20 * time.Millisecond
	over := time.Now().Add(patience)
	for {
		var mine bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, s.lock).Scan(&mine); err != nil {
			return s.failure(ctx, op, err)
		}
		if mine {
			return nil
		}
		if time.Now().After(over) {
			owner, _ := readOwner(ctx, conn) // what it does not say is not known
			return daruma.Fail(op, daruma.KindExists, "%s: owned by %s", s.name, owner)
		}
		select {
		case <-ctx.Done():
			return ended(ctx, op)
		case <-time.After(every):
		}
	}
}

// readOwner reads who owned the journal last.
func readOwner(ctx context.Context, conn interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (Owner, error) {
	var o Owner
	var since int64
	err := conn.QueryRow(ctx, `SELECT pid, host, since FROM owner`).Scan(&o.PID, &o.Host, &since)
	if err != nil || o.PID == 0 {
		return Owner{}, err
	}
	o.Since = time.UnixMicro(since).UTC()
	return o, nil
}

// endFormer ends the session with which an owner before this one wrote, should
// it be there still: its transaction would be waited for.
const endFormer = `SELECT pg_terminate_backend(a.pid) FROM owner o JOIN pg_stat_activity a ON a.pid = o.backend
	WHERE (extract(epoch FROM a.backend_start) * 1000000)::bigint = o.began AND a.usename = current_user`

const becomeOwner = `UPDATE owner SET epoch = epoch + 1, pid = $1, host = $2, since = $3, backend = $4,
	began = coalesce((SELECT (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity WHERE pid = $4), 0) RETURNING epoch`

// own makes the session of the writer the one that may write, and gives up all
// runs that an owner before this one held. From its commit on nobody of before
// can write: each of their transactions checks the epoch.
func (s *source) own(ctx context.Context, op string, conn *pgx.Conn, backend uint32) (epoch int64, err error) {
	if _, err := conn.Exec(ctx, endFormer); err != nil && !errors.Is(err, context.Canceled) && codeOf(err) == "" {
		return 0, s.failure(ctx, op, err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return 0, s.failure(ctx, op, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left after a commit
	host, _ := os.Hostname()                      // a nameless host is fine
	err = tx.QueryRow(ctx, becomeOwner, os.Getpid(), host, time.Now().UnixMicro(), backend).Scan(&epoch)
	if err == nil {
		_, err = tx.Exec(ctx, `UPDATE run SET node = '', lost = true WHERE node <> ''`)
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	if codeOf(err) == codeLockTimeout {
		return 0, daruma.Fail(op, daruma.KindUnavailable, "%s: a transaction of the owner before this one does not end: %w", s.name, err)
	}
	if err != nil {
		return 0, s.failure(ctx, op, err)
	}
	return epoch, nil
}
