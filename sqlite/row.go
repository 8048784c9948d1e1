package sqlite

import (
	sqldriver "database/sql/driver"
	"time"

	"github.com/daruma-run/daruma"
)

// maxRows bounds the rows the writer remembers, each about 300 bytes.
const maxRows = 2048

// row is what the writer knows of a run: enough to append to it without
// reading it again. The database checks it at every write all the same.
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

const selectRow = `SELECT r.n, r.tenant, r.state, r.head, r.epoch, r.node, r.wake_at, r.hash, e.hash
	FROM run r LEFT JOIN event e ON e.run = r.n AND e.seq = r.head WHERE r.id = ?`

// row returns the run, from memory where it can; nil where there is none.
func (w *writer) row(id daruma.RunID) (*row, error) {
	if r := w.rows[id]; r != nil {
		return r, nil
	}
	v, err := w.conn.row(selectRow, string(id))
	if v == nil || err != nil {
		return nil, err
	}
	r := scanRow(v)
	if !r.broken {
		w.remember(id, r)
	}
	return r, nil
}

func scanRow(v []sqldriver.Value) *row {
	r := &row{
		n: integer(v[0]), tenant: daruma.Tenant(text(v[1])), state: daruma.RunState(integer(v[2])),
		head: integer(v[3]), epoch: integer(v[4]), node: text(v[5]), wakeAt: integer(v[6]),
	}
	r.broken = copy(r.hash[:], bytesOf(v[7])) < len(r.hash) || string(bytesOf(v[8])) != string(r.hash[:])
	return r
}

// remember keeps a row, in place of any other where there are too many.
func (w *writer) remember(id daruma.RunID, r *row) {
	if len(w.rows) >= maxRows {
		for other := range w.rows {
			delete(w.rows, other)
			break
		}
	}
	w.rows[id] = r
}

// Columns of a value that SQLite gave: STRICT tables hold no other types.

func integer(v sqldriver.Value) int64 { n, _ := v.(int64); return n }

func text(v sqldriver.Value) string { s, _ := v.(string); return s }

func bytesOf(v sqldriver.Value) []byte { b, _ := v.([]byte); return b }

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
