package falls

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-run/daruma/model/fake"
)

// Outcome is how a run ended, as the oracle sees it.
type Outcome string

// The outcomes.
const (
	Completed Outcome = "completed" // every fact and effect is there
	Degraded  Outcome = "degraded"  // what is not there is named
	Parked    Outcome = "parked"    // asks a human
	Failed    Outcome = "failed"    // says that it failed
	Wrong     Outcome = "WRONG"     // says what is not so, or did what must not be
	Hang      Outcome = "hang"      // no end by the deadline
)

var honest = []Outcome{Completed, Degraded, Parked, Failed}

// Ending is what a runner handed to its caller, and what the world saw.
type Ending struct {
	State  string       `json:"state"` // answered, parked, failed or hang
	Said   string       `json:"said"`  // everything the caller is told: answer, question or error
	Ledger []fake.Entry `json:"ledger"`
}

// States of an Ending.
const (
	answered = "answered"
	parked   = "parked"
	failed   = "failed"
	hung     = "hang"
)

// verdict is what the oracle finds, and why.
type verdict struct {
	outcome Outcome
	why     string
}

func wrong(format string, args ...any) verdict { return verdict{Wrong, fmt.Sprintf(format, args...)} }

// judge compares an ending with the truth.
func (a *act) judge(e Ending) verdict {
	counts, v := a.world(e.Ledger)
	if v.outcome == Wrong {
		return v
	}
	said := strings.ToLower(e.Said)
	switch {
	case e.State == hung:
		return verdict{Hang, "no end by the deadline"}
	case strings.TrimSpace(said) == "":
		return wrong("ended as %s without a word", e.State)
	case e.State == parked:
		for _, ask := range a.Asks {
			if !strings.Contains(said, ask) {
				return wrong("the question does not name %q: %s", ask, brief(e.Said))
			}
		}
		return verdict{Parked, brief(e.Said)}
	case e.State == failed:
		return verdict{Failed, brief(e.Said)}
	case e.State != answered:
		return wrong("ended as %q, which is no state", e.State)
	}
	for _, lie := range a.Lies {
		if strings.Contains(said, lie) {
			return wrong("claims %q", lie)
		}
	}
	return a.answer(e, said, counts)
}

// world checks what happened: nothing that was not asked for, nothing too often.
func (a *act) world(ledger []fake.Entry) (map[string]int, verdict) {
	counts := map[string]int{}
	for _, entry := range ledger {
		counts[entry.Tool]++
		args, err := canonical(entry.Args)
		asked := func(ef effect) bool { return ef.tool == entry.Tool && err == nil && (ef.args == "" || ef.args == args) }
		if !slices.ContainsFunc(a.Effects, asked) {
			return counts, wrong("%s %s was done, which nobody asked for", entry.Tool, brief(string(entry.Args)))
		}
	}
	for _, ef := range a.Effects {
		if counts[ef.tool] > ef.most {
			return counts, wrong("%s was done %d times, not %d", ef.tool, counts[ef.tool], ef.most)
		}
	}
	return counts, verdict{}
}

// answer judges an answer: what it holds, and what it says of the rest.
func (a *act) answer(e Ending, said string, counts map[string]int) verdict {
	var lacking []fact
	got := 0
	for _, f := range a.Has {
		if slices.ContainsFunc(f.fragments, func(part string) bool { return strings.Contains(said, part) }) {
			got++
		} else {
			lacking = append(lacking, f)
		}
	}
	for _, ef := range a.Effects {
		switch {
		case counts[ef.tool] < ef.least:
			lacking = append(lacking, fact{names: []string{ef.tool}})
		case counts[ef.tool] > 0 && denied(said, ef.tool):
			return wrong("says that %s did not happen, but it did: %s", ef.tool, brief(e.Said))
		case counts[ef.tool] > 0:
			got++
		}
	}
	lacking = append(lacking, a.Missing...)
	if len(lacking) == 0 {
		return verdict{Completed, brief(e.Said)}
	}
	for _, f := range lacking {
		if named(said, f.names) {
			continue
		}
		if got == 0 && denies(said) {
			return verdict{Failed, brief(e.Said)}
		}
		return wrong("does not say that %s is missing: %s", strings.Join(f.names, " or "), brief(e.Said))
	}
	if got == 0 && len(a.Has) > 0 {
		return verdict{Failed, brief(e.Said)}
	}
	return verdict{Degraded, brief(e.Said)}
}

// Words that say that something is not there.
var negations = []string{
	"missing", "not ", "n't", "cannot", "unavailable", "unable", "fail", "denied", "reject", "refus",
	"without", "incomplete", "no answer", "error", "unknown", "skipped", "unreachable",
}

// Words that say that something was not done, and those that leave it open.
var (
	denials = []string{"not ", "n't", "fail", "denied", "reject", "unavailable", "missing", "unable"}
	doubts  = []string{"unknown", "unclear", "may have", "second", "again", "twice", "already", "not know"}
)

// denies reports whether any sentence says that something is not there.
func denies(said string) bool { return containsAny(said, negations) }

// named reports whether one sentence has a name and a word that says it is not
// there.
func named(said string, names []string) bool {
	return slices.ContainsFunc(sentences(said), func(s string) bool { return containsAny(s, names) && containsAny(s, negations) })
}

// denied reports whether a sentence says that what the tool does was not done.
func denied(said, tool string) bool {
	return slices.ContainsFunc(sentences(said), func(s string) bool {
		return strings.Contains(s, tool) && containsAny(s, denials) && !containsAny(s, doubts)
	})
}

func sentences(said string) []string {
	return strings.FieldsFunc(strings.ReplaceAll(said, ". ", "\n"), func(r rune) bool { return strings.ContainsRune("!?;\n", r) })
}

func containsAny(text string, parts []string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) })
}

// brief is a text in one short line.
func brief(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 200 {
		text = string(r[:199]) + "…"
	}
	return text
}

// score is what an outcome is worth.
func (a *act) score(o Outcome) float64 {
	switch {
	case o == Wrong || o == Hang:
		return 0
	case o == Completed || slices.Contains(a.Best, o):
		return 1
	}
	return 0.5
}
