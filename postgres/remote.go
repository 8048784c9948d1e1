package postgres

import (
	"context"

	"github.com/daruma-run/daruma"
)

// Remote is a journal as those see it who do not own it: it reads, and writes
// posts and new runs into the database by itself, whether an owner lives or
// not. A living owner is notified. All methods may be called at once.
type Remote struct {
	reads

	src *source
}

var _ daruma.Reader = (*Remote)(nil)

// Access is what a process needs that does not perform runs itself: reading,
// posting, and starting runs. [*DB] and [*Remote] have it.
type Access interface {
	daruma.Reader

	// Post is that of [daruma.Journal].
	Post(ctx context.Context, p daruma.Post) (fresh bool, err error)

	// Commit is that of [daruma.Journal]; through a [*Remote] only Txs that
	// start a run held by nobody pass, any other is KindDenied.
	Commit(ctx context.Context, txs []daruma.Tx) []error

	// Posts returns the posts that a run has not folded in yet, oldest first;
	// of one run, or of all where run is empty.
	Posts(ctx context.Context, run daruma.RunID) ([]daruma.Post, error)

	// Close gives up what was opened; it returns nil.
	Close() error
}

var (
	_ Access = (*DB)(nil)
	_ Access = (*Remote)(nil)
)

// Connect opens a journal without owning it, and changes nothing. Errors are
// those of [Open] but KindExists, KindNotFound where nothing has been written
// yet, and KindInvalid for the schema of an older version.
func Connect(ctx context.Context, dsn string) (*Remote, error) {
	const op = "postgres.Connect"
	src, err := parse(op, dsn)
	if err != nil {
		return nil, err
	}
	if err := src.look(ctx, op); err != nil {
		return nil, err
	}
	r := &Remote{src: src}
	r.reads.pool, err = src.pool(op)
	return r, err
}

// look checks the server and the schema.
func (s *source) look(ctx context.Context, op string) error {
	conn, err := s.connect(ctx, op)
	if err != nil {
		return err
	}
	defer leave(conn)
	if err := s.checkServer(ctx, op, conn); err != nil {
		return err
	}
	have, want, err := s.checkSchema(ctx, op, conn)
	switch {
	case err != nil:
		return err
	case have == 0:
		return daruma.Fail(op, daruma.KindNotFound, "%s: nothing has been written yet", s.name)
	case have < want:
		return daruma.Fail(op, daruma.KindInvalid, "%s has the schema of an older daruma: a process that owns it brings it up to date", s.name)
	}
	return nil
}

// Owner returns who owns the journal; false where nobody does.
func (r *Remote) Owner(ctx context.Context) (Owner, bool, error) {
	const op = "postgres.Remote.Owner"
	var lives bool
	err := r.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND (classid::bigint << 32 | objid::bigint) = $1)`, r.src.lock).Scan(&lives)
	if err != nil || !lives {
		return Owner{}, false, r.failure(ctx, op, err)
	}
	o, err := readOwner(ctx, r.pool)
	return o, true, r.failure(ctx, op, err)
}

// Post is that of [DB]; it needs no owner.
func (r *Remote) Post(ctx context.Context, p daruma.Post) (fresh bool, err error) {
	if err := p.Check(); err != nil {
		return false, err
	}
	return r.reads.post(ctx, &p, r.src.channel)
}

// Commit starts runs that nobody holds, and raises budgets; any other Tx is KindDenied. KindDoubt
// means that the connection broke before the answer came: the run is there or
// not.
func (r *Remote) Commit(ctx context.Context, txs []daruma.Tx) []error {
	const op = "postgres.Remote.Commit"
	verdicts := make([]error, len(txs))
	pending := items(txs, verdicts)
	var send []item
	for _, i := range pending {
		t := i.(*txItem)
		if *t.verdict = checkRemote(t.tx); *t.verdict == nil {
			send = append(send, i)
		}
	}
	if len(send) == 0 {
		return verdicts
	}
	if ctx.Err() != nil {
		refuse(send, ended(ctx, op))
		return verdicts
	}
	conn, err := r.src.connect(ctx, op, sessionSettings, writerSettings)
	if err != nil {
		refuse(send, err)
		return verdicts
	}
	defer leave(conn)
	w := &writer{conn: conn, tell: r.src.channel, rows: map[daruma.RunID]*row{}, down: make(chan struct{})}
	w.singly(send)
	if err := w.stopped(); err != nil {
		for _, i := range send {
			if t := i.(*txItem); daruma.KindOf(*t.verdict) == daruma.KindDown {
				t.fail(daruma.Fail(op, daruma.KindDoubt, "whether run %s was started is not known: %w", t.tx.Run, err))
			}
		}
	}
	return verdicts
}

// checkRemote refuses what only the owner may commit.
func checkRemote(tx *daruma.Tx) error {
	const op = "postgres.Remote.Commit"
	switch {
	case tx.Raises():
	case tx.Run == "" || tx.Head != 0:
		return daruma.Fail(op, daruma.KindDenied, "only the owner goes on with runs; others start them (a run, head 0) or post to them")
	case tx.Node != "":
		return daruma.Fail(op, daruma.KindDenied, "run %s: node %q is no node of the owner; leave it empty, so that the owner claims the run", tx.Run, tx.Node)
	case len(tx.Folded)+len(tx.Approvals)+len(tx.Closed)+len(tx.Spends) > 0 || tx.State.Finished():
		return daruma.Fail(op, daruma.KindDenied, "run %s: who does not own the journal starts a run with events, keys and blobs alone", tx.Run)
	}
	return nil
}

// Close gives the connections back; the owner lives on.
func (r *Remote) Close() error {
	r.reads.close()
	return nil
}
