package darumatest_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma/darumatest"
)

var (
	simSeeds = flag.Int("sim.seeds", 100, "how many seeds TestSimulate plays; 2000 for a long run")
	simSeed  = flag.Uint64("sim.seed", 0, "play only this seed; with -v its trace is printed")
)

// TestSimulate plays random histories. One that breaks a promise is shrunk and
// printed; put the text under testdata/sim to keep it.
func TestSimulate(t *testing.T) {
	if *simSeed > 0 {
		one(t, darumatest.DrawPlan(*simSeed))
		return
	}
	began := time.Now()
	var (
		next  atomic.Uint64
		mu    sync.Mutex
		hits  = map[string]int{}
		wrong []uint64
		hours time.Duration
		wg    sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1); seed <= uint64(*simSeeds); seed = next.Add(1) {
				played := darumatest.DrawPlan(seed).Play(nil)
				mu.Lock()
				for what, n := range played.Hits {
					hits[what] += n
				}
				hours += played.Lasted
				if played.Failure != nil {
					wrong = append(wrong, seed)
				}
				stop := len(wrong) > 2
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(wrong)
	for i, seed := range wrong {
		t.Errorf("seed %d breaks a promise", seed)
		if i == 0 {
			shrunk(t, darumatest.DrawPlan(seed))
		}
	}
	for _, what := range mustHappen {
		if *simSeeds >= 100 && hits[what] == 0 && len(wrong) == 0 {
			t.Errorf("%q has never happened in %d seeds: draw it more often, or mend what should lead there", what, *simSeeds)
		}
	}
	t.Logf("%d seeds, %s simulated in %s", *simSeeds, hours.Round(time.Second), time.Since(began).Round(time.Millisecond))
	for _, what := range slices.Sorted(maps.Keys(hits)) {
		t.Logf("%7d %s", hits[what], what)
	}
}

// mustHappen are the faults and features that the ordinary seeds must reach, by
// the names in Played.Hits.
var mustHappen = []string{
	"disk lost", "disk unsure", "disk stop", "unsure commit", "claim lost", "claim unsure", "claim late", "runs of an unsure claim",
	"killed", "power cut", "writes lost", "drain", "drained", "expire", "fenced", "stall", "clock", "poisoned", "call at a crash", "cancelled work",
	"model hang", "model empty", "model cut", "model unfinished", "model filtered", "model garbage", "model unknown", "model twice", "model huge", "model overflow", "model rate_limited",
	"call_tool hang", "call_tool late", "call_tool unsure", "call_tool never", "call_tool lie", "call_tool unauthorized", "call_tool needs_approval",
	"effect idempotent", "effect keyed", "effect transactional", "effect payment", "effect unsafe", "replayed", "verified",
	"decide yes", "decide no", "decide wrong", "decide late", "decide never", "decide twice", "answer retry", "answer skip", "answer abort", "answer happened", "answer to another question",
	"post cancel", "post policy", "post result", "post approval", "post answer", "post child", "post weather",
	"parked approval", "parked question", "parked claim_limit", "parked step_limit", "checkpoint", "answered from its own writes",
	"sub-run", "sub-run of a sub-run", "sub-run completed", "sub-run degraded", "sub-run cancelled", "sub-run failed", "sub-run started again", "cancel of a sub-run",
	"undo of a run that is cancelled", "undone", "fork", "rewind", "write of a fork", "answered from the record",
	"retry", "verify", "reflect", "degrade", "escalate", "abort", "park", "wrap_up", "switch_model", "switch_tool",
	"completed", "degraded", "cancelled", "failed",
}

// one plays one plan and tells it.
func one(t *testing.T, p *darumatest.Plan) {
	t.Helper()
	var trace bytes.Buffer
	played := p.Play(&trace)
	t.Logf("%s\n%s\nhash %s", p, trace.String(), played.Hash)
	if played.Failure != nil {
		shrunk(t, p)
	}
}

// shrunk reports a plan that breaks a promise, as a text to be kept.
func shrunk(t *testing.T, p *darumatest.Plan) {
	t.Helper()
	less := p.Shrink()
	var trace bytes.Buffer
	played := less.Play(&trace)
	t.Errorf("%v\nThe plan, shrunk; keep it as a file under testdata/sim:\n\n# %s\n%s", played.Failure, firstLine(played.Failure), less)
	if testing.Verbose() {
		t.Logf("its trace:\n%s", trace.String())
	}
}

func firstLine(err error) string {
	if err == nil {
		err = errors.New("nothing")
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// TestSimulateKept plays every plan that has once found something.
func TestSimulateKept(t *testing.T) {
	paths, err := filepath.Glob("testdata/sim/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p, err := darumatest.ReadPlan(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if played := p.Play(nil); played.Failure != nil {
				t.Error(played.Failure)
			}
		})
	}
}

// TestSimulateIsDeterministic plays seeds ten times over.
func TestSimulateIsDeterministic(t *testing.T) {
	for seed := range uint64(5) {
		first := darumatest.DrawPlan(seed + 1).Play(nil).Hash
		for range 9 {
			if again := darumatest.DrawPlan(seed + 1).Play(nil).Hash; again != first {
				t.Fatalf("seed %d gives %s and %s", seed+1, first, again)
			}
		}
	}
	if a, b := fmt.Sprint(darumatest.DrawPlan(1).Play(nil).Hash), fmt.Sprint(darumatest.DrawPlan(2).Play(nil).Hash); a == b {
		t.Error("two seeds have one hash")
	}
}
