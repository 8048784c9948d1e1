package sqlite

import (
	"context"
	"time"

	"github.com/daruma-run/daruma"
)

const selectPost = `SELECT folded FROM post WHERE run = ? AND tenant = ? AND topic = ? AND key = ?`

// Post implements [daruma.Journal]. A post without a time gets the time of
// this call. It obeys the context as Commit does.
func (d *DB) Post(ctx context.Context, p daruma.Post) (fresh bool, err error) {
	if err := p.Check(); err != nil {
		return false, err
	}
	if p.Time.IsZero() {
		p.Time = time.Now()
	}
	o := &op{}
	var verdict error
	o.write = func(w *writer) (err error) {
		fresh, verdict, err = w.post(&p)
		o.wake = fresh
		return err
	}
	o.fail = func(err error) { fresh, verdict = false, err }
	d.submit(ctx, "sqlite.Post", o)
	return fresh, verdict
}

// post stores one post, unless it is there already.
func (w *writer) post(p *daruma.Post) (fresh bool, verdict, err error) {
	v, err := w.conn.row(selectPost, string(p.Run), string(p.Tenant), p.Topic, p.Key)
	if v != nil || err != nil {
		return false, nil, err
	}
	r, err := w.row(p.Run)
	if err != nil {
		return false, nil, err
	}
	const op = "sqlite.Post"
	if r != nil {
		switch {
		case r.tenant != p.Tenant:
			return false, daruma.Fail(op, daruma.KindNotFound, "no run %s", p.Run), nil
		case r.state.Finished():
			return false, daruma.Fail(op, daruma.KindConflict, "run %s is over: %s", p.Run, r.state), nil
		case r.state == daruma.Quarantined:
			return false, daruma.Fail(op, daruma.KindCorrupt, "run %s is quarantined", p.Run), nil
		}
	}
	_, err = w.conn.exec(`INSERT INTO post (run, tenant, topic, key, payload, author, time, folded) VALUES (?, ?, ?, ?, ?, ?, ?, 0)`,
		string(p.Run), string(p.Tenant), p.Topic, p.Key, blob(p.Payload), string(p.By), p.Time.UnixMicro())
	return err == nil, nil, err
}
