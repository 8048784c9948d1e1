package postgres_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/postgres"
)

// server is the one that all tests of this package share.
var server struct {
	*darumatest.Postgres
	missing error
	schemas atomic.Int32
}

// TestMain starts the server once. A process that a test kills has its own way.
func TestMain(m *testing.M) {
	if os.Getenv(killVariable) != "" {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server.Postgres, server.missing = darumatest.StartPostgres(ctx)
	if err := server.missing; err != nil && daruma.KindOf(err) != daruma.KindNotFound {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if server.missing == nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// place returns the connection string of an empty schema.
func place(t testing.TB) string {
	t.Helper()
	if server.missing != nil {
		t.Skip(server.missing)
	}
	schema := fmt.Sprintf("t%d_%d", os.Getpid(), server.schemas.Add(1))
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		conn, err := pgx.Connect(context.Background(), server.DSN(""))
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), `DROP SCHEMA IF EXISTS `+schema+` CASCADE`); err != nil {
			t.Error(err)
		}
	})
	return server.DSN(schema)
}

func open(t testing.TB, dsn string, opts *postgres.Options) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), dsn, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestJournal(t *testing.T) {
	var places sync.Map // from journals to their strings
	keep := func(t *testing.T, dsn string) daruma.Journal {
		db := open(t, dsn, nil)
		places.Store(daruma.Journal(db), dsn)
		return db
	}
	darumatest.JournalWith(t, darumatest.JournalOptions{
		Open: func(t *testing.T) daruma.Journal { return keep(t, place(t)) },
		Reopen: func(t *testing.T, j daruma.Journal) daruma.Journal {
			if err := j.(*postgres.DB).Close(); err != nil {
				t.Fatal(err)
			}
			dsn, _ := places.Load(j)
			return keep(t, dsn.(string))
		},
		Parallel: true,
	})
}
