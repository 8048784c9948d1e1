package daruma

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Undo begins the compensation of a run that is being cancelled or has failed:
// what it has done is undone one by one, the last first, and then it ends. It
// is the payload of undo.started.
type Undo struct {
	End       Finished   `json:"end"`                 // how the run ends afterwards; what was undone is added
	Calls     []UndoCall `json:"calls"`               // in the order in which they are made
	Undone    []string   `json:"undone,omitempty"`    // effects that the agent has undone itself, in words
	Remaining []string   `json:"remaining,omitempty"` // effects that cannot be undone, in words
}

// UndoCall is one call that undoes another. It is made like any other: with an
// intent, a key of its own, an approval where its risk asks for one, and
// retries as its effect allows. What fails for good is asked of a human.
type UndoCall struct {
	Key   string `json:"key"`  // of the call that is undone
	Of    string `json:"of"`   // that call in words: "book (2/3)"
	Tool  string `json:"tool"` // the tool that undoes it
	Args  string `json:"args,omitempty"`
	Fault string `json:"fault,omitempty"` // why there are no arguments: the mapping found nothing
}

// undoing is a run in compensation. Its calls stand in state.Calls, in the
// order of Undo.Calls.
type undoing struct {
	Undo
	Stopped string `json:"stopped,omitempty"` // who gave up the rest, in words
}

// end ends the run, after everything it has done was undone if so it is to be.
func (r *Run) end(f Finished, compensate bool) []Event {
	switch {
	case r.s.Undo != nil:
		return r.finish(r.undoneEnd())
	case !compensate:
		return r.finish(f)
	}
	u := Undo{End: f}
	effects := slices.Clone(r.s.Effects)
	slices.SortStableFunc(effects, func(a, b EffectRecord) int { return cmp.Compare(b.Done, a.Done) })
	own := map[string]string{} // what the agent itself has done to undo something, by key, and in words what undid a key
	for i := range effects {
		e := &effects[i]
		spec, _ := r.spec(e.Tool)
		if e.State != EffectConfirmed || spec.Compensate == nil || own[e.Key] != "" {
			continue
		}
		args, err := spec.Compensate.arguments(e)
		for j := range effects[:i] {
			if o := &effects[j]; err == nil && o.Tool == spec.Compensate.Tool && o.State == EffectConfirmed && canonicalArgs(o.Args) == canonicalArgs(args) && own[o.Key] == "" {
				own[o.Key], own[e.Key] = o.Tool, fmt.Sprintf("%s: undone by the agent with %s (%s)", e.words(), o.Tool, o.Step)
				u.Undone = append(u.Undone, own[e.Key])
				break
			}
		}
		if own[e.Key] == "" {
			call := UndoCall{Key: e.Key, Of: e.words(), Tool: spec.Compensate.Tool, Args: args}
			switch {
			case err != nil:
				call.Fault = err.Error()
			case r.delegated(call.Tool):
				call.Fault = call.Tool + " is a sub-run, which cannot undo anything"
			}
			u.Calls = append(u.Calls, call)
		}
	}
	for i := range effects {
		e := &effects[i]
		switch spec, _ := r.spec(e.Tool); {
		case !e.State.Settled():
			u.Remaining = append(u.Remaining, e.words()+": its outcome is unknown, key "+e.Key)
		case spec.Agent != "" && (e.State != EffectConfirmed || spec.Compensate == nil):
			for _, standing := range e.Within {
				u.Remaining = append(u.Remaining, e.words()+", "+standing)
			}
		case e.State == EffectConfirmed && spec.Compensate == nil && own[e.Key] == "":
			u.Remaining = append(u.Remaining, e.words()+": no compensation is declared")
		}
	}
	if len(u.Calls) == 0 {
		f.Compensated, f.Remaining = u.Undone, u.Remaining
		return r.finish(f)
	}
	return []Event{NewEvent(KindUndo, ActorCore, u)}
}

// words names an effect for people.
func (e *EffectRecord) words() string { return fmt.Sprintf("%s (%s)", e.Tool, e.Step) }

// applyUndo begins a turn of its own, whose calls are those of the event.
func (r *Run) applyUndo(p Undo) error {
	s := &r.s
	if s.Undo != nil || r.inFlight() || len(p.Calls) == 0 {
		return Fail("", KindConflict, "nothing can be undone here")
	}
	s.Undo = &undoing{Undo: p}
	s.Cancel, s.Ending, s.Park, s.Asked, s.Open, s.Approve, s.Notes, s.Contra = nil, nil, nil, nil, nil, nil, nil, nil
	s.Turn++
	s.N = 0
	s.Model = modelStep{Target: s.Model.Target}
	s.Reply, s.Judged, s.Judge, s.Closed = &Replied{Message: Message{Role: RoleAssistant}}, JudgeReply, 0, true
	s.Calls = make([]callStep, len(p.Calls))
	for i, u := range p.Calls {
		s.Calls[i] = callStep{ID: u.Key, Name: u.Tool, Tool: u.Tool, Args: u.Args, N: r.number(), Attempt: 1}
		if canon := canonicalArgs(u.Args); canon != u.Args {
			s.Calls[i].Canon = canon
		}
	}
	return nil
}

// undoNext returns the call that is being made or comes next, -1 for none.
func (r *Run) undoNext() int {
	if r.s.Undo.Stopped != "" {
		return -1
	}
	return slices.IndexFunc(r.s.Calls, func(c callStep) bool { return c.Phase != callDone })
}

// decideUndo makes one call after the other.
func (r *Run) decideUndo() []Event {
	s := &r.s
	i := r.undoNext()
	if i < 0 {
		if r.inFlight() {
			return nil
		}
		return r.finish(r.undoneEnd())
	}
	c := &s.Calls[i]
	spec, _ := r.spec(c.Tool)
	switch c.Phase {
	case callProposed:
		switch {
		case s.Undo.Calls[i].Fault != "":
			return []Event{NewEvent(KindToolReplied, ActorCore, ToolReplied{Command: r.command(c.N), Call: i, Tool: c.Tool,
				Outcome: Failed, Kind: KindInvalid, Text: "no arguments: " + s.Undo.Calls[i].Fault})}
		case r.needsApproval(c, spec):
			return []Event{NewEvent(KindApproval, ActorCore, r.approval(i, spec))}
		}
		return []Event{NewEvent(KindToolCalled, ActorCore, ToolCalled{Command: r.command(c.N), Call: i,
			Tool: c.Tool, Key: r.key(i), Effect: spec.Effect, Attempt: c.Attempt, Undoes: s.Undo.Calls[i].Key})}
	case callGated:
		return []Event{r.park(Parked{Reason: ParkApproval, Text: r.approvalText()}, 0)}
	case callAsked:
		return []Event{r.park(*c.Ask, 0)}
	}
	return nil
}

// undone marks the effect that a call has undone.
func (r *Run) undone(i int) {
	if at := r.effectKeyed(r.s.Undo.Calls[i].Key); at >= 0 && !r.s.Calls[i].Failed {
		r.effectIs(at, EffectUndone)
	}
}

// undoneEnd is the end of a run that has been undone as far as it could be.
func (r *Run) undoneEnd() Finished {
	f := r.s.Undo.End
	f.Compensated, f.Remaining = r.undoLists()
	f.Compensated = append(f.Compensated, r.s.Undo.Undone...)
	f.Remaining = append(f.Remaining, r.s.Undo.Remaining...)
	f.Text += fmt.Sprintf("; undone: %d, not undone: %d", len(f.Compensated), len(f.Remaining))
	return f
}

// undoLists says what has been undone and what of the calls has not.
func (r *Run) undoLists() (undone, remaining []string) {
	s := &r.s
	for i, u := range s.Undo.Calls {
		switch c := &s.Calls[i]; {
		case c.Phase == callDone && !c.Failed:
			undone = append(undone, u.Of+": undone by "+c.Tool)
		case c.Phase == callDone:
			remaining = append(remaining, u.Of+": "+c.Text)
		case s.Undo.Stopped != "":
			remaining = append(remaining, u.Of+": "+s.Undo.Stopped)
		default:
			remaining = append(remaining, u.Of)
		}
	}
	return undone, remaining
}

// undoQuestion is what a human is asked about a call that undoes another.
func (r *Run) undoQuestion(m Move, i int) *Parked {
	undone, remaining := r.undoLists()
	text := fmt.Sprintf("%s could not be undone by %s: %s; undone so far: %s; remaining: %s", r.s.Undo.Calls[i].Of, r.s.Calls[i].Tool,
		m.Why, listed(undone), listed(append(remaining, r.s.Undo.Remaining...)))
	p := &Parked{Reason: ParkQuestion, Subject: m.Subject, Signal: m.Signal, Text: text, Options: []string{AnswerRetry, AnswerHappened, AnswerSkip, AnswerAbort}}
	switch {
	case r.s.Calls[i].Phase == callDoubt:
		p.Options = []string{AnswerHappened, AnswerAbsent, AnswerSkip, AnswerAbort}
	case r.s.Undo.Calls[i].Fault != "":
		p.Options = []string{AnswerHappened, AnswerSkip, AnswerAbort}
	}
	return p
}

func listed(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
