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
	n          int64
	id         daruma.RunID
	tenant     daruma.Tenant
	typ, name  string
	state      daruma.RunState
	note       string
	head       int64
	epoch      int64
	node       string
	wakeAt     int64
	started    int64
	updated    int64
	checkpoint int64
	hash       daruma.Digest
	lost       int64
	broken     bool // it does not match its checksum, or its last event has another hash or is not there
}

const (
	rowColumns = `r.n, r.id, r.tenant, r.type, r.name, r.state, r.note, r.head, r.epoch, r.node, r.wake_at, r.started, r.updated, r.checkpoint, r.hash, r.lost, r.sum`
	selectRow  = `SELECT ` + rowColumns + `, e.hash FROM run r LEFT JOIN event e ON e.run = r.n AND e.seq = r.head WHERE r.id = ?`
)

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
		n: integer(v[0]), id: daruma.RunID(text(v[1])), tenant: daruma.Tenant(text(v[2])), typ: text(v[3]), name: text(v[4]),
		state: daruma.RunState(integer(v[5])), note: text(v[6]), head: integer(v[7]), epoch: integer(v[8]), node: text(v[9]),
		wakeAt: integer(v[10]), started: integer(v[11]), updated: integer(v[12]), checkpoint: integer(v[13]), lost: integer(v[15]),
	}
	r.broken = copy(r.hash[:], bytesOf(v[14])) < len(r.hash) || r.sum() != integer(v[16]) || string(bytesOf(v[17])) != string(r.hash[:])
	return r
}

// giveUp takes every run from the owner before this one, which died holding
// it. A row that does not match its checksum goes on not to match.
func (c *conn) giveUp() error {
	held, err := c.all(`SELECT ` + rowColumns + `, r.hash FROM run r WHERE node <> ''`)
	if err != nil || len(held) == 0 {
		return err
	}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, v := range held {
		r, sum := scanRow(v), integer(v[16])
		if !r.broken {
			r.node, r.lost = "", 1
			sum = r.sum()
		}
		if _, err := c.exec(`UPDATE run SET node = '', lost = 1, sum = ? WHERE n = ?`, sum, r.n); err != nil {
			return err
		}
	}
	_, err = c.exec("COMMIT")
	return err
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
