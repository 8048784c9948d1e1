package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// Options are settings of [Open] and [Connect]. The zero Options, and nil, are
// right for most. Durability is not an option.
type Options struct {
	// Patience is how long Open waits for a session that still holds the owner
	// lock, since a server may need a moment to notice that a process died.
	// Zero means one second.
	Patience time.Duration

	// Poll is how often the owner looks for work and asks the server whether
	// all is well, beside being notified. Zero means 5 seconds.
	Poll time.Duration

	// Fault is asked at the points named by the Fault constants, never by two
	// goroutines at once, and exists for crash tests: it may kill the process
	// there, or return an error, which is treated as a failure of the server at
	// that point (of KindExhausted: as a full disk). Nil means no faults.
	Fault func(point string) error
}

// DB is the owner of one journal. It implements [daruma.Journal].
type DB struct {
	reads

	src    *source
	poll   time.Duration
	wake   chan struct{}
	writer *writer
	lock   *pgx.Conn
	cancel context.CancelFunc // ends watch
	tasks  sync.WaitGroup     // the writer's goroutine and watch

	once sync.Once
}

var _ daruma.Journal = (*DB)(nil)

// Open takes the journal in the schema of a database, creates or migrates it,
// and gives up all runs that an owner before this one held, so that [DB.Claim]
// finds them. The database must exist. The context bounds Open alone.
//
// Errors: KindExists where a living process owns the journal, which the
// message names; KindInvalid for a connection string that cannot be read, a
// server whose commits are not durable, a standby, the tables of another
// program or a newer schema; KindUnavailable for a server that cannot be
// reached; KindUnauthorized, KindDenied, KindNotFound as the server says. If
// the process dies here, the next Open goes on where it stood.
func Open(ctx context.Context, dsn string, opts *Options) (_ *DB, err error) {
	const op = "postgres.Open"
	if opts == nil {
		opts = &Options{}
	}
	src, err := parse(op, dsn)
	if err != nil {
		return nil, err
	}
	d := &DB{src: src, wake: make(chan struct{}, 1), poll: opts.Poll}
	if d.poll <= 0 {
		d.poll = 5 * time.Second
	}
	patience := opts.Patience
	if patience <= 0 {
		patience = time.Second
	}
	// What is open is closed again, last first, where a later step fails.
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	open := func(settings ...map[string]string) (*pgx.Conn, error) {
		conn, err := src.connect(ctx, op, settings...)
		if err == nil {
			undo = append(undo, func() { leave(conn) })
		}
		return conn, err
	}
	if d.lock, err = open(); err != nil {
		return nil, err
	}
	if err := src.checkServer(ctx, op, d.lock); err != nil {
		return nil, err
	}
	for name, value := range sessionSettings {
		if _, err := d.lock.Exec(ctx, `SELECT set_config($1, $2, false)`, name, value); err != nil {
			return nil, src.failure(ctx, op, err)
		}
	}
	if err := src.takeLock(ctx, op, d.lock, patience); err != nil {
		return nil, err
	}
	if err := src.migrate(ctx, op, d.lock); err != nil {
		return nil, err
	}
	conn, err := open(sessionSettings, writerSettings)
	if err != nil {
		return nil, err
	}
	epoch, err := src.own(ctx, op, d.lock, conn.PgConn().PID())
	if err != nil {
		return nil, err
	}
	if _, err := d.lock.Exec(ctx, `LISTEN `+pgx.Identifier{src.channel}.Sanitize()); err != nil {
		return nil, src.failure(ctx, op, err)
	}
	if d.reads.pool, err = src.pool(op); err != nil {
		return nil, err
	}
	d.writer = &writer{
		queue: newQueue(), fault: opts.Fault, epoch: epoch,
		conn: conn, rows: map[daruma.RunID]*row{}, down: make(chan struct{}),
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.cancel = cancel
	d.tasks.Go(d.writer.run)
	d.tasks.Go(func() { d.watch(watching, d.lock) })
	return d, nil
}

// leave ends a session, within a second, so that its locks are free when the
// caller goes on.
func leave(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if !conn.IsClosed() {
		_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`) // the server does it with the session as well
	}
	_ = conn.Close(ctx)
}

func newOp() *op { return &op{done: make(chan struct{})} }

// submit hands an op to the writer and waits for its answer. A context that
// ends before the writer takes the op withdraws it.
func (d *DB) submit(ctx context.Context, name string, o *op) {
	if ctx.Err() != nil {
		o.fail(ended(ctx, name))
		return
	}
	if !d.writer.queue.add(o) {
		o.fail(daruma.Fail(name, daruma.KindDown, "the journal is closed"))
		return
	}
	d.writer.push()
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.state.CompareAndSwap(opQueued, opWithdrawn) {
			o.fail(ended(ctx, name))
			return
		}
		<-o.done
	}
}

// Wake implements [daruma.Journal].
func (d *DB) Wake() <-chan struct{} { return d.wake }

// Err returns why the journal stopped writing, nil while it writes.
func (d *DB) Err() error { return d.writer.stopped() }

// Down returns a channel that is closed when the journal stops writing: the
// server failed or ended a session, a commit was not answered, or another
// process became the owner. The process should end and be started again. Close
// does not close it.
func (d *DB) Down() <-chan struct{} { return d.writer.down }

// Path names the database and the schema, without a password.
func (d *DB) Path() string { return d.src.name }

// Close commits what is queued, ends the sessions and gives the owner lock
// back. Later writes fail with KindDown. It waits for the writer and may be
// called many times; it returns nil.
func (d *DB) Close() error {
	d.once.Do(func() {
		d.writer.queue.close()
		d.cancel()
		d.tasks.Wait()
		d.writer.turn.Lock() // for good: a caller may still be at it
		d.reads.close()
		leave(d.writer.conn)
		leave(d.lock)
	})
	return nil
}
