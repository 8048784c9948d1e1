package route

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/internal/guard"
	"github.com/daruma-run/daruma/model"
)

// Target is one model at one provider.
type Target struct {
	Name      string // by which runs know it
	Provider  model.Provider
	Model     string                     // the provider's own name; empty means Name
	Price     daruma.Price               // zero: not known, calls are marked unpriced
	Window    int64                      // how much it reads and writes at once, in tokens; zero: not known
	MaxOutput int64                      // bounds every answer in tokens; zero means as the request says
	Extra     map[string]json.RawMessage // fields of every request that the provider knows and Daruma does not; a request's own go before them
	Patience  model.Patience             // deadlines besides the provider's own; zero means none
	Breaker   Breaker                    // when to stop calling it; zero means the defaults
	Recovery  Recovery                   // when work begins with it again after it has failed; zero means the defaults
}

// Breaker says when calls of a target stop and come back. The zero Breaker
// opens at a quarter of failures among at least ten calls of a minute, and
// lets a probe through after 15 seconds.
type Breaker = guard.BreakerOptions

// Recovery says when a target counts as failing and when as well again, for
// those who choose where to begin. The zero Recovery is three failures in a row,
// then three successes over 30 seconds at least.
type Recovery = guard.HealthOptions

// Table holds the targets. It does not change, and is safe for concurrent use.
type Table struct {
	order []string
	lanes map[string]*lane
}

// lane is a target with its breaker.
type lane struct {
	Target
	breaker *guard.Breaker
	health  *guard.Health
}

// NewTable returns a table of the targets, best first. Errors are of [daruma.KindInvalid]: a
// target without a name or provider, or a name twice.
func NewTable(targets ...Target) (*Table, error) {
	const op = "route.NewTable"
	t := &Table{lanes: make(map[string]*lane, len(targets))}
	for i, target := range targets {
		switch {
		case target.Name == "":
			return nil, daruma.Fail(op, daruma.KindInvalid, "targets[%d] has no name; accepted: a name of its own", i)
		case target.Provider == nil:
			return nil, daruma.Fail(op, daruma.KindInvalid, "target %s has no provider; accepted: one", target.Name)
		case target.Window < 0:
			return nil, daruma.Fail(op, daruma.KindInvalid, "target %s has a window of %d tokens; accepted: more than 0, or 0 where it is not known", target.Name, target.Window)
		case t.lanes[target.Name] != nil:
			return nil, daruma.Fail(op, daruma.KindInvalid, "target %s stands in the table twice; accepted: every name once", target.Name)
		}
		if target.Model == "" {
			target.Model = target.Name
		}
		t.order = append(t.order, target.Name)
		t.lanes[target.Name] = &lane{target, guard.NewBreaker(target.Breaker), guard.NewHealth(target.Recovery)}
	}
	return t, nil
}

// Names returns the names of the targets, best first.
func (t *Table) Names() []string { return append([]string(nil), t.order...) }

// Has reports whether there is such a target.
func (t *Table) Has(target string) bool { return t.lanes[target] != nil }

// Windows returns the context windows that are known, in tokens, by target; nil
// where none is.
func (t *Table) Windows() map[string]int64 {
	var windows map[string]int64
	for name, l := range t.lanes {
		if l.Window > 0 {
			if windows == nil {
				windows = map[string]int64{}
			}
			windows[name] = l.Window
		}
	}
	return windows
}

// Target returns a target by its name, and whether there is one.
func (t *Table) Target(name string) (Target, bool) {
	l := t.lanes[name]
	if l == nil {
		return Target{}, false
	}
	return l.Target, true
}

// State returns the state of the target's breaker as guard names it, or "" if
// there is no such target.
func (t *Table) State(target string) string {
	if l := t.lanes[target]; l != nil {
		return l.breaker.State()
	}
	return ""
}

// Reset closes the breaker of the target by hand, where there is such a target.
func (t *Table) Reset(target string) {
	if l := t.lanes[target]; l != nil {
		l.breaker.Reset()
	}
}

// Answer is what a call brought. With an error it holds what the call cost all
// the same.
type Answer struct {
	*model.Reply              // never nil
	Cost         daruma.Money // zero also where it is not known
	Unpriced     bool         // the price or the usage is not known: the cost is not
	Took         time.Duration
}

// Call asks the target once. The request's Model is filled in; the request
// itself stays as it is.
//
// The answer is never nil. Errors are those of [model.Collect] and of the
// provider, KindNotFound for a target that does not exist, and
// [daruma.KindUnavailable] without a call while the target's breaker is open.
func (t *Table) Call(ctx context.Context, target string, r *model.Request) (*Answer, error) {
	return t.Watch(ctx, target, r, nil)
}

// Watch is [Table.Call] with a watcher: it is called with every chunk as it
// comes, in the caller's goroutine. What it has seen of an answer that ends
// with an error is worth nothing. A nil watcher watches nothing.
func (t *Table) Watch(ctx context.Context, target string, r *model.Request, watch func(model.Chunk)) (*Answer, error) {
	const op = "route.Call"
	l := t.lanes[target]
	if l == nil {
		return &Answer{Reply: &model.Reply{}}, daruma.Fail(op, daruma.KindNotFound, "there is no target %q; accepted: %v", target, t.order)
	}
	done, err := l.breaker.Allow()
	if err != nil {
		return &Answer{Reply: &model.Reply{}}, refused(op, target, err)
	}
	start := time.Now()
	reply, err := model.Collect(watched(l.stream(ctx, r), watch))
	switch verdict(ctx, err) {
	case good:
		done(false)
		if l.health.Record(time.Now(), false) {
			l.breaker.Reset() // failures of before would open it again
		}
	case bad:
		done(true)
		l.health.Record(time.Now(), true)
	default:
		if useless(err) {
			l.health.Record(time.Now(), true)
		}
	}
	model.Identify(&reply.Message, r.Messages)
	a := &Answer{Reply: reply, Took: time.Since(start)}
	switch {
	case l.Price.Free:
	case l.Price.Known() && reply.UsageKnown:
		a.Cost = l.Price.Cost(reply.Usage)
	case err == nil || reply.UsageKnown || reply.Message.Text != "" || len(reply.Message.Calls) > 0:
		a.Unpriced = true
	}
	return a, err
}

func (l *lane) stream(ctx context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	own := *r
	own.Model = l.Model
	if l.MaxOutput > 0 && (own.MaxOutput == 0 || own.MaxOutput > l.MaxOutput) {
		own.MaxOutput = l.MaxOutput
	}
	if len(l.Extra) > 0 {
		own.Extra = maps.Clone(l.Extra)
		maps.Copy(own.Extra, r.Extra)
	}
	return l.Patience.Watch(ctx, func(ctx context.Context) iter.Seq2[model.Chunk, error] {
		return l.Provider.Stream(ctx, &own)
	})
}

func watched(stream iter.Seq2[model.Chunk, error], watch func(model.Chunk)) iter.Seq2[model.Chunk, error] {
	if watch == nil {
		return stream
	}
	return func(yield func(model.Chunk, error) bool) {
		for c, err := range stream {
			if err == nil {
				watch(c)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

func refused(op, target string, err error) error {
	e := &model.Error{Provider: target, Code: "breaker_open", Text: err.Error(), Kind: daruma.KindUnavailable}
	if open, ok := errors.AsType[*guard.OpenError](err); ok {
		e.RetryAfter = open.RetryAfter
	}
	return e.Failure(op)
}

// What a call says about its target.
const (
	nothing = iota
	good
	bad
)

func verdict(ctx context.Context, err error) int {
	if err == nil {
		return good
	}
	switch daruma.KindOf(err) {
	case daruma.KindInvalid, daruma.KindOverflow, daruma.KindRefused:
		return good // it is there, and answered
	case daruma.KindCancelled, daruma.KindRateLimited, daruma.KindQuota, daruma.KindUnauthorized, daruma.KindNotFound, daruma.KindDenied:
		return nothing
	case daruma.KindTimeout:
		if context.Cause(ctx) == context.Canceled {
			return nothing
		}
	}
	return bad
}
