package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

var errDisk = errors.New("input/output error")

// gate is a fault hook that holds the first commit until it is opened and
// fails a later one.
type gate struct {
	fail    atomic.Pointer[string] // the point that fails
	with    error
	held    chan struct{} // closed when the first commit has come
	open    chan struct{}
	once    sync.Once
	commits atomic.Int32
}

func newGate() *gate {
	return &gate{with: errDisk, held: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) fault(point string) error {
	if p := g.fail.Load(); p != nil && *p == point {
		return g.with
	}
	if point == sqlite.FaultCommit {
		g.commits.Add(1)
		g.once.Do(func() { close(g.held); <-g.open })
	}
	return nil
}

// batch has n Txs of n callers committed in one batch, and returns their verdicts.
func (g *gate) batch(t *testing.T, db *sqlite.DB, n int, fail string) []error {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := db.Commit(t.Context(), []daruma.Tx{start("first")})[0]; err != nil {
			t.Error(err)
		}
	})
	<-g.held
	verdicts := make([]error, n)
	for i := range n {
		wg.Go(func() { verdicts[i] = db.Commit(t.Context(), []daruma.Tx{start(fmt.Sprint("run_", i))})[0] })
	}
	db.AwaitQueued(n)
	if fail != "" {
		// The first batch has passed every point but the last.
		g.fail.Store(&fail)
	}
	close(g.open)
	wg.Wait()
	return verdicts
}

func TestGroupCommit(t *testing.T) {
	g := newGate()
	db := open(t, filepath.Join(t.TempDir(), "j.db"), &sqlite.Options{Fault: g.fault})
	for i, err := range g.batch(t, db, 63, "") {
		if err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
	if n := g.commits.Load(); n != 2 {
		t.Errorf("64 callers took %d commits, want 2", n)
	}
}

func TestFailStop(t *testing.T) {
	for _, test := range []struct {
		point string
		there bool // after the next start
	}{
		{sqlite.FaultBegin, false},
		{sqlite.FaultStatement, false},
		{sqlite.FaultCommit, false},
	} {
		t.Run(test.point, func(t *testing.T) {
			g := newGate()
			db := open(t, filepath.Join(t.TempDir(), "j.db"), &sqlite.Options{Fault: g.fault})
			for i, err := range g.batch(t, db, 8, test.point) {
				if daruma.KindOf(err) != daruma.KindDown || !errors.Is(err, errDisk) {
					t.Errorf("caller %d: %v", i, err)
				}
			}
			stopped(t, db)
			again(t, db, "first", "run_0", test.there)
		})
	}
	t.Run(sqlite.FaultCommitted, func(t *testing.T) {
		var armed atomic.Bool
		db := open(t, filepath.Join(t.TempDir(), "j.db"), &sqlite.Options{Fault: func(point string) error {
			if armed.Load() && point == sqlite.FaultCommitted {
				return errDisk
			}
			return nil
		}})
		if err := db.Commit(t.Context(), []daruma.Tx{start("first")})[0]; err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		if err := db.Commit(t.Context(), []daruma.Tx{start("run_0")})[0]; daruma.KindOf(err) != daruma.KindDown {
			t.Errorf("got %v", err)
		}
		stopped(t, db)
		again(t, db, "first", "run_0", true)
	})
}

// stopped wants a journal that writes no more and still reads.
func stopped(t *testing.T, db *sqlite.DB) {
	t.Helper()
	select {
	case <-db.Down():
	default:
		t.Error("Down is open")
	}
	if !errors.Is(db.Err(), errDisk) {
		t.Errorf("Err: %v", db.Err())
	}
	if err := db.Commit(t.Context(), []daruma.Tx{start("later")})[0]; daruma.KindOf(err) != daruma.KindDown {
		t.Errorf("commit: %v", err)
	}
	if _, err := db.Post(t.Context(), daruma.Post{Run: "first", Topic: "t", Key: "k"}); daruma.KindOf(err) != daruma.KindDown {
		t.Errorf("post: %v", err)
	}
	if _, err := db.Claim(t.Context(), daruma.Claim{Node: "a", Type: "none"}); daruma.KindOf(err) != daruma.KindDown {
		t.Errorf("claim of nothing: %v", err)
	}
	if _, err := db.Run(t.Context(), "first"); err != nil {
		t.Errorf("read: %v", err)
	}
}

// again opens the file anew: kept must be there, lost must be as said.
func again(t *testing.T, db *sqlite.DB, kept, lost daruma.RunID, there bool) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	next := open(t, db.Path(), nil)
	if _, err := next.Run(t.Context(), kept); err != nil {
		t.Error(err)
	}
	if _, err := next.Run(t.Context(), lost); (err == nil) != there {
		t.Errorf("%s: %v, want there %v", lost, err, there)
	}
	if err := next.Commit(t.Context(), []daruma.Tx{start("later")})[0]; err != nil {
		t.Error(err)
	}
}

func TestDiskFull(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "j.db"), nil)
	if err := db.ExecOnWriter(`PRAGMA max_page_count = 40`); err != nil {
		t.Fatal(err)
	}
	big := start("big")
	big.Events[0].Payload = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
	verdicts := db.Commit(t.Context(), []daruma.Tx{start("small"), big})
	for i, err := range verdicts {
		if daruma.KindOf(err) != daruma.KindExhausted {
			t.Errorf("Tx %d: %v", i, err)
		}
	}
	if db.Err() != nil {
		t.Fatalf("a full disk stopped the journal: %v", db.Err())
	}
	if err := db.Commit(t.Context(), []daruma.Tx{start("small")})[0]; err != nil {
		t.Errorf("what fits: %v", err)
	}
	if err := db.ExecOnWriter(`PRAGMA max_page_count = 100000`); err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(t.Context(), []daruma.Tx{big})[0]; err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestClosed(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "j.db"), nil)
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Commit(t.Context(), []daruma.Tx{start("r")})[0]; daruma.KindOf(err) != daruma.KindDown {
		t.Errorf("commit: %v", err)
	}
	if _, err := db.Claim(t.Context(), daruma.Claim{Node: "a"}); daruma.KindOf(err) != daruma.KindDown {
		t.Errorf("claim: %v", err)
	}
	if _, err := db.Run(t.Context(), "r"); daruma.KindOf(err) != daruma.KindDown {
		t.Errorf("read: %v", err)
	}
}
