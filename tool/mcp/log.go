package mcp

import (
	"io"
	"strings"
	"sync"
)

// logger takes what a server writes to standard error: all of it goes to the
// writer of the configuration, the last lines are kept for the message of a
// start that fails. It is safe for concurrent use, and never fails: a full
// disk must not end a server.
type logger struct {
	w io.Writer

	mu   sync.Mutex
	tail []byte
}

// kept is how much is kept, in bytes.
const kept = 1 << 10

// Write implements [io.Writer].
func (l *logger) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, b[max(0, len(b)-kept):]...)
	if n := len(l.tail) - kept; n > 0 {
		l.tail = append(l.tail[:0], l.tail[n:]...)
	}
	if l.w != nil {
		l.w.Write(b)
	}
	return len(b), nil
}

func (l *logger) line(text string) { l.Write([]byte(text + "\n")) }

// last returns the end of what was said, on one line.
func (l *logger) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(l.tail), "\uFFFD")), " ")
}
