package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"

	"github.com/daruma-run/daruma"
)

// applicationID marks the files of this package: "DARM".
const applicationID = 0x4441524D

//go:embed migrations/*.sql
var migrationFiles embed.FS

// mode is what a connection may do.
type mode int

const (
	writing mode = iota
	reading      // sees what is committed, also what is still in the log; needs the files beside the database
	still        // reads the database file alone, and leaves nothing beside it
)

// dsn names a database file for the driver, with the settings every
// connection of this package has.
func dsn(path string, m mode) string {
	v := url.Values{"_busy_timeout": {"5000"}, "_defensive": {"1"}, "_dqs": {"0"}, "_error_rc": {"1"}}
	if m == writing {
		v.Set("mode", "rw")
		v.Set("_txlock", "immediate")
		v.Set("_journal_mode", "WAL")
		v.Set("_synchronous", "FULL")
		// The writer checkpoints itself, between commits.
		v["_pragma"] = []string{"wal_autocheckpoint(0)", "cache_size(-512)"}
	} else {
		v.Set("mode", "ro")
		v.Set("_query_only", "1")
		// The system caches the file; a cache in each connection would hold it
		// again, for as long as the process lives.
		v.Set("_pragma", "cache_size(-128)")
	}
	if m == still {
		v.Set("immutable", "1")
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: v.Encode()}
	if !strings.HasPrefix(u.Path, "/") { // a drive letter of Windows
		u.Path = "/" + u.Path
	}
	return u.String()
}

// create makes an empty file that only its owner may read, unless there is one.
func create(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return daruma.Fail("sqlite.Open", daruma.KindNotFound, "%s: the folder does not exist", path)
	}
	if err != nil {
		return &daruma.Failure{Op: "sqlite.Open", Kind: daruma.KindUnavailable, Err: err}
	}
	return f.Close()
}

// openPool opens a database/sql handle of at most n connections.
func openPool(path string, m mode, n int) (*sql.DB, error) {
	c, err := driver.NewConnector(dsn(path, m))
	if err != nil {
		return nil, failure("sqlite.Open", err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// identify refuses files that are no database of this package. It reports
// whether the file is still empty.
func identify(ctx context.Context, db *sql.DB, path string) (empty bool, err error) {
	var id, tables int64
	err = db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version')`).Scan(&id, &tables)
	switch {
	case err != nil && codeOf(err) == codeNotDB:
		return false, daruma.Fail("sqlite.Open", daruma.KindCorrupt, "%s is not a SQLite database, or its first page is damaged: %w", path, err)
	case err != nil:
		return false, fileFailure("sqlite.Open", path, err)
	case id == applicationID && tables > 0:
		return false, nil
	case id == 0 && tables == 0:
		return true, nil
	}
	return false, daruma.Fail("sqlite.Open", daruma.KindInvalid, "%s is a SQLite database of another program", path)
}

// newest returns the version of the schema this binary writes.
func newest() (int64, error) {
	files, err := migrationFiles.ReadDir("migrations") // sorted by name
	if err != nil {
		return 0, err
	}
	last, err := goose.NumericComponent(files[len(files)-1].Name())
	return max(last, sumVersion), err
}

// checkVersion refuses schemas newer than this binary. It reports whether the
// schema is older.
func checkVersion(ctx context.Context, db *sql.DB, path string) (older bool, err error) {
	want, err := newest()
	if err != nil {
		return false, failure("sqlite.Open", err)
	}
	var have int64
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied = 1`).Scan(&have)
	if err != nil {
		return false, fileFailure("sqlite.Open", path, err)
	}
	if have > want {
		return false, daruma.Fail("sqlite.Open", daruma.KindInvalid,
			"%s was written by a newer daruma: its schema has version %d, this one knows versions up to %d", path, have, want)
	}
	return have < want, nil
}

// migrate brings the file to the newest schema. A process that dies here
// leaves the schema of before or of after one migration, never one between.
func migrate(ctx context.Context, path string) error {
	current, err := inspect(ctx, path, reading)
	if codeOf(err) == codeReadOnly {
		// A process died while it made the file: only who may write takes its
		// first transaction back.
		current, err = inspect(ctx, path, writing)
	}
	if err != nil || current {
		return err
	}
	db, err := openPool(path, writing, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return failure("sqlite.Open", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(sumMigration()), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return failure("sqlite.Open", err)
	}
	_, err = p.Up(ctx)
	return fileFailure("sqlite.Open", path, err)
}

// inspect reports whether the file has the newest schema. It changes nothing,
// so that a file which is refused stays as it is.
func inspect(ctx context.Context, path string, m mode) (current bool, err error) {
	db, err := openPool(path, m, 1)
	if err != nil {
		return false, err
	}
	defer db.Close()
	empty, err := identify(ctx, db, path)
	if err != nil || empty {
		return false, err
	}
	older, err := checkVersion(ctx, db, path)
	return !older, err
}
