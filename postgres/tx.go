package postgres

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/daruma-run/daruma"
)

// maxTx bounds the bytes of one Tx; a message to the server has an end.
const maxTx = 256 << 20

// Commit implements [daruma.Journal]. The context is obeyed until the writer
// takes the Txs; from then on Commit waits for the verdicts, so that the
// outcome is always known, unless the journal stops.
func (d *DB) Commit(ctx context.Context, txs []daruma.Tx) []error {
	verdicts := make([]error, len(txs))
	o := newOp()
	o.items = items(txs, verdicts)
	if len(o.items) == 0 {
		return verdicts
	}
	d.submit(ctx, "postgres.Commit", o)
	for i := range txs {
		if verdicts[i] == nil && wakes(&txs[i]) {
			signal(d.wake)
			break
		}
	}
	return verdicts
}

// items returns the Txs that do not contradict themselves; the others get
// their verdict here.
func items(txs []daruma.Tx, verdicts []error) []item {
	var all []item
	for i := range txs {
		tx := &txs[i]
		if verdicts[i] = tx.Check(); verdicts[i] == nil {
			verdicts[i] = storable(tx)
		}
		if verdicts[i] == nil {
			all = append(all, &txItem{tx: tx, verdict: &verdicts[i]})
		}
	}
	return all
}

// wakes reports whether the Tx may give Claim something to say.
func wakes(tx *daruma.Tx) bool {
	return len(tx.Posts) > 0 || tx.Run != "" && (tx.Head == 0 && tx.Node == "" || tx.Release && !tx.State.Finished())
}

// storable refuses what a column of text cannot hold. Payloads, blobs and
// approvals are bytes, and a note is mended instead.
func storable(tx *daruma.Tx) error {
	var bad error
	check := func(field, text string) {
		if bad == nil && (!utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0) {
			bad = daruma.Fail("postgres.Commit", daruma.KindInvalid, "%s %q of run %q: accepted is UTF-8 without a zero byte", field, text, tx.Run)
		}
	}
	check("tenant", string(tx.Tenant))
	check("run", string(tx.Run))
	check("type", string(tx.Type))
	check("name", tx.Name)
	check("node", tx.Node)
	size := 0
	for i := range tx.Events {
		e := &tx.Events[i]
		check("kind", string(e.Kind))
		check("actor", string(e.Actor))
		size += len(e.Payload)
	}
	for _, p := range tx.Folded {
		check("topic", p.Topic)
		check("key", p.Key)
	}
	for i := range tx.Keys {
		check("key", tx.Keys[i].Key)
	}
	for i := range tx.Approvals {
		check("approval", tx.Approvals[i].ID)
	}
	for _, id := range tx.Closed {
		check("approval", id)
	}
	for i := range tx.Spends {
		check("budget", tx.Spends[i].Budget)
		check("grant", tx.Spends[i].Grant)
		check("node", tx.Spends[i].Node)
	}
	for i := range tx.Blobs {
		size += len(tx.Blobs[i].Bytes)
	}
	for i := range tx.Posts {
		p := &tx.Posts[i]
		check("run of a post", string(p.Run))
		check("topic", p.Topic)
		check("key", p.Key)
		check("author", string(p.By))
		size += len(p.Payload)
	}
	if bad == nil && size > maxTx {
		bad = daruma.Fail("postgres.Commit", daruma.KindInvalid, "a Tx of run %q has %d bytes; accepted are %d", tx.Run, size, maxTx)
	}
	return bad
}

// noteOf is a note as a column of text can hold it.
func noteOf(tx *daruma.Tx) *string {
	note := strings.ToValidUTF8(strings.ReplaceAll(tx.Note, "\x00", "\uFFFD"), "\uFFFD")
	return &note
}

// txItem is one Tx on its way through a batch.
type txItem struct {
	tx      *daruma.Tx
	verdict *error
}

func (t *txItem) fail(err error) { *t.verdict = err }

func (t *txItem) size() int {
	n := 256
	for i := range t.tx.Events {
		n += 256 + len(t.tx.Events[i].Payload)
	}
	for i := range t.tx.Blobs {
		n += len(t.tx.Blobs[i].Bytes)
	}
	for i := range t.tx.Posts {
		n += 256 + len(t.tx.Posts[i].Payload)
	}
	return n
}

func (t *txItem) need(b *batch) {
	if t.tx.Run != "" {
		b.needRun(t.tx.Run)
		if t.tx.Head == 0 {
			b.fresh++
		}
	}
	for i := range t.tx.Posts {
		b.needRun(t.tx.Posts[i].Run)
	}
	b.needParts(t.tx)
}

func (t *txItem) write(b *batch) {
	*t.verdict = b.tx(t.tx)
	b.settle(*t.verdict)
}

// tx decides one Tx, all or nothing: its run first, then the parts that can be
// taken back, and what cannot be refused last.
func (b *batch) tx(tx *daruma.Tx) error {
	var c *change
	if tx.Run != "" {
		c = b.run(tx.Run)
		check := b.mayAdvance
		if tx.Head == 0 {
			check = b.mayStart
		}
		if err := check(c, tx); err != nil {
			return err
		}
	}
	for _, part := range [...]func(*daruma.Tx) error{b.claimKeys, b.openApprovals, b.fold, b.spends} {
		if err := part(tx); err != nil {
			return err
		}
	}
	for i := range tx.Blobs {
		x := &tx.Blobs[i]
		b.blobs.tenants = append(b.blobs.tenants, string(tx.Tenant))
		b.blobs.digests, b.blobs.bytes = append(b.blobs.digests, x.Digest[:]), append(b.blobs.bytes, blob(x.Bytes))
	}
	for i := range tx.Posts {
		// One that nobody takes is dropped: its sender does not depend on it.
		p := &tx.Posts[i]
		to := b.run(p.Run)
		if known := to.exists || to.started; !known || to.is.tenant == p.Tenant && !to.is.state.Finished() && to.is.state != daruma.Quarantined {
			b.messages = append(b.messages, p)
		}
	}
	switch {
	case c == nil:
		return nil
	case tx.Head == 0:
		b.start(c, tx)
	default:
		b.advance(c, tx)
	}
	if tx.State.Finished() {
		b.finished.tenants, b.finished.runs = append(b.finished.tenants, string(tx.Tenant)), append(b.finished.runs, string(tx.Run))
	}
	return nil
}

func (b *batch) mayStart(c *change, tx *daruma.Tx) error {
	if c.exists || c.started {
		return daruma.Fail("postgres.Commit", daruma.KindExists, "run %s exists already", tx.Run)
	}
	return nil
}

// start creates the run of a Tx with Head 0.
func (b *batch) start(c *change, tx *daruma.Tx) {
	hashes, checkpoint := chain(daruma.Digest{}, tx, 0)
	last := len(tx.Events) - 1
	next := row{n: b.ns[0], tenant: tx.Tenant, state: tx.State, head: int64(last + 1), wakeAt: micros(tx.WakeAt), hash: hashes[last]}
	b.ns = b.ns[1:]
	if tx.Node != "" {
		next.epoch = 1
	}
	if !tx.Release {
		next.node = tx.Node
	}
	c.started, c.typ, c.name, c.note = true, string(tx.Type), tx.Name, noteOf(tx)
	c.begun, c.updated, c.checkpoint = tx.Events[0].Time.UnixMicro(), tx.Events[last].Time.UnixMicro(), checkpoint
	b.set(c, next)
	b.append(next.n, tx.Events, hashes, 0)
}

// mayAdvance says why a Tx with a Head cannot be. What it lets pass is checked
// again by the statement that writes.
func (b *batch) mayAdvance(c *change, tx *daruma.Tx) error {
	const op = "postgres.Commit"
	r := &c.is
	switch {
	case !c.exists && !c.started, r.tenant != tx.Tenant:
		return daruma.Fail(op, daruma.KindNotFound, "no run %s", tx.Run)
	case r.state == daruma.Quarantined:
		return daruma.Fail(op, daruma.KindCorrupt, "run %s is quarantined", tx.Run)
	case r.epoch != tx.Epoch:
		return daruma.Fail(op, daruma.KindFenced, "run %s has epoch %d, not %d", tx.Run, r.epoch, tx.Epoch)
	case r.state.Finished():
		return daruma.Fail(op, daruma.KindConflict, "run %s is over: %s", tx.Run, r.state)
	case r.node == "":
		return daruma.Fail(op, daruma.KindFenced, "run %s was released: claim it first", tx.Run)
	case r.head != tx.Head:
		return daruma.Fail(op, daruma.KindConflict, "run %s has head %d, not %d", tx.Run, r.head, tx.Head)
	case r.broken:
		return daruma.Fail(op, daruma.KindCorrupt, "run %s: its row is not what was written", tx.Run)
	}
	return nil
}

// advance appends to the run of a Tx with a Head.
func (b *batch) advance(c *change, tx *daruma.Tx) {
	hashes, checkpoint := chain(c.is.hash, tx, tx.Head)
	next := c.is
	next.head, next.state, next.wakeAt = tx.Head+int64(len(tx.Events)), tx.State, micros(tx.WakeAt)
	if last := len(tx.Events) - 1; last >= 0 {
		next.hash = hashes[last]
		c.updated = max(c.updated, tx.Events[last].Time.UnixMicro())
	}
	if tx.Release {
		next.node = ""
	}
	c.note, c.checkpoint = noteOf(tx), max(c.checkpoint, checkpoint)
	b.set(c, next)
	b.append(next.n, tx.Events, hashes, tx.Head)
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
