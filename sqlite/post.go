package sqlite

import (
	"context"
	"time"

	"github.com/daruma-run/daruma"
)

const (
	postColumns = `p.tenant, p.run, p.topic, p.key, p.payload, p.author, p.time, p.folded, p.sum, p.mark`
	selectPost  = `SELECT ` + postColumns + ` FROM post p WHERE run = ? AND tenant = ? AND topic = ? AND key = ?`
)

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
	was, err := w.stored(p.Run, p.Tenant, p.Topic, p.Key)
	if kindOf(err) == daruma.KindCorrupt {
		return false, failure("sqlite.Post", err), nil
	}
	if was != nil || err != nil {
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
	micros := p.Time.UnixMicro()
	_, err = w.conn.exec(`INSERT INTO post (run, tenant, topic, key, payload, author, time, folded, sum, mark) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
		string(p.Run), string(p.Tenant), p.Topic, p.Key, blob(p.Payload), string(p.By), micros, postSum(p, micros), postMark(p.Run, p.Tenant, p.Topic, p.Key, 0))
	return err == nil, nil, err
}

// stored returns a post that is there, nil where it is not.
func (w *writer) stored(run daruma.RunID, tenant daruma.Tenant, topic, key string) (*daruma.Post, error) {
	v, err := w.conn.row(selectPost, string(run), string(tenant), topic, key)
	if v == nil || err != nil {
		return nil, err
	}
	p := daruma.Post{Tenant: daruma.Tenant(text(v[0])), Run: daruma.RunID(text(v[1])), Topic: text(v[2]), Key: text(v[3]),
		Payload: bytesOf(v[4]), By: daruma.Actor(text(v[5]))}
	return &p, checkPost(&p, integer(v[6]), integer(v[7]), integer(v[8]), integer(v[9]))
}

// scanPost reads [postColumns] and what stands behind them.
func scanPost(row interface{ Scan(...any) error }, more ...any) (p daruma.Post, err error) {
	var payload []byte
	var micros, folded, sum, mark int64
	err = row.Scan(append([]any{&p.Tenant, &p.Run, &p.Topic, &p.Key, &payload, &p.By, &micros, &folded, &sum, &mark}, more...)...)
	if err != nil {
		return p, err
	}
	p.Payload, p.Time = payload, time.UnixMicro(micros).UTC()
	return p, checkPost(&p, micros, folded, sum, mark)
}

// checkPost compares a post with its checksums.
func checkPost(p *daruma.Post, micros, folded, sum, mark int64) error {
	if postSum(p, micros) != sum || postMark(p.Run, p.Tenant, p.Topic, p.Key, folded) != mark {
		return damaged("post for run", string(p.Run)+" "+p.Topic+" "+p.Key)
	}
	return nil
}
