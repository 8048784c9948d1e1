package tool

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/check"
)

// ArgumentsError says what is wrong with arguments. It comes with
// [daruma.KindInvalid].
type ArgumentsError struct {
	Tool     string
	Problems []check.Problem // at least one
}

// Error lists the problems, the first ten.
func (e *ArgumentsError) Error() string {
	const most = 10
	texts := make([]string, 0, most)
	for i, p := range e.Problems {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(e.Problems)-most))
			break
		}
		text := p.String()
		if p.Path == "" {
			text = strings.TrimPrefix(p.Text, "is ")
		}
		texts = append(texts, text)
	}
	return fmt.Sprintf("arguments of %s: %s", e.Tool, strings.Join(texts, "; "))
}

// UnknownError says that there is no tool of a name. It comes with
// [daruma.KindNotFound].
type UnknownError struct {
	Name    string
	Nearest string // the tool that was probably meant; may be empty
}

// Error names the tool and the one that was probably meant.
func (e *UnknownError) Error() string {
	if e.Nearest != "" {
		return fmt.Sprintf("there is no tool %q; did you mean %q?", e.Name, e.Nearest)
	}
	return fmt.Sprintf("there is no tool %q", e.Name)
}

// ChangedError says that a tool is not any more what the run began with: its
// description or its schema is another one. It comes with
// [daruma.KindDenied]; nothing has been done.
type ChangedError struct {
	Tool string
}

// Error says what to do about it.
func (e *ChangedError) Error() string {
	return fmt.Sprintf("the definition of %s has changed since this run began, and it is not called; a new run takes the new one over", e.Tool)
}

// NeedsApproval says that a human must say yes first. It comes with
// [daruma.KindNeedsApproval]; nothing has been done.
type NeedsApproval struct {
	Tool string
	Risk daruma.Risk
	Why  string
}

// Error says why.
func (e *NeedsApproval) Error() string {
	return fmt.Sprintf("%s needs an approval: %s", e.Tool, e.Why)
}

// PanicError is a panic of a tool's function. It comes with
// [daruma.KindInternal], or [daruma.KindDoubt] for tools with effects. Its text
// leaves the value and the stack out, since models read it.
type PanicError struct {
	Tool  string
	Value any
	Stack []byte
}

// Error says that the tool crashed.
func (e *PanicError) Error() string { return e.Tool + " crashed inside" }

// certain marks an error as being without effect.
type certain struct{ error }

func (c certain) Unwrap() error { return c.error }

// later carries how long to wait.
type later struct {
	error
	after time.Duration
}

func (l later) Unwrap() error { return l.error }

// Refuse says of err that nothing happened and that trying again is no use: the
// request itself is wrong. The kind is that of err where it is a
// [daruma.Failure] with a kind other than [daruma.KindDoubt], else
// [daruma.KindInvalid]. Refuse(nil) is nil.
func Refuse(err error) error {
	if err == nil {
		return nil
	}
	kind := daruma.KindInvalid
	if f, ok := errors.AsType[*daruma.Failure](err); ok && f.Kind != daruma.KindUnknown && f.Kind != daruma.KindDoubt {
		kind = f.Kind
	}
	return &daruma.Failure{Kind: kind, Err: certain{err}}
}

// Retry says of err that nothing happened and that it may work after a while:
// [daruma.KindRateLimited] where after is above zero, else
// [daruma.KindUnavailable]. Retry(nil, …) is nil.
func Retry(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	kind := daruma.KindUnavailable
	if after > 0 {
		kind = daruma.KindRateLimited
	}
	return &daruma.Failure{Kind: kind, Err: certain{later{err, after}}}
}

// Doubt says of err that the call may have happened all the same:
// [daruma.KindDoubt]. For tools that only read it counts as
// [daruma.KindBroken]. Doubt(nil) is nil.
func Doubt(err error) error {
	if err == nil {
		return nil
	}
	return &daruma.Failure{Kind: daruma.KindDoubt, Err: err}
}

// RetryAfter returns how long err asks to wait before another try, zero where
// it does not say.
func RetryAfter(err error) time.Duration {
	if l, ok := errors.AsType[later](err); ok {
		return l.after
	}
	return 0
}
