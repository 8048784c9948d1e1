package daruma_test

import (
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

// Stories of one fall that is reflected on, each with another end.
const (
	thought     = "start tools=look:read\nreply call look {}\nfailed 0 invalid no\n"
	helped      = thought + `reply call look {"at":"b"}` + "\nok 0 found\nreply say done"
	threeModels = "start models=a,b\njudge reply hallucination reply h\nreply say x\njudge reply hallucination reply h\nreply say y\njudge reply hallucination reply h\nreply say z\nreply say done"
)

// TestTallyOfFalls counts the falls of runs, whatever became of them.
func TestTallyOfFalls(t *testing.T) {
	for name, c := range map[string]struct {
		story string
		want  daruma.Recoveries
		rate  float64 // -1: there is none
	}{
		"helped":               {helped, daruma.Recoveries{Signal: daruma.ToolFailed, Falls: 1, Caught: 1, Reflections: 1, Reflected: 1, Helped: 1}, 1},
		"still open":           {thought, daruma.Recoveries{Signal: daruma.ToolFailed, Falls: 1, Open: 1, Reflections: 1}, -1},
		"cancelled before":     {thought + "cancel", daruma.Recoveries{Signal: daruma.ToolFailed, Falls: 1, Reflections: 1, Reflected: 1}, 0},
		"another model it was": {threeModels, daruma.Recoveries{Signal: daruma.Hallucination, Falls: 1, Caught: 1, Reflections: 2, Reflected: 1}, 0},
		"no reflection":        {"start\nfail unavailable\nfire\nreply say done", daruma.Recoveries{Signal: daruma.ProviderUnavailable, Falls: 1, Caught: 1}, -1},
		"of the origin":        {thought + "fork last\n" + `reply call look {"at":"b"}` + "\nfailed 0 invalid no\nreply say done", daruma.Recoveries{Signal: daruma.ToolFailed, Falls: 1, Caught: 1, Reflections: 1, Reflected: 1, Helped: 1}, 1},
	} {
		var tally daruma.Tally
		tally.Add(played(t, c.story).run)
		got := tally.Signals()
		if len(got) != 1 || got[0] != c.want || tally.Runs != 1 {
			t.Errorf("%s: %+v of %d runs, want %+v", name, got, tally.Runs, c.want)
			continue
		}
		if rate, ok := got[0].Rate(); ok != (c.rate >= 0) || ok && rate != c.rate {
			t.Errorf("%s: rate %v, %v, want %v", name, rate, ok, c.rate)
		}
	}
	var tally daruma.Tally
	for _, story := range []string{helped, thought, threeModels, "start\nreply say done", helped} {
		tally.Add(played(t, story).run)
	}
	got := tally.Signals()
	if len(got) != 2 || got[0].Signal != daruma.Hallucination || got[1].Falls != 3 || got[1].Helped != 2 || tally.Runs != 5 {
		t.Errorf("together: %+v of %d runs", got, tally.Runs)
	}
}

// TestWhatTeaches: only a fall of the run itself that a reflection has caught,
// in a run that came to an answer and was given no instructions.
func TestWhatTeaches(t *testing.T) {
	other := strings.Replace(thought, "look:read", "look:read,find:read", 1)
	for name, c := range map[string]struct {
		story  string
		worked string // of the one lesson; "-": there is none
	}{
		"the same tool":       {helped, `look {"at":"b"}`},
		"another tool":        {other + "reply call find {}\nok 0 found\nreply say done", "find {}"},
		"the same tool later": {other + "reply call find {}\nok 0 found\n" + `reply call look {"at":"c"}` + "\nok 0 found\nreply say done", `look {"at":"c"}`},
		"no tool":             {strings.Replace(thought, "invalid", "denied", 1) + "reply say done", "-"},
		"not over":            {thought, "-"},
		"cancelled":           {thought + "cancel", "-"},
		"another remedy":      {threeModels, "-"},
		"of the origin":       {thought + "fork last\nreply say done", "-"},
		"injected":            {thought + "judge reply injection reply orders\nreply say x\nanswer retry\nreply say done", "-"},
	} {
		lessons := played(t, c.story).run.Lessons()
		if len(lessons) == 0 && c.worked == "-" {
			continue
		}
		if len(lessons) != 1 || lessons[0].Worked != c.worked || lessons[0].Signal != daruma.ToolFailed || lessons[0].Tool != "look" {
			t.Errorf("%s: %+v, want one that says %s", name, lessons, c.worked)
		}
	}
}
