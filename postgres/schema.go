package postgres

import (
	"context"
	"embed"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/daruma-run/daruma"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// newest returns the version of the schema this binary writes.
func newest() (int64, error) {
	files, err := migrationFiles.ReadDir("migrations") // sorted by name
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(files[len(files)-1].Name())
}

// checkSchema refuses schemas of other programs and those newer than this
// binary. It returns the version there is, 0 where nothing has been written.
func (s *source) checkSchema(ctx context.Context, op string, conn *pgx.Conn) (have, want int64, err error) {
	want, err = newest()
	if err != nil {
		return 0, 0, failure(op, err)
	}
	var tables, versioned, ours int
	err = conn.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE c.relname = 'goose_db_version'),
		count(*) FILTER (WHERE c.relname IN ('owner', 'run', 'event'))
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')`, s.schema).Scan(&tables, &versioned, &ours)
	if err != nil {
		return 0, 0, s.failure(ctx, op, err)
	}
	if tables == 0 || tables == 1 && versioned == 1 { // nothing, or a start that died
		return 0, want, nil
	}
	if versioned == 0 || ours != 3 {
		return 0, 0, daruma.Fail(op, daruma.KindInvalid, "%s: the schema holds tables of another program; name another with ?schema=", s.name)
	}
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have); err != nil {
		return 0, 0, s.failure(ctx, op, err)
	}
	if have > want {
		return 0, 0, daruma.Fail(op, daruma.KindInvalid,
			"%s was written by a newer daruma: its schema has version %d, this one knows versions up to %d", s.name, have, want)
	}
	return have, want, nil
}

// migrate brings the schema to the newest version. Only who holds the owner
// lock calls it. A process that dies here leaves the schema of before or of
// after one migration, never one between.
func (s *source) migrate(ctx context.Context, op string, conn *pgx.Conn) error {
	have, want, err := s.checkSchema(ctx, op, conn)
	if err != nil || have == want {
		return err
	}
	if _, err := conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{s.schema}.Sanitize()); err != nil {
		return s.failure(ctx, op, err)
	}
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return failure(op, err)
	}
	db := stdlib.OpenDB(*s.with(sessionSettings))
	defer db.Close()
	db.SetMaxOpenConns(1)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return s.failure(ctx, op, err)
	}
	if _, err = p.Up(ctx); err != nil {
		return s.failure(ctx, op, err)
	}
	return nil
}
