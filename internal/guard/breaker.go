package guard

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// ErrOpen matches every [OpenError].
var ErrOpen = errors.New("breaker is open")

// OpenError says that a call was not let through. It matches [ErrOpen] in
// [errors.Is].
type OpenError struct {
	// RetryAfter is when the next call may be let through, from now. Zero
	// means that nobody knows: a probe is under way, or the breaker was
	// tripped until [Breaker.Reset].
	RetryAfter time.Duration
}

// Error says how long to wait.
func (e *OpenError) Error() string {
	if e.RetryAfter <= 0 {
		return ErrOpen.Error()
	}
	return fmt.Sprintf("%v, next try in %v", ErrOpen, e.RetryAfter.Round(time.Millisecond))
}

// Is reports whether target is [ErrOpen].
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// BreakerOptions configure a [Breaker]. The zero value works.
type BreakerOptions struct {
	// Rate is the share of failures that opens the breaker. Zero means 0.25;
	// values above 1 count as 1.
	Rate float64
	// Calls is how many calls within Window it takes to judge at all. Zero
	// means 10.
	Calls uint
	// Window is how far back calls count. Zero means one minute.
	Window time.Duration
	// Delay is how long the breaker stays open before one probe is let
	// through. Zero means 15 seconds.
	Delay time.Duration
}

func (o BreakerOptions) filled() BreakerOptions {
	if !(o.Rate > 0) { // NaN as well
		o.Rate = 0.25
	}
	o.Rate = min(o.Rate, 1)
	if o.Calls == 0 {
		o.Calls = 10
	}
	if o.Window <= 0 {
		o.Window = time.Minute
	}
	if o.Delay <= 0 {
		o.Delay = 15 * time.Second
	}
	return o
}

// Breaker stops calls to a dependency that fails too often. Closed, it lets
// everything through and counts; open, it refuses; half-open, it lets one
// probe through, whose result closes or reopens it. Make one with
// [NewBreaker]. It is safe for concurrent use.
type Breaker struct {
	delay time.Duration

	mu      sync.Mutex
	circuit circuitbreaker.CircuitBreaker[any]
	era     uint64    // grows with every change of state
	probe   time.Time // when the last probe was let through
	tripped bool
	until   time.Time // end of a trip; zero means until Reset
}

// NewBreaker returns a closed breaker.
func NewBreaker(options BreakerOptions) *Breaker {
	o := options.filled()
	b := &Breaker{delay: o.Delay}
	b.circuit = circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(o.Rate, o.Calls, o.Window).
		WithSuccessThreshold(1).
		WithDelay(o.Delay).
		// The circuit is only touched with b.mu held, so the listener is
		// called with it held too.
		OnStateChanged(func(circuitbreaker.StateChangedEvent) { b.era++ }).
		Build()
	return b
}

// Allow asks to make a call. The error is an [*OpenError] where it may not be
// made. Otherwise done must be called once with whether the dependency failed;
// further calls of it do nothing.
//
// A done that is never called, because the call says nothing about the
// dependency, counts for nothing. The place of such a probe is given to
// another call after the delay of the breaker.
func (b *Breaker) Allow() (done func(failed bool), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.admit(time.Now()); err != nil {
		return nil, err
	}
	era := b.era
	return func(failed bool) { b.record(&era, failed) }, nil
}

// admit decides on one call. It is called with mu held.
func (b *Breaker) admit(now time.Time) error {
	if b.tripped {
		if b.until.IsZero() {
			return &OpenError{}
		}
		if wait := b.until.Sub(now); wait > 0 {
			return &OpenError{RetryAfter: wait}
		}
		b.tripped = false
		b.circuit.HalfOpen()
	}
	if !b.circuit.TryAcquirePermit() {
		if !b.circuit.IsHalfOpen() {
			return &OpenError{RetryAfter: b.circuit.RemainingDelay()}
		}
		if wait := b.probe.Add(b.delay).Sub(now); wait > 0 {
			return &OpenError{RetryAfter: wait}
		}
		b.era++ // the last probe is lost: its result, if it ever comes, is stale
	}
	if b.circuit.IsHalfOpen() {
		b.probe = now
	}
	return nil
}

// record counts a result unless the state changed since the call was let
// through, or the result has been counted.
func (b *Breaker) record(era *uint64, failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if *era != b.era {
		return
	}
	*era = ^uint64(0)
	if failed {
		b.circuit.RecordFailure()
	} else {
		b.circuit.RecordSuccess()
	}
}

// States of a breaker, as [Breaker.State] gives them.
const (
	Closed   = "closed"
	Open     = "open"
	HalfOpen = "half-open"
)

// State returns [Closed], [Open] or [HalfOpen]. An open breaker whose delay is
// over is half-open.
func (b *Breaker) State() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.tripped && (b.until.IsZero() || b.until.After(now)):
		return Open
	case b.tripped, b.circuit.IsHalfOpen(), b.circuit.IsOpen() && b.circuit.RemainingDelay() == 0:
		return HalfOpen
	case b.circuit.IsOpen():
		return Open
	}
	return Closed
}

// Trip opens the breaker by hand for d, after which it is half-open: for a
// dependency that said itself when to come back. Zero means until
// [Breaker.Reset]: a switch for operators.
func (b *Breaker) Trip(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tripped, b.until = true, time.Time{}
	if d > 0 {
		b.until = time.Now().Add(d)
	}
	b.circuit.Open() // what is under way does not count any more
}

// Reset closes the breaker and forgets all counts and trips.
func (b *Breaker) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tripped, b.until = false, time.Time{}
	b.circuit.Open() // a closed circuit keeps its counts when closed again
	b.circuit.Close()
}
