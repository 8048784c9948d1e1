package darumatest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
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
		verdicts[i] = m.commit(&txs[i])
	}
	return verdicts
}

// commit checks everything first and changes afterwards, so that a Tx is all
// or nothing.
func (m *Memory) commit(tx *daruma.Tx) error {
	r, err := m.owned(tx)
	if err != nil {
		return err
	}
	if err := m.checkRows(tx, r); err != nil {
		return err
	}
	if tx.Run != "" {
		m.append(tx, r)
	}
	for _, k := range tx.Keys {
		m.store.keys[tenantKey{tx.Tenant, k.Key}] = keyHolder{tx.Run, k.Fingerprint, k.Until}
	}
	for _, b := range tx.Blobs {
		m.store.blobs[tenantBlob{tx.Tenant, b.Digest}] = bytes.Clone(b.Bytes)
	}
	for _, s := range tx.Spends {
		m.spend(s)
	}
	return nil
}

// owned returns the record the Tx belongs to: nil for a new run or for none.
func (m *Memory) owned(tx *daruma.Tx) (*record, error) {
	if tx.Run == "" {
		if len(tx.Events) > 0 || tx.Head != 0 || len(tx.Folded)+len(tx.Approvals)+len(tx.Closed) > 0 {
			return nil, daruma.Fail(opCommit, daruma.KindInvalid, "a Tx without a run has rows of a run")
		}
		return nil, nil
	}
	if err := tx.Run.Check(); err != nil {
		return nil, err
	}
	r := m.store.runs[tx.Run]
	switch {
	case tx.Head == 0 && r != nil:
		return nil, daruma.Fail(opCommit, daruma.KindExists, "run %s exists already", tx.Run)
	case tx.Head == 0 && (len(tx.Events) == 0 || tx.Type == ""):
		return nil, daruma.Fail(opCommit, daruma.KindInvalid, "a new run %s needs a type and an event", tx.Run)
	case tx.Head == 0:
		return nil, nil
	case r == nil || r.info.Tenant != tx.Tenant:
		return nil, daruma.Fail(opCommit, daruma.KindNotFound, "no run %s", tx.Run)
	case r.info.Epoch != tx.Epoch || r.info.Node == "":
		return nil, daruma.Fail(opCommit, daruma.KindFenced, "run %s: epoch %d is not its %d, or it was released", tx.Run, tx.Epoch, r.info.Epoch)
	case r.info.Head != tx.Head:
		return nil, daruma.Fail(opCommit, daruma.KindConflict, "run %s: head %d is not its %d", tx.Run, tx.Head, r.info.Head)
	}
	return r, nil
}

func (m *Memory) checkRows(tx *daruma.Tx, r *record) error {
	now := time.Time{}
	if len(tx.Events) > 0 {
		now = tx.Events[0].Time
	}
	for _, k := range tx.Keys {
		if held, ok := m.store.keys[tenantKey{tx.Tenant, k.Key}]; ok && (held.until.IsZero() || now.Before(held.until)) {
			taken := &daruma.KeyTaken{Key: k.Key, Run: held.run, Same: held.fingerprint == k.Fingerprint}
			kind := daruma.KindConflict
			if taken.Same {
				kind = daruma.KindExists
			}
			return &daruma.Failure{Op: opCommit, Kind: kind, Err: taken}
		}
	}
	for _, b := range tx.Blobs {
		if daruma.DigestOf(b.Bytes) != b.Digest {
			return daruma.Fail(opCommit, daruma.KindInvalid, "a blob does not match its digest %s", b.Digest)
		}
	}
	drawn := maps.Clone(m.store.drawn)
	for _, s := range tx.Spends {
		if s.Amount < 0 {
			return daruma.Fail(opCommit, daruma.KindInvalid, "amount %d of grant %s is negative", s.Amount, s.Grant)
		}
		if s.Op != daruma.SpendDraw {
			continue
		}
		if drawn[s.Budget] = drawn[s.Budget].Plus(s.Amount); drawn[s.Budget] > s.Limit {
			return daruma.Fail(opCommit, daruma.KindExhausted, "budget %s: %s of %s are drawn", s.Budget, drawn[s.Budget], s.Limit)
		}
	}
	if r == nil {
		return nil
	}
	for _, id := range tx.Folded {
		if !slices.ContainsFunc(r.posts, func(p daruma.Post) bool { return p.Topic == id.Topic && p.Key == id.Key }) {
			return daruma.Fail(opCommit, daruma.KindInvalid, "post %s/%s of run %s is not waiting", id.Topic, id.Key, tx.Run)
		}
	}
	return nil
}

// append adds the events and everything that stands in the run's own record.
func (m *Memory) append(tx *daruma.Tx, r *record) {
	if r == nil {
		r = m.create(tx)
	}
	for _, e := range tx.Events {
		r.append(e)
	}
	r.info.State, r.info.WakeAt, r.info.Note = tx.State, tx.WakeAt, tx.Note
	if tx.Release {
		r.info.Node = ""
	}
	for _, id := range tx.Folded {
		r.folded[id] = true
	}
	r.posts = slices.DeleteFunc(r.posts, func(p daruma.Post) bool { return r.folded[daruma.PostID{Topic: p.Topic, Key: p.Key}] })
	r.approvals = append(r.approvals, tx.Approvals...)
	r.approvals = slices.DeleteFunc(r.approvals, func(a daruma.Approval) bool { return slices.Contains(tx.Closed, a.ID) })
	if r.info.Node == "" && !r.info.State.Finished() {
		m.ring()
	}
}

func (m *Memory) create(tx *daruma.Tx) *record {
	r := &record{folded: map[daruma.PostID]bool{}, info: daruma.RunInfo{
		ID: tx.Run, Tenant: tx.Tenant, Type: tx.Type, Name: tx.Name, Started: tx.Events[0].Time,
	}}
	if tx.Node != "" {
		r.info.Node, r.info.Epoch = tx.Node, 1
	}
	for _, p := range m.store.early[tx.Run] {
		r.posts = append(r.posts, p)
		defer m.ring()
	}
	delete(m.store.early, tx.Run)
	m.store.runs[tx.Run] = r
	m.store.order = append(m.store.order, tx.Run)
	return r
}

func (r *record) append(e daruma.Event) {
	var prev daruma.Digest
	if n := len(r.hashes); n > 0 {
		prev = r.hashes[n-1]
	}
	e.Seq = r.info.Head + 1
	e.Payload = bytes.Clone(e.Payload)
	r.info.Head, r.info.Updated = e.Seq, e.Time
	r.events = append(r.events, e)
	r.hashes = append(r.hashes, daruma.Chain(prev, r.info.Tenant, r.info.ID, e))
}

func (m *Memory) spend(s daruma.Spend) {
	switch s.Op {
	case daruma.SpendDraw:
		m.store.drawn[s.Budget] = m.store.drawn[s.Budget].Plus(s.Amount)
		m.store.grants[s.Grant] += s.Amount
	case daruma.SpendSettle:
		m.store.grants[s.Grant] -= s.Amount
	case daruma.SpendRelease:
		m.store.drawn[s.Budget] -= s.Amount
		delete(m.store.grants, s.Grant)
	}
}

// Claim is [daruma.Journal.Claim].
func (m *Memory) Claim(ctx context.Context, c daruma.Claim) (daruma.Claims, error) {
	var out daruma.Claims
	if c.Node == "" {
		return out, daruma.Fail("memory.Claim", daruma.KindInvalid, "node is empty; accepted: any name")
	}
	if err := m.lock(ctx, "memory.Claim"); err != nil {
		return out, err
	}
	defer m.mu.Unlock()
	most := cmp.Or(c.Max, 1000)
	for _, id := range m.store.order {
		r := m.store.runs[id]
		switch {
		case c.Type != "" && r.info.Type != c.Type, r.info.State.Finished(), r.info.State == daruma.Quarantined:
		case r.info.Node == c.Node:
			out.Posts = append(out.Posts, r.posts...)
		case r.info.Node != "":
		case !r.due(c.Now):
			if at := r.info.WakeAt; !at.IsZero() && (out.Next.IsZero() || at.Before(out.Next)) {
				out.Next = at
			}
		case len(out.Runs) == most:
			out.More = true
		default:
			out.Runs = append(out.Runs, r.claim(c))
		}
	}
	return out, nil
}

// due says whether somebody should take the run now.
func (r *record) due(now time.Time) bool {
	return r.info.State == daruma.Running || len(r.posts) > 0 || !r.info.WakeAt.IsZero() && !r.info.WakeAt.After(now)
}

func (r *record) claim(c daruma.Claim) daruma.Claimed {
	r.info.Epoch++
	r.info.Node = c.Node
	c.Epoch = r.info.Epoch
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err) // three plain fields always encode
	}
	r.append(daruma.Event{Kind: daruma.KindClaimed, Actor: daruma.Actor("node:" + c.Node), Time: c.Now.UTC().Truncate(time.Microsecond), Payload: payload})
	from := 0
	for i, e := range r.events {
		if e.Kind == daruma.KindCheckpoint {
			from = i
		}
	}
	return daruma.Claimed{Run: r.info, Events: slices.Clone(r.events[from:]), Posts: slices.Clone(r.posts)}
}
