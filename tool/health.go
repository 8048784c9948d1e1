package tool

import (
	"time"

	"github.com/daruma-run/daruma/internal/guard"
)

// Recovery says when a tool counts as failing and when as well again. The zero
// Recovery is three failures in a row, then three successes over 30 seconds at
// least.
type Recovery = guard.HealthOptions

// Failing reports whether another tool should rather be called: the breaker of
// this one is open, or it has failed several times in a row and has not worked
// for long enough since. Arguments that were wrong do not count. A tool that
// does not exist is failing.
func (s *Set) Failing(tool string) bool {
	m := s.byName[tool]
	return m == nil || m.health.Ill() || m.breaker.State() == guard.Open
}

// Admit reports whether a piece of work that begins now may call the tool:
// while it is failing now and then, as a trial, unless its breaker is open.
// Enough calls that succeed make it well again.
func (s *Set) Admit(tool string, now time.Time) bool {
	m := s.byName[tool]
	return m != nil && m.breaker.State() != guard.Open && m.health.Admit(now)
}
