package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/daruma-run/daruma"
)

// The head of every SQLite file: the magic text, and where the id of the
// program that writes it stands.
const (
	fileMagic  = "SQLite format 3\x00"
	fileHeader = 100
	fileIDAt   = 68
)

// examine looks at the file at path and leaves nothing beside it, as SQLite
// would with a log and a lock file. It refuses what is no database of this package,
// as far as that can be told, and changes nothing. Fresh: there is no file
// yet, or an empty one, or its first page is still in the log.
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
	case info.Size() == 0:
		return true, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, &daruma.Failure{Op: op, Kind: daruma.KindUnavailable, Err: err}
	}
	defer f.Close()
	head := make([]byte, fileHeader)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, &daruma.Failure{Op: op, Kind: daruma.KindUnavailable, Err: err}
	}
	head = head[:n]
	switch {
	case string(head[:min(n, len(fileMagic))]) != fileMagic[:min(n, len(fileMagic))]:
		return false, daruma.Fail(op, daruma.KindCorrupt, "%s is not a SQLite database, or its first page is damaged", path)
	case n < fileHeader:
		return false, daruma.Fail(op, daruma.KindCorrupt, "%s is cut short: %d bytes, and the head of a SQLite database alone has %d", path, n, fileHeader)
	}
	switch id := binary.BigEndian.Uint32(head[fileIDAt:]); {
	case id == applicationID:
		return false, nil
	case id == 0 && logged(path):
		return true, nil
	case id == 0:
		db, err := openPool(path, still, 1)
		if err != nil {
			return false, err
		}
		defer db.Close()
		return identify(ctx, db, path)
	}
	return false, daruma.Fail(op, daruma.KindInvalid, "%s is a SQLite database of another program", path)
}

// logged reports whether a write-ahead log that holds something lies beside
// the file: an owner is at work, or died.
func logged(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err == nil && info.Size() > 0
}
