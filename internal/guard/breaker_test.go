package guard

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// call makes one call through b and reports whether it was let through.
func call(t *testing.T, b *Breaker, failed bool) bool {
	t.Helper()
	done, err := b.Allow()
	if err != nil {
		if open, ok := errors.AsType[*OpenError](err); !ok || !errors.Is(err, ErrOpen) || open.RetryAfter < 0 {
			t.Fatalf("error %v is no OpenError", err)
		}
		return false
	}
	done(failed)
	return true
}

func opened(t *testing.T) *Breaker {
	t.Helper()
	b := NewBreaker(BreakerOptions{})
	for range 10 {
		call(t, b, true)
	}
	if b.State() != Open {
		t.Fatalf("state %s after ten failures", b.State())
	}
	return b
}

func TestBreakerOpensAtAQuarterOfTenCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerOptions{})
		for i := range 9 {
			call(t, b, i < 3)
		}
		if b.State() != Closed {
			t.Fatal("opened before the tenth call")
		}
		call(t, b, false)
		if b.State() != Open {
			t.Fatal("3 of 10 failures did not open it")
		}
		b = NewBreaker(BreakerOptions{})
		for i := range 100 {
			call(t, b, i%5 == 4)
		}
		if b.State() != Closed {
			t.Fatal("20 % failures opened it")
		}
	})
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t)
		_, err := b.Allow()
		if open, ok := errors.AsType[*OpenError](err); !ok || open.RetryAfter != 15*time.Second {
			t.Fatalf("error %v; want 15s", err)
		}
		<-time.After(15*time.Second - 1)
		if call(t, b, false) {
			t.Fatal("let through before the delay was over")
		}
		<-time.After(1)
		if b.State() != HalfOpen {
			t.Fatalf("state %s after the delay", b.State())
		}
		done, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		if call(t, b, false) {
			t.Fatal("a second probe was let through")
		}
		done(true)
		if b.State() != Open {
			t.Fatal("a failed probe did not reopen it")
		}
		<-time.After(15 * time.Second)
		if !call(t, b, false) || b.State() != Closed {
			t.Fatalf("state %s after a good probe", b.State())
		}
		call(t, b, true)
		if b.State() != Closed {
			t.Fatal("old failures counted after it closed")
		}
	})
}

func TestBreakerIgnoresLateResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerOptions{})
		late, _ := b.Allow()
		for range 10 {
			call(t, b, true)
		}
		<-time.After(15 * time.Second)
		probe, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		late(false)
		if b.State() != HalfOpen {
			t.Fatal("a call from before it opened closed it")
		}
		if call(t, b, false) {
			t.Fatal("a late result made room for a second probe")
		}
		probe(false)
		probe(true)
		if b.State() != Closed {
			t.Fatal("a result was counted twice")
		}
	})
}

func TestBreakerSurvivesALostProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t)
		<-time.After(15 * time.Second)
		lost, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(15 * time.Second)
		second, err := b.Allow()
		if err != nil {
			t.Fatal("the place of a lost probe was never given again")
		}
		if call(t, b, false) {
			t.Fatal("two probes at once")
		}
		lost(false)
		if b.State() != HalfOpen {
			t.Fatal("the lost probe counted")
		}
		second(false)
		if b.State() != Closed {
			t.Fatal("the second probe did not count")
		}
	})
}

func TestBreakerByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(BreakerOptions{})
		b.Trip(0)
		<-time.After(time.Hour)
		if call(t, b, false) || b.State() != Open {
			t.Fatal("a trip without end ended")
		}
		b.Reset()
		if !call(t, b, false) || b.State() != Closed {
			t.Fatal("reset did not close it")
		}
		b.Trip(time.Minute)
		<-time.After(time.Minute - 1)
		if call(t, b, false) {
			t.Fatal("let through during a trip")
		}
		<-time.After(1)
		if b.State() != HalfOpen || !call(t, b, false) || b.State() != Closed {
			t.Fatal("a trip did not end in a probe")
		}
		for range 9 {
			call(t, b, true)
		}
		b.Reset()
		call(t, b, true)
		if b.State() != Closed {
			t.Fatal("reset kept the counts")
		}
	})
}

func TestBreakerConcurrentProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t)
		<-time.After(15 * time.Second)
		var (
			mu  sync.Mutex
			wg  sync.WaitGroup
			let []func(bool)
		)
		for range 50 {
			wg.Go(func() {
				if done, err := b.Allow(); err == nil {
					mu.Lock()
					let = append(let, done)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(let) != 1 {
			t.Fatalf("%d probes were let through", len(let))
		}
	})
}
