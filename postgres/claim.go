package postgres

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// candidate is a run that may be claimed, as a snapshot showed it.
type candidate struct {
	info   daruma.RunInfo
	row    row
	check  int64 // seq of its last checkpoint
	lost   bool  // its last holder died holding it
	events []daruma.Event
	posts  []daruma.Post
	fault  error // why it must be quarantined
}

// Claim implements [daruma.Journal]. With one owner a node is alive while this
// process is, so every run of another node than c.Node is free. A run with an
// event that does not match its hash is quarantined, and the others go on.
//
// Events are read before the runs are claimed, on a snapshot that the claim
// checks again: the writer is not held up by reading, and no run is claimed
// for a caller that then learns nothing of it.
func (d *DB) Claim(ctx context.Context, c daruma.Claim) (daruma.Claims, error) {
	const op = "postgres.Claim"
	if err := c.Check(); err != nil {
		return daruma.Claims{}, err
	}
	if err := d.writer.stopped(); err != nil {
		return daruma.Claims{}, daruma.Fail(op, daruma.KindDown, "the journal has stopped: %w", err)
	}
	if c.Max <= 0 {
		c.Max = 1000
	}
	if c.Now.IsZero() {
		c.Now = time.Now()
	}
	answer, found, err := d.reads.claimable(ctx, c)
	if err != nil {
		return daruma.Claims{}, d.failure(ctx, op, err)
	}
	if len(found) == 0 {
		return answer, nil
	}
	o := newOp()
	all := make([]*claimItem, len(found))
	for i, f := range found {
		all[i] = &claimItem{claim: c, found: f}
		o.items = append(o.items, all[i])
	}
	d.submit(ctx, op, o)
	for _, i := range all {
		if i.err != nil {
			err = i.err
		} else if i.won {
			answer.Runs = append(answer.Runs, i.claimed)
		}
	}
	if len(answer.Runs) == 0 && err != nil {
		return daruma.Claims{}, err
	}
	answer.More = answer.More || err != nil // what failed alone is asked for again
	return answer, nil
}

// claimItem is the claim of one run on its way through a batch.
type claimItem struct {
	claim   daruma.Claim
	found   *candidate
	claimed daruma.Claimed
	won     bool
	err     error
}

func (i *claimItem) need(b *batch) { b.needRun(i.found.info.ID) }

func (i *claimItem) fail(err error) { i.claimed, i.won, i.err = daruma.Claimed{}, false, err }

func (i *claimItem) size() int { return 512 }

// write gives the run to the node, if it still is as the snapshot showed it.
func (i *claimItem) write(b *batch) {
	i.fail(nil)
	f := i.found
	c := b.run(f.info.ID)
	if is := &c.is; !c.exists || is.head != f.row.head || is.epoch != f.row.epoch || is.hash != f.row.hash || is.node != f.row.node || is.state != f.row.state {
		return
	}
	next := c.is
	if f.fault != nil {
		note := "quarantined: " + f.fault.Error()
		c.note = &note
		next.state, next.node, next.wakeAt = daruma.Quarantined, "", 0
		b.set(c, next)
		return
	}
	next.epoch++
	next.head++
	next.node, next.state, next.wakeAt = i.claim.Node, daruma.Running, 0
	clean := f.row.node == "" && !f.lost
	payload, err := json.Marshal(daruma.Claim{Node: i.claim.Node, Epoch: next.epoch, Clean: clean})
	if err != nil {
		i.err = failure("postgres.Claim", err)
		return
	}
	e := daruma.Event{
		Seq: next.head, Kind: daruma.KindClaimed, Actor: daruma.Actor("node:" + i.claim.Node),
		Time: time.UnixMicro(i.claim.Now.UnixMicro()).UTC(), Payload: payload,
	}
	next.hash = daruma.Chain(f.row.hash, f.row.tenant, f.info.ID, e)
	c.updated = max(c.updated, e.Time.UnixMicro())
	b.set(c, next)
	b.append(next.n, []daruma.Event{e}, []daruma.Digest{next.hash}, f.row.head)
	info := f.info
	info.State, info.Head, info.Epoch, info.Node, info.WakeAt = daruma.Running, next.head, next.epoch, i.claim.Node, time.Time{}
	if e.Time.After(info.Updated) {
		info.Updated = e.Time
	}
	events := append(f.events[:len(f.events):len(f.events)], e)
	i.claimed, i.won = daruma.Claimed{Run: info, Events: events, Posts: f.posts}, true
}

// The ways in which a run has something to do and belongs to nobody alive, and
// what a claim answers besides. The first three stand on indexes that hold such
// runs alone.
var claimable = [...]string{
	`FROM run r WHERE node = '' AND state = 0`,
	`FROM run r WHERE node <> '' AND node <> @node AND (state = 0 OR state IN (1, 2) AND wake_at > 0 AND wake_at <= @now)`,
	`FROM run r WHERE node = '' AND state IN (1, 2) AND wake_at > 0 AND wake_at <= @now`,
	`FROM (SELECT DISTINCT run, tenant FROM post WHERE folded = 0) p
	JOIN run r ON r.id = p.run AND r.tenant = p.tenant WHERE r.state IN (1, 2) AND r.node <> @node`,
}

const (
	ofType     = ` AND (@type::text = '' OR r.type = @type::text)`
	selectNext = `SELECT coalesce(min(wake_at), 0) FROM run r
		WHERE node = '' AND state IN (1, 2) AND wake_at > 0 AND wake_at > @now` + ofType
	selectOpenPosts = `SELECT p.tenant, p.run, p.topic, p.key, p.payload, p.author, p.time, r.node = @node
		FROM post p JOIN run r ON r.id = p.run AND r.tenant = p.tenant
		WHERE p.folded = 0` + ofType + ` ORDER BY p.n`
)

// claimable reads, on one snapshot, what a claim may take and what it answers
// besides.
func (r *reads) claimable(ctx context.Context, c daruma.Claim) (answer daruma.Claims, found []*candidate, err error) {
	tx, err := r.pool.BeginTx(ctx, snapshot)
	if err != nil {
		return answer, nil, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it only read
	args := pgx.NamedArgs{"node": c.Node, "now": micros(c.Now), "type": string(c.Type), "max": c.Max + 1}
	byID := map[daruma.RunID]*candidate{}
	var q pgx.Batch
	for _, from := range claimable {
		q.Queue(`SELECT `+runColumns+` `+from+ofType+` LIMIT @max`, args).Query(func(rows pgx.Rows) error {
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
					continue
				}
				byID[f.info.ID] = f
				found = append(found, f)
			}
			return rows.Err()
		})
	}
	q.Queue(selectOpenPosts, args).Query(func(rows pgx.Rows) (err error) {
		answer.Posts, err = openPosts(rows, byID)
		return err
	})
	q.Queue(selectNext, args).QueryRow(func(row pgx.Row) error {
		var next int64
		err := row.Scan(&next)
		answer.Next = timeOf(next)
		return err
	})
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return answer, nil, err
	}
	for some := range slices.Chunk(found, 64) { // each may be long
		if err := fill(ctx, tx, some); err != nil {
			return answer, nil, err
		}
	}
	return answer, found, nil
}

// fill reads and verifies the events of each candidate from its last
// checkpoint on.
func fill(ctx context.Context, tx pgx.Tx, found []*candidate) error {
	var q pgx.Batch
	for _, f := range found {
		from := max(f.check, 1)
		v := verifier{run: f.info.ID, tenant: f.info.Tenant, seq: from - 1}
		q.Queue(selectEvents, f.row.n, v.from(), nil).Query(func(rows pgx.Rows) error {
			err := v.read(rows)
			if err == nil {
				err = v.end(f.row.head, f.row.hash)
			}
			if err == nil && f.check > 0 && (len(v.events) == 0 || v.events[0].Kind != daruma.KindCheckpoint) {
				err = daruma.Fail("", daruma.KindCorrupt, "event %d is no checkpoint", f.check)
			}
			if kindOf(err) == daruma.KindCorrupt {
				f.fault, err = err, nil
			}
			f.events = v.events
			return err
		})
	}
	return tx.SendBatch(ctx, &q).Close()
}

// openPosts returns the posts for runs the node holds, and gives those for
// candidates to them.
func openPosts(rows pgx.Rows, byID map[daruma.RunID]*candidate) (held []daruma.Post, err error) {
	defer rows.Close()
	for rows.Next() {
		var p daruma.Post
		var tenant, run, by string
		var payload []byte
		var micros int64
		var mine bool
		if err := rows.Scan(&tenant, &run, &p.Topic, &p.Key, &payload, &by, &micros, &mine); err != nil {
			return nil, err
		}
		p.Tenant, p.Run, p.By = daruma.Tenant(tenant), daruma.RunID(run), daruma.Actor(by)
		p.Payload, p.Time = payload, time.UnixMicro(micros).UTC()
		if f := byID[p.Run]; f != nil {
			f.posts = append(f.posts, p)
		} else if mine {
			held = append(held, p)
		}
	}
	return held, rows.Err()
}
