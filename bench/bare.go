package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"

	_ "modernc.org/sqlite"
)

// bare is no engine: a step is one row in one fsynced transaction. It is the
// floor under every engine that commits each step.
type bare struct {
	c      config
	db     *sql.DB
	insert *sql.Stmt
}

func openBare(ctx context.Context, c config) (engine, error) {
	db, err := openSQLite(ctx, filepath.Join(c.Dir, "bare.db"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL)`); err != nil {
		return nil, err
	}
	insert, err := db.PrepareContext(ctx, `INSERT INTO rows (body) VALUES (?)`)
	if err != nil {
		return nil, err
	}
	return &bare{c, db, insert}, nil
}

func (b *bare) Start(ctx context.Context, run string) (func() error, error) {
	for step := range b.c.Steps {
		if _, err := b.insert.ExecContext(ctx, b.c.Work(run, step)); err != nil {
			return nil, err
		}
	}
	return func() error { return nil }, nil
}

func (b *bare) Await(context.Context, []string) error { return nil }

func (b *bare) Durability() string { return "SQLite WAL, synchronous=FULL" }

func (b *bare) Close() error { return b.db.Close() }

// openSQLite opens a database whose every commit waits for the disk, and makes
// sure that it does.
func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=foreign_keys(ON)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	var mode string
	var sync int
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return nil, err
	}
	if err := db.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&sync); err != nil {
		return nil, err
	}
	if mode != "wal" || sync != 2 {
		return nil, fmt.Errorf("%s: journal_mode is %s and synchronous %d, wanted wal and 2 (FULL)", path, mode, sync)
	}
	return db, nil
}
