package sqlite

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/daruma-run/daruma"
)

// smallest is the size of the smallest page, so of the smallest database.
const smallest = 512

// examine looks at the file at path and leaves nothing beside it, as SQLite
// would with a log and a lock file. It refuses what is no database of this
// package, as far as that can be told, and changes nothing. Fresh: there is no
// file yet, or an empty one, or its first page is still in the log.
//
// The file is read by SQLite alone: to close another descriptor of it would
// give up the locks of every connection this process has to it.
func examine(ctx context.Context, op, path string) (fresh bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, &daruma.Failure{Op: op, Kind: daruma.KindUnavailable, Err: err}
	case info.IsDir():
		return false, daruma.Fail(op, daruma.KindInvalid, "%s is a folder; accepted: the path of a file", path)
	case !info.Mode().IsRegular():
		return false, daruma.Fail(op, daruma.KindInvalid, "%s is no regular file; accepted: the path of a file", path)
	case logged(path):
		return true, nil // an owner is at work, or died: only with the log it is whole
	case info.Size() == 0:
		return true, nil
	case info.Size() < smallest:
		return false, daruma.Fail(op, daruma.KindCorrupt, "%s is not a SQLite database, or cut short: it has %d bytes", path, info.Size())
	}
	db, err := openPool(path, still, 1)
	if err != nil {
		return false, err
	}
	defer db.Close()
	return identify(ctx, db, path)
}

// logged reports whether a log that holds something lies beside the file: an
// owner is at work, or died. While the file is made that is a rollback journal.
func logged(path string) bool {
	for _, log := range []string{"-wal", "-journal"} {
		if info, err := os.Stat(path + log); err == nil && info.Size() > 0 {
			return true
		}
	}
	return false
}

// settleLog makes the log that a former owner left durable, before anything is
// read from it. After a sync that failed, the system may show content that
// never reached the disk, and hold it for written: only what is written again
// is synced again. Rewriting a sound log with what it says changes nothing,
// wherever the process dies.
func settleLog(path string) (err error) {
	f, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer f.Close()
		piece := make([]byte, 1<<20)
		for at := int64(0); ; {
			n, rerr := f.ReadAt(piece, at)
			if rerr != nil && !errors.Is(rerr, io.EOF) {
				err = rerr
				break
			}
			if n == 0 {
				break
			}
			if _, err = f.WriteAt(piece[:n], at); err != nil {
				break
			}
			at += int64(n)
		}
		if err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		return &daruma.Failure{Op: "sqlite.Open", Kind: daruma.KindUnavailable, Err: err}
	}
	return nil
}
