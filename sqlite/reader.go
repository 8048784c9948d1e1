package sqlite

import (
	"context"
	"database/sql"
	"os"
	"runtime"

	"github.com/daruma-run/daruma"
)

// Reader reads a journal file without owning it, while an owner writes or
// none lives. It sees what is durable, and leaves nothing beside a file that
// nobody owns.
type Reader struct {
	reads
}

var _ daruma.Reader = (*Reader)(nil)

// OpenReader opens the file at path for reading. Errors: KindNotFound where
// there is none, KindInvalid for the file of another program or of another
// version, KindCorrupt for a file that is no database.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	const name = "sqlite.OpenReader"
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	fresh, err := examine(ctx, name, path)
	if err != nil {
		return nil, err
	}
	if fresh && !logged(path) {
		return nil, daruma.Fail(name, daruma.KindNotFound, "%s: nothing has been written there yet", path)
	}
	r := &Reader{reads{path: path, still: &picture{}}}
	db, err := r.pool()
	if err != nil {
		return nil, err
	}
	empty, err := identify(ctx, db, path)
	if err == nil && empty {
		err = daruma.Fail(name, daruma.KindNotFound, "%s: nothing has been written there yet", path)
	}
	older := false
	if err == nil {
		older, err = checkVersion(ctx, db, path)
	}
	if err == nil && older {
		err = daruma.Fail(name, daruma.KindInvalid, "%s has the schema of an older daruma: a command that writes brings it up to date", path)
	}
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// Close gives the connections back.
func (r *Reader) Close() error { return r.reads.close() }

// picture is what a Reader knows of a file that nobody owned when it looked
// last: read without a log and locks until somebody writes.
type picture struct {
	file os.FileInfo // nil: somebody owned it, or it has not been looked at
	old  []*sql.DB   // pools of former pictures, which may be in use
}

// pool returns the connections to read on. Those of a Reader change when an
// owner has come, or has come and gone, since it looked last.
func (r *reads) pool() (*sql.DB, error) {
	if r.still == nil {
		return r.db, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.path)
	if err != nil {
		return nil, &daruma.Failure{Kind: daruma.KindUnavailable, Err: err}
	}
	p := r.still
	live := logged(r.path)
	if r.db != nil && (p.file == nil || !live && info.Size() == p.file.Size() && info.ModTime().Equal(p.file.ModTime())) {
		return r.db, nil
	}
	m := still
	if live {
		m = reading
	}
	db, err := openPool(r.path, m, runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	if r.db != nil {
		p.old = append(p.old, r.db)
	}
	r.db, p.file = db, info
	if live {
		p.file = nil
	}
	return db, nil
}
