package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/postgres"
)

// tamper changes rows behind the journal's back; @ is the schema.
func tamper(t *testing.T, dsn string, statement string) {
	t.Helper()
	tag, err := root(t).Exec(context.Background(), `SET search_path = `+schemaOf(dsn)+`; `+statement)
	if err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("%s: %v, %v", statement, tag, err)
	}
}

// grown is a run with a checkpoint at 3 and a head of 5.
func grown(t *testing.T, db *postgres.DB, id string) {
	t.Helper()
	tx := start(id)
	for i, kind := range []string{"model.replied", "run.checkpoint", "model.replied", "judged"} {
		tx.Events = append(tx.Events, event(kind, fmt.Sprint("x", i)))
	}
	if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil {
		t.Fatal(err)
	}
}

func TestQuarantine(t *testing.T) {
	const ofBad, atBad = ` WHERE run = (SELECT n FROM run WHERE id = 'bad')`, ` WHERE id = 'bad'`
	for name, statement := range map[string]string{
		"payload":           `UPDATE event SET payload = set_byte(payload, 3, 65)` + ofBad + ` AND seq = 4`,
		"kind":              `UPDATE event SET kind = 'model.repliee'` + ofBad + ` AND seq = 4`,
		"time":              `UPDATE event SET time = time + 1` + ofBad + ` AND seq = 4`,
		"short hash":        `UPDATE event SET hash = substr(hash, 1, 31)` + ofBad + ` AND seq = 2`,
		"last event gone":   `DELETE FROM event` + ofBad + ` AND seq = 5`,
		"all gone":          `DELETE FROM event` + ofBad,
		"hash of the run":   `UPDATE run SET hash = decode(repeat('00', 32), 'hex')` + atBad,
		"head of the run":   `UPDATE run SET head = 4` + atBad,
		"tenant of the run": `UPDATE run SET tenant = 'other'` + atBad,
		"checkpoint moved":  `UPDATE run SET checkpoint = 4` + atBad,
		"an event too many": `INSERT INTO event SELECT run, 6, kind, time, actor, payload, hash FROM event` + ofBad + ` AND seq = 5`,
	} {
		t.Run(name, func(t *testing.T) {
			dsn := place(t)
			db := open(t, dsn, nil)
			for _, id := range []string{"good", "bad", "better"} {
				grown(t, db, id)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			tamper(t, dsn, statement)
			db = open(t, dsn, nil)
			claims, err := db.Claim(t.Context(), daruma.Claim{Node: "a"})
			if err != nil {
				t.Fatal(err)
			}
			var ids []daruma.RunID
			for _, r := range claims.Runs {
				ids = append(ids, r.Run.ID)
			}
			slices.Sort(ids)
			if !slices.Equal(ids, []daruma.RunID{"better", "good"}) {
				t.Errorf("claimed %v", ids)
			}
			info, err := db.Run(t.Context(), "bad")
			if err != nil || info.State != daruma.Quarantined || info.Node != "" || info.Note == "" {
				t.Errorf("got %+v, %v", info, err)
			}
			tx := daruma.Tx{Tenant: info.Tenant, Run: "bad", Head: info.Head, Epoch: info.Epoch, Events: []daruma.Event{event("judged", "y")}}
			if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; daruma.KindOf(err) != daruma.KindCorrupt {
				t.Errorf("commit: %v", err)
			}
		})
	}
}

// What is stored may contradict a Tx only when it is written: that Tx is
// refused, and those beside it go on.
func TestContradictionInBatch(t *testing.T) {
	dsn := place(t)
	db := open(t, dsn, nil)
	for _, id := range []string{"bad", "good", "row"} {
		grown(t, db, id)
	}
	tamper(t, dsn, `INSERT INTO event SELECT run, 6, kind, time, actor, payload, hash FROM event WHERE run = (SELECT n FROM run WHERE id = 'bad') AND seq = 5`)
	tamper(t, dsn, `UPDATE run SET head = 4 WHERE id = 'row'`)
	step := func(id daruma.RunID) daruma.Tx {
		return daruma.Tx{Run: id, Head: 5, Epoch: 1, Events: []daruma.Event{event("judged", "y")}}
	}
	got := db.Commit(t.Context(), []daruma.Tx{step("good"), step("bad"), step("row"), free("new")})
	for i, want := range []daruma.Kind{0, daruma.KindCorrupt, daruma.KindConflict, 0} {
		if (got[i] == nil) != (want == 0) || daruma.KindOf(got[i]) != want {
			t.Errorf("Tx %d: %v, want %v", i, got[i], want)
		}
	}
	if db.Err() != nil {
		t.Errorf("the journal stopped: %v", db.Err())
	}
	// What a column cannot hold is refused, and stops nothing either.
	bad := step("good")
	bad.Head, bad.Events[0].Actor = 6, "user:\x00"
	odd := step("good")
	odd.Head, odd.Note = 6, "a\x00b\xff"
	got = db.Commit(t.Context(), []daruma.Tx{bad, odd})
	if info, err := db.Run(t.Context(), "good"); daruma.KindOf(got[0]) != daruma.KindInvalid || got[1] != nil || err != nil || info.Note != "a\uFFFDb\uFFFD" {
		t.Errorf("verdicts %v, run %+v, %v", got, info, err)
	}
}

var errDisk = errors.New("input/output error")

// TestGroupCommit has many callers share one transaction, and a failure at
// each point acknowledge nobody.
func TestGroupCommit(t *testing.T) {
	for _, fail := range []string{"", postgres.FaultBegin, postgres.FaultStatement, postgres.FaultCommit, postgres.FaultSent, postgres.FaultCommitted} {
		t.Run(fail, func(t *testing.T) {
			held, gate := make(chan struct{}), make(chan struct{})
			var first sync.Once
			var commits atomic.Int32
			var armed atomic.Bool
			db := open(t, place(t), &postgres.Options{Fault: func(point string) error {
				if armed.Load() && point == fail {
					return errDisk
				}
				if point == postgres.FaultCommit {
					commits.Add(1)
					first.Do(func() { close(held); <-gate })
				}
				return nil
			}})
			var wg sync.WaitGroup
			wg.Go(func() {
				err := db.Commit(t.Context(), []daruma.Tx{start("first")})[0]
				if after := fail == postgres.FaultSent || fail == postgres.FaultCommitted; (err != nil) != after {
					t.Error(err)
				}
			})
			<-held
			const n = 32
			verdicts := make([]error, n)
			for i := range n {
				wg.Go(func() { verdicts[i] = db.Commit(t.Context(), []daruma.Tx{start(fmt.Sprint("r", i))})[0] })
			}
			db.AwaitQueued(n)
			armed.Store(fail != "")
			close(gate)
			wg.Wait()
			for i, err := range verdicts {
				if fail == "" && err != nil || fail != "" && (daruma.KindOf(err) != daruma.KindDown || !errors.Is(err, errDisk)) {
					t.Errorf("caller %d: %v", i, err)
				}
			}
			if fail == "" && commits.Load() != 2 {
				t.Errorf("%d callers took %d commits, want 2", n+1, commits.Load())
			}
			if _, err := db.Run(t.Context(), "none"); daruma.KindOf(err) != daruma.KindNotFound {
				t.Errorf("a read: %v", err)
			}
		})
	}
}
