package route

import (
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/internal/guard"
)

// Failing reports whether work should rather begin with another target: its
// breaker is open, or it has failed several times in a row and has not answered
// for long enough since. What is no sign of an ill target for its breaker counts
// here where asking is of no use all the same: a wrong key, money used up, a
// model that is not there, "later". A target that does not exist is failing.
func (t *Table) Failing(target string) bool {
	l := t.lanes[target]
	return l == nil || l.health.Ill() || l.breaker.State() == guard.Open
}

// Admit reports whether a piece of work that begins now may begin with the
// target: while it is failing now and then, as a trial, unless its breaker is
// open. Enough trials that succeed make it well again.
func (t *Table) Admit(target string, now time.Time) bool {
	l := t.lanes[target]
	return l != nil && l.breaker.State() != guard.Open && l.health.Admit(now)
}

// useless reports whether a failure says nothing about the health of a target,
// but that asking it again is of no use for now.
func useless(err error) bool {
	switch daruma.KindOf(err) {
	case daruma.KindRateLimited, daruma.KindQuota, daruma.KindUnauthorized, daruma.KindNotFound, daruma.KindDenied:
		return true
	}
	return false
}
