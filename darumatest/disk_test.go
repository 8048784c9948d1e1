//go:build linux

package darumatest_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var diskFull = flag.Bool("disk.full", false, "the whole campaign of disk faults, minutes; else a sample of it, seconds")

// mostAtOnce is how many stages are played at once: they mostly wait.
const mostAtOnce = 32

// trial is one fault: the op of the canonical run that meets it, and how.
type trial struct {
	at   int
	stay bool // fails from then on, until the disk is repaired
	full bool // writes say that the disk is full; everything else goes on
}

func (tr trial) String() string {
	return fmt.Sprintf("op %d, stays %v, full %v", tr.at, tr.stay, tr.full)
}

// fault is what the volume does.
func (tr trial) fault() func(op, file string, n int) int32 {
	done := false
	return func(op, _ string, n int) int32 {
		if n < tr.at || done && !tr.stay || tr.full && op != "write" {
			return 0
		}
		done = true
		if tr.full {
			return diskNoRoom
		}
		return diskErrors[op]
	}
}

// TestDiskFaults plays the canonical run with every single op of the disk
// failing: once, and until it is repaired. The process comes back by itself;
// at the end nothing acknowledged is lost, no effect happened under two keys,
// no commit was acknowledged without its sync, and the run has its answer.
func TestDiskFaults(t *testing.T) {
	d := mount(t)
	plain := newStage(t, d, t.TempDir())
	writes := map[int]bool{}
	plain.v.set(func(op, _ string, n int) int32 { writes[n] = op == "write"; return 0 })
	plain.perform(t.Context())
	plain.check()
	if len(plain.wrong) > 0 {
		t.Fatalf("without a fault: %v", plain.wrong)
	}
	ops, syncs, _, _ := plain.v.counts()
	t.Logf("the canonical run: %d events in %d syncs, %d ops", len(plain.acks), syncs, ops)
	var trials []trial
	for n := 1; n <= ops; n++ {
		for _, stay := range []bool{false, true} {
			trials = append(trials, trial{n, stay, false})
			if writes[n] {
				trials = append(trials, trial{n, stay, true})
			}
		}
	}
	if !*diskFull {
		r := rand.New(rand.NewPCG(1, 2))
		r.Shuffle(len(trials), func(i, j int) { trials[i], trials[j] = trials[j], trials[i] })
		trials = trials[:20]
	}
	tally := map[string]int{}
	var mu sync.Mutex
	free := make(chan struct{}, mostAtOnce)
	var wg sync.WaitGroup
	began := time.Now()
	for _, tr := range trials {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			s := newStage(t, d, t.TempDir())
			s.v.set(tr.fault())
			s.repair = func() { s.v.set(nil) }
			s.perform(t.Context())
			s.v.set(nil)
			s.check()
			_, _, failed, _ := s.v.counts()
			mu.Lock()
			defer mu.Unlock()
			for _, w := range s.wrong {
				t.Errorf("%v: %s", tr, w)
			}
			for op, n := range s.v.failed {
				if n > 0 {
					tally["met by "+op]++
				}
			}
			switch {
			case failed == 0:
				tally["not met"]++
			case s.lives == 1:
				tally["the journal went on"]++
			default:
				tally["opened again"]++
			}
		})
	}
	wg.Wait()
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(tally)) {
		lines = append(lines, fmt.Sprintf("%s %d", k, tally[k]))
	}
	t.Logf("%d faults in %v: %s", len(trials), time.Since(began).Round(time.Second), strings.Join(lines, ", "))
}
