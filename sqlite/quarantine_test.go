package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

// tamper changes the file behind the journal's back.
func tamper(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		res, err := db.Exec(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if n, _ := res.RowsAffected(); n == 0 {
			t.Fatalf("%s changed nothing", s)
		}
	}
}

// grown is a run with a checkpoint at 3 and a head of 5.
func grown(t *testing.T, db *sqlite.DB, id daruma.RunID) {
	t.Helper()
	tx := start(string(id))
	tx.Events = append(tx.Events, event("model.replied"), event("run.checkpoint"), event("model.replied"), event("judged"))
	if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil {
		t.Fatal(err)
	}
}

const (
	ofBad = ` WHERE run = (SELECT n FROM run WHERE id = 'bad')`
	atBad = ` WHERE id = 'bad'`
)

func TestQuarantine(t *testing.T) {
	for name, statement := range map[string]string{
		"payload":           `UPDATE event SET payload = CAST(replace(CAST(payload AS TEXT), 'x"', 'y"') AS BLOB)` + ofBad + ` AND seq = 4`,
		"kind":              `UPDATE event SET kind = 'model.repliee'` + ofBad + ` AND seq = 4`,
		"time":              `UPDATE event SET time = time + 1` + ofBad + ` AND seq = 4`,
		"actor":             `UPDATE event SET actor = 'user:ann'` + ofBad + ` AND seq = 4`,
		"hash":              `UPDATE event SET hash = zeroblob(32)` + ofBad + ` AND seq = 4`,
		"short hash":        `UPDATE event SET hash = substr(hash, 1, 31)` + ofBad + ` AND seq = 2`,
		"last event gone":   `DELETE FROM event` + ofBad + ` AND seq = 5`,
		"event gone":        `DELETE FROM event` + ofBad + ` AND seq = 4`,
		"checkpoint gone":   `DELETE FROM event` + ofBad + ` AND seq = 3`,
		"all gone":          `DELETE FROM event` + ofBad,
		"order":             `UPDATE event SET seq = 9 - seq` + ofBad + ` AND seq IN (4)`,
		"hash of the run":   `UPDATE run SET hash = zeroblob(32)` + atBad,
		"head of the run":   `UPDATE run SET head = 4` + atBad,
		"tenant of the run": `UPDATE run SET tenant = 'other'` + atBad,
		"checkpoint moved":  `UPDATE run SET checkpoint = 4` + atBad,
		"checkpoint at end": `UPDATE run SET checkpoint = 6` + atBad,
		"checkpoint beyond": `UPDATE run SET checkpoint = 60` + atBad,
		"an event too many": `INSERT INTO event (run, seq, kind, time, actor, payload, hash) SELECT run, 6, kind, time, actor, payload, hash FROM event` + ofBad + ` AND seq = 5`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.db")
			db := open(t, path, nil)
			for _, id := range []daruma.RunID{"good", "bad", "better"} {
				grown(t, db, id)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if name == "order" {
				tamper(t, path, `DELETE FROM event`+ofBad+` AND seq = 5`)
			}
			tamper(t, path, statement)
			db = open(t, path, nil)
			claims, err := db.Claim(t.Context(), daruma.Claim{Node: "a"})
			if err != nil {
				t.Fatal(err)
			}
			var ids []daruma.RunID
			for _, r := range claims.Runs {
				ids = append(ids, r.Run.ID)
			}
			if !slices.Equal(ids, []daruma.RunID{"good", "better"}) {
				t.Errorf("claimed %v", ids)
			}
			info, err := db.Run(t.Context(), "bad")
			if err != nil || info.State != daruma.Quarantined || info.Node != "" || info.Note == "" {
				t.Errorf("got %+v, %v", info, err)
			}
			tx := daruma.Tx{Tenant: info.Tenant, Run: "bad", Head: info.Head, Epoch: info.Epoch, Events: []daruma.Event{event("judged")}}
			if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; daruma.KindOf(err) != daruma.KindCorrupt {
				t.Errorf("commit: %v", err)
			}
			if _, err := db.Post(t.Context(), daruma.Post{Tenant: info.Tenant, Run: "bad", Topic: "t", Key: "k"}); daruma.KindOf(err) != daruma.KindCorrupt {
				t.Errorf("post: %v", err)
			}
			if again, err := db.Claim(t.Context(), daruma.Claim{Node: "b"}); err != nil || len(again.Runs) != 2 {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// Events verifies what a claim does not read, too.
func TestEventsCorrupt(t *testing.T) {
	for name, test := range map[string]struct {
		statement string
		good      int // events before the bad one
	}{
		"payload before the checkpoint": {`UPDATE event SET payload = x'7b7d'` + ofBad + ` AND seq = 2`, 1},
		"last event gone":               {`DELETE FROM event` + ofBad + ` AND seq = 5`, 4},
		"hash of the run":               {`UPDATE run SET hash = zeroblob(32)` + atBad, 5},
		"first event gone":              {`DELETE FROM event` + ofBad + ` AND seq = 1`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.db")
			db := open(t, path, nil)
			grown(t, db, "bad")
			tamper(t, path, test.statement)
			good, bad := 0, 0
			for _, err := range db.Events(t.Context(), "bad", 0) {
				switch {
				case err == nil:
					good++
				case daruma.KindOf(err) == daruma.KindCorrupt:
					bad++
				default:
					t.Error(err)
				}
			}
			if good != test.good || bad != 1 {
				t.Errorf("%d events and %d errors, want %d and 1", good, bad, test.good)
			}
		})
	}
}

func TestBlobCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	digest := daruma.DigestOf([]byte("content"))
	if err := db.Commit(t.Context(), []daruma.Tx{{Blobs: []daruma.Blob{{Digest: digest, Bytes: []byte("content")}}}})[0]; err != nil {
		t.Fatal(err)
	}
	tamper(t, path, `UPDATE blob SET bytes = x'00'`)
	if _, err := db.Blob(t.Context(), "", digest); daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("got %v", err)
	}
}

// What is stored may contradict a Tx only once it is written: that Tx is
// refused, and those beside it go on.
func TestContradictionInBatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	grown(t, db, "bad")
	grown(t, db, "good")
	grown(t, db, "row")
	tamper(t, path,
		`INSERT INTO event (run, seq, kind, time, actor, payload, hash) SELECT run, 6, kind, time, actor, payload, hash FROM event`+ofBad+` AND seq = 5`,
		`UPDATE run SET hash = zeroblob(32) WHERE id = 'row'`)
	step := func(id daruma.RunID, head int64) daruma.Tx {
		return daruma.Tx{Run: id, Head: head, Epoch: 1, Events: []daruma.Event{event("judged")}}
	}
	verdicts := db.Commit(t.Context(), []daruma.Tx{step("good", 5), step("bad", 5), step("row", 5), step("good", 6)})
	want := []daruma.Kind{0, daruma.KindCorrupt, daruma.KindCorrupt, 0}
	for i, err := range verdicts {
		if (err == nil) != (want[i] == 0) || daruma.KindOf(err) != want[i] {
			t.Errorf("Tx %d: %v, want %v", i, err, want[i])
		}
	}
	if info, err := db.Run(t.Context(), "good"); err != nil || info.Head != 7 {
		t.Errorf("good: %+v, %v", info, err)
	}
	if info, err := db.Run(t.Context(), "bad"); err != nil || info.Head != 5 {
		t.Errorf("bad: %+v, %v", info, err)
	}
	if db.Err() != nil {
		t.Errorf("the journal stopped: %v", db.Err())
	}
}

// The owner remembers a run's hash; the file has the last word.
func TestRowChangedUnderOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	grown(t, db, "bad")
	tamper(t, path, `UPDATE run SET hash = zeroblob(32)`+atBad)
	tx := daruma.Tx{Run: "bad", Head: 5, Epoch: 1, Events: []daruma.Event{event("judged")}}
	for range 2 {
		if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; daruma.KindOf(err) != daruma.KindCorrupt {
			t.Errorf("got %v", err)
		}
	}
}
