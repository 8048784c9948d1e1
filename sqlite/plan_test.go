package sqlite

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlans wants every query of a claim to read an index that holds only
// runs and posts it may answer with, never all runs there ever were.
func TestPlans(t *testing.T) {
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	queries := []string{`SELECT ` + rowColumns + claimablePosted}
	for _, where := range claimable {
		queries = append(queries, `SELECT `+rowColumns+` FROM run r `+where)
	}
	queries = append(queries, selectNext, selectOpenPosts)
	for _, q := range queries {
		rows, err := d.reads.db.Query(`EXPLAIN QUERY PLAN `+q, sql.Named("node", "a"), sql.Named("now", 1), sql.Named("type", ""))
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
			if strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "INDEX") && !(detail == "SCAN p" && plan[0] == "CO-ROUTINE p") {
				t.Errorf("%s\nscans a table: %s", q, detail)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s\n  %s", q, strings.Join(plan, "\n  "))
	}
}

// TestDurable wants the settings that make a commit mean the disk.
func TestDurable(t *testing.T) {
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "j.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for pragma, want := range map[string]any{"synchronous": int64(2), "journal_mode": "wal"} {
		row, err := d.writer.conn.row("PRAGMA " + pragma)
		if err != nil {
			t.Fatal(err)
		}
		if len(row) != 1 || row[0] != want {
			t.Errorf("%s is %v, want %v", pragma, row, want)
		}
	}
}
