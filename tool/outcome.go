package tool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/daruma-run/daruma"
)

// settle gives the error of a function its kind, as the package documentation
// says.
func settle(spec daruma.ToolSpec, err error) error {
	kind := daruma.KindOf(err)
	effect := spec.Effect != daruma.Read
	_, sure := errors.AsType[certain](err)
	_, panicked := errors.AsType[*PanicError](err)
	switch {
	case sure && kind != daruma.KindDoubt:
	case panicked:
		kind = daruma.KindInternal
		if effect {
			kind = daruma.KindDoubt
		}
	case kind != daruma.KindDoubt:
		before, after := network(err)
		switch {
		case before:
			if kind == daruma.KindUnknown || kind == daruma.KindTimeout {
				kind = daruma.KindUnavailable
			}
		case effect && (after || over(err)):
			kind = daruma.KindDoubt
		case kind == daruma.KindUnknown && after:
			kind = daruma.KindUnavailable
		}
	}
	if kind == daruma.KindDoubt && !effect {
		kind = daruma.KindBroken
	}
	return &daruma.Failure{Op: spec.Name, Kind: kind, Err: err}
}

// over reports whether the end of a context or a deadline is part of err.
func over(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded)
}

// network reports whether err is one of the network, before a connection stood
// or after.
func network(err error) (before, after bool) {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true, false
	}
	if u, ok := errors.AsType[*url.Error](err); ok && u.Op == "parse" {
		return false, false
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true, false
	}
	_, after = errors.AsType[net.Error](err)
	return false, after
}

// verdict is what a verification found.
type verdict struct {
	outcome daruma.Outcome
	result  Result
}

// Verify asks a tool whether a call happened: [daruma.Succeeded] with its
// result, [daruma.Absent], or [daruma.Doubtful], always with an error that says
// why it is not known. It has the deadline of the tool and passes neither
// breaker nor gate.
func (s *Set) Verify(ctx context.Context, call Call) (daruma.Outcome, Result, error) {
	m := s.byName[call.Tool]
	switch {
	case m == nil:
		return daruma.Doubtful, Result{}, fail(daruma.KindNotFound, &UnknownError{call.Tool, s.Nearest(call.Tool)})
	case m.Verify == nil:
		return daruma.Doubtful, Result{}, fail(daruma.KindInvalid, fmt.Errorf("%s cannot be asked whether a call happened", call.Tool))
	}
	call.Args = orEmpty(call.Args)
	v, err := run(ctx, s, m, call, func(ctx context.Context, call Call) (verdict, error) {
		outcome, result, err := m.Verify(ctx, call)
		return verdict{outcome, result}, err
	})
	if err != nil {
		// A verification changes nothing, whatever its tool does.
		return daruma.Doubtful, Result{}, settle(daruma.ToolSpec{Name: call.Tool, Effect: daruma.Read}, err)
	}
	switch v.outcome {
	case daruma.Succeeded:
		spec := m.Spec
		spec.Effect = daruma.Unsafe // the call did happen, so a large result must not hide it
		result, err := s.bound(spec, v.result)
		return daruma.Succeeded, result, err
	case daruma.Absent, daruma.Failed:
		return daruma.Absent, Result{}, nil
	}
	return daruma.Doubtful, Result{}, fail(daruma.KindBroken, fmt.Errorf("%s does not know whether the call happened", call.Tool))
}
