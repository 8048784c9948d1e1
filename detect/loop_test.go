package detect

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// effects of the tools of the tests.
func effectOf(tool string) daruma.Effect {
	switch tool {
	case "read", "poll", "search", "test":
		return daruma.Read
	case "keyed":
		return daruma.Keyed
	}
	return daruma.Unsafe
}

// did returns a call that gave text; an error where text begins with "!".
func did(tool, args, text string) daruma.Call {
	failed := strings.HasPrefix(text, "!")
	return daruma.Call{Name: tool, Tool: tool, Args: args, Text: strings.TrimPrefix(text, "!"), Done: true, Failed: failed}
}

// script is a run, turn by turn.
type script func(turn int) []daruma.Call

// play returns what was found in each turn: "", "nudge" or "stop".
func play(t testing.TB, turns int, s script) []string {
	t.Helper()
	var marks, found []string
	for i := range turns {
		calls := s(i)
		for j := range calls {
			calls[j].Step = fmt.Sprintf("%d/%d", i+1, j)
		}
		signals, kept, skipped := Results(ResultsInput{Calls: calls, Effect: effectOf, Marks: marks})
		if skipped != 0 || len(kept) > maxMark || len(signals) > 1 {
			t.Fatalf("turn %d: %d skipped, mark %q, signals %v", i, skipped, kept, signals)
		}
		if marks = append(marks, kept); len(marks) > daruma.MarkWindow {
			marks = marks[1:]
		}
		word := ""
		if len(signals) > 0 {
			word = map[daruma.Severity]string{daruma.Warning: "nudge", daruma.Error: "stop"}[signals[0].Severity]
		}
		found = append(found, word)
	}
	return found
}

// first returns the turn, from 1, of the first finding of a word, 0 for none.
func first(found []string, word string) int {
	for i, w := range found {
		if w == word {
			return i + 1
		}
	}
	return 0
}

func TestLoops(t *testing.T) {
	one := func(tool, args, text string) []daruma.Call { return []daruma.Call{did(tool, args, text)} }
	for _, test := range []struct {
		name        string
		nudge, stop int // turns
		script      script
	}{
		{"exact", 4, 6, func(int) []daruma.Call { return one("run", `{"a":1}`, "ok") }},
		{"exact read", 4, 6, func(int) []daruma.Call { return one("read", `{"a":1}`, "ok") }},
		{"volatile result", 4, 6, func(i int) []daruma.Call { return one("run", `{}`, fmt.Sprintf("done in %d ms, pid %d", i, 900+i)) }},
		{"volatile result of a read", 4, 6, func(i int) []daruma.Call {
			return one("read", `{}`, fmt.Sprintf("at 2026-01-02T03:04:%02dZ took %dms id 7f3a9c%02d", i, i, i))
		}},
		{"volatile arguments", 4, 6, func(i int) []daruma.Call {
			return one("run", fmt.Sprintf(`{"b": [1.0,  "x  y"], "A": "1", "request_id": "%d", "z": null}`, i), "ok")
		}},
		{"order and form of arguments", 4, 6, func(i int) []daruma.Call {
			return one("run", []string{`{"a":1,"b":"x y"}`, `{ "B": " x  y", "a": 1.0 }`, `{"a": "1", "b":"x y", "c": ""}`}[i%3], "ok")
		}},
		{"two in turn", 6, 8, func(i int) []daruma.Call { return one("run", fmt.Sprint(i%2), "ok") }},
		{"three in turn", 6, 8, func(i int) []daruma.Call { return one("read", fmt.Sprint(i%3), "ok") }},
		{"five in turn", 8, 10, func(i int) []daruma.Call { return one("read", fmt.Sprint(i%5), "ok") }},
		{"same error, new arguments", 4, 6, func(i int) []daruma.Call {
			return one("edit", fmt.Sprint(i), fmt.Sprintf("!line %d: syntax error near %q", i, fmt.Sprint("x", i)))
		}},
		{"same batch", 4, 6, func(int) []daruma.Call {
			return []daruma.Call{did("read", "1", "a"), did("read", "2", "b"), did("run", "3", "c")}
		}},
		{"same large batch", 4, 6, func(int) []daruma.Call {
			var calls []daruma.Call
			for i := range 30 {
				calls = append(calls, did("read", fmt.Sprint(i), "a"))
			}
			return calls
		}},
		{"poll without change", 4, 6, func(int) []daruma.Call { return one("poll", `{}`, "pending") }},
		{"toggle", 8, 10, func(i int) []daruma.Call {
			if i%2 == 0 {
				return one("edit", fmt.Sprint(i/2%2), "edited")
			}
			return one("test", `{}`, "failed: 3 tests")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := play(t, 20, test.script)
			if n, s := first(found, "nudge"), first(found, "stop"); n != test.nudge || s != test.stop {
				t.Errorf("nudge at %d, stop at %d; want %d, %d: %q", n, s, test.nudge, test.stop, found)
			}
		})
	}
}

func TestNoLoops(t *testing.T) {
	one := func(tool, args, text string) []daruma.Call { return []daruma.Call{did(tool, args, text)} }
	for name, s := range map[string]script{
		"poll with progress":             func(i int) []daruma.Call { return one("poll", `{}`, fmt.Sprintf("step %d, pending", i)) },
		"poll with progress, undeclared": func(i int) []daruma.Call { return one("run", `{}`, fmt.Sprintf("%d%% done", i)) },
		"poll with progress in parts":    func(i int) []daruma.Call { return one("run", `{}`, fmt.Sprintf("part %d of 40", i)) },
		"poll with a fraction":           func(i int) []daruma.Call { return one("run", `{}`, fmt.Sprintf("%d/40 files", i)) },
		"pages":                          func(i int) []daruma.Call { return one("search", fmt.Sprintf(`{"q":"x","page":%d}`, i), "ten hits") },
		"cursors":                        func(i int) []daruma.Call { return one("search", fmt.Sprintf(`{"cursor":"c%d"}`, i), "ten hits") },
		"scrolling":                      func(i int) []daruma.Call { return one("run", `{"dir":"down"}`, strings.Repeat("x", i+1)) },
		"batch over items":               func(i int) []daruma.Call { return one("keyed", fmt.Sprintf(`{"id":%d}`, i), "ok") },
		"one thing repeated beside new ones": func(i int) []daruma.Call {
			return []daruma.Call{did("read", "clock", "x"), did("read", fmt.Sprint(i), "y")}
		},
		"retries that succeed": func(i int) []daruma.Call { return one("run", fmt.Sprint(i/3), []string{"!busy", "!busy", "ok"}[i%3]) },
		"large results, each its own": func(i int) []daruma.Call {
			c := one("run", "{}", "head")
			c[0].Ref = daruma.Digest{byte(i + 1)}
			return c
		},
		"errors, each its own":                  func(i int) []daruma.Call { return one("run", "{}", "!"+strings.Repeat("x", i+1)) },
		"different reasons, nothing but reason": func(i int) []daruma.Call { return one("run", fmt.Sprintf(`{"reason":"r%d"}`, i), "noted") },
		"edit and test": func(i int) []daruma.Call {
			if i%2 == 0 {
				return one("edit", fmt.Sprint(i), "edited")
			}
			return one("test", `{}`, "failed: 3 tests")
		},
		"calls that were not done": func(int) []daruma.Call { c := one("run", "{}", "ok"); c[0].Done = false; return c },
	} {
		t.Run(name, func(t *testing.T) {
			if found := play(t, 40, s); first(found, "nudge")+first(found, "stop") > 0 {
				t.Errorf("found %q", found)
			}
		})
	}
}

func TestLoopEndsAndComesBack(t *testing.T) {
	found := play(t, 24, func(i int) []daruma.Call {
		if i >= 6 && i < 16 { // the model goes on with something else
			return []daruma.Call{did("read", fmt.Sprint(i), "new")}
		}
		return []daruma.Call{did("run", "{}", "same")}
	})
	want := make([]string, 24)
	want[3], want[5] = "nudge", "stop"
	// At turn 17 the old call is known still, but the score is down.
	want[18], want[20], want[21], want[22], want[23] = "nudge", "stop", "stop", "stop", "stop"
	if d := cmp.Diff(want, found); d != "" {
		t.Error(d)
	}
}

func TestLoopSignal(t *testing.T) {
	var marks []string
	var signals []daruma.Signal
	for i := range 4 {
		var kept string
		c := did("run", "{}", "same")
		c.Step = fmt.Sprintf("%d/1", i+1)
		signals, kept, _ = Results(ResultsInput{Calls: []daruma.Call{c}, Marks: marks})
		marks = append(marks, kept)
	}
	want := []daruma.Signal{{
		Type: daruma.Loop, Severity: daruma.Warning, Recoverable: true, Subject: daruma.SubjectRun, Detector: "loop/1",
		Cause: daruma.CausePermanent, Evidence: []string{"4/1", "3/1", "2/1", "1/1"},
		Message: "run gave the same result for the same arguments 4 times within 12 turns; about 3 turns brought nothing new.",
	}}
	if d := cmp.Diff(want, signals); d != "" {
		t.Error(d)
	}
}

func TestBadMarks(t *testing.T) {
	good := mark{score: 4, entries: []entry{{"AAAAAAAA", "BBBBBB", "-", "1/1"}}}.String()
	for _, bad := range []string{"", "2 0 - x", "1 -1 - AAAAAAAA.BBBBBB.-.1", "1 0 x AAAAAAAA.BBBBBB.-.1", "1 0 - A.B.-.1", good + ",", strings.Repeat("x", 10_000), "\x00"} {
		if m, ok := parseMark(bad); ok {
			t.Errorf("%q was read as %+v", bad, m)
		}
		if got := parseMarks([]string{good, bad, good}); len(got) != 1 {
			t.Errorf("%q in between: %d marks", bad, len(got))
		}
	}
}

// TestReference compares the marks with the rule itself, run over the whole
// history without hashes: what is remembered is enough.
func TestReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var marks []string
		var past []pastTurn
		score := 0
		for i := range rapid.IntRange(1, 40).Draw(t, "turns") {
			var calls []daruma.Call
			for j := range rapid.IntRange(0, 3).Draw(t, "calls") {
				c := did(rapid.SampledFrom([]string{"read", "run", "keyed"}).Draw(t, "tool"), fmt.Sprintf(`{"n":%d}`, rapid.IntRange(0, 3).Draw(t, "args")),
					rapid.SampledFrom([]string{"a", "b", "!bad a", "!worse"}).Draw(t, "text"))
				c.Step = fmt.Sprintf("%d/%d", i, j)
				calls = append(calls, c)
			}
			signals, kept, skipped := Results(ResultsInput{Calls: calls, Effect: effectOf, Marks: marks})
			if skipped > 0 {
				t.Fatal("skipped")
			}
			var want string
			if len(calls) == 0 {
				if kept != "" {
					t.Fatalf("mark %q for no calls", kept)
				}
			} else {
				if marks = append(marks, kept); len(marks) > daruma.MarkWindow {
					marks = marks[1:]
				}
				want, score = reference(past, calls, score)
				past = append(past, past1(past, calls))
			}
			got := ""
			if len(signals) > 0 {
				got = signals[0].Severity.String()
			}
			if got != want {
				t.Fatalf("turn %d: %q; the rule says %q (score %d)", i, got, want, score)
			}
		}
	})
}

type pastTurn struct {
	calls   []daruma.Call
	changed bool
}

func past1(past []pastTurn, calls []daruma.Call) pastTurn {
	p := pastTurn{calls: calls}
	for _, c := range calls {
		seen := false
		for _, old := range past[max(0, len(past)-12):] {
			for _, o := range old.calls {
				seen = seen || o.Name == c.Name && o.Args == c.Args
			}
		}
		if !seen && !c.Failed && effectOf(c.Tool) != daruma.Read {
			p.changed = true
		}
	}
	return p
}

// reference is the loop rule as the package documentation tells it.
func reference(past []pastTurn, calls []daruma.Call, score int) (string, int) {
	recent := past[max(0, len(past)-12):]
	stale, fresh := false, false
	for _, c := range calls {
		isStale, isNeutral := false, false
		for i, old := range recent {
			changed := false
			for _, later := range recent[i+1:] {
				changed = changed || later.changed
			}
			for _, o := range old.calls {
				if o.Name != c.Name {
					continue
				}
				worked := false
				for _, later := range recent[i:] {
					for _, l := range later.calls {
						worked = worked || !l.Failed && l.Name == o.Name && l.Args == o.Args
					}
				}
				switch {
				case c.Failed && o.Failed && o.Text == c.Text && !worked:
					isStale = true
				case o.Args == c.Args && o.Text == c.Text && o.Failed == c.Failed && !changed:
					isStale = true
				case o.Args == c.Args && o.Text == c.Text && o.Failed == c.Failed:
					isNeutral = true
				}
			}
		}
		stale = stale || isStale
		fresh = fresh || !isStale && !isNeutral
	}
	before := score
	if fresh {
		return "", max(0, score-1)
	}
	if !stale {
		return "", score
	}
	score = min(score+2, 12)
	switch {
	case score >= 10:
		return "error", score
	case score >= 6 && before < 6:
		return "warning", score
	}
	return "", score
}

// TestRecorded measures the rule on recorded runs of software agents, where
// DARUMA_DATA names the folder that holds them.
func TestRecorded(t *testing.T) {
	dir := os.Getenv("DARUMA_DATA")
	if dir == "" {
		t.Skip("DARUMA_DATA is not set")
	}
	for _, name := range []string{"sola", "tau-airline", "hotpotqa-react"} {
		t.Run(name, func(t *testing.T) { recorded(t, filepath.Join(dir, "traces", name+".jsonl.gz")) })
	}
}

func recorded(t *testing.T, path string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	var steps, hit, false_, missed, hitError int
	var pairs [3]int // the same call twice in a row: labelled Repetition, not labelled, and labels missed
	count := map[string]int{}
	for lines.Scan() {
		var run struct {
			OK    bool
			Steps []struct {
				Tool string
				Args json.RawMessage
				Obs  string
				Err  bool
			}
			Labels []string
		}
		if err := json.Unmarshal(lines.Bytes(), &run); err != nil {
			t.Fatal(err)
		}
		var marks []string
		nudged, stopped, score, before := false, false, 0, ""
		for i, s := range run.Steps {
			steps++
			args := string(s.Args)
			var text string
			if json.Unmarshal(s.Args, &text) == nil {
				args = text
			}
			c := daruma.Call{Name: s.Tool, Tool: s.Tool, Args: args, Text: s.Obs, Failed: s.Err, Done: true, Step: fmt.Sprint(i)}
			signals, kept, skipped := Results(ResultsInput{Calls: []daruma.Call{c}, Marks: marks})
			if skipped > 0 {
				t.Fatal("skipped")
			}
			m, _ := parseMark(kept)
			isStale := m.score > score || m.score == most && score == most
			sameError := isStale && len(marks) > 0 && judge(m.entries[0], parseMarks(marks)).sameError
			score = m.score
			marks = append(marks, kept)
			for _, s := range signals {
				nudged = true
				stopped = stopped || s.Severity == daruma.Error
			}
			key := callKey(c.Name, c.Args)
			again := key == before
			before = key
			if i == 0 || i-1 >= len(run.Labels) {
				continue
			}
			switch repetition := run.Labels[i-1] == "Repetition"; {
			case again && repetition:
				pairs[0]++
			case again:
				pairs[1]++
			case repetition:
				pairs[2]++
			}
			switch repetition := run.Labels[i-1] == "Repetition"; {
			case isStale && repetition:
				hit++
			case isStale && sameError:
				hitError++
			case isStale:
				false_++
			case repetition:
				missed++
			}
		}
		word := map[bool]string{true: "good", false: "failed"}[run.OK]
		count[word]++
		if nudged {
			count[word+" nudged"]++
		}
		if stopped {
			count[word+" stopped"]++
		}
	}
	t.Logf("%d steps; stale steps: %d labelled Repetition, %d not, %d not but with the same error; %d Repetitions missed", steps, hit, false_, hitError, missed)
	t.Logf("the same call twice in a row: %d labelled Repetition, %d not; %d Repetitions missed", pairs[0], pairs[1], pairs[2])
	t.Logf("runs: %v", count)
}
