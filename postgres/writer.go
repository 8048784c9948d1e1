package postgres

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// Points at which [Options.Fault] is asked, in the order of one commit.
const (
	FaultBegin     = "begin"     // before anything is read for the batch
	FaultStatement = "statement" // before each Tx or claim of the batch is decided
	FaultCommit    = "commit"    // all is decided, nothing has been sent
	FaultSent      = "sent"      // the transaction is sent; whether it is durable is not known here
	FaultCommitted = "committed" // all is durable, nobody has been told
)

// answerTime bounds how long the server may take for one transaction.
const answerTime = time.Minute

// writer turns queued ops into commits. Whoever holds turn is the writer: the
// goroutine of [writer.run], or a caller that finds nobody writing and commits
// what is queued, its own op included, without waiting for that goroutine to
// wake. The fields from conn on belong to the holder.
type writer struct {
	queue *queue
	fault func(string) error
	epoch int64  // of the owner; 0: not the owner, and nothing is checked
	tell  string // the channel that is notified of new runs; empty: none

	turn sync.Mutex
	conn *pgx.Conn
	rows map[daruma.RunID]*row // rows of runs written lately, equal to those in the database

	mu   sync.Mutex
	err  error         // why it stopped
	down chan struct{} // closed once err is set
}

// run commits what is queued until the queue is closed and empty.
func (w *writer) run() {
	for range w.queue.ready {
		w.turn.Lock()
		w.batch()
		w.turn.Unlock()
		left, closed := w.queue.look()
		if left > 0 {
			w.queue.call()
		} else if closed {
			return
		}
	}
}

// push has the queue written, by the caller where nobody else is at it.
func (w *writer) push() {
	if w.turn.TryLock() {
		w.batch()
		w.turn.Unlock()
		if left, _ := w.queue.look(); left == 0 {
			return
		}
	}
	w.queue.call()
}

// batch commits whatever was queued while the last batch was under way;
// nothing waits for a clock.
func (w *writer) batch() {
	// Those just answered may be about to ask again: let them, so that they
	// share this transaction.
	runtime.Gosched()
	var live []*op
	var items []item
	for _, o := range w.queue.take() {
		if o.state.CompareAndSwap(opQueued, opTaken) {
			live, items = append(live, o), append(items, o.items...)
		}
	}
	if len(live) == 0 {
		return
	}
	w.process(items)
	for _, o := range live {
		close(o.done)
	}
}

// process commits items and answers each.
func (w *writer) process(items []item) {
	if err := w.stopped(); err != nil {
		refuse(items, daruma.Fail("postgres", daruma.KindDown, "%w", err))
		return
	}
	err := w.attempt(items)
	if err != nil && w.stopped() == nil && (len(items) > 1 || passing(err)) {
		// Something in the database contradicts one of them. Each goes on its
		// own way, so that the others do not suffer.
		w.singly(items)
		return
	}
	if err == nil {
		err = w.stopped() // ownership was lost meanwhile: nobody is told that all is well
		if err != nil {
			err = daruma.Fail("postgres", daruma.KindDown, "the journal has stopped: %w", err)
		}
	}
	if err != nil {
		refuse(items, err)
	}
}

// singly commits each item in a transaction of its own. What passes is tried
// three times.
func (w *writer) singly(items []item) {
	for _, i := range items {
		var err error
		for range 3 {
			err = w.attempt([]item{i})
			if err == nil || w.stopped() != nil || !passing(err) {
				break
			}
		}
		if down := w.stopped(); down != nil {
			err = daruma.Fail("postgres", daruma.KindDown, "the journal has stopped: %w", down)
		}
		if err != nil {
			i.fail(err)
		}
	}
}

func refuse(items []item, err error) {
	for _, i := range items {
		i.fail(err)
	}
}

// attempt writes all items in one transaction. An error means that none of
// them took place, or that nobody knows: then the writer has stopped.
func (w *writer) attempt(items []item) error {
	if err := w.at(FaultBegin); err != nil {
		return w.give(err)
	}
	if err := w.conn.PgConn().Conn().SetDeadline(time.Now().Add(answerTime)); err != nil {
		return w.stop(err)
	}
	b := newBatch(w)
	for _, i := range items {
		i.need(b)
	}
	if err := b.fetch(); err != nil {
		return w.give(err)
	}
	for _, i := range items {
		if err := w.at(FaultStatement); err != nil {
			return w.give(err)
		}
		i.write(b)
	}
	if b.empty() {
		return nil
	}
	if err := w.at(FaultCommit); err != nil {
		return w.give(err)
	}
	sent := w.conn.SendBatch(context.Background(), b.statements())
	if err := w.at(FaultSent); err != nil {
		return w.stop(err)
	}
	if err := committed(sent, b); err != nil {
		return w.give(err)
	}
	if err := w.at(FaultCommitted); err != nil {
		return w.stop(err)
	}
	for _, c := range b.changed {
		w.remember(c.id, c.is)
	}
	return nil
}

// committed reads the answers to all statements; nil means that the last of
// them, the COMMIT, did commit.
func committed(sent pgx.BatchResults, b *batch) error {
	last := ""
	for range b.sent {
		tag, err := sent.Exec()
		if err != nil {
			_ = sent.Close() // says the same
			return err
		}
		last = tag.String()
	}
	if err := sent.Close(); err != nil {
		return err
	}
	if last != "COMMIT" {
		return daruma.Fail("", daruma.KindInternal, "the server answered a COMMIT with %q", last)
	}
	return nil
}

// give handles an error of an attempt: where the server says that nothing
// happened, or the fault hook that something is used up, the journal goes on.
func (w *writer) give(err error) error {
	if !rolledBack(err) && daruma.KindOf(err) != daruma.KindExhausted {
		return w.stop(err)
	}
	clear(w.rows)
	if w.conn.PgConn().TxStatus() != 'I' {
		if _, rerr := w.conn.Exec(context.Background(), "ROLLBACK"); rerr != nil {
			return w.stop(rerr)
		}
	}
	return failure("postgres", err)
}

func (w *writer) at(point string) error {
	if w.fault == nil {
		return nil
	}
	return w.fault(point)
}

// stop ends writing for good and returns what callers get. It cuts the
// session, so that nobody goes on waiting for it. Any goroutine may call it.
func (w *writer) stop(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		close(w.down)
		_ = w.conn.PgConn().Conn().Close() // nothing is asked of it any more
	}
	return daruma.Fail("postgres", daruma.KindDown, "the journal has stopped, and whether this was committed is not known: %w", w.err)
}

func (w *writer) stopped() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
