package postgres_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// payload is as long as a typical step's.
var payload = []byte(`{"command":"run_0/1/1","text":"` + string(slices.Repeat([]byte("x"), 270)) + `"}`)

// benchmarkCommit is that of package sqlite.
func benchmarkCommit(b *testing.B, callers int) {
	db := open(b, place(b), nil)
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
				began := time.Now()
				e := event("model.replied", "")
				e.Payload = payload
				tx.Head, tx.Events = head, []daruma.Event{e}
				if err := db.Commit(b.Context(), []daruma.Tx{tx})[0]; err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-µs")
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "txs/s")
}

func BenchmarkCommit1(b *testing.B)  { benchmarkCommit(b, 1) }
func BenchmarkCommit64(b *testing.B) { benchmarkCommit(b, 64) }
