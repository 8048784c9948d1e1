package daruma

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is. Decisions are made on kinds,
// never on message text. The zero Kind is [KindUnknown].
//
// Kinds are stored in journals: append only, never reorder.
type Kind uint8

const (
	KindUnknown       Kind = iota // not classified; treated as retryable with care
	KindInvalid                   // the caller's own mistake; never retried or failed over
	KindNotFound                  // the named thing does not exist
	KindExists                    // it exists already, with the same content or not
	KindConflict                  // the head moved, or the same key came with another body
	KindFenced                    // the lease epoch is not the caller's any more
	KindDenied                    // a rule, gate, budget or approver said no
	KindNeedsApproval             // a human must say yes first
	KindRateLimited               // the other side said "later"
	KindQuota                     // money or quota used up at the other side; waiting does not help
	KindUnavailable               // unreachable, failing or overloaded
	KindTimeout                   // a deadline passed before the work began or with no effect possible
	KindCancelled                 // somebody asked to stop
	KindExhausted                 // an own limit or budget, memory or disk is used up
	KindCorrupt                   // stored data does not match its hash
	KindDown                      // the journal stopped writing after a failed sync
	KindDoubt                     // the effect may or may not have happened
	KindInternal                  // a bug on this side
	KindUnauthorized              // the credential is missing, wrong or not allowed
	KindOverflow                  // the request is larger than the model's context
	KindRefused                   // the model or its safety filter declined
	KindBroken                    // an answer that is no answer: cut, empty, garbled, an error inside a 200
	kindEnd
)

var kindNames = [...]string{
	"unknown", "invalid", "not_found", "exists", "conflict", "fenced", "denied",
	"needs_approval", "rate_limited", "quota", "unavailable", "timeout", "cancelled",
	"exhausted", "corrupt", "down", "doubt", "internal", "unauthorized", "overflow",
	"refused", "broken",
}

// String returns the stored name, such as "rate_limited".
func (k Kind) String() string { return nameOf(kindNames[:], k) }

// MarshalText writes the stored name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a stored name; an unknown one is an error of [KindInvalid].
func (k *Kind) UnmarshalText(b []byte) error { return parseName("kind", kindNames[:], b, k) }

// Cause is why something failed, as far as the choice of a recovery goes.
// The zero Cause is [CauseUnknown].
type Cause uint8

const (
	CauseUnknown       Cause = iota // not classified: two careful retries
	CauseTransient                  // gone by itself in seconds: retry
	CauseResource                   // rate or quota: wait
	CauseDependency                 // the other side is down: fall back
	CausePermanent                  // will fail again: do not retry
	CauseConfiguration              // a key or a name is wrong: tell a human
)

var causeNames = [...]string{"unknown", "transient", "resource", "dependency", "permanent", "configuration"}

// String returns the stored name, such as "transient".
func (c Cause) String() string { return nameOf(causeNames[:], c) }

// MarshalText writes the stored name.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a stored name; an unknown one is an error of [KindInvalid].
func (c *Cause) UnmarshalText(b []byte) error { return parseName("cause", causeNames[:], b, c) }

// Cause returns the default cause of failures of this kind.
func (k Kind) Cause() Cause {
	switch k {
	case KindTimeout, KindBroken, KindConflict:
		return CauseTransient
	case KindRateLimited, KindExhausted:
		return CauseResource
	case KindUnavailable, KindDown:
		return CauseDependency
	case KindInvalid, KindExists, KindDenied, KindNeedsApproval, KindCancelled, KindOverflow, KindRefused, KindCorrupt:
		return CausePermanent
	case KindUnauthorized, KindNotFound, KindQuota:
		return CauseConfiguration
	}
	return CauseUnknown
}

// Failure is the one error type that crosses package boundaries: what was
// being done, what kind of failure it was, and the error beneath.
type Failure struct {
	Op   string // the operation, such as "sqlite.Commit"; may be empty
	Kind Kind
	Err  error // the cause; may be nil
}

// Fail returns a *Failure whose cause is the formatted text; %w wraps as in [fmt.Errorf].
func Fail(op string, kind Kind, format string, args ...any) error {
	return &Failure{Op: op, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Error returns "op: cause", or the kind where there is no cause.
func (f *Failure) Error() string {
	text := f.Kind.String()
	if f.Err != nil {
		text = f.Err.Error()
	}
	if f.Op == "" {
		return text
	}
	return f.Op + ": " + text
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// KindOf returns the kind of err: that of the outermost [Failure] in its tree
// that has one, KindTimeout for [context.DeadlineExceeded], KindCancelled for
// [context.Canceled], else KindUnknown. A nil error is KindUnknown too.
func KindOf(err error) Kind {
	for e := err; e != nil; {
		f, ok := errors.AsType[*Failure](e)
		if !ok {
			break
		}
		if f.Kind != KindUnknown {
			return f.Kind
		}
		e = f.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return KindTimeout
	case errors.Is(err, context.Canceled):
		return KindCancelled
	}
	return KindUnknown
}
