package darumatest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

const opCommit = "memory.Commit"

// Commit is [daruma.Journal.Commit].
func (m *Memory) Commit(ctx context.Context, txs []daruma.Tx) []error {
	verdicts := make([]error, len(txs))
	if err := m.lock(ctx, opCommit); err != nil {
		for i := range verdicts {
			verdicts[i] = err
		}
		return verdicts
	}
	defer m.mu.Unlock()
	for i := range txs {
		if verdicts[i] = m.commit(&txs[i]); verdicts[i] == nil {
			m.wroteTx(&txs[i])
		}
	}
	return verdicts
}

// commit checks everything first and changes afterwards, so that a Tx is all
// or nothing.
func (m *Memory) commit(tx *daruma.Tx) error {
	if err := tx.Check(); err != nil {
		return err
	}
	r, err := m.owned(tx)
	if err != nil {
		return err
	}
	changes := rows{}
	for _, check := range [...]func(*daruma.Tx, *rows) error{m.keys, m.approvals, m.folded, m.spends} {
		if err := check(tx, &changes); err != nil {
			return err
		}
	}
	m.store.put(tx, &changes)
	if tx.Run != "" {
		m.advance(tx, r)
	}
	for i := range tx.Posts {
		m.send(&tx.Posts[i])
	}
	return nil
}

// owned returns the record the Tx belongs to: nil for a new run or for none.
func (m *Memory) owned(tx *daruma.Tx) (*record, error) {
	r := m.store.runs[tx.Run]
	switch {
	case tx.Run == "":
		return nil, nil
	case tx.Head == 0 && r != nil:
		return nil, daruma.Fail(opCommit, daruma.KindExists, "run %s exists already", tx.Run)
	case tx.Head == 0:
		return nil, nil
	case r == nil || r.info.Tenant != tx.Tenant:
		return nil, daruma.Fail(opCommit, daruma.KindNotFound, "no run %s", tx.Run)
	case r.info.State == daruma.Quarantined:
		return nil, daruma.Fail(opCommit, daruma.KindCorrupt, "run %s is quarantined", tx.Run)
	case r.info.Epoch != tx.Epoch:
		return nil, daruma.Fail(opCommit, daruma.KindFenced, "run %s has epoch %d, not %d", tx.Run, r.info.Epoch, tx.Epoch)
	case r.info.State.Finished():
		return nil, daruma.Fail(opCommit, daruma.KindConflict, "run %s is over: %s", tx.Run, r.info.State)
	case r.info.Node == "":
		return nil, daruma.Fail(opCommit, daruma.KindFenced, "run %s was released: claim it first", tx.Run)
	case r.info.Head != tx.Head:
		return nil, daruma.Fail(opCommit, daruma.KindConflict, "run %s has head %d, not %d", tx.Run, r.info.Head, tx.Head)
	}
	return r, nil
}

// advance adds the events and everything else that stands in the run's record.
func (m *Memory) advance(tx *daruma.Tx, r *record) {
	if r == nil {
		r = m.create(tx)
	}
	for _, e := range tx.Events {
		r.append(e)
	}
	r.info.State, r.info.WakeAt, r.info.Note = tx.State, stored(tx.WakeAt), tx.Note
	if tx.Release {
		r.info.Node = ""
	}
	r.posts = slices.DeleteFunc(r.posts, func(p daruma.Post) bool { return slices.Contains(tx.Folded, daruma.PostID{Topic: p.Topic, Key: p.Key}) })
	r.approvals = append(r.approvals, tx.Approvals...)
	r.approvals = slices.DeleteFunc(r.approvals, func(a daruma.Approval) bool { return slices.Contains(tx.Closed, a.ID) })
	if r.info.State.Finished() { // what waits for it is void
		r.posts, r.approvals = nil, nil
		return
	}
	if r.info.Node == "" {
		m.ring()
	}
}

// send stores a post of a Tx, unless it is there already or nobody takes it.
func (m *Memory) send(p *daruma.Post) {
	id := postID{p.Tenant, p.Run, daruma.PostID{Topic: p.Topic, Key: p.Key}}
	if _, again := m.store.posts[id]; again {
		return
	}
	sent := *p
	sent.Time, sent.Payload = stored(p.Time), bytes.Clone(p.Payload)
	switch r := m.store.runs[p.Run]; {
	case r == nil:
		m.store.early[p.Run] = append(m.store.early[p.Run], sent)
	case r.info.Tenant != p.Tenant, r.info.State.Finished(), r.info.State == daruma.Quarantined:
		return
	default:
		r.posts = append(r.posts, sent)
		m.ring()
	}
	m.store.posts[id] = false
}

// create adds the run of a Tx with Head 0, with the posts that came before it.
func (m *Memory) create(tx *daruma.Tx) *record {
	r := &record{info: daruma.RunInfo{
		ID: tx.Run, Tenant: tx.Tenant, Type: tx.Type, Name: tx.Name, Started: stored(tx.Events[0].Time),
	}}
	if tx.Node != "" {
		r.info.Node, r.info.Epoch = tx.Node, 1
	}
	for _, p := range m.store.early[tx.Run] {
		if p.Tenant == tx.Tenant {
			r.posts = append(r.posts, p)
			m.ring()
		}
	}
	delete(m.store.early, tx.Run)
	m.store.runs[tx.Run] = r
	m.store.order = append(m.store.order, tx.Run)
	return r
}

// append adds one event.
func (r *record) append(e daruma.Event) {
	var prev daruma.Digest
	if n := len(r.hashes); n > 0 {
		prev = r.hashes[n-1]
	}
	e.Seq, e.Time, e.Payload = r.info.Head+1, stored(e.Time), bytes.Clone(e.Payload)
	r.info.Head = e.Seq
	if e.Time.After(r.info.Updated) {
		r.info.Updated = e.Time
	}
	r.events = append(r.events, e)
	r.hashes = append(r.hashes, daruma.Chain(prev, r.info.Tenant, r.info.ID, e))
}

// rows are what a Tx changes besides its run, once all of it is accepted.
type rows struct {
	keys   map[named]keyHolder
	spent  map[named]daruma.Money
	grants map[named]grant
}

// put makes the changes of an accepted Tx that stand outside its run's record.
func (s *store) put(tx *daruma.Tx, rows *rows) {
	maps.Copy(s.keys, rows.keys)
	maps.Copy(s.spent, rows.spent)
	maps.Copy(s.grants, rows.grants)
	for _, a := range tx.Approvals {
		s.approvals[named{tx.Tenant, a.ID}] = tx.Run
	}
	for _, id := range tx.Folded {
		s.posts[postID{tx.Tenant, tx.Run, id}] = true
	}
	for _, b := range tx.Blobs {
		s.blobs[tenantBlob{tx.Tenant, b.Digest}] = bytes.Clone(b.Bytes)
	}
}

// keys checks the claims of keys. Whether a key has expired is judged by the
// clock of this process.
func (m *Memory) keys(tx *daruma.Tx, rows *rows) error {
	now := time.Now()
	rows.keys = map[named]keyHolder{}
	for _, k := range tx.Keys {
		key := named{tx.Tenant, k.Key}
		held, ok := rows.keys[key]
		if !ok {
			held, ok = m.store.keys[key]
		}
		if ok && (held.until.IsZero() || held.until.After(now)) {
			kind := daruma.KindConflict
			taken := &daruma.KeyTaken{Key: k.Key, Run: held.run, Same: held.fingerprint == k.Fingerprint}
			if taken.Same {
				kind = daruma.KindExists
			}
			return &daruma.Failure{Op: opCommit, Kind: kind, Err: taken}
		}
		rows.keys[key] = keyHolder{tx.Run, k.Fingerprint, k.Until}
	}
	return nil
}
