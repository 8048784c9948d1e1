package sqlite

import (
	"context"
	"errors"

	driver "modernc.org/sqlite"

	"github.com/daruma-run/daruma"
)

// Result codes of SQLite that decide something here.
const (
	codeError      = 1
	codeBusy       = 5
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCannotOpen = 14
	codeConstraint = 19
	codeNotDB      = 26
)

// codeOf returns the primary result code of a database error, 0 of others.
func codeOf(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// kindOf classifies an error of the database or of a fault hook.
func kindOf(err error) daruma.Kind {
	if k := daruma.KindOf(err); k != daruma.KindUnknown {
		return k
	}
	switch codeOf(err) {
	case codeBusy, codeReadOnly, codeCannotOpen, codeIO:
		return daruma.KindUnavailable
	case codeCorrupt, codeNotDB, codeConstraint:
		return daruma.KindCorrupt
	case codeFull:
		return daruma.KindExhausted
	}
	return daruma.KindUnknown
}

// failure wraps an error of the database once, with the operation.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	return &daruma.Failure{Op: op, Kind: kindOf(err), Err: err}
}

// fileFailure is failure for errors that concern the file rather than what
// was asked of it: SQLite does not say which file it means.
func fileFailure(op, path string, err error) error {
	if err == nil {
		return nil
	}
	if codeOf(err) != 0 {
		return daruma.Fail(op, kindOf(err), "%s: %w", path, err)
	}
	return failure(op, err)
}

// fatal reports whether nothing may be written after this error any more: the
// disk failed, or what failed is not known.
func fatal(err error) bool {
	switch kindOf(err) {
	case daruma.KindExhausted, daruma.KindCorrupt:
		return false
	}
	return codeOf(err) != codeBusy
}

// ended returns the failure of a context that is over.
func ended(ctx context.Context, op string) error {
	err := context.Cause(ctx)
	kind := daruma.KindCancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = daruma.KindTimeout
	}
	return &daruma.Failure{Op: op, Kind: kind, Err: err}
}
