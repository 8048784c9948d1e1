package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// batch is one transaction while it is decided in memory: what was read of the
// database, as the items before have changed it, and what must be written. The
// statements that write check that what was read still holds.
type batch struct {
	w    *writer
	sent int   // statements of the transaction
	now  int64 // of the database's clock, in microseconds; read where keys are claimed

	runs      map[daruma.RunID]*change
	keys      map[name]*key
	posts     map[postName]*post
	approvals map[name]*approval
	grants    map[name]*grant
	budgets   map[name]*budget

	fresh    int     // runs that may be started, by those who need
	ns       []int64 // their numbers
	undo     []func()
	changed  []*change // runs to insert or update, in the order of their first change
	events   eventColumns
	blobs    blobColumns
	messages []*daruma.Post // to other runs
	finished struct{ tenants, runs []string }
	opened   []name // approvals, in their order
	closed   struct{ tenants, ids []string }
}

// name is a key, an approval, a grant or a budget of a tenant.
type name struct{ tenant, name string }

type postName struct{ run, tenant, topic, key string }

// change is a run as it was read and as it is after the items so far.
type change struct {
	id      daruma.RunID
	exists  bool // it stands in the database
	started bool // by this batch
	dirty   bool // it stands in batch.changed
	was, is row

	typ, name  string // of a run started here
	begun      int64
	note       *string // nil: as it was
	updated    int64
	checkpoint int64
}

type key struct {
	was, is keyClaim
	dirty   bool
}

type keyClaim struct {
	exists      bool
	run         string
	fingerprint []byte
	until       int64
}

type post struct {
	exists bool
	folded int64
	dirty  bool
}

type approval struct {
	exists bool
	run    string
	body   []byte // of one opened here
}

type budget struct {
	spent daruma.Money
	was   daruma.Money // as it was read: a raise by another process may come between
	dirty bool
}

type eventColumns struct {
	runs, seqs, times []int64
	kinds, actors     []string
	payloads, hashes  [][]byte
}

type blobColumns struct {
	tenants        []string
	digests, bytes [][]byte
}

func newBatch(w *writer) *batch {
	return &batch{
		w: w, runs: map[daruma.RunID]*change{}, keys: map[name]*key{}, posts: map[postName]*post{},
		approvals: map[name]*approval{}, grants: map[name]*grant{}, budgets: map[name]*budget{},
	}
}

// needRun has a run read, unless the writer remembers it.
func (b *batch) needRun(id daruma.RunID) {
	if b.runs[id] != nil {
		return
	}
	c := &change{id: id}
	if r := b.w.rows[id]; r != nil {
		c.exists, c.was, c.is = true, *r, *r
	}
	b.runs[id] = c
}

// want puts an empty row into a map, to be read.
func want[K comparable, V any](m map[K]*V, k K) {
	if m[k] == nil {
		m[k] = new(V)
	}
}

// fetch reads what is needed and not known, in one round trip.
func (b *batch) fetch() error {
	var q pgx.Batch
	b.fetchRuns(&q)
	b.fetchParts(&q)
	if q.Len() == 0 {
		return nil
	}
	return b.w.conn.SendBatch(context.Background(), &q).Close()
}

const selectRows = `SELECT r.id, r.n, r.tenant, r.state, r.head, r.epoch, r.node, r.wake_at, r.hash, coalesce(e.hash, '')
	FROM unnest($1::text[]) x(id) JOIN run r ON r.id = x.id LEFT JOIN event e ON e.run = r.n AND e.seq = r.head`

func (b *batch) fetchRuns(q *pgx.Batch) {
	var ids []string
	for id, c := range b.runs {
		if !c.exists {
			ids = append(ids, string(id))
		}
	}
	if len(ids) > 0 {
		q.Queue(selectRows, ids).Query(func(rows pgx.Rows) error {
			var id, tenant string
			var hash, last []byte
			var state int32
			var r row
			_, err := pgx.ForEachRow(rows, []any{&id, &r.n, &tenant, &state, &r.head, &r.epoch, &r.node, &r.wakeAt, &hash, &last}, func() error {
				c := b.runs[daruma.RunID(id)]
				r.tenant, r.state, r.hash = daruma.Tenant(tenant), daruma.RunState(state), daruma.Digest{}
				r.broken = copy(r.hash[:], hash) < len(r.hash) || string(last) != string(hash)
				c.exists, c.was, c.is = true, r, r
				return nil
			})
			return err
		})
	}
	if b.fresh > 0 {
		q.Queue(`SELECT nextval('run_n') FROM generate_series(1, $1::bigint)`, b.fresh).Query(func(rows pgx.Rows) (err error) {
			b.ns, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
	}
}

// run returns what is known of a run that was asked for with needRun.
func (b *batch) run(id daruma.RunID) *change { return b.runs[id] }

// set makes a run what next says.
func (b *batch) set(c *change, next row) {
	if !c.dirty {
		c.dirty = true
		b.changed = append(b.changed, c)
	}
	c.is = next
}

// append adds the events of a run behind head.
func (b *batch) append(n int64, events []daruma.Event, hashes []daruma.Digest, head int64) {
	c := &b.events
	for i := range events {
		e := &events[i]
		c.runs, c.seqs, c.times = append(c.runs, n), append(c.seqs, head+int64(i)+1), append(c.times, e.Time.UnixMicro())
		c.kinds, c.actors = append(c.kinds, string(e.Kind)), append(c.actors, string(e.Actor))
		c.payloads, c.hashes = append(c.payloads, blob(e.Payload)), append(c.hashes, hashes[i][:])
	}
}

// later remembers how to take a change back, should the item be refused.
func (b *batch) later(undo func()) { b.undo = append(b.undo, undo) }

// settle ends an item: it is taken back where it was refused.
func (b *batch) settle(verdict error) {
	if verdict != nil {
		for i := len(b.undo) - 1; i >= 0; i-- {
			b.undo[i]()
		}
	}
	b.undo = b.undo[:0]
}
