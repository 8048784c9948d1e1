package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// watch follows the session that holds the owner lock: what is notified wakes,
// and its loss stops the journal. It ends with ctx.
func (d *DB) watch(ctx context.Context, conn *pgx.Conn) {
	for ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, d.poll)
		_, err := conn.WaitForNotification(wait)
		quiet := wait.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil && !quiet || conn.IsClosed() {
			_ = d.writer.stop(daruma.Fail("", daruma.KindUnavailable, "the session that holds the owner lock is lost: %w", err))
			return
		}
		if err != nil {
			if err := d.stillOwner(ctx, conn); err != nil && ctx.Err() == nil {
				_ = d.writer.stop(err)
				return
			}
		}
		signal(d.wake)
	}
}

// stillOwner asks the server what Open asked, from time to time: a connection
// that is cut without a word is noticed, and so is a server whose settings
// were changed.
func (d *DB) stillOwner(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var fsync, pages string
	var epoch int64
	err := conn.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('full_page_writes'), epoch FROM owner`).Scan(&fsync, &pages, &epoch)
	switch {
	case err != nil:
		return daruma.Fail("", daruma.KindUnavailable, "the session that holds the owner lock does not answer: %w", err)
	case fsync != "on" || pages != "on":
		return daruma.Fail("", daruma.KindInvalid, "the server went on with fsync=%s and full_page_writes=%s; accepted is on", fsync, pages)
	case epoch != d.writer.epoch:
		return daruma.Fail("", daruma.KindFenced, "another process owns the journal")
	}
	return nil
}
