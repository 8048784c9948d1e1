package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
)

// ErrFull matches every [FullError].
var ErrFull = errors.New("too many calls at once")

// FullError says that no place became free in time. It matches [ErrFull] in
// [errors.Is].
type FullError struct {
	Limit  int           // how many calls may be under way
	Waited time.Duration // how long the caller waited for a place
}

// Error names the limit and the wait.
func (e *FullError) Error() string {
	return fmt.Sprintf("%v: all %d places were taken for %v", ErrFull, e.Limit, e.Waited)
}

// Is reports whether target is [ErrFull].
func (e *FullError) Is(target error) bool { return target == ErrFull }

// BulkheadOptions configure a [Bulkhead]. The zero value works.
type BulkheadOptions struct {
	// Limit is how many calls may be under way at once. Zero means 8.
	Limit int
	// Wait is how long a call waits for a place. Zero means not at all.
	Wait time.Duration
}

// Bulkhead bounds how many calls are under way at once, so that one slow
// dependency cannot take every goroutine. Make one with [NewBulkhead]. It is
// safe for concurrent use.
type Bulkhead struct {
	limit  int
	wait   time.Duration
	places bulkhead.Bulkhead[any]
}

// NewBulkhead returns an empty bulkhead.
func NewBulkhead(options BulkheadOptions) *Bulkhead {
	limit := options.Limit
	if limit <= 0 {
		limit = 8
	}
	return &Bulkhead{limit: limit, wait: max(options.Wait, 0), places: bulkhead.New[any](uint(limit))}
}

// Acquire takes a place, waiting for one as long as the options say. The
// place is given back by release, which may be called more than once. The
// error is a [*FullError] where none became free, or the cause of ctx.
func (b *Bulkhead) Acquire(ctx context.Context) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := b.places.AcquirePermitWithMaxWait(ctx, b.wait); err != nil {
		if errors.Is(err, bulkhead.ErrFull) {
			return nil, &FullError{Limit: b.limit, Waited: b.wait}
		}
		return nil, context.Cause(ctx)
	}
	return sync.OnceFunc(b.places.ReleasePermit), nil
}
