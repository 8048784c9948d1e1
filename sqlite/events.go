package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"github.com/daruma-run/daruma"
)

// pageEvents is how many events are read at once, so that no connection is
// held while the caller looks at them.
const pageEvents = 128

// Events implements [daruma.Reader]. Events committed while it reads are
// yielded too. The chain is verified up to the hash on the run's row, so that
// a missing last event is found.
func (r *reads) Events(ctx context.Context, id daruma.RunID, after int64) iter.Seq2[daruma.Event, error] {
	return func(yield func(daruma.Event, error) bool) {
		v := verifier{run: id, seq: max(after, 0)}
		for {
			done, err := r.page(ctx, &v)
			for _, e := range v.events {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(daruma.Event{}, r.failure(ctx, "sqlite.Events", err))
				return
			}
			if done {
				return
			}
		}
	}
}

// page reads the next events of a run. Good events before a bad one are in
// v.events all the same.
func (r *reads) page(ctx context.Context, v *verifier) (done bool, err error) {
	v.events = nil
	db, err := r.pool()
	if err != nil {
		return false, err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	var f candidate
	err = f.scan(tx.QueryRowContext(ctx, `SELECT `+rowColumns+` FROM run r WHERE r.id = ?`, string(v.run)))
	if errors.Is(err, sql.ErrNoRows) {
		return false, daruma.Fail("", daruma.KindNotFound, "no run %s", v.run)
	}
	if err != nil {
		return false, err
	}
	v.tenant = f.info.Tenant
	if v.seq > f.row.head && !v.known { // the caller knows more than there is
		return true, f.fault
	}
	stmt, err := tx.PrepareContext(ctx, `SELECT seq, kind, time, actor, payload, hash FROM event WHERE run = ? AND seq >= ? ORDER BY seq LIMIT ?`)
	if err != nil {
		return false, err
	}
	defer stmt.Close()
	if err := v.read(ctx, stmt, f.row.n, v.seq+1, pageEvents); err != nil {
		return false, err
	}
	if len(v.events) == pageEvents && v.seq < f.row.head {
		return false, nil
	}
	if err := v.end(f.row.head, f.row.hash); err != nil {
		return true, err
	}
	return true, f.fault
}

// verifier follows the chain of one run.
type verifier struct {
	run    daruma.RunID
	tenant daruma.Tenant
	seq    int64         // of the last event seen
	prev   daruma.Digest // its hash
	known  bool          // prev is set
	events []daruma.Event
}

// read appends the events a statement returns for (n, from, ...). Where the
// event before from has not been seen, its stored hash is taken.
func (v *verifier) read(ctx context.Context, stmt *sql.Stmt, n, from int64, more ...any) error {
	known := v.known || from == 1
	if !known {
		from--
		if len(more) > 0 {
			more = []any{more[0].(int) + 1}
		}
	}
	rows, err := stmt.QueryContext(ctx, append([]any{n, from}, more...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var e daruma.Event
		var micros int64
		var payload []byte
		var hash sql.RawBytes
		if err := rows.Scan(&e.Seq, &e.Kind, &micros, &e.Actor, &payload, &hash); err != nil {
			return err
		}
		if !known {
			if e.Seq != from || len(hash) != len(v.prev) {
				return v.broken("event %d is missing", from)
			}
			copy(v.prev[:], hash)
			known = true
			continue
		}
		if e.Seq != v.seq+1 {
			return v.broken("event %d is missing", v.seq+1)
		}
		e.Time, e.Payload = time.UnixMicro(micros).UTC(), payload
		sum := daruma.Chain(v.prev, v.tenant, v.run, e)
		if string(hash) != string(sum[:]) {
			return v.broken("event %d (%s) does not match its hash", e.Seq, e.Kind)
		}
		v.seq, v.prev = e.Seq, sum
		v.events = append(v.events, e)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if !known {
		return v.broken("event %d is missing", from)
	}
	v.known = true
	return nil
}

// end checks that the chain ends where the run's row says.
func (v *verifier) end(head int64, hash daruma.Digest) error {
	switch {
	case v.seq < head:
		return v.broken("event %d is missing", v.seq+1)
	case v.seq > head:
		return v.broken("event %d lies behind its head, %d", v.seq, head)
	case v.prev != hash:
		return v.broken("event %d does not match the hash of the run", head)
	}
	return nil
}

func (v *verifier) broken(format string, args ...any) error {
	return daruma.Fail("run "+string(v.run), daruma.KindCorrupt, format, args...)
}
