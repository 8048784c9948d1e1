package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"

	driver "modernc.org/sqlite"
)

// conn is the one connection that writes. It belongs to the writer goroutine
// and keeps each statement prepared from its first use on. It goes round
// database/sql, whose pool and locks would cost a tenth of every commit.
type conn struct {
	raw   sqldriver.Conn
	stmts map[string]*stmt
}

type stmt struct {
	sqldriver.Stmt

	exec  sqldriver.StmtExecContext
	query sqldriver.StmtQueryContext
	args  []sqldriver.NamedValue
}

func openConn(ctx context.Context, path string) (*conn, error) {
	c, err := driver.NewConnector(dsn(path, writing))
	if err != nil {
		return nil, err
	}
	raw, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, stmts: map[string]*stmt{}}, nil
}

// prepared returns the statement of a text, with its arguments in place.
func (c *conn) prepared(text string, args []any) (*stmt, error) {
	s := c.stmts[text]
	if s == nil {
		raw, err := c.raw.Prepare(text)
		if err != nil {
			return nil, err
		}
		s = &stmt{Stmt: raw}
		var ok1, ok2 bool
		s.exec, ok1 = raw.(sqldriver.StmtExecContext)
		s.query, ok2 = raw.(sqldriver.StmtQueryContext)
		if !ok1 || !ok2 {
			return nil, errors.New("sqlite: the driver does not take contexts")
		}
		c.stmts[text] = s
	}
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, sqldriver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s, nil
}

// exec runs a statement and returns how many rows it changed. Arguments are
// int64, string or []byte.
func (c *conn) exec(text string, args ...any) (changed int64, err error) {
	_, changed, err = c.insert(text, args...)
	return changed, err
}

// insert is exec that also returns the row id of the row inserted last.
func (c *conn) insert(text string, args ...any) (id, changed int64, err error) {
	s, err := c.prepared(text, args)
	if err != nil {
		return 0, 0, err
	}
	res, err := s.exec.ExecContext(context.Background(), s.args)
	clear(s.args) // let go of payloads
	if err != nil {
		return 0, 0, err
	}
	if id, err = res.LastInsertId(); err != nil {
		return 0, 0, err
	}
	changed, err = res.RowsAffected()
	return id, changed, err
}

// row returns the first row of a query, nil where there is none.
func (c *conn) row(text string, args ...any) ([]sqldriver.Value, error) {
	s, err := c.prepared(text, args)
	if err != nil {
		return nil, err
	}
	rows, err := s.query.QueryContext(context.Background(), s.args)
	clear(s.args)
	if err != nil {
		return nil, err
	}
	dest := make([]sqldriver.Value, len(rows.Columns()))
	err = rows.Next(dest)
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return dest, nil
}

// all returns every row of a query.
func (c *conn) all(text string, args ...any) ([][]sqldriver.Value, error) {
	s, err := c.prepared(text, args)
	if err != nil {
		return nil, err
	}
	rows, err := s.query.QueryContext(context.Background(), s.args)
	clear(s.args)
	if err != nil {
		return nil, err
	}
	var all [][]sqldriver.Value
	for {
		dest := make([]sqldriver.Value, len(rows.Columns()))
		if err = rows.Next(dest); err != nil {
			break
		}
		all = append(all, dest)
	}
	if cerr := rows.Close(); errors.Is(err, io.EOF) {
		err = cerr
	}
	return all, err
}

// close gives the statements and the connection back.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// hold keeps a file open for reading. While it does, no connection that
// writes is the last one to be closed, which would sync: a journal that has
// stopped must not, because after a sync that failed one that succeeds proves
// nothing. The holder itself only reads, and cannot.
func hold(ctx context.Context, path string) (release func() error, err error) {
	db, err := openPool(path, reading, 1)
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err == nil {
		var n int64 // only with the first read is the log open
		err = c.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&n)
		if err == nil {
			return func() error { return errors.Join(c.Close(), db.Close()) }, nil
		}
		err = errors.Join(err, c.Close())
	}
	return nil, errors.Join(err, db.Close())
}
