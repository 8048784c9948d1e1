package darumatest_test

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/postgres"
	"github.com/daruma-run/daruma/sqlite"
)

var storeFlag = flag.String("crash.store", "sqlite", "where the journals lie that are crashed: sqlite or postgres")

// ground is the server of all campaigns, where there is one.
var ground *darumatest.Postgres

// withStore starts what the store needs, runs the tests and ends it.
func withStore(m *testing.M) (code int) {
	flag.Parse()
	switch *storeFlag {
	case "sqlite":
		return m.Run()
	case "postgres":
	default:
		fmt.Fprintf(os.Stderr, "-crash.store is %q; accepted: sqlite, postgres\n", *storeFlag)
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	if ground, err = darumatest.StartPostgres(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := ground.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}()
	return m.Run()
}

// journalIn names the journal of a campaign.
func journalIn(dir string) string {
	if ground == nil {
		return filepath.Join(dir, "runs.db")
	}
	d := daruma.DigestOf([]byte(dir))
	return ground.DSN("crash_" + hex.EncodeToString(d[:8]))
}

func onServer(journal string) bool { return strings.Contains(journal, "schema=") }

// crashed is a journal that a worker owns.
type crashed interface {
	daruma.Journal
	Err() error
	Down() <-chan struct{}
	Close() error
}

func ownStore(ctx context.Context, journal string, fault func(string) error) (crashed, error) {
	if onServer(journal) {
		return postgres.Open(ctx, journal, &postgres.Options{Fault: fault, Patience: 20 * time.Second})
	}
	return sqlite.Open(ctx, journal, &sqlite.Options{Fault: fault})
}

// kept is a journal that is read after its owner died.
type kept interface {
	daruma.Reader
	Close() error
}

func readStore(ctx context.Context, journal string) (kept, error) {
	if onServer(journal) {
		return postgres.Connect(ctx, journal)
	}
	return sqlite.OpenReader(ctx, journal)
}

// reached is a journal that another process owns.
type reached interface {
	kept
	Post(ctx context.Context, p daruma.Post) (fresh bool, err error)
}

func reachStore(ctx context.Context, journal string) (reached, error) {
	if onServer(journal) {
		return postgres.Connect(ctx, journal)
	}
	return sqlite.Dial(ctx, journal)
}
