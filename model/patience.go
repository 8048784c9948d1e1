package model

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
)

// Patience bounds how long a stream may bring nothing of its answer. Chunks
// without text, call, finish, usage, field or end are nothing. The time the
// caller takes for a chunk does not count. The zero Patience has no limits.
type Patience struct {
	FirstToken time.Duration // until the first piece; 0 or less means no limit
	Progress   time.Duration // until the next piece; 0 or less means no limit
}

// Watch runs a stream under both limits. Where one passes, the context of the
// stream is cancelled and the stream ends with an error of [daruma.KindTimeout].
// The stream has to end when its context does.
func (p Patience) Watch(ctx context.Context, stream func(context.Context) iter.Seq2[Chunk, error]) iter.Seq2[Chunk, error] {
	if p.FirstToken <= 0 && p.Progress <= 0 {
		return stream(ctx)
	}
	return func(yield func(Chunk, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		w := watchdog{cancel: cancel}
		defer w.stop()
		w.start(p.FirstToken, "first piece of the answer")
		begun := false
		for c, err := range stream(ctx) {
			if err != nil {
				if late, ok := context.Cause(ctx).(*lateError); ok {
					err = &daruma.Failure{Op: "model.Patience", Kind: daruma.KindTimeout, Err: late}
				}
				yield(c, err)
				return
			}
			if !c.silent() {
				begun = true
			}
			if begun && !c.silent() {
				w.stop()
			}
			if !yield(c, nil) {
				return
			}
			if begun && !c.silent() {
				w.start(p.Progress, "next piece of the answer")
			}
		}
	}
}

func (c Chunk) silent() bool {
	return c.Text == "" && c.Call == nil && c.Finish == "" && c.Usage == nil && !c.End && !c.speaks()
}

// speaks reports whether a field this package does not know carries a piece
// of the answer, such as reasoning.
func (c Chunk) speaks() bool {
	for name, v := range c.Extra {
		if len(name) > 6 && name[:6] == "delta." && string(v) != `""` && string(v) != "null" {
			return true
		}
	}
	return false
}

type lateError struct {
	what  string
	after time.Duration
}

func (e *lateError) Error() string { return fmt.Sprintf("no %s for %s", e.what, e.after) }

// watchdog cancels a context unless it is stopped in time.
type watchdog struct {
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	round int
}

func (w *watchdog) start(d time.Duration, what string) {
	if d <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round++
	round := w.round
	w.timer = time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.round == round {
			w.cancel(&lateError{what, d})
		}
	})
}

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round++
	if w.timer != nil {
		w.timer.Stop()
	}
}
