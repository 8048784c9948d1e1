package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// empty reports whether there is nothing to write.
func (b *batch) empty() bool {
	if len(b.changed)+len(b.events.runs)+len(b.blobs.tenants)+len(b.opened)+len(b.messages)+len(b.closed.ids) > 0 {
		return false
	}
	for _, k := range b.keys {
		if k.dirty {
			return false
		}
	}
	for _, p := range b.posts {
		if p.dirty {
			return false
		}
	}
	for _, g := range b.grants {
		if g.dirty {
			return false
		}
	}
	return true
}

// Every statement raises an error where what was read does not hold any more,
// so that the COMMIT behind it does not happen: expect counts what changed,
// and a unique index refuses what is there already.
const (
	begin = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`

	insertRuns = `INSERT INTO run (n, id, tenant, type, name, state, note, head, epoch, node, wake_at, started, updated, checkpoint, hash, lost)
	SELECT *, false FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[],
		$8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bytea[])`

	updateRuns = `WITH done AS (
	UPDATE run r SET head = x.head, hash = x.hash, epoch = x.epoch, state = x.state, node = x.node, wake_at = x.wake_at,
		note = coalesce(x.note, r.note), updated = greatest(r.updated, x.updated), checkpoint = greatest(r.checkpoint, x.checkpoint), lost = false
	FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::integer[], $6::text[],
		$7::bigint[], $8::bigint[], $9::bytea[], $10::integer[], $11::text[], $12::bigint[], $13::text[], $14::bigint[], $15::bigint[])
		x(n, was_head, was_epoch, was_hash, was_state, was_node, head, epoch, hash, state, node, wake_at, note, updated, checkpoint)
	WHERE r.n = x.n AND r.head = x.was_head AND r.epoch = x.was_epoch AND r.hash = x.was_hash AND r.state = x.was_state AND r.node = x.was_node
	RETURNING 1)
	SELECT expect(count(*), $16, 'run') FROM done`

	insertEvents = `INSERT INTO event (run, seq, kind, time, actor, payload, hash)
	SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::bytea[])`

	insertBlobs = `INSERT INTO blob (tenant, digest, bytes) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) ON CONFLICT DO NOTHING`

	insertKeys = `INSERT INTO key_claim (tenant, key, run, fingerprint, until) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[])`
	updateKeys = `WITH done AS (
	UPDATE key_claim k SET run = x.run, fingerprint = x.fingerprint, until = x.until
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[]) x(tenant, key, run, fingerprint, until, was)
	WHERE k.tenant = x.tenant AND k.key = x.key AND k.until = x.was RETURNING 1)
	SELECT expect(count(*), $7, 'key_claim') FROM done`

	insertApprovals = `INSERT INTO approval (id, tenant, run, body, closed) SELECT *, false FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])`
	closeApprovals  = `UPDATE approval a SET closed = true FROM unnest($1::text[], $2::text[]) x(tenant, id) WHERE a.tenant = x.tenant AND a.id = x.id`

	foldPosts = `WITH done AS (
	UPDATE post p SET folded = x.head FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) x(run, tenant, topic, key, head)
	WHERE p.run = x.run AND p.tenant = x.tenant AND p.topic = x.topic AND p.key = x.key AND p.folded = 0 RETURNING 1)
	SELECT expect(count(*), $6, 'post') FROM done`

	insertPosts = `INSERT INTO post (run, tenant, topic, key, payload, author, time, folded)
	SELECT *, 0 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bigint[]) ON CONFLICT DO NOTHING`

	upsertGrants = `INSERT INTO spend_grant (tenant, id, budget, node, drawn, settled, closed)
	SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[])
	ON CONFLICT (tenant, id) DO UPDATE SET drawn = excluded.drawn, settled = excluded.settled, closed = excluded.closed`
	upsertBudgets = `INSERT INTO budget (tenant, name, spent) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
	ON CONFLICT (tenant, name) DO UPDATE SET spent = budget.spent + excluded.spent`

	// What waits for a run that is over is void.
	voidPosts     = `UPDATE post p SET folded = -1 FROM unnest($1::text[], $2::text[]) x(tenant, run) WHERE p.run = x.run AND p.tenant = x.tenant AND p.folded = 0`
	voidApprovals = `UPDATE approval a SET closed = true FROM unnest($1::text[], $2::text[]) x(tenant, run) WHERE a.run = x.run AND a.tenant = x.tenant AND NOT a.closed`
)

// statements is the whole transaction, which goes to the server at once.
func (b *batch) statements() *pgx.Batch {
	q := &pgx.Batch{}
	q.Queue(begin)
	if b.w.epoch > 0 {
		q.Queue(`SELECT owned($1)`, b.w.epoch)
	}
	b.runStatements(q)
	if c := &b.events; len(c.runs) > 0 {
		q.Queue(insertEvents, c.runs, c.seqs, c.kinds, c.times, c.actors, c.payloads, c.hashes)
	}
	if c := &b.blobs; len(c.tenants) > 0 {
		q.Queue(insertBlobs, c.tenants, c.digests, c.bytes)
	}
	b.partStatements(q)
	if c := &b.finished; len(c.runs) > 0 {
		q.Queue(voidPosts, c.tenants, c.runs)
		q.Queue(voidApprovals, c.tenants, c.runs)
	}
	if b.w.tell != "" {
		q.Queue(`SELECT pg_notify($1, 'run')`, b.w.tell)
	}
	q.Queue(`COMMIT`)
	b.sent = q.Len()
	return q
}

// runStatements insert and update runs, each once, however often it changed.
func (b *batch) runStatements(q *pgx.Batch) {
	var fresh, old []*change
	for _, c := range b.changed {
		if c.started {
			fresh = append(fresh, c)
		} else {
			old = append(old, c)
		}
	}
	if len(fresh) > 0 {
		q.Queue(insertRuns,
			column(fresh, func(c *change) int64 { return c.is.n }),
			column(fresh, func(c *change) string { return string(c.id) }),
			column(fresh, func(c *change) string { return string(c.is.tenant) }),
			column(fresh, func(c *change) string { return c.typ }),
			column(fresh, func(c *change) string { return c.name }),
			column(fresh, func(c *change) int32 { return int32(c.is.state) }),
			column(fresh, func(c *change) *string { return c.note }),
			column(fresh, func(c *change) int64 { return c.is.head }),
			column(fresh, func(c *change) int64 { return c.is.epoch }),
			column(fresh, func(c *change) string { return c.is.node }),
			column(fresh, func(c *change) int64 { return c.is.wakeAt }),
			column(fresh, func(c *change) int64 { return c.begun }),
			column(fresh, func(c *change) int64 { return c.updated }),
			column(fresh, func(c *change) int64 { return c.checkpoint }),
			column(fresh, func(c *change) []byte { return c.is.hash[:] }))
	}
	if len(old) > 0 {
		q.Queue(updateRuns,
			column(old, func(c *change) int64 { return c.was.n }),
			column(old, func(c *change) int64 { return c.was.head }),
			column(old, func(c *change) int64 { return c.was.epoch }),
			column(old, func(c *change) []byte { return c.was.hash[:] }),
			column(old, func(c *change) int32 { return int32(c.was.state) }),
			column(old, func(c *change) string { return c.was.node }),
			column(old, func(c *change) int64 { return c.is.head }),
			column(old, func(c *change) int64 { return c.is.epoch }),
			column(old, func(c *change) []byte { return c.is.hash[:] }),
			column(old, func(c *change) int32 { return int32(c.is.state) }),
			column(old, func(c *change) string { return c.is.node }),
			column(old, func(c *change) int64 { return c.is.wakeAt }),
			column(old, func(c *change) *string { return c.note }),
			column(old, func(c *change) int64 { return c.updated }),
			column(old, func(c *change) int64 { return c.checkpoint }),
			len(old))
	}
}

// partStatements write what Txs bring besides events.
func (b *batch) partStatements(q *pgx.Batch) {
	b.keyStatements(q)
	if opened := b.opened; len(opened) > 0 {
		q.Queue(insertApprovals,
			column(opened, func(k name) string { return k.name }),
			column(opened, func(k name) string { return k.tenant }),
			column(opened, func(k name) string { return b.approvals[k].run }),
			column(opened, func(k name) []byte { return b.approvals[k].body }))
	}
	if c := &b.closed; len(c.ids) > 0 {
		q.Queue(closeApprovals, c.tenants, c.ids)
	}
	if folded := dirty(b.posts, func(p *post) bool { return p.dirty }); len(folded) > 0 {
		q.Queue(foldPosts,
			column(folded, func(p postName) string { return p.run }),
			column(folded, func(p postName) string { return p.tenant }),
			column(folded, func(p postName) string { return p.topic }),
			column(folded, func(p postName) string { return p.key }),
			column(folded, func(p postName) int64 { return b.posts[p].folded }),
			len(folded))
	}
	if c := b.messages; len(c) > 0 {
		q.Queue(insertPosts,
			column(c, func(p *daruma.Post) string { return string(p.Run) }),
			column(c, func(p *daruma.Post) string { return string(p.Tenant) }),
			column(c, func(p *daruma.Post) string { return p.Topic }),
			column(c, func(p *daruma.Post) string { return p.Key }),
			column(c, func(p *daruma.Post) []byte { return blob(p.Payload) }),
			column(c, func(p *daruma.Post) string { return string(p.By) }),
			column(c, func(p *daruma.Post) int64 { return p.Time.UnixMicro() }))
	}
	if moved := dirty(b.grants, func(g *grant) bool { return g.dirty }); len(moved) > 0 {
		q.Queue(upsertGrants,
			column(moved, func(k name) string { return k.tenant }),
			column(moved, func(k name) string { return k.name }),
			column(moved, func(k name) string { return b.grants[k].budget }),
			column(moved, func(k name) string { return b.grants[k].node }),
			column(moved, func(k name) int64 { return int64(b.grants[k].drawn) }),
			column(moved, func(k name) int64 { return int64(b.grants[k].settled) }),
			column(moved, func(k name) bool { return b.grants[k].closed }))
	}
	if spent := dirty(b.budgets, func(t *budget) bool { return t.dirty }); len(spent) > 0 {
		q.Queue(upsertBudgets,
			column(spent, func(k name) string { return k.tenant }),
			column(spent, func(k name) string { return k.name }),
			column(spent, func(k name) int64 { return int64(b.budgets[k].spent - b.budgets[k].was) }))
	}
}

// keyStatements claim keys: new ones, and those that have expired.
func (b *batch) keyStatements(q *pgx.Batch) {
	add := func(text string, keys []name, more ...any) {
		if len(keys) == 0 {
			return
		}
		q.Queue(text, append([]any{
			column(keys, func(k name) string { return k.tenant }),
			column(keys, func(k name) string { return k.name }),
			column(keys, func(k name) string { return b.keys[k].is.run }),
			column(keys, func(k name) []byte { return b.keys[k].is.fingerprint }),
			column(keys, func(k name) int64 { return b.keys[k].is.until }),
		}, more...)...)
	}
	add(insertKeys, dirty(b.keys, func(k *key) bool { return k.dirty && !k.was.exists }))
	expired := dirty(b.keys, func(k *key) bool { return k.dirty && k.was.exists })
	add(updateKeys, expired, column(expired, func(k name) int64 { return b.keys[k].was.until }), len(expired))
}

// dirty returns the keys of what must be written.
func dirty[K comparable, V any](m map[K]*V, must func(*V) bool) []K {
	var keys []K
	for k, v := range m {
		if must(v) {
			keys = append(keys, k)
		}
	}
	return keys
}

// column is one parameter of unnest.
func column[E, V any](all []E, of func(E) V) []V {
	values := make([]V, len(all))
	for i, e := range all {
		values[i] = of(e)
	}
	return values
}
