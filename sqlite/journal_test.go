package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/sqlite"
)

func open(t *testing.T, path string, opts *sqlite.Options) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, opts)
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
	darumatest.JournalWith(t, darumatest.JournalOptions{
		Open: func(t *testing.T) daruma.Journal { return open(t, filepath.Join(t.TempDir(), "j.db"), nil) },
		Reopen: func(t *testing.T, j daruma.Journal) daruma.Journal {
			db := j.(*sqlite.DB)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, db.Path(), nil)
		},
	})
}
