package sqlite

import (
	"context"
	"runtime"
)

// ExecOnWriter runs a statement on the writer's connection, between commits.
func (d *DB) ExecOnWriter(query string) error {
	var err error
	o := &op{fail: func(e error) { err = e }}
	o.write = func(w *writer) error {
		_, err := w.conn.row(query)
		return err
	}
	d.submit(context.Background(), "test", o)
	return err
}

// AwaitQueued returns once n ops wait for the writer.
func (d *DB) AwaitQueued(n int) {
	for {
		if left, _ := d.writer.queue.look(); left >= n {
			return
		}
		runtime.Gosched()
	}
}

// AwaitScrub returns once the verification after Open has ended.
func (d *DB) AwaitScrub() { <-d.scrubbed }
