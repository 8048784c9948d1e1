package guard

import (
	"cmp"
	"sync"
	"time"
)

// HealthOptions configure a [Health]. The zero value works.
type HealthOptions struct {
	// Failures is how many in a row make a dependency ill. Zero means 3.
	Failures int
	// Successes is how many in a row it takes to be well again, at least. Zero
	// means 3.
	Successes int
	// Over is how long these successes must go on, at least. Zero means 30
	// seconds.
	Over time.Duration
}

func (o HealthOptions) filled() HealthOptions {
	o.Failures = cmp.Or(max(o.Failures, 0), 3)
	o.Successes = cmp.Or(max(o.Successes, 0), 3)
	o.Over = cmp.Or(max(o.Over, 0), 30*time.Second)
	return o
}

// Health remembers whether work should begin with a dependency or beside it. A
// [Breaker] comes back with one good probe, within seconds; Health takes several
// over some time, so that work does not swing to and fro with a dependency that
// does. Make one with [NewHealth]. It is safe for concurrent use.
type Health struct {
	options HealthOptions

	mu    sync.Mutex
	ill   bool
	row   int       // failures in a row
	wins  int       // successes in a row, while ill
	first time.Time // of these
	trial time.Time // when work was let through last, while ill
}

// NewHealth returns the health of a dependency of which nothing bad is known.
func NewHealth(options HealthOptions) *Health { return &Health{options: options.filled()} }

// Record takes in how a call ended. It reports whether the dependency is well
// again with it: a breaker of it may forget what it has counted.
func (h *Health) Record(now time.Time, failed bool) (recovered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if failed {
		h.wins = 0
		if h.row++; h.row >= h.options.Failures && !h.ill {
			h.ill, h.trial = true, now
		}
		return false
	}
	h.row = 0
	if !h.ill {
		return false
	}
	if h.wins == 0 {
		h.first = now
	}
	h.wins++
	if h.wins >= h.options.Successes && now.Sub(h.first) >= h.options.Over {
		h.ill, h.wins = false, 0
		return true
	}
	return false
}

// Ill reports whether work should begin elsewhere.
func (h *Health) Ill() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ill
}

// Admit reports whether a piece of work may begin with the dependency: always
// while it is well; while it is ill now and then, so that there is something to
// succeed.
func (h *Health) Admit(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ill {
		return true
	}
	if now.Sub(h.trial) < h.options.Over/time.Duration(h.options.Successes) {
		return false
	}
	h.trial = now
	return true
}
