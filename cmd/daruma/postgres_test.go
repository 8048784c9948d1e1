package main

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/darumatest"
)

// TestPostgres runs the real command on a journal in PostgreSQL: what scripts
// do with a file, and what is different there.
func TestPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server; left out with -short")
	}
	server, err := darumatest.StartPostgres(t.Context())
	if daruma.KindOf(err) == daruma.KindNotFound {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !server.Own() {
		t.Skip("leaves schemas behind; the server is somebody else's")
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	files, err := filepath.Glob("testdata/postgres/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var n atomic.Int32
	testscript.Run(t, testscript.Params{
		Files: append(files, "testdata/script/run.txt"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("DARUMA_JOURNAL", server.DSN(fmt.Sprint("s", n.Add(1))))
			return nil
		},
	})
}

func TestSecretsOfAJournal(t *testing.T) {
	t.Setenv("DARUMA_TEST_SECRET", "a b@c:/?&+%")
	for journal, want := range map[string]struct{ filled, shown string }{
		"daruma.db":                                {"daruma.db", "daruma.db"},
		"postgres://h/d":                           {"postgres://h/d", "postgres://h/d"},
		"postgres://u:p@h/d":                       {"postgres://u:p@h/d", "postgres://u:***@h/d"},
		"postgres://u:p@q@h/d":                     {"postgres://u:p@q@h/d", "postgres://u:***@h/d"},
		"postgres:///d?password=p&a":               {"postgres:///d?password=p&a", "postgres:///d?password=***&a"},
		"postgresql://u:${DARUMA_TEST_SECRET}@h/d": {"postgresql://u:a%20b%40c%3A%2F%3F%26%2B%25@h/d", "postgresql://u:***@h/d"},
	} {
		got, err := filled(journal)
		if err != nil || got != want.filled || shown(journal) != want.shown {
			t.Errorf("%s: filled %s (%v), shown %s", journal, got, err, shown(journal))
		}
	}
}
