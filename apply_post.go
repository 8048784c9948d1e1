package daruma

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// applyReceived folds a post in. A post that means nothing here (an answer to
// another question, a payload that cannot be read, a decision whose hash is not
// the approval's) is kept in the history, refused visibly and changes nothing:
// posts come from outside, and must not be able to break a run. Posts on
// unknown topics are notes; they change nothing and are not refused.
func (r *Run) applyReceived(p Post) error {
	if r.s.End != nil {
		return nil
	}
	why := ""
	switch p.Topic {
	case TopicApproval:
		why = understood(p, func(d Decision) string { return r.decided(p, d) })
	case TopicAnswer:
		why = understood(p, func(a Answer) string { return r.answered(p, a) })
	case TopicCancel:
		why = r.cancel(p)
	case TopicPolicy:
		why = understood(p, r.changed)
	case TopicBudget:
		why = understood(p, r.budgetRaised)
	case TopicChild:
		why = understood(p, func(c ChildResult) string { return r.childEnded(p, c) })
	case TopicResult:
		why = understood(p, func(st Settlement) string { return r.settled(p, st) })
	}
	if why != "" {
		r.s.Refused = append(slices.Clone(r.s.Refused), PostRefused{Topic: p.Topic, Key: p.Key, By: p.By, Why: excerpt(why, MaxSignalText)})
	}
	return nil
}

// understood hands the payload of a post to what acts on it and returns why
// nothing came of it, "" where something did.
func understood[T any](p Post, act func(T) string) string {
	var payload T
	if err := json.Unmarshal(p.Payload, &payload); err != nil {
		return "it cannot be read: " + err.Error()
	}
	return act(payload)
}

func (r *Run) applyPostRefused(p PostRefused) error {
	r.s.Refused = slices.DeleteFunc(slices.Clone(r.s.Refused), func(q PostRefused) bool { return q == p })
	return nil
}

// cancel asks the run to end. One that also asks for compensation counts even
// where one without came before; while a run is undone it is too late for both.
func (r *Run) cancel(p Post) (refused string) {
	s := &r.s
	var reason Reason
	_ = json.Unmarshal(p.Payload, &reason) // without a reason: cancelled all the same
	switch {
	case s.Undo != nil:
		return "the run is ending already: what it did is being undone"
	case s.Cancel == nil || reason.Compensate && !s.Revert:
		s.Cancel, s.Revert, s.Park, s.Asked = &p, reason.Compensate, nil, nil
	}
	return ""
}

// decided settles the approval that key and hash name, once. A yes given after
// the approval had expired is a no.
func (r *Run) decided(p Post, d Decision) (refused string) {
	s := &r.s
	i := slices.IndexFunc(s.Approve, func(a Approval) bool { return a.ID == p.Key && a.Hash == d.Hash })
	if i < 0 {
		return "approval " + excerpt(p.Key, 100) + " is not open with these arguments: it has been decided, is void, or asks about another call"
	}
	given := p.Time
	if given.IsZero() || given.After(s.Now) {
		given = s.Now
	}
	if a := s.Approve[i]; d.Approve && !a.Expires.After(given) {
		r.settle(a, false, "approved only after "+timeText(a.Expires)+", when it had expired")
		return ""
	}
	r.settle(s.Approve[i], d.Approve, "rejected by "+string(p.By)+because(d.Reason))
	return ""
}

// expire says no to every approval whose time is over.
func (r *Run) expire() {
	for _, a := range slices.Clone(r.s.Approve) {
		if !a.Expires.After(r.s.Now) {
			r.settle(a, false, "nobody decided before "+timeText(a.Expires))
		}
	}
}

func (r *Run) settle(a Approval, yes bool, why string) {
	s := &r.s
	s.Approve = slices.DeleteFunc(slices.Clone(s.Approve), func(b Approval) bool { return b.ID == a.ID })
	if s.Park != nil && s.Park.Reason == ParkApproval {
		s.Park = nil
	}
	if a.Call >= len(s.Calls) || s.Calls[a.Call].Phase != callGated {
		return
	}
	c := &s.Calls[a.Call]
	c.N = r.number()
	if yes {
		c.Phase, c.Approved = callProposed, true
		return
	}
	c.Phase = callFailed
	c.Result = &ToolReplied{Command: r.command(c.N), Call: a.Call, Tool: c.Tool, Outcome: Failed, Kind: KindDenied, Text: why}
}

// answered settles the question the run is parked with, if the answer was
// given for that question.
func (r *Run) answered(p Post, a Answer) (refused string) {
	s := &r.s
	if refused = r.unanswerable(a); refused != "" {
		return refused
	}
	park := *s.Park
	s.Park = nil
	r.act(park, a, p.By)
	return ""
}

// unanswerable says why an answer settles nothing, "" where it does. Questions
// without an id are of runs parked by a version that gave none.
func (r *Run) unanswerable(a Answer) string {
	park := r.s.Park
	switch {
	case park == nil || park.Reason == ParkApproval:
		return "no question is open"
	case park.ID != "" && a.Question == "":
		return "it does not say which question it answers; open is " + park.ID
	case park.ID != "" && a.Question != park.ID:
		return "it answers question " + excerpt(a.Question, 100) + "; open is " + park.ID
	case !slices.Contains(park.Options, a.Choice):
		return excerpt(strconv.Quote(a.Choice), 100) + " is no answer to question " + park.ID + "; accepted: " + strings.Join(park.Options, ", ")
	}
	return ""
}

// act does what the answer to a question says.
func (r *Run) act(park Parked, a Answer, by Actor) {
	s := &r.s
	for i := range s.Falls {
		if f := &s.Falls[i]; !f.Over && f.Subject == park.Subject && f.Type == park.Signal {
			f.Over, f.Caught = true, a.Choice != AnswerAbort
		}
	}
	if a.Choice == AnswerAbort && s.Undo != nil {
		s.Undo.Stopped = "not undone: given up by " + string(by) + because(a.Text)
		return
	}
	if a.Choice == AnswerAbort {
		s.Ending = &Finished{State: Dead, Signal: park.Signal, Text: "stopped by " + string(by) + because(a.Text)}
		return
	}
	if i, ok := callOf(park.Subject); ok && i < len(s.Calls) {
		r.answeredCall(i, a, by)
		return
	}
	if i, ok := r.effectSubjectOf(park.Subject); ok && len(s.Contra) > 0 {
		r.judgedEffect(i, a, by)
		return
	}
	switch {
	case a.Choice == AnswerSkip:
		s.Missing = append(slices.Clone(s.Missing), park.Text)
		s.Level = max(s.Level, Partial)
		s.Ending = &Finished{State: Degraded, Signal: park.Signal}
	case a.Choice == AnswerSay && s.Reply != nil:
		r.close()
		s.Notes = append(slices.Clone(s.Notes), a.Text)
	case a.Choice == AnswerSay:
		s.Messages = append(s.Messages[:len(s.Messages):len(s.Messages)], Message{Role: RoleUser, Text: a.Text, Note: true})
		r.afresh()
	case s.Reply == nil:
		r.afresh()
	case park.Subject == SubjectReply && !r.begun() && s.Undo == nil: // retry: throw the reply away and ask again
		s.Failed = nil
		r.discard()
		r.afresh()
	}
}

// afresh asks the model again, with every target tried anew.
func (r *Run) afresh() {
	r.s.Model = modelStep{N: r.number(), Attempt: 1}
}

func (r *Run) answeredCall(i int, a Answer, by Actor) {
	s := &r.s
	c := &s.Calls[i]
	switch a.Choice {
	case AnswerHappened:
		c.Text = a.Text
		if c.Text == "" {
			c.Text = "It was done; " + string(by) + " has checked."
		}
		r.settleRecord(c, a)
		r.known(i, EffectConfirmed)
		r.done(i)
	case AnswerSay:
		c.Text = a.Text
		r.done(i)
	case AnswerSkip:
		if s.Undo != nil {
			c.Failed, c.Text = true, "left by "+string(by)+because(a.Text)
			r.done(i)
			return
		}
		c.Failed, c.Text = true, "Not available: go on without it and say so."
		s.Level = max(s.Level, Partial)
		s.Missing = append(slices.Clone(s.Missing), c.Name+": skipped by "+string(by)+because(a.Text))
		r.done(i)
	default: // retry, absent
		if a.Choice == AnswerAbsent {
			r.absent(i)
			r.settleRecord(c, a)
		}
		c.Phase, c.N, c.Attempt, c.Result = callProposed, r.number(), c.Attempt+1, nil
	}
}

// changed applies a policy: a raised limit unparks what it parked.
func (r *Run) changed(p Policy) (refused string) {
	s := &r.s
	err := p.Limits.Check()
	if err == nil && p.Ladder != nil {
		err = p.Ladder.Check()
	}
	if err != nil {
		return err.Error()
	}
	s.Start.Limits = p.Limits.Over(s.Start.Limits)
	if p.Ladder != nil {
		s.Start.Ladder, s.Start.DefaultLadder = *p.Ladder, 0
	}
	if s.Park != nil && s.Park.Limit != "" {
		r.caught(s.Park.Subject)
		s.Park = nil
	}
	s.Soft = nil
	return ""
}

// question is what a human is asked when the ladder escalates.
func (r *Run) question(m Move) *Parked {
	p := &Parked{Reason: ParkQuestion, Subject: m.Subject, Signal: m.Signal, Text: m.Why,
		Options: []string{AnswerRetry, AnswerSay, AnswerSkip, AnswerAbort}}
	i, ok := callOf(m.Subject)
	ok = ok && i < len(r.s.Calls)
	if ok && r.s.Undo != nil {
		return r.undoQuestion(m, i)
	}
	switch {
	case ok && r.s.Calls[i].Phase == callDoubt:
		p.Options = []string{AnswerHappened, AnswerAbsent, AnswerSkip, AnswerAbort}
	case strings.HasPrefix(m.Subject, "effect:"):
		p.Options = []string{AnswerHappened, AnswerAbsent, AnswerAbort}
	case ok && r.s.Calls[i].Phase == callDone, m.Subject == SubjectReply && r.begun():
		p.Options = []string{AnswerSay, AnswerSkip, AnswerAbort} // what was made is not made again
	}
	return p
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// restore begins a fold with a checkpoint.
func (r *Run) restore(e Event) error {
	const op = "daruma.Fold"
	var c Checkpoint
	if err := json.Unmarshal(e.Payload, &c); err != nil {
		return Fail(op, KindCorrupt, "run %s: checkpoint %d: %w", r.id, e.Seq, err)
	}
	if c.Version != FoldVersion {
		return Fail(op, KindConflict, "run %s: checkpoint %d is of fold version %d, this is %d", r.id, e.Seq, c.Version, FoldVersion)
	}
	if err := json.Unmarshal(c.State, &r.s); err != nil {
		return Fail(op, KindCorrupt, "run %s: checkpoint %d: %w", r.id, e.Seq, err)
	}
	if !r.s.sound() {
		return Fail(op, KindCorrupt, "run %s: checkpoint %d holds no state between turns", r.id, e.Seq)
	}
	if r.s.Head+1 != e.Seq {
		return Fail(op, KindCorrupt, "run %s: checkpoint %d holds the state after %d", r.id, e.Seq, r.s.Head)
	}
	if t := e.Time.UTC(); t.After(r.s.Now) {
		r.s.Active += Duration(t.Sub(r.s.Now))
		r.s.Now = t
	}
	r.s.Head, r.s.Tail, r.s.Base, r.s.Claims = e.Seq, 0, int64(len(e.Payload)), 0
	return nil
}

// sound reports whether a state read back is one that endTurn writes: alive,
// between two turns, the model to be asked next.
func (s *state) sound() bool {
	return s.Turn > 1 && s.N > 0 && s.Model.N > 0 && s.Model.Target >= 0 && s.Model.Target < len(s.Start.Models) &&
		s.Model.Failure == nil && s.Reply == nil && len(s.Calls) == 0 && len(s.Open) == 0 && len(s.Approve) == 0 &&
		len(s.Refused) == 0 && len(s.Contra) == 0 && s.Park == nil && s.Asked == nil && s.Cancel == nil && s.Ending == nil && s.End == nil && s.Undo == nil
}

// encoded returns the run's state as a checkpoint holds it.
func (r *Run) encoded() json.RawMessage {
	b, err := json.Marshal(r.s)
	if err != nil {
		panic("daruma: state does not encode: " + err.Error()) // every field is plain data
	}
	return b
}

// checkpoint returns a run.checkpoint of the run as it is.
func (r *Run) checkpoint() Event {
	state := r.encoded()
	// As json.Marshal writes a Checkpoint, without reading the state again.
	b := append(make([]byte, 0, len(state)+40), `{"version":`...)
	b = append(strconv.AppendInt(b, FoldVersion, 10), `,"state":`...)
	return Event{Kind: KindCheckpoint, Actor: ActorCore, Payload: append(append(b, state...), '}')}
}

// clone returns a run that can be folded on without touching r.
func (r *Run) clone() *Run {
	c := *r
	c.s.Calls = slices.Clone(r.s.Calls)
	c.s.Falls = slices.Clone(r.s.Falls)
	return &c
}
