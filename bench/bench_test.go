package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary play the child, as the command does.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		exit(child(os.Args[2]))
	}
	os.Exit(m.Run())
}

func TestPayloadIsSizedAndDiffers(t *testing.T) {
	seen := map[string]bool{}
	for _, run := range []string{"a", "a-rather-long-name-of-a-run"} {
		for step := range 12 {
			p := payload(run, step)
			if len(p) != payloadSize || seen[p] {
				t.Fatalf("payload(%s, %d) has %d bytes, seen before: %v", run, step, len(p), seen[p])
			}
			seen[p] = true
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestRatiosCompareOnlyWithinARound(t *testing.T) {
	got := ratios([]result{
		{Engine: "daruma", Measure: rate, Round: 1, PerSecond: 1000},
		{Engine: "dbos", Measure: rate, Round: 1, PerSecond: 100},
		{Engine: "daruma", Measure: rate, Round: 2, PerSecond: 9000},
		{Engine: "dbos", Measure: rate, Round: 3, PerSecond: 1},
	})
	if len(got) != 1 || got[0].Median != 10 || got[0].Rounds != 1 || !got[0].Met {
		t.Errorf("got %+v, want one ratio of 10 from one round, met", got)
	}
}

func TestBarOfZeroLooksAtTheWorstRound(t *testing.T) {
	for _, r := range ratios([]result{
		{Engine: "daruma", Measure: recovery, Round: 1},
		{Engine: "daruma", Measure: recovery, Round: 2},
		{Engine: "daruma", Measure: recovery, Round: 3, Repeated: 1},
	}) {
		if r.Bar == "none" && r.Met {
			t.Errorf("%s: one repeated step in one round was let pass", r.Name)
		}
	}
}

func TestMeterCountsRecovery(t *testing.T) {
	m := newMeter(task{Measure: recovery, Phase: "resume", Runs: 2, Steps: 4}) // held after two steps
	m.note("a", 1)                                                             // was completed before the kill
	m.note("a", 2)
	m.note("a", 3)
	select {
	case <-m.all:
		t.Fatal("all have issued although b has not")
	default:
	}
	m.note("b", 2)
	<-m.all
	m.note("b", 3)
	<-m.done
	if m.repeated != 1 || m.issuedAt.IsZero() || m.doneAt.Before(m.issuedAt) {
		t.Errorf("repeated %d, issued %v, done %v", m.repeated, m.issuedAt, m.doneAt)
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-engines", "temporal"}, {"-measures", "speed"}, {"-steps", "9"}, {"-rounds", "0"}, {"more"}} {
		err := bench(t.Context(), args)
		if err == nil || !strings.Contains(err.Error(), "accepted") {
			t.Errorf("%v: error %v does not say what is accepted", args, err)
		}
	}
}

// TestEveryEngine does a tiny sitting: every engine is measured, killed and
// resumed, and repeats nothing it had completed.
func TestEveryEngine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes for some ten seconds")
	}
	out := filepath.Join(t.TempDir(), "out.json")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := bench(ctx, []string{"-rounds", "1", "-runs", "4", "-single", "5", "-inflight", "20", "-window", "100ms", "-dir", t.TempDir(), "-json", out})
	if err != nil {
		t.Fatal(err)
	}
	var r report
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, c := range contenders {
		want += len(c.Measures)
	}
	if len(r.Results) != want {
		t.Errorf("%d results, want %d", len(r.Results), want)
	}
	for _, got := range r.Results {
		if got.Steps == 0 || got.Durability == "" || got.Repeated != 0 {
			t.Errorf("%+v", got)
		}
		if got.Measure == recovery && (got.Issued <= 0 || got.Done < got.Issued || got.Steps != got.Runs*6) {
			t.Errorf("%s did not go on as it should: %+v", got.Engine, got)
		}
	}
}
