package sqlite

import (
	"context"
	"sync"
	"sync/atomic"
)

// op is one call of Commit, Post or Claim on its way through the writer.
type op struct {
	write func(*writer) error // fills in the answer; an error here is the database's, not a verdict
	fail  func(error)         // answers with a failure instead

	ctx   context.Context
	state atomic.Int32
	done  chan struct{}
	wake  bool // set by write: Claim may have more to say
}

// States of an op. Exactly one side moves it out of opQueued: the writer takes
// it, or its caller, whose context ended, withdraws it. So a caller always
// knows whether its op took place.
const (
	opQueued int32 = iota
	opTaken
	opWithdrawn
)

// queue holds what callers want written until the writer comes for it.
type queue struct {
	ready chan struct{} // holds one value while the writer's goroutine is wanted

	mu     sync.Mutex
	ops    []*op
	spare  []*op
	closed bool
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// add appends an op; false after close.
func (q *queue) add(o *op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.ops = append(q.ops, o)
	return true
}

// take returns all ops there are. The slice is the caller's until the next take.
func (q *queue) take() []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	ops := q.ops
	q.ops, q.spare = q.spare[:0], ops
	return ops
}

// call wakes the writer's goroutine.
func (q *queue) call() { signal(q.ready) }

// close lets no more ops in.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.call()
}

// look returns how many ops wait and whether more may come.
func (q *queue) look() (left int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ops), q.closed
}
