package darumatest

import (
	"context"
	"sync"

	"github.com/daruma-run/daruma"
)

// Fault is a [daruma.Journal] whose Nth write fails: a Commit, Post or Claim,
// counted together from 1. Reads are those of the journal beneath. All methods
// may be called at once from many goroutines; set the fields before the first.
type Fault struct {
	daruma.Journal

	// At is the write that fails. Zero means none.
	At int

	// Kind is that of the failure; zero means KindDown.
	Kind daruma.Kind

	// After lets the write take effect before the caller is told that it
	// failed, as when a process dies between the disk and the answer.
	After bool

	// Stay fails every later write as well, without effect, as a journal does
	// whose sync has failed.
	Stay bool

	mu     sync.Mutex
	writes int
}

var _ daruma.Journal = (*Fault)(nil)

// Writes returns how many writes there have been, failed ones included.
func (f *Fault) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// next counts a write. It reports whether the write fails, and whether it
// takes effect.
func (f *Fault) next() (fails, effect bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	switch {
	case f.At == 0 || f.writes < f.At:
		return false, true
	case f.writes == f.At:
		return true, f.After
	}
	return f.Stay, !f.Stay
}

func (f *Fault) failure(op string) error {
	kind := f.Kind
	if kind == daruma.KindUnknown {
		kind = daruma.KindDown
	}
	return daruma.Fail("darumatest.Fault."+op, kind, "write %d was made to fail", f.At)
}

// Commit implements [daruma.Journal].
func (f *Fault) Commit(ctx context.Context, txs []daruma.Tx) []error {
	fails, effect := f.next()
	verdicts := make([]error, len(txs))
	if effect {
		verdicts = f.Journal.Commit(ctx, txs)
	}
	if fails {
		for i := range verdicts {
			verdicts[i] = f.failure("Commit")
		}
	}
	return verdicts
}

// Post implements [daruma.Journal].
func (f *Fault) Post(ctx context.Context, p daruma.Post) (fresh bool, err error) {
	fails, effect := f.next()
	if effect {
		fresh, err = f.Journal.Post(ctx, p)
	}
	if fails {
		return false, f.failure("Post")
	}
	return fresh, err
}

// Claim implements [daruma.Journal].
func (f *Fault) Claim(ctx context.Context, c daruma.Claim) (claims daruma.Claims, err error) {
	fails, effect := f.next()
	if effect {
		claims, err = f.Journal.Claim(ctx, c)
	}
	if fails {
		return daruma.Claims{}, f.failure("Claim")
	}
	return claims, err
}
