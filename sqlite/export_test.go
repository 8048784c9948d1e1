package sqlite

import "context"

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
