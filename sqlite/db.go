package sqlite

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/daruma-run/daruma"
)

// Options are settings of [Open]. The zero Options, and nil, are right for
// everybody but tests. Durability is not an option.
type Options struct {
	// Fault is asked at the points named by the Fault constants, never by two
	// goroutines at once, and exists for crash tests: it may kill the process
	// there, or return an error, which is treated as an error of the disk at
	// that point (of KindExhausted: as a full disk). Nil means no faults.
	Fault func(point string) error
}

// DB is the owner of one journal file. It implements [daruma.Journal].
type DB struct {
	reads

	path    string
	release func() error // of the file: see hold
	lock    *ownerLock
	door    *door
	writer  *writer
	ran     chan struct{} // closed when the writer's goroutine has ended

	stopScrub context.CancelFunc
	scrubbed  chan struct{} // closed when the verification after Open has ended

	once     sync.Once
	closeErr error
}

var _ daruma.Journal = (*DB)(nil)

// Open takes the file at path, creates or migrates it, and gives up all runs
// that an owner before this one held, so that [DB.Claim] finds them. The
// folder must exist.
//
// Errors: KindExists where a living process owns the file, which the message
// names; KindNotFound without a folder; KindInvalid for the file of another
// program, a newer schema or a network file system; KindCorrupt for a file
// that is no database. If the process dies here, the next Open goes on where
// it stood.
func Open(ctx context.Context, path string, opts *Options) (_ *DB, err error) {
	if opts == nil {
		opts = &Options{}
	}
	path, err = resolve(path)
	if err != nil {
		return nil, err
	}
	// Before the lock: nothing is left beside a file that is refused.
	if _, err := examine(ctx, "sqlite.Open", path); err != nil {
		return nil, err
	}
	d := &DB{path: path}
	// What is open is closed again, last first, where a later step fails.
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	if d.lock, err = takeLock(path); err != nil {
		return nil, err
	}
	undo = append(undo, func() { _ = d.lock.release() })
	if err := create(path); err != nil {
		return nil, err
	}
	if err := checkLog(path); err != nil {
		return nil, err
	}
	if err := settleLog(path); err != nil {
		return nil, err
	}
	if err := migrate(ctx, path); err != nil {
		return nil, err
	}
	if d.release, err = hold(ctx, path); err != nil {
		return nil, fileFailure("sqlite.Open", path, err)
	}
	undo = append(undo, func() { _ = d.release() })
	c, err := openConn(ctx, path)
	if err != nil {
		return nil, fileFailure("sqlite.Open", path, err)
	}
	undo = append(undo, func() { _ = c.close() })
	if err := c.giveUp(); err != nil {
		return nil, fileFailure("sqlite.Open", path, err)
	}
	if d.reads.db, err = openPool(path, reading, runtime.GOMAXPROCS(0)); err != nil {
		return nil, err
	}
	d.reads.path = path
	undo = append(undo, func() { _ = d.reads.close() })
	d.writer = &writer{
		queue: newQueue(), wake: make(chan struct{}, 1), fault: opts.Fault,
		conn: c, rows: map[daruma.RunID]*row{}, down: make(chan struct{}),
	}
	if d.door, err = openDoor(d); err != nil {
		return nil, err
	}
	d.ran = make(chan struct{})
	go func() {
		defer close(d.ran)
		d.writer.run()
	}()
	d.door.serve()
	d.scrubbed = make(chan struct{})
	// Not the context of Open, which may end with it; Close ends this one.
	scrubbing, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stopScrub = stop
	go func() {
		defer close(d.scrubbed)
		d.scrub(scrubbing)
	}()
	return d, nil
}

// submit hands an op to the writer and waits for its answer. A context that
// ends before the writer takes the op withdraws it.
func (d *DB) submit(ctx context.Context, name string, o *op) {
	if ctx.Err() != nil {
		o.fail(ended(ctx, name))
		return
	}
	o.done = make(chan struct{})
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
func (d *DB) Wake() <-chan struct{} { return d.writer.wake }

// Err returns why the journal stopped writing, nil while it writes.
func (d *DB) Err() error { return d.writer.stopped() }

// Down returns a channel that is closed when the journal stops writing after
// a failure of the disk, or because its file is damaged, which [DB.Err] then
// says: Close it, and Open it again when the disk writes. Close does not close
// the channel.
func (d *DB) Down() <-chan struct{} { return d.writer.down }

// Path returns the absolute path of the file.
func (d *DB) Path() string { return d.path }

// Close commits what is queued, closes the socket and the file, and gives the
// owner lock back. Later writes fail with KindDown. It waits for the writer
// and may be called many times.
func (d *DB) Close() error {
	d.once.Do(func() {
		d.stopScrub()
		<-d.scrubbed
		doorErr := d.door.close()
		d.writer.queue.close()
		<-d.ran
		d.writer.turn.Lock() // for good: a caller may still be at it
		// Readers first: the last connection folds the log into the file.
		// After a failure of the disk it must not.
		steps := []func() error{d.reads.close, d.release, d.writer.conn.close, d.lock.release}
		if d.writer.stopped() != nil {
			steps = []func() error{d.writer.conn.close, d.reads.close, d.release, d.lock.release}
		}
		errs := []error{doorErr}
		for _, step := range steps {
			errs = append(errs, step())
		}
		d.closeErr = errors.Join(errs...)
	})
	return d.closeErr
}
