package postgres

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daruma-run/daruma"
)

// insertPost is one statement, so that nobody who posts can hold the row of
// the run any longer than the server needs. It waits for a commit of the owner
// on that run, and so sees whether the run is over.
const insertPost = `WITH known AS MATERIALIZED (SELECT tenant, state FROM run WHERE id = $1 FOR SHARE),
	done AS (INSERT INTO post (run, tenant, topic, key, payload, author, time, folded)
		SELECT $1, $2, $3, $4, $5, $6, $7, 0 WHERE NOT EXISTS (SELECT FROM known WHERE tenant <> $2 OR state > 2)
		ON CONFLICT DO NOTHING RETURNING 1)
	SELECT (SELECT count(*) FROM done), (SELECT tenant FROM known), (SELECT state FROM known),
		EXISTS (SELECT FROM post WHERE run = $1 AND tenant = $2 AND topic = $3 AND key = $4),
		(SELECT count(pg_notify($8, 'post')) FROM done)`

// Post implements [daruma.Journal]. A post without a time gets the time of
// this call. Posts go to the database by themselves, not through the writer.
// KindDoubt means that the connection broke before the answer came: posting
// the same again is safe.
func (d *DB) Post(ctx context.Context, p daruma.Post) (fresh bool, err error) {
	const op = "postgres.Post"
	if err := p.Check(); err != nil {
		return false, err
	}
	if err := d.writer.stopped(); err != nil {
		return false, daruma.Fail(op, daruma.KindDown, "the journal has stopped: %w", err)
	}
	fresh, err = d.reads.post(ctx, &p, d.src.channel)
	if fresh {
		signal(d.wake)
	}
	return fresh, err
}

// post stores one post, unless it is there already, and tells the channel.
func (r *reads) post(ctx context.Context, p *daruma.Post, channel string) (fresh bool, err error) {
	const op = "postgres.Post"
	for _, text := range []string{string(p.Tenant), string(p.Run), p.Topic, p.Key, string(p.By)} {
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return false, daruma.Fail(op, daruma.KindInvalid, "%q of a post to run %q: accepted is UTF-8 without a zero byte", text, p.Run)
		}
	}
	at := p.Time
	if at.IsZero() {
		at = time.Now()
	}
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return false, r.failure(ctx, op, err)
	}
	defer conn.Release()
	return r.postOn(ctx, conn, p, at, channel)
}

func (r *reads) postOn(ctx context.Context, conn *pgxpool.Conn, p *daruma.Post, at time.Time, channel string) (fresh bool, err error) {
	const op = "postgres.Post"
	var changed, told int64
	var tenant *string
	var state *int32
	var there bool
	err = conn.QueryRow(ctx, insertPost, string(p.Run), string(p.Tenant), p.Topic, p.Key, blob(p.Payload), string(p.By), at.UnixMicro(), channel).
		Scan(&changed, &tenant, &state, &there, &told)
	switch {
	case err != nil && ctx.Err() == nil && codeOf(err) == "" && conn.Conn().IsClosed():
		return false, &daruma.Failure{Op: op, Kind: daruma.KindDoubt, Err: err}
	case err != nil:
		return false, r.failure(ctx, op, err)
	case changed == 1:
		return true, nil
	case there || state == nil:
		return false, nil
	case *tenant != string(p.Tenant):
		return false, daruma.Fail(op, daruma.KindNotFound, "no run %s", p.Run)
	case daruma.RunState(*state).Finished():
		return false, daruma.Fail(op, daruma.KindConflict, "run %s is over: %s", p.Run, daruma.RunState(*state))
	case daruma.RunState(*state) == daruma.Quarantined:
		return false, daruma.Fail(op, daruma.KindCorrupt, "run %s is quarantined", p.Run)
	}
	return false, nil // somebody else posted the same at this moment
}
