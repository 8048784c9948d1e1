package daruma

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Write is one call with an effect that a run has made, or may have made, as
// the runs forked from it remember it: an equal one is answered from here and
// not made again. Calls are equal that have the same tool and the same
// canonical arguments.
type Write struct {
	Tool    string  `json:"tool"`
	Args    string  `json:"args"`           // canonical, for people: at most 200 bytes
	Run     RunID   `json:"run"`            // who made it
	Step    string  `json:"step"`           // its step there, "turn/n"
	Outcome Outcome `json:"outcome"`        // Succeeded; or Doubtful: in flight, or its outcome is unknown
	Text    string  `json:"text,omitempty"` // the result
	Ref     Digest  `json:"ref,omitzero"`
}

// Record returns what the runs that this one was forked from have written or
// may have written, each action once, by run and step. It is empty for a run
// that is no fork.
func (r *Run) Record() []Write {
	return slices.SortedFunc(maps.Values(r.s.Record), func(a, b Write) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), compareSteps(a.Step, b.Step), cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Args, b.Args))
	})
}

// compareSteps orders "turn/n" by number.
func compareSteps(a, b string) int {
	turnA, nA := stepNumbers(a)
	turnB, nB := stepNumbers(b)
	return cmp.Or(cmp.Compare(turnA, turnB), cmp.Compare(nA, nB))
}

func stepNumbers(step string) (turn, n int) {
	before, after, _ := strings.Cut(step, "/")
	turn, _ = strconv.Atoi(before)
	n, _ = strconv.Atoi(after)
	return turn, n
}

// writeKey names an action in a record.
func writeKey(tool, canonical string) string {
	var b []byte
	for _, part := range []string{strconv.Itoa(CanonicalVersion), tool, canonical} {
		b = appendSized(b, part)
	}
	return DigestOf(b).String()[:40]
}

// recorded returns the write that answers a call in its place.
func (r *Run) recorded(c *callStep, spec ToolSpec) (Write, bool) {
	if len(r.s.Record) == 0 || spec.Effect == Read {
		return Write{}, false
	}
	w, ok := r.s.Record[writeKey(c.Tool, c.canonical())]
	return w, ok
}

// replay is the answer to a call from the record. Where the outcome was not
// known there, it is not known here either.
func (r *Run) replay(i int, w Write) Event {
	c := &r.s.Calls[i]
	p := ToolReplied{Command: r.command(c.N), Call: i, Tool: c.Tool, Outcome: Succeeded, Text: w.Text, Ref: w.Ref, Replayed: true}
	if w.Outcome != Succeeded {
		p.Outcome, p.Kind, p.Ref = Doubtful, KindDoubt, Digest{}
		p.Text = "the same call was made in step " + w.Step + " of run " + string(w.Run) + ", and its outcome was not known when this run was forked"
	}
	return NewEvent(KindToolReplied, ActorCore, p)
}

// settleRecord takes the word of a human about a call that the record has in
// doubt. The record is copied: other folds share it.
func (r *Run) settleRecord(c *callStep, a Answer) {
	key := writeKey(c.Tool, c.canonical())
	w, ok := r.s.Record[key]
	if !ok || w.Outcome == Succeeded {
		return
	}
	switch a.Choice {
	case AnswerHappened:
		w.Outcome, w.Text = Succeeded, c.Text
		r.s.Record = maps.Clone(r.s.Record)
		r.s.Record[key] = w
	case AnswerAbsent:
		r.s.Record = maps.Clone(r.s.Record)
		delete(r.s.Record, key)
	}
}
