package sqlite_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

// files lists what lies beside the journal.
func files(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestReaderLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	if _, err := sqlite.OpenReader(t.Context(), path); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenReader(t.Context(), path); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("empty file: %v", err)
	}
	if now := files(t, path); !slices.Equal(now, []string{"j.db"}) {
		t.Errorf("left behind: %v", now)
	}
	db := open(t, path, nil)
	grown(t, db, "r")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := files(t, path)
	r, err := sqlite.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if infos, err := r.Runs(t.Context(), daruma.Query{}); err != nil || len(infos) != 1 {
		t.Errorf("%v, %v", infos, err)
	}
	if now := files(t, path); !slices.Equal(now, before) {
		t.Errorf("while reading: %v, before %v", now, before)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if now := files(t, path); !slices.Equal(now, before) {
		t.Errorf("left behind: %v, before %v", now, before)
	}
}

// A reader of a file that nobody owns sees what a later owner writes, while
// that one lives and after it.
func TestReaderFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	grown(t, db, "one")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sees := func(want int) {
		t.Helper()
		if infos, err := r.Runs(t.Context(), daruma.Query{}); err != nil || len(infos) != want {
			t.Errorf("%d runs, %v; want %d", len(infos), err, want)
		}
	}
	sees(1)
	db = open(t, path, nil)
	sees(1)
	grown(t, db, "two")
	sees(2)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	sees(2)
	db = open(t, path, nil)
	grown(t, db, "three")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	sees(3)
	for _, err := range r.Events(t.Context(), "three", 0) {
		if err != nil {
			t.Error(err)
		}
	}
}

// An error that concerns the file names it.
func TestDamagedPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	grown(t, db, "r")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(content); i += 4096 {
		clear(content[i : i+16])
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"owner": func() error { _, err := sqlite.Open(t.Context(), path, nil); return err },
		"reader": func() error {
			r, err := sqlite.OpenReader(t.Context(), path)
			if err == nil {
				defer r.Close()
				_, err = r.Runs(t.Context(), daruma.Query{})
			}
			return err
		},
	} {
		if err := f(); daruma.KindOf(err) != daruma.KindCorrupt || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPosts(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "j.db"), nil)
	grown(t, db, "r")
	for _, p := range []daruma.Post{{Run: "r", Topic: "t", Key: "1", By: "user:ann"}, {Run: "other", Topic: "t", Key: "1"}} {
		if _, err := db.Post(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if posts, err := db.Posts(t.Context(), "r"); err != nil || len(posts) != 1 || posts[0].By != "user:ann" {
		t.Errorf("%+v, %v", posts, err)
	}
	if posts, err := db.Posts(t.Context(), ""); err != nil || len(posts) != 2 {
		t.Errorf("%+v, %v", posts, err)
	}
	tx := daruma.Tx{Run: "r", Head: 5, Epoch: 1, Events: []daruma.Event{event("message.received")}, Folded: []daruma.PostID{{Topic: "t", Key: "1"}}}
	if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil {
		t.Fatal(err)
	}
	if posts, err := db.Posts(t.Context(), "r"); err != nil || len(posts) != 0 {
		t.Errorf("%+v, %v", posts, err)
	}
}
