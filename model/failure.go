package model

import (
	"fmt"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// Error is what a provider said when it did not answer. It is found inside a
// [*daruma.Failure] with [errors.AsType]; the kind of both is the same.
type Error struct {
	Provider   string        // as configured
	Status     int           // HTTP status; 0 where there was none
	Code       string        // the provider's own error code, such as "insufficient_quota"
	Type       string        // the provider's own error type, such as "overloaded_error"
	Text       string        // the provider's message: cut to MaxText, secrets taken out
	RetryAfter time.Duration // how long it asked to wait; 0 means it did not say
	Request    string        // the provider's own id of the request, for asking there; empty where it gave none
	Kind       daruma.Kind
}

// MaxText bounds [Error.Text] in bytes.
const MaxText = 600

// Error returns the failure in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if e.Provider != "" {
		b.WriteString(" from " + e.Provider)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ", status %d", e.Status)
	}
	if name := e.Code; name != "" {
		b.WriteString(", code " + name)
	} else if e.Type != "" {
		b.WriteString(", type " + e.Type)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, ", retry after %s", e.RetryAfter)
	}
	if e.Request != "" {
		b.WriteString(", request " + e.Request)
	}
	if e.Text != "" {
		b.WriteString(": " + e.Text)
	}
	return b.String()
}

// Failure returns the error as it crosses packages.
func (e *Error) Failure(op string) error { return &daruma.Failure{Op: op, Kind: e.Kind, Err: e} }
