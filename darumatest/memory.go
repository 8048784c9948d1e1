package darumatest

import (
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

	mu    sync.Mutex // guards down and everything in store
	down  error
	store *store
}

var _ daruma.Journal = (*Memory)(nil)

// store is what survives a crash.
type store struct {
	runs   map[daruma.RunID]*record
	order  []daruma.RunID // by creation
	early  map[daruma.RunID][]daruma.Post
	keys   map[tenantKey]keyHolder
	blobs  map[tenantBlob][]byte
	drawn  map[string]daruma.Money // per budget
	grants map[string]daruma.Money
}

type tenantKey struct {
	tenant daruma.Tenant
	key    string
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

type record struct {
	info      daruma.RunInfo
	events    []daruma.Event
	hashes    []daruma.Digest
	posts     []daruma.Post // unfolded, oldest first
	folded    map[daruma.PostID]bool
	approvals []daruma.Approval
}

// NewMemory returns an empty journal.
func NewMemory() *Memory {
	return &Memory{
		wake: make(chan struct{}, 1),
		store: &store{
			runs:   map[daruma.RunID]*record{},
			early:  map[daruma.RunID][]daruma.Post{},
			keys:   map[tenantKey]keyHolder{},
			blobs:  map[tenantBlob][]byte{},
			drawn:  map[string]daruma.Money{},
			grants: map[string]daruma.Money{},
		},
	}
}

// Crash makes every later call on m fail with KindDown, as if its process had
// been killed, and returns a journal over what m had acknowledged, in which no
// node holds any run.
func (m *Memory) Crash() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = daruma.Fail("memory", daruma.KindDown, "%w", errCrashed)
	for _, r := range m.store.runs {
		r.info.Node = ""
	}
	next := &Memory{wake: make(chan struct{}, 1), store: m.store}
	next.wake <- struct{}{}
	return next
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

// Post is [daruma.Journal.Post].
func (m *Memory) Post(ctx context.Context, p daruma.Post) (bool, error) {
	const op = "memory.Post"
	if err := p.Run.Check(); err != nil {
		return false, err
	}
	if err := m.lock(ctx, op); err != nil {
		return false, err
	}
	defer m.mu.Unlock()
	same := func(q daruma.Post) bool { return q.Topic == p.Topic && q.Key == p.Key }
	r := m.store.runs[p.Run]
	if r == nil {
		if slices.ContainsFunc(m.store.early[p.Run], same) {
			return false, nil
		}
		m.store.early[p.Run] = append(m.store.early[p.Run], p)
		return true, nil
	}
	if r.folded[daruma.PostID{Topic: p.Topic, Key: p.Key}] || slices.ContainsFunc(r.posts, same) {
		return false, nil
	}
	if r.info.State.Finished() {
		return false, daruma.Fail(op, daruma.KindConflict, "run %s is %s: nothing can be posted to it", p.Run, r.info.State)
	}
	r.posts = append(r.posts, p)
	m.ring()
	return true, nil
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
		case (q.Tenant == "" || info.Tenant == q.Tenant) && (q.Name == "" || info.Name == q.Name) &&
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
		events, hashes := r.events, r.hashes
		m.mu.Unlock()
		var prev daruma.Digest
		for i, e := range events {
			if daruma.Chain(prev, r.info.Tenant, id, e) != hashes[i] {
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
	return b, nil
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
