package tool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/internal/guard"
)

// Dispatch calls a tool. It is the one point that every call passes; the
// package documentation lists what it checks, and what an error means.
//
// Errors are [*daruma.Failure] by kind:
//   - KindNotFound with [*UnknownError]: no such tool,
//   - KindInvalid with [*ArgumentsError], or for a payment without a key, or a
//     key above 255 bytes or with control characters, or from the tool,
//   - KindDenied with [*ChangedError]: the run began with another definition,
//   - KindNeedsApproval with [*NeedsApproval],
//   - KindUnavailable: the breaker is open, no place is free, the set is
//     closed, or the tool says so,
//   - KindTimeout, KindCancelled: it ended before it began, or only read,
//   - KindBroken: the result of a tool that only reads is too large,
//   - KindInternal: the function of a tool that only reads panicked,
//   - KindDoubt: it may have happened,
//   - every other kind that the function of the tool returns.
//
// If the process dies here, a tool with effects is in doubt: write the intent
// down before.
func (s *Set) Dispatch(ctx context.Context, call Call) (Result, error) {
	m := s.byName[call.Tool]
	if m == nil {
		return Result{}, fail(daruma.KindNotFound, &UnknownError{call.Tool, s.Nearest(call.Tool)})
	}
	if call.Pin != "" && call.Pin != m.Spec.Pin {
		return Result{}, fail(daruma.KindDenied, &ChangedError{call.Tool})
	}
	call.Args = orEmpty(call.Args)
	if problems := m.check(call.Args); len(problems) > 0 {
		return Result{}, fail(daruma.KindInvalid, &ArgumentsError{call.Tool, problems})
	}
	if err := checkKey(m.Spec, call.Key); err != nil {
		return Result{}, fail(daruma.KindInvalid, err)
	}
	if err := s.gate(m.Spec, call); err != nil {
		return Result{}, err
	}
	done, err := m.breaker.Allow()
	if err != nil {
		wait := time.Duration(0)
		if open, ok := errors.AsType[*guard.OpenError](err); ok {
			wait = open.RetryAfter
		}
		return Result{}, fail(daruma.KindUnavailable, later{fmt.Errorf("%s: %w", call.Tool, err), wait})
	}
	result, err := s.perform(ctx, m, call)
	switch kind := daruma.KindOf(err); {
	case err == nil:
		done(false)
		if m.health.Record(time.Now(), false) {
			m.breaker.Reset() // failures of before would open it again
		}
	case errors.Is(err, guard.ErrFull), kind == daruma.KindCancelled, ctx.Err() != nil:
		// Says nothing about the tool.
	default:
		done(dependency(kind))
		m.health.Record(time.Now(), dependency(kind))
	}
	return result, err
}

func fail(kind daruma.Kind, err error) error {
	return &daruma.Failure{Kind: kind, Err: err}
}

// dependency reports whether a failure says that the tool itself is ill. What
// it says about one request, and errors of no kind, do not count.
func dependency(kind daruma.Kind) bool {
	switch kind {
	case daruma.KindUnavailable, daruma.KindTimeout, daruma.KindDoubt, daruma.KindInternal, daruma.KindUnauthorized, daruma.KindQuota:
		return true
	}
	return false
}

// checkKey refuses keys that do not travel in a header, and payments without.
func checkKey(spec daruma.ToolSpec, key string) error {
	switch {
	case key == "" && spec.Effect == daruma.Payment:
		return fmt.Errorf("%s moves money and is not started without an idempotency key", spec.Name)
	case len(key) > 255:
		return fmt.Errorf("idempotency key of %d bytes; accepted: at most 255", len(key))
	case !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }):
		return fmt.Errorf("idempotency key %q; accepted: UTF-8 without control characters", key)
	}
	return nil
}

// gate refuses calls that need an approval and have none.
func (s *Set) gate(spec daruma.ToolSpec, call Call) error {
	threshold := call.Threshold
	if threshold == daruma.RiskUnset {
		threshold = s.options.Approve
	}
	why := ""
	switch {
	case call.Approved:
	case spec.Approve:
		why = "every call of it does"
	case spec.Danger() >= threshold:
		why = fmt.Sprintf("its risk is %v, approvals begin at %v", spec.Danger(), threshold)
	}
	if why == "" {
		return nil
	}
	return fail(daruma.KindNeedsApproval, &NeedsApproval{spec.Name, spec.Danger(), why})
}

// perform takes a place and runs the function of the tool.
func (s *Set) perform(ctx context.Context, m *member, call Call) (Result, error) {
	release, err := m.places.Acquire(ctx)
	if err != nil {
		kind := daruma.KindUnavailable
		if !errors.Is(err, guard.ErrFull) {
			kind = ended(ctx)
		}
		return Result{}, fail(kind, fmt.Errorf("%s: %w", call.Tool, err))
	}
	defer release()
	result, err := run(ctx, s, m, call, m.Do)
	if err != nil {
		return Result{}, settle(m.Spec, err)
	}
	return s.bound(m.Spec, result)
}

// ended says why ctx is over.
func ended(ctx context.Context) daruma.Kind {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return daruma.KindTimeout
	}
	return daruma.KindCancelled
}

// bound makes a result fit to be stored. A large result of a read is refused;
// that of an effect says so in its place, since the effect has happened.
func (s *Set) bound(spec daruma.ToolSpec, result Result) (Result, error) {
	if n := len(result.Text); n > s.options.MaxResult {
		text := fmt.Sprintf("the result of %s has %d bytes; accepted: at most %d", spec.Name, n, s.options.MaxResult)
		if spec.Effect == daruma.Read {
			return Result{}, fail(daruma.KindBroken, errors.New(text+"; ask for less"))
		}
		result.Text = "The call succeeded, but " + text + ". The result is left out."
	}
	result.Text = strings.ToValidUTF8(result.Text, "\uFFFD")
	return result, nil
}
