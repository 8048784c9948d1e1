package sqlite

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/daruma-run/daruma"
)

// Points at which [Options.Fault] is asked, in the order of one commit.
const (
	FaultBegin     = "begin"     // before the transaction begins
	FaultStatement = "statement" // before each Tx, post or claim of the batch is written
	FaultCommit    = "commit"    // all is written, nothing is durable
	FaultCommitted = "committed" // all is durable, nobody has been told
)

// checkpointPages is how many pages may be appended to the write-ahead log
// before the writer copies them into the database file.
const checkpointPages = 4000

// writer turns queued ops into commits. Whoever holds turn is the writer: the
// goroutine of [writer.run], or a caller that finds nobody writing and commits
// what is queued, its own op included, without waiting for that goroutine to
// wake. The fields from conn on belong to the holder.
type writer struct {
	queue *queue
	wake  chan struct{}
	fault func(string) error

	alone atomic.Bool // the last batch was of one caller

	turn    sync.Mutex
	conn    *conn
	rows    map[daruma.RunID]*row // rows of runs written lately, equal to those in the database
	fresh   int                   // pages appended since the last checkpoint, roughly
	careful bool                  // each op and Tx in a savepoint of its own

	mu   sync.Mutex
	err  error         // why it stopped
	down chan struct{} // closed once err is set
}

// run commits what is queued until the queue is closed and empty.
func (w *writer) run() {
	for range w.queue.ready {
		w.turn.Lock()
		w.batch()
		if w.fresh > checkpointPages && w.stopped() == nil {
			w.checkpoint()
		}
		w.turn.Unlock()
		left, closed := w.queue.look()
		if left > 0 {
			w.queue.call()
		} else if closed {
			return
		}
	}
}

// push has the queue written: by the caller, where it has been the only one of
// late and nobody else is at it; else by the writer's goroutine, on whose way
// others catch up and share the sync.
func (w *writer) push() {
	if w.alone.Load() && w.turn.TryLock() {
		w.batch()
		more := w.fresh > checkpointPages
		w.turn.Unlock()
		if left, _ := w.queue.look(); left == 0 && !more {
			return
		}
	}
	w.queue.call()
}

// batch commits whatever was queued while the last batch was synced; nothing
// waits for a clock.
func (w *writer) batch() {
	// Those just answered may be about to ask again: let them, so that they
	// share this sync.
	runtime.Gosched()
	ops := w.queue.take()
	w.alone.Store(len(ops) <= 1)
	w.process(ops)
	clear(ops)
}

// process commits one batch and answers it.
func (w *writer) process(ops []*op) {
	live := ops[:0]
	for _, o := range ops {
		if o.state.CompareAndSwap(opQueued, opTaken) {
			live = append(live, o)
		}
	}
	if len(live) == 0 {
		return
	}
	if err := w.stopped(); err != nil {
		w.refuse(live, daruma.Fail("sqlite", daruma.KindDown, "%w", err))
		return
	}
	err := w.commit(live)
	wake := false
	for _, o := range live {
		if err != nil {
			o.fail(err)
		}
		wake = wake || o.wake
	}
	if wake && err == nil {
		signal(w.wake)
	}
	for _, o := range live {
		close(o.done)
	}
}

func (w *writer) refuse(ops []*op, err error) {
	for _, o := range ops {
		o.fail(err)
		close(o.done)
	}
}

// commit writes all ops in one transaction. An error means that none of them
// took place, or that nobody knows: then the writer has stopped.
func (w *writer) commit(ops []*op) error {
	err := w.attempt(ops)
	if w.stopped() == nil && kindOf(err) == daruma.KindCorrupt {
		// Something stored contradicts one of them. Find out which, so that
		// the others go on.
		w.careful = true
		err = w.attempt(ops)
		w.careful = false
	}
	return err
}

func (w *writer) attempt(ops []*op) error {
	if err := w.at(FaultBegin); err != nil {
		return w.stop(err)
	}
	if _, err := w.conn.exec("BEGIN IMMEDIATE"); err != nil {
		if fatal(err) {
			return w.stop(err)
		}
		return failure("sqlite", err)
	}
	for _, o := range ops {
		err := w.at(FaultStatement)
		if err == nil {
			err = w.perform(o)
		}
		if err != nil {
			return w.takeBack(err)
		}
	}
	if err := w.at(FaultCommit); err != nil {
		return w.abandon(err)
	}
	if _, err := w.conn.exec("COMMIT"); err != nil {
		if codeOf(err) == codeFull {
			// The log had no room for all of it, so nothing was committed, and
			// no sync has failed.
			return w.takeBack(err)
		}
		return w.abandon(err)
	}
	if err := w.at(FaultCommitted); err != nil {
		return w.stop(err)
	}
	w.fresh += 3 + 2*len(ops)
	return nil
}

// perform writes one op; a careful writer takes back and answers by itself
// what stored data contradicts.
func (w *writer) perform(o *op) error {
	o.wake = false
	if !w.careful {
		return o.write(w)
	}
	if _, err := w.conn.exec("SAVEPOINT op"); err != nil {
		return err
	}
	if err := o.write(w); kindOf(err) == daruma.KindCorrupt {
		clear(w.rows)
		if _, err := w.conn.exec("ROLLBACK TO op"); err != nil {
			return err
		}
		o.fail(failure("sqlite", err))
	} else if err != nil {
		return err
	}
	_, err := w.conn.exec("RELEASE op")
	return err
}

// takeBack rolls back what the batch wrote before err. Where the disk is only
// full and that works, the journal goes on.
func (w *writer) takeBack(err error) error {
	if fatal(err) {
		return w.abandon(err)
	}
	clear(w.rows)
	// SQLite answers with its plainest error where it has rolled back already.
	if _, rerr := w.conn.exec("ROLLBACK"); rerr != nil && codeOf(rerr) != codeError {
		return w.stop(rerr)
	}
	return failure("sqlite", err)
}

// abandon stops after a commit that did not succeed. What it wrote is rolled
// back where SQLite still can; it is never synced again.
func (w *writer) abandon(err error) error {
	down := w.stop(err)
	_, _ = w.conn.exec("ROLLBACK") // the writer has stopped with the error that matters
	return down
}

// checkpoint copies the log into the database file. Readers are not waited
// for: what they still need is copied next time.
func (w *writer) checkpoint() {
	w.fresh = 0
	if _, err := w.conn.row("PRAGMA wal_checkpoint(PASSIVE)"); err != nil && codeOf(err) != codeBusy {
		w.stop(err)
	}
}

func (w *writer) at(point string) error {
	if w.fault == nil {
		return nil
	}
	return w.fault(point)
}

// stop ends writing for good and returns what callers get.
func (w *writer) stop(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		close(w.down)
	}
	return daruma.Fail("sqlite", daruma.KindDown, "the journal has stopped: %w", w.err)
}

func (w *writer) stopped() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// signal puts a value into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
