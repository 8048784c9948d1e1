package fake

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"

	"github.com/daruma-run/daruma"
)

// Entry is one effect that a scripted tool had: work that was really done,
// whatever the caller was told.
type Entry struct {
	Seq    int             `json:"seq"` // from 1
	Tool   string          `json:"tool"`
	Key    string          `json:"key"` // the caller's idempotency key; empty without one
	Args   json.RawMessage `json:"args"`
	Result json.RawMessage `json:"result"`
}

// ledger keeps the effects. It is guarded by the mutex of its Fake.
type ledger struct {
	entries []Entry
	file    *os.File // nil: in memory alone
}

func (l *ledger) reset() { l.entries = nil }

// add appends an effect, on disk first. Without a file it never fails.
func (l *ledger) add(e Entry) error {
	e.Seq = len(l.entries) + 1
	if l.file != nil {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := l.file.Write(append(b, '\n')); err != nil {
			return err
		}
		if err := l.file.Sync(); err != nil {
			return err
		}
	}
	l.entries = append(l.entries, e)
	return nil
}

// find returns the effect of the tool under the key.
func (l *ledger) find(tool, key string) (Entry, bool) {
	for _, e := range l.entries {
		if e.Tool == tool && e.Key == key && key != "" {
			return e, true
		}
	}
	return Entry{}, false
}

// Ledger returns the effects of all tools, oldest first.
func (f *Fake) Ledger() []Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ledger.entries)
}

// Happened reports whether the tool has had an effect under the key, and what
// it answered then: what a caller in doubt should ask.
func (f *Fake) Happened(tool, key string) (result json.RawMessage, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.ledger.find(tool, key)
	return e.Result, ok
}

// KeepLedger keeps the ledger in a file as well, one JSON object a line, and
// reads what stands there already, so that tools which tell repetitions by
// their key do so over restarts. An effect is on disk before it is answered;
// if the process dies in between, it has happened. A torn last line is cut off.
// Call it before anything else; [Fake.Close] closes the file.
func (f *Fake) KeepLedger(path string) error {
	const op = "fake.KeepLedger"
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return daruma.Fail(op, daruma.KindInvalid, "ledger: %w", err)
	}
	var entries []Entry
	var good int64
	r := bufio.NewReader(file)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			break // the end, or a line without its end
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			file.Close()
			return daruma.Fail(op, daruma.KindCorrupt, "ledger %s, line %d: %w", path, len(entries)+1, err)
		}
		entries = append(entries, e)
		good += int64(len(line))
	}
	if err := file.Truncate(good); err == nil {
		_, err = file.Seek(good, 0)
	}
	if err != nil {
		file.Close()
		return daruma.Fail(op, daruma.KindInternal, "ledger: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ledger = ledger{entries, file}
	return nil
}

// Close closes the ledger's file, if there is one. It may be called twice.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	file := f.ledger.file
	f.ledger.file = nil
	if file == nil {
		return nil
	}
	return file.Close()
}
