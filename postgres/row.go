package postgres

import (
	"time"

	"github.com/daruma-run/daruma"
)

// maxRows bounds the rows the writer remembers, each about 300 bytes.
const maxRows = 4096

// row is what the writer knows of a run: enough to append to it without
// reading it again. The statement that writes checks all of it.
type row struct {
	n      int64
	tenant daruma.Tenant
	state  daruma.RunState
	head   int64
	epoch  int64
	node   string
	wakeAt int64
	hash   daruma.Digest
	broken bool // its last event has another hash, or is not there
}

// remember keeps a row, in place of any other where there are too many. A run
// that rests is forgotten: it is written again by a claim, which reads it.
func (w *writer) remember(id daruma.RunID, r row) {
	if r.node == "" || r.state.Finished() || r.state == daruma.Quarantined {
		delete(w.rows, id)
		return
	}
	if len(w.rows) >= maxRows && w.rows[id] == nil {
		for other := range w.rows {
			delete(w.rows, other)
			break
		}
	}
	w.rows[id] = &r
}

// micros is how times are stored; 0 is no time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// blob is b, never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
