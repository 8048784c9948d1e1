package detect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

// Constants of the loop rule; the package documentation says where they come
// from. Scores are in halves.
const (
	window = 12 // turns
	nudge  = 3 * 2
	stop   = 5 * 2
	most   = 6 * 2
	stale  = 1 * 2
	fresh  = -1
)

// ResultsInput is what [Results] looks at.
type ResultsInput struct {
	// Calls are those of the turn, with their results. Calls that are not done
	// are passed over.
	Calls []daruma.Call
	// Effect returns what a tool is declared to do. Nil means that nothing is
	// known.
	Effect func(tool string) daruma.Effect
	// Marks are those of the turns before, oldest first.
	Marks []string
}

// Results returns what is wrong with the results of a turn, the mark to keep,
// and how many detectors were skipped because they panicked. The mark is empty
// where there is nothing to remember. The package documentation has the rules.
// A loop has the subject [daruma.SubjectRun]; its evidence begins with the
// steps of this turn, followed by those they repeat.
func Results(in ResultsInput) (signals []daruma.Signal, kept string, skipped int) {
	signals, skipped = tried(func() (found []daruma.Signal) {
		found, kept = in.loop()
		return found
	})
	return signals, kept, skipped
}

// turn is a turn as the loop rule sees it.
type turn struct {
	entries []entry
	names   []string // of the tools, in the order of entries
	effects []bool   // whether the call succeeded and may have changed something
}

func (in ResultsInput) loop() ([]daruma.Signal, string) {
	now := in.turn()
	if len(now.entries) == 0 {
		return nil, ""
	}
	marks := parseMarks(in.Marks)
	next := mark{entries: now.entries}
	if len(marks) > 0 {
		next.score = marks[len(marks)-1].score
	}
	var (
		anyStale, anyFresh bool
		earlier            []string
		repeated           string
		times              int
	)
	for i, e := range now.entries {
		v := judge(e, marks)
		anyStale = anyStale || v.stale
		anyFresh = anyFresh || !v.stale && !v.neutral
		next.changed = next.changed || now.effects[i] && !v.known
		if v.stale && v.times+1 > times {
			times, repeated = v.times+1, now.names[i]
			if e.failure != "-" && v.sameError {
				repeated += " failed with the same error"
			} else {
				repeated += " gave the same result for the same arguments"
			}
		}
		earlier = append(earlier, v.steps...)
	}
	before := next.score
	switch {
	case anyFresh:
		next.score = max(0, before+fresh)
	case anyStale:
		next.score = min(most, before+stale)
	}
	text := next.String()
	if anyFresh || !anyStale || next.score < nudge || before >= nudge && next.score < stop {
		return nil, text
	}
	var evidence []string
	for _, e := range now.entries {
		evidence = append(evidence, e.step)
	}
	evidence = slices.DeleteFunc(append(evidence, earlier...), func(s string) bool { return s == "" })
	s := signal(daruma.Loop, "loop/1", daruma.SubjectRun, distinct(evidence),
		"%s %d times within %d turns; about %d turns brought nothing new.", repeated, times, window, (next.score+1)/2)
	s.Cause = daruma.CausePermanent
	s.Severity = daruma.Warning
	if next.score >= stop {
		s.Severity = daruma.Error
	}
	return []daruma.Signal{s}, text
}

// distinct keeps the first of equal texts, at most 20.
func distinct(all []string) []string {
	var kept []string
	for _, s := range all {
		if len(kept) < 20 && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// verdict is what the marks say of a call.
type verdict struct {
	stale, neutral bool
	known          bool // the call was made before, whatever it gave
	sameError      bool
	times          int      // how often it was the same before
	steps          []string // where
}

// judge compares a call with those of the marks, the newest first.
func judge(e entry, marks []mark) verdict {
	var v verdict
	changed := false
	var worked []string // calls that succeeded later on: their errors are settled
	for _, m := range slices.Backward(marks) {
		for _, old := range m.entries {
			if old.failure == "-" {
				worked = append(worked, old.key)
			}
		}
		for _, old := range m.entries {
			same := old.key == e.key && old.out == e.out
			failed := e.failure != "-" && old.failure == e.failure && !slices.Contains(worked, old.key)
			v.known = v.known || old.key == e.key
			switch {
			case failed, same && !changed:
				v.stale = true
				v.sameError = v.sameError || failed
				v.times++
				v.steps = append(v.steps, old.step)
			case same:
				v.neutral = true
			}
		}
		changed = changed || m.changed
	}
	return v
}

// turn reads the calls that are done.
func (in ResultsInput) turn() turn {
	var t turn
	for _, c := range in.Calls {
		if !c.Done {
			continue
		}
		effect := daruma.Unsafe
		if in.Effect != nil {
			effect = in.Effect(c.Tool)
		}
		t.entries = append(t.entries, newEntry(c, effect))
		t.names = append(t.names, c.Name)
		t.effects = append(t.effects, !c.Failed && effect != daruma.Read)
	}
	if len(t.entries) > maxEntries {
		return t.fold()
	}
	return t
}

// newEntry hashes a call and what it gave.
func newEntry(c daruma.Call, effect daruma.Effect) entry {
	e := entry{key: hash(keyLength, callKey(c.Name, c.Args)), failure: "-", step: c.Step}
	switch {
	case c.Failed:
		text := errorText(c.Text)
		e.failure = hash(outLength, c.Name+"\x00"+text)
		e.out = hash(outLength, "failed\x00"+text)
	case !c.Ref.IsZero():
		e.out = hash(outLength, "ref\x00"+c.Ref.String())
	default:
		e.out = hash(outLength, mask(c.Text, effect == daruma.Read))
	}
	return e
}

// fold makes one call of all: a turn of very many calls repeats itself as a
// whole or not at all.
func (t turn) fold() turn {
	var keys, outs strings.Builder
	failed, effect := true, false
	for i, e := range t.entries {
		keys.WriteString(e.key)
		outs.WriteString(e.out)
		failed = failed && e.failure != "-"
		effect = effect || t.effects[i]
	}
	e := entry{key: hash(keyLength, keys.String()), out: hash(outLength, outs.String()), failure: "-", step: t.entries[0].step}
	if failed {
		e.failure = e.out
	}
	return turn{[]entry{e}, []string{fmt.Sprintf("%s and %d more calls", t.names[0], len(t.entries)-1)}, []bool{effect}}
}
