package guard

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBulkheadBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadOptions{Limit: 2, Wait: time.Second})
		var release []func()
		for range 2 {
			r, err := b.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			release = append(release, r)
		}
		start := time.Now()
		_, err := b.Acquire(t.Context())
		if full, ok := errors.AsType[*FullError](err); !ok || !errors.Is(err, ErrFull) || full.Limit != 2 {
			t.Fatalf("error %v; want a FullError", err)
		}
		if time.Since(start) != time.Second {
			t.Fatalf("waited %v", time.Since(start))
		}
		release[0]()
		release[0]() // twice must not free the place of the other
		r, err := b.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Acquire(t.Context()); !errors.Is(err, ErrFull) {
			t.Fatalf("releasing twice freed two places: %v", err)
		}
		r()
		release[1]()
	})
}

func TestBulkheadStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadOptions{Limit: 1, Wait: time.Hour})
		release, err := b.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cause := errors.New("drained")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := b.Acquire(ctx); !errors.Is(err, cause) {
				t.Errorf("error %v; want the cause", err)
			}
		})
		synctest.Wait()
		cancel(cause)
		wg.Wait()
		release()
		if _, err := b.Acquire(ctx); !errors.Is(err, cause) {
			t.Errorf("a place was given to a cancelled call: %v", err)
		}
	})
}
