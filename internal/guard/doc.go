// Package guard protects this process from a dependency that fails or stalls:
// a [Breaker] stops calling what keeps failing, a [Bulkhead] bounds how many
// calls are under way at once.
//
// Both are bricks: they know nothing of models or tools, start no goroutines,
// keep their state in memory only, and need no closing. A process that dies
// forgets what they learned.
//
//	breaker := guard.NewBreaker(guard.BreakerOptions{})
//	done, err := breaker.Allow()
//	if err != nil {
//		return err // *guard.OpenError: says when to come back
//	}
//	err = call()
//	done(err != nil)
//
// # Guarantees
//
// A half-open breaker lets exactly one probe through at a time. A call that
// began before the breaker changed its state does not count after the change.
// Time is taken from [time.Now] and timers only, so everything works inside a
// testing/synctest bubble.
//
// # What it does not do
//
// It does not retry, and it does not share state between processes.
package guard
