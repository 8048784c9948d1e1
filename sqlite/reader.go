package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"

	"github.com/daruma-run/daruma"
)

// Reader reads a journal file without owning it, while an owner writes or
// none lives. It sees what is durable.
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
	if _, err := os.Stat(path); err != nil {
		kind := daruma.KindUnavailable
		if errors.Is(err, fs.ErrNotExist) {
			kind = daruma.KindNotFound
		}
		return nil, &daruma.Failure{Op: name, Kind: kind, Err: err}
	}
	db, err := openPool(path, false, runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	empty, err := identify(ctx, db, path)
	if err == nil && empty {
		err = daruma.Fail(name, daruma.KindNotFound, "%s is empty: nothing has been written yet", path)
	}
	older := false
	if err == nil {
		older, err = checkVersion(ctx, db, path)
	}
	if err == nil && older {
		err = daruma.Fail(name, daruma.KindInvalid, "%s has the schema of an older daruma: a command that writes brings it up to date", path)
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &Reader{reads{db: db}}, nil
}

// Close gives the connections back.
func (r *Reader) Close() error { return r.reads.close() }
