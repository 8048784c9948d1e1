package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// Owner says which process owns a journal file.
type Owner struct {
	PID    int       `json:"pid"`
	Host   string    `json:"host"`
	Since  time.Time `json:"since"`
	Socket string    `json:"socket"` // where it takes posts and new runs

	boot string // the start of the system in which it lives; "" is not known
}

// String names the owner in a sentence.
func (o Owner) String() string {
	if o.PID == 0 {
		return "a process that has not said who it is"
	}
	return fmt.Sprintf("pid %d on %s since %s", o.PID, o.Host, o.Since.Format(time.RFC3339))
}

// errHeld is what lockFile returns where another process holds the lock.
var errHeld = errors.New("held by another process")

// ownerLock is the lock on PATH.lock. The system frees it when the process
// dies; the file stays.
type ownerLock struct {
	file *os.File
}

// resolve returns the one absolute name of a file, so that two ways to it
// meet at the same lock.
func resolve(path string) (string, error) {
	if path == "" || strings.HasPrefix(path, "file:") || strings.Contains(path, ":memory:") {
		return "", daruma.Fail("sqlite.Open", daruma.KindInvalid, "path %q: accepted is the path of a file", path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &daruma.Failure{Op: "sqlite.Open", Kind: daruma.KindInvalid, Err: err}
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", daruma.Fail("sqlite.Open", daruma.KindNotFound, "%s: the folder does not exist", abs)
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// takeLock makes this process the owner of a journal file.
func takeLock(path string) (*ownerLock, error) {
	const op = "sqlite.Open"
	if kind, remote := remoteFileSystem(filepath.Dir(path)); remote {
		return nil, daruma.Fail(op, daruma.KindInvalid, "%s lies on a network file system (%s), which does not keep locks and syncs: put it on a local disk", path, kind)
	}
	f, err := lockFile(path + ".lock")
	if errors.Is(err, errHeld) {
		owner, _ := readOwner(path) // what it does not say is not known
		return nil, daruma.Fail(op, daruma.KindExists, "%s is owned by %s", path, owner)
	}
	if err != nil {
		return nil, &daruma.Failure{Op: op, Kind: daruma.KindUnavailable, Err: err}
	}
	return &ownerLock{file: f}, nil
}

// sign writes who owns the file into the lock.
func (l *ownerLock) sign(o Owner) error {
	text := fmt.Sprintf("pid %d\nhost %s\nsince %s\nsocket %s\nboot %s\n", o.PID, o.Host, o.Since.Format(time.RFC3339Nano), o.Socket, bootID())
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(text), 0)
	return err
}

// release gives the lock back.
func (l *ownerLock) release() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

// readOwner reads what the owner of a journal file, or the last one, wrote.
func readOwner(path string) (Owner, error) {
	b, err := os.ReadFile(path + ".lock")
	if err != nil {
		return Owner{}, err
	}
	var o Owner
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch name {
		case "pid":
			o.PID, _ = strconv.Atoi(value)
		case "host":
			o.Host = value
		case "since":
			o.Since, _ = time.Parse(time.RFC3339Nano, value)
		case "socket":
			o.Socket = value
		case "boot":
			o.boot = value
		}
	}
	return o, nil
}
