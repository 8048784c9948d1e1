package postgres

import (
	"sync"
	"sync/atomic"
)

// item is one thing that is all or nothing: a Tx, or the claim of one run.
type item interface {
	// need says what of the database write wants to know.
	need(*batch)
	// write decides and answers, and adds to the batch what must be written.
	write(*batch)
	// fail answers with a failure instead.
	fail(error)
	// size is roughly how many bytes write adds.
	size() int
}

// op is one call of Commit or Claim on its way through the writer.
type op struct {
	items []item
	state atomic.Int32
	done  chan struct{}
}

func (o *op) fail(err error) {
	for _, i := range o.items {
		i.fail(err)
	}
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

// Bounds of one transaction, so that one message to the server stays small.
const (
	maxBatchItems = 4096
	maxBatchBytes = 16 << 20
)

// take returns the oldest ops, as many as fit into one transaction and at
// least one where there is one. Only the writer calls it.
func (q *queue) take() []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, size, n := 0, 0, 0
	for n < len(q.ops) {
		items += len(q.ops[n].items)
		for _, i := range q.ops[n].items {
			size += i.size()
		}
		if n > 0 && (items > maxBatchItems || size > maxBatchBytes) {
			break
		}
		n++
	}
	ops := q.ops[:n:n]
	q.ops = q.ops[n:]
	if len(q.ops) == 0 {
		q.ops = nil
	}
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

// signal puts a value into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
