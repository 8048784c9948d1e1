package main

import (
	"context"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/postgres"
	"github.com/daruma-run/daruma/sqlite"
)

// owned is a journal that this process owns.
type owned interface {
	daruma.Journal
	daruma.Ledger
	poster
	Close() error
}

// access is a journal for those who post and start runs, whoever owns it.
type access interface {
	reader
	// Post is that of [daruma.Journal].
	Post(ctx context.Context, p daruma.Post) (fresh bool, err error)
	// Commit starts runs that nobody holds, and raises budgets.
	Commit(ctx context.Context, txs []daruma.Tx) []error
}

// reader is a journal that is only read.
type reader interface {
	daruma.Reader
	daruma.Ledger
	poster
	Close() error
}

// inPostgres reports whether a journal lies in PostgreSQL and not in a file.
func inPostgres(journal string) bool {
	return strings.HasPrefix(journal, "postgres://") || strings.HasPrefix(journal, "postgresql://")
}

// openJournal makes this process the owner; KindExists where another is.
func openJournal(ctx context.Context, journal string) (owned, error) {
	if inPostgres(journal) {
		dsn, err := filled(journal)
		if err != nil {
			return nil, err
		}
		return asOwned(postgres.Open(ctx, dsn, nil))
	}
	db, err := sqlite.Open(ctx, journal, nil)
	return asOwned(db, damaged(err))
}

// damaged adds what to do about a file that cannot be read.
func damaged(err error) error {
	if daruma.KindOf(err) != daruma.KindCorrupt {
		return err
	}
	return hinted{err, "put a copy of the file in its place, or name another with --journal"}
}

// asOwned keeps a nil pointer out of the interface.
func asOwned[T owned](j T, err error) (owned, error) {
	if err != nil {
		return nil, err
	}
	return j, nil
}

// connectJournal opens a journal to post to it, and says whether its owner lives.
func connectJournal(ctx context.Context, journal string) (j access, live bool, err error) {
	if inPostgres(journal) {
		return connectPostgres(ctx, journal)
	}
	a, err := sqlite.Connect(ctx, journal, nil)
	if err != nil {
		return nil, false, damaged(err)
	}
	_, live = a.(*sqlite.Remote)
	return a, live, nil
}

func connectPostgres(ctx context.Context, journal string) (j access, live bool, err error) {
	dsn, err := filled(journal)
	if err != nil {
		return nil, false, err
	}
	r, err := postgres.Connect(ctx, dsn)
	if err != nil {
		return nil, false, err
	}
	if _, live, err = r.Owner(ctx); err != nil {
		_ = r.Close() // what failed before matters
		return nil, false, err
	}
	return r, live, nil
}

// readJournal opens a journal to read it.
func readJournal(ctx context.Context, journal string) (reader, error) {
	if inPostgres(journal) {
		j, _, err := connectPostgres(ctx, journal)
		return j, err
	}
	r, err := sqlite.OpenReader(ctx, journal)
	if err != nil {
		return nil, damaged(err)
	}
	return r, nil
}

// ownerOf reaches the process that owns a journal; KindUnavailable for none.
func ownerOf(ctx context.Context, journal string) (access, error) {
	if !inPostgres(journal) {
		r, err := sqlite.Dial(ctx, journal)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	j, live, err := connectPostgres(ctx, journal)
	if err == nil && !live {
		_ = j.Close() // nobody is there
		return nil, daruma.Fail("journal", daruma.KindUnavailable, "no process owns %s", shown(journal))
	}
	return j, err
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// filled puts environment variables into a connection string, so that secrets
// need not stand in the file.
func filled(journal string) (string, error) {
	var missing string
	text := variable.ReplaceAllStringFunc(journal, func(v string) string {
		name := v[2 : len(v)-1]
		value, ok := os.LookupEnv(name)
		if !ok {
			missing = name
		}
		return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	})
	if missing != "" {
		return "", daruma.Fail("config", daruma.KindInvalid, "journal %s: the environment has no variable %s; accepted: one that is set, or no password there and one in PGPASSWORD or a passfile", shown(journal), missing)
	}
	return text, nil
}

var (
	userSecret  = regexp.MustCompile(`(://[^:/?#@]*):(.*)@`)
	paramSecret = regexp.MustCompile(`([?&](?:ssl)?password=)[^&]*`)
)

// shown is a journal's name without a password that stands in it.
func shown(journal string) string {
	if !inPostgres(journal) {
		return journal
	}
	journal = userSecret.ReplaceAllString(journal, "$1:***@")
	return paramSecret.ReplaceAllString(journal, "$1***")
}
