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
	ready chan struct{} // holds one value while ops may be non-empty

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
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return true
}

// take returns all ops there are. The slice is the caller's until its next take.
func (q *queue) take() (ops []*op, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ops, q.ops, q.spare = q.ops, q.spare[:0], q.ops
	return ops, q.closed
}

// close lets no more ops in and wakes the writer.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
