package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

// payload is as long as a typical step's.
var payload = []byte(`{"command":"run_0/1/1","text":"` + string(slices.Repeat([]byte("x"), 270)) + `"}`)

func start(id string) daruma.Tx {
	return daruma.Tx{Run: daruma.RunID(id), Type: daruma.AgentRun, Name: "bench", Node: "node", Events: []daruma.Event{event("run.started")}}
}

func event(kind string) daruma.Event {
	return daruma.Event{Kind: daruma.EventKind(kind), Time: time.Now().UTC(), Actor: daruma.ActorShell, Payload: payload}
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "txs/s")
}

func benchmarkCommit(b *testing.B, callers int) {
	db, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "j.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for i := range callers {
		if err := db.Commit(b.Context(), []daruma.Tx{start(fmt.Sprint("run_", i))})[0]; err != nil {
			b.Fatal(err)
		}
	}
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range callers {
		wg.Go(func() {
			n := b.N / callers
			if i < b.N%callers {
				n++
			}
			tx := daruma.Tx{Run: daruma.RunID(fmt.Sprint("run_", i)), Epoch: 1}
			for head := int64(1); head <= int64(n); head++ {
				t := time.Now()
				tx.Head, tx.Events = head, []daruma.Event{event("model.replied")}
				if err := db.Commit(b.Context(), []daruma.Tx{tx})[0]; err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(t))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	report(b, slices.Concat(took...))
}

func BenchmarkCommit1(b *testing.B)  { benchmarkCommit(b, 1) }
func BenchmarkCommit64(b *testing.B) { benchmarkCommit(b, 64) }

// BenchmarkBareInsert is what one fsynced row costs at least: one row, one
// statement, one commit, the same settings, no journal.
func BenchmarkBareInsert(b *testing.B) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_journal_mode=WAL&_synchronous=FULL")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE t (n INTEGER PRIMARY KEY, payload BLOB)`); err != nil {
		b.Fatal(err)
	}
	insert, err := db.Prepare(`INSERT INTO t (payload) VALUES (?)`)
	if err != nil {
		b.Fatal(err)
	}
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		t := time.Now()
		if _, err := insert.Exec(payload); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(t))
	}
	b.StopTimer()
	report(b, took)
}

// BenchmarkBeside takes turns between a bare insert and a commit of one
// caller, so that both see the same neighbours and the same disk.
func BenchmarkBeside(b *testing.B) {
	bare, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_journal_mode=WAL&_synchronous=FULL")
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	bare.SetMaxOpenConns(1)
	if _, err := bare.Exec(`CREATE TABLE t (n INTEGER PRIMARY KEY, payload BLOB)`); err != nil {
		b.Fatal(err)
	}
	insert, err := bare.Prepare(`INSERT INTO t (payload) VALUES (?)`)
	if err != nil {
		b.Fatal(err)
	}
	db, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "j.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Commit(b.Context(), []daruma.Tx{start("run_0")})[0]; err != nil {
		b.Fatal(err)
	}
	var bares, commits []time.Duration
	for b.Loop() {
		t := time.Now()
		if _, err := insert.Exec(payload); err != nil {
			b.Fatal(err)
		}
		bares = append(bares, time.Since(t))
		t = time.Now()
		tx := daruma.Tx{Run: "run_0", Epoch: 1, Head: int64(len(commits)) + 1, Events: []daruma.Event{event("model.replied")}}
		if err := db.Commit(b.Context(), []daruma.Tx{tx})[0]; err != nil {
			b.Fatal(err)
		}
		commits = append(commits, time.Since(t))
	}
	slices.Sort(bares)
	slices.Sort(commits)
	mid := len(bares) / 2
	b.ReportMetric(float64(bares[mid].Nanoseconds())/1e3, "bare-p50-µs")
	b.ReportMetric(float64(commits[mid].Nanoseconds())/1e3, "commit-p50-µs")
	b.ReportMetric(float64(commits[mid])/float64(bares[mid]), "ratio")
}
