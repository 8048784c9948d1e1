package darumatest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
)

var errCrashed = errors.New("the journal has crashed")

// Memory is a [daruma.Journal] that keeps everything in this process. It holds
// to the whole contract but the disk: what a nil verdict acknowledged is there
// until the process ends. It is meant for tests and the simulator, where
// [Memory.Crash] stands for a kill.
//
// All methods may be called at once from many goroutines.
type Memory struct {
	wake chan struct{}

	mu    sync.Mutex // guards down and everything in store and cache
	down  error
	store *store
	cache *cache // nil: every write is durable at once
}

var _ daruma.Journal = (*Memory)(nil)

// store is what survives a crash.
type store struct {
	runs      map[daruma.RunID]*record
	order     []daruma.RunID  // by creation
	posts     map[postID]bool // every post ever made; true: folded in, or void
	early     map[daruma.RunID][]daruma.Post
	keys      map[named]keyHolder
	blobs     map[tenantBlob][]byte
	approvals map[named]daruma.RunID // every id ever used
	spent     map[named]daruma.Money // per budget
	grants    map[named]grant
}

// named is a name that is unique per tenant.
type named struct {
	tenant daruma.Tenant
	name   string
}

type postID struct {
	tenant daruma.Tenant
	run    daruma.RunID
	daruma.PostID
}

type tenantBlob struct {
	tenant daruma.Tenant
	digest daruma.Digest
}

type keyHolder struct {
	run         daruma.RunID
	fingerprint daruma.Digest
	until       time.Time
}

type grant struct {
	budget, node   string
	drawn, settled daruma.Money
	closed         bool
}

// counts is what the grant takes from its budget.
func (g grant) counts() daruma.Money {
	if g.closed {
		return g.settled
	}
	return max(g.drawn, g.settled)
}

type record struct {
	info      daruma.RunInfo
	lost      bool // its last holder died holding it
	events    []daruma.Event
	hashes    []daruma.Digest
	posts     []daruma.Post // unfolded, oldest first
	approvals []daruma.Approval
}

// NewMemory returns an empty journal.
func NewMemory() *Memory {
	return &Memory{
		wake: make(chan struct{}, 1),
		store: &store{
			runs:      map[daruma.RunID]*record{},
			posts:     map[postID]bool{},
			early:     map[daruma.RunID][]daruma.Post{},
			keys:      map[named]keyHolder{},
			blobs:     map[tenantBlob][]byte{},
			approvals: map[named]daruma.RunID{},
			spent:     map[named]daruma.Money{},
			grants:    map[named]grant{},
		},
	}
}

// lock takes the mutex unless the journal is down or the context is done.
func (m *Memory) lock(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return &daruma.Failure{Op: op, Kind: daruma.KindOf(err), Err: err}
	}
	m.mu.Lock()
	if m.down != nil {
		m.mu.Unlock()
		return m.down
	}
	return nil
}

func (m *Memory) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Wake is [daruma.Journal.Wake].
func (m *Memory) Wake() <-chan struct{} { return m.wake }

// Post is [daruma.Journal.Post]. A post without a time gets the time of this
// call.
func (m *Memory) Post(ctx context.Context, p daruma.Post) (bool, error) {
	const op = "memory.Post"
	if err := p.Check(); err != nil {
		return false, err
	}
	if err := m.lock(ctx, op); err != nil {
		return false, err
	}
	defer m.mu.Unlock()
	if p.Time.IsZero() {
		p.Time = time.Now()
	}
	p.Time, p.Payload = stored(p.Time), bytes.Clone(p.Payload)
	fresh, err := m.post(p)
	if fresh {
		m.wrote(func(n *Memory) { n.post(p) })
	}
	return fresh, err
}

func (m *Memory) post(p daruma.Post) (bool, error) {
	const op = "memory.Post"
	id := postID{p.Tenant, p.Run, daruma.PostID{Topic: p.Topic, Key: p.Key}}
	if _, again := m.store.posts[id]; again {
		return false, nil
	}
	r := m.store.runs[p.Run]
	switch {
	case r == nil:
		m.store.early[p.Run] = append(m.store.early[p.Run], p)
	case r.info.Tenant != p.Tenant:
		return false, daruma.Fail(op, daruma.KindNotFound, "no run %s", p.Run)
	case r.info.State.Finished():
		return false, daruma.Fail(op, daruma.KindConflict, "run %s is over: %s", p.Run, r.info.State)
	case r.info.State == daruma.Quarantined:
		return false, daruma.Fail(op, daruma.KindCorrupt, "run %s is quarantined", p.Run)
	default:
		r.posts = append(r.posts, p)
		m.ring()
	}
	m.store.posts[id] = false
	return true, nil
}

// stored is t as a journal keeps it: in UTC, to the microsecond.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// Run is [daruma.Reader.Run].
func (m *Memory) Run(ctx context.Context, id daruma.RunID) (daruma.RunInfo, error) {
	r, err := m.record(ctx, "memory.Run", id)
	if err != nil {
		return daruma.RunInfo{}, err
	}
	defer m.mu.Unlock()
	return r.info, nil
}

// record returns the run with the mutex held, or an error without it.
func (m *Memory) record(ctx context.Context, op string, id daruma.RunID) (*record, error) {
	if err := m.lock(ctx, op); err != nil {
		return nil, err
	}
	if r := m.store.runs[id]; r != nil {
		return r, nil
	}
	m.mu.Unlock()
	return nil, daruma.Fail(op, daruma.KindNotFound, "no run %q", string(id))
}

// Runs is [daruma.Reader.Runs].
func (m *Memory) Runs(ctx context.Context, q daruma.Query) ([]daruma.RunInfo, error) {
	if err := m.lock(ctx, "memory.Runs"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	limit := cmp.Or(q.Limit, 100)
	var found []daruma.RunInfo
	past := q.Before == ""
	for _, id := range slices.Backward(m.store.order) {
		info := m.store.runs[id].info
		switch {
		case !past:
			past = id == q.Before
		case len(found) == limit:
			return found, nil
		case (q.Tenant == "" || info.Tenant == q.Tenant) && (q.Name == "" || info.Name == q.Name) && (q.Node == "" || info.Node == q.Node) && (q.Type == "" || info.Type == q.Type) &&
			(len(q.States) == 0 || slices.Contains(q.States, info.State)):
			found = append(found, info)
		}
	}
	return found, nil
}

// Events is [daruma.Reader.Events].
func (m *Memory) Events(ctx context.Context, id daruma.RunID, after int64) iter.Seq2[daruma.Event, error] {
	return func(yield func(daruma.Event, error) bool) {
		r, err := m.record(ctx, "memory.Events", id)
		if err != nil {
			yield(daruma.Event{}, err)
			return
		}
		events, hashes, tenant := r.events, r.hashes, r.info.Tenant
		m.mu.Unlock()
		var prev daruma.Digest
		for i, e := range events {
			if daruma.Chain(prev, tenant, id, e) != hashes[i] {
				yield(daruma.Event{}, daruma.Fail("memory.Events", daruma.KindCorrupt, "event %d of run %s does not match its hash", e.Seq, id))
				return
			}
			prev = hashes[i]
			if e.Seq > after && !yield(e, nil) {
				return
			}
		}
	}
}

// Blob is [daruma.Reader.Blob].
func (m *Memory) Blob(ctx context.Context, t daruma.Tenant, d daruma.Digest) ([]byte, error) {
	if err := m.lock(ctx, "memory.Blob"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	b, ok := m.store.blobs[tenantBlob{t, d}]
	if !ok {
		return nil, daruma.Fail("memory.Blob", daruma.KindNotFound, "no blob %s", d)
	}
	return bytes.Clone(b), nil
}

// Approvals is [daruma.Reader.Approvals].
func (m *Memory) Approvals(ctx context.Context, run daruma.RunID) ([]daruma.Approval, error) {
	if err := m.lock(ctx, "memory.Approvals"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var open []daruma.Approval
	for _, id := range m.store.order {
		if run == "" || run == id {
			open = append(open, m.store.runs[id].approvals...)
		}
	}
	return open, nil
}
