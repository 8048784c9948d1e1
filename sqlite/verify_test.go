package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

// full is a journal with a row of every kind.
func full(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db := open(t, path, nil)
	for _, id := range []daruma.RunID{"good", "bad"} {
		grown(t, db, id)
		tx := daruma.Tx{Run: id, Head: 5, Epoch: 1, Events: []daruma.Event{event("judged")}, State: daruma.ParkedState,
			Keys:      []daruma.KeyClaim{{Key: "key-" + string(id)}},
			Approvals: []daruma.Approval{{ID: string(id) + ".1", Run: id}},
			Spends:    []daruma.Spend{{Op: daruma.SpendDraw, Grant: "grant-" + string(id), Budget: "budget-" + string(id), Amount: 5, Limit: 10}},
			Blobs:     []daruma.Blob{{Digest: daruma.DigestOf([]byte(id)), Bytes: []byte(id)}}}
		if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"1", "2"} {
			if _, err := db.Post(t.Context(), daruma.Post{Run: id, Topic: "t", Key: key, Payload: []byte(`{}`)}); err != nil {
				t.Fatal(err)
			}
		}
		tx = daruma.Tx{Run: id, Head: 6, Epoch: 1, Events: []daruma.Event{event("message.received")}, State: daruma.ParkedState,
			Release: true, Folded: []daruma.PostID{{Topic: "t", Key: "1"}}}
		if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// Every column that decides something is verified; what belongs to a run sets
// that run aside, and no other.
func TestVerify(t *testing.T) {
	for name, test := range map[string]struct {
		statement string
		aside     bool // the owner quarantines the run by itself
	}{
		"state of a run":       {`UPDATE run SET state = 1` + atBad, true},
		"run over":             {`UPDATE run SET state = 4` + atBad, true},
		"note of a run":        {`UPDATE run SET note = 'x'` + atBad, true},
		"wake time":            {`UPDATE run SET wake_at = 1` + atBad, true},
		"node":                 {`UPDATE run SET lost = 1` + atBad, true},
		"name of the agent":    {`UPDATE run SET name = 'x'` + atBad, true},
		"an old event":         {`UPDATE event SET payload = x'7b7d'` + ofBad + ` AND seq = 2`, true},
		"payload of a post":    {`UPDATE post SET payload = x'7b' WHERE run = 'bad' AND key = '2'`, true},
		"author of a post":     {`UPDATE post SET author = 'x' WHERE run = 'bad' AND key = '2'`, true},
		"post folded in again": {`UPDATE post SET folded = 0 WHERE run = 'bad' AND key = '1'`, true},
		"post never folded in": {`UPDATE post SET folded = 3 WHERE run = 'bad' AND key = '2'`, true},
		"approval":             {`UPDATE approval SET body = x'7b7d' WHERE run = 'bad'`, true},
		"key":                  {`UPDATE key_claim SET run = 'other' WHERE key = 'key-bad'`, false},
		"name of a key":        {`UPDATE key_claim SET key = 'k' WHERE key = 'key-bad'`, false},
		"budget":               {`UPDATE budget SET spent = 0 WHERE name = 'budget-bad'`, false},
		"grant":                {`UPDATE spend_grant SET drawn = 0 WHERE id = 'grant-bad'`, false},
		"blob":                 {`UPDATE blob SET bytes = x'00' WHERE bytes = CAST('bad' AS BLOB)`, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.db")
			if err := full(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			tamper(t, path, test.statement)
			r, err := sqlite.OpenReader(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if err := r.Verify(t.Context()); daruma.KindOf(err) != daruma.KindCorrupt && !corruptWithin(err) {
				t.Errorf("Verify: %v", err)
			}
			db := open(t, path, nil)
			db.AwaitScrub()
			info, err := db.Run(t.Context(), "bad")
			if err != nil || test.aside != (info.State == daruma.Quarantined) {
				t.Errorf("bad is %s (%s), %v; want set aside %v", info.State, info.Note, err, test.aside)
			}
			if info, err := db.Run(t.Context(), "good"); err != nil || info.State != daruma.ParkedState {
				t.Errorf("good is %s, %v", info.State, err)
			}
			if !test.aside && db.Err() == nil {
				t.Error("the journal goes on, and nothing was set aside")
			}
		})
	}
}

// corruptWithin reports whether an error says of anything that it is corrupt.
func corruptWithin(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(joined.Unwrap(), corruptWithin)
	}
	return daruma.KindOf(err) == daruma.KindCorrupt || errors.Unwrap(err) != nil && corruptWithin(errors.Unwrap(err))
}

// An index that has lost a row would hide a run for ever.
func TestVerifyIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	if err := full(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, path, `PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, '> 0', '> 1 OR 1') WHERE name = 'run_due'`)
	db := open(t, path, nil)
	db.AwaitScrub()
	if err := db.Err(); !corruptWithin(err) || !strings.Contains(err.Error(), "run_due") {
		t.Errorf("the journal goes on: %v", err)
	}
}

// A log that is damaged in front of a commit that was synced is refused; one
// that only ends badly is what a power cut leaves.
func TestDamagedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := full(t, path)
	log, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	try := func(log []byte) error {
		path := filepath.Join(t.TempDir(), "j.db")
		for name, b := range map[string][]byte{path: content, path + "-wal": log} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		db, err := sqlite.Open(t.Context(), path, nil)
		if err != nil {
			return err
		}
		return errors.Join(db.Verify(t.Context()), db.Close())
	}
	const frame = 24 + 4096
	flipped := func(at int) []byte {
		b := slices.Clone(log)
		b[at] ^= 4
		return b
	}
	for name, at := range map[string]int{"magic": 2, "salt": 17, "checksum of the head": 25, "first page": 32 + 24 + 100,
		"number of a page": 32 + frame + 3, "checksum of a frame": 32 + frame + 17, "middle": 32 + len(log)/frame/2*frame + 500} {
		if err := try(flipped(at)); daruma.KindOf(err) != daruma.KindCorrupt || !strings.Contains(err.Error(), "-wal") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, log := range map[string][]byte{"as it was": log, "nothing": nil, "cut in the head": log[:20], "no frame": log[:32],
		"cut in a page": log[:len(log)-1000], "cut in the head of a frame": log[:len(log)-frame+10], "last byte": flipped(len(log) - 1)} {
		if err := try(log); err != nil && len(log) > 32 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
