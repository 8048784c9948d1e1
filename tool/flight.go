package tool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// grace is how long a function may take to return after its context is done.
const grace = time.Second

// errLeft is part of the error of a call whose function was left behind.
var errLeft = errors.New("it was left behind")

// deadlineError is the cause of a context whose tool took too long.
type deadlineError struct {
	timeout time.Duration
}

func (e *deadlineError) Error() string   { return fmt.Sprintf("no result within %v", e.timeout) }
func (e *deadlineError) Is(t error) bool { return t == context.DeadlineExceeded }

// stopped is an error because a context is over, with what [context.Context]
// says of it beside a cause of the caller's own making.
type stopped struct {
	error
	over error
}

func (s stopped) Unwrap() []error { return []error{s.error, s.over} }

// answer is what a function gave.
type answer[R any] struct {
	result R
	err    error
}

// flight is one function under way. Both fields are guarded by Set.mu.
type flight struct {
	over bool // it returned
	left bool // nobody waits for it any more
}

// run calls a function of a tool in a goroutine of the set. It waits for the
// function until its deadline and the grace are over, and then leaves it
// behind: the goroutine ends when the function returns, and Close waits for it.
func run[R any](ctx context.Context, s *Set, m *member, call Call, f func(context.Context, Call) (R, error)) (R, error) {
	var none R
	if ctx.Err() != nil {
		return none, &daruma.Failure{Kind: ended(ctx), Err: certain{context.Cause(ctx)}}
	}
	if err := s.begin(m); err != nil {
		return none, err
	}
	timeout := cmp.Or(time.Duration(m.Spec.Timeout), defaultTimeout)
	if call.Timeout > 0 {
		timeout = min(timeout, call.Timeout)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, &deadlineError{timeout})
	defer cancel()
	out := make(chan answer[R], 1)
	var here flight
	go func() {
		a := answer[R]{err: &PanicError{Tool: call.Tool, Value: "runtime.Goexit"}}
		defer func() {
			if p := recover(); p != nil {
				a.err = &PanicError{call.Tool, p, debug.Stack()}
			}
			out <- a
			s.end(m, &here)
		}()
		a.result, a.err = f(context.WithValue(ctx, callKey{}, call), call)
	}()
	took := func(a answer[R]) (R, error) {
		if a.err != nil && ctx.Err() != nil && errors.Is(a.err, context.Cause(ctx)) {
			a.err = stopped{a.err, ctx.Err()}
		}
		return a.result, a.err
	}
	select {
	case a := <-out:
		return took(a)
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case a := <-out:
		return took(a)
	case <-timer.C:
	}
	if s.leave(m, &here) {
		return none, stopped{fmt.Errorf("%w: %w", context.Cause(ctx), errLeft), ctx.Err()}
	}
	return took(<-out)
}

// begin counts a function in, or refuses it.
func (s *Set) begin(m *member) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return Retry(errors.New("the tools are being closed"), 0)
	case m.behind >= s.options.Parallel:
		return Retry(fmt.Errorf("%d calls are stuck after their deadline", m.behind), 0)
	}
	s.running[m.Spec.Name]++
	return nil
}

// end counts a function out.
func (s *Set) end(m *member, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.over = true
	if f.left {
		m.behind--
	}
	if s.running[m.Spec.Name]--; s.running[m.Spec.Name] == 0 {
		delete(s.running, m.Spec.Name)
	}
	if s.closed && len(s.running) == 0 {
		close(s.idle)
	}
}

// leave gives a function up, unless it has just returned.
func (s *Set) leave(m *member, f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.over {
		return false
	}
	f.left = true
	m.behind++
	return true
}

// Close lets no more calls begin and waits until every function of a tool has
// returned, those left behind included. It cancels nothing: that is for the
// contexts of the calls. If ctx is over before, the error is of
// [daruma.KindTimeout] or [daruma.KindCancelled] and names the tools still
// running. Closing again waits again.
func (s *Set) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed, s.idle = true, make(chan struct{})
		if len(s.running) == 0 {
			close(s.idle)
		}
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	default:
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.running))
	s.mu.Unlock()
	return daruma.Fail("tool.Close", ended(ctx), "still running: %s: %w", strings.Join(names, ", "), context.Cause(ctx))
}
