package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/daruma-run/daruma"
)

// candidate is a run that may be claimed, as a snapshot showed it.
type candidate struct {
	info   daruma.RunInfo
	row    row
	events []daruma.Event
	posts  []daruma.Post
	fault  error // why it must be quarantined
}

// Claim implements [daruma.Journal]. On one file a node is alive while this
// process is, so every run of another node than c.Node is free. A run with an
// event that does not match its hash is quarantined, and the others go on.
//
// Events are read before the runs are claimed, on a snapshot that the claim
// checks again: the writer is not held up by reading, and no run is claimed
// for a caller that then learns nothing of it.
func (d *DB) Claim(ctx context.Context, c daruma.Claim) (daruma.Claims, error) {
	const name = "sqlite.Claim"
	if err := c.Check(); err != nil {
		return daruma.Claims{}, err
	}
	// Also where there is nothing to claim: who only asks for work must learn it.
	if err := d.writer.stopped(); err != nil {
		return daruma.Claims{}, daruma.Fail(name, daruma.KindDown, "the journal has stopped: %w", err)
	}
	if c.Max <= 0 {
		c.Max = 1000
	}
	if c.Now.IsZero() {
		c.Now = time.Now()
	}
	answer, found, err := d.reads.claimable(ctx, c)
	if err != nil {
		return daruma.Claims{}, d.failure(ctx, name, err)
	}
	if len(found) == 0 {
		return answer, nil
	}
	o := &op{}
	var verdict error
	runs := make([]daruma.Claimed, 0, len(found))
	o.write = func(w *writer) error {
		runs = runs[:0]
		for _, f := range found {
			claimed, ok, err := w.claim(c, f)
			if err != nil {
				return err
			}
			if ok {
				runs = append(runs, claimed)
			}
		}
		return nil
	}
	o.fail = func(err error) { verdict = err }
	d.submit(ctx, name, o)
	if verdict != nil {
		return daruma.Claims{}, verdict
	}
	answer.Runs = runs
	return answer, nil
}

const (
	claimRun = `UPDATE run SET head = ?, epoch = ?, node = ?, lost = 0, state = 0, wake_at = 0, updated = ?, hash = ?, sum = ?
		WHERE n = ? AND head = ? AND epoch = ? AND hash = ? AND state <= 2`
	quarantineRun = `UPDATE run SET state = 7, node = '', wake_at = 0, note = ?, sum = ? WHERE n = ? AND head = ? AND epoch = ? AND state <= 2`
)

// claim gives a run to the node, if it still is as the snapshot showed it.
func (w *writer) claim(c daruma.Claim, f *candidate) (claimed daruma.Claimed, ok bool, err error) {
	delete(w.rows, f.info.ID)
	if f.fault != nil {
		next := f.row
		next.state, next.node, next.wakeAt, next.note = daruma.Quarantined, "", 0, "quarantined: "+f.fault.Error()
		_, err := w.conn.exec(quarantineRun, next.note, next.sum(), f.row.n, f.row.head, f.row.epoch)
		return claimed, false, err
	}
	next := f.row
	next.epoch++
	next.head++
	next.node, next.state, next.wakeAt, next.lost = c.Node, daruma.Running, 0, 0
	clean := f.row.node == "" && f.row.lost == 0
	payload, err := json.Marshal(daruma.Claim{Node: c.Node, Epoch: next.epoch, Clean: clean})
	if err != nil {
		return claimed, false, err
	}
	e := daruma.Event{
		Seq: next.head, Kind: daruma.KindClaimed, Actor: daruma.Actor("node:" + c.Node),
		Time: time.UnixMicro(c.Now.UnixMicro()).UTC(), Payload: payload,
	}
	next.hash = daruma.Chain(f.row.hash, f.row.tenant, f.info.ID, e)
	next.updated = max(next.updated, e.Time.UnixMicro())
	changed, err := w.conn.exec(claimRun, next.head, next.epoch, c.Node, next.updated, next.hash[:], next.sum(), f.row.n, f.row.head, f.row.epoch, f.row.hash[:])
	if err != nil || changed == 0 {
		return claimed, false, err
	}
	if err := w.append(next.n, []daruma.Event{e}, []daruma.Digest{next.hash}, f.row.head); err != nil {
		return claimed, false, err
	}
	w.remember(f.info.ID, &next)
	info := f.info
	info.State, info.Head, info.Epoch, info.Node, info.WakeAt = daruma.Running, next.head, next.epoch, c.Node, time.Time{}
	if e.Time.After(info.Updated) {
		info.Updated = e.Time
	}
	events := append(f.events[:len(f.events):len(f.events)], e)
	return daruma.Claimed{Run: info, Events: events, Posts: f.posts}, true, nil
}

// The ways in which a run has something to do and belongs to nobody alive.
// Each stands on an index that holds such runs alone.
var claimable = [...]string{
	`WHERE node = '' AND state = 0`,
	`WHERE node <> '' AND node <> @node AND (state = 0 OR state IN (1, 2) AND wake_at > 0 AND wake_at <= @now)`,
	`WHERE node = '' AND state IN (1, 2) AND wake_at > 0 AND wake_at <= @now`,
}

const claimablePosted = ` FROM (SELECT DISTINCT run, tenant FROM post WHERE folded = 0) p
	CROSS JOIN run r ON r.id = p.run AND r.tenant = p.tenant WHERE r.state IN (1, 2) AND r.node <> @node`

const (
	selectNext = `SELECT min(wake_at) FROM run r
		WHERE node = '' AND state IN (1, 2) AND wake_at > 0 AND wake_at > @now AND (@type = '' OR r.type = @type)`
	selectOpenPosts = `SELECT ` + postColumns + `, r.node = @node, r.n
		FROM post p INDEXED BY post_open CROSS JOIN run r ON r.id = p.run AND r.tenant = p.tenant
		WHERE p.folded = 0 AND (@type = '' OR r.type = @type) ORDER BY p.n`
)

// claimable reads, on one snapshot, what a claim may take and what it answers
// besides.
func (r *reads) claimable(ctx context.Context, c daruma.Claim) (answer daruma.Claims, found []*candidate, err error) {
	db, err := r.pool()
	if err != nil {
		return answer, nil, err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return answer, nil, err
	}
	defer tx.Rollback()
	args := []any{sql.Named("node", c.Node), sql.Named("now", micros(c.Now)), sql.Named("type", string(c.Type)), sql.Named("max", c.Max+1)}
	byID := map[daruma.RunID]*candidate{}
	query := func(from string) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+rowColumns+from+` AND (@type = '' OR r.type = @type) LIMIT @max`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			f := &candidate{}
			if err := f.scan(rows); err != nil {
				return err
			}
			if byID[f.info.ID] != nil {
				continue
			}
			if len(found) == c.Max {
				answer.More = true
				break
			}
			byID[f.info.ID] = f
			found = append(found, f)
		}
		return rows.Err()
	}
	for _, where := range claimable {
		if err := query(` FROM run r ` + where); err != nil {
			return answer, nil, err
		}
	}
	if err := query(claimablePosted); err != nil {
		return answer, nil, err
	}
	if err := r.fill(ctx, tx, found); err != nil {
		return answer, nil, err
	}
	bad := map[int64]error{}
	if answer.Posts, err = openPosts(ctx, tx, c, byID, bad); err != nil {
		return answer, nil, err
	}
	for n, fault := range bad {
		f := &candidate{}
		if err := f.scan(tx.QueryRowContext(ctx, `SELECT `+rowColumns+` FROM run r WHERE r.n = ?`, n)); err != nil {
			return answer, nil, err
		}
		f.fault = fault
		found = append(found, f)
	}
	var next sql.NullInt64
	err = tx.QueryRowContext(ctx, selectNext, args...).Scan(&next)
	answer.Next = timeOf(next.Int64)
	return answer, found, err
}

// fill reads and verifies the events of each candidate from its last
// checkpoint on.
func (r *reads) fill(ctx context.Context, tx *sql.Tx, found []*candidate) error {
	if len(found) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, `SELECT seq, kind, time, actor, payload, hash FROM event WHERE run = ? AND seq >= ? ORDER BY seq`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, f := range found {
		if f.fault != nil {
			continue
		}
		from := max(f.row.checkpoint, 1)
		v := verifier{run: f.info.ID, tenant: f.info.Tenant, seq: from - 1}
		err := v.read(ctx, stmt, f.row.n, from)
		if err == nil {
			err = v.end(f.row.head, f.row.hash)
		}
		if err == nil && f.row.checkpoint > 0 && (len(v.events) == 0 || v.events[0].Kind != daruma.KindCheckpoint) {
			err = daruma.Fail("", daruma.KindCorrupt, "event %d is no checkpoint", f.row.checkpoint)
		}
		switch {
		case err == nil:
			f.events = v.events
		case kindOf(err) == daruma.KindCorrupt:
			f.fault = err
		default:
			return err
		}
	}
	return nil
}

// openPosts returns the posts for runs the node holds, and gives those for
// candidates to them. A post that does not match its checksum is the fault of
// its candidate, or in bad that of the run, by its number, which the node holds.
func openPosts(ctx context.Context, tx *sql.Tx, c daruma.Claim, byID map[daruma.RunID]*candidate, bad map[int64]error) (held []daruma.Post, err error) {
	rows, err := tx.QueryContext(ctx, selectOpenPosts, sql.Named("node", c.Node), sql.Named("type", string(c.Type)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var mine bool
		var n int64
		p, err := scanPost(rows, &mine, &n)
		if kindOf(err) == daruma.KindCorrupt {
			if f := byID[p.Run]; f != nil {
				f.fault = err
			} else if mine {
				bad[n] = err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if f := byID[p.Run]; f != nil {
			f.posts = append(f.posts, p)
		} else if mine {
			held = append(held, p)
		}
	}
	return held, rows.Err()
}
