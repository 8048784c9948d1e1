package daruma

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Next decides. It returns the events that must be committed now and every
// command that is outstanding once they are: to be performed after the commit,
// each ID once at a time. Asking again gives the same answer; after the events
// have been applied it gives no events and the same commands. Next does not
// change the run.
func (r *Run) Next() ([]Event, []Command) {
	var events []Event
	for {
		decided := r.decide()
		if len(decided) == 0 {
			return events, r.commands()
		}
		if events == nil {
			r = r.clone()
		}
		for _, e := range decided {
			if err := r.Apply(e); err != nil {
				panic("daruma: a decision does not fold: " + err.Error())
			}
		}
		events = append(events, decided...)
	}
}

// decide returns the next events the run itself must add, none when everything
// depends on the outside.
func (r *Run) decide() []Event {
	s := &r.s
	switch {
	case s.Turn == 0 || s.End != nil:
		return nil
	case len(s.Refused) > 0:
		return r.refuse()
	case s.Cancel != nil:
		if r.inFlight() {
			return nil
		}
		return r.end(r.cancelled(), s.Revert)
	case s.Ending != nil:
		if r.inFlight() {
			return nil
		}
		return r.end(*s.Ending, s.Revert)
	case s.Park != nil:
		return nil
	case s.Claims >= s.Start.Limits.Claims:
		return r.parkClaims()
	}
	if e := r.raise(); e != nil {
		return e
	}
	if r.judging() == "" && len(s.Open) > 0 {
		return r.climb()
	}
	if s.Undo != nil {
		return r.decideUndo()
	}
	if e := r.contradictions(); e != nil {
		return e
	}
	switch {
	case s.Reply == nil:
		return r.decideModel()
	case s.Judged == "" && !s.Closed:
		return nil // the judgement of the reply is outstanding
	case len(s.Calls) == 0 && !s.Closed:
		return r.decideAnswer()
	}
	return r.decideCalls()
}

// decideModel checks the limits before a model call.
func (r *Run) decideModel() []Event {
	if r.s.Asked != nil {
		return []Event{r.park(*r.s.Asked, 0)}
	}
	if !r.s.Model.Until.IsZero() || r.s.Model.Failure != nil {
		return nil
	}
	if r.s.Met != nil {
		return r.budgetMet(*r.s.Met)
	}
	if e := r.hardEdge(1); e != nil {
		return e
	}
	if e := r.nearWindow(); e != nil {
		return e
	}
	return r.softEdge()
}

// park is the event that parks the run, after others that are decided with it.
// What is asked gets its id there: the number of the event, which no other
// question of the run can have.
func (r *Run) park(p Parked, before int) Event {
	if len(p.Options) > 0 {
		p.ID = fmt.Sprintf("%s.q%d", r.suffix(), r.s.Head+int64(before)+1)
	}
	return NewEvent(KindParked, ActorCore, p)
}

// refuse tells of the posts that changed nothing.
func (r *Run) refuse() []Event {
	events := make([]Event, len(r.s.Refused))
	for i, p := range r.s.Refused {
		events[i] = NewEvent(KindPostRefused, ActorCore, p)
	}
	return events
}

// decideAnswer ends a run whose model asked for nothing more.
func (r *Run) decideAnswer() []Event {
	if r.s.Asked != nil {
		return []Event{r.park(*r.s.Asked, 0)}
	}
	m := r.s.Reply.Message
	f := Finished{State: Completed, Answer: m.Text, Ref: m.Ref}
	for _, u := range r.s.Unmet {
		if !slices.Contains(f.Missing, u.Text) && !slices.Contains(r.s.Missing, u.Text) {
			f.Missing = append(f.Missing, u.Text)
		}
	}
	if len(f.Missing)+len(r.s.Missing) > 0 {
		f.State = Degraded
	}
	return r.finish(f)
}

// decideCalls moves the calls of a judged reply on.
func (r *Run) decideCalls() []Event {
	s := &r.s
	if s.Asked != nil { // about the reply: nothing of it has begun
		return []Event{r.park(*r.s.Asked, 0)}
	}
	if r.allDone() {
		if r.judging() == JudgeResults {
			return nil
		}
		return r.endTurn()
	}
	var events []Event
	room, purse := r.room(), r.purse()
	gated, moving := false, false
	var asked *Parked
	short := 1 // steps that the next call needs
	for i := range s.Calls {
		c := &s.Calls[i]
		switch c.Phase {
		case callGated:
			gated = true
		case callAsked:
			if asked == nil {
				asked = c.Ask
			}
		case callWaiting, callIntent, callVerifying, callReconciling, callChild:
			moving = true
		case callProposed:
			spec, known := r.spec(c.Tool)
			past, isPast := r.recorded(c, spec)
			before, repeat := r.repeated(c, spec)
			switch {
			case r.held(i):
			case isPast && (room == 0 || purse.steps < 1):
			case isPast:
				room--
				purse.spend()
				events = append(events, r.replay(i, past))
			case repeat == RepeatReplay:
				events = append(events, r.fromRecord(i, before))
			case r.needsApproval(c, spec):
				events = append(events, NewEvent(KindApproval, ActorCore, r.approval(i, spec)))
			case room == 0 || purse.steps < 1:
				short = max(short, 1)
			case spec.Agent != "":
				out := r.delegate(i, spec, &purse)
				if room -= len(out); len(out) == 0 {
					short = 2 // the rest of the turn takes the place
				}
				events = append(events, out...)
			case known && spec.Effect == Read:
				room--
				purse.spend()
				moving = true
			default:
				room--
				purse.spend()
				events = append(events, NewEvent(KindToolCalled, ActorCore, ToolCalled{Command: r.command(c.N), Call: i,
					Tool: c.Tool, Key: r.key(i), Effect: spec.Effect, Attempt: c.Attempt}))
			}
		}
	}
	switch {
	case len(events) > 0 || moving:
		return events
	case asked != nil:
		return []Event{r.park(*asked, 0)}
	case gated:
		return []Event{r.park(Parked{Reason: ParkApproval, Text: r.approvalText()}, 0)}
	}
	return r.hardEdge(short)
}

// room is how many more calls of this turn may be started: the steps left and
// the parallel limit, less what is in flight.
func (r *Run) room() int {
	s := &r.s
	flying, reserved := 0, 0
	for i := range s.Calls {
		switch s.Calls[i].Phase {
		case callIntent, callVerifying, callReconciling, callWaiting, callDoubt, callFailed, callAsked, callChild:
			flying++
			if share := s.Calls[i].Share; share != nil {
				reserved += share.Steps
			}
		}
	}
	return max(0, min(s.Start.Limits.Steps-s.Steps-flying-reserved, s.Start.Limits.Parallel-flying))
}

// inFlight reports whether a call with an effect is out. Model calls, reads and
// verifications can be dropped at any time.
func (r *Run) inFlight() bool {
	for i := range r.s.Calls {
		if p := r.s.Calls[i].Phase; p == callIntent || p == callChild {
			return true
		}
	}
	return false
}

// allDone reports whether every call of the turn has its result.
func (r *Run) allDone() bool {
	for i := range r.s.Calls {
		if r.s.Calls[i].Phase != callDone {
			return false
		}
	}
	return true
}

// endTurn ends the turn, with a checkpoint where enough has happened since the
// last one that all checkpoints together stay linear in the history.
func (r *Run) endTurn() []Event {
	const least = 8 << 10 // less is folded in no time
	e := NewEvent(KindTurnEnded, ActorCore, TurnEnded{Turn: r.s.Turn})
	if r.s.Tail < max(least, r.s.Base) {
		return []Event{e}
	}
	after := r.clone()
	if err := after.Apply(e); err != nil {
		panic("daruma: " + err.Error())
	}
	return []Event{e, after.checkpoint()}
}

// commands lists what is outstanding.
func (r *Run) commands() []Command {
	s := &r.s
	switch {
	case s.Turn == 0 || s.End != nil:
		return nil
	case s.Park != nil:
		if at := r.WakeAt(); !at.IsZero() {
			return []Command{{ID: r.command(r.expiring(at)), Op: OpWait, Until: at}}
		}
		return nil
	case s.Cancel != nil || s.Ending != nil:
		return r.callCommands(true)
	case s.Reply == nil:
		if s.Model.Failure != nil {
			return nil
		}
		c := Command{ID: r.command(s.Model.N), Op: OpCallModel, Target: r.target(), Timeout: r.timeout(s.Start.Limits.ModelTime)}
		if !s.Model.Until.IsZero() {
			c.Op, c.Until = OpWait, s.Model.Until
		}
		return []Command{c}
	}
	switch r.judging() {
	case JudgeReply:
		return []Command{{ID: r.command(s.Judge), Op: OpJudge, Of: JudgeReply}}
	case JudgeResults:
		return []Command{{ID: r.command(-s.Judge), Op: OpJudge, Of: JudgeResults}}
	}
	return r.callCommands(false)
}

// expiring returns the number of the call whose approval expires first: while
// it waits no other command bears it, and with the decision it gets a new one.
func (r *Run) expiring(at time.Time) int {
	for _, a := range r.s.Approve {
		if a.Expires.Equal(at) && a.Call < len(r.s.Calls) {
			return r.s.Calls[a.Call].N
		}
	}
	if r.s.Park.Until.Equal(at) {
		return r.s.N
	}
	return r.s.N + 1
}

// callCommands lists the commands of the turn's calls; flying only: those that
// have an intent.
func (r *Run) callCommands(flying bool) []Command {
	var out []Command
	room := r.room()
	for i := range r.s.Calls {
		c := &r.s.Calls[i]
		spec, _ := r.spec(c.Tool)
		cmd := Command{ID: r.command(c.N), Call: i, Tool: c.Tool, Args: c.Args, Attempt: c.Attempt,
			Approved: c.Approved, Timeout: r.timeout(spec.deadline())}
		switch {
		case c.Phase == callIntent && spec.Agent != "":
			cmd.Op, cmd.Agent, cmd.Child, cmd.Share, cmd.Depth = OpStartRun, spec.Agent, r.childID(i), cmp.Or(c.Share, &Limits{}), r.depth()+1
		case c.Phase == callIntent:
			cmd.Op = OpCallTool
		case flying:
			continue
		case c.Phase == callProposed && r.s.Undo == nil && spec.Effect == Read && spec.Name != "" && room > 0 && !r.held(i) && !r.needsApproval(c, spec):
			cmd.Op = OpCallTool
			room--
		case c.Phase == callVerifying:
			cmd.Op = OpVerify
		case c.Phase == callWaiting || c.Phase == callReconciling:
			cmd.Op, cmd.Until = OpWait, c.Until
		default:
			continue
		}
		cmd.Key = r.key(i)
		out = append(out, cmd)
	}
	return out
}

// deadline is how long one attempt may take.
func (t ToolSpec) deadline() Duration {
	if t.Timeout == 0 {
		return Duration(30 * time.Second)
	}
	return t.Timeout
}

// timeout bounds a command by what is left of the run's time.
func (r *Run) timeout(own Duration) time.Duration {
	if r.s.Undo != nil {
		return time.Duration(own) // a run without time left is undone all the same
	}
	left := r.s.Start.Limits.Time - r.s.Active
	return time.Duration(max(min(own, left), Duration(time.Millisecond)))
}

// key is the idempotency key of a call: derived from tenant, run, step, tool
// and canonical arguments, the same for every attempt and after every crash.
func (r *Run) key(i int) string {
	c := &r.s.Calls[i]
	var b []byte
	for _, part := range []string{strconv.Itoa(CanonicalVersion), string(r.tenant), string(r.id), strconv.Itoa(r.s.Turn),
		strconv.Itoa(i), c.Tool, c.canonical()} {
		b = appendSized(b, part)
	}
	return "daruma-" + DigestOf(b).String()[:40]
}
