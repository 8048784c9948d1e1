package daruma

import (
	"encoding/json"
	"slices"
	"time"
)

// Apply folds one event in. Events without a Seq (those of [Run.Next] before
// they are stored) count as the next one, events without a Time as happening
// at the time of the last.
//
// Errors: KindCorrupt for a payload that cannot be read or a Seq out of order,
// KindConflict for an event that does not fit where the run stands: the run
// was folded by another version, or a shell answered what was not asked. The
// run must not be used after an error.
func (r *Run) Apply(e Event) error {
	const op = "daruma.Apply"
	s := &r.s
	if e.Seq != 0 && e.Seq != s.Head+1 {
		return Fail(op, KindCorrupt, "run %s: event %d follows %d", r.id, e.Seq, s.Head)
	}
	if (s.Turn == 0) != (e.Kind == KindStarted) {
		return Fail(op, KindConflict, "run %s: event %d is %s, which cannot come here", r.id, s.Head+1, e.Kind)
	}
	if s.End != nil && e.Kind != KindClaimed && e.Kind != KindReceived {
		return Fail(op, KindConflict, "run %s: event %d is %s, but the run is finished", r.id, s.Head+1, e.Kind)
	}
	r.tick(e)
	s.Head++
	s.Tail += int64(len(e.Payload))
	if e.Kind != KindClaimed {
		s.Claims = 0
	}
	err := r.fold(e)
	if err != nil {
		kind := KindOf(err)
		if kind == KindUnknown {
			kind = KindCorrupt
		}
		return Fail(op, kind, "run %s: event %d (%s): %w", r.id, s.Head, e.Kind, err)
	}
	if s.Reply != nil && s.Judged == JudgeReply && !s.Closed && len(s.Calls) > 0 && r.allDone() && s.Judge >= 0 {
		s.Judge = -r.number() // negative: the judgement of the results is outstanding
	}
	return nil
}

// tick moves the run's clock and counts the time in which it was active.
func (r *Run) tick(e Event) {
	s := &r.s
	now := e.Time.UTC()
	if now.Before(s.Now) { // a missing stamp, or a clock that was set back
		now = s.Now
	}
	if !s.Now.IsZero() && e.Kind != KindClaimed && s.Park == nil && s.End == nil && !r.elsewhere() {
		s.Active += Duration(now.Sub(s.Now))
	}
	s.Now = now
}

// fold decodes the payload and hands it to the part of the fold that knows it.
func (r *Run) fold(e Event) error {
	switch e.Kind {
	case KindStarted:
		return folded(e, r.applyStarted)
	case KindForked:
		return folded(e, r.applyForked)
	case KindClaimed:
		return folded(e, r.applyClaimed)
	case KindReplied:
		return folded(e, r.applyReplied)
	case KindModelFailed:
		return folded(e, r.applyModelFailed)
	case KindSignal:
		return folded(e, r.applySignal)
	case KindJudged:
		return folded(e, r.applyJudged)
	case KindMove:
		return folded(e, r.applyMove)
	case KindToolCalled:
		return folded(e, r.applyToolCalled)
	case KindToolReplied:
		return folded(e, r.applyToolReplied)
	case KindApproval:
		return folded(e, r.applyApproval)
	case KindTimer:
		return folded(e, r.applyTimer)
	case KindReceived:
		return folded(e, r.applyReceived)
	case KindPostRefused:
		return folded(e, r.applyPostRefused)
	case KindParked:
		return folded(e, func(p Parked) error {
			if r.s.Park, r.s.Asked, r.s.Met = &p, nil, nil; !p.Until.IsZero() {
				r.number() // of the wait
			}
			return nil
		})
	case KindChild:
		return folded(e, r.applyChildStarted)
	case KindBudget:
		return folded(e, r.applyBudgetMet)
	case KindUndo:
		return folded(e, r.applyUndo)
	case KindTurnEnded:
		return folded(e, r.applyTurnEnded)
	case KindCheckpoint:
		r.s.Tail, r.s.Base = 0, int64(len(e.Payload))
		return nil
	case KindFinished:
		return folded(e, r.applyFinished)
	}
	return Fail("", KindConflict, "kind is unknown to this version")
}

func folded[T any](e Event, apply func(T) error) error {
	if payload, ok := e.body.(T); ok {
		return apply(payload)
	}
	var payload T
	if err := json.Unmarshal(e.Payload, &payload); err != nil {
		return err
	}
	return apply(payload)
}

func (r *Run) applyStarted(p Started) error {
	if len(p.Models) == 0 {
		return Fail("", KindInvalid, "agent %s has no model", p.Agent)
	}
	if p.DefaultLadder > DefaultLadderVersion {
		return Fail("", KindConflict, "default ladder %d is unknown to this version", p.DefaultLadder)
	}
	s := &r.s
	p.Limits = p.Limits.Filled()
	s.Start, s.Turn = p, 1
	s.Messages = make([]Message, 0, 16)
	if p.Instructions != "" {
		s.Messages = append(s.Messages, Message{Role: RoleSystem, Text: p.Instructions})
	}
	s.Messages = append(s.Messages, p.Input)
	if len(p.Lessons) > 0 {
		s.Messages = append(s.Messages, Message{Role: RoleUser, Text: r.lessonsNote(), Note: true})
	}
	s.Model = modelStep{N: r.number(), Attempt: 1}
	return r.lower(p.Lowered)
}

// applyClaimed is where a crash shows: what had an intent and no result may
// have happened. A run that its holder had given up has killed nobody, so that
// its claim does not count.
func (r *Run) applyClaimed(p Claim) error {
	if !p.Clean {
		r.s.Claims++
	}
	for i := range r.s.Calls {
		if c := &r.s.Calls[i]; c.Phase == callIntent && !r.delegates(c) { // a sub-run is started once, however often it is asked for
			r.inDoubt(i, &ToolReplied{Command: r.command(c.N), Call: i, Tool: c.Tool, Kind: KindDoubt,
				Text: "the process ended while the call was in flight"})
		}
	}
	return nil
}

func (r *Run) applyReplied(p Replied) error {
	s := &r.s
	if s.Reply != nil || p.Command != r.command(s.Model.N) {
		return r.unasked(p.Command)
	}
	s.Steps++
	s.Usage, s.Cost = s.Usage.Plus(p.Usage), s.Cost.Plus(p.Cost)
	r.measure(p.Usage)
	s.Reply, s.Judged, s.Closed = &p, "", false
	s.Model.Failure, s.Model.Until = nil, time.Time{}
	s.Judge = r.number()
	if p.Judged {
		s.Judged = JudgeReply
	}
	s.Calls = make([]callStep, len(p.Message.Calls))
	for i, c := range p.Message.Calls {
		s.Calls[i] = callStep{ID: c.ID, Name: c.Name, Args: c.Arguments, Tool: r.standIn(c.Name), N: r.number(), Attempt: 1}
		if canon := canonicalArgs(c.Arguments); canon != c.Arguments {
			s.Calls[i].Canon = canon
		}
	}
	r.caught(SubjectModel)
	return nil
}

func (r *Run) applyModelFailed(p ModelFailed) error {
	s := &r.s
	if s.Reply != nil || s.Model.Failure != nil || p.Command != r.command(s.Model.N) {
		return r.unasked(p.Command)
	}
	s.Usage, s.Cost = s.Usage.Plus(p.Usage), s.Cost.Plus(p.Cost)
	s.Model.Failure, s.Model.Until = &p, time.Time{}
	return nil
}

func (r *Run) applySignal(p Signal) error {
	if p.Type == noSignal {
		return Fail("", KindInvalid, "a signal without a type")
	}
	if p.Subject == SubjectReply && r.s.Reply == nil {
		return Fail("", KindConflict, "there is no reply that %s could be about", p.Type)
	}
	r.s.Open = append(r.s.Open, p)
	r.contradictionAsked(p.Subject)
	f := r.fallOf(p.Subject, p.Type)
	if f == nil {
		step, tool := r.stepOf(p.Subject)
		if len(p.Evidence) > 0 {
			step = p.Evidence[0]
		}
		r.s.Falls = append(r.s.Falls, Fall{Type: p.Type, Subject: p.Subject, Turn: r.s.Turn, Step: step, Tool: tool})
		f = &r.s.Falls[len(r.s.Falls)-1]
		f.Path = p.Path
		if i, ok := callOf(p.Subject); ok && i < len(r.s.Calls) {
			f.Args = excerpt(r.s.Calls[i].canonical(), MaxLessonText)
		}
	}
	f.Message, f.Last = p.Message, r.s.Turn
	return nil
}

func (r *Run) applyJudged(p Judged) error {
	s := &r.s
	n := s.Judge
	if n < 0 {
		n = -n
	}
	if s.Reply == nil || p.Command != r.command(n) || p.Of != r.judging() {
		return r.unasked(p.Command)
	}
	if p.Mark != "" {
		s.Marks = append(s.Marks, p.Mark)
		if extra := len(s.Marks) - MarkWindow; extra > 0 {
			s.Marks = slices.Clone(s.Marks[extra:])
		}
	}
	s.Judged = p.Of
	return nil
}

// judging says which judgement is outstanding: "" for none.
func (r *Run) judging() string {
	switch {
	case r.s.Reply == nil || r.s.Closed:
		return ""
	case r.s.Judged == "":
		return JudgeReply
	case r.s.Judged == JudgeReply && r.s.Judge < 0:
		return JudgeResults
	}
	return ""
}

func (r *Run) applyToolCalled(p ToolCalled) error {
	c, err := r.call(p.Call, p.Command)
	if err != nil {
		return err
	}
	if c.Phase != callProposed || p.Tool != c.Tool {
		return r.unasked(p.Command)
	}
	c.Phase, c.Result, c.Share = callIntent, nil, p.Share
	r.intended(p)
	return nil
}

func (r *Run) applyToolReplied(p ToolReplied) error {
	c, err := r.call(p.Call, p.Command)
	if err != nil {
		return err
	}
	verified := c.Phase == callVerifying
	if c.Phase != callIntent && c.Phase != callProposed && !verified {
		return r.unasked(p.Command)
	}
	c.Result = &p
	switch {
	case p.Of != "":
		r.applyFromRecord(p.Call)
	case p.Outcome == Succeeded:
		r.known(p.Call, EffectConfirmed)
		r.done(p.Call)
		r.met(p.Tool)
		r.meant(p.Tool, c.canonical())
		r.s.Failed = nil // something changed: what failed before may work now
		r.caught(CallSubject(p.Call))
	case p.Outcome == Absent && verified:
		r.absent(p.Call)
		c.Phase, c.N, c.Result = callProposed, r.number(), nil
		c.Attempt++
	case p.Outcome == Doubtful || verified:
		r.inDoubt(p.Call, &p)
		return nil
	case p.Kind == KindNeedsApproval && !c.Approved:
		r.known(p.Call, EffectFailed)
		c.Phase, c.Gate, c.Result, c.N = callProposed, true, nil, r.number()
	default:
		r.known(p.Call, EffectFailed)
		c.Phase = callFailed
	}
	r.checkLate(p.Call)
	return nil
}

// done ends a call with the result it has. It counts as a step if it was made.
func (r *Run) done(i int) {
	c := &r.s.Calls[i]
	if r.s.Undo != nil { // neither a step of the run nor a write of its agent
		c.Phase = callDone
		r.undone(i)
		return
	}
	if c.costs() {
		r.s.Steps++
	}
	r.wrote(i)
	c.Phase = callDone
}

func (r *Run) applyApproval(p Approval) error {
	if p.Call < 0 || p.Call >= len(r.s.Calls) {
		return r.unasked(CommandID(p.ID))
	}
	r.s.Calls[p.Call].Phase = callGated
	r.s.Approve = append(slices.Clone(r.s.Approve), p)
	return nil
}

// applyTurnEnded writes the turn into the conversation.
func (r *Run) applyTurnEnded(p TurnEnded) error {
	s := &r.s
	if s.Reply == nil || p.Turn != s.Turn || s.Undo != nil {
		return Fail("", KindConflict, "turn %d cannot end here", p.Turn)
	}
	if m := s.Reply.Message; m.Text != "" || !m.Ref.IsZero() || len(m.Calls) > 0 {
		s.Messages = append(s.Messages, m)
	}
	for i := range s.Calls {
		c := &s.Calls[i]
		s.Messages = append(s.Messages, c.message())
		if c.Tool != c.Name && !c.Failed {
			s.Level = max(s.Level, OtherTool)
			s.Notes = append(s.Notes, "Note from the runtime: "+c.Name+" did not work; "+c.Tool+" answered in its place.")
		}
	}
	for _, text := range s.Notes {
		s.Messages = append(s.Messages, Message{Role: RoleUser, Text: text, Note: true})
	}
	r.calm(false)
	s.Turn++
	s.N = 0
	s.Reply, s.Calls, s.Notes, s.Open, s.Judged, s.Judge, s.Closed = nil, nil, nil, nil, "", 0, false
	s.Model = modelStep{N: r.number(), Target: s.Model.Target, Attempt: 1}
	return nil
}

func (r *Run) applyFinished(p Finished) error {
	if p.State == Completed || p.State == Degraded {
		r.calm(true) // an end that is no answer says nothing of what was tried in the last turn
	}
	r.s.End, r.s.Ending, r.s.Park, r.s.Asked, r.s.Approve, r.s.Open, r.s.Refused = &p, nil, nil, nil, nil, nil, nil
	return nil
}

// call returns the call that a result belongs to.
func (r *Run) call(i int, id CommandID) (*callStep, error) {
	if r.s.Reply == nil || i < 0 || i >= len(r.s.Calls) || id != r.command(r.s.Calls[i].N) {
		return nil, r.unasked(id)
	}
	return &r.s.Calls[i], nil
}

func (r *Run) unasked(id CommandID) error {
	return Fail("", KindConflict, "nothing in turn %d waits for %s", r.s.Turn, id)
}
