package postgres

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daruma-run/daruma"
)

// SQLSTATEs that decide something here. Those that begin with DR are raised by
// the functions of the schema.
const (
	codeNotOwner       = "DR001"
	codeStale          = "DR002"
	codeUnique         = "23505"
	codeUndefinedTable = "42P01"
	codeDenied         = "42501"
	codeNoDatabase     = "3D000"
	codeReadOnly       = "25006"
	codeLockTimeout    = "55P03"
	codeCancelled      = "57014"
	codeTooMany        = "53300"
)

// codeOf returns the SQLSTATE of an error the server answered with, "" of others.
func codeOf(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// kindOf classifies an error of the server, of the way to it, or of a fault hook.
func kindOf(err error) daruma.Kind {
	if k := daruma.KindOf(err); k != daruma.KindUnknown {
		return k
	}
	code := codeOf(err)
	switch code {
	case "":
		if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			return daruma.KindUnavailable
		}
		if _, ok := errors.AsType[net.Error](err); ok {
			return daruma.KindUnavailable
		}
		return daruma.KindUnknown
	case codeNotOwner:
		return daruma.KindDown
	case codeDenied:
		return daruma.KindDenied
	case codeNoDatabase:
		return daruma.KindNotFound
	case codeLockTimeout, codeCancelled, codeTooMany, codeReadOnly, codeStale:
		return daruma.KindUnavailable
	}
	switch code[:2] {
	case "08", "40", "57": // connection, rolled back, the operator
		return daruma.KindUnavailable
	case "28":
		return daruma.KindUnauthorized
	case "53":
		return daruma.KindExhausted
	case "22", "54": // values that cannot be, sizes
		return daruma.KindInvalid
	case "23":
		return daruma.KindCorrupt
	case "XX":
		return daruma.KindCorrupt
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

// rolledBack reports whether the server says that the transaction did not
// happen and that the session goes on. After any other error it may have
// happened or not.
func rolledBack(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	if severity := e.SeverityUnlocalized; severity != "ERROR" && (severity != "" || e.Severity != "ERROR") {
		return false
	}
	switch {
	case e.Code == codeNotOwner, e.Code == codeReadOnly:
		return false // the session goes on, this journal does not
	case strings.HasPrefix(e.Code, "58"), strings.HasPrefix(e.Code, "XX"): // the server's disk, its data
		return false
	}
	return true
}

// passing reports whether the same may work when it is tried again.
func passing(err error) bool {
	switch code := codeOf(err); code {
	case codeStale, codeUnique, codeCancelled:
		return true
	default:
		return strings.HasPrefix(code, "40")
	}
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
