package sqlite

import (
	"context"

	"github.com/daruma-run/daruma"
)

// Commit implements [daruma.Journal]. The context is obeyed until the writer
// takes the Txs; from then on Commit waits for the verdicts, so that the
// outcome is always known.
func (d *DB) Commit(ctx context.Context, txs []daruma.Tx) []error {
	verdicts := make([]error, len(txs))
	valid := 0
	for i := range txs {
		if verdicts[i] = txs[i].Check(); verdicts[i] == nil {
			valid++
		}
	}
	if valid == 0 {
		return verdicts
	}
	o := &op{}
	refused := make([]bool, len(txs)) // by the check above: not the writer's to answer
	for i, err := range verdicts {
		refused[i] = err != nil
	}
	o.write = func(w *writer) error {
		for i := range txs {
			if refused[i] {
				continue
			}
			verdict, err := w.tx(&txs[i])
			if err != nil {
				return err
			}
			verdicts[i] = verdict
			o.wake = o.wake || verdict == nil && wakes(&txs[i])
		}
		return nil
	}
	o.fail = func(err error) {
		for i := range verdicts {
			if !refused[i] {
				verdicts[i] = err
			}
		}
	}
	d.submit(ctx, "sqlite.Commit", o)
	return verdicts
}

// wakes reports whether the Tx may give Claim something to say.
func wakes(tx *daruma.Tx) bool {
	return len(tx.Posts) > 0 || tx.Run != "" && (tx.Head == 0 && tx.Node == "" || tx.Release && !tx.State.Finished())
}

// tx writes one Tx, all or nothing. The verdict is the caller's; err is the
// database's and concerns the whole batch.
func (w *writer) tx(tx *daruma.Tx) (verdict, err error) {
	// Without these parts the first statement decides, and needs no way back.
	plain := len(tx.Keys)+len(tx.Approvals)+len(tx.Closed)+len(tx.Spends)+len(tx.Folded)+len(tx.Posts) == 0
	if plain && !w.careful {
		return w.parts(tx)
	}
	if _, err := w.conn.exec("SAVEPOINT tx"); err != nil {
		return nil, err
	}
	verdict, err = w.parts(tx)
	if err != nil && w.careful && kindOf(err) == daruma.KindCorrupt {
		verdict, err = failure("sqlite.Commit", err), nil
	}
	if err != nil {
		return nil, err
	}
	if verdict != nil {
		delete(w.rows, tx.Run)
		if _, err := w.conn.exec("ROLLBACK TO tx"); err != nil {
			return nil, err
		}
	}
	_, err = w.conn.exec("RELEASE tx")
	return verdict, err
}

// parts writes the parts of a Tx, those first that may be refused without
// anything written.
func (w *writer) parts(tx *daruma.Tx) (verdict, err error) {
	if tx.Run != "" {
		if tx.Head == 0 {
			verdict, err = w.start(tx)
		} else {
			verdict, err = w.advance(tx)
		}
		if verdict != nil || err != nil {
			return verdict, err
		}
	}
	for i := range tx.Blobs {
		b := &tx.Blobs[i]
		if _, err := w.conn.exec(`INSERT INTO blob (tenant, digest, bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			string(tx.Tenant), b.Digest[:], blob(b.Bytes)); err != nil {
			return nil, err
		}
	}
	for _, part := range [...]func(*daruma.Tx) (error, error){w.keys, w.approvals, w.folded, w.spends} {
		if verdict, err := part(tx); verdict != nil || err != nil {
			return verdict, err
		}
	}
	for i := range tx.Posts {
		// One that nobody takes is dropped: its sender does not depend on it.
		if _, _, err := w.post(&tx.Posts[i]); err != nil {
			return nil, err
		}
	}
	return nil, w.finish(tx)
}

const insertRun = `INSERT INTO run (id, tenant, type, name, state, note, head, epoch, node, wake_at, started, updated, checkpoint, hash, sum)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`

// start creates the run of a Tx with Head 0.
func (w *writer) start(tx *daruma.Tx) (verdict, err error) {
	if w.rows[tx.Run] != nil {
		return exists(tx.Run), nil
	}
	hashes, checkpoint := chain(daruma.Digest{}, tx, 0)
	last := len(tx.Events) - 1
	r := &row{id: tx.Run, tenant: tx.Tenant, typ: string(tx.Type), name: tx.Name, state: tx.State, note: tx.Note,
		head: int64(last + 1), wakeAt: micros(tx.WakeAt), started: tx.Events[0].Time.UnixMicro(),
		updated: tx.Events[last].Time.UnixMicro(), checkpoint: checkpoint, hash: hashes[last]}
	if tx.Node != "" {
		r.epoch = 1
	}
	if !tx.Release {
		r.node = tx.Node
	}
	n, changed, err := w.conn.insert(insertRun, string(tx.Run), string(tx.Tenant), string(tx.Type), tx.Name, int64(tx.State), tx.Note,
		r.head, r.epoch, r.node, r.wakeAt, r.started, r.updated, r.checkpoint, r.hash[:], r.sum())
	if err != nil {
		return nil, err
	}
	if changed == 0 {
		return exists(tx.Run), nil
	}
	r.n = n
	if err := w.append(r.n, tx.Events, hashes, 0); err != nil {
		return nil, err
	}
	w.settle(tx, r)
	return nil, nil
}

func exists(id daruma.RunID) error {
	return daruma.Fail("sqlite.Commit", daruma.KindExists, "run %s exists already", id)
}

// The guard stands inside the statement that writes: a batch of a former
// holder changes no row, whatever the writer remembers of the run.
const (
	guard = ` WHERE n = ? AND head = ? AND epoch = ? AND hash = ? AND node <> '' AND state <= 2`
	// advanceRun names no column of an index, so that it touches one page.
	advanceRun = `UPDATE run SET head = ?, hash = ?, updated = ?, note = ?, checkpoint = ?, sum = ?` + guard
	changeRun  = `UPDATE run SET head = ?, hash = ?, updated = ?, note = ?, checkpoint = ?, sum = ?, state = ?, node = ?, wake_at = ?` + guard
)

// advance appends to the run of a Tx with a Head.
func (w *writer) advance(tx *daruma.Tx) (verdict, err error) {
	r, err := w.row(tx.Run)
	if err != nil {
		return nil, err
	}
	if r == nil || r.tenant != tx.Tenant {
		return daruma.Fail("sqlite.Commit", daruma.KindNotFound, "no run %s", tx.Run), nil
	}
	if r.broken {
		return w.refusal(tx)
	}
	hashes, checkpoint := chain(r.hash, tx, tx.Head)
	next := *r
	next.head, next.state, next.wakeAt = tx.Head+int64(len(tx.Events)), tx.State, micros(tx.WakeAt)
	next.note, next.checkpoint = tx.Note, max(r.checkpoint, checkpoint)
	if last := len(tx.Events) - 1; last >= 0 {
		next.hash, next.updated = hashes[last], max(r.updated, tx.Events[last].Time.UnixMicro())
	}
	if tx.Release {
		next.node = ""
	}
	var changed int64
	if next.state == r.state && next.node == r.node && next.wakeAt == r.wakeAt {
		changed, err = w.conn.exec(advanceRun, next.head, next.hash[:], next.updated, next.note, next.checkpoint, next.sum(),
			r.n, tx.Head, tx.Epoch, r.hash[:])
	} else {
		changed, err = w.conn.exec(changeRun, next.head, next.hash[:], next.updated, next.note, next.checkpoint, next.sum(),
			int64(next.state), next.node, next.wakeAt, r.n, tx.Head, tx.Epoch, r.hash[:])
	}
	if err != nil {
		return nil, err
	}
	if changed == 0 {
		delete(w.rows, tx.Run)
		return w.refusal(tx)
	}
	if err := w.append(r.n, tx.Events, hashes, tx.Head); err != nil {
		return nil, err
	}
	w.settle(tx, &next)
	return nil, nil
}

// refusal says why the guard let a Tx not pass.
func (w *writer) refusal(tx *daruma.Tx) (verdict, err error) {
	r, err := w.row(tx.Run)
	if err != nil {
		return nil, err
	}
	const op = "sqlite.Commit"
	switch {
	case r == nil:
		return daruma.Fail(op, daruma.KindNotFound, "no run %s", tx.Run), nil
	case r.state == daruma.Quarantined:
		return daruma.Fail(op, daruma.KindCorrupt, "run %s is quarantined", tx.Run), nil
	case r.epoch != tx.Epoch:
		return daruma.Fail(op, daruma.KindFenced, "run %s has epoch %d, not %d", tx.Run, r.epoch, tx.Epoch), nil
	case r.state.Finished():
		return daruma.Fail(op, daruma.KindConflict, "run %s is over: %s", tx.Run, r.state), nil
	case r.node == "":
		return daruma.Fail(op, daruma.KindFenced, "run %s was released: claim it first", tx.Run), nil
	case r.head != tx.Head:
		return daruma.Fail(op, daruma.KindConflict, "run %s has head %d, not %d", tx.Run, r.head, tx.Head), nil
	}
	return daruma.Fail(op, daruma.KindCorrupt, "run %s: its row is not what was written", tx.Run), nil
}

// chain returns the hashes of the Tx's events and the seq of the last
// checkpoint among them, 0 for none.
func chain(prev daruma.Digest, tx *daruma.Tx, head int64) (hashes []daruma.Digest, checkpoint int64) {
	hashes = make([]daruma.Digest, len(tx.Events))
	for i, e := range tx.Events {
		e.Seq = head + int64(i) + 1
		prev = daruma.Chain(prev, tx.Tenant, tx.Run, e)
		hashes[i] = prev
		if e.Kind == daruma.KindCheckpoint {
			checkpoint = e.Seq
		}
	}
	return hashes, checkpoint
}

// append inserts events behind head.
func (w *writer) append(n int64, events []daruma.Event, hashes []daruma.Digest, head int64) error {
	for i := range events {
		e := &events[i]
		if _, err := w.conn.exec(`INSERT INTO event (run, seq, kind, time, actor, payload, hash) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			n, head+int64(i)+1, string(e.Kind), e.Time.UnixMicro(), string(e.Actor), blob(e.Payload), hashes[i][:]); err != nil {
			return err
		}
		w.fresh += len(e.Payload) >> 12
	}
	return nil
}

// settle remembers the run as it is now, or forgets it where it rests.
func (w *writer) settle(tx *daruma.Tx, r *row) {
	if r.node == "" || r.state.Finished() {
		delete(w.rows, tx.Run)
		return
	}
	w.remember(tx.Run, r)
}

// finish voids what waits for a run that is over.
func (w *writer) finish(tx *daruma.Tx) error {
	if tx.Run == "" || !tx.State.Finished() {
		return nil
	}
	posts, err := w.conn.all(`SELECT topic, key FROM post WHERE run = ? AND tenant = ? AND folded = 0`, string(tx.Run), string(tx.Tenant))
	if err != nil {
		return err
	}
	for _, v := range posts {
		topic, key := text(v[0]), text(v[1])
		if _, err := w.conn.exec(`UPDATE post SET folded = -1, mark = ? WHERE run = ? AND tenant = ? AND topic = ? AND key = ?`,
			postMark(tx.Run, tx.Tenant, topic, key, -1), string(tx.Run), string(tx.Tenant), topic, key); err != nil {
			return err
		}
	}
	_, err = w.close(`WHERE run = ? AND tenant = ? AND closed = 0`, string(tx.Run), string(tx.Tenant))
	return err
}
