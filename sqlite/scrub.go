package sqlite

import (
	"context"

	"github.com/daruma-run/daruma"
)

// scrub verifies the whole file once, beside the work of the owner. A run that
// is damaged is quarantined, whoever holds it; a file that is damaged stops
// the journal, since nobody knows what else is.
func (d *DB) scrub(ctx context.Context) {
	err := d.reads.verify(ctx, func(run daruma.RunID, fault error) bool {
		if run == "" {
			d.writer.stop(fault)
			return false
		}
		return d.setAside(ctx, run, fault) == nil
	})
	switch kindOf(err) {
	case daruma.KindCorrupt, daruma.KindUnknown: // its own tables are not what they were
		if err != nil && ctx.Err() == nil {
			d.writer.stop(daruma.Fail("sqlite.Verify", daruma.KindCorrupt, "%w", err))
		}
	}
}

// setAside quarantines a run that is not over. It looks again first: what
// changed while it was read is no fault.
func (d *DB) setAside(ctx context.Context, run daruma.RunID, fault error) error {
	if err := d.reads.verifyRun(ctx, run); daruma.KindOf(err) != daruma.KindCorrupt {
		return err
	}
	var verdict error
	o := &op{fail: func(err error) { verdict = err }}
	o.write = func(w *writer) error {
		v, err := w.conn.row(selectRow, string(run))
		if v == nil || err != nil {
			return err
		}
		r := scanRow(v)
		if r.state.Finished() && !r.broken || r.state == daruma.Quarantined {
			return nil // what is over is not performed; reading it says what is wrong
		}
		delete(w.rows, run)
		next := *r
		next.state, next.node, next.wakeAt, next.note = daruma.Quarantined, "", 0, "quarantined: "+fault.Error()
		_, err = w.conn.exec(`UPDATE run SET state = 7, node = '', wake_at = 0, note = ?, sum = ? WHERE n = ?`, next.note, next.sum(), r.n)
		return err
	}
	d.submit(ctx, "sqlite.Verify", o)
	return verdict
}
