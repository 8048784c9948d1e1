package daruma_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

// TestLadderTable writes out the default ladder: for every signal and cause
// each move of a climb on which everything is possible, in
// testdata/ladder/table.golden. Causes that climb alike share a line.
func TestLadderTable(t *testing.T) {
	golden(t, "testdata/ladder/table.golden", func(string) string {
		var out strings.Builder
		for _, typ := range daruma.SignalTypes() {
			fmt.Fprintln(&out, typ)
			var climbs []string
			by := map[string][]string{}
			for _, c := range causes() {
				text := climbAll(t, daruma.Signal{Type: typ, Cause: c})
				if by[text] == nil {
					climbs = append(climbs, text)
				}
				by[text] = append(by[text], c.String())
			}
			for _, text := range climbs {
				fmt.Fprintf(&out, "  %s:%s\n", strings.Join(by[text], " "), text)
			}
		}
		return out.String()
	})
}

func climbAll(t *testing.T, sig daruma.Signal) string {
	t.Helper()
	var out strings.Builder
	h := daruma.History{Signal: sig, Can: all(), Seed: "seed"}
	for range 100 {
		m := daruma.DefaultLadder().Next(h)
		fmt.Fprintf(&out, " %s", m.Remedy)
		if m.Wait > 0 {
			fmt.Fprintf(&out, "(%s)", m.Wait)
		}
		if m.Remedy.Ends() {
			return out.String()
		}
		h.Tried = append(h.Tried, m)
	}
	t.Fatalf("%s, %s: no end", sig.Type, sig.Cause)
	return ""
}

// TestLadderRows takes every row of the default ladder (signal and cause)
// through every state its rungs can be in: remedies possible or not, rungs used
// up or not. The move is the first rung that is neither, and fits the cause;
// the last rung is never used up; where nothing is left the run is given up.
func TestLadderRows(t *testing.T) {
	ladder := daruma.DefaultLadder()
	types := append(daruma.SignalTypes(), 99) // of a newer version: the rungs of Default
	rows := 0
	for _, typ := range types {
		rungs, known := ladder.Rungs[typ]
		if !known {
			rungs = ladder.Default
		}
		var remedies []daruma.Remedy
		for _, r := range rungs {
			if r.Remedy != daruma.Abort && !slices.Contains(remedies, r.Remedy) {
				remedies = append(remedies, r.Remedy)
			}
		}
		for _, cause := range causes() {
			for set := range 1 << len(remedies) {
				var can daruma.RemedySet
				for i, r := range remedies {
					if set&(1<<i) != 0 {
						can |= daruma.Of(r)
					}
				}
				for used := range 1 << len(rungs) {
					h := daruma.History{Signal: daruma.Signal{Type: typ, Cause: cause, Subject: "call:3"}, Can: can, Tried: takenUp(rungs, used), Seed: "seed"}
					got, want := ladder.Next(h), rowOf(rungs, cause, can, used)
					if got.Remedy != want.Remedy || got.Rung != want.Rung || got.Signal != typ || got.Subject != "call:3" {
						t.Fatalf("%s, %s, possible %b, used up %b: %s of rung %d, want %s of rung %d", typ, cause, can, used, got.Remedy, got.Rung, want.Remedy, want.Rung)
					}
					if want.Rung < len(rungs)-1 && got.Try != 1 {
						t.Fatalf("%s, %s: a rung that was not taken is taken for the time %d", typ, cause, got.Try)
					}
					rows++
				}
			}
		}
	}
	t.Logf("%d rows", rows)
}

// takenUp is a history in which the rungs of a set were taken as often as they
// may be, retries last: after a switch they would count anew.
func takenUp(rungs []daruma.Rung, used int) []daruma.Move {
	var tried, retries []daruma.Move
	for i, r := range rungs {
		if used&(1<<i) == 0 {
			continue
		}
		for range max(r.Max, 1) {
			if m := (daruma.Move{Remedy: r.Remedy, Rung: i}); r.Remedy == daruma.Retry {
				retries = append(retries, m)
			} else {
				tried = append(tried, m)
			}
		}
	}
	return append(tried, retries...)
}

func rowOf(rungs []daruma.Rung, cause daruma.Cause, can daruma.RemedySet, used int) daruma.Move {
	last := len(rungs) - 1
	for i, r := range rungs[:last] {
		fits := len(r.Causes) == 0
		for _, c := range r.Causes {
			fits = fits || c == cause
		}
		if fits && can.Has(r.Remedy) && used&(1<<i) == 0 {
			return daruma.Move{Remedy: r.Remedy, Rung: i}
		}
	}
	if can.Has(rungs[last].Remedy) {
		return daruma.Move{Remedy: rungs[last].Remedy, Rung: last}
	}
	return daruma.Move{Remedy: daruma.Abort, Rung: -1}
}

// TestLadderOfAnother takes the rungs of the default ladder where a ladder has
// none for a signal, and those for signals of no name where it knows none.
func TestLadderOfAnother(t *testing.T) {
	full := daruma.DefaultLadder()
	half := daruma.Ladder{Rungs: map[daruma.SignalType][]daruma.Rung{daruma.Loop: {{Remedy: daruma.Abort, Compensate: true}}}}
	for _, typ := range append(daruma.SignalTypes(), 99) {
		h := daruma.History{Signal: daruma.Signal{Type: typ, Cause: daruma.CauseTransient}, Can: all(), Seed: "seed"}
		want := full.Next(h)
		if got := (daruma.Ladder{}).Next(h); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s, no ladder: %+v, want %+v", typ, got, want)
		}
		if typ == daruma.Loop {
			want = daruma.Move{Remedy: daruma.Abort, Try: 1, Signal: typ, Compensate: true}
		}
		if got := half.Next(h); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s, a ladder for loops: %+v, want %+v", typ, got, want)
		}
	}
	if half.IsZero() || (daruma.Ladder{Default: half.Rungs[daruma.Loop]}).IsZero() {
		t.Error("a ladder with rungs is zero")
	}
}

// TestVerifyWaits: a call in doubt is asked about again after the first wait
// and up to an eighth more, which grow by the factor up to the cap, and never
// overflow.
func TestVerifyWaits(t *testing.T) {
	const m = daruma.Duration(60e9)
	for _, c := range []struct {
		rung daruma.Rung
		want []daruma.Duration // at least
	}{
		{daruma.Rung{First: m, Cap: 10 * m}, []daruma.Duration{m, 2 * m, 4 * m, 8 * m, 10 * m, 10 * m}},
		{daruma.Rung{First: m, Factor: 1, Cap: 10 * m}, []daruma.Duration{m, m, m}},
		{daruma.Rung{First: m, Factor: 3, Cap: 4 * m}, []daruma.Duration{m, 3 * m, 4 * m}},
		{daruma.Rung{}, []daruma.Duration{0, 0}},
	} {
		c.rung.Remedy, c.rung.Max = daruma.Verify, len(c.want)
		l := daruma.Ladder{Default: []daruma.Rung{c.rung, {Remedy: daruma.Escalate}}}
		h := daruma.History{Signal: daruma.Signal{Type: daruma.UnknownOutcome}, Can: all()}
		for i, want := range c.want {
			spread := map[daruma.Duration]bool{}
			var move daruma.Move
			for n := range 20 {
				h.Seed = fmt.Sprint(n)
				move = l.Next(h)
				if move.Remedy != daruma.Verify || move.Wait < want || move.Wait > want+want/8+daruma.Duration(1e6) {
					t.Errorf("%+v, time %d: %s, waits %s; want %s and up to an eighth", c.rung, i, move.Remedy, move.Wait, want)
				}
				spread[move.Wait] = true
			}
			if want > 0 && len(spread) < 10 {
				t.Errorf("%+v, time %d: %d different waits of 20", c.rung, i, len(spread))
			}
			h.Tried = append(h.Tried, move)
		}
	}
	for _, r := range []daruma.Remedy{daruma.Reflect, daruma.SwitchTool, daruma.Degrade, daruma.Repair, daruma.Compact, daruma.WrapUp} {
		l := daruma.Ladder{Default: []daruma.Rung{{Remedy: r, First: m, Cap: m}, {Remedy: daruma.Escalate}}}
		if move := l.Next(daruma.History{Can: all(), Seed: "s"}); move.Remedy != r || move.Wait != 0 {
			t.Errorf("%s waits %s", move.Remedy, move.Wait)
		}
	}
	far := daruma.Ladder{Default: []daruma.Rung{{Remedy: daruma.Verify, First: math.MaxInt64 - 1<<40, Cap: math.MaxInt64}, {Remedy: daruma.Abort}}}
	if wait := far.Next(daruma.History{Can: all(), Seed: "s"}).Wait; wait < math.MaxInt64/2 {
		t.Errorf("the longest wait overflows to %s", wait)
	}
}

// TestDefaultLadderVersion fails where the default ladder has changed and its
// version has not: runs under way are frozen to the version alone.
func TestDefaultLadderVersion(t *testing.T) {
	b, err := json.Marshal(daruma.DefaultLadder())
	if err != nil {
		t.Fatal(err)
	}
	const version, digest = 1, "9d381c090a7b41db"
	if got := daruma.DigestOf(b).String()[:16]; daruma.DefaultLadderVersion != version || got != digest {
		t.Errorf("version %d is %s; version %d was %s: keep the old ladder for the runs under way, count up, and note the new digest here",
			daruma.DefaultLadderVersion, got, version, digest)
	}
	var s daruma.Started
	if err := json.Unmarshal([]byte(`{"models":["m"],"default_ladder":99}`), &s); err != nil {
		t.Fatal(err)
	}
	if err := daruma.NewRun("run_x", "").Apply(daruma.NewEvent(daruma.KindStarted, "", s)); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("a default ladder of a later version: %v", err)
	}
}
