package sqlite_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

func TestRefusedFiles(t *testing.T) {
	write := func(content string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		make func(*testing.T, string)
		kind daruma.Kind
		says string
	}{
		"text":       {write(strings.Repeat("this is no database ", 500)), daruma.KindCorrupt, "not a SQLite database"},
		"short text": {write("hello"), daruma.KindCorrupt, "j.db is not a SQLite database"},
		"cut short":  {write("SQLite format 3\x00"), daruma.KindCorrupt, "cut short: it has 16 bytes"},
		"zeroes":     {write(strings.Repeat("\x00", 5000)), daruma.KindCorrupt, "j.db is not a SQLite database"},
		"another program's": {func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(`CREATE TABLE bookmarks (url TEXT)`); err != nil {
				t.Fatal(err)
			}
		}, daruma.KindInvalid, "another program"},
		"newer": {func(t *testing.T, path string) {
			if err := open(t, path, nil).Close(); err != nil {
				t.Fatal(err)
			}
			tamper(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
		}, daruma.KindInvalid, "newer daruma: its schema has version 999"},
		"a folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, daruma.KindInvalid, "j.db is a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.db")
			test.make(t, path)
			before, _ := os.ReadFile(path)
			beside := files(t, path)
			db, err := sqlite.Open(t.Context(), path, nil)
			if err == nil {
				_ = db.Close()
			}
			if daruma.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("got %v (%v), want %v that says %q", err, daruma.KindOf(err), test.kind, test.says)
			}
			if after, _ := os.ReadFile(path); name != "newer" && string(after) != string(before) {
				t.Error("the refused file was changed")
			}
			if r, err := sqlite.OpenReader(t.Context(), path); err == nil {
				_ = r.Close()
				t.Error("a reader opened it")
			}
			if now := files(t, path); name != "newer" && !slices.Equal(now, beside) {
				t.Errorf("left behind: %v, before %v", now, beside)
			}
		})
	}
	for _, path := range []string{"", ":memory:", "file:x.db?mode=memory"} {
		if _, err := sqlite.Open(t.Context(), path, nil); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("path %q: %v", path, err)
		}
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "none", "j.db"), nil); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("no folder: %v", err)
	}
}

// Names of files are not to be read as parts of a URI.
func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "a?mode=memory.db", "a#b.db", "a%20b.db", "ä.db"} {
		path := filepath.Join(t.TempDir(), name)
		grown(t, open(t, path, nil), "r")
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A process that died after the version table was made, or before, is no obstacle.
func TestHalfMigrated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		`CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)`,
	} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	grown(t, open(t, path, nil), "r")
}

// TestClaimThousand recovers 1,000 runs in flight at once.
func TestClaimThousand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	txs := make([]daruma.Tx, 1000)
	for i := range txs {
		txs[i] = start(fmt.Sprint("run_", i))
		for range 9 {
			txs[i].Events = append(txs[i].Events, event("model.replied"))
		}
	}
	for _, err := range db.Commit(t.Context(), txs) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	db = open(t, path, nil)
	opened := time.Now()
	claims, err := db.Claim(t.Context(), daruma.Claim{Node: "a"})
	took := time.Since(opened)
	if err != nil || len(claims.Runs) != 1000 || claims.More {
		t.Fatalf("%d runs, more %v: %v", len(claims.Runs), claims.More, err)
	}
	for _, r := range claims.Runs {
		if len(r.Events) != 11 {
			t.Fatalf("%s: %d events, want 11", r.Run.ID, len(r.Events))
		}
	}
	t.Logf("open %v, claim of 1,000 runs with 10,000 events %v", opened.Sub(began), took)
}

// TestFirstSchema opens a file as the first version left it, with a run that
// was held when its process ended.
func TestFirstSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	tx := start("r")
	tx.Keys = []daruma.KeyClaim{{Key: "k"}}
	tx.Approvals = []daruma.Approval{{ID: "r.1", Run: "r"}}
	tx.Spends = []daruma.Spend{{Op: daruma.SpendDraw, Grant: "g", Budget: "b", Amount: 5, Limit: 10}}
	if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil {
		t.Fatal(err)
	}
	if _, err := db.Post(t.Context(), daruma.Post{Run: "r", Topic: "t", Key: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var undo strings.Builder
	for _, column := range []string{"run DROP lost", "run DROP sum", "post DROP sum", "post DROP mark", "key_claim DROP sum", "approval DROP sum", "budget DROP sum", "spend_grant DROP sum"} {
		undo.WriteString("ALTER TABLE " + column + ";")
	}
	tamper(t, path, undo.String()+`DELETE FROM goose_db_version WHERE version_id >= 2`)
	db = open(t, path, nil)
	if err := db.Verify(t.Context()); err != nil {
		t.Errorf("after the migrations: %v", err)
	}
	claims, err := db.Claim(t.Context(), daruma.Claim{Node: "a"})
	if err != nil || len(claims.Runs) != 1 || len(claims.Runs[0].Posts) != 1 {
		t.Fatalf("%+v, %v", claims, err)
	}
	var c daruma.Claim
	events := claims.Runs[0].Events
	if err := json.Unmarshal(events[len(events)-1].Payload, &c); err != nil || c.Epoch != 2 || c.Clean {
		t.Errorf("claimed with %s, %v", events[len(events)-1].Payload, err)
	}
}
