package daruma_test

import (
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// TestUseful picks by how often something was learned, the newest of each.
func TestUseful(t *testing.T) {
	at := func(day int) time.Time { return epoch.AddDate(0, 0, day) }
	lesson := func(id string, signal daruma.SignalType, tool string, day int) daruma.Lesson {
		return daruma.Lesson{ID: id, Signal: signal, Tool: tool, Time: at(day)}
	}
	all := []daruma.Lesson{ // newest first
		lesson("e", daruma.Loop, "look", 5),
		lesson("d", daruma.ToolFailed, "pay", 4),
		lesson("c", daruma.ArgumentsInvalid, "look", 3),
		lesson("b", daruma.ArgumentsInvalid, "look", 2),
		lesson("a", daruma.ToolFailed, "pay", 1),
	}
	for _, c := range []struct {
		n         int
		forgotten []daruma.Forgotten
		want      string
	}{
		{5, nil, "dce"},
		{1, nil, "d"},
		{0, nil, ""},
		{-1, nil, ""},
		{5, []daruma.Forgotten{{ID: "d", At: at(9)}}, "ce"},
		{5, []daruma.Forgotten{{ID: "a", At: at(2)}}, "ced"}, // learned again since
		{5, []daruma.Forgotten{{ID: "x", At: at(9)}}, "dce"},
	} {
		got := ""
		for _, l := range daruma.Useful(all, c.forgotten, c.n) {
			got += l.ID
		}
		if got != c.want {
			t.Errorf("%d without %v: %q, want %q", c.n, c.forgotten, got, c.want)
		}
	}
}

// TestTally counts falls of runs that are over and of one that is not.
func TestTally(t *testing.T) {
	var tally daruma.Tally
	for _, lines := range [][]string{
		{`start tools=look:read`, `judge reply arguments_invalid call:0 "at is missing"`, `reply call look {}`, `reply call look {"at":"c"}`, `ok 0 found`, `reply say "done"`},
		{`start tools=look:read limits.reflections=1`, `judge reply loop reply "again"`, `reply call look {}`, `judge reply loop reply "again"`, `reply call look {}`},
		{`start models=primary,backup`, `fail unauthorized`, `reply say "done"`},
	} {
		s := &script{shell: newShell(t, "run_refund"), t: t, keys: map[string]string{}}
		for _, line := range lines {
			s.do(line)
		}
		tally.Add(s.run)
	}
	got := map[daruma.SignalType]daruma.Recoveries{}
	for _, c := range tally.Signals() {
		got[c.Signal] = c
	}
	want := map[daruma.SignalType]daruma.Recoveries{
		daruma.ArgumentsInvalid:    {Signal: daruma.ArgumentsInvalid, Falls: 1, Caught: 1, Reflections: 1, Reflected: 1, Helped: 1},
		daruma.Loop:                {Signal: daruma.Loop, Falls: 1, Caught: 1, Reflections: 1, Reflected: 1},
		daruma.ProviderUnavailable: {Signal: daruma.ProviderUnavailable, Falls: 1, Caught: 1},
	}
	if tally.Runs != 3 || len(got) != len(want) {
		t.Errorf("%d runs, %+v", tally.Runs, got)
	}
	for signal, c := range want {
		if got[signal] != c {
			t.Errorf("%+v, want %+v", got[signal], c)
		}
	}
	if rate, ok := got[daruma.ArgumentsInvalid].Rate(); !ok || rate != 1 {
		t.Errorf("rate %v %v", rate, ok)
	}
	if _, ok := got[daruma.ProviderUnavailable].Rate(); ok {
		t.Error("a rate of nothing")
	}
}
